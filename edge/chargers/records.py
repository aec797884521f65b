"""The units of work behind a charger's CALLs: what is read, decided and written in one commit.

Each is a plain function of a connection (architecture, law 2); `intake.py` submits them and answers the charger with
what they return. Starts are in `starts.py`. The CSMS gets what they mark `relay`; `Stored` tells the sender where it
waits.
"""

from collections.abc import Iterator

from edge.chargers import endings, figures, timing
from edge.chargers.said import Notes, Recorded, Said, row_of
from edge.dialects.v16 import observe, replies, station
from edge.domain import plausibility
from edge.domain.collecting import after_status as after_diagnostics_status
from edge.domain.connectors import MOST as MOST_CONNECTORS
from edge.domain.events import (
    AVAILABLE,
    FINISHING,
    WHILE_CHARGING,
    ChargerBooted,
    ConnectorStatusChanged,
    DiagnosticsProgressed,
    EnergyMeasured,
    FirmwareProgressed,
)
from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo, session_name
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.plausibility import Measured
from edge.domain.rollouts import Progress, after_boot, after_status, from_json
from edge.domain.transactions import Transaction, attribute_values
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json, result_text
from edge.store import (
    Connection,
    charger_clocks,
    collecting,
    connectors,
    delivery,
    exchange,
    measured,
    repeats,
    rollouts,
    thinning,
    transactions,
)
from edge.store import figures as store_figures
from edge.store.delivery import Stored


def connector_named(
    connection: Connection, charger: ChargerNo, conn: int
) -> tuple[connectors.Connector | None, tuple[ConnectorNo, ...]]:
    """The charger's connector, made when it is named for the first time, and those that got a number by this.

    A connector that appears after the charger's connectors were counted is appended (interface.md). None: no charger
    has such a connector.
    """
    found = connectors.connector(connection, charger, conn)
    if found is not None or not 1 <= conn <= MOST_CONNECTORS:
        return found, ()
    known = connectors.charger_by_no(connection, charger)
    added = connectors.add(connection, charger, conn, conn)
    if known is not None and known.connectors is not None:
        connectors.give_numbers(connection, charger)
        return connectors.connector(connection, charger, conn), (added,)
    return connectors.connector(connection, charger, conn), ()


def record_values(connection: Connection, said: Said, values: EnergyMeasured) -> Recorded:
    """A MeterValues: of its transaction, of the connector's open one, or of none."""
    connector, numbered = connector_named(connection, said.charger, values.connector)
    note_signature(connection, said)
    named = (
        None if values.transaction is None else transactions.by_charger_tx(connection, said.charger, values.transaction)
    )
    open_here = None if connector is None or named is not None else endings.meant(connection, connector.no, values)
    continued = None
    if named is not None and not named.is_open:
        continued = endings.went_on(connection, said, named, values)
        named = named if continued is None else continued[0]
    belongs = attribute_values(values, named, open_here)
    notes = Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transaction as sent: {observe.transaction_as_sent(said.call.payload)}")
    what = repeats.content(said.call.action, encode_json(said.call.payload))
    connector_no = None if connector is None else connector.no
    if belongs.transaction is not None:
        tx_no, connector_no = belongs.transaction.no, belongs.transaction.connector_no
    elif belongs.relay and connector_no is not None:
        tx_no = transactions.meter_stream(connection, said.charger, connector_no, exchange.peek_seq(connection))
    else:
        row = row_of(said, notes, connector_no=connector_no, answer=result_text(said.call.message_id, replies.EMPTY))
        exchange.append(connection, row)
        return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)
    if not repeats.remember(connection, tx_no, what):
        return Recorded(replies.EMPTY, is_repeat=True)
    if belongs.transaction is None:
        repeats.forget_others(connection, tx_no, what)
    if not thinning.admits(connection, tx_no, said.call.payload, said.at):
        return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)
    stored = () if continued is None else (continued[1],)
    if belongs.relay and connector_no is not None:
        notes.add_all(compared(connection, said, connector_no, belongs.transaction, values))
        if belongs.transaction is not None:
            timing.moved(connection, said, belongs.transaction, notes)
        seq = exchange.peek_seq(connection)
        stored = (*stored, Stored(connector_no, delivery.Waiting(seq, is_start_or_stop=False)))
        if belongs.transaction is not None:
            endings.values_seen(connection, said, belongs.transaction, values)
    row = row_of(
        said,
        notes,
        connector_no=connector_no,
        tx_no=tx_no,
        relay=belongs.relay,
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    exchange.append(connection, row)
    return Recorded(replies.EMPTY, stored, rules=notes.rules(), new_connectors=numbered)


def compared(
    connection: Connection, said: Said, connector_no: ConnectorNo, tx: Transaction | None, values: EnergyMeasured
) -> Iterator[Peculiarity]:
    """What cannot be true of these values after those before; they are the last ones now."""
    before = measured.last(connection, connector_no)
    tx_no = None if tx is None else tx.no
    now = Measured(tx_no, values.last_at, said.at.wall_ms, values.register_wh, values.soc, values.power_w)
    now = plausibility.with_window(before, now)
    measured.remember(connection, connector_no, now)
    if tx is not None:
        if before is None:
            store_figures.mark_odd(connection, tx.no, store_figures.UNWATCHED)
        for one in plausibility.of_values(before, now, values.power_w, said.most_watts):
            if one.rule in figures.ODD:
                store_figures.mark_odd(connection, tx.no, one.rule)
            yield one


def note_signature(connection: Connection, said: Said) -> None:
    """From now on nothing that this charger says is ever corrected."""
    if any(one.rule is Rule.SIGNED_VALUES for one in said.peculiar):
        charger_clocks.keep_signs(connection, said.charger, signs=True)


NAMED_AT_MOST = 8
"""Sessions that a boot's note names."""


def record_status(connection: Connection, said: Said, changed: ConnectorStatusChanged) -> Recorded:
    """A StatusNotification: the latest counts, an identical one is not stored again (1.6 §4.9)."""
    connector, numbered = connector_named(connection, said.charger, changed.connector)
    notes = Notes()
    all_open = [] if connector is None else transactions.all_open_on(connection, connector.no)
    open_here = all_open[-1] if all_open else None
    seq = exchange.peek_seq(connection)
    is_news = endings.status_seen(connection, said, all_open, changed, seq)
    if connector is not None:
        text = encode_json(said.call.payload)
        if connector.status is not None and _same_status(connector.status, said.call.payload) and not is_news:
            return Recorded(replies.EMPTY, is_repeat=True, new_connectors=numbered)
        connectors.set_status(connection, connector.no, text, said.at.wall_ms)
    elif _is_said_again(connection, said):
        return Recorded(replies.EMPTY, is_repeat=True)
    if connector is not None and changed.status == AVAILABLE:
        if open_here is not None:
            notes.add(Rule.AVAILABLE_WHILE_OPEN, f"{session_name(open_here.no)} has not ended")
        if connector.status is not None and station.stored_status(connector.status)[0] in WHILE_CHARGING:
            notes.add(Rule.FINISHING_SKIPPED, "charging until now")
    row = row_of(
        said,
        notes,
        connector_no=None if connector is None else connector.no,
        tx_no=_session_of_status(connection, connector, open_here),
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    exchange.append(connection, row)
    return Recorded(replies.EMPTY, rules=notes.rules(), new_connectors=numbered)


def _session_of_status(
    connection: Connection, connector: connectors.Connector | None, open_here: Transaction | None
) -> TransactionNo | None:
    """The session that it tells of: the open one, or the last one until its car has left."""
    if open_here is not None or connector is None:
        return None if open_here is None else open_here.no
    before = None if connector.status is None else station.stored_status(connector.status)[0]
    return transactions.last_on(connection, connector.no) if before == FINISHING or before in WHILE_CHARGING else None


def _is_said_again(connection: Connection, said: Said) -> bool:
    """Whether the charger itself (connector 0) said the same before; remembered for this run of the daemon."""
    of_charger = TransactionNo(-said.charger)
    what = repeats.content("status", str(exchange.without_timestamp(encode_json(said.call.payload))))
    if not repeats.remember(connection, of_charger, what):
        return True
    repeats.forget_others(connection, of_charger, what)
    return False


def _same_status(stored: str, payload: Payload) -> bool:
    return exchange.without_timestamp(stored) == exchange.without_timestamp(encode_json(payload))


def record_boot(connection: Connection, said: Said, boot: ChargerBooted, answer: Payload) -> Recorded:
    """A BootNotification: the inventory. Open transactions are in doubt from now on (E.9 rule 6)."""
    own_serial = connectors.booted(connection, said.charger, boot, said.version, said.at.wall_ms)
    notes = Notes()
    if own_serial is not None:
        notes.add(Rule.SERIAL_CHANGED, f"says serial {boot.serial}, was {own_serial}")
    still_open = transactions.open_of(connection, said.charger, NAMED_AT_MOST)
    if still_open:
        names = ", ".join(session_name(one.no) for one in still_open)
        more = transactions.count_open_of(connection, said.charger) - len(still_open)
        names += f" and {more} more" if more else ""
        notes.add(Rule.BOOT_WHILE_OPEN, f"{names} {'has' if len(still_open) == 1 else 'have'} not ended")
    seq = exchange.append(connection, row_of(said, notes, answer=result_text(said.call.message_id, answer)))
    endings.has_booted(connection, said.charger, seq, said.at.wall_ms)
    if (at_it := rollouts.at_it(connection, said.charger)) is not None:
        rollout, part = at_it
        wanted = from_json(rollout.wish).version
        _progressed(connection, at_it, after_boot(part.progress, boot.firmware, wanted, said.at.wall_ms))
    return Recorded(answer, rules=notes.rules())


def record_firmware(connection: Connection, said: Said, progressed: FirmwareProgressed) -> Recorded:
    """A FirmwareStatusNotification: how far its charger is in a rollout, if it is in one."""
    if (at_it := rollouts.at_it(connection, said.charger)) is not None:
        after = after_status(at_it[1].progress, progressed.status, said.at.wall_ms)
        _progressed(connection, at_it, after)
    return record_plain(connection, said, replies.EMPTY)


def record_diagnostics(connection: Connection, said: Said, progressed: DiagnosticsProgressed) -> Recorded:
    """A DiagnosticsStatusNotification: how far its charger is in a collection, if it is in one."""
    if (at_it := collecting.at_it(connection, said.charger)) is not None:
        no, part = at_it
        after = after_diagnostics_status(part.progress, progressed.status, said.at.wall_ms)
        if after != part.progress:
            collecting.set_progress(connection, no, part.charger_no, after)
    return record_plain(connection, said, replies.EMPTY)


def _progressed(connection: Connection, at_it: tuple[rollouts.Rollout, rollouts.Part], after: Progress) -> None:
    rollout, part = at_it
    if after != part.progress:
        rollouts.set_progress(connection, rollout.no, part.charger_no, after)


def record_plain(connection: Connection, said: Said, answer: Payload) -> Recorded:
    """Anything else that is answered at once."""
    exchange.append(connection, row_of(said, Notes(), answer=result_text(said.call.message_id, answer)))
    return Recorded(answer)
