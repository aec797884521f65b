"""To which transaction a charger's message belongs, and what is to be relayed.

Chargers name transactions badly: 0, -1, 2^63-1, nothing at all, or an id from another life (ocpp-rules.md E.2). The
rules here decide on the evidence; each rule that had to help has a name, which goes into the journal.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from edge.domain.events import EnergyMeasured, TransactionEnded, TransactionStarted
from edge.domain.ids import ChargerNo, ChargerTransactionId, ConnectorNo, IdToken, TransactionNo
from edge.domain.peculiarities import Rule
from edge.domain.plausibility import MOST_WATTS, Measured, continues

OLDEST_BELIEVED_YEAR = 2020
"""A time before it was told by a clock that was not set."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What the rules look at."""

    no: TransactionNo
    connector_no: ConnectorNo | None
    charger_tx: ChargerTransactionId
    id_token: IdToken | None
    is_open: bool
    started_at: datetime | None
    meter_start_wh: int | None
    is_doubted: bool = False
    """There is evidence that it has ended."""
    is_moved: bool = False
    """Its times are not sent as they were said."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where a message belongs. `relay` False: kept, not sent to the CSMS."""

    transaction: Transaction | None
    relay: bool
    rule: Rule | None = None
    """The rule that had to help, None when the charger named its transaction correctly."""


def start_key(charger: ChargerNo, started: TransactionStarted) -> bytes:
    """By what a repeated StartTransaction is known (some chargers repeat it after a lost link, E.2)."""
    return hashlib.blake2b(f"{charger}\0{started.connector}\0{started.identity}".encode(), digest_size=16).digest()


def attribute_values(
    measured: EnergyMeasured, named: Transaction | None, open_on_connector: Transaction | None
) -> Attribution:
    """Whose meter values these are. `named`: the charger's transaction with the id in the message."""
    if named is not None:
        if named.is_open:
            return Attribution(named, relay=True)
        # After its StopTransaction a CSMS drops or refuses values (SteVe): kept, not sent.
        return Attribution(named, relay=False, rule=Rule.VALUES_AFTER_STOP)
    if open_on_connector is not None and not _is_before(measured.at, open_on_connector.started_at):
        return Attribution(open_on_connector, relay=True, rule=Rule.VALUES_ATTACHED_BY_CONNECTOR)
    if measured.is_closing:
        # The values of an end that came after it, without a name (Ocular): nothing that a CSMS could place.
        return Attribution(None, relay=False, rule=Rule.VALUES_AFTER_STOP)
    rule = None if measured.transaction is None else Rule.VALUES_OF_UNKNOWN_TRANSACTION
    return Attribution(None, relay=measured.connector > 0, rule=rule)


def attribute_stop(
    ended: TransactionEnded,
    named: Transaction | None,
    open_of_charger: Sequence[Transaction],
    last_measured: Mapping[TransactionNo, Measured] = MappingProxyType({}),
    most_watts: float = MOST_WATTS,
) -> Attribution:
    """Which transaction this stop ends; none: an orphan. A stop is never refused (E.2).

    `last_measured`: of the open ones, for a stop that names neither its transaction nor a token.
    """
    if named is not None:
        if named.is_open:
            return Attribution(named, relay=True)
        return Attribution(named, relay=False, rule=Rule.DUPLICATE_STOP)
    on_connectors = [candidate for candidate in open_of_charger if candidate.connector_no is not None]
    possible = [candidate for candidate in on_connectors if not _is_before(ended.at, candidate.started_at)]
    if ended.transaction is None and len(on_connectors) == len(possible) == 1:
        return Attribution(possible[0], relay=True, rule=Rule.STOP_ATTACHED_TO_ONLY_TRANSACTION)
    matching = [candidate for candidate in possible if _could_end(ended, candidate)]
    if len(matching) == 1:
        return Attribution(matching[0], relay=True, rule=Rule.STOP_ATTACHED_BY_TOKEN)
    if ended.token is None:
        continued = [one for one in possible if _continues(ended, last_measured.get(one.no), most_watts)]
        if len(continued) == 1:
            return Attribution(continued[0], relay=True, rule=Rule.STOP_ATTACHED_BY_METER)
    return Attribution(None, relay=False, rule=Rule.ORPHAN_STOP)


def _could_end(ended: TransactionEnded, candidate: Transaction) -> bool:
    if ended.token is None or ended.token != candidate.id_token:
        return False
    if ended.meter_stop_wh is None or candidate.meter_start_wh is None:
        return False
    return ended.meter_stop_wh >= candidate.meter_start_wh


def _continues(ended: TransactionEnded, last: Measured | None, most_watts: float) -> bool:
    if last is None:
        return False
    # Without a time of its own the stop has only its register to show.
    at = ended.at if ended.at is not None and ended.at.year >= OLDEST_BELIEVED_YEAR else last.at
    stop = Measured(last.transaction, at, last.received_ms, ended.meter_stop_wh)
    return continues(last, stop, most_watts)


def _is_before(at: datetime | None, start: datetime | None) -> bool:
    """Whether it was before the start, as far as the clocks were set (1970 after a boot says nothing)."""
    if at is None or start is None or at.year < OLDEST_BELIEVED_YEAR:
        return False
    return at < start
