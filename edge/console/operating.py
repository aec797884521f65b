"""What the actions need of the running parts; `edge/operations.py` does it."""

from typing import Protocol

from edge.domain.ports import EdgeError


class NotPending(EdgeError):
    """No charger of this name waits to be adopted."""


class PasswordNeeded(EdgeError):
    """The charger connects where a password is asked for, and has shown none."""


class NoSuchConnector(EdgeError):
    """The charger is not known, or has no such connector, or more than one that could be meant."""


class Operating(Protocol):
    """What a technician can set off."""

    async def adopt(self, charger: str, password: bytes | None) -> list[int]:
        """Let a pending charger in; its upstream numbers so far. Raises NotPending or PasswordNeeded."""
        ...

    async def start(self, charger: str, evse: int | None, connector: int | None, token: str) -> tuple[int, str]:
        """Ask a charger to start; (its connector, Accepted, Rejected or TimedOut).

        Raises NoSuchConnector or ChargerOffline.
        """
        ...

    async def stop(self, session: int) -> str | None:
        """Ask a charger to stop; Accepted, Rejected, TimedOut or Ended. None: no session of this number."""
        ...
