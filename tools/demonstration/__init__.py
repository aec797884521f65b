"""`tools/demo`: the real daemon as a process of its own, simulated parties around it, and plain lines about it all.

What passes through: `program.py` starts everything and ends it, whatever happens; `story.py` is the script (who
plugs in, what the cloud asks, when the uplink is cut); `observer.py` tells what the daemon's console socket shows;
`verification.py` compares at the end what the chargers sent with what the cloud has. `party.py` are the simulators,
`daemon.py` is the process, `lines.py` the paper.
"""
