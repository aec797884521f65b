"""One simulated site from its seed: `simulate(seed, hours, chargers)` lives it and says how it went.

Runs in any process: the outcome is plain data. A breach of an invariant ends the run at once; the outcome then has the
sentences and the last lines of the trace and of the log, and `Outcome.command` repeats the run.
"""

import shlex
import time
import traceback
from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.cloud import KINDS
from tests.simulation.faults import EVERYTHING
from tests.simulation.invariants import Moment, breaches
from tests.simulation.loop import SimLoop, Unhandled, run
from tests.simulation.site import SiteUnderTest
from tests.simulation.world import folder_in_memory

SHOWN_BREACHES = 5
SHOWN_LINES = 25


class Breached(Exception):
    """An invariant does not hold."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("\n".join(sentences[:SHOWN_BREACHES]))
        self.sentences = sentences


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went."""

    seed: int
    cloud: str
    trace: str
    """Hash of every byte that was delivered, and when."""
    virtual_hours: float
    cpu_seconds: float
    steps: int
    faults: Counter[str]
    figures: Counter[str]
    """Messages, sessions, lives, … by name."""
    breaches: list[str]
    """Sentences; none: all rules were kept."""
    report: str
    """When one was broken: the sentences, and the last lines of log and trace."""
    command: str
    """Repeats the run."""


def simulate(
    seed: int,
    hours: float = 24.0,
    chargers: int = 4,
    *,
    cloud: str | None = None,
    only: Collection[str] = EVERYTHING,
    intensity: float = 1.0,
) -> Outcome:
    """`cloud`: another kind than the seed says. `only` these faults, `intensity` times as often."""
    kind = next(one for one in KINDS if one.name == cloud) if cloud is not None else None
    began = time.process_time()
    found: list[str] = []
    lived: list[SiteUnderTest] = []

    with folder_in_memory() as folder, ExitStack() as stack:

        async def main(loop: SimLoop) -> None:
            site = SiteUnderTest(loop, folder, chargers, kind, only, intensity)
            lived.append(site)
            site.on_look, site.on_disk = _look, _look_at_disk
            stack.enter_context(site.chronicle.listening())
            try:
                await site.live(hours)
            finally:
                site.chronicle.is_over = True
            _raise(breaches(site, Moment.AT_REST))

        try:
            run(main, seed=seed)
        except* Breached as broken:
            found += _sentences(broken)
        except* Unhandled:
            found += breaches(lived[0], Moment.ALWAYS)
        except* Exception as failed:  # noqa: BLE001  # one run that fails must not cost the others theirs
            if not lived:
                raise  # nothing was begun that could be told of
            found.append(f"the simulation itself failed: {''.join(traceback.format_exception(failed))}")
    site = lived[0]
    command = f"tools/simulate --seed {seed} --hours {hours:g} --chargers {chargers}"
    command += "" if cloud is None else f" --cloud {cloud}"
    command += "" if intensity == 1.0 else f" --intensity {intensity:g}"
    command += "" if set(only) == set(EVERYTHING) else f" --faults {shlex.quote(','.join(sorted(only)))}"
    return Outcome(
        seed, site.kind.name, site.loop.trace.sha256(), site.loop.elapsed() / 3600, time.process_time() - began,
        site.loop.steps, site.faults.counts, _figures(site), found, _report(site, found), command,
    )  # fmt: skip


def _look(site: SiteUnderTest) -> None:
    _raise(breaches(site, Moment.ALWAYS))


def _look_at_disk(site: SiteUnderTest, path: Path) -> None:
    site.disk.look(path)
    site.loop.trace.note(f"on disk: {site.disk.digest().hex()}")
    _raise(breaches(site, Moment.ON_DISK, site.disk))


def _raise(found: Collection[str]) -> None:
    sentences = list(found)
    if sentences:
        raise Breached(sentences)


def _sentences(group: BaseExceptionGroup) -> list[str]:
    sentences: list[str] = []
    for error in group.exceptions:
        sentences += _sentences(error) if isinstance(error, BaseExceptionGroup) else error.sentences
    return sentences


def _figures(site: SiteUnderTest) -> Counter[str]:
    truth, said_by_daemon = site.truth, site.chronicle.events
    acknowledged = list(truth.acknowledged())
    parked, concluded = site.disk.parked_keys(), truth.concluded()
    return Counter(
        messages_acknowledged=len(acknowledged),
        messages_delivered=sum(bool(truth.processed(one)) for one in acknowledged),
        messages_parked=sum(one.key in parked and not truth.processed(one) for one in acknowledged),
        stops_after_ours=sum(
            one.action == "StopTransaction"
            and one.session.number in concluded
            and not truth.processed(one)
            and one.key not in parked
            for one in acknowledged
        ),
        messages_repeated_upstream=sum(len(got) - 1 for got in truth.arrived.values()),
        messages_shared_by_values=sum(len(one.keys) > 1 for one in truth.arrivals),
        sessions=len(truth.sessions),
        sessions_ended_by_us=len(concluded),
        watt_hours=sum(one.meter_stop_wh - one.meter_start_wh for one in truth.sessions if one.meter_stop_wh),
        commands=len(truth.orders),
        lives_of_the_daemon=site.controller.lives,
        lives_without_a_disk=said_by_daemon["control_only"],
        stores_opened_anew=said_by_daemon["store_reopened"],
        looks_at_the_disk=site.disk.looks,
        commits=site.controller.disk.syncs,
        pages_written=site.controller.disk.frames,
    )


def _report(site: SiteUnderTest, found: list[str]) -> str:
    if not found:
        return ""
    log, chunks = list(site.chronicle.recent)[-SHOWN_LINES:], site.loop.trace.recent()[-SHOWN_LINES:]
    return "\n".join([*found[:SHOWN_BREACHES], "last lines of the log:", *log, "last chunks:", *chunks])
