"""The program behind `tools/fuzz`: feeds mutated inputs to the targets, and prints what came of it.

Exit codes: 0 no input did harm · 1 one did · 2 wrong usage · 130 Ctrl-C.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from operator import methodcaller
from pathlib import Path

from amounts import positive, whole

from tests.hostile.fuzzing import Figures, Tally, read_kept, stuck_is_told
from tests.hostile.plan import PLAN, SLICES, TARGETS, Done, Piece
from tests.side_by_side import side_by_side

ROUND = 4
"""Batches that a worker does before it says how far it is."""
COLUMNS = {
    "inputs": ("inputs", 11),
    "accepted": ("accepted", 11),
    "refused": ("refused", 11),
    "escaped": ("escaped", 8),
    "processor_s": ("cpu s", 8),
    "slowest_ms": ("slow ms", 8),
    "memory_growth_kb": ("+kB", 7),
}
"""Figure → its heading and width; with the name, no more than 80 columns."""
NAME = 16


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    if options.list:
        print("\n".join(f"{share.target.name:18}{share.what}" for share in PLAN))
        return 0
    if options.replay is not None:
        return _replay(*options.replay)
    names = options.targets or list(TARGETS)
    total = {name: Figures() for name in names}
    findings: list[str] = []
    with closing(_work(_pieces(options, names), options.workers)) as fed:
        for piece, done in fed:
            total[piece.target].add(done.figures)
            findings += done.findings
            for finding in done.findings:
                print(f"{finding}\n", file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                print(f"\r{sum(one.inputs for one in total.values()):,} inputs", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(json.dumps(_document(total, findings), indent=1) if options.json else "\n".join(_table(total)))
    return 1 if findings else 0


def _work(pieces: Iterator[Piece], workers: int) -> Iterator[tuple[Piece, Done]]:
    """Each piece when it is done."""
    if workers == 1:
        yield from ((piece, piece.feed()) for piece in pieces)
        return
    with closing(side_by_side(methodcaller("feed"), pieces, workers)) as fed:
        for piece, done in fed:
            yield piece, done.result()


def _pieces(options: argparse.Namespace, names: list[str]) -> Iterator[Piece]:
    if options.batch is not None:
        yield from (Piece(name, options.seed, options.batch, TARGETS[name].batch) for name in names)
    elif options.minutes is not None:
        until, first = time.monotonic() + 60 * options.minutes, 0  # noqa: TID251 - nothing here is simulated
        while time.monotonic() < until:  # noqa: TID251
            yield from (Piece(name, options.seed, first, ROUND * TARGETS[name].batch) for name in names)
            first += ROUND
    elif options.inputs is not None:
        yield from (Piece(name, options.seed, 0, options.inputs) for name in names)
    else:
        for share, seed in SLICES:
            if share.target.name in names:
                yield Piece(share.target.name, options.seed - 1 + seed, 0, share.inputs * options.times)


def _replay(name: str, inputs: tuple[bytes, ...]) -> int:
    print(f"{name}: {len(inputs)} input(s)")
    tally = Tally()
    with stuck_is_told(tally):
        TARGETS[name].feed(iter(inputs), tally)  # whatever it raises is what is to be seen
    print(f"no harm done: {tally.accepted} accepted, {tally.refused} refused")
    return 0


def _document(total: dict[str, Figures], findings: list[str]) -> dict[str, object]:
    return {
        "inputs": sum(one.inputs for one in total.values()),
        "accepted": sum(one.accepted for one in total.values()),
        "refused": sum(one.refused for one in total.values()),
        "escaped": sum(one.escaped for one in total.values()),
        "processor_s": round(sum(one.processor_s for one in total.values()), 1),
        "most_memory_growth_kb": max(one.memory_growth_kb for one in total.values()),
        "targets": {name: figures.as_json() for name, figures in total.items()},
        "findings": findings,
    }


def _table(total: dict[str, Figures]) -> list[str]:
    rows = [f"{'target':{NAME}}" + "".join(f"{heading:>{width}}" for heading, width in COLUMNS.values())]
    for name, figures in total.items():
        values = figures.as_json()
        cells = (f"{round(values[figure]):>{width},}" for figure, (_, width) in COLUMNS.items())
        rows.append(f"{name:{NAME}}" + "".join(cells))
    return rows


def _kept(written: str) -> tuple[str, tuple[bytes, ...]]:
    try:
        name, inputs = read_kept(Path(written))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{written}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if name not in TARGETS:
        raise argparse.ArgumentTypeError(f"{written} is for {name!r}; there are {', '.join(TARGETS)}")
    return name, inputs


def _options(arguments: list[str]) -> argparse.Namespace:
    inputs = sum(share.inputs * share.slices for share in PLAN)
    parser = argparse.ArgumentParser(
        prog="tools/fuzz",
        description=f"Mutated input, {inputs:,} unless told otherwise. Exit code 1: an input did harm; it is printed "
        "with the command that repeats it, and kept in tests/hostile/corpus, from where the tests take it.",
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of those that --list names; default: all")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--minutes", type=positive, help="for so long, all targets in turn")
    how_long.add_argument("--inputs", type=whole(1), help="so many for each target")
    how_long.add_argument("--times", type=whole(1), default=1, help="so many times as many as the tests feed")
    how_long.add_argument("--batch", type=whole(0), help="only this batch of the seed")
    how_long.add_argument("--replay", type=_kept, metavar="FILE", help="the inputs that are kept there")
    how_long.add_argument("--list", action="store_true", help="name the targets and end")
    parser.add_argument("--seed", type=int, default=1, help="other inputs (default: %(default)s)")
    parser.add_argument(
        "--workers", type=whole(1), default=os.cpu_count() or 1, help="processes (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="figures for programs")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return options
