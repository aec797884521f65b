"""What became of commands to chargers: sent or not, answered or not, refused, accepted and not done.

Pure: what `edge/console/sightings.py` read from the journal → the commands that came to nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

REMOTE_START, REMOTE_STOP = "RemoteStartTransaction", "RemoteStopTransaction"
START_WITHIN = timedelta(minutes=2)
"""From the accepted remote start to the start."""
STOP_WITHIN = timedelta(minutes=3)
STILL_UNDER_WAY = timedelta(minutes=1)
"""A command that is younger may still be carried out."""
TOGETHER = timedelta(seconds=3)
"""A connection that ends so shortly before or after an answer was given up is why there was none."""


class Outcome(StrEnum):
    NOT_SENT = "not_sent"
    UNANSWERED = "unanswered"
    REFUSED = "refused"
    NOT_OBEYED = "not_obeyed"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer says."""

    is_accepted: bool
    words: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the CSMS or a person asked for."""

    seq: int
    at: datetime
    action: str
    who: str
    is_for_charger: bool = True
    """False: for the station itself, or for nobody whom it knows."""
    reply: Reply | None = None
    session: str | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """Our CALL to the charger; `at` is when its answer came, or when it was given up."""

    seq: int
    at: datetime
    action: str
    cause: int | None
    reply: Reply | None
    session: str | None = None
    connector: int | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Began:
    at: datetime
    connector: int | None
    token: str | None


@dataclass(frozen=True, slots=True)
class Linked:
    """A connection came or went."""

    at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What a charger's journal tells, each oldest first."""

    asked: Sequence[Asked] = ()
    sent: Sequence[Sent] = ()
    began: Sequence[Began] = ()
    stopped: Mapping[str, datetime] = field(default_factory=dict)
    """By session, when its own stop came."""
    links: Sequence[Linked] = ()


@dataclass(frozen=True, slots=True)
class Fate:
    """A command that came to nothing."""

    action: str
    at: datetime
    """When it was asked for."""
    outcome: Outcome
    why: str
    entries: tuple[str, ...]
    session: str | None
    connector: int | None
    is_declined: bool = False
    """This station itself did not do it."""


def fates(seen: Seen, now: datetime) -> list[Fate]:
    """By time."""
    causes = {one.seq: one for one in seen.asked}
    sent_for = {one.cause for one in seen.sent}
    found = [fate for one in seen.asked if one.seq not in sent_for for fate in _not_sent(one, seen, now)]
    found += [fate for one in seen.sent for fate in _after_sending(one, causes.get(one.cause or 0), seen, now)]
    return sorted(found, key=lambda one: (one.at, one.entries))


def _not_sent(one: Asked, seen: Seen, now: datetime) -> Iterator[Fate]:
    if one.reply is None and now - one.at < STILL_UNDER_WAY:
        return
    if one.reply is not None and one.reply.is_accepted:
        return
    answered = "" if one.reply is None else f"; {one.who} was told {one.reply.words}"
    if not one.is_for_charger:
        why = f"it was for the station itself, or for nobody whom it knows{answered}"
        yield Fate(one.action, one.at, Outcome.REFUSED, why, _entries(one), None, None, is_declined=True)
        return
    is_connected = _is_connected(seen.links, one.at)
    why = "the charger was not connected" if is_connected is False else "it was never sent to the charger"
    yield Fate(one.action, one.at, Outcome.NOT_SENT, f"{why}{answered}", _entries(one), one.session, one.connector)


def _entries(one: Asked) -> tuple[str, ...]:
    return (str(one.seq),) if one.reply is None else (str(one.seq), f"{one.seq}a")


def _is_connected(links: Sequence[Linked], at: datetime) -> bool | None:
    """None: nothing is known of that time."""
    before = [one for one in links if one.at <= at]
    if before:
        return before[-1].is_open
    return not links[0].is_open if links else None


def _after_sending(one: Sent, asked: Asked | None, seen: Seen, now: datetime) -> Iterator[Fate]:
    at = one.at if asked is None else asked.at
    cause = () if asked is None else (str(asked.seq),)
    session = one.session or (None if asked is None else asked.session)

    def fate(outcome: Outcome, why: str, *entries: str) -> Fate:
        return Fate(one.action, at, outcome, why, (*cause, *entries), session, one.connector)

    if one.reply is None:
        is_cut = any(not link.is_open and abs(link.at - one.at) <= TOGETHER for link in seen.links)
        why = "the connection ended before an answer came" if is_cut else "no answer came in time"
        yield fate(Outcome.UNANSWERED, why, str(one.seq))
    elif not one.reply.is_accepted:
        yield fate(Outcome.REFUSED, f"the charger answered {one.reply.words}", str(one.seq), f"{one.seq}a")
    elif (failure := _disobeyed(one, session, seen, now)) is not None:
        yield fate(Outcome.NOT_OBEYED, failure, str(one.seq), f"{one.seq}a")


def _disobeyed(one: Sent, session: str | None, seen: Seen, now: datetime) -> str | None:
    if one.action == REMOTE_START:
        # What a command causes may come before the answer to the command (Rule.EFFECT_BEFORE_ANSWER).
        starts = [each.at for each in seen.began if each.at >= one.at - START_WITHIN and _is_its_start(one, each)]
        first = starts[0] if starts and not _was_repeated(one, starts[0], seen) else None
        return _too_late(one.at, first, START_WITHIN, now, "no session began within 2 minutes")
    if one.action == REMOTE_STOP and session is not None:
        stop = seen.stopped.get(session)
        return _too_late(one.at, stop, STOP_WITHIN, now, "the session did not end within 3 minutes")
    return None


def _was_repeated(one: Sent, began: datetime, seen: Seen) -> bool:
    """Whether a late start is rather that of a later command."""
    later = (each for each in seen.sent if each.action == REMOTE_START and one.at < each.at <= began)
    return began - one.at > START_WITHIN and any(later)


def _is_its_start(one: Sent, began: Began) -> bool:
    if one.token is not None and began.token is not None and one.token.casefold() == began.token.casefold():
        return True
    return one.connector is not None and one.connector == began.connector


def _too_late(at: datetime, done: datetime | None, within: timedelta, now: datetime, why: str) -> str | None:
    if done is None:
        return f"accepted, but {why}" if now - at > within else None
    late = done - at
    return f"accepted, but {why}: only after {round(late.total_seconds())} s" if late > within else None
