"""What is known of id tokens: the local list and the cache (1.6 §3.5)."""

import sqlite3
from datetime import UTC, datetime

from edge.domain.authorization import TokenEntry
from edge.domain.ids import IdToken

LIST = "list"
CACHE = "cache"


def entry(connection: sqlite3.Connection, token: IdToken, source: str) -> TokenEntry | None:
    """What `source` says of a token. Tokens are compared without regard to case (CiString, 1.6 §3.2)."""
    row = connection.execute(
        "SELECT status, expires_wall_ms FROM token WHERE id_token = :token AND source = :source",
        {"token": token.casefold(), "source": source},
    ).fetchone()
    if row is None:
        return None
    return TokenEntry(row[0], None if row[1] is None else datetime.fromtimestamp(row[1] / 1000, UTC))


def learn(
    connection: sqlite3.Connection,
    token: IdToken,
    status: str,
    expires_at: datetime | None,
    parent: str | None,
    wall_ms: int,
) -> None:
    """Put an answer of the CSMS into the cache. Tokens of the local list never enter it (1.6 §3.5.3)."""
    if entry(connection, token, LIST) is not None:
        return
    connection.execute(
        "INSERT OR REPLACE INTO token (id_token, source, shown, status, parent, expires_wall_ms, learned_wall_ms) "
        "VALUES (:key, 'cache', :shown, :status, :parent, :expires, :wall)",
        {
            "key": token.casefold(),
            "shown": token,
            "status": status,
            "parent": parent,
            "expires": None if expires_at is None else round(expires_at.timestamp() * 1000),
            "wall": wall_ms,
        },
    )


def clear_cache(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM token WHERE source = 'cache'")
