"""What a session's energy is, from its rows (`edge/domain/registers.py` decides), and what its stop says upstream.

Looked at as a whole only where something is odd: most sessions are what start and stop say.
"""

from dataclasses import replace

from edge.chargers.said import Notes, Said
from edge.dialects import tolerances
from edge.dialects.v16 import observe, synthetic
from edge.domain import registers
from edge.domain.events import EnergyMeasured, TransactionEnded
from edge.domain.ids import TransactionNo
from edge.domain.peculiarities import Rule
from edge.domain.plausibility import Measured, most_energy_wh
from edge.domain.registers import Energy, Reading, Session
from edge.domain.transactions import Transaction
from edge.jsontypes import JsonValue
from edge.ocppj.frames import encode_json
from edge.store import Connection, charger_clocks, exchange, transactions
from edge.store import figures as store
from edge.store.charger_clocks import KnownClock
from edge.store.exchange import Exchange, Kind

ROWS_AT_MOST, CHARACTERS_AT_MOST = 10_000, 8_000_000
"""Of a session: values of three days, one each 30 s. Of a longer one the newest count: chargers wait meanwhile."""
ODD = frozenset({Rule.REGISTER_FELL, Rule.REGISTER_JUMPED, Rule.ENERGY_POWER_DISAGREE})
"""After one of these a session is looked at as a whole."""


def of_start(
    connection: Connection, said: Said, register: int | None, before: Measured | None, notes: Notes
) -> int | None:
    """The register at the start, as the CSMS is to get it. `before`: what the connector measured last."""
    last = None if before is None else before.register_wh
    correction = None if register is None else registers.at_start(register, last)
    if correction is None or charger_clocks.signs(connection, said.charger) is not False:
        return register
    notes.correct(correction.why, **{synthetic.METER_START: correction.register_wh})
    return correction.register_wh


def of_stop(connection: Connection, said: Said, tx: Transaction, ended: TransactionEnded, notes: Notes) -> int | None:
    """The register at the stop, as the CSMS is to get it; what is found is noted, and stored for `edge session`."""
    store.forget(connection, tx.no)
    start, stop = tx.meter_start_wh, ended.meter_stop_wh
    if start is None or not _is_odd(connection, said, tx, start, stop):
        return stop
    end_ms = charger_clocks.believed_ms(connection, said.charger, ended.at, said.at.wall_ms) or said.at.wall_ms
    session, is_whole = _session(connection, tx, start, end_ms, said.most_watts)
    found = _doubted(connection, tx, registers.of_session(session, stop), is_whole=is_whole)
    if found.stop_wh == stop and found.is_certain:
        return stop
    signs = charger_clocks.signs(connection, said.charger)
    is_put_right = found.stop_wh != stop and signs is False
    if found.stop_wh != stop and not is_put_right:
        why = "it signs its values" if signs else "nobody knows yet whether it signs its values"
        found = replace(found, why_not=f"{found.why_not or 'the registers cannot be true'}; not put right: {why}")
    if is_put_right:
        first, *others = found.corrections
        notes.correct(first, **{synthetic.METER_STOP: found.stop_wh})
        notes.add_all(others)
    keep(connection, tx.no, found, stop, is_put_right=is_put_right)
    return found.stop_wh if is_put_right else stop


def _is_odd(connection: Connection, said: Said, tx: Transaction, start: int, stop: int | None) -> bool:
    if store.odd_rule(connection, tx.no) is not None or not registers.is_register(start):
        return True
    if not registers.is_register(stop) or stop < start or (stop == 0 and exchange.end_of(connection, tx.no)[1] > 1):
        return True
    started_ms = transactions.wall_ms(tx.started_at)
    lasted_s = 0.0 if started_ms is None else abs(said.at.wall_ms - started_ms) / 1000
    return stop - start > most_energy_wh(said.most_watts, lasted_s)


def _doubted(connection: Connection, tx: Transaction, found: Energy, *, is_whole: bool) -> Energy:
    if not is_whole:
        return replace(found, why_not=found.why_not or "it has more values than can be looked at")
    match store.odd_rule(connection, tx.no):
        case Rule.ENERGY_POWER_DISAGREE:
            why_not = "register and power disagree: perhaps kWh where Wh are said"
        case Rule.METER_START_UNKNOWN if store.connector_before(connection, tx.no) != tx.meter_start_wh:
            why_not = "the start had no register, and what flowed since the connector's last is not known"
        case _:
            return found
    return replace(found, why_not=found.why_not or why_not)


def keep(connection: Connection, tx_no: TransactionNo, found: Energy, said: int | None, *, is_put_right: bool) -> None:
    """How the energy was found, for `edge session`. `said`: the register of the charger's own stop."""
    document: dict[str, JsonValue] = {
        "certain": found.is_certain,
        "why_not": found.why_not,
        "rules": [str(one.rule) for one in found.corrections],
        "said_stop_wh": said,
        "found_wh": found.energy_wh,
        "upper_wh": found.upper_wh,
        "is_put_right": is_put_right,
    }
    store.keep(connection, tx_no, encode_json(document))


def of_unfinished(
    connection: Connection, tx: Transaction, end_ms: int, most_watts: float, next_register: int | None
) -> Energy | None:
    """Of a session whose stop never came; None: nobody knows where it began."""
    if tx.meter_start_wh is None:
        return None
    session, is_whole = _session(connection, tx, tx.meter_start_wh, end_ms, most_watts)
    return _doubted(connection, tx, registers.of_unfinished(session, next_register), is_whole=is_whole)


def _session(
    connection: Connection, tx: Transaction, start: int, end_ms: int, most_watts: float
) -> tuple[Session, bool]:
    """As it is judged, and whether that is all of it."""
    started_ms = transactions.wall_ms(tx.started_at)
    if started_ms is not None:
        started_ms -= charger_clocks.told_ahead_ms(connection, tx.no)
    before = store.connector_before(connection, tx.no)
    begin_seq, (last_seq, _) = transactions.begin_seq(connection, tx.no), exchange.end_of(connection, tx.no)
    newest_first = exchange.of_transaction(connection, tx.no, last_seq)
    clock = charger_clocks.of_session(connection, tx.no)
    readings, is_whole = [], False
    for row in exchange.bounded(newest_first, ROWS_AT_MOST, CHARACTERS_AT_MOST):
        is_whole = is_whole or row.seq <= begin_seq
        reading = _reading(row, clock)
        readings += [] if reading is None else [reading]
    begun_ms = end_ms if started_ms is None else started_ms
    return Session(start, begun_ms, tuple(reversed(readings)), end_ms, most_watts, before), is_whole


def _reading(row: Exchange, clock: KnownClock) -> Reading | None:
    values = values_of(row)
    if values is None or values.register_wh is None:
        return None
    when_ms = charger_clocks.when_ms(clock, values.last_at, received_ms=row.at_wall_ms, shift_ms=None)
    return Reading(values.register_wh, when_ms)


def is_values(row: Exchange) -> bool:
    return row.kind is Kind.CHARGER_CALL and row.action == "MeterValues"


def values_of(row: Exchange) -> EnergyMeasured | None:
    """What a charger's MeterValues measured; None: it is none, or cannot be understood."""
    if not is_values(row):
        return None
    meant = tolerances.understood(row.version or "1.6", "MeterValues", exchange.payload(row))
    event = observe.observe("MeterValues", meant)
    return event if isinstance(event, EnergyMeasured) else None
