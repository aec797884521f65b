"""The program behind `tools/simulate`: lives simulated sites, says how far it is, and prints what came of it.

Exit codes: 0 every rule was kept · 1 one was broken · 2 wrong usage · 130 Ctrl-C.
"""

import argparse
import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path

from amounts import positive, whole
from simulation.keeping import Kept, UnknownCode

from tests.simulation.cloud import KINDS
from tests.simulation.faults import EVERYTHING
from tests.simulation.many import Total, outcomes
from tests.simulation.plan import Run, runs
from tests.simulation.simulate import Outcome

WRONG_USAGE = 2
LINES_EVERY = 10
"""Runs, where progress is not shown on a terminal."""
OF_EACH_RUN = "hours", "chargers", "cloud", "intensity", "faults"


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    chosen = _chosen(options)
    total = Total()
    try:
        kept = None if options.keep is None else Kept(options.keep)
    except (UnknownCode, OSError) as error:
        print(f"tools/simulate: --keep {options.keep}: {error}", file=sys.stderr)
        return WRONG_USAGE
    is_told_in_full = options.verbose or len(chosen) == 1

    def take(outcome: Outcome) -> None:
        total.add(outcome)
        if outcome.breaches:
            _tell(outcome, is_told_in_full)
        if options.trace:
            print(outcome.seed, outcome.trace)

    for outcome in [] if kept is None else kept.lived(chosen):
        take(outcome)
    if total.runs:
        print(f"{total.line(len(chosen))}, from {options.keep}", file=sys.stderr, flush=True)
    with closing(outcomes(chosen if kept is None else kept.left(chosen), options.workers)) as lived:
        for run, outcome in lived:
            if kept is not None:
                kept.keep(run, outcome)
            take(outcome)
            end = "" if sys.stderr.isatty() else "\n"
            if sys.stderr.isatty() or total.runs % LINES_EVERY == 0:
                print(f"\r{total.line(len(chosen))}"[len(end) :], end=end, file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if options.json:
        print(json.dumps(total.document() | ({} if kept is None else {"minutes": kept.minutes}), indent=2))
    elif not options.trace:
        print("\n".join(total.table()))
    return 1 if total.broken else 0


def _chosen(options: argparse.Namespace) -> list[Run]:
    if options.times is not None:
        return runs(options.times)
    seeds = options.seeds if options.seed is None else [options.seed]
    return [
        Run(seed, options.hours, options.chargers, options.cloud, options.faults, options.intensity) for seed in seeds
    ]


def _tell(outcome: Outcome, verbose: bool) -> None:
    """A run that went wrong, and how to see it again."""
    lines = [
        f"\nseed {outcome.seed} ({outcome.cloud} cloud), {outcome.virtual_hours:.2f} h after the start:",
        *([outcome.report] if verbose else outcome.breaches[:3]),
        f"again: {outcome.command}\n",
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _seeds(written: str) -> range:
    found = re.fullmatch(r"(\d+)(?:(?:\.\.|-)(\d+))?", written)
    seeds = range(int(found[1]), int(found[2] or found[1]) + 1) if found is not None else range(0)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{written!r}, but it must be FIRST..LAST, such as 1..50")
    return seeds


def _faults(written: str) -> list[str]:
    names = [name for name in written.split(",") if name]
    unknown = [name for name in names if name not in EVERYTHING]
    if unknown:
        raise argparse.ArgumentTypeError(f"no fault is named {', '.join(unknown)}; there are {', '.join(EVERYTHING)}")
    return names


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/simulate",
        description="Simulated sites around the unmodified daemon, under faults, on virtual time. Exit code 1: a rule "
        "was broken; what is printed then says which, and repeats the run.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="one run, with its trace when it goes wrong")
    which.add_argument("--seeds", type=_seeds, default="1..10", metavar="FIRST..LAST", help="default: %(default)s")
    which.add_argument("--times", type=whole(1), help="the runs of the tests, so many times as many")
    parser.add_argument("--hours", type=positive, default=24.0, help="virtual hours of each run (default: %(default)g)")
    parser.add_argument("--chargers", type=whole(1), default=4, help="default: %(default)s")
    parser.add_argument("--cloud", choices=[kind.name for kind in KINDS], help="instead of what the seed says")
    parser.add_argument("--intensity", type=positive, default=1.0, help="so many times as many faults")
    parser.add_argument(
        "--faults", type=_faults, default=EVERYTHING, metavar="NAME,…", help=f"only these: {', '.join(EVERYTHING)}"
    )
    parser.add_argument(
        "--workers", type=whole(1), default=os.cpu_count() or 1, help="processes (default: %(default)s)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--trace", action="store_true", help="print each run's hash and nothing else")
    how.add_argument("--json", action="store_true", help="print what came of it as JSON")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="what was lived; begun again, it goes on with what is left"
    )
    parser.add_argument("--verbose", action="store_true", help="the last lines of log and trace of each broken run")
    options = parser.parse_args(arguments)
    given = [name for name in OF_EACH_RUN if getattr(options, name) != parser.get_default(name)]
    if options.times is not None and given:
        parser.error(
            f"--times: the runs of the tests have {', '.join(OF_EACH_RUN)} of their own: not with --{given[0]}"
        )
    return options
