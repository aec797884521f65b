"""The journal: rows, their chains backwards, and the digest that shows a changed byte."""

import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.ids import ConnectorNo, TransactionNo
from edge.ocppj.frames import CHARGER_LIMITS, Call, encode_json, parse
from edge.store import exchange, gaps
from edge.store.exchange import Kind, NewExchange
from tests.store.givens import StoredSite, a_row, moment


@pytest.fixture
def session(site: StoredSite) -> TransactionNo:
    charger, (connector,) = site.charger("A")
    return site.begin(charger, connector)[0]


def row(db: sqlite3.Connection, seq: int) -> exchange.Exchange:
    found = exchange.load(db, seq)
    assert found is not None
    return found


def test_a_row_comes_back_as_it_was_stored(db: sqlite3.Connection) -> None:
    text = '[2, "mid", "StartTransaction",  {"idTag":"Ä\\u00e4","n":1.10}]'
    new = NewExchange(
        moment(1.5, boot_no=3),
        peer=7,
        kind=Kind.CHARGER_CALL,
        text=text,
        action="StartTransaction",
        message_id="mid",
        version="1.6",
        connector_no=ConnectorNo(4),
        cause_seq=2,
        relay=True,
        answer='[3,"mid",{}]',
        notes="[]",
    )
    found = row(db, exchange.append(db, new))
    assert (found.boot_no, found.at_mono_ms, found.at_wall_ms) == (3, 1500, moment(1.5).wall_ms)
    assert (found.peer, found.kind, found.relay, found.text) == (7, Kind.CHARGER_CALL, True, text)
    assert (found.action, found.message_id, found.version) == ("StartTransaction", "mid", "1.6")
    assert (found.connector_no, found.tx_no, found.cause_seq) == (4, None, 2)
    assert (found.answer, found.notes) == ('[3,"mid",{}]', "[]")
    assert (found.prev_tx, found.prev_peer) == (None, None)


def test_a_row_that_is_not_there_is_none(db: sqlite3.Connection) -> None:
    assert exchange.load(db, 1) is None


def test_the_number_can_be_known_before_the_row(site: StoredSite, session: TransactionNo) -> None:
    expected = exchange.peek_seq(site.db)
    assert site.say(session, "MeterValues") == expected
    assert exchange.peek_seq(site.db) == expected + 1


# --- chains


def test_chains_lead_back_through_one_charger_and_one_transaction(site: StoredSite) -> None:
    first, (c1,) = site.charger("A")
    second, (c2,) = site.charger("B")
    one, begin_one = site.begin(first, c1)
    two, begin_two = site.begin(second, c2)
    value_one = site.say(one, "MeterValues")
    status = exchange.append(site.db, a_row(peer=first))
    value_two = site.say(two, "MeterValues")
    end_one = site.end(one)
    last, count = exchange.end_of(site.db, one)
    assert [each.seq for each in exchange.of_transaction(site.db, one, last)] == [end_one, value_one, begin_one]
    assert count == 3
    assert [each.seq for each in exchange.of_peer(site.db, end_one)] == [end_one, status, value_one, begin_one]
    assert [each.seq for each in exchange.of_peer(site.db, value_two)] == [value_two, begin_two]


def test_a_walk_ends_where_a_chain_is_broken(site: StoredSite, session: TransactionNo) -> None:
    rows = [site.say(session, "MeterValues") for _ in range(4)]
    site.db.execute("DELETE FROM exchange WHERE seq <= :seq", {"seq": rows[1]})
    assert [each.seq for each in exchange.of_transaction(site.db, session, rows[-1])] == [rows[3], rows[2]]


def test_nothing_is_walked_from_nowhere(db: sqlite3.Connection) -> None:
    assert list(exchange.of_transaction(db, TransactionNo(1), None)) == []
    assert list(exchange.of_peer(db, None)) == []


# --- pending


def test_pending_are_the_rows_for_the_csms_after_the_last_acknowledged_oldest_first(
    site: StoredSite, session: TransactionNo
) -> None:
    site.say(session, "StatusNotification", relay=False)
    acked = site.say(session, "MeterValues")
    site.say(session, "MeterValues", relay=False, kind=Kind.CSMS_ANSWER)
    first = site.say(session, "MeterValues")
    second = site.end(session)
    last = site.say(session, "StopTransaction", relay=False, kind=Kind.CSMS_ANSWER)
    assert exchange.pending(site.db, last, acked) == [(first, "MeterValues"), (second, "StopTransaction")]
    assert len(exchange.pending(site.db, last, 0)) == 4
    assert exchange.pending(site.db, last, second) == []
    assert exchange.pending(site.db, last, last) == []


def test_pending_looks_at_no_more_rows_than_wait(site: StoredSite, session: TransactionNo) -> None:
    """The cost is that of what waits, not of the session's length."""
    acked = [site.say(session, "MeterValues") for _ in range(3000)][-1]
    last = site.say(session, "MeterValues")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    site.db.set_progress_handler(count, 10)
    assert exchange.pending(site.db, last, acked) == [(last, "MeterValues")]
    site.db.set_progress_handler(None, 0)
    assert steps < 30


# --- digests


def tampered(db: sqlite3.Connection, seq: int, position: int) -> str:
    text = row(db, seq).text
    changed = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
    db.execute("UPDATE exchange SET text = :text WHERE seq = :seq", {"text": changed, "seq": seq})
    return text


def test_one_changed_character_anywhere_in_the_text_is_seen(site: StoredSite, session: TransactionNo) -> None:
    seqs = [site.say(session, "MeterValues") for _ in range(3)]
    for seq in seqs:
        assert exchange.is_intact(site.db, row(site.db, seq))
        for position in range(len(row(site.db, seq).text)):
            text = tampered(site.db, seq, position)
            assert not exchange.is_intact(site.db, row(site.db, seq))
            site.db.execute("UPDATE exchange SET text = :text WHERE seq = :seq", {"text": text, "seq": seq})
        assert exchange.is_intact(site.db, row(site.db, seq))


def test_texts_that_were_swapped_between_rows_are_seen(site: StoredSite, session: TransactionNo) -> None:
    one, two = site.say(session, "MeterValues"), site.say(session, "MeterValues")
    texts = row(site.db, one).text, row(site.db, two).text
    digests = row(site.db, one).digest, row(site.db, two).digest
    for seq, text, digest in ((one, texts[1], digests[1]), (two, texts[0], digests[0])):
        site.db.execute("UPDATE exchange SET text = ?, digest = ? WHERE seq = ?", (text, digest, seq))
    assert not exchange.is_intact(site.db, row(site.db, one))


def test_a_row_that_was_taken_out_of_the_middle_with_its_chain_mended_is_seen(
    site: StoredSite, session: TransactionNo
) -> None:
    one, two, three = (site.say(session, "MeterValues") for _ in range(3))
    site.db.execute("DELETE FROM exchange WHERE seq = ?", (two,))
    site.db.execute("UPDATE exchange SET prev_tx = ? WHERE seq = ?", (one, three))
    assert not exchange.is_intact(site.db, row(site.db, three))


def test_a_damaged_row_does_not_make_its_followers_look_damaged(site: StoredSite, session: TransactionNo) -> None:
    one, two = site.say(session, "MeterValues"), site.say(session, "MeterValues")
    tampered(site.db, one, 5)
    assert not exchange.is_intact(site.db, row(site.db, one))
    assert exchange.is_intact(site.db, row(site.db, two))


def test_a_row_after_the_end_of_retention_is_verified_as_before(site: StoredSite, session: TransactionNo) -> None:
    start = site.db.execute("SELECT begin_seq FROM tx").fetchone()[0]
    one, two, three = (site.say(session, "MeterValues") for _ in range(3))
    gaps.remove(site.db, [start, one])
    assert exchange.is_intact(site.db, row(site.db, two))
    assert exchange.is_intact(site.db, row(site.db, three))
    for seq in (two, three):
        tampered(site.db, seq, 5)
        assert not exchange.is_intact(site.db, row(site.db, seq))


def test_a_row_whose_predecessor_is_gone_without_a_trace_is_not_believed(
    site: StoredSite, session: TransactionNo
) -> None:
    one, two = site.say(session, "MeterValues"), site.say(session, "MeterValues")
    site.db.execute("DELETE FROM exchange WHERE seq = ?", (one,))
    assert not exchange.is_intact(site.db, row(site.db, two))


def test_the_first_row_of_a_charger_has_a_digest_too(db: sqlite3.Connection) -> None:
    seq = exchange.append(db, a_row(peer=5))
    assert exchange.is_intact(db, row(db, seq))
    tampered(db, seq, 3)
    assert not exchange.is_intact(db, row(db, seq))


# --- payloads


@given(
    payload=st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
        max_size=5,
    )
)
def test_a_stored_payload_reads_like_the_received_one(payload: dict[str, object]) -> None:
    """A repetition is known by this also after a restart."""
    text = json.dumps([2, "m", "MeterValues", payload], indent=1)
    call = parse(text, CHARGER_LIMITS)
    assert isinstance(call, Call)
    stored = exchange.Exchange(
        1, 1, 0, 0, 1, Kind.CHARGER_CALL, True, "MeterValues", "m", "1.6", None, None, None, None, None, text, None, None, b""
    )  # fmt: skip
    assert exchange.payload_text(stored) == encode_json(call.payload)


def test_a_status_is_compared_without_its_time() -> None:
    assert exchange.without_timestamp('{"status":"Available","timestamp":"2026-01-01T00:00:00Z","connectorId":1}') == {
        "status": "Available",
        "connectorId": 1,
    }


def test_a_row_can_be_given_to_a_transaction() -> None:
    assert exchange.in_transaction(a_row(), TransactionNo(4)).tx_no == 4
