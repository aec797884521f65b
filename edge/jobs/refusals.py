"""What the bridge's no means, and what people are told while it does not answer."""

from firmware_bridge.api import BridgeUnreachable

VERDICTS = frozenset({"refused", "unusable", "invalid_request", "invalid_certificate", "invalid_signature"})
"""Of the bridge, which asking again does not change; everything else may pass."""


def is_it_running(error: BridgeUnreachable) -> str:
    return f"{error}. Is firmware-bridge running?"
