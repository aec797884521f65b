"""What a person is told when the firmware bridge does not do what a command needs."""

from collections.abc import Awaitable
from typing import TypeVar

from edge.console.errors import CommandError
from firmware_bridge.api import BridgeRefused, BridgeUnreachable

T = TypeVar("T")


async def told(asked: Awaitable[T]) -> T:
    """What the bridge answers. Raises CommandError."""
    try:
        return await asked
    except BridgeUnreachable as error:
        raise CommandError("no_bridge", sentence(error), "Is it running? systemctl status firmware-bridge") from error
    except BridgeRefused as error:
        raise CommandError("rejected", sentence(error)) from error


def sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."
