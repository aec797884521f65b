"""Outages as the journal tells them: their borders, and what was stored between."""

import re
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

import pytest

from edge.domain.ids import CsmsTransactionId, TransactionNo
from edge.domain.timekeeping import Trust
from edge.ocppj.frames import encode_json
from edge.store import boots, capacity, chains, delivery, exchange, gaps, outages, parked, transactions
from edge.store.capacity import Level
from edge.store.exchange import STATION, Kind, NewExchange
from edge.store.outages import Outage
from tests.store.givens import NOON, StoredSite, a_row, moment

NOON_MS = round(NOON.timestamp() * 1000)
LOST, REFUSED = "the CSMS closed the connection", "HTTP 503"


@dataclass
class Life:
    """A controller that writes down how its uplink fares, with a second between two things."""

    db: sqlite3.Connection
    boot_no: int = 1
    seconds: float = 0.0

    def starts(self) -> None:
        self.boot_no = boots.begin(self.db, moment(self.seconds).wall, round(self.seconds * 1000), "system")
        outages.begin(self.db, self.now())

    def now(self):
        self.seconds += 1.0
        return moment(self.seconds, self.boot_no)

    def is_accepted(self, why: str | None = None) -> int:
        return self.becomes("accepted", why)

    def loses_it(self, why: str = LOST) -> int:
        return self.becomes("offline", why)

    def becomes(self, state: str, why: str | None) -> int:
        outages.note(self.db, self.now(), state, why)
        return exchange.peek_seq(self.db) - 1

    def stores(self, **more) -> int:
        return exchange.append(self.db, NewExchange(self.now(), 1, Kind.CHARGER_CALL, '[2,"m","Heartbeat",{}]', **more))


@pytest.fixture
def life(db: sqlite3.Connection) -> Life:
    life = Life(db)
    life.starts()
    return life


def told(db: sqlite3.Connection, since_s: float | None = None, most: int = 100) -> list[Outage]:
    chains.settle(db)
    return list(outages.found(db, None if since_s is None else NOON_MS + round(since_s * 1000), most).outages)


def seconds(one: Outage) -> tuple[float, float | None]:
    return (one.began_ms - NOON_MS) / 1000, None if one.ended_ms is None else (one.ended_ms - NOON_MS) / 1000


# --- borders


def test_a_store_that_knows_no_uplink_tells_of_no_outage(db: sqlite3.Connection) -> None:
    assert outages.found(db, None, 100) == outages.Found((), None)


def test_a_new_controller_is_away_until_it_is_accepted_the_first_time(life: Life) -> None:
    (goes_on,) = told(life.db)
    assert (seconds(goes_on), goes_on.why, goes_on.is_first) == ((1.0, None), outages.STARTED, False)
    life.is_accepted(REFUSED)
    (one,) = told(life.db)
    assert (seconds(one), one.why, one.last_error, one.is_first) == ((1.0, 2.0), outages.STARTED, REFUSED, True)


def test_an_outage_goes_from_the_loss_to_the_next_acceptance_and_says_why(life: Life) -> None:
    life.is_accepted()
    lost = life.loses_it()
    life.stores()
    back = life.is_accepted(REFUSED)
    one, first = told(life.db)
    assert first.is_first
    assert one == Outage(lost, back, NOON_MS + 3000, NOON_MS + 5000, LOST, REFUSED)
    assert one.width == 2


def test_the_reason_is_not_said_twice(life: Life) -> None:
    life.is_accepted()
    life.loses_it()
    life.is_accepted(LOST)
    assert told(life.db)[0].last_error is None


def test_what_goes_on_has_no_end_and_reaches_to_the_newest_row(life: Life) -> None:
    life.is_accepted()
    lost = life.loses_it()
    newest = life.stores()
    one = told(life.db)[0]
    assert (one.after_seq, one.before_seq, one.ended_ms) == (lost, newest + 1, None)


def test_an_outage_goes_on_over_a_restart(life: Life) -> None:
    life.is_accepted()
    lost = life.loses_it()
    life.starts()
    assert (told(life.db)[0].after_seq, told(life.db)[0].ended_ms) == (lost, None)
    back = life.is_accepted()
    assert (told(life.db)[0].after_seq, told(life.db)[0].before_seq) == (lost, back)


@pytest.mark.parametrize("rows_after", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("rows_before", [0, 1, 2, 7, 40])
def test_a_life_that_ended_without_a_word_ended_with_its_last_row(
    life: Life, rows_before: int, rows_after: int
) -> None:
    last = life.is_accepted()
    for _ in range(rows_before):
        last = life.stores()
    ended = life.seconds
    life.seconds += 3600
    life.starts()
    for _ in range(rows_after):
        life.stores()
    one = told(life.db)[0]
    assert (one.after_seq, seconds(one), one.why) == (last, (ended, None), outages.DIED)
    back = life.is_accepted()
    one = told(life.db)[0]
    assert (one.after_seq, one.before_seq, seconds(one)) == (last, back, (ended, life.seconds))


def test_rows_that_were_removed_do_not_hide_where_a_life_ended(life: Life) -> None:
    life.is_accepted()
    rows = [life.stores() for _ in range(9)]
    life.starts()
    more = [life.stores() for _ in range(9)]
    chains.settle(life.db)
    gaps.remove(life.db, [*rows[4:], *more[:4]])
    assert told(life.db)[0].after_seq == rows[3]


def test_a_quiet_life_is_known_to_have_gone_on_as_long_as_it_kept_the_time(life: Life) -> None:
    life.is_accepted()
    boots.keep_time(life.db, moment(1800).wall, Trust.SYSTEM)
    life.seconds = 3600
    life.starts()
    boots.keep_time(life.db, moment(3601).wall, Trust.SYSTEM)
    assert seconds(told(life.db)[0]) == (1800.0, None)


def test_a_loss_in_a_life_whose_acceptance_was_never_stored_begins_with_the_end_of_the_one_before(life: Life) -> None:
    last = life.is_accepted()
    life.starts()
    life.loses_it()
    back = life.is_accepted()
    assert (told(life.db)[0].after_seq, told(life.db)[0].before_seq) == (last, back)


def test_times_stored_before_the_clock_was_right_are_put_right(life: Life) -> None:
    life.is_accepted()
    life.loses_it()
    boots.synchronised(life.db, life.boot_no, "csms", timedelta(days=2), 100.0)
    life.seconds = 200.0
    life.is_accepted()
    assert seconds(told(life.db)[0]) == (2 * 86400 + 3.0, 201.0)


def test_those_since_a_moment_are_told_and_what_went_on_then(life: Life) -> None:
    for _ in range(3):
        life.is_accepted()
        life.loses_it()
    # accepted at 2, 4, 6; lost at 3, 5, 7
    assert [seconds(one) for one in told(life.db)] == [(7, None), (5, 6), (3, 4), (1, 2)]
    assert [seconds(one) for one in told(life.db, 5.5)] == [(7, None), (5, 6)]
    assert [seconds(one) for one in told(life.db, 6.5)] == [(7, None)]
    assert [seconds(one) for one in told(life.db, 100)] == [(7, None)]
    assert [seconds(one) for one in told(life.db, most=2)] == [(7, None), (5, 6)]


def test_it_is_said_since_when_all_is_told(life: Life) -> None:
    life.is_accepted()

    def since(since_s: float | None, most: int = 100) -> float:
        found = outages.found(life.db, None if since_s is None else NOON_MS + round(since_s * 1000), most)
        assert found.since_ms is not None
        return (found.since_ms - NOON_MS) / 1000

    assert (since(None), since(0.5), since(1.5)) == (1.0, 1.0, 1.5)
    life.loses_it()
    life.is_accepted()
    assert since(None, most=1) == 3.0


def test_changes_of_an_older_program_that_nothing_points_to_are_found_along_the_stations_chain(life: Life) -> None:
    db = life.db
    db.execute("DELETE FROM meta WHERE key = 'uplink_seq'")
    for state in ("accepted", "offline", "accepted"):
        exchange.append(db, NewExchange(life.now(), STATION, Kind.LINK, encode_json({"uplink": state})))
        exchange.append(db, a_row(peer=STATION, kind=Kind.SYNTHETIC))
    one, _ = told(db)
    assert (seconds(one), one.why) == ((3.0, 4.0), None)
    life.loses_it()  # this one has nothing to point to, and the next one does
    life.is_accepted()
    assert [seconds(one) for one in told(db)] == [(5, 6), (3, 4), (1, 2)]


def test_changes_that_point_to_each_other_are_found_without_a_walk(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        life.is_accepted()
        exchange.append(life.db, a_row(peer=STATION))
        life.loses_it()
        exchange.append(life.db, a_row(peer=STATION))
    monkeypatch.setattr(outages, "WALKED_AT_MOST", 0)
    assert len(told(life.db)) == 4


def test_the_chain_of_the_station_is_not_walked_for_ever(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "WALKED_AT_MOST", 3)
    life.is_accepted()
    life.loses_it()
    life.db.execute("DELETE FROM meta WHERE key = 'uplink_seq'")
    exchange.append(life.db, a_row(peer=STATION))
    assert len(told(life.db)) == 2
    for _ in range(3):
        exchange.append(life.db, a_row(peer=STATION))
    assert told(life.db) == []


def test_what_was_removed_or_is_damaged_ends_the_story_and_breaks_nothing(life: Life) -> None:
    first = life.is_accepted()
    life.loses_it()
    second = life.is_accepted()
    life.loses_it()
    assert [seconds(one) for one in told(life.db)] == [(5, None), (3, 4), (1, 2)]
    gaps.remove(life.db, [first])  # the row before it is found along the chain; that the CSMS was there is forgotten
    assert [seconds(one) for one in told(life.db)] == [(5, None), (1, 4)]
    for text in ("{", "[]", '{"uplink"', "5", '"x"', "{}"):
        life.db.execute("UPDATE exchange SET text = ? WHERE seq = ?", (text, second))
        assert [one.ended_ms for one in told(life.db)][0] is None


def test_a_full_store_takes_no_row_and_the_pointer_stays_at_the_last_one_that_is_there(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.is_accepted()
    monkeypatch.setattr(capacity, "level_told", lambda _: Level.RED)
    life.loses_it()
    monkeypatch.undo()
    assert not [one for one in told(life.db) if one.ended_ms is None]
    monkeypatch.setattr(outages, "WALKED_AT_MOST", 0)
    assert told(life.db)[0].is_first
    lost = life.loses_it()
    assert [one.after_seq for one in told(life.db)] == [lost, 1]


# --- what was stored in one


@pytest.fixture
def away(site: StoredSite) -> tuple[StoredSite, Life]:
    life = Life(site.db)
    life.starts()
    life.is_accepted()
    return site, life


def test_what_is_stored_in_an_outage_is_counted_by_what_became_of_it(away: tuple[StoredSite, Life]) -> None:
    site, life = away
    charger, places = site.charger("A", 5)
    before, _ = site.begin(charger, places[0])
    site.say(before, "MeterValues")
    life.loses_it()
    inside = [site.say(before, "MeterValues") for _ in range(3)]
    site.say(before, "MeterValues", relay=False)
    halted, halted_start = site.begin(charger, places[1])
    second = site.say(halted, "MeterValues")
    undone, undone_start = site.begin(charger, places[2])
    site.say(undone, "MeterValues")
    one_less, _ = site.begin(charger, places[3])
    lost_value = site.say(one_less, "MeterValues")
    life.is_accepted()
    site.say(before, "MeterValues")
    delivery.acknowledge(site.db, inside[1], before, 1)
    delivery.acknowledge(site.db, halted_start, halted, 1)
    delivery.park(site.db, second, halted, "X", "x", 5, 0)
    delivery.park(site.db, undone_start, undone, "X", "x", 5, 0)
    parked.drop(site.db, undone_start, moment(), "somebody")
    delivery.acknowledge(site.db, lost_value - 1, one_less, 1)
    delivery.park(site.db, lost_value, one_less, "X", "x", 5, 0)
    parked.drop(site.db, lost_value, moment(), "somebody")

    outage = told(site.db)[0]
    found = {one.tx_no: one for one in outages.counts(site.db, outage)}

    def fates(tx_no: TransactionNo) -> tuple[int, ...]:
        one = found[tx_no]
        return one.messages, one.acknowledged, one.waiting, one.parked, one.dropped

    assert fates(before) == (3, 2, 1, 0, 0)
    assert fates(halted) == (2, 1, 0, 1, 0)
    assert fates(undone) == (2, 0, 0, 0, 2)
    assert fates(one_less) == (2, 1, 0, 0, 1)
    assert (found[before].first_seq, found[before].last_values_seq) == (inside[0], inside[2] + 1)
    assert found[before].last_acknowledged_seq == inside[1]
    assert [row.seq for row in outages.values_before(site.db, found[before])] == [inside[0] - 2]
    assert [row.seq for row in outages.values_back(site.db, before, inside[1])] == [inside[1], inside[0], inside[0] - 2]


def test_sessions_are_those_open_in_it_begun_in_it_ended_in_it(away: tuple[StoredSite, Life]) -> None:
    site, life = away
    charger, places = site.charger("A", 6)
    long_ago, _ = site.begin(charger, places[0])
    site.end(long_ago)
    ends_in, _ = site.begin(charger, places[1])
    throughout, _ = site.begin(charger, places[2])
    lost = life.loses_it()
    transactions.end(site.db, ends_in, NOON, 5, "Local", site.say(ends_in, "StopTransaction"))
    begins_in, _ = site.begin(charger, places[3])
    life.is_accepted()
    for tx_no in (throughout, begins_in):
        transactions.end(site.db, tx_no, NOON, 5, "Local", site.say(tx_no, "StopTransaction"))
    after, _ = site.begin(charger, places[4])
    transactions.meter_stream(site.db, charger, places[5], 99)
    outage = told(site.db)[0]
    found = outages.sessions(site.db, lost)
    assert [one.tx_no for one in found] == [ends_in, throughout, begins_in, after]
    facts = {one.tx_no: (one.was_open_in(outage), one.began_in(outage), one.ended_in(outage)) for one in found}
    assert facts == {
        ends_in: (True, False, True),
        throughout: (True, False, False),
        begins_in: (True, True, False),
        after: (False, False, False),
    }
    assert outages.sessions(site.db, 10**6) == [one for one in found if one.tx_no == after]


def answer(
    site: StoredSite, life: Life, tx_no: TransactionNo, cause: int, text: str, together: list[int] | None
) -> int:
    notes = encode_json({"sent_ms": 1} | ({} if together is None else {"together": together}))
    at = life.now()
    row = NewExchange(at, 1, Kind.CSMS_ANSWER, text, tx_no=tx_no, cause_seq=cause, notes=notes)
    exchange.append(site.db, row)
    return at.wall_ms


def test_the_replay_is_over_with_the_last_first_answer(away: tuple[StoredSite, Life]) -> None:
    site, life = away
    charger, (one, other) = site.charger("A", 2)
    life.loses_it()
    a, a_start = site.begin(charger, one)
    a_values = [site.say(a, "MeterValues") for _ in range(3)]
    b, b_start = site.begin(charger, other)
    life.is_accepted()
    outage = told(site.db)[0]

    def when(most: int = 1000) -> tuple[int | None, int]:
        return outages.replayed_ms(site.db, told(site.db)[0], outages.counts(site.db, outage), most)

    delivery.learn_csms_tx(site.db, a, CsmsTransactionId("1"))
    for tx_no, last in ((a, a_values[2]), (b, b_start)):
        delivery.acknowledge(site.db, last, tx_no, 1)
    answer(site, life, a, a_start, '[3,"1",{}]', None)
    answer(site, life, a, a_values[0], '[4,"1","InternalError","",{}]', a_values)
    answer(site, life, b, b_start, '[3,"1",{}]', None)
    assert when()[0] is None
    last_ms = answer(site, life, a, a_values[0], ' [ 3, "1", {}]', a_values)
    answer(site, life, a, a_values[0], '[3,"1",{}]', a_values)
    assert when() == (last_ms, 4)
    assert when(3)[0] is None


# --- how much is looked at


def test_no_query_walks_through_a_table_that_grows(away: tuple[StoredSite, Life]) -> None:
    site, life = away
    charger, (connector,) = site.charger("A")
    life.loses_it()
    tx_no, start = site.begin(charger, connector)
    site.say(tx_no, "MeterValues")
    life.is_accepted()
    delivery.acknowledge(site.db, start, tx_no, 1)
    life.starts()
    chains.settle(site.db)
    ran: list[str] = []
    site.db.set_trace_callback(ran.append)
    newest, outage, *_ = outages.found(site.db, None, 100).outages
    assert newest.why == outages.DIED
    counted = outages.counts(site.db, outage)
    outages.sessions(site.db, outage.after_seq)
    for one in counted:
        list(outages.values_before(site.db, one))
    outages.replayed_ms(site.db, outage, counted, 1000)
    outages.note(site.db, life.now(), "accepted", None)
    site.db.set_trace_callback(None)
    steps = [row[3] for text in dict.fromkeys(ran) for row in site.db.execute("EXPLAIN QUERY PLAN " + text)]
    assert [step for step in steps if re.match(r"SCAN (exchange|tx|e|d|delivery)\b", step)] == []
