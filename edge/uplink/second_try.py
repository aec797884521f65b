"""A payload that the CSMS has called malformed, as it is sent once more.

First choice: without what the schema forbids (interface.md, guarantee 2). Where that leaves no valid message, because
what is forbidden is also required, the second try is what the tolerances read from it (`edge/dialects/tolerances.py`):
a number as the text that belongs there, an object as the list. Else the message would certainly be parked, and its
whole transaction with it. Each change is a loss with a name, journalled by the sender.
"""

from edge.dialects import tolerances
from edge.jsontypes import Payload
from edge.ocppj import schemas


def second_try(version: str, action: str, payload: Payload) -> tuple[Payload, tuple[Payload, ...]]:
    """The payload and what was lost; the payload itself when nothing can be done for it."""
    plain, removed = schemas.without_forbidden(version, action, payload)
    if not schemas.check_request(version, action, plain):
        return plain, _losses(removed)
    reading = tolerances.read(version, action, payload, schemas.check_request(version, action, payload))
    better, removed_then = schemas.without_forbidden(version, action, reading.payload)
    if schemas.check_request(version, action, better):
        return plain, _losses(removed)
    changed: list[Payload] = [{"rule": str(one.rule), "why": one.message} for one in reading.applied]
    return better, (*changed, *_losses(removed_then))


def _losses(removed: tuple[schemas.Violation, ...]) -> tuple[Payload, ...]:
    return tuple({"path": list(loss.path), "why": loss.message} for loss in removed)
