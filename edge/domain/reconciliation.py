"""Evidence that a session has ended although its stop never came: what is concluded from it, and when (E.9).

A session without a doubt is simply open. Evidence puts it in *doubt*; signs of life take the doubt away again. When a
doubt has stood for its time, and the charger was asked (`Step.ASK`), the session is *concluded*: people see it as
ended, but the CSMS hears nothing for a while, so that the real stop can still come and is then the only one
(`Step.SEND` ends that). `edge/chargers/endings.py` stores what these functions say, `edge/chargers/reconciler.py` lets
the time pass.

Never evidence, for however long: a meter that stands still, a charger that says nothing, a charger that is away.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum, StrEnum, auto

from edge.domain.events import AVAILABLE, WHILE_CHARGING
from edge.jsontypes import JsonValue


class Evidence(StrEnum):
    """What speaks for an end, the weakest first: a stronger one takes the place of a weaker one."""

    RIVAL = "rival"
    """Two sessions are open on one connector, and nobody can say which of them goes on."""
    SAID_BEFORE = "said_before"
    """Its connector was said to be free at a time before it began: an old message, or a clock that was set back."""
    STOP_REFUSED = "stop_refused"
    """The charger refused a remote stop: it may not know the transaction any more."""
    BOOT = "boot"
    """It has booted: many lose their sessions by that, some go on with them."""
    STOP_PROMISED = "stop_promised"
    """It accepted a remote stop."""
    FINISHING = "finishing"
    """1.6 §4.9: the transaction has stopped, the cable is still in. Some say so when a car is plugged in."""
    PREPARING = "preparing"
    """The connector waits for a driver."""
    UNAVAILABLE = "unavailable"
    """1.6 §5.2: becomes so only when no transaction is going on."""
    AVAILABLE = "available"
    """The cable is out; so with Reserved."""
    FOLLOWED = "followed"
    """Another session of its connector draws energy: its own stop may still come from the charger's queue."""
    REPLACED = "replaced"
    """Another box stands in its charger's place."""
    NEXT_START = "next_start"
    """Another session has begun on the connector: this one has ended, certainly."""

    @property
    def is_enough(self) -> bool:
        """Without a status of the connector the others only are a reason to ask for one."""
        return self not in {Evidence.RIVAL, Evidence.SAID_BEFORE, Evidence.STOP_REFUSED, Evidence.BOOT}

    @property
    def is_certain(self) -> bool:
        return self is Evidence.NEXT_START

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS: Mapping[Evidence, str] = {
    Evidence.RIVAL: "another session is open on its connector",
    Evidence.SAID_BEFORE: "its connector was free, perhaps before it began",
    Evidence.STOP_REFUSED: "the charger refused to stop it",
    Evidence.BOOT: "the charger has booted",
    Evidence.STOP_PROMISED: "the charger had accepted to stop it",
    Evidence.FINISHING: "its connector said Finishing",
    Evidence.PREPARING: "its connector waits for the next driver",
    Evidence.UNAVAILABLE: "its connector said Unavailable",
    Evidence.AVAILABLE: "its connector is free",
    Evidence.FOLLOWED: "another session of its connector draws energy",
    Evidence.REPLACED: "another box stands in its charger's place",
    Evidence.NEXT_START: "another session has begun on its connector",
}
_RANK = {evidence: rank for rank, evidence in enumerate(Evidence)}
OF_STATUS: Mapping[str, Evidence] = {
    AVAILABLE: Evidence.AVAILABLE,
    "Reserved": Evidence.AVAILABLE,
    "Unavailable": Evidence.UNAVAILABLE,
    "Preparing": Evidence.PREPARING,
    "Finishing": Evidence.FINISHING,
}
RISES_BY_WH = 20
"""More than a contactor lets through, and a meter shows, after the end (ocpp-rules.md J.2, 59)."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a session may have ended."""

    evidence: Evidence
    seq: int
    """The row of the journal that says so."""
    at_ms: int
    """When the first evidence was, by our clock: it may be earlier than `seq`."""
    has_booted: bool = False
    """The charger has booted since the session was heard of last."""
    has_rivals: bool = False
    """Another session was open on its connector."""
    first_wh: int | None = None
    """Register of the first values after that. They may have been taken at the very end: no sign of life yet."""
    first_ms: int | None = None
    """When these came."""
    concluded_ms: int | None = None
    """Since when people are told that it has ended."""

    @property
    def is_concluded(self) -> bool:
        return self.concluded_ms is not None


def as_json(doubt: Doubt) -> dict[str, JsonValue]:
    return asdict(doubt)


def from_json(found: Mapping[str, JsonValue]) -> Doubt | None:
    """What `as_json` wrote; None when it is not that."""
    try:
        return Doubt(**{**found, "evidence": Evidence(str(found["evidence"]))})  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError):
        return None


# --- what changes a doubt


def after(doubt: Doubt | None, evidence: Evidence, seq: int, at_ms: int) -> Doubt:
    """With this evidence. The end was when the first of it was seen."""
    if doubt is None:
        is_rival = evidence is Evidence.RIVAL
        return Doubt(evidence, seq, at_ms, has_booted=evidence is Evidence.BOOT, has_rivals=is_rival)
    if evidence is Evidence.BOOT:
        doubt = replace(doubt, has_booted=True)
    if evidence is Evidence.RIVAL:
        doubt = replace(doubt, has_rivals=True)
    if _RANK[evidence] <= _RANK[doubt.evidence]:
        return doubt
    # A charger that refuses to stop may as well go on: that says nothing of the time.
    first_ms = at_ms if doubt.evidence is Evidence.STOP_REFUSED else min(at_ms, doubt.at_ms)
    return replace(doubt, evidence=evidence, seq=seq, at_ms=first_ms)


def after_status(doubt: Doubt | None, status: str, seq: int, at_ms: int, *, is_replayed: bool = False) -> Doubt | None:
    """After a status of the session's connector. Faulted says nothing: many a session survives a fault.

    `is_replayed`: it came well after its time, by a clock that is known.
    """
    if status in WHILE_CHARGING:
        if doubt is not None and is_replayed and at_ms < doubt.at_ms:
            return doubt  # of the time before
        # Which of several sessions goes on, the connector's status does not say.
        is_of_another = doubt is not None and doubt.evidence in {Evidence.RIVAL, Evidence.FOLLOWED, Evidence.REPLACED}
        return doubt if is_of_another else None
    evidence = OF_STATUS.get(status)
    return doubt if evidence is None else after(doubt, evidence, seq, at_ms)


def after_old_status(doubt: Doubt | None, status: str, seq: int, at_ms: int) -> Doubt | None:
    """After a status with a time before the session began, or one that came before its start did, late.

    `at_ms`: when that came.
    """
    return doubt if status not in OF_STATUS else after(doubt, Evidence.SAID_BEFORE, seq, at_ms)


LIVE_MS = 60_000
"""Values whose time nobody knows come from a queue if they come faster one after the other."""


def after_values(
    doubt: Doubt | None, register_wh: int | None, at_ms: int | None, came_ms: int, *, is_named: bool
) -> Doubt | None:
    """After meter values of the session. `at_ms`: when they were taken, None: the charger's clock does not tell.

    `is_named`: the charger itself named the transaction. A charger that does so after its boot has not lost it; where
    two sessions are open, values that name neither are no sign of life.
    """
    if doubt is None or (at_ms is not None and at_ms <= doubt.at_ms):
        return doubt  # from its queue, and of the time before
    if (
        doubt.evidence in {Evidence.BOOT, Evidence.STOP_REFUSED, Evidence.SAID_BEFORE}
        and is_named
        and at_ms is not None
    ):
        return None
    if register_wh is None or (doubt.has_rivals and not is_named):
        return doubt
    if doubt.first_wh is None:
        return replace(doubt, first_wh=register_wh, first_ms=came_ms)
    is_live = at_ms is not None or came_ms - (doubt.first_ms or came_ms) >= LIVE_MS
    return None if is_live and register_wh > doubt.first_wh + RISES_BY_WH else doubt


# --- what the time brings


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds, of `[sessions]` in the configuration."""

    available: float
    boot: float
    hold: float


LONGER = 3
"""Times `wait_available` for what a session without an end shows now and then (E.9, 4)."""
AWAY_FOR = 24 * 3600.0
"""Seconds after which a charger that is away need not come back any more before its evidence counts."""
ASKED_EVERY = 600.0
"""Seconds between two questions, where the evidence is not enough without an answer. Three answers with a time, and a
clock that was set is known again (`clocks.py`)."""


def wait(doubt: Doubt, waits: Waits) -> float:
    """Seconds that the doubt has to stand, or that a conclusion is held, while its charger is there."""
    if doubt.is_concluded:
        return 0.0 if doubt.evidence.is_certain else waits.hold
    match doubt.evidence:
        case Evidence.NEXT_START:
            return 0.0
        case Evidence.PREPARING if doubt.has_booted:
            return waits.available
        case Evidence.PREPARING | Evidence.FINISHING:
            return LONGER * waits.available
        case Evidence.BOOT:
            return waits.boot
        case Evidence.STOP_REFUSED | Evidence.RIVAL:
            return 0.0
        case (
            Evidence.SAID_BEFORE | Evidence.STOP_PROMISED | Evidence.UNAVAILABLE | Evidence.AVAILABLE
            | Evidence.FOLLOWED | Evidence.REPLACED
        ):  # fmt: skip
            return waits.available


ANSWERED_WITHIN = 15.0
"""Seconds that a status may take after it was asked for."""


class Step(Enum):
    WAIT = auto()
    ASK = auto()
    """For the connector's status."""
    CONCLUDE = auto()
    SEND = auto()
    """The CSMS is to be told now."""


def next_step(doubt: Doubt, stood_for: float, waits: Waits, *, asked_ago: float | None, is_away: bool) -> Step:
    """What is to be done about it.

    `stood_for`: seconds for which it has stood (or been concluded) while the charger was there, or could have been.
    `asked_ago`: seconds since the charger was asked because of this very doubt; None: it was not.
    """
    if stood_for < wait(doubt, waits):
        return Step.WAIT
    if doubt.is_concluded:
        return Step.SEND
    if asked_ago is not None and asked_ago < ANSWERED_WITHIN:
        return Step.WAIT
    if doubt.evidence is Evidence.RIVAL:
        return Step.WAIT  # its connector's status is that of both
    is_asking_due = asked_ago is None or (not doubt.evidence.is_enough and asked_ago >= ASKED_EVERY)
    if is_asking_due and not is_away and not doubt.evidence.is_certain:
        return Step.ASK
    return Step.CONCLUDE if doubt.evidence.is_enough else Step.WAIT


# --- what is concluded


_REASONS: Mapping[Evidence, str] = {
    Evidence.AVAILABLE: "EVDisconnected",
    Evidence.STOP_PROMISED: "Remote",
}


def reason(doubt: Doubt) -> str:
    """Why it ended, in the words of 1.6 §7.38."""
    return "PowerLoss" if doubt.has_booted else _REASONS.get(doubt.evidence, "Other")


def ended_at_ms(doubt: Doubt, started_ms: int, last_heard_ms: int, now_ms: int) -> int:
    """When it ended: at the evidence, but not before its last values, and after a boot not later than these.

    `last_heard_ms`: when its last values were taken.
    """
    at = doubt.at_ms - 1000 if doubt.evidence is Evidence.NEXT_START else doubt.at_ms
    if doubt.has_booted:
        at = min(at, last_heard_ms)
    return min(max(at, started_ms, last_heard_ms), max(now_ms, started_ms, last_heard_ms))


TOLERATED_WH, TOLERATED_MS = 100, 60_000
"""A late stop that differs by no more says the same (E.9)."""


def agrees(concluded_wh: int | None, concluded_ms: int | None, said_wh: int | None, said_ms: int | None) -> bool:
    """Whether a real stop says what was concluded; what one of them does not say is no contradiction."""
    is_same_energy = concluded_wh is None or said_wh is None or abs(said_wh - concluded_wh) <= TOLERATED_WH
    is_same_time = concluded_ms is None or said_ms is None or abs(said_ms - concluded_ms) <= TOLERATED_MS
    return is_same_energy and is_same_time
