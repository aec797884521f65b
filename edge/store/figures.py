"""How the energy of a session was found, and what of its registers was odd."""

import sqlite3

from edge.domain.ids import TransactionNo
from edge.domain.peculiarities import Rule

UNWATCHED = "unwatched"
"""Instead of a rule: the daemon was started anew, and its last register of the session is not at hand."""


def mark_odd(connection: sqlite3.Connection, tx_no: TransactionNo, rule: str) -> None:
    """One of its registers cannot be true after the others, or by the power: it has to be looked at as a whole."""
    connection.execute(
        "UPDATE tx SET odd_rule = :rule WHERE tx_no = :tx AND (odd_rule IS NULL OR :rule = :unit)",
        {"rule": rule, "tx": tx_no, "unit": Rule.ENERGY_POWER_DISAGREE},
    )


def odd_rule(connection: sqlite3.Connection, tx_no: TransactionNo) -> str | None:
    """The rule that marked it; that its unit is in doubt counts more than the others."""
    row = connection.execute("SELECT odd_rule FROM tx WHERE tx_no = :tx", {"tx": tx_no}).fetchone()
    return None if row is None else row[0]


def keep(connection: sqlite3.Connection, tx_no: TransactionNo, figures: str) -> None:
    """As JSON."""
    connection.execute("UPDATE tx SET figures = :figures WHERE tx_no = :tx", {"figures": figures, "tx": tx_no})


def forget(connection: sqlite3.Connection, tx_no: TransactionNo) -> None:
    """What was found when it was taken to have ended without a stop."""
    connection.execute("UPDATE tx SET figures = NULL WHERE tx_no = :tx AND figures IS NOT NULL", {"tx": tx_no})


def connector_before(connection: sqlite3.Connection, tx_no: TransactionNo) -> int | None:
    """The register with which the session before it on its connector ended, if its own stop said so, rightly."""
    row = connection.execute(
        "SELECT before.meter_stop_wh, before.end_rule, json_extract(before.figures, '$.rules[0]') "
        "FROM tx before JOIN tx this ON this.tx_no = :tx "
        "WHERE before.connector_no = this.connector_no AND before.kind = 'transaction' AND before.state = 'ended' "
        "AND before.tx_no < this.tx_no ORDER BY before.tx_no DESC LIMIT 1",
        {"tx": tx_no},
    ).fetchone()
    return None if row is None or row[1] is not None or row[2] is not None else row[0]
