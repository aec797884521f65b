"""What a restored copy goes on with: no number is given twice, and nobody is told what they know already."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edge.domain.ids import ChargerId, CsmsTransactionId, IdToken
from edge.domain.timekeeping import Trust
from edge.store import (
    boots,
    chains,
    connectors,
    delivery,
    exchange,
    fleet,
    inspection,
    parked,
    report,
    retention,
    tokens,
    transactions,
)
from edge.store.restore import Damaged
from edge.store.succession import AHEAD, AHEAD_A_DAY, DAYS_AT_MOST
from tests.store.givens import NOON, StoredSite, a_row, moment, opened
from tests.store.history import assert_sound
from tests.store.restoring import MADE, NOW, copied, kept, next_numbers, put_back, restored
from tests.store.test_backup import sessions


@pytest.fixture
def store(path: Path) -> Path:
    """Two sessions that wait, with all their numbers."""
    with closing(opened(path)) as db:
        boots.begin(db, NOON, 1, "ntp")
        sessions(db, 2)
        for _ in range(2):
            boots.next_number(db, "charger_tx", 50_000)
        delivery.open_epoch(db, "depot", "ws://one", "1.6")
    return path


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    return copied(store, tmp_path / "copy.db")


def waiting(path: Path) -> set[int]:
    with closing(opened(path)) as db:
        assert_sound(db)
        return {one.seq for lane in delivery.lanes(db).values() for one in lane}


# --- numbers


def test_no_number_is_given_twice_whichever_store_had_given_it(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        sessions(db, 7, "B")
        for _ in range(5):
            boots.next_number(db, "charger_tx", 50_000)
        boots.begin(db, NOON, 2, "ntp")
    shutil.copy(store, store.with_name("present.db"))
    expected = {name: value + AHEAD for name, value in next_numbers(store.with_name("present.db")).items()}
    _, _, following = restored(copy, store)
    assert following.unknown_since_ms is None
    assert following.numbers.seq + 1 == expected["seq"]
    assert following.numbers.counters["session"] + 1 == expected["session"]
    assert following.numbers.counters["charger_tx"] + 1 == expected["charger_tx"]
    assert next_numbers(store) == expected | {"boot": expected["boot"]}


def test_the_numbers_of_the_copy_count_too(store: Path, copy: Path, tmp_path: Path) -> None:
    """A store that was put back by hand is older than the copy, and knows less than it."""
    with closing(opened(store)) as db:
        sessions(db, 7)
    newer = copied(store, tmp_path / "newer.db", NOW)
    shutil.copy(copy, store)
    shutil.copy(newer, store.with_name("as-it-was.db"))
    expected = {
        name: value + AHEAD + AHEAD_A_DAY.get(name, AHEAD)
        for name, value in next_numbers(store.with_name("as-it-was.db")).items()
    }
    _, present, following = restored(newer, store)
    assert (present.is_same_site, following.unknown_since_ms) == (False, NOW.timestamp() * 1000)
    assert next_numbers(store) == expected


@pytest.mark.parametrize("hours", [0, 30, 24 * 400, -24 * 7])
def test_without_a_present_store_they_are_moved_by_what_may_have_been_given_since(
    copy: Path, tmp_path: Path, hours: int
) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        inspection.note(db, round((NOW - timedelta(hours=hours)).timestamp() * 1000), 0)
    days = max(0, hours) // 24 + 1
    shutil.copy(copy, tmp_path / "as-it-was.db")
    expected = {
        name: value + AHEAD + days * AHEAD_A_DAY.get(name, AHEAD)
        for name, value in next_numbers(tmp_path / "as-it-was.db").items()
    }
    fresh = tmp_path / "new" / "edge.db"
    fresh.parent.mkdir()
    contents, present, following = put_back(copy, fresh)
    assert (contents.sessions, present, following.unknown_since_ms) == (2, None, contents.made_wall_ms)
    assert next_numbers(fresh) == expected


def test_a_clock_that_is_wrong_costs_no_more_than_numbers(copy: Path, store: Path) -> None:
    store.unlink()
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        inspection.note(db, 0, 0)
    put_back(copy, store)
    assert next_numbers(store)["charger_tx"] == 50_000 + 2 + AHEAD * (DAYS_AT_MOST + 1) < 2**31 / 10


def test_of_a_store_that_lay_on_the_disk_its_newest_row_tells_since_when_nothing_is_known(
    store: Path, tmp_path: Path
) -> None:
    left = tmp_path / "left.db"
    shutil.copy(store, left)
    store.unlink()
    contents, _, following = put_back(left, store)
    assert (contents.made_wall_ms, following.unknown_since_ms) == (None, round(NOON.timestamp() * 1000))


def test_sessions_have_new_numbers_also_when_the_copy_knows_none(path: Path, tmp_path: Path) -> None:
    opened(path).close()
    copy = copied(path, tmp_path / "copy.db")
    path.unlink()
    put_back(copy, path)
    assert next_numbers(path)["session"] == 3 * AHEAD + 1


def test_what_a_damaged_store_still_tells_of_its_numbers_counts(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        sessions(db, 7, "B")
        before = (exchange.peek_seq(db), boots.next_number(db, "session", 1))
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tx'").fetchone()
    with store.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    _, damaged, _ = put_back(copy, store)
    assert isinstance(damaged, Damaged)
    assert (damaged.numbers.seq + 1, damaged.numbers.counters["session"]) == before
    days = 2 + 1
    assert next_numbers(store)["session"] == before[1] + AHEAD * days + 1


def test_a_session_that_begins_after_it_goes_its_way(store: Path, copy: Path) -> None:
    restored(copy, store)
    with closing(opened(store)) as db:
        sessions(db, 1)
        newest, rows = db.execute("SELECT tx_no, rows FROM tx ORDER BY tx_no DESC LIMIT 1").fetchone()
        assert newest == 2 + AHEAD + 1
        assert chains.tx_end(db, newest)[1] == 5 >= rows
    assert len(waiting(store)) == 15


def test_the_store_tells_when_it_was_restored(store: Path, copy: Path) -> None:
    restored(copy, store)
    with closing(opened(store)) as db:
        newest = db.execute("SELECT boot_no, started_wall_ms, end_reason FROM boot ORDER BY boot_no DESC").fetchone()
    assert newest == (1 + AHEAD, NOW.timestamp() * 1000, "restored")


# --- what the present store holds alone


def test_what_only_the_present_store_holds_is_counted(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        site = StoredSite(db)
        # Of what is in the copy as well: one delivered, one parked since.
        (one, start), (_, other) = db.execute("SELECT tx_no, begin_seq FROM tx ORDER BY tx_no").fetchall()
        delivery.acknowledge(db, start, one, 1)
        delivery.park(db, other, 2, "FormationViolation", "", 1, 0)
        # Since then: one session that waits, one that is open and known to the CSMS, one of which it has all.
        sessions(db, 1, "B")
        charger, (connector,) = site.charger("C")
        running, begun = site.begin(charger, connector)
        delivery.acknowledge(db, begun, running, 1)
        delivery.learn_csms_tx(db, running, CsmsTransactionId("5"))
        ended, first = site.begin(charger, connector)
        last = site.end(ended)
        delivery.acknowledge(db, first, ended, 1)
        delivery.acknowledge(db, last, ended, 1)
    _, present, _ = restored(copy, store)
    assert (present.lost_messages, present.lost_sessions, present.is_same_site) == (5, 1, True)


def test_a_store_of_which_the_copy_knows_everything_loses_nothing(store: Path, copy: Path) -> None:
    _, present, following = restored(copy, store)
    assert (present.lost_messages, present.lost_sessions) == (0, 0)
    assert (following.already_sent, following.already_ended) == (0, 0)


# --- what does not travel back in time


def test_chargers_keep_the_numbers_that_they_have_now(store: Path, copy: Path) -> None:
    """A number that the CSMS knows for one box must never stand for another."""
    with closing(opened(store)) as db:
        site = StoredSite(db)
        site.charger("X", 2)
        site.charger("Y", 1)
        sessions(db, 1, "Y")
        old = connectors.charger(db, ChargerId("A"))
        new = connectors.enrol(db, ChargerId("Z"), connectors.KNOWN, "adopted")
        assert old is not None
        fleet.take_place(db, old.no, new)
        fleet.retire(db, old.no, new)
        now = [(one.upstream, one.charger, one.conn) for one in connectors.numbered(db)]
        states = {one.id: one.state for one in connectors.chargers(db)}
    restored(copy, store)
    with closing(opened(store)) as db:
        assert [(one.upstream, one.charger, one.conn) for one in connectors.numbered(db)] == now
        assert now == [(1, "Z", 1), (2, "X", 1), (3, "X", 2), (4, "Y", 1)]
        assert {one.id: one.state for one in connectors.chargers(db)} == states
        ends = db.execute("SELECT g.last_seq, (SELECT max(seq) FROM exchange WHERE peer = charger_no) FROM charger g")
        assert all(end == last for end, last in ends)
        sessions(db, 1, "Y")  # the chain of its rows begins anew, and verifies
    assert len(waiting(store)) == 15


def test_tokens_and_settings_are_as_they_are_now(store: Path, tmp_path: Path) -> None:
    """One that was blocked since must not charge again."""
    with closing(opened(store)) as db:
        tokens.learn(db, IdToken("LOST-CARD"), "Accepted", None, None, 1)
        boots.set_station_setting(db, "HeartbeatInterval", "60")
        boots.set_station_setting(db, "WebSocketPingInterval", "10")
        boots.keep_time(db, NOON, Trust.NTP)
    copy = copied(store, tmp_path / "copy.db")
    with closing(opened(store)) as db:
        tokens.learn(db, IdToken("LOST-CARD"), "Blocked", None, None, 2)
        tokens.learn(db, IdToken("NEW"), "Accepted", None, None, 2)
        boots.set_station_setting(db, "HeartbeatInterval", "90")
        boots.keep_time(db, NOON + timedelta(days=1), Trust.NTP)
    restored(copy, store)
    with closing(opened(store)) as db:
        assert db.execute("SELECT shown, status FROM token ORDER BY shown").fetchall() == [
            ("LOST-CARD", "Blocked"), ("NEW", "Accepted")
        ]  # fmt: skip
        assert boots.station_settings(db) == {"HeartbeatInterval": "90", "WebSocketPingInterval": "10"}
        assert boots.floor(db).vouched == NOON + timedelta(days=1)


def test_what_the_csms_has_got_since_is_not_sent_again(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        epoch = delivery.open_epoch(db, "depot", "ws://two", "1.6")
        one, two = (tx_no for (tx_no,) in db.execute("SELECT tx_no FROM tx ORDER BY tx_no"))
        for tx_no, some in ((one, 5), (two, 2)):
            for (seq,) in db.execute(
                "SELECT seq FROM exchange WHERE tx_no = ? ORDER BY seq LIMIT ?", (tx_no, some)
            ).fetchall():
                delivery.acknowledge(db, seq, tx_no, epoch)
            delivery.learn_csms_tx(db, tx_no, CsmsTransactionId(f"csms-{tx_no}"))
        transactions.csms_said(db, two, "Blocked", 7)
    expected = waiting(store)
    assert len(expected) == 3
    _, _, following = restored(copy, store)
    assert (following.already_sent, following.already_ended) == (7, 0)
    assert waiting(store) == expected
    with closing(opened(store)) as db:
        assert db.execute("SELECT upstream_tx, epoch_no, due, csms_verdict FROM tx ORDER BY tx_no").fetchall() == [
            ("csms-1", epoch, 0, None), ("csms-2", epoch, 1, "Blocked")
        ]  # fmt: skip
        message = delivery.message(db, min(expected))
        assert message is not None
        assert message.upstream_tx == "csms-2"
        assert delivery.open_epoch(db, "depot", "ws://two", "1.6") == epoch


def test_what_was_delivered_and_removed_since_is_not_sent_again(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        seqs = [seq for (seq,) in db.execute("SELECT seq FROM exchange WHERE tx_no = 1 ORDER BY seq")]
        for seq in seqs:
            delivery.acknowledge(db, seq, 1, 1)
        retention.remove(db, seqs[-1:], 0, 10**12)
    restored(copy, store)
    assert len(waiting(store)) == 5


def test_what_the_operator_dropped_since_waits_as_in_the_copy(store: Path, copy: Path) -> None:
    with closing(opened(store)) as db:
        start = db.execute("SELECT begin_seq FROM tx WHERE tx_no = 1").fetchone()[0]
        delivery.park(db, start, 1, "FormationViolation", "", 1, 0)
        parked.drop(db, start, moment(), "operator")
    _, _, following = restored(copy, store)
    assert following.already_sent == 0
    assert len(waiting(store)) == 10


def test_what_was_parked_in_the_copy_and_delivered_since_is_over(store: Path, tmp_path: Path) -> None:
    with closing(opened(store)) as db:
        start = db.execute("SELECT begin_seq FROM tx WHERE tx_no = 1").fetchone()[0]
        delivery.park(db, start, 1, "FormationViolation", "", 1, 0)
    copy = copied(store, tmp_path / "copy.db")
    with closing(opened(store)) as db:
        parked.retry(db, start, 1, moment(), "operator")
        for (seq,) in db.execute("SELECT seq FROM exchange WHERE tx_no = 1 AND relay = 1 ORDER BY seq").fetchall():
            delivery.acknowledge(db, seq, 1, 1)
    _, _, following = restored(copy, store)
    assert following.already_sent == 5
    with closing(opened(store)) as db:
        assert (report.backlog(db).messages, report.backlog(db).parked) == (5, 0)
    assert len(waiting(store)) == 5


def test_a_session_that_has_ended_since_is_not_open_again(store: Path, tmp_path: Path) -> None:
    with closing(opened(store)) as db:
        site = StoredSite(db)
        charger, first = site.charger("C", 2)
        told, untold = (site.begin(charger, connector) for connector in first)
    copy = copied(store, tmp_path / "copy.db")
    with closing(opened(store)) as db:
        site.db = db
        for tx_no, begun in (told, untold):
            delivery.acknowledge(db, begun, tx_no, 1)
            delivery.learn_csms_tx(db, tx_no, CsmsTransactionId("5"))
        delivery.acknowledge(db, site.end(told[0]), told[0], 1)
        site.end(untold[0])
    _, present, following = restored(copy, store)
    assert (present.lost_messages, following.already_sent, following.already_ended) == (1, 2, 1)
    with closing(opened(store)) as db:
        assert [one.no for one in transactions.open_of(db, charger)] == [untold[0]]
        one = report.session(db, told[0])
        assert one is not None
        assert (one.state, one.meter_stop_wh, one.end_reason) == ("ended", 5000, "Local")
        assert db.execute("SELECT due FROM tx WHERE tx_no = ?", told[:1]).fetchone() == (0,)
    waiting(store)


# --- another past


def test_the_chargers_of_another_site_are_not_mixed_in(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(opened(other)) as db:
        boots.begin(db, NOON + timedelta(hours=1), 1, "ntp")
        sessions(db, 1, "ELSEWHERE", padding=1)
    _, present, following = restored(copied(other, tmp_path / "copy.db"), store)
    assert (present.is_same_site, present.lost_messages) == (False, 10 - 1)  # one start is equal in all of it
    assert following.unknown_since_ms == MADE.timestamp() * 1000
    with closing(opened(store)) as db:
        assert [one.id for one in connectors.chargers(db)] == ["ELSEWHERE"]


@pytest.mark.parametrize("told_first", [("B", "A"), ("A", "B")])
def test_a_store_that_began_anew_after_the_loss_is_not_mixed_in_although_its_chargers_are_the_same(
    store: Path, copy: Path, told_first: tuple[str, str]
) -> None:
    """The disk died, the daemon began with an empty store, and only then the backup was found."""
    with closing(opened(store)) as db:
        StoredSite(db).charger("B", 2)
    older = copied(store, copy)
    store.unlink()
    with closing(opened(store)) as db:
        boots.begin(db, NOON + timedelta(hours=1), 1, "ntp")
        site = StoredSite(db)
        for name in ("A", "B"):
            connectors.enrol(db, ChargerId(name), connectors.KNOWN, "file")
        delivery.open_epoch(db, "depot", "ws://one", "1.6")
        for name in told_first:  # what connectors it has
            site.charger(name, {"A": 1, "B": 2}[name])
        for _ in range(20):
            exchange.append(db, a_row(peer=0))
    _, present, _ = restored(older, store)
    assert not present.is_same_site
    with closing(opened(store)) as db:
        assert [(one.upstream, one.charger) for one in connectors.numbered(db)] == [(1, "A"), (2, "B"), (3, "B")]
        assert {connectors.by_no(db, no).charger for (no,) in db.execute("SELECT connector_no FROM tx")} == {"A"}


@pytest.mark.parametrize("difference", ["charger", "number", "cloud"])
def test_two_that_went_different_ways_from_one_copy_take_nothing_from_each_other(
    store: Path, copy: Path, tmp_path: Path, difference: str
) -> None:
    second = tmp_path / "second" / "edge.db"
    second.parent.mkdir()
    shutil.copy(copy, second)
    for path, name, url in ((store, "L", "ws://left"), (second, "R", "ws://right")):
        with closing(opened(path)) as db:
            site = StoredSite(db)
            match difference:
                case "charger":
                    site.charger(name)
                case "number":
                    for one in ("L", "R"):
                        connectors.enrol(db, ChargerId(one), connectors.KNOWN, "file")
                    numbers = {one: connectors.charger(db, ChargerId(one)).no for one in ("L", "R")}
                    connectors.add(db, numbers["L"], 1, 1)
                    connectors.add(db, numbers["R"], 1, 1)
                    for one in ("L", "R") if name == "L" else ("R", "L"):
                        connectors.give_numbers(db, numbers[one])
                case "cloud":
                    delivery.open_epoch(db, "depot", url, "1.6")
    with closing(opened(second)) as db:
        mine = [(one.upstream, one.charger) for one in connectors.numbered(db)]
    _, present, _ = restored(copied(second, tmp_path / "of-second.db"), store)
    assert not present.is_same_site
    with closing(opened(store)) as db:
        assert [(one.upstream, one.charger) for one in connectors.numbered(db)] == mine


def test_what_was_stored_before_a_restore_was_given_up_is_still_sent_after_it(store: Path, copy: Path) -> None:
    """Restored by mistake, went on for a while, and then put back what was there before."""
    with closing(opened(store)) as db:
        site = StoredSite(db)
        charger, (connector,) = site.charger("A")
        running, _ = site.begin(charger, connector)
    copied(store, copy)
    with closing(opened(store)) as db:
        site.db = db
        for _ in range(3):
            site.say(running, "MeterValues")
    before = waiting(store)
    restored(copy, store)
    with closing(opened(store)) as db:
        site.db = db
        site.say(running, "MeterValues")
        site.end(running)
        for lane in delivery.lanes(db).values():
            for one in lane:
                (tx_no,) = db.execute("SELECT tx_no FROM exchange WHERE seq = ?", (one.seq,)).fetchone()
                delivery.acknowledge(db, one.seq, tx_no, 1)
        delivered = len(before) - 3
    assert waiting(store) == set()
    _, present, following = restored(kept(store), store)
    assert (present.lost_messages, following.already_sent, following.already_ended) == (0, delivered, 1)
    assert len(waiting(store)) == 3
