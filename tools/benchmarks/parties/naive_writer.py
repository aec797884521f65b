"""How a store is usually written: a row that says its state, an index on it, a running total, one commit a message.

Writes as many messages as are asked for; what the kernel is asked for meanwhile is counted outside.
"""

import asyncio
import sys

import aiosqlite

from benchmarks import messages

TABLES = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, tx_id INTEGER, state TEXT, at TEXT, text TEXT)",
    "CREATE INDEX message_state ON message (state, id)",
    "CREATE TABLE charging (tx_id INTEGER PRIMARY KEY, meter INTEGER NOT NULL, messages INTEGER NOT NULL)",
    "INSERT INTO charging VALUES (7, 0, 0)",
)


async def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    values = messages.MeterValues("n", 7, samples=1)
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        for statement in TABLES:
            await connection.execute(statement)
        for number in range(count):
            await connection.execute("BEGIN IMMEDIATE")
            await connection.execute(
                "INSERT INTO message (tx_id, state, at, text) VALUES (7, 'waiting', ?, ?)",
                (messages.at(number), values.text(number)),
            )
            await connection.execute("UPDATE charging SET meter = ?, messages = messages + 1", (number,))
            await connection.execute("COMMIT")


if __name__ == "__main__":
    asyncio.run(main())
