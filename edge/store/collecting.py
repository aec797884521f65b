"""Collections of diagnostics and how far their chargers are. What a charger says of it is noted in its own unit."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge.domain.collecting import Progress, Step
from edge.domain.ids import ChargerId, ChargerNo
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json

MOST_KEPT = 500
"""Collections."""
OPERATOR, CSMS = "operator", "csms"
COLLECTING, FORWARDING, DONE, FAILED, ABORTED = "collecting", "forwarding", "done", "failed", "aborted"


@dataclass(frozen=True, slots=True)
class Collection:
    no: int
    origin: str
    state: str
    wish: Payload
    ticket: str | None
    """By which we leave our own log; a charger's: `Part.ticket`."""
    own_log: Payload | None
    """What we have left, for the manifest; None: nothing yet."""
    forward: str | None
    why: str | None
    begun_wall_ms: int
    ended_wall_ms: int | None
    told: str | None
    """The status that the CSMS has got last."""

    @property
    def name(self) -> str:
        return f"D{self.no}"


@dataclass(frozen=True, slots=True)
class Part:
    """One charger's part in a collection."""

    charger_no: ChargerNo
    charger: ChargerId
    progress: Progress
    ticket: str | None


_COLLECTION = (
    "SELECT collection_no, origin, state, wish, ticket, own_log, forward, why, begun_wall_ms, ended_wall_ms, told "
    "FROM collection"
)
_PART = (
    "SELECT p.charger_no, c.id, p.step, p.since_wall_ms, p.file_name, p.why, p.requests, p.ticket "
    "FROM collection_charger p JOIN charger c USING (charger_no)"
)


def begin(
    connection: sqlite3.Connection, origin: str, wish: Payload, chargers: Sequence[ChargerNo], now_ms: int
) -> int:
    """Its number. Of those that are over, and cleared, only the newest stay: see `rollouts.begin`."""
    cursor = connection.execute(
        "INSERT INTO collection (origin, state, wish, begun_wall_ms) VALUES (:origin, :state, :wish, :now)",
        {"origin": origin, "state": COLLECTING, "wish": encode_json(wish), "now": now_ms},
    )
    assert cursor.lastrowid is not None
    connection.executemany(
        "INSERT INTO collection_charger (collection_no, charger_no, place, step, since_wall_ms) "
        "VALUES (:collection, :charger, :place, :step, :now)",
        [
            {"collection": cursor.lastrowid, "charger": one, "place": place, "step": Step.WAITING, "now": now_ms}
            for place, one in enumerate(chargers)
        ],
    )
    _forget(connection, cursor.lastrowid - MOST_KEPT)
    return cursor.lastrowid


def _forget(connection: sqlite3.Connection, up_to: int) -> None:
    rows = connection.execute(
        "SELECT collection_no FROM collection n WHERE collection_no <= :no AND ended_wall_ms IS NOT NULL AND "
        "forward IS NULL AND ticket IS NULL AND NOT EXISTS (SELECT 1 FROM collection_charger p "
        "WHERE p.collection_no = n.collection_no AND p.ticket IS NOT NULL)",
        {"no": up_to},
    ).fetchall()
    for (no,) in rows:
        connection.execute("DELETE FROM collection_charger WHERE collection_no = :no", {"no": no})
        connection.execute("DELETE FROM collection WHERE collection_no = :no", {"no": no})


def load(connection: sqlite3.Connection, no: int) -> Collection | None:
    row = connection.execute(f"{_COLLECTION} WHERE collection_no = :no", {"no": no}).fetchone()
    return None if row is None else _collection(row)


def unfinished(connection: sqlite3.Connection) -> list[Collection]:
    rows = connection.execute(f"{_COLLECTION} WHERE ended_wall_ms IS NULL ORDER BY collection_no")
    return [_collection(row) for row in rows]


def last_of_csms(connection: sqlite3.Connection) -> Collection | None:
    """The one that the CSMS wanted last: of that alone it is told."""
    row = connection.execute(f"{_COLLECTION} WHERE origin = 'csms' ORDER BY collection_no DESC LIMIT 1").fetchone()
    return None if row is None else _collection(row)


def parts(connection: sqlite3.Connection, no: int) -> list[Part]:
    rows = connection.execute(f"{_PART} WHERE p.collection_no = :no ORDER BY p.place", {"no": no})
    return [_part(row) for row in rows]


def at_it(connection: sqlite3.Connection, charger: ChargerNo) -> tuple[int, Part] | None:
    """The collection that this charger was asked for and has not done with, and its part in it."""
    row = connection.execute(
        "SELECT collection_no FROM collection_charger WHERE charger_no = :no AND step IN ('asked', 'uploading') "
        "ORDER BY collection_no DESC LIMIT 1",
        {"no": charger},
    ).fetchone()
    if row is None:
        return None
    return row[0], next(one for one in parts(connection, row[0]) if one.charger_no == charger)


def set_progress(connection: sqlite3.Connection, no: int, charger: ChargerNo, now: Progress) -> None:
    connection.execute(
        "UPDATE collection_charger SET step = :step, since_wall_ms = :since, file_name = :file, why = :why, "
        "requests = :requests "
        "WHERE collection_no = :no AND charger_no = :charger",
        {
            "step": now.step,
            "since": now.since_ms,
            "file": now.file_name,
            "why": now.why,
            "requests": now.requests,
            "no": no,
            "charger": charger,
        },
    )


def set_ticket(connection: sqlite3.Connection, no: int, charger: ChargerNo | None, ticket: str | None) -> None:
    """`charger`: None for the ticket of our own log."""
    values = {"ticket": ticket, "no": no, "charger": charger}
    if charger is None:
        connection.execute("UPDATE collection SET ticket = :ticket WHERE collection_no = :no", values)
    else:
        connection.execute(
            "UPDATE collection_charger SET ticket = :ticket WHERE collection_no = :no AND charger_no = :charger", values
        )


def set_own_log(connection: sqlite3.Connection, no: int, left: Payload) -> None:
    connection.execute(
        "UPDATE collection SET own_log = :left WHERE collection_no = :no", {"left": encode_json(left), "no": no}
    )


def set_forward(connection: sqlite3.Connection, no: int, forward: str | None) -> None:
    """How the bridge calls the upload of the archive; None: it is to be asked for it."""
    connection.execute(
        "UPDATE collection SET forward = :forward, state = iif(ended_wall_ms IS NULL, :state, state), "
        "why = iif(ended_wall_ms IS NULL, NULL, why) WHERE collection_no = :no",
        {"forward": forward, "state": FORWARDING, "no": no},
    )


def to_cancel(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """(Number, forward) of those that are over: another one was asked for while the archive was on its way."""
    rows = connection.execute(
        "SELECT collection_no, forward FROM collection WHERE ended_wall_ms IS NOT NULL AND forward IS NOT NULL"
    )
    return rows.fetchall()


def is_cancelled(connection: sqlite3.Connection, no: int) -> None:
    connection.execute("UPDATE collection SET forward = NULL WHERE collection_no = :no", {"no": no})


def to_clear(connection: sqlite3.Connection, fetched_before_ms: int) -> list[tuple[int, ChargerNo | None, str]]:
    """(Number, charger or None for ourselves, ticket) of those that are over, where something could still be left.

    One of an operator only if it has been over for so long: until then a command may be taking what was left.
    """
    rows = connection.execute(
        "SELECT n.collection_no, t.charger_no, t.ticket FROM collection n JOIN ("
        " SELECT collection_no, charger_no, ticket FROM collection_charger WHERE ticket IS NOT NULL"
        " UNION ALL SELECT collection_no, NULL, ticket FROM collection WHERE ticket IS NOT NULL"
        ") t USING (collection_no) "
        "WHERE n.ended_wall_ms < :before OR (n.ended_wall_ms IS NOT NULL AND n.origin = 'csms')",
        {"before": fetched_before_ms},
    )
    return rows.fetchall()


def set_why(connection: sqlite3.Connection, no: int, why: str | None) -> None:
    """What it waits for; of one that has ended it is not changed."""
    connection.execute(
        "UPDATE collection SET why = :why WHERE collection_no = :no AND ended_wall_ms IS NULL", {"why": why, "no": no}
    )


def set_told(connection: sqlite3.Connection, no: int, status: str) -> None:
    connection.execute("UPDATE collection SET told = :told WHERE collection_no = :no", {"told": status, "no": no})


def end(connection: sqlite3.Connection, no: int, state: str, why: str | None, now_ms: int) -> None:
    connection.execute(
        "UPDATE collection SET state = :state, why = :why, ended_wall_ms = :now "
        "WHERE collection_no = :no AND ended_wall_ms IS NULL",
        {"state": state, "why": why, "now": now_ms, "no": no},
    )


def _collection(row: Sequence[object]) -> Collection:
    no, origin, state, wish, ticket, own_log, *rest = row
    own = None if own_log is None else json.loads(str(own_log))
    return Collection(no, origin, state, json.loads(str(wish)), ticket, own, *rest)  # type: ignore[arg-type]


def _part(row: Sequence[object]) -> Part:
    charger_no, charger, step, since, file_name, why, requests, ticket = row
    return Part(charger_no, charger, Progress(Step(str(step)), since, file_name, why, requests), ticket)  # type: ignore[arg-type]
