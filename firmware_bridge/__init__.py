"""The firmware bridge: brings firmware in and diagnostics out for chargers that have no internet.

A process of its own, with a user of its own: what comes from the internet and from chargers' uploads stays away from
the daemon that holds transactions. It imports nothing of `edge`; `edge` imports `firmware_bridge.api` and nothing else.
"""
