"""Runs the parts one after the other and prints what they found.

Exit codes: 0 all parts ran, whatever they found · 1 a part could not be measured · 2 wrong usage · 130 Ctrl-C.
A goal that is missed is a finding and no failure: what a machine shared with others says must not stop anybody.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from amounts import whole

from benchmarks import machine, paper
from benchmarks.findings import Findings
from benchmarks.parts import PARTS
from benchmarks.processes import BenchFailed
from benchmarks.running import Run
from benchmarks.site import temporary

DONE, FAILED = 0, 1
QUICK_ROUNDS, ROUNDS = 2, 5


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if options.list:
        for name, part in PARTS.items():
            print(f"{name:<16}{part.what}")
        return DONE
    folder = temporary(options.data)
    try:
        return _bench(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures this controller beside what else could do its work, in interleaved rounds, and prints "
        "the goals as ratios with their medians and spreads. The whole of it takes about a quarter of an hour; let "
        "nothing else run meanwhile.",
        epilog="exit codes: 0 everything was measured, whatever was found; 1 a part could not be measured",
    )
    parser.add_argument("--quick", action="store_true", help="smallest sizes: shows in some minutes that it runs")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME", help="this part; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    parser.add_argument("--rounds", type=whole(1), metavar="N", help=f"interleaved rounds (default {ROUNDS})")
    parser.add_argument("--whole-corpus", action="store_true", help="verdicts: 179,000 payloads (a minute or more)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="measure on this disk (default /var/tmp)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the findings into this page")
    options = parser.parse_args(arguments)
    if options.write is not None and options.only:
        parser.error("--write puts everything that was measured into the page: not with --only")
    if options.write is not None:
        paper.require_page(parser, options.write)
    if options.data is not None and not (options.data.is_dir() and os.access(options.data, os.W_OK | os.X_OK)):
        parser.error(f"--data: {options.data} is no folder that can be written to")
    return options


def _bench(options: argparse.Namespace, folder: Path) -> int:
    progress = _Progress()
    about = machine.about(folder)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    found: dict[str, Findings] = {}
    failed: dict[str, str] = {}
    began = time.perf_counter()
    for name in options.only or PARTS:
        progress.part = name
        progress.tell("begins")
        place = folder / name
        place.mkdir()
        run = Run(place, rounds, options.quick, options.whole_corpus, progress.tell)
        try:
            found[name] = PARTS[name].measure(run)
        except BenchFailed as error:
            failed[name] = str(error)
        shutil.rmtree(place, ignore_errors=True)
    progress.clear()
    about["Run"] = f"{rounds} rounds, {(time.perf_counter() - began) / 60:.0f} minutes"
    if machine.is_in_memory(folder):
        about["Attention"] = "the folder is in memory: what waits for the disk says nothing; use --data"
    _show(options, about, found, failed)
    return FAILED if failed else DONE


def _show(
    options: argparse.Namespace, about: dict[str, str], found: dict[str, Findings], failed: dict[str, str]
) -> None:
    if options.json:
        print(paper.as_json(found, about, is_quick=options.quick))
    else:
        for name, what in about.items():
            print(f"{name:<11}{what}"[: paper.WIDTH])
        if options.quick:
            print("Quick: the sizes are too small to judge by.")
        print()
        goals = sorted((goal for one in found.values() for goal in one.goals), key=paper.by_number)
        print("\n".join(paper.goals(goals)))
        for name, one in found.items():
            print(f"\n{name}")
            print("\n".join(paper.figures(one.figures)))
            for remark in one.remarks:
                print("\n".join(paper.remark(remark)))
    for name, why in failed.items():
        print(f"tools/bench: {name} could not be measured: {why}", file=sys.stderr)
    if options.write is not None and failed:
        print(f"tools/bench: {options.write} is as it was: not everything was measured", file=sys.stderr)
    elif options.write is not None:
        paper.write(options.write, paper.markdown(found, about))


class _Progress:
    """One line that changes, on a terminal; nothing where nobody looks."""

    def __init__(self) -> None:
        self._is_seen = sys.stderr.isatty()
        self._began = time.perf_counter()
        self.part = ""

    def tell(self, line: str) -> None:
        if self._is_seen:
            minutes, seconds = divmod(int(time.perf_counter() - self._began), 60)
            sys.stderr.write(f"\r\x1b[K{minutes}:{seconds:02d} {self.part}: {line}"[: paper.WIDTH])
            sys.stderr.flush()

    def clear(self) -> None:
        if self._is_seen:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
