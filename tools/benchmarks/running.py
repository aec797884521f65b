"""What a part is told: how much to measure, where, and whom to tell how far it got."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `tools/bench`."""

    folder: Path
    """Where databases and files stand; on the disk that is measured."""
    rounds: int = 5
    is_quick: bool = False
    """Smallest sizes: whether everything still runs, not how fast."""
    is_whole_corpus: bool = False
    tell: Callable[[str], None] = lambda _line: None

    def on_round(self, number: int, of: int) -> None:
        self.tell(f"round {number} of {of}")

    def sized(self, quick: int, whole: int) -> int:
        return quick if self.is_quick else whole
