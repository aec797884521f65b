"""Sessions whose row in `tx` is lost are made again from what the journal says of them.

The start has the token, the time and the register; our answer to it has the id that the charger knows, the CSMS's
answer the one that the CSMS knows. What nobody can say stays unknown; a session without its start is parked
(`reimport.release`).
"""

import contextlib
import json
import sqlite3

from edge.dialects import tolerances
from edge.dialects.v16 import observe, station
from edge.domain.events import TransactionStarted
from edge.domain.ids import ChargerNo
from edge.domain.transactions import start_key
from edge.jsontypes import JsonValue
from edge.store import findings, transactions
from edge.store.carving import Value
from edge.store.exchange import Kind

RESULT, RESULT_MEMBERS, CALL_MEMBERS = 3, 3, 4


def rebuild(found: sqlite3.Connection) -> int:
    """Add what is missing to the findings; how many sessions that were."""
    # the answers to a start are found by it, in each session anew
    found.execute("CREATE INDEX IF NOT EXISTS exchange_cause ON exchange (cause_seq)")
    with findings.in_one(found):
        return _rebuild(found)


def _rebuild(found: sqlite3.Connection) -> int:
    rows = found.execute(
        "SELECT tx_no, min(seq), max(seq), max(peer), max(connector_no) FROM exchange WHERE tx_no NOT NULL "
        "AND verdict_ = 1 AND kind = :kind AND relay = 1 AND tx_no NOT IN (SELECT tx_no FROM tx) GROUP BY tx_no",
        {"kind": int(Kind.CHARGER_CALL)},
    ).fetchall()
    for tx_no, first, last, peer, connector_no in rows:
        values: dict[str, Value] = {
            "tx_no": tx_no,
            "kind": transactions.TRANSACTION if tx_no < transactions.FIRST_STREAM else transactions.METER,
            "charger_no": peer,
            "connector_no": connector_no,
            "state": "open",
            "begin_seq": first,
            "last_seq": last,
            "rows": 0,
            "acked_seq": 0,
            "acked_rows": 0,
            "due": 1,
            "remote_start": 0,
            "started_offline": 0,
            "thinned": 0,
            "dropped_rows": 0,
            "rank_": 0,
        }
        values |= _of_start(found, tx_no)
        found.execute(
            f"INSERT INTO tx ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608 - names above
            list(values.values()),
        )
    return len(rows)


def _of_start(found: sqlite3.Connection, tx_no: int) -> dict[str, Value]:
    row = found.execute(
        "SELECT seq, peer, version, text, answer FROM exchange WHERE tx_no = :tx AND verdict_ = 1 AND relay = 1 "
        "AND action = 'StartTransaction' ORDER BY seq LIMIT 1",
        {"tx": tx_no},
    ).fetchone()
    if row is None:
        # where it began is not known: before all that was found
        return {"begin_seq": 0} if tx_no >= transactions.FIRST_STREAM else {"begin_seq": 1}
    seq, peer, version, text, answer = row
    values: dict[str, Value] = {"begin_seq": seq, **_said_by_the_start(peer, version, text)}
    given = _result(answer) if answer is not None else _late_answer(found, seq)
    if given is not None:
        values["charger_tx"] = station.started_transaction(given)
        info = station.token_info(given)
        values |= {"decision": None if info is None else info.status, "decision_source": "policy"}
    told = found.execute(
        "SELECT text FROM exchange WHERE cause_seq = :seq AND kind = :kind AND verdict_ = 1 ORDER BY seq DESC LIMIT 1",
        {"seq": seq, "kind": int(Kind.CSMS_ANSWER)},
    ).fetchone()
    known = None if told is None else _result(told[0])
    if known is not None:
        epoch = found.execute("SELECT max(epoch_no) FROM uplink_epoch").fetchone()[0]
        values |= {"upstream_tx": station.started_transaction(known), "epoch_no": epoch}
    return values


def _said_by_the_start(peer: int, version: str | None, text: str) -> dict[str, Value]:
    with contextlib.suppress(ValueError, LookupError):  # nothing proves the version
        call = json.loads(text)
        if isinstance(call, list) and len(call) == CALL_MEMBERS and isinstance(call[3], dict):
            meant = tolerances.understood(version or "1.6", "StartTransaction", call[3])
            event = observe.observe("StartTransaction", meant)
            if isinstance(event, TransactionStarted):
                return {
                    "id_token": event.token,
                    "start_key": start_key(ChargerNo(peer), event),
                    "started_wall_ms": transactions.wall_ms(event.at),
                    "meter_start_wh": event.meter_start_wh,
                }
    return {}


def _late_answer(found: sqlite3.Connection, seq: int) -> dict[str, JsonValue] | None:
    """Of a start that had to wait for the CSMS's verdict (`exchange.late_answer`)."""
    row = found.execute(
        "SELECT answer FROM exchange WHERE cause_seq = :seq AND kind = :kind AND answer NOT NULL AND verdict_ = 1",
        {"seq": seq, "kind": int(Kind.DECISION)},
    ).fetchone()
    return None if row is None else _result(row[0])


def _result(text: str) -> dict[str, JsonValue] | None:
    with contextlib.suppress(ValueError):
        frame = json.loads(text)
        if (
            isinstance(frame, list)
            and len(frame) == RESULT_MEMBERS
            and frame[0] == RESULT
            and isinstance(frame[2], dict)
        ):
            return frame[2]
    return None
