"""The units of work behind a charger's StartTransaction and Authorize: known again, decided, stored.

A start is on disk before anyone is asked; `intake.py` submits these units and answers with what they return.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge.chargers import endings, figures, timing
from edge.chargers.records import connector_named
from edge.chargers.said import Notes, Recorded, Said, row_of, take_extra
from edge.dialects.v16 import replies, station
from edge.domain import authorization, plausibility
from edge.domain.authorization import Decision, OfflinePolicy, Source, UplinkState, Verdict
from edge.domain.events import AVAILABLE, TransactionStarted
from edge.domain.ids import ChargerTransactionId, IdToken, TransactionNo, session_name
from edge.domain.peculiarities import Peculiarity, Rule
from edge.domain.plausibility import Measured
from edge.domain.transactions import OLDEST_BELIEVED_YEAR, start_key
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json, result_text
from edge.store import (
    Connection,
    boots,
    charger_clocks,
    connectors,
    delivery,
    exchange,
    measured,
    remote_starts,
    tokens,
    transactions,
)
from edge.store import figures as store_figures
from edge.store.delivery import Stored
from edge.store.exchange import Kind, NewExchange
from edge.store.transactions import NewTransaction

KEY_LIVES_MS = 24 * 3600 * 1000
"""So long after a session's end its start is known again: a charger repeats what it has queued, not yesterday's."""


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


RIVALS_AT_MOST = 4
"""Sessions that may be open on one connector because their starts came out of order; the next one ends them."""


def record_start(connection: Connection, said: Said, started: TransactionStarted, policy: Policy) -> StartRecorded:
    """A StartTransaction: known by its key when it is a repetition, else a new transaction with its evidence."""
    notes = Notes()
    key, known = _known(connection, said, started, notes)
    if known is not None:
        return _repeated_start(connection, known, started, policy, said)

    conn = started.connector
    if conn == 0:  # E.2: some single-outlet chargers start on 0
        of_charger = connectors.connectors_of(connection, said.charger)
        conn = of_charger[0].conn if len(of_charger) == 1 else 0
        notes.add(Rule.START_ON_CONNECTOR_0, f"taken as connector {conn}" if conn else "no connector to take it for")
    connector, numbered = connector_named(connection, said.charger, conn)
    remote = remote_starts.take(connection, said.charger, conn, started.token, said.at.wall_ms)
    decision = _decide(connection, started.token, policy, said) if remote is None else _remotely(remote)
    before = None if connector is None else measured.last(connection, connector.no)
    meter_start = figures.of_start(connection, said, started.meter_start_wh, before, notes)
    started_at, moving = timing.of_start(connection, said, started.at, notes)
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
        started_at=started_at,
        meter_start_wh=meter_start,
        remote_start=remote is not None,
        started_offline=policy.uplink is not UplinkState.UP,
    )
    if connector is None:
        return _orphan(connection, said, new, notes)

    ended = _end_older(connection, said, started, connector, notes)
    new = replace(new, begin_seq=exchange.peek_seq(connection))
    tx_no = transactions.begin(connection, new)
    if moving is not None:
        charger_clocks.move(connection, tx_no, moving)
    if meter_start != started.meter_start_wh:
        store_figures.mark_odd(connection, tx_no, Rule.METER_START_UNKNOWN)
    notes.add_all(_compared(connection, said, connector, started, tx_no))
    is_decided = decision.verdict is not Verdict.ASK
    answer = replies.start(charger_tx, decision.status)
    row = row_of(
        said,
        notes,
        connector_no=connector.no,
        tx_no=tx_no,
        relay=True,
        answer=result_text(said.call.message_id, answer) if is_decided else None,
    )
    seq = exchange.append(connection, row)
    if connector.status is not None:
        endings.begun(connection, said, started, tx_no, seq, station.stored_status(connector.status)[0])
    if Rule.START_OUT_OF_ORDER in notes.rules():
        here = transactions.all_open_on(connection, connector.no)
        endings.are_rivals(connection, [one.no for one in here], seq, said.at.wall_ms)
    if is_decided:
        transactions.decided(connection, tx_no, decision.status, decision.source, said.at.wall_ms)
    begun = Stored(connector.no, delivery.Waiting(seq, is_start_or_stop=True))
    rules = (*notes.rules(), *[str(Rule.STOP_NEVER_CAME)] * len(ended))
    recorded = Recorded(answer, (*ended, begun), rules=rules, new_connectors=numbered)
    return StartRecorded(tx_no, charger_tx, seq, decision, recorded)


def _orphan(connection: Connection, said: Said, new: NewTransaction, notes: Notes) -> StartRecorded:
    """It names no connector of its charger: refused, and kept where `edge queue` shows it."""
    take_extra(connection, said)
    refused = Decision(Verdict.REFUSE, authorization.INVALID, Source.POLICY)
    assert new.charger_tx is not None
    assert new.start_key is not None
    answer = replies.start(new.charger_tx, refused.status)
    row = row_of(said, notes, answer=result_text(said.call.message_id, answer), relay=True)
    delivery.park_orphan(connection, new, row, "no_connector", "the start names no connector of the charger")
    found = transactions.by_start_key(connection, new.start_key)
    assert found is not None
    transactions.decided(connection, found[0], refused.status, refused.source, said.at.wall_ms)
    recorded = Recorded(answer, rules=(Rule.START_ON_CONNECTOR_0,))
    return StartRecorded(found[0], new.charger_tx, new.begin_seq, refused, recorded)


def _end_older(
    connection: Connection,
    said: Said,
    started: TransactionStarted,
    connector: connectors.Connector,
    notes: Notes,
) -> tuple[Stored, ...]:
    """What was open on this connector gets a stop from us, with the rows before that of the start (E.9, 2).

    Unless it is this start that is the older one: then it comes from a queue, and so may its stop.
    """
    endings.is_replaced(connection, connector.no, exchange.peek_seq(connection), said.at.wall_ms)
    found = []
    while open_here := transactions.all_open_on(connection, connector.no):
        older = open_here[-1]
        take_extra(connection, said)
        if len(open_here) < RIVALS_AT_MOST and endings.is_before(connection, said, started.at, older):
            notes.add(Rule.START_OUT_OF_ORDER, f"{session_name(older.no)} on this connector has begun after this one")
            break
        notes.add(Rule.START_WHILE_OPEN, f"{session_name(older.no)} on this connector has not ended")
        stored = endings.next_has_started(connection, said, older, started.at, started.meter_start_wh)
        found += [] if stored is None else [stored]
    return tuple(found)


def _compared(
    connection: Connection,
    said: Said,
    connector: connectors.Connector,
    started: TransactionStarted,
    tx_no: TransactionNo,
) -> Iterator[Peculiarity]:
    """What is odd about a start after what its connector said before."""
    if connector.status is not None and station.stored_status(connector.status)[0] == AVAILABLE:
        yield Peculiarity(Rule.PREPARING_SKIPPED, "the connector said Available last")
    now = Measured(tx_no, started.at, said.at.wall_ms, started.meter_start_wh)
    yield from plausibility.of_start(measured.last(connection, connector.no), started.at, now)
    measured.remember(connection, connector.no, now)


def _known(
    connection: Connection, said: Said, started: TransactionStarted, notes: Notes
) -> tuple[bytes, tuple[TransactionNo, int] | None]:
    """The start's key, and the transaction that it began already."""
    key = start_key(said.charger, started)
    is_unset = started.at is None or started.at.year < OLDEST_BELIEVED_YEAR
    if is_unset:
        key += said.at.boot_no.to_bytes(4, "big")  # without a clock the key says little: known in this boot only
    known = transactions.by_start_key(connection, key)
    if known is not None and transactions.has_ended(connection, known[0]):
        is_reused = _was_last_heard_of(connection, known[0]) < said.at.wall_ms - KEY_LIVES_MS
        if is_unset or is_reused:
            # Its charger has stopped it: this is the next session.
            transactions.forget_start_key(connection, known[0])
            if is_reused:
                notes.add(Rule.START_REUSES_KEY, f"as {session_name(known[0])} began, which ended long ago")
            known = None
    return key, known


def _was_last_heard_of(connection: Connection, tx_no: TransactionNo) -> int:
    """When the charger last said something of an ended transaction, by our clock."""
    for row in exchange.of_transaction(connection, tx_no, exchange.end_of(connection, tx_no)[0]):
        if row.kind is Kind.CHARGER_CALL:
            return row.at_wall_ms
    return 0


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
    first = exchange.load(connection, seq)
    if first is None or exchange.payload_text(first) == encode_json(said.call.payload):
        return StartRecorded(tx_no, charger_tx, seq, decision, Recorded(answer, is_repeat=True))
    take_extra(connection, said)
    notes = Notes()
    notes.add(Rule.START_SAID_OTHERWISE, f"{session_name(tx_no)} began with this start, said a little differently")
    text = None if decision.verdict is Verdict.ASK else result_text(said.call.message_id, answer)
    exchange.append(connection, row_of(said, notes, connector_no=first.connector_no, tx_no=tx_no, answer=text))
    return StartRecorded(tx_no, charger_tx, seq, decision, Recorded(answer, rules=notes.rules()))


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
    if verdict == authorization.CONCURRENT and delivery.has_undelivered_before(connection, start.transaction):
        verdict = authorization.ACCEPTED  # our own backlog speaks: the CSMS has not heard of an end that we know of
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
