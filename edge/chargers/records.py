"""The units of work behind a charger's CALLs: what is read, decided and written in one commit.

Each is a plain function of a connection (architecture, law 2); `intake.py` submits them and answers the charger with
what they return. The CSMS gets what they mark `relay`; `Stored` tells the sender where it waits.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from edge.dialects.v16 import replies
from edge.domain import authorization
from edge.domain.authorization import Decision, OfflinePolicy, Source, UplinkState, Verdict
from edge.domain.connectors import MOST as MOST_CONNECTORS
from edge.domain.events import (
    ChargerBooted,
    ConnectorStatusChanged,
    EnergyMeasured,
    TransactionEnded,
    TransactionStarted,
)
from edge.domain.ids import ChargerNo, ChargerTransactionId, ConnectorNo, IdToken, TransactionNo
from edge.domain.transactions import OLDEST_BELIEVED_YEAR, attribute_stop, attribute_values, start_key
from edge.jsontypes import Payload
from edge.ocppj.frames import Call, encode_json, result_text
from edge.store import Connection, boots, connectors, delivery, exchange, remote_starts, repeats, tokens, transactions
from edge.store.exchange import Kind, Moment, NewExchange
from edge.store.transactions import NewTransaction


@dataclass(frozen=True, slots=True)
class Said:
    """A charger's CALL as it came in."""

    charger: ChargerNo
    version: str
    call: Call
    at: Moment
    flaws: tuple[str, ...] = ()
    """What of it breaks the schema."""


class Stored(NamedTuple):
    """A row that waits for the CSMS."""

    connector: ConnectorNo
    waiting: delivery.Waiting


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a CALL."""

    answer: Payload
    stored: Stored | None = None
    is_repeat: bool = False
    rules: tuple[str, ...] = ()
    """Rules that had to help (domain/transactions.py)."""
    new_connectors: tuple[ConnectorNo, ...] = ()
    """Connectors that got their upstream number just now."""


@dataclass(frozen=True, slots=True)
class StartRecorded:
    transaction: TransactionNo
    charger_tx: ChargerTransactionId
    seq: int
    decision: Decision
    """ASK: stored, but the driver's token is for the CSMS to judge."""
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Policy:
    offline: OfflinePolicy
    uplink: UplinkState
    transaction_id_base: int
    """Where the ids given to chargers begin, when the store is new."""


@dataclass(slots=True)
class _Notes:
    """What is remarkable of a message, for the journal."""

    entries: list[Payload] = field(default_factory=list)

    def add(self, rule: str, message: str) -> None:
        self.entries.append({"rule": rule, "message": message})

    def text(self) -> str | None:
        return encode_json(self.entries) if self.entries else None


def _row(said: Said, notes: _Notes, **more: object) -> NewExchange:
    for flaw in said.flaws:
        notes.add("schema_violated", flaw)
    return NewExchange(
        at=said.at,
        peer=said.charger,
        kind=Kind.CHARGER_CALL,
        text=said.call.text,
        action=said.call.action,
        message_id=said.call.message_id,
        version=said.version,
        notes=notes.text(),
        **more,  # type: ignore[arg-type]  # the remaining columns by name
    )


def _connector(
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


def record_start(connection: Connection, said: Said, started: TransactionStarted, policy: Policy) -> StartRecorded:
    """A StartTransaction: known by its key when it is a repetition, else a new transaction with its evidence."""
    key = start_key(said.charger, started)
    if started.at is None or started.at.year < OLDEST_BELIEVED_YEAR:  # its clock was not set: known in this boot only
        key += said.at.boot_no.to_bytes(4, "big")
    known = transactions.by_start_key(connection, key)
    if known is not None:
        return _repeated_start(connection, known, started, policy, said)

    notes = _Notes()
    conn = started.connector
    if conn == 0:  # E.2: some single-outlet chargers start on 0
        of_charger = connectors.connectors_of(connection, said.charger)
        conn = of_charger[0].conn if len(of_charger) == 1 else 0
        notes.add("start_on_connector_0", f"taken as connector {conn}" if conn else "no connector to take it for")
    connector, numbered = _connector(connection, said.charger, conn)
    remote = remote_starts.take(connection, said.charger, conn, started.token, said.at.wall_ms)
    decision = _decide(connection, started.token, policy, said) if remote is None else _remotely(remote)
    charger_tx = ChargerTransactionId(str(boots.next_number(connection, "charger_tx", policy.transaction_id_base)))
    seq = exchange.peek_seq(connection)
    new = NewTransaction(
        kind=transactions.TRANSACTION,
        charger_no=said.charger,
        connector_no=None if connector is None else connector.no,
        begin_seq=seq,
        charger_tx=charger_tx,
        start_key=key,
        id_token=started.token,
        started_at=started.at or said.at.wall,
        meter_start_wh=started.meter_start_wh,
        remote_start=remote is not None,
        started_offline=policy.uplink is not UplinkState.UP,
    )
    if connector is None:
        refused = Decision(Verdict.REFUSE, authorization.INVALID, Source.POLICY)
        answer = replies.start(charger_tx, refused.status)
        row = _row(said, notes, answer=result_text(said.call.message_id, answer), relay=True)
        delivery.park_orphan(connection, new, row, "no_connector", "the start names no connector of the charger")
        found = transactions.by_start_key(connection, key)
        assert found is not None
        return StartRecorded(found[0], charger_tx, seq, refused, Recorded(answer, rules=("start_on_connector_0",)))

    older = transactions.open_on(connection, connector.no)
    if older is not None:
        notes.add("start_while_open", f"S{older.no} on this connector has not ended")
    tx_no = transactions.begin(connection, new)
    is_decided = decision.verdict is not Verdict.ASK
    answer = replies.start(charger_tx, decision.status)
    row = _row(
        said,
        notes,
        connector_no=connector.no,
        tx_no=tx_no,
        relay=True,
        answer=result_text(said.call.message_id, answer) if is_decided else None,
    )
    exchange.append(connection, row)
    if is_decided:
        transactions.decided(connection, tx_no, decision.status, decision.source, said.at.wall_ms)
    stored = Stored(connector.no, delivery.Waiting(seq, is_start_or_stop=True))
    rules = tuple(str(entry["rule"]) for entry in notes.entries if entry["rule"] != "schema_violated")
    return StartRecorded(
        tx_no, charger_tx, seq, decision, Recorded(answer, stored, rules=rules, new_connectors=numbered)
    )


def _repeated_start(
    connection: Connection,
    known: tuple[TransactionNo, int],
    started: TransactionStarted,
    policy: Policy,
    said: Said,
) -> StartRecorded:
    """The same transaction and the same answer as before; a crash between evidence and verdict asks again."""
    tx_no, seq = known
    charger_tx, status, source = transactions.given(connection, tx_no)
    if status is None or source is None:
        decision = _decide(connection, started.token, policy, said)
        if decision.verdict is not Verdict.ASK:
            transactions.decided(connection, tx_no, decision.status, decision.source, said.at.wall_ms)
    else:
        verdict = Verdict.ACCEPT if status == authorization.ACCEPTED else Verdict.REFUSE
        decision = Decision(verdict, status, Source(source))
    answer = replies.start(charger_tx, decision.status)
    return StartRecorded(tx_no, charger_tx, seq, decision, Recorded(answer, is_repeat=True))


def _decide(connection: Connection, token: IdToken, policy: Policy, said: Said) -> Decision:
    return authorization.decide(
        tokens.entry(connection, token, tokens.LIST),
        tokens.entry(connection, token, tokens.CACHE),
        policy.offline,
        policy.uplink,
        said.at.wall,
    )


def _remotely(remote: remote_starts.RemoteStart) -> Decision:
    """Whoever started remotely has decided already (F.5)."""
    source = Source.OPERATOR if remote.origin == remote_starts.OPERATOR else Source.CSMS
    return Decision(Verdict.ACCEPT, authorization.ACCEPTED, source)


def record_verdict(
    connection: Connection, said: Said, start: StartRecorded, verdict: str | None, policy: Policy
) -> Payload:
    """The answer to a start that had to be asked for: the CSMS's verdict, or ours when none came in time."""
    token = transactions.id_token(connection, start.transaction)
    decision = _decide(connection, token, policy, said) if verdict is None else authorization.from_verdict(verdict)
    answer = replies.start(start.charger_tx, decision.status)
    transactions.decided(connection, start.transaction, decision.status, decision.source, said.at.wall_ms)
    exchange.append(
        connection,
        NewExchange(
            at=said.at,
            peer=said.charger,
            kind=Kind.DECISION,
            action="StartTransaction",
            tx_no=start.transaction,
            cause_seq=start.seq,
            text=encode_json({"decision": decision.verdict, "status": decision.status, "source": decision.source}),
            answer=result_text(said.call.message_id, answer),
        ),
    )
    return answer


def decide_token(connection: Connection, said: Said, token: IdToken, policy: Policy) -> Decision:
    """An Authorize: a token for which a remote start waits is welcome already."""
    if remote_starts.is_awaited(connection, said.charger, token, said.at.wall_ms):
        return Decision(Verdict.ACCEPT, authorization.ACCEPTED, Source.CSMS)
    return _decide(connection, token, policy, said)


def record_values(connection: Connection, said: Said, measured: EnergyMeasured) -> Recorded:
    """A MeterValues: of its transaction, of the connector's open one, or of none."""
    connector, numbered = _connector(connection, said.charger, measured.connector)
    named = (
        None
        if measured.transaction is None
        else transactions.by_charger_tx(connection, said.charger, measured.transaction)
    )
    open_here = None if connector is None else transactions.open_on(connection, connector.no)
    belongs = attribute_values(measured, named, open_here)
    notes = _Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transactionId as sent: {said.call.payload.get('transactionId', 'none')!s:.40}")
    what = repeats.content(said.call.action, encode_json(said.call.payload))
    rules = () if belongs.rule is None else (belongs.rule,)
    connector_no = None if connector is None else connector.no
    if belongs.transaction is not None:
        tx_no, connector_no = belongs.transaction.no, belongs.transaction.connector_no
    elif belongs.relay and connector_no is not None:
        tx_no = transactions.meter_stream(connection, said.charger, connector_no, exchange.peek_seq(connection))
    else:
        row = _row(said, notes, connector_no=connector_no, answer=result_text(said.call.message_id, replies.EMPTY))
        exchange.append(connection, row)
        return Recorded(replies.EMPTY, rules=rules, new_connectors=numbered)
    if repeats.is_known(connection, tx_no, what):
        return Recorded(replies.EMPTY, is_repeat=True)
    if belongs.transaction is None:
        repeats.forget(connection, tx_no)  # of a stream without an end only the newest is remembered
    repeats.remember(connection, tx_no, what)
    row = _row(
        said,
        notes,
        connector_no=connector_no,
        tx_no=tx_no,
        relay=belongs.relay,
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    seq = exchange.append(connection, row)
    stored = None
    if belongs.relay and connector_no is not None:
        stored = Stored(connector_no, delivery.Waiting(seq, is_start_or_stop=False))
    return Recorded(replies.EMPTY, stored, rules=rules, new_connectors=numbered)


def record_stop(connection: Connection, said: Said, ended: TransactionEnded) -> Recorded:
    """A StopTransaction: never refused; without a match it is kept as an orphan (E.2)."""
    named = (
        None if ended.transaction is None else transactions.by_charger_tx(connection, said.charger, ended.transaction)
    )
    belongs = attribute_stop(ended, named, transactions.open_of(connection, said.charger))
    answer = replies.stop(_stop_status(connection, ended, said))
    text = result_text(said.call.message_id, answer)
    notes = _Notes()
    if belongs.rule is not None:
        notes.add(belongs.rule, f"transactionId as sent: {said.call.payload.get('transactionId', 'none')!s:.40}")
    rules = () if belongs.rule is None else (belongs.rule,)
    if belongs.transaction is None:
        new = NewTransaction(
            transactions.ORPHAN,
            said.charger,
            None,
            exchange.peek_seq(connection),
            id_token=ended.token,
            started_at=ended.at or said.at.wall,
        )
        why = "no transaction of this charger matches the stop"
        delivery.park_orphan(connection, new, _row(said, notes, answer=text, relay=True), "orphan_stop", why)
        return Recorded(answer, rules=rules)
    tx = belongs.transaction
    if not belongs.relay and _is_the_stored_stop(connection, tx.no, said):
        return Recorded(answer, is_repeat=True)
    row = _row(said, notes, connector_no=tx.connector_no, tx_no=tx.no, relay=belongs.relay, answer=text)
    seq = exchange.append(connection, row)
    if not belongs.relay:
        return Recorded(answer, rules=rules)
    transactions.end(connection, tx.no, ended.at or said.at.wall, ended.meter_stop_wh, ended.reason)
    repeats.forget(connection, tx.no)
    stored = None if tx.connector_no is None else Stored(tx.connector_no, delivery.Waiting(seq, is_start_or_stop=True))
    return Recorded(answer, stored, rules=rules)


def _stop_status(connection: Connection, ended: TransactionEnded, said: Said) -> str | None:
    """What is known of the token that stopped; a stop is accepted all the same."""
    if ended.token is None:
        return None
    for source in (tokens.LIST, tokens.CACHE):
        entry = tokens.entry(connection, ended.token, source)
        if entry is not None:
            return entry.status_at(said.at.wall)
    return None


def _is_the_stored_stop(connection: Connection, tx_no: TransactionNo, said: Said) -> bool:
    last_seq, _ = exchange.end_of(connection, tx_no)
    for row in exchange.of_transaction(connection, tx_no, last_seq):
        if row.action == "StopTransaction" and row.kind is Kind.CHARGER_CALL:
            return exchange.payload_text(row) == encode_json(said.call.payload)
    return False


def record_status(connection: Connection, said: Said, changed: ConnectorStatusChanged) -> Recorded:
    """A StatusNotification: the latest counts, an identical one is not stored again (1.6 §4.9)."""
    connector, numbered = _connector(connection, said.charger, changed.connector)
    if connector is not None:
        text = encode_json(said.call.payload)
        if connector.status is not None and _same_status(connector.status, said.call.payload):
            return Recorded(replies.EMPTY, is_repeat=True, new_connectors=numbered)
        connectors.set_status(connection, connector.no, text, said.at.wall_ms)
    open_here = None if connector is None else transactions.open_on(connection, connector.no)
    row = _row(
        said,
        _Notes(),
        connector_no=None if connector is None else connector.no,
        tx_no=None if open_here is None else open_here.no,
        answer=result_text(said.call.message_id, replies.EMPTY),
    )
    exchange.append(connection, row)
    return Recorded(replies.EMPTY, new_connectors=numbered)


def _same_status(stored: str, payload: Payload) -> bool:
    return exchange.without_timestamp(stored) == exchange.without_timestamp(encode_json(payload))


def record_boot(connection: Connection, said: Said, boot: ChargerBooted, answer: Payload) -> Recorded:
    """A BootNotification: the inventory. Open transactions stay open (E.9 rule 6)."""
    connectors.booted(connection, said.charger, boot, said.version, said.at.wall_ms)
    return record_plain(connection, said, answer)


def record_plain(connection: Connection, said: Said, answer: Payload) -> Recorded:
    """Anything else that is answered at once."""
    exchange.append(connection, _row(said, _Notes(), answer=result_text(said.call.message_id, answer)))
    return Recorded(answer)
