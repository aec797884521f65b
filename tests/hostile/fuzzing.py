"""Feeds mutated inputs to a target, counts what became of them, and says which one did harm.

A target (`targets/`) makes inputs by chance and judges them: refused, or accepted and right. Anything else, an exception
above all, is an `Escape`; so is one input that takes seconds of the processor. Inputs come in batches: all of a batch
follow from (target, seed, number of the batch) and, where the target has a state, share it. What escapes is reduced to as
few inputs as still do it, kept as a file in `corpus/`, and comes again with the command that is printed.
"""

import contextlib
import ctypes
import gc
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Protocol

CORPUS = Path(__file__).parent / "corpus"
STUCK_S = 3.0
"""Seconds of the processor that one input may take, in which others take microseconds."""
REDUCED_BY_AT_MOST = 80
"""Attempts to find out which inputs of a batch it takes."""


class Escape(AssertionError):
    """An input did what none may do."""


class Stuck(BaseException):
    """Raised into whatever works on one input for too long. No `except Exception` takes it for its own."""


@dataclass(slots=True)
class Tally:
    """Of one feeding."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    now: bytes = b""
    """The input that is being judged."""
    _began: float = 0.0

    def begin(self, data: bytes) -> None:
        self.inputs += 1
        self.now = data
        self._began = time.perf_counter()

    def end(self, *, accepted: bool) -> None:
        took = time.perf_counter() - self._began
        self.slowest_s = max(self.slowest_s, took)
        if accepted:
            self.accepted += 1
        else:
            self.refused += 1


class Target(Protocol):
    name: str
    batch: int
    """Inputs of one batch."""
    is_fresh_each_time: bool
    """Whether an input does the same whatever came before it."""

    def inputs(self, chance: Random) -> Iterator[bytes]:
        """Without end."""
        ...

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        """Raises whatever escapes."""
        ...


@dataclass(slots=True)
class Figures:
    """What a target did with how many inputs."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    escaped: int = 0
    processor_s: float = 0.0
    slowest_ms: float = 0.0
    memory_growth_kb: int = 0
    """Of the process, from the end of the first batch on."""

    def add(self, other: "Figures") -> None:
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.refused += other.refused
        self.escaped += other.escaped
        self.processor_s = round(self.processor_s + other.processor_s, 2)
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.memory_growth_kb = max(self.memory_growth_kb, other.memory_growth_kb)

    def as_json(self) -> dict[str, int | float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """What escaped, and how it comes again."""

    target: str
    error: BaseException
    seed: int
    batch: int
    inputs: tuple[bytes, ...]
    file: Path | None

    def __str__(self) -> str:
        again = f"tools/fuzz {self.target} --seed {self.seed} --batch {self.batch}"
        if self.file is not None:
            again = f"tools/fuzz --replay {os.path.relpath(self.file)}   (or: {again})"
        last = self.inputs[-1]
        shown = repr(last[:600]) + (f" … {len(last)} bytes" if len(last) > 600 else "")
        return (
            f"{self.target}: {type(self.error).__name__}: {self.error}\n"
            f"{len(self.inputs)} input(s), the last one: {shown}\nagain: {again}"
        )


@dataclass(slots=True)
class Result:
    figures: Figures = field(default_factory=Figures)
    findings: list[Finding] = field(default_factory=list)


def batch_of(target: Target, seed: int, number: int, count: int) -> Iterator[bytes]:
    return islice(target.inputs(Random(f"{target.name}/{seed}/{number}")), count)


def fuzz(target: Target, seed: int, inputs: int, *, keep: bool = True, first_batch: int = 0) -> Result:
    """So many inputs, or until one escapes."""
    result = Result()
    resident = None
    number = first_batch
    while result.figures.inputs < inputs and not result.findings:
        count = min(target.batch, inputs - result.figures.inputs)
        _one_batch(target, seed, number, count, result, keep=keep)
        number += 1
        if resident is None:
            resident = _resident_kb()
    if resident is not None and number - first_batch > 1:
        result.figures.memory_growth_kb = max(0, _resident_kb() - resident)
    return result


def _one_batch(target: Target, seed: int, number: int, count: int, result: Result, *, keep: bool) -> None:
    tally, figures = Tally(), result.figures
    given: list[bytes] = []
    began = time.process_time()

    def noted() -> Iterator[bytes]:
        for data in batch_of(target, seed, number, count):
            if not target.is_fresh_each_time:
                given.append(data)
            yield data

    try:
        with stuck_is_told(tally):
            target.feed(noted(), tally)
    except (Exception, Stuck) as error:  # noqa: BLE001 - whatever it is, it has escaped
        figures.escaped += 1
        inputs = reduced(target, given or [tally.now])
        result.findings.append(
            Finding(target.name, error, seed, number, inputs, kept(target, inputs) if keep else None)
        )
    figures.inputs += tally.inputs
    figures.accepted += tally.accepted
    figures.refused += tally.refused
    figures.processor_s = round(figures.processor_s + time.process_time() - began, 2)
    figures.slowest_ms = max(figures.slowest_ms, round(1000 * tally.slowest_s, 1))


def does_harm(target: Target, inputs: Sequence[bytes]) -> bool:
    tally = Tally()
    try:
        with stuck_is_told(tally):
            target.feed(iter(inputs), tally)
    except (Exception, Stuck):  # noqa: BLE001
        return True
    return False


def reduced(target: Target, inputs: Sequence[bytes]) -> tuple[bytes, ...]:
    """As few of them as still do it, within reason; all when only all of them do."""
    if len(inputs) < 2 or not does_harm(target, inputs):
        return tuple(inputs)
    left, piece, attempts = list(inputs), len(inputs) // 2, 0
    while piece >= 1 and attempts < REDUCED_BY_AT_MOST:
        at = 0
        while at < len(left) and attempts < REDUCED_BY_AT_MOST:
            attempts += 1
            without = left[:at] + left[at + piece :]
            if without and does_harm(target, without):
                left = without
            else:
                at += piece
        piece //= 2
    return tuple(left)


# --- kept as files


def kept(target: Target, inputs: Sequence[bytes]) -> Path:
    """In the corpus, under a name that follows from what is in it."""
    content = {"target": target.name, "inputs": [data.decode("latin-1") for data in inputs]}
    digest = hashlib.sha256(b"\0".join(inputs)).hexdigest()[:12]
    file = CORPUS / f"{target.name}-{digest}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def read_kept(file: Path) -> tuple[str, tuple[bytes, ...]]:
    """The target's name and the inputs, whose bytes stand there as the characters of the same numbers.

    Raises OSError, or ValueError when the file is none of ours.
    """
    try:
        match json.loads(file.read_text()):
            case {"target": str(name), "inputs": [_, *_] as inputs}:
                return name, tuple(text.encode("latin-1") for text in inputs)
    except (ValueError, AttributeError):
        pass  # no JSON, or characters that are no bytes, or no texts
    raise ValueError(f"{file} holds no inputs that tools/fuzz has kept")


# --- what is measured


@contextlib.contextmanager
def stuck_is_told(tally: Tally) -> Iterator[None]:
    """Raises Stuck into an input that is still being judged at the second look. Counts the processor's time."""
    seen = -1

    def look(_number: int, _frame: object) -> None:
        nonlocal seen
        if seen == tally.inputs:
            raise Stuck(f"one input took more than {STUCK_S:g} s of the processor")
        seen = tally.inputs

    before = signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_S, STUCK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _resident_kb() -> int:
    """What the process holds, after it has given back what it need not hold."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
