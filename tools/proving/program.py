"""The program behind `tools/prove`: runs the three proofs one after the other, and prints what they come to.

Exit codes: 0 all that is promised was kept, and there was as much of everything as there must be · 1 not so ·
2 wrong usage, or a proof could not be run here · 130 Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import paper
from benchmarks.machine import about
from proving import evidence
from proving.evidence import Document, Line

ROOT = Path(__file__).resolve().parents[2]
KEPT, BROKEN, CANNOT = 0, 1, 2
FULL = 10
LEAVES_WITHIN = 5.0


class CannotProve(Exception):
    """A proof did not run to its end."""


@dataclass
class Part:
    """What one tool has said."""

    name: str
    lines: list[Line]
    classes: list[tuple[str, int]] = field(default_factory=list)
    minutes: float = 0.0
    run: str = ""
    """At which state of the code, when, and where."""


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    times = FULL if options.full else 1
    try:
        parts = [_kept_or_proven(name, times, options.keep) for name in (options.only or PROOFS)]
    except (CannotProve, OSError) as error:
        sys.stderr.write(f"tools/prove: {error}\n")
        return CANNOT
    for part in parts:
        sys.stdout.write("\n".join(_table(part)) + "\n\n")
    is_kept = all(line.is_met for part in parts for line in part.lines)
    minutes = sum(part.minutes for part in parts)
    sys.stdout.write(f"{'kept' if is_kept else 'NOT KEPT'}, {minutes:.0f} minutes\n")
    if options.write is not None:
        for name, part in zip(options.only or PROOFS, parts, strict=True):
            paper.write(options.write, _page(part), name)
    return KEPT if is_kept else BROKEN


def _simulation(times: int, folder: Path | None) -> Part:
    kept = [] if folder is None else ["--keep", str(folder / "sites.jsonl")]
    said = _said("simulate", "--times", str(times), *kept)
    lines, classes = evidence.simulation(said, times), evidence.fault_classes(said)
    return Part("Simulated sites", lines, classes, said.get("minutes", 0.0))


def _crashes(times: int, _: Path | None) -> Part:
    said = _said("crash", *(["--full"] if times > 1 else []))
    return Part("Power cuts, kills, a failing disk", evidence.crashes(said, times), evidence.crash_classes(said))


def _hostile(times: int, _: Path | None) -> Part:
    said = _said("fuzz", "--times", str(times))
    return Part("Hostile input", evidence.hostile(said, times), evidence.fuzz_targets(said))


PROOFS = {"simulation": _simulation, "crashes": _crashes, "hostile": _hostile}


def _kept_or_proven(name: str, times: int, folder: Path | None) -> Part:
    """From `--keep`, if this proof was run with as much of this very code; else it is run, and kept."""
    if folder is None:
        return _prove(name, times, None)
    folder.mkdir(exist_ok=True)
    code = _code()
    file, of = folder / f"{name}.json", {"times": times, "code": code}
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["of"] == of and not code.endswith("-dirty"):
            sys.stderr.write(f"{name}: was run before, from {file}\n")
            lines = [Line(**line) for line in kept["part"].pop("lines")]
            return Part(lines=lines, **kept["part"])
    part = _prove(name, times, folder.resolve())
    file.write_text(json.dumps({"of": of, "part": asdict(part)}, indent=1), encoding="utf-8")
    return part


def _code() -> str:
    """Which state of the code it is, in git's words. Raises CannotProve when git does not say."""
    words = ("git", "describe", "--always", "--dirty", "--abbrev=12")
    try:
        return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotProve(f"--keep needs to know the state of the code: {error}") from error


def _prove(name: str, times: int, folder: Path | None) -> Part:
    """`folder`: where a proof may keep what it has found before its end."""
    began = time.monotonic()  # noqa: TID251 - nothing here is simulated
    part = PROOFS[name](times, folder)
    part.minutes = part.minutes or (time.monotonic() - began) / 60  # noqa: TID251
    part.run = _run(part.minutes)
    return part


def _run(minutes: float) -> str:
    """Of which code, when, for how long and where."""
    try:
        code = f"at {_code()}, "
    except CannotProve:
        code = ""
    machine, today = about(ROOT), time.strftime("%Y-%m-%d", time.gmtime())
    where = ", ".join(machine[name] for name in ("Processor", "System", "Python"))
    return f"{code}{today}, {minutes:.0f} minutes on {where}"


def _said(tool: str, *arguments: str) -> Document:
    """What the tool prints for programs; its progress goes on to whoever watches."""
    command = [str(ROOT / "tools" / tool), *arguments, "--json"]
    sys.stderr.write(f"{' '.join(['tools/' + tool, *arguments])}\n")
    # In a session of its own: Ctrl-C is for us, who tell it once and wait until it has ended what it began. As it hears
    # of nothing else either, what would end us without a word counts as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as running:
        try:
            said = running.stdout.read()
            running.wait()
        except BaseException:
            running.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(LEAVES_WITHIN)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            raise
    try:
        document: Document = json.loads(said)
    except ValueError:
        raise CannotProve(f"{tool} ended with exit code {running.returncode} and no figures") from None
    return document


def _table(part: Part) -> list[str]:
    lines = [f"{part.name}, {part.minutes:.0f} minutes"]
    lines += [
        f"  {one.what:<52}{one.figure:>12,.0f}  {one.wanted:<11}{'' if one.is_met else '!'}".rstrip()
        for one in part.lines
    ]
    return lines


def _page(part: Part) -> str:
    lines = [f"Run {part.run}.", "", "| | Found | Goal | |", "|---|---|---|---|"]
    lines += [
        f"| {one.what} | {one.figure:,.0f} | {one.wanted} | {'met' if one.is_met else '**missed**'} |"
        for one in part.lines
    ]
    lines += ["", "| Each | Times |", "|---|---|", *(f"| {what} | {count:,} |" for what, count in part.classes)]
    return "\n".join(lines)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/prove",
        description="Everything that is promised, put to the proof: simulated sites under faults, power cuts, kills "
        "and a failing disk, hostile input. As much as the tests take, about a quarter of an hour on two cores.",
        epilog="exit codes: 0 all was kept; 1 something was not; 2 wrong usage, or a proof could not be run here",
    )
    parser.add_argument("--full", action="store_true", help=f"{FULL} times as much; some hours")
    parser.add_argument("--only", action="append", choices=PROOFS, metavar="NAME", help=f"of {', '.join(PROOFS)}")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="what each of them has found; one that is there is not run again"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures between the marks of this page")
    options = parser.parse_args(arguments)
    if options.write is not None:
        paper.require_page(parser, options.write, options.only or PROOFS)
    return options
