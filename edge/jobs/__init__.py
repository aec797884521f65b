"""Work that goes on for hours through the firmware bridge: new firmware for chargers, and their logs.

`rollouts.py` and `collections.py` carry it out, `jobs.py` holds them together.
"""
