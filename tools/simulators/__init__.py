"""The other parties of a site, played well enough to test the real daemon against them.

`csms` is the cloud, `charger` a charger with physics, `replay` a charger that plays a recording of a real
one, `meter` the site's Modbus meter. Each is a class for tests and a program for technicians. All of them
run on any asyncio event loop (also one with virtual time and in-memory transports): durations come from the
loop, wall-clock time and message ids from arguments, and nothing is handed to a thread.

Read `wire.py` first: it is what the OCPP parties share.
"""

import ocpp.messages

# ocpp checks schemas in the default executor unless told not to; a simulated loop has no threads.
ocpp.messages.ASYNC_VALIDATION = False
