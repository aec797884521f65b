"""OCPP 1.6: what its payloads mean and how they are written.

`observe` reads a charger's request; `replies` writes our answers to it; `commands` writes requests to a charger and
reads the answers; `station` is our side towards the CSMS; `ids` rewrites the identifiers between the two.
"""

VERSION = "1.6"
