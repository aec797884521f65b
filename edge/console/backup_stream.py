"""The daemon's half of `edge backup`: a copy of the store as documents, its bytes in base64.

First what is done (`progress`), then what is in it (`backup`), its bytes (`piece`), and the digest of all of them
(`sha256`). `backup_file.py` is the command's half.
"""

import base64
import contextlib
from collections.abc import AsyncGenerator

from edge.console.errors import CommandError
from edge.console.times import time_ms
from edge.jsontypes import Payload
from edge.store.backup import BackupFailed, BackupRunning, Backups, Finished, Progress
from edge.store.inspection import Contents


class BackupStream:
    """One stream command."""

    def __init__(self, backups: Backups) -> None:
        self._backups = backups

    async def backup(self, _args: Payload) -> AsyncGenerator[Payload, None]:
        try:
            async with contextlib.aclosing(self._backups.pieces()) as parts:
                async for part in parts:
                    match part:
                        case Progress(phase, done, of):
                            yield {"v": 1, "progress": {"phase": phase, "done": done, "of": of}}
                        case Contents():
                            yield {"v": 1, "backup": contents_document(part)}
                        case Finished(sha256):
                            yield {"v": 1, "sha256": sha256}
                        case bytes():
                            yield {"v": 1, "piece": base64.b64encode(part).decode()}
        except BackupRunning as error:
            raise CommandError("busy", f"{str(error).capitalize()}.", "Wait for its end, then try again.") from error
        except BackupFailed as error:
            raise CommandError("failed", f"No backup was made: {error}.") from error


def contents_document(contents: Contents) -> Payload:
    """What is in a copy, as the commands print it."""
    return {
        "bytes": contents.size,
        "made_at": time_ms(contents.made_wall_ms),
        "sessions": contents.sessions,
        "waiting": contents.waiting,
        "parked": contents.parked,
        "first_at": time_ms(contents.first_wall_ms),
        "last_at": time_ms(contents.last_wall_ms),
        "damaged": contents.damaged,
    }
