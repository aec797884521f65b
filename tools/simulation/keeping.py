"""Runs that were lived before, by this very code: a proof of hours may be broken off and goes on where it was.

One line of JSON a run. What decides how a run goes is the run itself and the code it is of: the daemon, the simulation,
the simulated parties and the locked packages. Lines of other code are left where they are, and not looked at.
"""

import json
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from tests.simulation.plan import Run
from tests.simulation.simulate import Outcome

ROOT = Path(__file__).resolve().parents[2]
DECIDES = (
    "edge",
    "tests/simulation",
    "tests/scenarios/apart.py",
    "tests/store/givens.py",
    "tools/simulators",
    "requirements-test.lock",
)


class UnknownCode(Exception):
    """What has been lived can only be kept when git knows the code, and nothing of it has been changed since."""


class Kept:
    def __init__(self, file: Path) -> None:
        """Raises UnknownCode or OSError."""
        self._file = file
        self._code = _code()
        self._began = time.monotonic()  # noqa: TID251 - nothing here is simulated
        self._seconds_before = 0.0
        self._lived: dict[str, Outcome] = {}
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for line in text.splitlines():
            self._read(line)
        if text and not text.endswith("\n"):
            with file.open("a", encoding="utf-8") as broken_off:
                broken_off.write("\n")  # the next line must not go on with it

    def _read(self, line: str) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            return  # it was being written when somebody ended us
        if found["code"] == self._code:
            outcome = found["outcome"]
            counted = {name: Counter(outcome[name]) for name in ("faults", "figures")}
            self._lived[found["run"]] = Outcome(**outcome | counted)
            self._seconds_before += found["seconds"]

    def lived(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        """Those of the runs that need not be lived again."""
        return (self._lived[_name(run)] for run in runs if _name(run) in self._lived)

    def left(self, runs: Sequence[Run]) -> list[Run]:
        return [run for run in runs if _name(run) not in self._lived]

    def keep(self, run: Run, outcome: Outcome) -> None:
        now = time.monotonic()  # noqa: TID251
        record = {"code": self._code, "run": _name(run), "seconds": now - self._began, "outcome": _plain(outcome)}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._seconds_before += now - self._began
        self._began = now

    @property
    def minutes(self) -> float:
        """That all kept runs of this code took together."""
        return self._seconds_before / 60


def _plain(outcome: Outcome) -> dict[str, object]:
    return {field.name: getattr(outcome, field.name) for field in fields(outcome)}  # `asdict` cannot copy a Counter


def _name(run: Run) -> str:
    return repr((run.seed, run.hours, run.chargers, run.cloud, sorted(run.only), run.intensity))


def _code() -> str:
    try:
        changed = _git("status", "--porcelain", "--", *DECIDES)
        trees = _git("rev-parse", *(f"HEAD:{path}" for path in DECIDES))
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnknownCode(f"git does not say which code this is: {error}") from error
    if changed:
        raise UnknownCode(f"the code has been changed since the last commit: {changed.split()[1]}")
    return f"{platform.python_version()} {' '.join(tree[:12] for tree in trees.split())}"


def _git(*words: str) -> str:
    return subprocess.run(("git", *words), cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
