"""The ends of the chains: inside the unit that moves them, exact after a loss, and numbers that are given once."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.store import chains, exchange
from edge.store.db import configure
from tests.simulation.world import folder_in_memory
from tests.store.givens import StoredSite, a_row, after_power_cut, in_one_commit, opened

CHARGERS, SESSIONS = (1, 2, 3), 4


def counted(connection: sqlite3.Connection) -> dict[int, tuple[int | None, int]]:
    """Last row and rows to be relayed of each transaction, by looking at all rows."""
    found = connection.execute(
        "SELECT tx.tx_no, max(e.seq), coalesce(sum(e.relay), 0) FROM tx LEFT JOIN exchange e USING (tx_no) GROUP BY tx.tx_no"
    )
    return {tx_no: (last, rows) for tx_no, last, rows in found}


def known(connection: sqlite3.Connection) -> dict[int, tuple[int | None, int]]:
    return {tx_no: chains.tx_end(connection, tx_no) for (tx_no,) in connection.execute("SELECT tx_no FROM tx")}


def in_tables(connection: sqlite3.Connection) -> dict[int, tuple[int | None, int]]:
    found = connection.execute("SELECT tx_no, nullif(last_seq, 0), rows FROM tx")
    return {tx_no: (last, rows) for tx_no, last, rows in found}


def peers(connection: sqlite3.Connection) -> dict[int, int | None]:
    return {peer: chains.peer_end(connection, peer) for peer in (0, *CHARGERS)}


def counted_peers(connection: sqlite3.Connection) -> dict[int, int | None]:
    found = dict(connection.execute("SELECT peer, max(seq) FROM exchange GROUP BY peer"))
    return {peer: found.get(peer) for peer in (0, *CHARGERS)}


@pytest.fixture
def sessions(site: StoredSite) -> StoredSite:
    for name in ("A", "B", "C"):
        charger, (connector,) = site.charger(name)
        site.begin(charger, connector)
    charger, connector = site.charger_of[min(site.charger_of)], site.connector_of[min(site.connector_of)]
    site.begin(charger, connector)
    return site


def test_a_new_store_has_no_ends(db: sqlite3.Connection) -> None:
    assert (chains.last_seq(db), chains.settled_seq(db), chains.peer_end(db, 0), chains.peer_end(db, 9)) == (
        0,
        0,
        None,
        None,
    )
    assert chains.tx_end(db, 77) == (None, 0)


def test_an_end_is_rolled_back_with_its_unit(sessions: StoredSite) -> None:
    db = sessions.db
    before = (known(db), peers(db), chains.last_seq(db))
    db.execute("BEGIN")
    db.execute("SAVEPOINT unit")
    sessions.say(min(sessions.charger_of), "MeterValues")
    exchange.append(db, a_row(peer=0))
    assert (known(db), peers(db), chains.last_seq(db)) != before
    db.execute("ROLLBACK TO unit")
    assert (known(db), peers(db), chains.last_seq(db)) == before
    sessions.say(min(sessions.charger_of), "MeterValues")
    db.execute("ROLLBACK")
    assert (known(db), peers(db), chains.last_seq(db)) == before


def test_a_row_costs_no_change_of_the_tables(sessions: StoredSite) -> None:
    db = sessions.db
    in_one_commit(db, chains.settle)
    before = list(db.execute("SELECT * FROM tx")) + list(db.execute("SELECT * FROM charger"))
    sessions.say(min(sessions.charger_of), "MeterValues")
    assert list(db.execute("SELECT * FROM tx")) + list(db.execute("SELECT * FROM charger")) == before


def test_settling_brings_the_tables_up_to_date_once(sessions: StoredSite) -> None:
    db = sessions.db
    exchange.append(db, a_row(peer=0))
    in_one_commit(db, chains.settle)
    assert in_tables(db) == known(db) == counted(db)
    assert chains.settled_seq(db) == chains.last_seq(db) == 5
    assert peers(db) == counted_peers(db)
    before = db.total_changes
    in_one_commit(db, chains.settle)
    assert db.total_changes == before


def test_settling_one_peer_leaves_the_others(sessions: StoredSite) -> None:
    db = sessions.db
    exchange.append(db, a_row(peer=0))
    in_one_commit(db, chains.settle)
    exchange.append(db, a_row(peer=2))
    in_one_commit(db, chains.settle)
    assert peers(db) == counted_peers(db) == {0: 5, 1: 4, 2: 6, 3: 3}


def test_a_loss_before_the_first_settling_is_rolled_forward(sessions: StoredSite, path: Path, tmp_path: Path) -> None:
    assert in_tables(sessions.db) != counted(sessions.db)
    with closing(opened(after_power_cut(path, tmp_path / "copy"))) as copy:
        assert in_tables(copy) == known(copy) == counted(copy)
        assert peers(copy) == counted_peers(copy)
        assert chains.last_seq(copy) == 4


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_number_is_not_given_again_when_its_row_was_deleted(
    sessions: StoredSite, path: Path, tmp_path: Path, is_settled: bool
) -> None:
    db = sessions.db
    last = chains.last_seq(db)
    if is_settled:
        in_one_commit(db, chains.settle)
    db.execute("DELETE FROM exchange WHERE seq >= :seq", {"seq": last - 1})
    assert exchange.append(db, a_row()) == last + 1
    db.execute("DELETE FROM exchange WHERE seq > :seq", {"seq": last})
    if not is_settled:
        return  # what was given since the last settling is known by its rows only
    with closing(opened(after_power_cut(path, tmp_path / "copy"))) as copy:
        assert exchange.append(copy, a_row()) > last


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_the_ends_are_what_the_rows_say(seed: int) -> None:
    """Rows, units that fail, settling and power cuts in any order, against counting all rows."""
    chance = random.Random(seed)
    with folder_in_memory() as folder:
        path = folder / "edge.db"
        site = StoredSite(opened(path))
        for name in ("A", "B", "C"):
            charger, (connector,) = site.charger(name)
            site.begin(charger, connector)
        highest = chains.last_seq(site.db)
        for life in range(3):
            for _ in range(chance.randrange(12)):
                site.db.execute("BEGIN IMMEDIATE")
                for _ in range(chance.randrange(1, 5)):
                    site.db.execute("SAVEPOINT unit")
                    match chance.randrange(5):
                        case 0:
                            exchange.append(site.db, a_row(peer=0))
                        case 1:
                            chains.settle(site.db)
                        case 2:
                            site.begin(*_place_of(site, chance))
                        case _:
                            site.say(chance.choice(list(site.charger_of)), "MeterValues", relay=chance.random() < 0.7)
                    if chance.random() < 0.2:
                        site.db.execute("ROLLBACK TO unit")
                        _forget_what_was_rolled_back(site)
                    site.db.execute("RELEASE unit")
                if chance.random() < 0.15:
                    site.db.execute("ROLLBACK")
                    _forget_what_was_rolled_back(site)
                else:
                    site.db.execute("COMMIT")
                    assert chains.last_seq(site.db) >= highest
                    highest = chains.last_seq(site.db)
                assert known(site.db) == counted(site.db)
                assert peers(site.db) == counted_peers(site.db)
            copy = after_power_cut(path, folder / f"life{life}")
            site.db.close()
            path, site.db = copy, opened(copy)
            assert in_tables(site.db) == known(site.db) == counted(site.db)
            assert peers(site.db) == counted_peers(site.db)
            assert chains.last_seq(site.db) == highest
            for seq in range(1, highest + 1):
                row = exchange.load(site.db, seq)
                assert row is not None
                assert exchange.is_intact(site.db, row)
        site.db.close()


def _place_of(site: StoredSite, chance: random.Random) -> tuple:
    tx_no = chance.choice(list(site.charger_of))
    return site.charger_of[tx_no], site.connector_of[tx_no]


def _forget_what_was_rolled_back(site: StoredSite) -> None:
    present = {tx_no for (tx_no,) in site.db.execute("SELECT tx_no FROM tx")}
    for known_of in (site.charger_of, site.connector_of):
        for tx_no in set(known_of) - present:
            del known_of[tx_no]


def test_the_ends_live_in_the_writer_only(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as reader:
        configure(reader)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            chains.tx_end(reader, 1)
