"""Chargers that lose their stops, keep them back, say them twice, mix up the order, and lie about time and registers.

Each story is made by chance, as lines of a script (`corpus.py`), and told to the unmodified daemon. Afterwards every
session is closed at the cloud by exactly one stop; its energy there is what the car has taken, to the watt-hour,
wherever the daemon calls it certain; and where it cannot know, it says so.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import pytest

from edge.chargers import endings, figures
from edge.domain import clocks, reconciliation, registers
from edge.domain.reconciliation import Step
from tests.wire.corpus import Script, Told, seconds, told

SEEDS = range(1, 16)
SESSIONS = 14
CONNECTORS = 2
CLOCKS = ("right", "right", "+1:00:00", "nozone+1:00:00", "-0:01:10")
"""The second and the third are local time; the site lies in Berlin, and it is winter."""
METERS = ("odometer", "odometer", "session", "unknown_at_stop", "unknown_at_start", "resets")
ENDS = ("stop", "stop", "stop", "stop_twice", "lost", "lost_in_silence", "withheld", "withheld_long", "available_first")


@dataclass
class Taken:
    """What is true of a session."""

    connector: int
    began: int
    ended: int
    wh: int = 0
    end: str = "stop"
    is_early: bool = False
    """Until a first session has ended, nobody knows whether a charger signs: nothing is put right."""


@dataclass
class Story:
    """`lines`: second, the order within it, text with `{S}` for the session's number, and which session."""

    clock: str
    meter: str
    lines: list[tuple[int, int, str, Taken | None]] = field(default_factory=list)
    sessions: list[Taken] = field(default_factory=list)

    def script(self) -> Script:
        """The sessions are numbered by their starts."""
        self.lines.sort(key=lambda line: line[:2])
        self.sessions.sort(key=lambda one: one.began)
        numbers = {id(one): number for number, one in enumerate(self.sessions, 1)}
        wire = [(float(at), text.replace("{S}", f"S{numbers.get(id(one), 0)}")) for at, _, text, one in self.lines]
        return Script("liar", "", tuple(wire), wire[-1][0] + 4 * 3600, {})


def a_story(seed: int) -> Story:
    chance = random.Random(seed)
    story = Story(CLOCKS[seed % len(CLOCKS)], METERS[seed % len(METERS)])
    order = count()
    story.lines += [(0, next(order), f"clock {story.clock}", None), (1, next(order), "boot", None)]
    story.lines.append((2, next(order), f"answers trigger={chance.choice(('status', 'refuse'))}", None))
    for connector in range(1, CONNECTORS + 1):
        _Outlet(story, chance, connector, order).live()
    known_from = min(one.ended for one in story.sessions)
    for one in story.sessions:
        one.is_early = one.began <= known_from
    return story


class _Outlet:
    """One connector, and the meter behind it."""

    def __init__(self, story: Story, chance: random.Random, connector: int, order: Iterator[int]) -> None:
        self.story, self.chance, self.connector, self.order = story, chance, connector, order
        self.register = 0 if story.meter == "session" else chance.randrange(5_000_000, 9_000_000)
        self.at = 600 * connector + chance.randrange(60)

    def say(self, text: str, one: Taken | None = None, at: int | None = None) -> None:
        self.story.lines.append((self.at if at is None else at, next(self.order), text, one))

    def live(self) -> None:
        for number in range(SESSIONS // CONNECTORS):
            end = "stop" if number == 0 else self.chance.choice(ENDS)
            if end == "lost_in_silence" and number == SESSIONS // CONNECTORS - 1:
                end = "lost"  # nothing would ever tell
            self._session(Taken(self.connector, self.at, 0, end=end))
            self.at += self.chance.randrange(7200, 14_400)

    def _session(self, one: Taken) -> None:
        self.story.sessions.append(one)
        if self.story.meter == "session":
            self.register = 0
        said = -1 if self.story.meter == "unknown_at_start" else self.register
        self.say(f"status {self.connector} Preparing")
        self.at += 5
        one.began = self.at
        self.say(f"start {self.connector} {said}", one)
        self.say(f"status {self.connector} Charging")
        for _ in range(self.chance.randrange(3, 9)):
            self._charge(one)
        one.ended = self.at
        self._end(one)

    def _charge(self, one: Taken) -> None:
        passed = self.chance.randrange(300, 900)
        self.at += passed
        taken = self.chance.choice((0, passed * 7_000 // 3600, passed * 7_000 // 3600))
        one.wh += taken
        self.register += taken
        if self.story.meter == "resets" and one.end == "stop" and self.chance.random() < 0.1:
            self.register = 0
        self.say(f"values {self.connector} {self.register}", one)

    def _end(self, one: Taken) -> None:
        self.at += 1
        if self.chance.random() < 0.5:  # what no value tells of
            passed = self.chance.randrange(60, 600)
            self.at, self.register = self.at + passed, self.register + passed * 2
            one.wh, one.ended = one.wh + passed * 2, self.at
        register = -1 if self.story.meter == "unknown_at_stop" else self.register
        stop, free = f"stop {register} Local tx={{S}}", f"status {self.connector} Available"
        match one.end:
            case "stop" | "stop_twice":
                for _ in range(1 if one.end == "stop" else 2):
                    self.say(stop, one)
                self.say(free)
            case "available_first":
                self.say(free)
                self.say(stop, one)
            case "lost":
                self.say(free)
            case "lost_in_silence":
                pass  # the next start is the first that tells of it
            case _:
                self.say(free)
                late = self.chance.randrange(*((60, 1000) if one.end == "withheld" else (2400, 5000)))
                self.say(f"{stop} at={_clock(self.at)}", one, self.at + late)


def _clock(at: int) -> str:
    return f"{at // 3600}:{at // 60 % 60:02}:{at % 60:02}"


# --- what must hold


def wrong(story: Story, found: Told) -> Iterator[str]:
    starts = {
        answer["transactionId"]: payload for action, payload, answer in found.received if action == "StartTransaction"
    }
    stops: dict[int, list[dict]] = {}
    for action, payload, _ in found.received:
        if action == "StopTransaction":
            stops.setdefault(payload["transactionId"], []).append(payload)
    if len(found.details) != len(story.sessions):
        yield f"{len(found.details)} sessions, {len(story.sessions)} were true"
    for detail, one in zip(found.details, story.sessions, strict=False):
        name, sent = detail["session"], stops.get(detail["csms_transaction_id"], [])
        if detail["state"] != "ended" or detail["delivery"]["state"] != "delivered" or len(sent) != 1:
            yield f"{name} ({one.end}) is {detail['state']}, {detail['delivery']}, the cloud has the stops {sent}"
            continue
        start = starts[detail["csms_transaction_id"]]
        is_bound = story.meter != "unknown_at_start"
        yield from _energy(name, one, detail, sent[0]["meterStop"] - start["meterStart"], is_bound=is_bound)
        if not one.is_early:
            yield from _times(name, one, found, story.clock, start["timestamp"], sent[0]["timestamp"])
    yield from found.violations


def _energy(name: str, one: Taken, detail: dict, sent_wh: int, *, is_bound: bool) -> Iterator[str]:
    """`is_bound`: what is billed without a stop is no more than was taken; of a start without a register nobody can say so."""
    how = detail["energy"]
    if sent_wh != detail["energy_wh"]:
        yield f"{name}: the cloud has {sent_wh} Wh, the technician is told {detail['energy_wh']} Wh"
    if how["certain"] and sent_wh != one.wh:
        yield f"{name} ({one.end}): {sent_wh} Wh called certain, {one.wh} Wh are true"
    if not how["certain"] and not how["why_not"]:
        yield f"{name}: not certain, and nobody says why"
    if is_bound and not how["certain"] and one.end in ("lost", "lost_in_silence", "withheld_long") and sent_wh > one.wh:
        yield f"{name} ({one.end}): {sent_wh} Wh are billed, {one.wh} Wh were taken"


def _times(name: str, one: Taken, found: Told, clock: str, began: str, ended: str) -> Iterator[str]:
    """Local time is put right; a clock that goes wrong by a minute is left as it is."""
    off = -70 if clock == "-0:01:10" else 0
    for what, said, true in (("began", began, one.began), ("ended", ended, one.ended)):
        if what == "ended" and one.end == "lost_in_silence":
            continue
        wrong_by = _since(found, said) - true - off
        if abs(wrong_by) > 80 + (15 if off else 0):
            yield f"{name} ({one.end}) {what} at {said}, {wrong_by:.0f} s beside the truth"


def _since(found: Told, said: str) -> float:
    at = datetime.fromisoformat(said)
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - found.began_at).total_seconds()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_session_closes_with_what_the_car_has_taken_or_says_that_nobody_knows(seed: int) -> None:
    story = a_story(seed)
    assert list(wrong(story, told(story.script()))) == []


def test_the_stories_tell_of_everything() -> None:
    stories = [a_story(seed) for seed in SEEDS]
    assert {one.clock for one in stories} == set(CLOCKS)
    assert {one.meter for one in stories} == set(METERS)
    assert {one.end for story in stories for one in story.sessions} == set(ENDS)
    assert seconds(_clock(3661)) == 3661


def believe_each_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_is_odd", lambda *_: False)


def be_sure_without_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    of_unfinished = registers.of_unfinished
    monkeypatch.setattr(registers, "of_unfinished", lambda *args: replace(of_unfinished(*args), why_not=None))


def leave_times_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "moved_by", lambda *_: None)


def hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "late_stop", lambda *_: None)
    monkeypatch.setattr(reconciliation, "next_step", lambda *_, **__: Step.WAIT)


@pytest.mark.parametrize(
    ("mutation", "seed", "breach"),
    [
        (believe_each_register, 17, "called certain"),
        (be_sure_without_a_stop, 2, "called certain"),
        (leave_times_alone, 7, "beside the truth"),
        (hold_nothing, 4, "is open"),
    ],
)
def test_it_goes_red_when_the_daemon_believes_too_much(
    monkeypatch: pytest.MonkeyPatch, mutation: Callable[[pytest.MonkeyPatch], None], seed: int, breach: str
) -> None:
    mutation(monkeypatch)
    story = a_story(seed)
    assert any(breach in one for one in wrong(story, told(story.script())))
