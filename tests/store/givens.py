"""What the tests of the store begin with: files, a disk that fails on request, and a site with chargers in it.

Everything is a real SQLite file; only the thread (`Disk`) or nothing at all (`opened`) is left out.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from edge.domain.ids import ChargerId, ChargerNo, ChargerTransactionId, ConnectorNo, IdToken, TransactionNo
from edge.domain.ports import Clock
from edge.ocppj.frames import call_text
from edge.store import chains, connectors, exchange, measured, repeats, transactions
from edge.store.db import OpenDatabase, Store, configure, open_store, open_threaded, prepare_file
from edge.store.exchange import Kind, Moment, NewExchange
from edge.store.migration import migrate
from edge.store.transactions import NewTransaction
from edge.world import SystemClock

T = TypeVar("T")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(seconds: float = 0.0, boot_no: int = 1) -> Moment:
    return Moment(boot_no, NOON + timedelta(seconds=seconds), round(seconds * 1000))


def a_row(
    text: str = '[2,"m","Heartbeat",{}]', peer: int = 1, kind: Kind = Kind.CHARGER_CALL, **more: Any
) -> NewExchange:
    return NewExchange(moment(), peer, kind, text, **more)


def opened(path: Path) -> sqlite3.Connection:
    """A connection as the writer has it."""
    prepare_file(path)
    connection = sqlite3.connect(path, isolation_level=None)
    for step in (configure, migrate, chains.load, repeats.load, measured.load):
        step(connection)
    return connection


def in_one_commit(connection: sqlite3.Connection, unit: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    result = unit(connection)
    connection.execute("COMMIT")
    return result


def after_power_cut(path: Path, to: Path) -> Path:
    """The file and its WAL as they lie on the disk at this moment, in another folder."""
    to.mkdir()
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            (to / source.name).write_bytes(source.read_bytes())
    return to / path.name


@asynccontextmanager
async def running(
    path: Path, open_database: OpenDatabase = open_threaded, clock: Clock | None = None
) -> AsyncIterator[Store]:
    """A store whose writer runs; closed at the end."""
    store = await open_store(path, open_database, clock or SystemClock())
    try:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(store.run())
            try:
                yield store
            finally:
                writer.cancel()
    finally:
        await store.close()


class Disk:
    """Opens databases that work in this thread, take `seconds` for a group, and fail to commit on request."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.commits = 0
        self.attempts = 0
        self.failures = 0
        """How many of the next commits fail."""
        self.rolls_back = False
        """Whether SQLite has rolled back by itself when a commit fails."""
        self.before_commit: Callable[[], None] = lambda: None

    async def open_database(self, path: Path) -> "DiskDatabase":
        return DiskDatabase(self, path)


class DiskConnection(sqlite3.Connection):
    disk: Disk

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.disk.attempts += 1
            self.disk.before_commit()
            if self.disk.failures > 0:
                self.disk.failures -= 1
                if self.disk.rolls_back:
                    super().execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")
            self.disk.commits += 1
        return super().execute(sql, parameters)


class DiskDatabase:
    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._connection = sqlite3.connect(path, isolation_level=None, factory=DiskConnection)
        self._connection.disk = disk

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(self._disk.seconds)
        return function(self._connection)

    async def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class StoredSite:
    """Chargers with counted connectors, and sessions on them."""

    db: sqlite3.Connection
    messages: int = 0
    charger_tx: int = 1000
    connector_of: dict[TransactionNo, ConnectorNo] = field(default_factory=dict)
    charger_of: dict[TransactionNo, ChargerNo] = field(default_factory=dict)

    def charger(self, name: str, connector_count: int = 1) -> tuple[ChargerNo, tuple[ConnectorNo, ...]]:
        no = connectors.enrol(self.db, ChargerId(name), connectors.KNOWN, "file")
        return no, connectors.count(self.db, no, connector_count)

    def begin(
        self, charger: ChargerNo, connector: ConnectorNo, token: str = "TAG", **more: Any
    ) -> tuple[TransactionNo, int]:
        """A session with its start; its number and the row's."""
        self.charger_tx += 1
        tx_no = transactions.begin(
            self.db,
            NewTransaction(
                transactions.TRANSACTION,
                charger,
                connector,
                exchange.peek_seq(self.db),
                charger_tx=ChargerTransactionId(str(self.charger_tx)),
                id_token=IdToken(token),
                started_at=NOON,
                **more,
            ),
        )
        self.connector_of[tx_no], self.charger_of[tx_no] = connector, charger
        return tx_no, self.say(tx_no, "StartTransaction")

    def say(self, tx_no: TransactionNo, action: str, *, relay: bool = True, kind: Kind = Kind.CHARGER_CALL) -> int:
        """A row of this session."""
        self.messages += 1
        return exchange.append(
            self.db,
            a_row(
                call_text(f"m{self.messages}", action, {"n": self.messages}),
                self.charger_of[tx_no],
                kind,
                action=action,
                message_id=f"m{self.messages}",
                version="1.6",
                connector_no=self.connector_of[tx_no],
                tx_no=tx_no,
                relay=relay,
            ),
        )

    def end(self, tx_no: TransactionNo) -> int:
        """Its stop."""
        seq = self.say(tx_no, "StopTransaction")
        transactions.end(self.db, tx_no, NOON + timedelta(hours=1), 5000, "Local")
        return seq
