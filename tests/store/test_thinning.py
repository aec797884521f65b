"""Meter values that make way when the store is filling: which, when, and what must stay true of the rest."""

import random
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.ids import TransactionNo
from edge.store import capacity, chains, delivery, exchange, report, retention, thinning, transactions
from edge.store.capacity import Level
from edge.store.exchange import Kind
from edge.store.migration import StoreForeign, migrate, schema_files
from tests.simulation.world import folder_in_memory
from tests.store.givens import NOON, StoredSite, after_power_cut, moment, opened
from tests.store.history import History, assert_sound, ms, value

MINUTE = 60.0
HUGE = 1_000_000


@pytest.fixture
def history(site: StoredSite) -> History:
    return History(site)


@pytest.fixture
def place(history: History) -> tuple:
    charger, (connector,) = history.charger("A")
    return charger, connector


def at_level(db: sqlite3.Connection, level: Level) -> None:
    capacity.tell(db, HUGE, level)


def say_values(history: History, tx_no: TransactionNo, at: float, **more: str) -> int | None:
    """As intake does it: asked for, then stored."""
    payload = value(NOON + timedelta(seconds=at), **more)  # type: ignore[arg-type]
    if not thinning.admits(history.db, tx_no, payload, moment(at)):
        return None
    return history._of(tx_no, at, "MeterValues", payload)


def minutes_of(history: History, tx_no: TransactionNo) -> list[float]:
    """When the values that are left were taken, in minutes."""
    rows = [exchange.load(history.db, seq) for seq in history.of(tx_no)]
    return [
        history.said[row.seq] / MINUTE for row in rows if row is not None and row.relay and row.action == "MeterValues"
    ]


def thinned(db: sqlite3.Connection, tx_no: TransactionNo) -> int:
    thinning.settle(db)
    return int(db.execute("SELECT thinned FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()[0])


# --- while it comes in


@pytest.mark.parametrize("level", [Level.GREEN, Level.YELLOW])
def test_all_values_are_stored_while_there_is_room(history: History, place: tuple, level: Level) -> None:
    at_level(history.db, level)
    tx_no = history.begin(0, place)
    for minute in range(40):
        assert say_values(history, tx_no, minute * MINUTE) is not None
    assert minutes_of(history, tx_no) == list(range(40))


def test_one_value_in_15_minutes_stays_and_always_the_newest(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    for minute in range(41):
        say_values(history, tx_no, minute * MINUTE)
        assert minutes_of(history, tx_no)[-1] == minute
    assert minutes_of(history, tx_no) == [0, 15, 30, 40]
    history.end(tx_no, 41 * MINUTE)
    assert thinned(history.db, tx_no) == 37
    assert history.db.execute("SELECT count(*) FROM gap").fetchone()[0] <= 5
    history.assert_sound()


def test_thinning_begins_with_what_comes_and_says_so_once(history: History, place: tuple) -> None:
    tx_no = history.begin(0, place)
    for minute in range(5):
        say_values(history, tx_no, minute * MINUTE)
    at_level(history.db, Level.ORANGE)
    for minute in range(5, 20):
        say_values(history, tx_no, minute * MINUTE)
    assert minutes_of(history, tx_no) == [0, 1, 2, 3, 18, 19]
    decisions = [row for row in rows_of(history, tx_no) if row.kind is Kind.DECISION]
    assert len(decisions) == 1
    assert report.notes_of(decisions[0])[0]["rule"] == "values_thinned"


def rows_of(history: History, tx_no: TransactionNo) -> list[exchange.Exchange]:
    last_seq, _ = chains.tx_end(history.db, tx_no)
    return list(exchange.of_transaction(history.db, tx_no, last_seq))


@pytest.mark.parametrize(
    "more", [{"context": "Transaction.Begin"}, {"context": "Trigger"}, {"format": "SignedData"}, {"value": "OCMF|{}"}]
)
@pytest.mark.parametrize("level", [Level.ORANGE, Level.RED])
def test_what_was_taken_for_a_reason_or_signed_is_stored_and_stays(
    history: History, place: tuple, level: Level, more: dict[str, str]
) -> None:
    at_level(history.db, level)
    tx_no = history.begin(0, place)
    for minute in range(10):
        assert say_values(history, tx_no, minute * MINUTE, **more) is not None
    assert minutes_of(history, tx_no) == list(range(10))


def test_clock_aligned_values_are_thinned_among_themselves(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    for minute in range(31):
        say_values(history, tx_no, minute * MINUTE)
        if minute % 15 == 0:
            say_values(history, tx_no, minute * MINUTE + 1, context="Sample.Clock")
    clock = [minute for minute in minutes_of(history, tx_no) if minute % 1]
    assert clock == pytest.approx([1 / 60, 15 + 1 / 60, 30 + 1 / 60])


def test_values_that_a_charger_had_kept_are_thinned_by_their_own_times(history: History, place: tuple) -> None:
    """All of them come within a second, after it was away for hours."""
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    for number in range(24):
        payload = value(NOON + timedelta(minutes=10 * number))
        assert thinning.admits(history.db, tx_no, payload, moment(number / 100))
        history._of(tx_no, number / 100, "MeterValues", payload)
    assert len(minutes_of(history, tx_no)) == 13  # one in 20 minutes, and the newest


def test_values_without_a_clock_are_thinned_by_when_they_came(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    for minute in range(20):
        payload = value(NOON.replace(year=1970) if minute % 2 else None)
        assert thinning.admits(history.db, tx_no, payload, moment(minute * MINUTE))
        history._of(tx_no, minute * MINUTE, "MeterValues", payload)
    assert minutes_of(history, tx_no) == [0, 15, 19]


def test_the_first_that_waits_stays_because_it_may_be_on_its_way(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    say_values(history, tx_no, 0)
    history.deliver(tx_no, 1)
    on_its_way = say_values(history, tx_no, MINUTE)
    for minute in range(2, 12):
        say_values(history, tx_no, minute * MINUTE)
    assert history.waiting(tx_no)[0] == on_its_way
    history.assert_sound()


def test_a_parked_transaction_keeps_its_values(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    tx_no = history.begin(0, place)
    delivery.park(history.db, history.of(tx_no)[0], tx_no, "FormationViolation", "no", 3, ms(0))
    for minute in range(10):
        say_values(history, tx_no, minute * MINUTE)
    assert len(minutes_of(history, tx_no)) == 10
    assert history.thin() == 0


def test_when_it_is_all_but_full_values_are_counted_and_not_stored(history: History, place: tuple) -> None:
    tx_no = history.begin(0, place)
    say_values(history, tx_no, 0)
    at_level(history.db, Level.RED)
    for minute in range(1, 6):
        assert say_values(history, tx_no, minute * MINUTE) is None
    history.end(tx_no, 400)
    assert minutes_of(history, tx_no) == [0]
    assert thinned(history.db, tx_no) == 5
    assert thinning.total(history.db) == 5
    history.assert_sound()


def test_when_it_is_all_but_full_rows_that_only_tell_are_not_stored(history: History, place: tuple) -> None:
    tx_no = history.begin(0, place)
    at_level(history.db, Level.RED)
    before = history.seqs()
    history.note(tx_no, 1)
    history.row(2, 1, "BootNotification")
    assert history.seqs() == before
    other = history.begin(3, place)
    history.end(other, 4)
    assert len(history.of(other)) == 2
    history.assert_sound()


def test_a_stream_of_values_outside_of_transactions_is_thinned_as_well(history: History, place: tuple) -> None:
    at_level(history.db, Level.ORANGE)
    charger, connector = place
    stream = transactions.meter_stream(history.db, charger, connector, exchange.peek_seq(history.db))
    history.site.charger_of[stream], history.site.connector_of[stream] = charger, connector
    for minute in range(31):
        say_values(history, stream, minute * MINUTE)
    assert minutes_of(history, stream) == [0, 15, 30]
    history.assert_sound()


# --- what was stored before


def test_of_what_waits_one_value_in_15_minutes_stays(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=60)
    for _ in range(2):
        history.thin()
        assert minutes_of(history, tx_no) == [1, 16, 31, 46, 60]
        history.assert_sound()
    assert thinned(history.db, tx_no) == 55


def test_thinning_in_parts_is_the_same(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=60)
    history.thin(part=7)
    assert minutes_of(history, tx_no) == [1, 16, 31, 46, 60]


def test_the_oldest_transaction_is_thinned_first(history: History, place: tuple) -> None:
    charger, connectors = history.charger("B", 2)
    first, second = (history.session(at, (charger, one), values=5) for at, one in zip((0, 1), connectors, strict=True))
    assert thinning.waiting(history.settled()) == [first, second]


def test_a_message_on_its_way_is_not_removed_by_what_was_decided_before(history: History, place: tuple) -> None:
    """Between the look and the unit the CSMS has taken the ones before it."""
    tx_no = history.session(0, place, values=20)
    values = thinning.waiting_values(history.settled(), tx_no)
    going = thinning.Sieve().superfluous(history.db, values)
    history.deliver(tx_no, 2000, most=5)
    on_its_way = history.waiting(tx_no)[0]
    assert on_its_way in going
    assert thinning.leave_out(history.db, tx_no, going, moment(2000)) > 0
    assert history.waiting(tx_no)[0] == on_its_way
    history.deliver(tx_no, 3000)
    assert history.db.execute("SELECT due FROM tx WHERE tx_no = ?", (tx_no,)).fetchone() == (0,)
    history.assert_sound()


def test_what_was_parked_or_delivered_since_the_look_stays(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=20)
    going = thinning.Sieve().superfluous(history.db, thinning.waiting_values(history.settled(), tx_no))
    delivery.park(history.db, history.of(tx_no)[0], tx_no, "FormationViolation", "no", 3, ms(0))
    assert thinning.leave_out(history.db, tx_no, going, moment(0)) == 0
    assert thinning.waiting_values(history.db, TransactionNo(99)) == []


def test_the_stop_is_not_taken_for_delivered_because_values_went(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=30)
    history.deliver(tx_no, 3000, most=2)
    history.thin()
    history.deliver(tx_no, 3000, most=len(history.waiting(tx_no)) - 1)
    assert history.db.execute("SELECT due FROM tx WHERE tx_no = ?", (tx_no,)).fetchone() == (1,)
    assert [one.is_start_or_stop for one in delivery.lanes(history.db)[1]] == [True]


def test_whoever_keeps_a_list_of_what_waits_is_told_what_went(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=20)
    before = set(history.waiting(tx_no))
    history.thin()
    assert set(thinning.settle(history.db)) == before - set(history.waiting(tx_no))
    assert thinning.settle(history.db) == []


def test_a_session_tells_how_many_values_are_missing(history: History, place: tuple) -> None:
    tx_no = history.session(0, place, values=20)
    history.thin()
    thinning.settle(history.db)
    one = report.session(history.settled(), tx_no)
    assert one is not None
    assert one.thinned == 17


def test_a_program_that_knows_no_gaps_is_kept_from_a_file_in_which_something_waits_behind_them(
    history: History, place: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    tx_no = history.session(0, place, values=20)
    history.thin()
    chains.settle(history.db)
    first_release = [one for one in schema_files() if one[0] == 1]
    monkeypatch.setattr("edge.store.migration.schema_files", lambda: first_release)
    with pytest.raises(StoreForeign, match="install the newer program again"):
        migrate(history.db)
    history.deliver(tx_no, 3000)
    thinning.let_older_programs_read(history.db)
    migrate(history.db)


def test_a_file_whose_gaps_do_not_matter_may_be_read_by_the_program_before(history: History, place: tuple) -> None:
    tx_no = history.session(0, place)
    history.deliver(tx_no, 300)
    history.remove_older(None)
    assert history.db.execute("SELECT value FROM meta WHERE key = 'min_reader'").fetchone() == (1,)


# --- all at once


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_in_any_history_nothing_is_lost_that_must_stay(seed: int) -> None:
    """Sessions, deliveries, parkings, removals, levels and power cuts in any order, against a model of what must stay."""
    with folder_in_memory() as folder:
        _Life(random.Random(seed), folder).run()


class _Life:
    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance = chance
        self.folder = folder
        self.path = folder / "edge.db"
        self.history = History(StoredSite(opened(self.path)))
        charger, both = self.history.charger("A", 2)
        other, (single,) = self.history.charger("B")
        self.places = [(charger, both[0]), (charger, both[1]), (other, single)]
        self.at = 0.0
        self.open: list[TransactionNo] = []
        self.ended: list[TransactionNo] = []
        self.to_stay: dict[int, str] = {}
        """Starts, stops and values taken for a reason, until they are delivered: number and text."""
        self.delivered: set[int] = set()
        self.order: dict[TransactionNo, int] = {}
        """The last message of each transaction that the CSMS got."""

    @property
    def db(self) -> sqlite3.Connection:
        return self.history.db

    def run(self) -> None:
        self.db.execute("BEGIN")
        for _ in range(self.chance.randrange(20, 120)):
            self.at += self.chance.choice([1, 30, 60, 600, 3600, 86_400])
            self.step()
            if self.chance.random() < 0.1:
                self.check()
            if self.chance.random() < 0.04:
                self.power_cut()
        self.check()
        at_level(self.db, Level.GREEN)
        for tx_no in self.open + self.ended:
            self.deliver(tx_no, 1000)
        self.check()
        parked = {seq for tx_no in self.parked() for seq in self.pending(tx_no)}
        assert set(self.to_stay) - parked == set()
        self.db.execute("COMMIT")
        self.db.close()

    def step(self) -> None:
        history, chance = self.history, self.chance
        match chance.randrange(12):
            case 0 | 1 if len(self.open) < 4:
                tx_no = history.begin(self.at, chance.choice(self.places))
                self.open.append(tx_no)
                self.stays(history.of(tx_no)[0])
            case 2 if self.open:
                tx_no = self.open.pop(chance.randrange(len(self.open)))
                self.stays(history.end(tx_no, self.at))
                self.ended.append(tx_no)
            case 3 | 4 | 5 if self.open:
                tx_no = chance.choice(self.open)
                for _ in range(chance.randrange(1, 20)):
                    self.at += 60
                    context = chance.choice(["Sample.Periodic"] * 8 + ["Trigger", "Sample.Clock"])
                    seq = say_values(history, tx_no, self.at, context=context)
                    if context == "Trigger":
                        assert seq is not None
                        self.stays(seq)
            case 6 if self.open or self.ended:
                self.deliver(chance.choice(self.open + self.ended), chance.randrange(30))
            case 7:
                history.row(self.at, chance.randrange(3), "StatusNotification")
            case 8 if self.ended and chance.random() < 0.3:
                tx_no = chance.choice(self.ended)
                if waiting := history.waiting(tx_no):
                    delivery.park(self.db, waiting[0], tx_no, "FormationViolation", "no", 3, ms(self.at))
            case 9:
                history.remove_older(chance.choice([None, self.at - 3600, self.at - 86_400]), now=self.at)
            case 10:
                history.thin(self.at, part=chance.choice([3, 100]))
            case _:
                at_level(self.db, chance.choice(list(Level)))
                retention.forget_sessions(self.db, ms(self.at - chance.choice([0.0, 1e6])))

    def stays(self, seq: int) -> None:
        row = exchange.load(self.db, seq)
        assert row is not None
        self.to_stay[seq] = row.text

    def parked(self) -> list[int]:
        return [tx_no for (tx_no,) in self.db.execute("SELECT tx_no FROM tx WHERE parked_seq IS NOT NULL")]

    def pending(self, tx_no: int) -> list[int]:
        acked = self.db.execute("SELECT acked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()[0]
        return [
            seq for seq, _ in exchange.pending(self.db, chains.tx_end(self.db, TransactionNo(tx_no))[0] or 0, acked)
        ]

    def deliver(self, tx_no: TransactionNo, most: int) -> None:
        known = self.db.execute("SELECT parked_seq FROM tx WHERE tx_no = ?", (tx_no,)).fetchone()
        if known is None or known[0] is not None:
            return
        waiting = self.history.waiting(tx_no)[:most]
        assert waiting == sorted(waiting)
        assert not waiting or waiting[0] > self.order.get(tx_no, 0)
        for seq in waiting:
            row = exchange.load(self.db, seq)
            assert row is not None
            assert exchange.is_intact(self.db, row)
            text = self.to_stay.pop(seq, None)
            assert text is None or text == row.text
        self.history.deliver(tx_no, self.at, most)
        if waiting:
            self.order[tx_no] = waiting[-1]

    def check(self) -> None:
        present = dict(self.db.execute("SELECT seq, text FROM exchange"))
        missing = {seq for seq, text in self.to_stay.items() if present.get(seq) != text}
        assert missing == set()
        for tx_no in self.open:
            waiting = self.history.waiting(tx_no)
            assert waiting == [seq for seq in self.history.of(tx_no) if seq in waiting]
        self.history.assert_sound()

    def power_cut(self) -> None:
        self.db.execute("COMMIT")
        copy = after_power_cut(self.path, self.folder / f"{self.at}")
        self.db.close()
        self.path, self.history.site.db = copy, opened(copy)
        self.history.assert_sound()
        self.db.execute("BEGIN")


def test_a_power_cut_costs_no_count_of_rows(history: History, place: tuple, path: Path, tmp_path: Path) -> None:
    """Thinned since the last settling, and before it."""
    tx_no = history.session(0, place, values=30)
    chains.settle(history.db)
    history.thin()
    at_level(history.db, Level.ORANGE)
    other = history.begin(5000, place)
    for minute in range(20):
        say_values(history, other, 5000 + minute * MINUTE)
    before = {one: history.waiting(one) for one in (tx_no, other)}
    with closing(opened(after_power_cut(path, tmp_path / "copy"))) as db:
        again = History(StoredSite(db))
        assert {one: again.waiting(one) for one in (tx_no, other)} == before
        assert_sound(db)
