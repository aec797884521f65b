"""The configuration in force: one cell, which `edge/reload.py` switches and everyone else asks.

A part that needs a live key gets this cell (or a callable that asks it) and looks at each use; it keeps no copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.config.values import Config


@dataclass(frozen=True, slots=True)
class FileAhead:
    """The file says something that is not in force: what, and since when."""

    at: datetime
    what: tuple[str, ...]


class InForce:
    """Call it: what counts now."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.waits_for_restart: FileAhead | None = None
        """Keys, as of the last reload."""
        self.refused: FileAhead | None = None
        """What was wrong with the file when it was last read again."""

    def __call__(self) -> Config:
        return self._config

    def switch(self, config: Config, waits_for_restart: Sequence[str], now: datetime) -> None:
        """From now on this counts. What it promises to others must be stored before (style 13)."""
        self._config = config
        self.refused = None
        self.waits_for_restart = FileAhead(now, tuple(waits_for_restart)) if waits_for_restart else None

    def bind(self, config: Config) -> None:
        """The same, with what only the running daemon knows: the ports that the system has chosen."""
        self._config = config

    def refuse(self, problems: Sequence[str], now: datetime) -> None:
        """The file was read again and cannot be used."""
        self.refused = FileAhead(now, tuple(problems))
