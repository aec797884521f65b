"""The program behind `tools/crash`: runs a plan of the proof, says how far it is, and prints what came of it.

Exit codes: 0 nothing was lost and nothing was wrong · 1 something was · 2 wrong usage, or no strace here · 130 Ctrl-C.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

from amounts import whole

from tests.crash import strace
from tests.crash.bites import BITES, Bite
from tests.crash.figures import Figures, total
from tests.crash.proof import CI, FULL, GOALS, Job, What, document, plan, quiet
from tests.crash.replay import replay_again
from tests.crash.stories import STORIES
from tests.side_by_side import side_by_side

CLEAN, WRONG, CANNOT = 0, 1, 2
AMOUNTS = "images", "kills", "failures"
SHOWN_EXAMPLES, SHOWN_CHARACTERS = 3, 300


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    jobs, bites = options.jobs, options.bites
    if options.list:
        _say("\n".join(str(one) for one in (*jobs, *bites)))
        return CLEAN
    if options.again is not None:
        return _again(options.again)
    why_not = strace.why_not()
    if why_not is not None:
        sys.stderr.write(f"tools/crash: nothing can be proven here: {why_not}\n")
        return CANNOT
    began = time.perf_counter()
    progress = _Progress(len(jobs) + len(bites))
    found: dict[Any, Figures] = {}
    with closing(side_by_side(methodcaller("run"), [*jobs, *bites], options.processes, quiet)) as done:
        for one, future in done:
            found[one] = _outcome(future.result)
            progress.tell(one, found[one])
    progress.clear()
    proven = {job: found[job] for job in jobs}
    bitten = {bite: found[bite] for bite in bites}
    wrong = {one: figures for one, figures in found.items() if _is_wrong(one, figures)}
    seconds = time.perf_counter() - began
    if options.json:
        about = {"seconds": round(seconds, 1), "processes": options.processes, "goals": vars(GOALS)}
        _say(json.dumps({**document(proven), **about, "bites": [_bite(*one) for one in bitten.items()]}, indent=1))
    else:
        _show(proven, bitten, seconds)
    for one, figures in wrong.items():
        sys.stderr.write(_told_again(options, one, figures))
    return WRONG if wrong else CLEAN


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/crash",
        description="Power cuts, kills and a failing disk against the real daemon, from one recorded call of the kernel "
        "to the next. Without options: what is run with each change, about six minutes on two cores.",
        epilog="exit codes: 0 nothing was lost and nothing was wrong; 1 something was; 2 wrong usage, or no strace here",
    )
    parser.add_argument("--full", action="store_true", help=f"ten times as much: {FULL.images:,} images")
    for name, what in zip(AMOUNTS, ("after power cuts", "calls at which it is killed", "calls that fail"), strict=True):
        parser.add_argument(f"--{name}", type=whole(0), metavar="N", help=f"{what} (default: {getattr(CI, name):,})")
    parser.add_argument("--story", action="append", choices=STORIES, metavar="NAME", help="this one; may be repeated")
    parser.add_argument("--only", default="", metavar="TEXT", help="only parts with this in their names, see --list")
    parser.add_argument("--no-bites", action="store_true", help="leave out the daemons that are broken on purpose")
    parser.add_argument(
        "--again", type=_recording, metavar="FILE", help="only replay this recording, kept because something was wrong"
    )
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    parser.add_argument(
        "--processes", type=whole(1), default=os.cpu_count() or 1, help="side by side (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(arguments)
    options.jobs, options.bites = _chosen(options)
    if not options.jobs and not options.bites:
        parser.error("nothing is left to be run: --list names the parts, and --only must be in a name")
    return options


def _recording(written: str) -> Path:
    path = Path(written)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {written!r}")
    return path


def _again(recording: Path) -> int:
    quiet()
    figures = replay_again(recording)
    _say(str(figures))
    sys.stderr.write(_examples(figures))
    return CLEAN if figures.is_clean else WRONG


def _chosen(options: argparse.Namespace) -> tuple[list[Job], list[Bite]]:
    given = {name: getattr(options, name) for name in AMOUNTS}
    wanted = replace(FULL if options.full else CI, **{name: it for name, it in given.items() if it is not None})
    jobs = [job for job in plan(wanted, options.story or STORIES) if options.only in str(job)]
    bites = [] if options.no_bites or options.story else [bite for bite in BITES if options.only in str(bite)]
    return jobs, bites


def _outcome(result: Callable[[], Figures]) -> Figures:
    try:
        return result()
    except Exception as error:  # noqa: BLE001 - one part that fails leaves the others their word
        figures = Figures()
        figures.complain("could not be proven", f"{type(error).__name__}: {error}")
        return figures


def _show(proven: dict[Job, Figures], bitten: dict[Bite, Figures], seconds: float) -> None:
    for what in What:
        found = {job: figures for job, figures in proven.items() if job.what is what}
        if found:
            _say(f"{what}: {total(found.values())}\n")
    for bite, figures in bitten.items():
        told = f"found out after {figures.cases} cases" if bite.bites(figures) else "NOT FOUND OUT"
        _say(f"{told}: {bite} {sorted(bite.found(figures))}")
    every = total(proven.values())
    _say(
        f"\n{seconds / 60:.1f} minutes: {every.acknowledged:,} messages acknowledged, {every.lost} lost, "
        f"{every.corrupt} damaged, {every.by_half} by half, {sum(every.wrong.values())} things wrong in all"
    )


def _told_again(options: argparse.Namespace, one: Job | Bite, figures: Figures) -> str:
    """What is wrong with it, and the command that runs it again: parts are cut by how much there is of everything."""
    words = ["tools/crash", *(["--no-bites"] if isinstance(one, Job) else []), *(["--full"] if options.full else [])]
    for name in AMOUNTS:
        given = getattr(options, name)
        words += [] if given is None else [f"--{name}", str(given)]
    for story in options.story or []:
        words += ["--story", story]
    return f"{one} IS WRONG\n{_examples(figures)}again: {shlex.join([*words, '--only', str(one)])}\n"


def _examples(figures: Figures) -> str:
    """A line for each."""
    shown = (" ".join(example.split())[:SHOWN_CHARACTERS] for example in figures.examples[:SHOWN_EXAMPLES])
    return "".join(f"  {example}\n" for example in shown)


def _is_wrong(one: Job | Bite, figures: Figures) -> bool:
    return not (figures.is_clean if isinstance(one, Job) else one.bites(figures))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _bite(bite: Bite, figures: Figures) -> dict[str, Any]:
    return {
        "mutation": bite.variant,
        "by": str(bite.what),
        "scenario": bite.story,
        "is_found_out": bite.bites(figures),
        "after_cases": figures.cases,
        "complaints": sorted(bite.found(figures)),
    }


class _Progress:
    """On a terminal one line that changes; else a line for each part that is done."""

    def __init__(self, parts: int) -> None:
        self._parts, self._done, self._cases, self._wrong = parts, 0, 0, 0
        self._began = time.perf_counter()

    def tell(self, one: Job | Bite, figures: Figures) -> None:
        self._done += 1
        self._cases += figures.cases
        is_wrong = _is_wrong(one, figures)
        self._wrong += is_wrong
        minutes, seconds = divmod(int(time.perf_counter() - self._began), 60)
        line = (
            f"{minutes}:{seconds:02d}  {self._done} of {self._parts} parts, {self._cases:,} cases, {self._wrong} wrong: "
            f"{one}{' IS WRONG' if is_wrong else ''}"
        )
        begin, end = ("\r\x1b[K", "\n" if is_wrong else "") if sys.stderr.isatty() else ("", "\n")
        sys.stderr.write(f"{begin}{line[:118]}{end}")
        if is_wrong:  # nobody has to wait for the end of a long run to know why
            sys.stderr.write(_examples(figures))
        sys.stderr.flush()

    def clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
