"""OCPP-J without I/O: one code for both sides of a connection and for every version.

Text and `now` go in, events and text to send come out. Nothing here opens a socket, reads a clock or logs.
A link (`edge/chargers/link.py`, `edge/uplink/link.py`) owns one `peer.RpcPeer` per connection.
"""
