"""Transactions: how they are found, by the charger's id, by the CSMS's, by their start, by their connector."""

import sqlite3
from datetime import timedelta

import pytest

from edge.domain.ids import ChargerTransactionId, CsmsTransactionId, TransactionNo
from edge.store import delivery, exchange, transactions
from edge.store.transactions import METER, NewTransaction
from tests.store.givens import NOON, StoredSite, a_row


def epoch(db: sqlite3.Connection, name: str = "site") -> int:
    return delivery.open_epoch(db, name, "ws://csms", "1.6")


def test_a_transaction_is_found_as_it_was_begun(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector, "Tag", meter_start_wh=0, start_key=b"key", remote_start=True)
    found = transactions.open_on(site.db, connector)
    assert found is not None
    assert (found.no, found.connector_no, found.charger_tx, found.id_token) == (tx_no, connector, "1001", "Tag")
    assert (found.is_open, found.started_at, found.meter_start_wh) == (True, NOON, 0)
    assert transactions.open_of(site.db, charger) == [found]
    assert transactions.by_charger_tx(site.db, charger, ChargerTransactionId("1001")) == found
    assert transactions.id_token(site.db, tx_no) == "Tag"


def test_what_is_not_known_stays_unknown(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no = transactions.begin(site.db, NewTransaction(transactions.TRANSACTION, charger, connector, 1))
    found = transactions.open_on(site.db, connector)
    assert found is not None
    assert (found.id_token, found.started_at, found.meter_start_wh, found.charger_tx) == (None, None, None, None)
    transactions.end(site.db, tx_no, None, None, "lost")
    assert transactions.open_on(site.db, connector) is None
    assert transactions.wall_ms(None) is None


def test_an_id_of_another_charger_finds_nothing(site: StoredSite) -> None:
    (a, (on_a,)), (b, _) = site.charger("A"), site.charger("B")
    site.begin(a, on_a)
    assert transactions.by_charger_tx(site.db, b, ChargerTransactionId("1001")) is None
    assert transactions.by_charger_tx(site.db, a, ChargerTransactionId("1002")) is None


def test_of_two_with_the_same_id_of_the_charger_the_newer_one_is_meant(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    site.begin(charger, connector)
    site.charger_tx -= 1
    newer, _ = site.begin(charger, connector)
    found = transactions.by_charger_tx(site.db, charger, ChargerTransactionId("1001"))
    assert found is not None
    assert found.no == newer


def test_a_start_is_known_by_its_key(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, seq = site.begin(charger, connector, start_key=b"k1")
    assert transactions.by_start_key(site.db, b"k1") == (tx_no, seq)
    assert transactions.by_start_key(site.db, b"k2") is None
    with pytest.raises(sqlite3.IntegrityError):
        site.begin(charger, connector, start_key=b"k1")


def test_the_newest_open_one_is_that_of_the_connector(site: StoredSite) -> None:
    charger, (one, two) = site.charger("A", 2)
    older, _ = site.begin(charger, one)
    newer, _ = site.begin(charger, one)
    other, _ = site.begin(charger, two)
    assert [found.no for found in transactions.open_of(site.db, charger)] == [older, newer, other]
    found = transactions.open_on(site.db, one)
    assert found is not None
    assert found.no == newer
    site.end(newer)
    found = transactions.open_on(site.db, one)
    assert found is not None
    assert found.no == older


def test_values_outside_of_transactions_are_no_open_transaction(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    transactions.meter_stream(site.db, charger, connector, 1)
    assert transactions.open_on(site.db, connector) is None
    assert transactions.open_of(site.db, charger) == []


def test_the_end_of_a_transaction_is_kept(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    transactions.end(site.db, tx_no, NOON + timedelta(hours=2), 0, "EVDisconnected")
    found = site.db.execute("SELECT state, ended_wall_ms, meter_stop_wh, end_reason FROM tx").fetchone()
    assert found == ("ended", round((NOON + timedelta(hours=2)).timestamp() * 1000), 0, "EVDisconnected")
    ended = transactions.by_charger_tx(site.db, charger, ChargerTransactionId("1001"))
    assert ended is not None
    assert not ended.is_open


# --- streams of values outside of transactions


def test_a_connector_has_one_stream_and_the_station_another(site: StoredSite) -> None:
    charger, (one, two) = site.charger("A", 2)
    streams = [
        transactions.meter_stream(site.db, charger, one, 1),
        transactions.meter_stream(site.db, charger, two, 2),
        transactions.meter_stream(site.db, None, None, 3),
    ]
    assert len(set(streams)) == 3
    assert [
        transactions.meter_stream(site.db, charger, one, 4),
        transactions.meter_stream(site.db, charger, two, 5),
        transactions.meter_stream(site.db, None, None, 6),
    ] == streams


def test_a_session_on_the_connector_is_not_its_stream(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    assert transactions.meter_stream(site.db, charger, connector, 2) != tx_no


def test_a_stream_that_was_parked_is_followed_by_a_new_one(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    stream = transactions.meter_stream(site.db, charger, connector, 1)
    seq = exchange.append(site.db, a_row(peer=charger, tx_no=stream, relay=True, action="MeterValues"))
    delivery.park(site.db, seq, stream, "FormationViolation", "", 5, 0)
    following = transactions.meter_stream(site.db, charger, connector, seq + 1)
    assert following != stream
    assert transactions.meter_stream(site.db, charger, connector, seq + 2) == following


def test_a_stream_that_was_parked_is_not_open_any_more(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    for _ in range(3):  # a CSMS that refuses such values for ever
        stream = transactions.meter_stream(site.db, charger, connector, exchange.peek_seq(site.db))
        seq = exchange.append(site.db, a_row(peer=charger, tx_no=stream, relay=True, action="MeterValues"))
        delivery.park(site.db, seq, stream, "NotSupported", "", 5, 0)
    assert site.db.execute("SELECT count(*) FROM tx WHERE state = 'open'").fetchone()[0] <= 1


# --- what the driver was told


def test_a_decision_is_given_again_as_it_was(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    assert transactions.given(site.db, tx_no) == ("1001", None, None)
    assert not transactions.was_accepted(site.db, tx_no)
    transactions.decided(site.db, tx_no, "Accepted", "cache", 1)
    assert transactions.given(site.db, tx_no) == ("1001", "Accepted", "cache")
    assert transactions.was_accepted(site.db, tx_no)
    transactions.decided(site.db, tx_no, "Blocked", "csms", 2)
    assert not transactions.was_accepted(site.db, tx_no)
    assert not transactions.was_accepted(site.db, TransactionNo(999))


def test_the_verdict_of_the_csms_is_kept_beside_the_decision(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    transactions.decided(site.db, tx_no, "Accepted", "policy", 1)
    transactions.csms_said(site.db, tx_no, "Blocked", 5)
    found = site.db.execute("SELECT decision, csms_verdict, csms_verdict_wall_ms FROM tx").fetchone()
    assert found == ("Accepted", "Blocked", 5)


# --- the CSMS's ids


def test_an_id_of_the_csms_may_belong_to_several_and_only_counts_in_its_epoch(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    first_epoch, second_epoch = epoch(site.db), epoch(site.db, "other")
    begun = [site.begin(charger, connector) for _ in range(3)]
    for (tx_no, seq), number in zip(begun, (first_epoch, first_epoch, second_epoch), strict=True):
        delivery.acknowledge(site.db, seq, tx_no, number)
        delivery.learn_csms_tx(site.db, tx_no, CsmsTransactionId("-1"))
    found = transactions.by_csms_tx(site.db, first_epoch, CsmsTransactionId("-1"))
    assert [(tx.no, of) for tx, of in found] == [(begun[1][0], charger), (begun[0][0], charger)]
    assert transactions.by_csms_tx(site.db, second_epoch, CsmsTransactionId("7")) == []
    assert transactions.csms_tx(site.db, begun[2][0]) == "-1"


def test_the_first_id_of_the_csms_stays(site: StoredSite) -> None:
    charger, (connector,) = site.charger("A")
    tx_no, _ = site.begin(charger, connector)
    assert transactions.csms_tx(site.db, tx_no) is None
    for given in ("0", "17"):
        delivery.learn_csms_tx(site.db, tx_no, CsmsTransactionId(given))
    assert transactions.csms_tx(site.db, tx_no) == "0"


# --- stopping


def test_only_an_open_transaction_can_be_stopped(site: StoredSite) -> None:
    charger, (connector,) = site.charger("cp-01")
    tx_no, _ = site.begin(charger, connector)
    stream = transactions.meter_stream(site.db, charger, connector, 2)
    assert transactions.stoppable(site.db, tx_no) == transactions.Stoppable("cp-01", ChargerTransactionId("1001"))
    site.end(tx_no)
    assert transactions.stoppable(site.db, tx_no) is None
    assert transactions.stoppable(site.db, stream) is None
    assert transactions.stoppable(site.db, TransactionNo(999)) is None


def test_the_kinds_are_words_that_the_file_keeps() -> None:
    assert (transactions.TRANSACTION, METER, transactions.ORPHAN) == ("transaction", "meter", "orphan")
