"""Chargers and connectors: the numbers that the CSMS sees are 1..N without gaps and never change (1.6 §3.8)."""

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.connectors import MOST
from edge.domain.events import ChargerBooted
from edge.domain.ids import ChargerId, ChargerNo, ConnectorNo
from edge.store import connectors
from tests.simulation.world import folder_in_memory
from tests.store.givens import opened


def a_charger(db: sqlite3.Connection, name: str = "cp-01") -> ChargerNo:
    return connectors.enrol(db, ChargerId(name), connectors.KNOWN, "file")


def numbers(db: sqlite3.Connection) -> dict[tuple[str, int], int | None]:
    """Upstream number by charger and its own number."""
    found = db.execute("SELECT g.id, c.conn, c.up16_connector FROM connector c JOIN charger g USING (charger_no)")
    return {(charger, conn): upstream for charger, conn, upstream in found}


# --- chargers


def test_a_charger_keeps_its_number_when_its_state_changes(db: sqlite3.Connection) -> None:
    no = connectors.enrol(db, ChargerId("cp-01"), connectors.PENDING, "knocked")
    other = a_charger(db, "cp-02")
    assert connectors.enrol(db, ChargerId("cp-01"), connectors.KNOWN, "adopted") == no
    found = connectors.charger(db, ChargerId("cp-01"))
    assert found is not None
    assert (found.no, found.state, found.origin) == (no, connectors.KNOWN, "adopted")
    assert connectors.charger_by_no(db, no) == found
    assert [charger.no for charger in connectors.chargers(db)] == [no, other]


def test_an_unknown_charger_is_none(db: sqlite3.Connection) -> None:
    assert connectors.charger(db, ChargerId("nobody")) is None
    assert connectors.charger_by_no(db, ChargerNo(1)) is None
    assert connectors.charger(db, ChargerId("CP-01")) is None


def test_identities_differ_by_case(db: sqlite3.Connection) -> None:
    assert a_charger(db, "cp-01") != a_charger(db, "CP-01")


def test_what_a_charger_says_of_itself_is_kept(db: sqlite3.Connection) -> None:
    no = a_charger(db)
    connectors.booted(db, no, ChargerBooted("V", "M", None, "1.0"), "1.6", 5)
    connectors.booted(db, no, ChargerBooted("V", "M2", "S", None), "1.6", 6)
    connectors.set_secret(db, no, b"hash")
    found = connectors.charger_by_no(db, no)
    assert found is not None
    assert (found.vendor, found.model, found.serial, found.firmware) == ("V", "M2", "S", None)
    assert (found.version, found.boot_wall_ms, found.secret_hash, found.connectors) == ("1.6", 6, b"hash", None)


# --- connectors


def test_a_connector_has_no_upstream_number_before_its_charger_is_counted(db: sqlite3.Connection) -> None:
    no = a_charger(db)
    connector = connectors.add(db, no, 2, 2)
    assert connectors.add(db, no, 2, 2) == connector
    found = connectors.connector(db, no, 2)
    assert found is not None
    assert (found.no, found.charger_no, found.charger, found.evse, found.conn) == (connector, no, "cp-01", 2, 2)
    assert (found.upstream, found.wish, found.status, found.status_wall_ms) == (None, None, None, None)
    assert connectors.numbered(db) == []
    assert connectors.by_no(db, connector) == found


def test_counting_numbers_all_connectors_of_a_charger_together(db: sqlite3.Connection) -> None:
    first, second = a_charger(db, "A"), a_charger(db, "B")
    connectors.add(db, first, 2, 2)  # it named its second one first
    connectors.add(db, second, 1, 1)
    assert len(connectors.count(db, first, 2)) == 2
    assert numbers(db) == {("A", 1): 1, ("A", 2): 2, ("B", 1): None}
    connectors.count(db, second, 1)
    assert numbers(db) == {("A", 1): 1, ("A", 2): 2, ("B", 1): 3}
    counted = connectors.charger_by_no(db, first)
    assert counted is not None
    assert counted.connectors == 2


@pytest.mark.parametrize(
    ("named", "said", "expected"),
    [((), 0, 0), ((), 2, 2), ((1,), 0, 1), ((3,), 1, 3), ((1, 2), 1, 2), ((2,), 2, 2)],
)
def test_a_charger_has_as_many_as_it_says_or_as_it_has_named(
    db: sqlite3.Connection, named: tuple[int, ...], said: int, expected: int
) -> None:
    no = a_charger(db)
    for conn in named:
        connectors.add(db, no, conn, conn)
    assert len(connectors.count(db, no, said)) == expected
    assert sorted(numbers(db).values()) == list(range(1, expected + 1))
    charger = connectors.charger_by_no(db, no)
    assert charger is not None
    assert charger.connectors == (expected or None)


def test_a_later_connector_is_appended(db: sqlite3.Connection) -> None:
    first, second = a_charger(db, "A"), a_charger(db, "B")
    connectors.count(db, first, 1)
    connectors.count(db, second, 1)
    connectors.add(db, first, 2, 2)
    assert connectors.give_numbers(db, first) == [3]
    assert connectors.give_numbers(db, first) == []
    assert numbers(db) == {("A", 1): 1, ("B", 1): 2, ("A", 2): 3}


def test_a_layout_with_several_connectors_of_one_evse_is_numbered_in_its_order(db: sqlite3.Connection) -> None:
    no = a_charger(db)
    assert connectors.lay_out(db, no, [(1, 1), (2, 2), (2, 3)]) == [1, 2, 3]
    assert connectors.lay_out(db, no, [(1, 1), (2, 2), (2, 3)]) == []
    assert [(one.evse, one.conn, one.upstream) for one in connectors.connectors_of(db, no)] == [
        (1, 1, 1),
        (2, 2, 2),
        (2, 3, 3),
    ]
    assert len(connectors.count(db, no, 3)) == 3
    assert len(numbers(db)) == 3


def test_a_connector_is_found_by_its_upstream_number(db: sqlite3.Connection) -> None:
    a, b = a_charger(db, "A"), a_charger(db, "B")
    connectors.count(db, a, 1)
    connectors.count(db, b, 1)
    found = connectors.by_upstream(db, 2)
    assert found is not None
    assert found.charger == "B"
    assert connectors.by_upstream(db, 3) is None
    assert connectors.by_upstream(db, 0) is None
    assert [(one.upstream, one.charger) for one in connectors.numbered(db)] == [(1, "A"), (2, "B")]
    assert connectors.connector(db, b, 2) is None
    assert connectors.by_no(db, ConnectorNo(77)) is None


def test_status_and_wish_are_kept(db: sqlite3.Connection) -> None:
    (connector,) = connectors.count(db, a_charger(db), 1)
    connectors.set_status(db, connector, '{"status":"Available"}', 5)
    connectors.set_wish(db, connector, "Inoperative")
    found = connectors.by_no(db, connector)
    assert found is not None
    assert (found.status, found.status_wall_ms, found.wish) == ('{"status":"Available"}', 5, "Inoperative")
    connectors.set_wish(db, connector, None)
    found = connectors.by_no(db, connector)
    assert found is not None
    assert found.wish is None


def test_the_numbers_for_a_2x_uplink_are_without_gaps_too(db: sqlite3.Connection) -> None:
    for name, count in (("A", 2), ("B", 1)):
        connectors.count(db, a_charger(db, name), count)
    assert db.execute("SELECT up2_evse, up2_connector FROM connector ORDER BY up2_evse").fetchall() == [
        (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_becomes_known_in_whatever_order_numbers_are_without_gaps_and_never_change(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"cp-{number}" for number in range(chance.randrange(1, 6))]
    given_before: dict[tuple[str, int], int] = {}
    with folder_in_memory() as folder:
        path = Path(folder) / "edge.db"
        db = opened(path)
        for _ in range(25):
            charger = a_charger(db, chance.choice(names))
            match chance.randrange(6):
                case 0:
                    connectors.add(db, charger, chance.randrange(1, 5), conn := chance.randrange(1, 5))
                    assert connectors.connector(db, charger, conn) is not None
                case 1:
                    conn = chance.randrange(1, 7)
                    if connectors.connector(db, charger, conn) is None:
                        connectors.add(db, charger, conn, conn)
                    connectors.give_numbers(db, charger)
                case 2:
                    evses = [chance.randrange(1, 3) for _ in range(chance.randrange(1, 3))]
                    places = [evse for evse, size in enumerate(evses, 1) for _ in range(size)]
                    connectors.lay_out(db, charger, [(evse, conn) for conn, evse in enumerate(places, 1)])
                case 3:
                    connectors.enrol(db, ChargerId(chance.choice(names)), connectors.RETIRED, "file")
                case 4:
                    db.close()
                    db = opened(path)
                case _:
                    connectors.count(db, charger, chance.randrange(4))
            given_now = {
                (one.charger, one.evse, one.conn): one.upstream for one in connectors.numbered(db) if one.upstream
            }
            assert sorted(given_now.values()) == list(range(1, len(given_now) + 1))
            assert given_before.items() <= given_now.items()
            given_before = given_now
        db.close()


def test_an_absurd_connector_number_does_not_make_thousands_of_connectors(db: sqlite3.Connection) -> None:
    no = a_charger(db)
    connectors.add(db, no, 2_000_000_000, 2_000_000_000)
    connectors.count(db, no, 2)
    assert sorted(conn for _, conn in numbers(db)) == [1, 2, 2_000_000_000]
    assert len(connectors.count(db, a_charger(db, "other"), 10**9)) == MOST
