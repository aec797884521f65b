"""Stored rows as the entries of a trace: what happened, from the charger's frame to the CSMS's answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.dialects import timestamps
from edge.dialects.v16 import summaries
from edge.domain.ids import session_name
from edge.jsontypes import JsonValue, Payload
from edge.store import exchange, report
from edge.store.exchange import Exchange, Kind
from edge.store.transactions import FIRST_STREAM


@dataclass(frozen=True, slots=True)
class Names:
    """What people call things, by our row numbers."""

    chargers: Mapping[int, str]
    connectors: Mapping[int, int]
    upstream: Mapping[int, int]
    sent: Mapping[int, str]
    """What was sent to the CSMS, by the row of its answer; only for `--raw`."""


def entries(row: Exchange, names: Names, *, raw: bool) -> list[Payload]:
    """One row as a CALL and its answer; `raw` adds the exact text."""
    match row.kind:
        case Kind.CSMS_ANSWER:
            return _upstream(row, names, raw=raw)
        case Kind.DECISION if row.message_id is not None and row.answer is not None and row.cause_seq is not None:
            return [_late_answer(row, names, row.answer, row.cause_seq, raw=raw)]
        case Kind.DECISION | Kind.LINK:
            return [_entry(row, names, kind="decision" if row.kind is Kind.DECISION else "link", raw=raw)]
        case Kind.SYNTHETIC:
            return [_entry(row, names, kind="synthetic", type_="CALL", raw=raw)]
        case Kind.CHARGER_CALL:
            peer, asked, answered = "charger", "in", "out"
        case Kind.CSMS_CALL:
            peer, asked, answered = "csms", "in", "out"
        case Kind.OUR_CALL:
            peer, asked, answered = "charger", "out", "in"
    # A text that was no message has no action, and is no CALL.
    type_ = None if row.kind is Kind.CHARGER_CALL and row.action is None else "CALL"
    found = [_entry(row, names, kind="frame", peer=peer, direction=asked, type_=type_, raw=raw)]
    if row.answer is not None:
        found.append(_answer(row, names, row.answer, peer=peer, direction=answered, raw=raw))
    return found


def _entry(
    row: Exchange,
    names: Names,
    *,
    kind: str,
    peer: str | None = None,
    direction: str | None = None,
    type_: str | None = None,
    raw: bool,
) -> Payload:
    notes = report.notes_of(row)
    if kind in {"decision", "link"}:
        summary = summaries.decision(row.text)
    elif type_ is None:
        summary = "; ".join(note["message"] for note in notes)
    else:
        summary = summaries.call(row.action or "", exchange.payload(row))
    flaws = "; ".join(note["rule"] for note in notes)
    return {
        **_base(row, names),
        "id": str(row.seq),
        "kind": kind,
        "peer": peer,
        "direction": direction,
        "type": type_,
        "cause": None if row.cause_seq is None else str(row.cause_seq),
        "summary": f"{summary} [{flaws}]" if flaws else summary,
        "text": row.text if raw else None,
    }


def _answer(row: Exchange, names: Names, text: str, *, peer: str, direction: str, raw: bool) -> Payload:
    type_, summary = summaries.answer(text)
    return {
        **_base(row, names),
        "id": f"{row.seq}a",
        "kind": "frame",
        "peer": peer,
        "direction": direction,
        "type": type_,
        "cause": str(row.seq),
        "summary": summary,
        "text": text if raw else None,
    }


def _late_answer(row: Exchange, names: Names, text: str, asked: int, *, raw: bool) -> Payload:
    """What the CSMS was answered, where a charger had to be asked first (`exchange.late_answer`)."""
    answer = _answer(row, names, text, peer="csms", direction="out", raw=raw)
    return {**answer, "id": f"{asked}a", "cause": str(asked)}


def _upstream(row: Exchange, names: Names, *, raw: bool) -> list[Payload]:
    """Our CALL to the CSMS and its answer; the CALL is the row `cause_seq` under upstream ids, sent at that time.

    Values of several rows may have shared it (`report.carried`).
    """
    type_, summary = summaries.answer(row.text)
    sent = report.sent_ms(row)
    base = _base(row, names)
    cause = None if row.cause_seq is None else str(row.cause_seq)
    carried = report.carried(row)
    messages = f"message{'s' if len(carried) > 1 else ''} {', '.join(map(str, carried))}"
    call = {
        **base,
        "id": str(row.seq),
        "at": _time(row.at_wall_ms if sent is None else sent),
        "kind": "frame",
        "peer": "csms",
        "direction": "out",
        "type": "CALL",
        "cause": cause,
        "summary": f"sent to the CSMS ({messages})",
        "text": names.sent.get(row.seq) if raw else None,
    }
    answer = {
        **base,
        "id": f"{row.seq}a",
        "kind": "frame",
        "peer": "csms",
        "direction": "in",
        "type": type_,
        "cause": str(row.seq),
        "summary": summary,
        "text": row.text if raw else None,
    }
    return [call, answer]


def _base(row: Exchange, names: Names) -> dict[str, JsonValue]:
    is_message = row.relay or row.kind is Kind.CSMS_ANSWER
    return {
        "id": "",
        "at": _time(row.at_wall_ms),
        "kind": "",
        "peer": None,
        "direction": None,
        "type": None,
        "message_id": row.message_id,
        "action": row.action,
        "charger": names.chargers.get(row.peer),
        "connector": None if row.connector_no is None else names.connectors.get(row.connector_no),
        "upstream_connector": None if row.connector_no is None else names.upstream.get(row.connector_no),
        # values outside of a session and a stop of nobody's have a number, too, but it is no session's
        "session": None if row.tx_no is None or row.tx_no >= FIRST_STREAM else session_name(row.tx_no),
        "seq": None if not is_message else row.seq if row.relay else row.cause_seq,
        "cause": None,
        "summary": "",
        "text": None,
    }


def _time(wall_ms: int) -> str:
    return timestamps.text(datetime.fromtimestamp(wall_ms / 1000, UTC))
