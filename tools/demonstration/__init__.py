"""`tools/demo`: the real daemon and firmware bridge as processes, simulated parties around them, and plain lines
about it all.

What passes through: `program.py` starts everything and ends it, whatever happens; `story.py` is the script (who
plugs in, what the cloud asks, when the uplink is cut); `observer.py` tells what the daemon's console socket shows;
`verification.py` compares at the end what the chargers sent with what the cloud has. `party.py` are the simulators,
`manufacturer.py` among them; `rollout.py` tells of the firmware. `daemon.py` and `bridge.py` are the real ones,
`process.py` what is true of both, `folder.py` where their files stand, `lines.py` the paper.
"""
