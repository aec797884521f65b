"""Connectors change hands, chargers retire and come back: numbers stay, and nobody gets what another box said."""

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.events import ChargerBooted
from edge.domain.ids import ChargerId, ChargerNo, IdToken
from edge.store import chains, connectors, delivery, exchange, fleet, orders, remote_starts, report, transactions
from edge.store.connectors import KNOWN, RETIRED
from edge.store.migration import schema_files, statements
from tests.simulation.world import folder_in_memory
from tests.store.givens import StoredSite, moment, opened


def enrolled(db: sqlite3.Connection, name: str) -> ChargerNo:
    return connectors.enrol(db, ChargerId(name), KNOWN, "adopted")


def places(db: sqlite3.Connection) -> dict[int, tuple[str, int]]:
    """(Charger, its own number) by upstream number."""
    return {one.upstream: (one.charger, one.conn) for one in connectors.numbered(db)}


def known(db: sqlite3.Connection, no: ChargerNo) -> connectors.Charger:
    found = connectors.charger_by_no(db, no)
    assert found is not None
    return found


# --- taking a place


def test_connectors_move_by_the_chargers_own_numbers(site: StoredSite) -> None:
    old, _ = site.charger("OLD", 2)
    site.charger("OTHER", 1)
    new = enrolled(site.db, "NEW")
    moved = fleet.take_place(site.db, old, new)
    assert [(one.conn, one.upstream) for one in moved] == [(1, 1), (2, 2)]
    assert places(site.db) == {1: ("NEW", 1), 2: ("NEW", 2), 3: ("OTHER", 1)}
    assert connectors.connectors_of(site.db, old) == []
    assert known(site.db, old).connectors is None


def test_a_connector_that_the_new_one_has_named_changes_hands_with_what_waits_there(site: StoredSite) -> None:
    old, (first, second) = site.charger("OLD", 2)
    new = enrolled(site.db, "NEW")
    own = connectors.add(site.db, new, 2, 2)
    connectors.set_status(site.db, second, '{"status":"Charging"}', 1)
    connectors.set_status(site.db, first, '{"status":"Faulted"}', 1)
    connectors.set_wish(site.db, second, "Inoperative")
    connectors.set_status(site.db, own, '{"status":"Available"}', 2)
    stream = transactions.meter_stream(site.db, new, own, exchange.peek_seq(site.db))
    site.connector_of[stream], site.charger_of[stream] = own, new
    seq = site.say(stream, "MeterValues")
    assert delivery.lanes(site.db) == {}
    fleet.take_place(site.db, old, new)
    assert delivery.lanes(site.db) == {2: [delivery.Waiting(seq, is_start_or_stop=False)]}
    message = delivery.message(site.db, seq)
    assert message is not None
    assert message.upstream_connector == 2
    here = connectors.connector(site.db, new, 2)
    assert here is not None
    # Its own status, not that of the box before; what the cloud wants of the connector stays.
    assert (here.no, here.status, here.wish) == (second, '{"status":"Available"}', "Inoperative")
    without = connectors.connector(site.db, new, 1)
    assert without is not None
    assert without.status is None
    assert [(one.no, one.upstream) for one in connectors.connectors_of(site.db, old)] == [(own, None)]
    assert report.connector_numbers(site.db)[own] == 2  # so the journal still names it


def test_an_open_session_of_the_old_box_takes_nothing_of_the_new_one(site: StoredSite) -> None:
    old, (connector,) = site.charger("OLD")
    tx_no, _ = site.begin(old, connector)
    old_stream = transactions.meter_stream(site.db, old, connector, 1)
    new = enrolled(site.db, "NEW")
    fleet.take_place(site.db, old, new)
    assert transactions.open_on(site.db, connector) is None
    assert report.open_sessions(site.db) == {}
    assert transactions.open_of(site.db, new) == []
    assert fleet.open_sessions(site.db, old) == [tx_no]
    new_stream = transactions.meter_stream(site.db, new, connector, 2)
    assert new_stream != old_stream
    mine, _ = site.begin(new, connector, "OTHER")
    found = transactions.open_on(site.db, connector)
    assert found is not None
    assert found.no == mine
    assert report.open_sessions(site.db) == {connector: mine}
    chains.settle(site.db)
    shown = {
        one.tx_no: (one.charger, one.upstream_connector)
        for one in report.sessions(site.db, only_open=True, charger=None, since_ms=None)
    }
    assert shown == {tx_no: ("OLD", 1), mine: ("NEW", 1)}


def test_only_sessions_on_connectors_of_its_own_count(site: StoredSite) -> None:
    old, (connector,) = site.charger("OLD")
    site.begin(old, connector)
    new = enrolled(site.db, "NEW")
    own = connectors.add(site.db, new, 1, 1)
    assert fleet.has_sessions_of_its_own(site.db, old)
    assert not fleet.has_sessions_of_its_own(site.db, new)
    site.begin(new, own)
    assert fleet.has_sessions_of_its_own(site.db, new)
    fleet.take_place(site.db, old, new)
    assert not fleet.has_sessions_of_its_own(site.db, old)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_numbers_are_without_gaps_and_never_change_their_row_however_chargers_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    with folder_in_memory() as folder:
        db = opened(Path(folder) / "edge.db")
        before: dict[int, int] = {}
        chargers = [enrolled(db, f"cp-{number}") for number in range(5)]
        for _ in range(30):
            one, other = chance.sample(chargers, 2)
            match chance.randrange(5):
                case 0:
                    connectors.count(db, one, chance.randrange(0, 4))
                case 1:
                    conn = chance.randrange(1, 5)
                    if connectors.connector(db, one, conn) is None:
                        connectors.add(db, one, chance.randrange(1, 3), conn)
                case 2:
                    connectors.give_numbers(db, one)
                case 3:
                    fleet.retire(db, one)
                case 4:
                    if all(each.upstream is None for each in connectors.connectors_of(db, other)):
                        fleet.take_place(db, one, other)
                        assert all(each.upstream is None for each in connectors.connectors_of(db, one))
            now = {int(each.upstream or 0): int(each.no) for each in connectors.numbered(db)}
            assert sorted(now) == list(range(1, len(now) + 1))
            assert before.items() <= now.items()
            for charger in chargers:
                conns = [each.conn for each in connectors.connectors_of(db, charger)]
                assert len(set(conns)) == len(conns) and all(conn > 0 for conn in conns)
            before = now
        db.close()


# --- retiring and coming back


def test_a_retired_charger_keeps_its_numbers_and_loses_what_it_was_to_start(site: StoredSite) -> None:
    no, _ = site.charger("A", 2)
    remote_starts.expect(site.db, "r", no, 1, IdToken("T"), remote_starts.OPERATOR, 10**15)
    fleet.retire(site.db, no)
    assert known(site.db, no).state == RETIRED
    assert places(site.db) == {1: ("A", 1), 2: ("A", 2)}
    assert remote_starts.take(site.db, no, 1, IdToken("T"), 1) is None
    assert connectors.enrol_listed(site.db, ChargerId("A")) == no
    assert known(site.db, no).state == KNOWN


def test_one_whose_place_is_taken_is_not_enrolled_from_the_file_until_it_is_adopted(site: StoredSite) -> None:
    no, _ = site.charger("A")
    successor = enrolled(site.db, "B")
    fleet.retire(site.db, no, replaced_by=successor)
    assert connectors.enrol_listed(site.db, ChargerId("A")) is None
    assert (known(site.db, no).state, known(site.db, no).replaced_by) == (RETIRED, successor)
    connectors.enrol(site.db, ChargerId("A"), KNOWN, "adopted")
    fleet.begin_anew(site.db, no)
    assert connectors.enrol_listed(site.db, ChargerId("A")) == no
    assert known(site.db, no).replaced_by is None


# --- serials


def says(db: sqlite3.Connection, no: ChargerNo, serial: str | None, at: int = 1) -> str | None:
    return connectors.booted(db, no, ChargerBooted("V", "M", serial, "1"), "1.6", at)


def test_another_serial_is_told_each_time_and_remembered_from_the_first_time_until_it_is_acknowledged(
    site: StoredSite,
) -> None:
    no, _ = site.charger("A")
    heard = [says(site.db, no, serial, at) for at, serial in enumerate([None, "A", "A", "B", "B", None, "A", "B"], 1)]
    assert heard == [None, None, None, "A", "A", None, None, "A"]
    now = known(site.db, no)
    assert (now.serial, now.own_serial, now.other_serial, now.other_serial_wall_ms) == ("B", "A", "B", 4)
    assert says(site.db, no, "C", 9) == "A"
    assert (known(site.db, no).other_serial, known(site.db, no).other_serial_wall_ms) == ("C", 9)
    fleet.acknowledge_serial(site.db, no)
    now = known(site.db, no)
    assert (now.own_serial, now.other_serial, now.other_serial_wall_ms) == ("C", None, None)
    assert says(site.db, no, "C") is None
    assert says(site.db, no, "A") == "C"
    fleet.begin_anew(site.db, no)
    assert says(site.db, no, "D") is None
    assert known(site.db, no).own_serial == "D"


def test_a_charger_of_before_is_known_by_the_serial_that_it_had(path: Path) -> None:
    """The migration."""
    db = sqlite3.connect(path, isolation_level=None)
    for number, text in schema_files():
        if number == 2:
            db.execute("INSERT INTO charger (id, state, origin, serial) VALUES ('A', 'known', 'file', 'A-1')")
        for statement in statements(text):
            db.execute(statement)
    assert says(db, ChargerNo(1), "B-2") == "A-1"
    db.close()


# --- the rest


@pytest.mark.parametrize("spelled", ["LightIntensity", "lightintensity"])
def test_what_a_person_wants_of_a_key_is_kept_by_its_name_in_any_case(site: StoredSite, spelled: str) -> None:
    no, _ = site.charger("A")
    assert fleet.desired(site.db, no) == {}
    fleet.desire(site.db, no, "LightIntensity", "30")
    fleet.desire(site.db, no, "B", "")
    fleet.desire(site.db, no, spelled, "40")
    assert fleet.desired(site.db, no) == {"B": "", spelled: "40"}
    fleet.desire(site.db, no, "LIGHTINTENSITY", None)
    fleet.desire(site.db, no, "B", None)
    assert fleet.desired(site.db, no) == {}
    assert site.db.execute("SELECT desired FROM charger").fetchone() == (None,)


def test_when_chargers_were_there_is_kept(site: StoredSite) -> None:
    (one, _), (other, _) = site.charger("A"), site.charger("B")
    fleet.seen(site.db, {one: 5})
    fleet.seen(site.db, {one: 7, other: 6})
    assert [known(site.db, no).last_seen_wall_ms for no in (one, other)] == [7, 6]


def test_an_order_is_a_decision_in_the_chain_of_its_charger_and_its_session(site: StoredSite) -> None:
    no, (connector,) = site.charger("A")
    tx_no, _ = site.begin(no, connector)
    seq = orders.given(site.db, moment(), no, "stop", connector=connector, transaction=tx_no, why=None, times=2)
    row = exchange.load(site.db, seq)
    assert row is not None
    assert (row.kind, row.peer, row.tx_no, row.connector_no, row.relay) == (
        exchange.Kind.DECISION,
        no,
        tx_no,
        connector,
        False,
    )
    assert row.text == '{"operator":"stop","times":2}'
