"""What the simulated cloud received, and what it made of it: the ground truth of end-to-end tests.

Each CALL becomes one `Received`, payload exactly as it came. `Ledger` gives out transaction ids and files
starts, meter values and stops under them in the order received. It corrects nothing: a repeated start gets a
second id unless `dedupe` is on, a second stop is kept as a second stop, and what names no known transaction
is an orphan.
"""

from dataclasses import dataclass, field

from simulators.wire import JsonValue, Payload, SchemaViolation, encode

_SHOWN = ("idTag", "status", "errorCode", "meterStart", "meterStop", "transactionId", "reason", "timestamp")


@dataclass(slots=True, eq=False)
class Received:
    """One CALL of a station. `answer` is the CALLRESULT's payload once it was written, else None."""

    at: float
    identity: str
    action: str
    message_id: str
    payload: Payload
    text: str
    violation: SchemaViolation | None
    answer: Payload | None = None
    error_code: str | None = None
    answered_at: float | None = None
    transaction: "Transaction | None" = field(default=None, repr=False)

    @property
    def connector(self) -> JsonValue:
        """The station's connector: as named in the message, else the one of its transaction."""
        if "connectorId" in self.payload:
            return self.payload["connectorId"]
        return None if self.transaction is None else self.transaction.connector

    @property
    def is_answered(self) -> bool:
        return self.answered_at is not None

    def line(self) -> str:
        """One line for people: who, what, and what was answered."""
        words = [self.identity, self.action]
        if self.connector is not None:
            words.append(f"connector {self.connector}")
        words += [f"{name} {self.payload[name]}" for name in _SHOWN if name in self.payload]
        if self.error_code is not None:
            words.append(f"-> CALLERROR {self.error_code}")
        elif self.answer:
            words.append(f"-> {encode(self.answer)[1:-1]}")
        return " ".join(words)


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction as the cloud knows it; `messages` holds all that named it, in the order received."""

    id: int
    identity: str
    messages: list[Received] = field(default_factory=list)

    @property
    def start(self) -> Received:
        return self.messages[0]

    @property
    def starts(self) -> list[Received]:
        """More than one only after a repetition that `dedupe` recognised."""
        return self._of("StartTransaction")

    @property
    def meter_values(self) -> list[Received]:
        return self._of("MeterValues")

    @property
    def stops(self) -> list[Received]:
        return self._of("StopTransaction")

    @property
    def stop(self) -> Received | None:
        return next(iter(self.stops), None)

    @property
    def is_open(self) -> bool:
        return self.stop is None

    @property
    def connector(self) -> JsonValue:
        return self.start.payload.get("connectorId")

    @property
    def id_tag(self) -> JsonValue:
        return self.start.payload.get("idTag")

    @property
    def energy_wh(self) -> int | None:
        stop = self.stop
        return None if stop is None else stop.payload["meterStop"] - self.start.payload["meterStart"]

    def _of(self, action: str) -> list[Received]:
        return [received for received in self.messages if received.action == action]


class Ledger:
    def __init__(self, first_transaction_id: int, *, dedupe: bool, concurrent_tx: bool) -> None:
        self.transactions: dict[int, Transaction] = {}
        self.orphans: list[Received] = []
        self.dedupe = dedupe
        self.concurrent_tx = concurrent_tx
        self._next_id = first_transaction_id

    def start(self, received: Received, wanted_id: JsonValue = None) -> Transaction:
        """The transaction of this StartTransaction: a new one, or with `dedupe` the one it repeats."""
        transaction = self._repeated(received) if self.dedupe else None
        if transaction is None:
            transaction = Transaction(self._new_id() if wanted_id is None else wanted_id, received.identity)
            self.transactions[transaction.id] = transaction
        self._file(received, transaction)
        return transaction

    def add(self, received: Received) -> None:
        """File MeterValues or a StopTransaction under the transaction that it names, if it names one."""
        transaction_id = received.payload.get("transactionId")
        transaction = self.transactions.get(transaction_id)
        if transaction is not None:
            self._file(received, transaction)
        elif transaction_id is not None:
            self.orphans.append(received)

    def is_charging_elsewhere(self, received: Received) -> bool:
        """ConcurrentTx: this token has another open transaction, and the cloud minds."""
        return self.concurrent_tx and any(
            transaction.is_open and transaction.id_tag == received.payload.get("idTag")
            for transaction in self.transactions.values()
            if transaction is not received.transaction
        )

    def _repeated(self, received: Received) -> Transaction | None:
        # SteVe recognises a repetition by these four; the message id is new each time.
        key = ("connectorId", "idTag", "timestamp", "meterStart")
        for transaction in self.transactions.values():
            first = transaction.start
            if first.identity == received.identity and all(
                first.payload.get(name) == received.payload.get(name) for name in key
            ):
                return transaction
        return None

    def _new_id(self) -> int:
        while self._next_id in self.transactions:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    @staticmethod
    def _file(received: Received, transaction: Transaction) -> None:
        received.transaction = transaction
        transaction.messages.append(received)
