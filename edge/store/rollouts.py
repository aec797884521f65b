"""Firmware rollouts and how far their chargers are. What a charger says of it is noted in the unit that stores it."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from edge.domain.ids import ChargerId, ChargerNo
from edge.domain.rollouts import Progress, Step
from edge.jsontypes import Payload
from edge.ocppj.frames import encode_json

MOST_KEPT = 500
"""Rollouts."""
OPERATOR, CSMS = "operator", "csms"
FETCHING, RUNNING, DONE, FAILED, ABORTED = "fetching", "running", "done", "failed", "aborted"


@dataclass(frozen=True, slots=True)
class Rollout:
    no: int
    origin: str
    state: str
    wish: Payload
    fetch: str | None
    sha256: str | None
    why: str | None
    code: str | None
    """Why the bridge did not bring the file, for programs."""
    begun_wall_ms: int
    ended_wall_ms: int | None
    told: str | None
    """The status that the CSMS has got last."""

    @property
    def name(self) -> str:
        return f"F{self.no}"


@dataclass(frozen=True, slots=True)
class Part:
    """One charger's part in a rollout."""

    charger_no: ChargerNo
    charger: ChargerId
    progress: Progress
    ticket: str | None


_ROLLOUT = (
    "SELECT rollout_no, origin, state, wish, fetch, sha256, why, code, begun_wall_ms, ended_wall_ms, told FROM rollout"
)
_PART = (
    "SELECT p.charger_no, c.id, p.step, p.since_wall_ms, p.requests, p.version_before, p.version, p.why, "
    "p.asked_wall_ms, p.ticket FROM rollout_charger p JOIN charger c USING (charger_no)"
)


def begin(
    connection: sqlite3.Connection, origin: str, wish: Payload, chargers: Sequence[ChargerNo], now_ms: int
) -> int:
    """Its number. Of those that are over only the newest stay: whoever asks for new ones must not fill the store."""
    cursor = connection.execute(
        "INSERT INTO rollout (origin, state, wish, begun_wall_ms) VALUES (:origin, :state, :wish, :now)",
        {"origin": origin, "state": FETCHING, "wish": encode_json(wish), "now": now_ms},
    )
    assert cursor.lastrowid is not None
    connection.executemany(
        "INSERT INTO rollout_charger (rollout_no, charger_no, place, step, since_wall_ms) "
        "VALUES (:rollout, :charger, :place, :step, :now)",
        [
            {"rollout": cursor.lastrowid, "charger": one, "place": place, "step": Step.WAITING, "now": now_ms}
            for place, one in enumerate(chargers)
        ],
    )
    _forget(connection, cursor.lastrowid - MOST_KEPT)
    return cursor.lastrowid


def _forget(connection: sqlite3.Connection, up_to: int) -> None:
    connection.execute(
        "DELETE FROM rollout_charger WHERE rollout_no IN "
        "(SELECT rollout_no FROM rollout WHERE rollout_no <= :no AND ended_wall_ms IS NOT NULL)",
        {"no": up_to},
    )
    connection.execute("DELETE FROM rollout WHERE rollout_no <= :no AND ended_wall_ms IS NOT NULL", {"no": up_to})


def load(connection: sqlite3.Connection, rollout_no: int) -> Rollout | None:
    row = connection.execute(f"{_ROLLOUT} WHERE rollout_no = :no", {"no": rollout_no}).fetchone()
    return None if row is None else _rollout(row)


def unfinished(connection: sqlite3.Connection) -> list[Rollout]:
    return [_rollout(row) for row in connection.execute(f"{_ROLLOUT} WHERE ended_wall_ms IS NULL ORDER BY rollout_no")]


def latest(connection: sqlite3.Connection, most: int) -> list[Rollout]:
    """The newest first."""
    rows = connection.execute(f"{_ROLLOUT} ORDER BY rollout_no DESC LIMIT :most", {"most": most})
    return [_rollout(row) for row in rows]


def parts(connection: sqlite3.Connection, rollout_no: int) -> list[Part]:
    """In the order in which they are asked."""
    rows = connection.execute(f"{_PART} WHERE p.rollout_no = :no ORDER BY p.place", {"no": rollout_no})
    return [_part(row) for row in rows]


def at_it(connection: sqlite3.Connection, charger: ChargerNo) -> tuple[Rollout, Part] | None:
    """The rollout that this charger was asked for and has not done with, and its part in it."""
    row = connection.execute(
        "SELECT rollout_no FROM rollout_charger WHERE charger_no = :no "
        "AND step IN ('asked', 'restarted', 'downloading', 'downloaded', 'installing') "
        "ORDER BY rollout_no DESC LIMIT 1",
        {"no": charger},
    ).fetchone()
    rollout = None if row is None else load(connection, row[0])
    if rollout is None:
        return None
    return rollout, next(one for one in parts(connection, rollout.no) if one.charger_no == charger)


def is_any_at_it(connection: sqlite3.Connection, rollout_no: int) -> bool:
    return any(one.progress.step.is_under_way for one in parts(connection, rollout_no))


def set_progress(connection: sqlite3.Connection, rollout_no: int, charger: ChargerNo, now: Progress) -> None:
    connection.execute(
        "UPDATE rollout_charger SET step = :step, since_wall_ms = :since, requests = :requests, "
        "version_before = :before, version = :version, why = :why, asked_wall_ms = :asked "
        "WHERE rollout_no = :no AND charger_no = :charger",
        {
            "step": now.step,
            "since": now.since_ms,
            "requests": now.requests,
            "before": now.version_before,
            "version": now.version,
            "why": now.why,
            "asked": now.asked_ms,
            "no": rollout_no,
            "charger": charger,
        },
    )


def set_ticket(connection: sqlite3.Connection, rollout_no: int, charger: ChargerNo, ticket: str | None) -> None:
    connection.execute(
        "UPDATE rollout_charger SET ticket = :ticket WHERE rollout_no = :no AND charger_no = :charger",
        {"ticket": ticket, "no": rollout_no, "charger": charger},
    )


def set_file(connection: sqlite3.Connection, rollout_no: int, fetch: str, sha256: str | None) -> None:
    """How the bridge calls the download, and the file once it keeps it: then chargers may be asked."""
    connection.execute(
        "UPDATE rollout SET fetch = :fetch, sha256 = :sha256, state = :state, why = NULL WHERE rollout_no = :no",
        {"fetch": fetch, "sha256": sha256, "state": FETCHING if sha256 is None else RUNNING, "no": rollout_no},
    )


def forget_file(connection: sqlite3.Connection, rollout_no: int) -> None:
    """The bridge does not keep it any more: it is fetched again, and has to be the one that the first ones have got."""
    connection.execute(
        "UPDATE rollout SET wish = json_set(wish, '$.sha256', sha256), fetch = NULL, sha256 = NULL, state = :state "
        "WHERE rollout_no = :no AND sha256 IS NOT NULL",
        {"state": FETCHING, "no": rollout_no},
    )


def set_wish(connection: sqlite3.Connection, rollout_no: int, wish: Payload) -> None:
    connection.execute(
        "UPDATE rollout SET wish = :wish WHERE rollout_no = :no", {"wish": encode_json(wish), "no": rollout_no}
    )


def set_why(connection: sqlite3.Connection, rollout_no: int, why: str | None) -> None:
    """What it waits for; of one that has ended it is not changed."""
    connection.execute(
        "UPDATE rollout SET why = :why WHERE rollout_no = :no AND ended_wall_ms IS NULL",
        {"why": why, "no": rollout_no},
    )


def end(
    connection: sqlite3.Connection, rollout_no: int, state: str, why: str | None, now_ms: int, code: str | None = None
) -> None:
    """`code`: why the bridge did not bring the file."""
    connection.execute(
        "UPDATE rollout SET state = :state, why = :why, code = :code, ended_wall_ms = :now "
        "WHERE rollout_no = :no AND ended_wall_ms IS NULL",
        {"state": state, "why": why, "code": code, "now": now_ms, "no": rollout_no},
    )


def unwanted_fetch(connection: sqlite3.Connection, rollout_no: int) -> str | None:
    """The download of one that is over before its file had come, unless another one waits for that, too."""
    row = connection.execute(
        "SELECT fetch FROM rollout r WHERE rollout_no = :no AND sha256 IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM rollout o WHERE o.fetch = r.fetch AND o.ended_wall_ms IS NULL)",
        {"no": rollout_no},
    ).fetchone()
    return None if row is None else row[0]


def last_of_csms(connection: sqlite3.Connection) -> Rollout | None:
    """The one that the CSMS wanted last: of that alone it is told."""
    row = connection.execute(f"{_ROLLOUT} WHERE origin = 'csms' ORDER BY rollout_no DESC LIMIT 1").fetchone()
    return None if row is None else _rollout(row)


def set_told(connection: sqlite3.Connection, rollout_no: int, status: str) -> None:
    connection.execute("UPDATE rollout SET told = :told WHERE rollout_no = :no", {"told": status, "no": rollout_no})


def abort(connection: sqlite3.Connection, rollout_no: int, now_ms: int) -> bool:
    """Nobody else is asked. False: it is over already."""
    aborted = connection.execute(
        "UPDATE rollout SET state = :state WHERE rollout_no = :no AND ended_wall_ms IS NULL",
        {"state": ABORTED, "no": rollout_no},
    )
    connection.execute(
        "UPDATE rollout_charger SET step = :skipped, since_wall_ms = :now "
        "WHERE rollout_no = :no AND step = :waiting AND :is_open",
        {
            "skipped": Step.SKIPPED,
            "waiting": Step.WAITING,
            "now": now_ms,
            "no": rollout_no,
            "is_open": aborted.rowcount,
        },
    )
    return aborted.rowcount > 0


def _rollout(row: Sequence[object]) -> Rollout:
    no, origin, state, wish, *rest = row
    return Rollout(no, origin, state, json.loads(str(wish)), *rest)  # type: ignore[arg-type]


def _part(row: Sequence[object]) -> Part:
    charger_no, charger, step, since, requests, before, version, why, asked, ticket = row
    progress = Progress(Step(str(step)), since, requests, before, version, why, asked)  # type: ignore[arg-type]
    return Part(charger_no, charger, progress, ticket)  # type: ignore[arg-type]
