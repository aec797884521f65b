"""What happened in a simulated run, as one hash: two runs with the same seed must agree on it."""

import collections
import hashlib
from collections.abc import Callable


class Trace:
    """Every chunk delivered and every note, with its virtual time. Keeps only the hash and the latest lines."""

    def __init__(self, now: Callable[[], float], *, remembered: int = 500) -> None:
        self._now = now
        self._hash = hashlib.sha256()
        self._recent: collections.deque[tuple[float, str, str, bytes]] = collections.deque(maxlen=remembered)
        self.chunks = 0
        self.bytes = 0

    def delivered(self, source: str, target: str, chunk: bytes) -> None:
        self.chunks += 1
        self.bytes += len(chunk)
        self._add(source, target, chunk)

    def note(self, fact: str) -> None:
        """What a test wants in the hash beside the bytes on the wire: a decision, a state, a count."""
        self._add("note", "", fact.encode())

    def _add(self, source: str, target: str, content: bytes) -> None:
        now = self._now()
        self._hash.update(f"{now!r} {source}>{target} {len(content)}\n".encode())
        self._hash.update(content)
        self._recent.append((now, source, target, content))

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def recent(self) -> list[str]:
        """The latest entries as lines to read, for the report of a failing seed."""
        return [f"{at:.6f} {source}>{target} {content!r}" for at, source, target, content in self._recent]
