"""Remote starts that a charger has accepted and not begun yet, so that the start that follows is known as theirs."""

import sqlite3
from dataclasses import dataclass

from edge.domain.ids import ChargerNo, IdToken

CSMS = "csms"
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class RemoteStart:
    origin: str


def expect(
    connection: sqlite3.Connection,
    request: str,
    charger: ChargerNo,
    conn: int,
    token: IdToken,
    origin: str,
    expires_wall_ms: int,
) -> None:
    """A start of this token on this connector is to come; `request` names the command that asked for it."""
    connection.execute(
        "INSERT OR REPLACE INTO id_map "
        "(kind, station_no, upstream_id, charger_no, downstream_id, expires_wall_ms, detail) "
        "VALUES ('remote_start', 1, :request, :charger, :request, :expires, :detail)",
        {
            "request": request,
            "charger": charger,
            "expires": expires_wall_ms,
            "detail": f"{origin}\n{conn}\n{token.casefold()}",
        },
    )


def cancel(connection: sqlite3.Connection, request: str) -> None:
    """The charger refused it."""
    connection.execute(
        "DELETE FROM id_map WHERE kind = 'remote_start' AND upstream_id = :request", {"request": request}
    )


def _waiting(
    connection: sqlite3.Connection, charger: ChargerNo, token: IdToken, now_ms: int
) -> list[tuple[str, str, int]]:
    """(request, origin, connector) of this charger's remote starts of this token, newest first."""
    connection.execute("DELETE FROM id_map WHERE kind = 'remote_start' AND expires_wall_ms < :now", {"now": now_ms})
    rows = connection.execute(
        "SELECT upstream_id, detail FROM id_map WHERE kind = 'remote_start' AND charger_no = :charger "
        "ORDER BY expires_wall_ms DESC",
        {"charger": charger},
    )
    found = []
    for request, detail in rows:
        origin, conn, wanted = str(detail).split("\n", 2)
        if wanted == token.casefold():
            found.append((str(request), origin, int(conn)))
    return found


def take(
    connection: sqlite3.Connection, charger: ChargerNo, conn: int, token: IdToken, now_ms: int
) -> RemoteStart | None:
    """The remote start that this start fulfils: by connector and token, else by token if there is only one.

    Each is used once (architecture, flow (ii) 7).
    """
    waiting = _waiting(connection, charger, token, now_ms)
    matching = [one for one in waiting if one[2] == conn] or (waiting if len(waiting) == 1 else [])
    if not matching:
        return None
    request, origin, _ = matching[0]
    cancel(connection, request)
    return RemoteStart(origin)


def is_awaited(connection: sqlite3.Connection, charger: ChargerNo, token: IdToken, now_ms: int) -> bool:
    """Whether a remote start of this token waits at this charger."""
    return bool(_waiting(connection, charger, token, now_ms))
