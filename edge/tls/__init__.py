"""TLS on both sides of the site: listeners for chargers and the uplink (security profile 2).

`x509.py` reads certificates, `contexts.py` makes the SSL contexts, `judgement.py` says what is wrong with the files,
`failures.py` puts failed handshakes into words, `expiry.py` watches the dates. Nothing here opens a connection: that
is `edge/chargers/door.py` and `edge/uplink/dialing.py`.
"""
