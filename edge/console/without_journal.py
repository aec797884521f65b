"""What control-only mode answers to commands about what is stored.

The store in memory of that mode is empty: to say "no sessions" would be untrue.
"""

from collections.abc import AsyncGenerator

from edge.console.errors import CommandError
from edge.jsontypes import Payload


async def unknown_without_journal(_: Payload) -> Payload:
    """Raises CommandError."""
    raise CommandError(
        "store_unusable",
        "Control-only mode: the store cannot be read, so its sessions and messages are not known now.",
        "edge status says why.",
    )


async def nothing_to_follow(args: Payload) -> AsyncGenerator[Payload, None]:
    """Raises CommandError."""
    yield await unknown_without_journal(args)
