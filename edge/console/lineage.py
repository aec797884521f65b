"""Where each figure of a session comes from: who said it, in which frames, and when the cloud had it.

A figure that was put right has what the charger said beside it. Entries are those of `edge trace`.
"""

import json
from collections.abc import Mapping, Sequence

from edge.console.times import time_ms
from edge.dialects.v16 import synthetic
from edge.jsontypes import JsonValue, Payload
from edge.store import exchange, report
from edge.store.exchange import Exchange, Kind
from edge.store.report import Session

CHARGER, CONTROLLER, CLOUD = "charger", "controller", "cloud"


def energy(one: Session) -> Payload:
    """How sure the energy is: `certain` null while the session goes on."""
    found = {} if one.figures is None else json.loads(one.figures)
    is_over = one.state == "ended" or one.concluded_ms is not None
    rules = found.get("rules") or []
    return {
        "certain": bool(found.get("certain", True)) if is_over else None,
        "why_not": found.get("why_not"),
        "rule": rules[0] if rules else None,
        "said_stop_wh": found.get("said_stop_wh") if found.get("is_put_right") else None,
        "upper_wh": found.get("upper_wh"),
    }


def figures(one: Session, rows: Sequence[Exchange], answers: Mapping[int, Sequence[Exchange]]) -> list[Payload]:
    """`rows` of the session, oldest first; `answers` of the cloud by the row that it answered."""
    start = next((row for row in rows if row.action == "StartTransaction" and row.relay), None)
    stop = next((row for row in reversed(rows) if row.action == "StopTransaction" and row.relay), None)
    found = [] if start is None else [*_of_start(one, start, answers.get(start.seq, ()))]
    if stop is not None:
        found += _of_stop(one, stop, answers.get(stop.seq, ()))
    return found + _energy(one, rows, start, stop, answers)


def _of_start(one: Session, start: Exchange, answers: Sequence[Exchange]) -> list[Payload]:
    right = exchange.put_right(start)
    who = CONTROLLER if start.kind is Kind.SYNTHETIC else CHARGER
    said = exchange.payload(start)
    register_said = synthetic.said(said, synthetic.METER_START)
    figures = [
        _figure("started_at", time_ms(one.started_wall_ms), who, start, answers,
                synthetic.said_time(said) if synthetic.SHIFT in right else None),
        _figure("meter_start_wh", one.meter_start_wh, who if synthetic.METER_START not in right else CONTROLLER,
                start, answers, register_said if synthetic.METER_START in right else None),
        _figure("id_token", one.id_token, who, start, answers),
        {**_figure("charger_transaction_id", None if one.charger_tx is None else int(one.charger_tx), CONTROLLER,
                   start, answers), "entries": [f"{start.seq}a"]},
    ]  # fmt: skip
    if one.csms_tx is not None and answers:
        given = _figure("csms_transaction_id", int(one.csms_tx), CLOUD, start, answers)
        figures.append({**given, "entries": [f"{answers[-1].seq}a"]})
    return figures


def _of_stop(one: Session, stop: Exchange, answers: Sequence[Exchange]) -> list[Payload]:
    right, said = exchange.put_right(stop), exchange.payload(stop)
    who = CONTROLLER if stop.kind is Kind.SYNTHETIC else CHARGER
    is_put = synthetic.METER_STOP in right
    register = synthetic.said(said, synthetic.METER_STOP) if is_put else None
    because = [str(stop.cause_seq)] if stop.kind is Kind.SYNTHETIC and stop.cause_seq is not None else []
    at = _figure("ended_at", time_ms(one.ended_wall_ms), who, stop, answers,
                 synthetic.said_time(said) if synthetic.SHIFT in right else None)  # fmt: skip
    return [
        {**at, "entries": [*_entries(at), *because]},
        _figure("meter_stop_wh", one.meter_stop_wh, CONTROLLER if is_put else who, stop, answers, register),
        _figure("end_reason", one.end_reason, who, stop, answers),
    ]


def _energy(
    one: Session,
    rows: Sequence[Exchange],
    start: Exchange | None,
    stop: Exchange | None,
    answers: Mapping[int, Sequence[Exchange]],
) -> list[Payload]:
    if one.meter_start_wh is None or start is None:
        return []
    last = stop if stop is not None else next((row for row in reversed(rows) if row.action == "MeterValues"), start)
    value = None if one.meter_stop_wh is None else one.meter_stop_wh - one.meter_start_wh
    is_ours = last.kind is Kind.SYNTHETIC or bool(exchange.put_right(last))
    source = CONTROLLER if is_ours else CHARGER
    found = _figure("energy_wh", value, source, last, answers.get(last.seq, ()))
    return [{**found, "entries": [str(start.seq), *_entries(found)]}]


def _entries(figure: Payload) -> list[JsonValue]:
    entries = figure["entries"]
    return list(entries) if isinstance(entries, Sequence) else []


def _figure(
    name: str,
    value: JsonValue,
    source: str,
    row: Exchange,
    answers: Sequence[Exchange],
    said: JsonValue = None,
) -> Payload:
    last = answers[-1] if answers else None
    return {
        "figure": name,
        "value": value,
        "source": source,
        "said": said,
        "entries": [str(row.seq)],
        "sent_at": None if last is None else time_ms(report.sent_ms(last)),
        "acked_at": None if last is None else time_ms(last.at_wall_ms),
        "answer": None if last is None else f"{last.seq}a",
    }
