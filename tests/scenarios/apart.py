"""What the cloud got, as if each value had come in a message of its own: values that wait may share one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from simulators.csms import Csms
from simulators.ledger import Received

Message = TypeVar("Message")
"""What a cloud got, ours or one of another make: a dataclass with `action` and `payload`."""


def apart(received: Iterable[Message]) -> list[Message]:
    """Each entry of a MeterValues for itself, in order; all else as it came."""
    return [one for message in received for one in _entries(message)]


def _entries(message: Message) -> Iterator[Message]:
    if message.action != "MeterValues":
        yield message
        return
    for entry in message.payload["meterValue"]:
        yield replace(message, payload={**message.payload, "meterValue": [entry]})


def values(csms: Csms) -> list[Received]:
    """All values that came, each for itself."""
    return apart(csms.calls("MeterValues"))


def sizes(csms: Csms) -> list[int]:
    """How many entries the MeterValues had, message by message."""
    return [len(one.payload["meterValue"]) for one in csms.calls("MeterValues")]
