"""The last measurement of each connector, in memory: what the next one is compared with.

A TEMP table of the writer's connection, so that a rolled-back unit leaves no trace. After a restart it is empty: only
findings rest on it (`edge/domain/plausibility.py`), no decision does.
"""

import sqlite3
from datetime import UTC, datetime

from edge.domain.ids import ConnectorNo
from edge.domain.plausibility import Measured, Window


def load(connection: sqlite3.Connection) -> None:
    """Make the table."""
    connection.execute(
        "CREATE TEMP TABLE measured (connector_no INTEGER PRIMARY KEY, tx_no INTEGER, at REAL, "
        "received_ms INTEGER NOT NULL, register_wh INTEGER, soc REAL, power_w REAL, "
        "window_at REAL, window_register_wh INTEGER, window_by_power_wh REAL)"
    )


def last(connection: sqlite3.Connection, connector_no: ConnectorNo) -> Measured | None:
    row = connection.execute(
        "SELECT tx_no, at, received_ms, register_wh, soc, power_w, window_at, window_register_wh, window_by_power_wh "
        "FROM temp.measured WHERE connector_no = :connector",
        {"connector": connector_no},
    ).fetchone()
    if row is None:
        return None
    window = None if row[6] is None else Window(datetime.fromtimestamp(row[6], UTC), row[7], row[8])
    at = None if row[1] is None else datetime.fromtimestamp(row[1], UTC)
    return Measured(row[0], at, row[2], row[3], row[4], row[5], window)


def remember(connection: sqlite3.Connection, connector_no: ConnectorNo, now: Measured) -> None:
    """The last one from now on; within a transaction, what it does not say stays."""
    connection.execute(
        "INSERT INTO temp.measured VALUES (:connector, :tx, :at, :received, :register, :soc, :power, :window_at, "
        ":window_register, :window_by_power) "
        "ON CONFLICT (connector_no) DO UPDATE SET tx_no = :tx, at = :at, received_ms = :received, "
        "register_wh = CASE WHEN tx_no IS :tx THEN coalesce(:register, register_wh) ELSE :register END, "
        "soc = CASE WHEN tx_no IS :tx THEN coalesce(:soc, soc) ELSE :soc END, "
        "power_w = :power, window_at = :window_at, window_register_wh = :window_register, "
        "window_by_power_wh = :window_by_power",
        {
            "connector": connector_no,
            "tx": now.transaction,
            "at": None if now.at is None else now.at.timestamp(),
            "received": now.received_ms,
            "register": now.register_wh,
            "soc": now.soc,
            "power": now.power_w,
            "window_at": None if now.window is None else now.window.at.timestamp(),
            "window_register": None if now.window is None else now.window.register_wh,
            "window_by_power": None if now.window is None else now.window.by_power_wh,
        },
    )
