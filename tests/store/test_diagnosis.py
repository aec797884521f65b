"""The rows that a diagnosis looks at: bounded, by the chains, without what is harmless."""

from collections.abc import Iterable
from typing import Any

import pytest

from edge.domain.ids import TransactionNo
from edge.ocppj.frames import encode_json
from edge.store import chains, delivery, diagnosis, exchange, report
from edge.store.diagnosis import Looked
from edge.store.exchange import Kind
from tests.store.givens import StoredSite
from tests.store.history import History, ms

HARMLESS = ("null_member",)


def notes(*rules: str) -> str:
    return encode_json([{"rule": rule, "message": "m"} for rule in rules])


@pytest.fixture
def history(site: StoredSite) -> History:
    return History(site)


def look(history: History, charger: int, since: float = -1e6, most: int = 100) -> Looked:
    db = history.settled()
    last = db.execute("SELECT last_seq FROM charger WHERE charger_no = ?", (charger,)).fetchone()[0]
    return diagnosis.of_peer(db, last, ms(since), most, HARMLESS)


def seqs(rows: Iterable[Any]) -> list[int]:
    return [row.seq for row in rows]


def test_only_rows_that_may_tell_something_are_loaded(history: History) -> None:
    charger, (connector,) = history.charger("A")
    tx_no = history.begin(0, (charger, connector))
    start = history.seqs()[-1]
    history.values(tx_no, 10)
    history.row(11, charger, "MeterValues", notes=notes("null_member"))
    odd = history.row(12, charger, "MeterValues", notes=notes("null_member", "values_after_stop"))
    refused = history.row(13, charger, "Authorize", answer='[ 4,"m","FormationViolation","x",{}]')
    history.row(14, charger, "Authorize", answer='[3,"m",{"a":4}]')
    broken = history.row(15, charger, "Authorize", notes="[no json")
    ours = history.row(16, charger, "Reset", kind=Kind.OUR_CALL)
    no = exchange.append(history.db, _answer(charger, '[4,"m","InternalError","",{}]'))
    exchange.append(history.db, _answer(charger, '[3,"m",{}]'))
    stop = history.end(tx_no, 20)
    assert seqs(look(history, charger).rows) == [start, odd, refused, ours, no, stop]
    assert broken not in seqs(look(history, charger).rows)


def _answer(peer: int, text: str) -> exchange.NewExchange:
    from tests.store.givens import a_row

    return a_row(text, peer, Kind.CSMS_ANSWER, action="MeterValues", cause_seq=1, notes='{"sent_ms":1}')


def test_a_look_ends_at_its_time_and_says_so_when_it_ended_before(history: History) -> None:
    charger, _ = history.charger("A")
    rows = [history.row(at, charger, "Reset", kind=Kind.OUR_CALL) for at in range(10)]
    assert (seqs(look(history, charger, 4).rows), look(history, charger, 4).is_cut) == (rows[4:], False)
    cut = look(history, charger, 4, most=3)
    assert (seqs(cut.rows), cut.is_cut) == (rows[-3:], True)
    whole = look(history, charger, most=10)
    assert (seqs(whole.rows), whole.is_cut) == (rows, False)


def test_another_chargers_rows_are_not_looked_at(history: History) -> None:
    (one, _), (other, _) = history.charger("A"), history.charger("B")
    mine = history.row(1, one, "Reset", kind=Kind.OUR_CALL)
    history.row(2, other, "Reset", kind=Kind.OUR_CALL)
    assert seqs(look(history, one).rows) == [mine]


def test_a_look_steps_over_rows_that_were_removed(history: History) -> None:
    charger, (connector,) = history.charger("A")
    before = history.row(0, charger, "Reset", kind=Kind.OUR_CALL, notes=notes("x"))
    tx_no = history.session(10, (charger, connector))
    history.deliver(tx_no, 400)
    after = history.row(500, charger, "Reset", kind=Kind.OUR_CALL)
    from edge.store import gaps

    gaps.remove(history.settled(), history.of(tx_no))
    assert seqs(look(history, charger).rows) == [before, after]
    cut = look(history, charger, most=2)
    assert (seqs(cut.rows), cut.is_cut) == ([after], True)


def test_a_session_is_looked_at_with_what_its_charger_had_around_it(history: History) -> None:
    charger, (one, two) = history.charger("A", 2)
    history.row(0, charger, "Reset", kind=Kind.OUR_CALL)
    asked = history.row(900, charger, "Reset", kind=Kind.OUR_CALL)
    tx_no = history.begin(1000, (charger, one))
    other = history.begin(1010, (charger, two))
    between = history.row(1020, charger, "Reset", kind=Kind.OUR_CALL)
    history.end(tx_no, 1100)
    after = history.row(1150, charger, "Reset", kind=Kind.OUR_CALL)
    history.row(2000, charger, "Reset", kind=Kind.OUR_CALL)
    found = report.session(history.settled(), tx_no)
    assert found is not None
    looked = diagnosis.of_session(history.db, found, 100, HARMLESS)
    beside = [row.seq for row in looked.rows if row.tx_no is None]
    assert (beside, looked.is_cut) == ([asked, between, after], False)
    assert {row.tx_no for row in looked.rows} == {None, tx_no, other}


def test_what_is_parked_is_told_with_its_reason(history: History) -> None:
    charger, (connector,) = history.charger("A")
    tx_no = history.begin(0, (charger, connector))
    (start,) = history.of(tx_no)
    delivery.park(history.db, start, tx_no, "PropertyConstraintViolation", "no", 3, ms(9))
    (one,) = diagnosis.parked(history.settled())
    assert (one.seq, one.tx_no, one.is_session, one.is_orphan, one.charger_no) == (start, tx_no, True, False, charger)
    assert (one.code, one.description, one.wall_ms) == ("PropertyConstraintViolation", "no", ms(9))


def test_open_sessions_of_a_charger_are_found(history: History) -> None:
    charger, (connector,) = history.charger("A")
    ended, still = history.session(0, (charger, connector)), history.begin(900, (charger, connector))
    assert diagnosis.open_of(history.settled(), charger) == [still]
    assert [one.tx_no for one in diagnosis.sessions(history.db, {ended, still, TransactionNo(99)})] == [ended, still]


def test_the_stations_own_rows_are_found(history: History) -> None:
    assert diagnosis.station_end(history.settled()) is None
    row = history.row(1, 0, "Reset", kind=Kind.CSMS_CALL)
    assert diagnosis.station_end(history.settled()) == row


def test_no_look_walks_through_a_table_that_grows(history: History) -> None:
    charger, (connector,) = history.charger("A")
    tx_no = history.session(0, (charger, connector))
    found = report.session(history.settled(), tx_no)
    assert found is not None
    ran: list[str] = []
    history.db.set_trace_callback(ran.append)
    diagnosis.of_session(history.db, found, 100, HARMLESS)
    diagnosis.open_of(history.db, charger)
    diagnosis.parked(history.db)
    history.db.set_trace_callback(None)
    steps = [
        step[3]
        for text in dict.fromkeys(ran)
        if not text.startswith("--")
        for step in history.db.execute("EXPLAIN QUERY PLAN " + text)
    ]
    walks = [step for step in steps if step.startswith(("SCAN exchange", "SCAN e", "SCAN tx"))]
    assert [step for step in walks if "USING INDEX tx_" not in step] == [], steps


def test_damage_in_a_row_does_not_end_the_look(history: History) -> None:
    charger, _ = history.charger("A")
    row = history.row(1, charger, "Reset", kind=Kind.OUR_CALL)
    chains.settle(history.db)
    history.db.execute("UPDATE exchange SET text = CAST(x'ff5b' AS TEXT) WHERE seq = ?", (row,))
    assert seqs(look(history, charger).rows) == [row]
