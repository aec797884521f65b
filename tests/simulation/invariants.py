"""What must hold on a simulated site, whatever happens to it: the one place where a new feature adds its rules.

Each rule is a small function that yields a sentence for each breach. `@invariant` says its number (the numbers
of rules whose feature is not built yet are left out), when it is looked at, and the rule in words: these are what a failing run prints. The functions only read: the
ledgers of the truth (`truth.py`), what the cloud and the chargers made of it (`cloud.py`, `field_charger.py`), the log
(`chronicle.py`), and the database as it was found on the disk (`found_on_disk.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import pairwise

from tests.simulation.cloud import REFUSED_FOR_GOOD
from tests.simulation.found_on_disk import FoundOnDisk
from tests.simulation.site import SiteUnderTest
from tests.simulation.truth import ANSWER_WITHIN, Arrival, Said, Session, canonical

TASKS_AT_MOST, TASKS_PER_LINK = 60, 14
LINKS_AT_MOST, LINKS_PER_CHARGER = 60, 6
NEXT_WH = 100
"""So much more than the last register may be billed if the next session's start says that it has flowed."""
COMMAND_WITHIN_S = 25.0 + 60.0
"""Seconds from when the controller has read a command to when the charger has: its budget, and the longest stall of a
charger's link, from which nothing can be called back."""
ACKNOWLEDGED_WITHIN_S = 20.0
"""Seconds after which the store knows what the cloud has got, if the disk works: it rides for ten, a slow disk takes
some more."""


class Moment(Enum):
    """When a rule is looked at."""

    ALWAYS = "every hour, and at the end"
    ON_DISK = "after each crash, and at the end"
    AT_REST = "when the faults are over and nothing waits any more"


Check = Callable[[SiteUnderTest], Iterator[str]]
CheckOfDisk = Callable[[SiteUnderTest, FoundOnDisk], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Invariant:
    number: str
    name: str
    rule: str
    moment: Moment
    check: Check | CheckOfDisk


INVARIANTS: list[Invariant] = []


def invariant(number: str, moment: Moment, rule: str) -> Callable[[Callable], Callable]:
    def keep(check: Callable) -> Callable:
        INVARIANTS.append(Invariant(number, check.__name__, rule, moment, check))
        return check

    return keep


def breaches(site: SiteUnderTest, moment: Moment, disk: FoundOnDisk | None = None) -> Iterator[str]:
    """All breaches of the rules of this moment, each with its number."""
    for one in INVARIANTS:
        if one.moment is moment:
            found = one.check(site) if disk is None else one.check(site, disk)
            yield from (f"{one.number} {one.name}: {breach}\n    rule: {one.rule}" for breach in found)


# ── nothing acknowledged is lost ────────────────────────────────────────────────


@invariant("I1", Moment.ON_DISK, "what a charger was told is stored is on the disk after a crash")
def acknowledged_is_on_disk(site: SiteUnderTest, disk: FoundOnDisk) -> Iterator[str]:
    for said in site.truth.acknowledged():
        if said.key not in disk.keys:
            yield f"{said.action} of {said.session.outlet}, answered at {said.answers[0][0]:.3f}, is not there"


@invariant("I1", Moment.ON_DISK, "what was once on the disk stays there")
def rows_stay(_site: SiteUnderTest, disk: FoundOnDisk) -> Iterator[str]:
    if disk.missing:
        yield f"{disk.missing} rows that a former look has found are gone"


@invariant("I1", Moment.AT_REST, "what a charger was told is stored has reached the cloud, or is parked")
def acknowledged_is_delivered(site: SiteUnderTest) -> Iterator[str]:
    parked, concluded = site.disk.parked_keys(), site.truth.concluded()
    for said in site.truth.acknowledged():
        is_late_stop = said.action == "StopTransaction" and said.session.number in concluded
        if not site.truth.processed(said) and said.key not in parked and not is_late_stop:
            yield f"{_told(said)} has not reached the cloud and is not parked"


@invariant("I1", Moment.AT_REST, "only what the cloud has refused for good is parked, and alone, not in company")
def parked_was_refused(site: SiteUnderTest) -> Iterator[str]:
    for key in site.disk.first_parked_keys():
        alone = (one for one in site.truth.arrived.get(key, ()) if one.keys == [key])
        if not any(one.code == REFUSED_FOR_GOOD for one in alone):
            yield f"{key} is parked, and the cloud has not refused it"


@invariant("I1", Moment.ALWAYS, "what a charger says by the rules is never answered with a CALLERROR")
def nothing_is_refused(site: SiteUnderTest) -> Iterator[str]:
    for charger in site.chargers:
        yield from (f"{charger.name}'s {action} was refused with {code}" for action, code in charger.refusals)


# ── order, repeats, ids ─────────────────────────────────────────────────────────


@invariant("I2", Moment.ALWAYS, "each connector's messages reach the cloud in the order in which they were said")
def order_of_each_connector(site: SiteUnderTest) -> Iterator[str]:
    places = {id(arrival): place for place, arrival in enumerate(site.truth.arrivals)}
    for outlet, messages in site.truth.by_outlet.items():
        first = [
            ((places[id(got[0])], got[0].keys.index(one.key)), one)
            for one in messages
            if (got := site.truth.processed(one))
        ]
        for (place, one), (next_place, other) in pairwise(first):
            if next_place < place:
                yield f"{outlet}: {_told(other)} reached the cloud before {_told(one)}"


@invariant("I2", Moment.ALWAYS, "the cloud gets nothing that no charger has said, but for stops of sessions that ended")
def nothing_is_invented(site: SiteUnderTest) -> Iterator[str]:
    for arrival in site.truth.strangers:
        session = site.truth.of_stranger(arrival)
        if session is None:
            yield f"{arrival.action} at {arrival.at:.3f}: {canonical(arrival.payload)}"
        elif session.is_open or session.ended_at is None or session.ended_at > arrival.at:
            yield f"session {session.number} of {session.outlet} lives, and got a stop: {canonical(arrival.payload)}"


@invariant("I16", Moment.ALWAYS, "a session gets one stop: its own, or ours")
def one_stop_each(site: SiteUnderTest) -> Iterator[str]:
    for number, arrivals in site.truth.concluded().items():
        session = site.truth.sessions[number - 1]
        own = [one for one in session.said if one.action == "StopTransaction" and site.truth.processed(one)]
        if own or len({canonical(one.payload) for one in arrivals}) > 1:
            yield f"session {number}: ours {[one.payload for one in arrivals]}, own {[one.payload for one in own]}"


@invariant(
    "I16",
    Moment.AT_REST,
    "a stop of ours has the last register that was told of the session by a clock that stood, and no more than was true",
)
def our_stops_are_provable(site: SiteUnderTest) -> Iterator[str]:
    for number, arrivals in site.truth.concluded().items():
        session, stop = site.truth.sessions[number - 1], arrivals[0].payload
        told = [one for one in session.said if one.action == "MeterValues" and site.truth.processed(one)]
        has_told = told and _clock_stood(site, session)
        last_wh = int(told[-1].entry["sampledValue"][0]["value"]) if has_told else session.meter_start_wh
        true_wh = session.meter_stop_wh if session.lost_at_wh is None else session.lost_at_wh
        if not last_wh <= stop["meterStop"] <= (true_wh or 0) + NEXT_WH:
            yield f"session {number}: {stop['meterStop']} Wh, told were {last_wh}, true are {true_wh}"


@invariant("I3", Moment.ALWAYS, "a repeated message is equal to the one before")
def repeats_are_equal(site: SiteUnderTest) -> Iterator[str]:
    for key, arrivals in site.truth.arrived.items():
        for one, other in pairwise(arrivals):
            if _identity(one) != _identity(other):
                yield f"{key}: first {canonical(one.payload)}, then {canonical(other.payload)}"


@invariant("I3", Moment.ALWAYS, "a message is repeated only when its answer was lost, late or a refusal, or by a crash")
def repeats_have_a_reason(site: SiteUnderTest) -> Iterator[str]:
    for key, arrivals in site.truth.arrived.items():
        for one, other in pairwise(arrivals):
            read_at = one.answer_read_at
            if read_at is not None and read_at < other.at and not _may_have_been_forgotten(site, one, other):
                yield f"{key}: answered at {read_at:.3f}, and came again at {other.at:.3f}"
            is_blurred = any(one.at - ANSWER_WITHIN < at < other.at for at in site.truth.uplink_healed_at)
            if one.sent is None and one.end is other.end and other.at - one.at < ANSWER_WITHIN - 1.0 and not is_blurred:
                yield f"{key}: at {one.at:.3f}, and without patience at {other.at:.3f} on the same connection"


@invariant("I5", Moment.ALWAYS, "no message carries an id that the cloud has not given to exactly that transaction")
def ids_are_their_own(site: SiteUnderTest) -> Iterator[str]:
    for arrival in site.truth.arrivals:
        if arrival.action == "StartTransaction":
            continue
        given_to = site.truth.given.get(arrival.payload.get("transactionId"), frozenset())
        for key in arrival.keys:
            said = site.truth.by_key.get(key)
            if said is not None and said.session.said[0].key not in given_to:
                yield f"{_told(said)} came with id {arrival.payload.get('transactionId')}"


@invariant("I5", Moment.ALWAYS, "of two ids that the cloud has given to one start, the one that came first is used")
def the_first_id_counts(site: SiteUnderTest) -> Iterator[str]:
    for arrival in site.truth.arrivals:
        said = site.truth.by_key.get(arrival.keys[0])
        if said is None or said.action == "StartTransaction":
            continue
        first = _first_answer_read(site, said.session)
        if first is not None and arrival.payload.get("transactionId") != first:
            yield f"{_told(said)} came with id {arrival.payload.get('transactionId')}, the first was {first}"


@invariant("I11", Moment.ALWAYS, "connectors keep their numbers and sessions their ids, over all restarts")
def numbers_are_stable(site: SiteUnderTest) -> Iterator[str]:
    for arrival in site.truth.arrivals:
        for key in arrival.keys:
            said = site.truth.by_key.get(key)
            named = arrival.payload.get("connectorId")
            if said is not None and named is not None and named != said.session.upstream:
                yield f"{_told(said)} came as connector {named} instead of {said.session.upstream}"
    sessions_of: dict[int, int] = {}
    for said in site.truth.acknowledged():
        if said.action == "StartTransaction":
            for _, answer in said.answers:
                number = sessions_of.setdefault(answer["transactionId"], said.session.number)
                if number != said.session.number:
                    yield f"sessions {number} and {said.session.number} both got id {answer['transactionId']}"


@invariant("I11", Moment.ALWAYS, "a repeated start gets the answer that it got before")
def repeated_starts_get_the_same_answer(site: SiteUnderTest) -> Iterator[str]:
    for said in site.truth.acknowledged():
        if said.action == "StartTransaction" and len({canonical(answer) for _, answer in said.answers}) > 1:
            yield f"{_told(said)} was answered {[answer for _, answer in said.answers]}"


# ── sessions and energy ─────────────────────────────────────────────────────────


@invariant("I4", Moment.AT_REST, "a connector has one open transaction at most, but for those that a charger forgot")
def one_open_transaction(site: SiteUnderTest) -> Iterator[str]:
    forgotten = Counter(one.upstream for one in site.truth.sessions if one.is_forgotten)
    for upstream, count in site.disk.open_transactions().items():
        if count > 1 + forgotten[upstream]:
            yield f"connector {upstream} has {count}, of which {forgotten[upstream]} were forgotten"


@invariant("I6", Moment.AT_REST, "of each complete session the cloud has the watt-hours that its meter counted")
def energy_is_conserved(site: SiteUnderTest) -> Iterator[str]:
    concluded = site.truth.concluded()
    by_stop = {key: one for one in site.cloud.transactions.values() for key in one.stop_keys}
    parked = site.disk.parked_keys()
    for session in site.truth.sessions:
        if session.meter_stop_wh is None or not all(one.is_acknowledged for one in session.said):
            continue
        own_stop = any(one.action == "StopTransaction" for one in session.said)
        if not own_stop or session.number in concluded:
            continue  # lost, or still withheld: `our_stops_are_provable`
        if parked.intersection(one.key for one in session.said if one.action != "MeterValues"):
            continue  # what comes after it is parked with it
        billed = by_stop.get(session.said[-1].key)
        truth_wh = session.meter_stop_wh - session.meter_start_wh
        if billed is None:
            yield f"session {session.number} of {session.outlet}, {truth_wh} Wh, has no end at the cloud"
        elif billed.stops[0]["meterStop"] - billed.meter_start != truth_wh:
            yield f"session {session.number}: {truth_wh} Wh, the cloud has {billed}"


@invariant("I15", Moment.ALWAYS, "no session is ended because of a ConcurrentTx that only our own backlog has caused")
def no_false_concurrent_tx(site: SiteUnderTest) -> Iterator[str]:
    for session in site.truth.sessions:
        if session.stop_reason not in ("Remote", "DeAuthorized"):
            continue
        start = session.said[0]
        verdicts = {(one.at, one.answer["idTagInfo"]["status"]) for one in site.truth.processed(start)}
        told = {answer["idTagInfo"]["status"] for _, answer in start.answers}
        has_other_cause = not told.union(status for _, status in verdicts) <= {"Accepted", "ConcurrentTx"}
        refused_at = [at for at, status in verdicts if status == "ConcurrentTx"]
        if has_other_cause or not refused_at or _was_stopped_by_order(site, session):
            continue
        if not any(_charged_elsewhere(site, session, at) for at in refused_at):
            yield f"session {session.number} of {session.id_tag}, refused at {refused_at}, charged nowhere else then"


# ── commands ────────────────────────────────────────────────────────────────────


@invariant("I8", Moment.ALWAYS, "a command is carried out once at most, soon, and answered alike when it is repeated")
def commands_are_carried_out_once(site: SiteUnderTest) -> Iterator[str]:
    started: dict[str, list[float]] = {}
    for one in site.truth.obeyed:
        if one.action == "RemoteStartTransaction":
            started.setdefault(one.payload["idTag"], []).append(one.at)
    for order in site.truth.orders:
        if len({canonical(answer) for answer in order.answers}) > 1:
            yield f"{order.action} {order.message_id} was answered {order.answers}"
        if order.action != "RemoteStartTransaction":
            continue
        at = started.get(order.payload["idTag"], [])
        if len(at) > 1:
            yield f"{order.payload['idTag']} was started at {at}"
        if at and (order.sent.read_at is None or at[0] > order.sent.read_at + COMMAND_WITHIN_S):
            yield f"{order.payload['idTag']}, read at {order.sent.read_at}, was started at {at[0]:.3f}"


# ── the controller itself ───────────────────────────────────────────────────────


@invariant("I9", Moment.ALWAYS, "tasks and connections are bounded")
def bounded(site: SiteUnderTest) -> Iterator[str]:
    links = len(site.loop.network.links())
    tasks = sum(task.incarnation.startswith("edge#") for task in site.loop.living_tasks())
    if links > LINKS_AT_MOST + LINKS_PER_CHARGER * len(site.chargers):
        yield f"{links} connections"
    if tasks > TASKS_AT_MOST + TASKS_PER_LINK * links:
        yield f"{tasks} tasks for {links} connections"


@invariant("I10", Moment.AT_REST, "an hour after the last fault nothing waits and everybody is connected")
def comes_to_rest(site: SiteUnderTest) -> Iterator[str]:
    yield from site.unrest_at_end


@invariant("I10", Moment.AT_REST, "what the cloud was told of each connector is true")
def statuses_are_true(site: SiteUnderTest) -> Iterator[str]:
    true = {space.upstream: space.status for one in site.chargers for space in one.parking.spaces.values()}
    for upstream, status in {0: "Available", **true}.items():
        told = site.cloud.statuses.get(upstream, {}).get("status")
        if told != status:
            yield f"connector {upstream} is {status}, the cloud was told {told}"


@invariant("I12", Moment.ALWAYS, "no secret stands in the log")
def no_secret_is_logged(site: SiteUnderTest) -> Iterator[str]:
    yield from site.chronicle.leaks


@invariant("I13", Moment.ON_DISK, "the database is whole, and each row is what was written")
def disk_is_whole(_site: SiteUnderTest, disk: FoundOnDisk) -> Iterator[str]:
    yield from disk.damage


@invariant("I14", Moment.ALWAYS, "the daemon lives, and no exception is left to a supervisor")
def nothing_fails(site: SiteUnderTest) -> Iterator[str]:
    unhandled = [f"{one.get('message')}: {one.get('exception')!r}" for one in site.loop.unhandled]
    yield from (*site.controller.died, *site.chronicle.failures, *unhandled)


@invariant("I14", Moment.ALWAYS, "the station keeps the rules of OCPP-J towards the cloud")
def station_keeps_the_rules(site: SiteUnderTest) -> Iterator[str]:
    yield from site.cloud.oddities


# ── words and reasons ───────────────────────────────────────────────────────────


CLOCK_STANDS_S = 10.0


def _clock_stood(site: SiteUnderTest, session: Session) -> bool:
    """Whether its charger's clock was not set from the session's start to the connector's next one."""
    said = site.truth.by_outlet[session.outlet]
    until = next((one for one in said if one.session.number > session.number), None)
    messages = session.said if until is None else [*session.said, until]
    by_s = [datetime.fromisoformat(one.stamp).timestamp() - one.at for one in messages]
    return max(by_s) - min(by_s) < CLOCK_STANDS_S


def _told(said: Said) -> str:
    return f"{said.action} {said.number} of {said.session.outlet} (session {said.session.number})"


def _first_answer_read(site: SiteUnderTest, session: Session) -> int | None:
    """The id that the daemon was told first, late or in time; None when a crash may have made it forget that."""
    answers = [one for one in site.truth.processed(session.said[0]) if one.sent is not None and one.sent.read_at]
    if not answers:
        return None
    first = min(answers, key=lambda one: one.sent.read_at)
    soon = first.sent.read_at + ACKNOWLEDGED_WITHIN_S
    disturbed = (*site.truth.crashes, *site.controller.disk.failed_at)
    return None if any(first.at < at < soon for at in disturbed) else first.answer["transactionId"]


def _was_stopped_by_order(site: SiteUnderTest, session: Session) -> bool:
    start = session.said[0].key
    return any(
        order.action == "RemoteStopTransaction" and start in site.truth.given.get(order.payload["transactionId"], ())
        for order in site.truth.orders
    )


def _charged_elsewhere(site: SiteUnderTest, session: Session, at: float) -> bool:
    """Whether its token did, as far as the controller could know: an end counts once its charger has told it."""
    others = (one for one in site.truth.sessions if one is not session and one.id_tag == session.id_tag)
    return any(other.began_at < at and not _was_told_to_have_ended(other, at) for other in others)


def _was_told_to_have_ended(session: Session, by: float) -> bool:
    return any(
        one.action == "StopTransaction" and one.is_acknowledged and one.answers[0][0] <= by for one in session.said
    )


def _identity(arrival: Arrival) -> str:
    """What has to be equal in a repeat. Values may come in another company, under the same name."""
    if arrival.action == "MeterValues":
        return canonical({name: value for name, value in arrival.payload.items() if name != "meterValue"})
    return canonical(arrival.payload)


def _may_have_been_forgotten(site: SiteUnderTest, one: Arrival, other: Arrival) -> bool:
    """Whether the store may not have known that the cloud has it: a crash soon after, or a disk that failed."""
    soon = one.answer_read_at + ACKNOWLEDGED_WITHIN_S
    if any(one.at < crash < min(soon, other.at) for crash in site.truth.crashes):
        return True
    return any(one.at < failed < other.at for failed in site.controller.disk.failed_at)


assert {one.moment for one in INVARIANTS} == set(Moment)
