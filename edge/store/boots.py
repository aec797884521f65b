"""Starts of the daemon, the station's settings, and other single values."""

import sqlite3
from datetime import UTC, datetime, timedelta

from edge.domain.timekeeping import EARLIEST, LATEST_MS, Floor, Trust

HIGHEST = {
    "seq": 2**40,
    "boot": 2**31 - 1,
    "session": 2**31 - 1,
    "stream": 2**40 + 2**31 - 1,
    "charger_tx": 2_100_000_000,
}
"""Numbers that no site reaches: a million rows a day for 3,000 years, 10,000 sessions a day for 500. Ids for chargers
end at 2³¹ (1.6 §7.44), less what a successor goes ahead (`succession.py`). What is beyond is damage."""
HIGHEST_ELSE = 2**40


def begin(connection: sqlite3.Connection, wall: datetime, mono_ms: int, trust: str) -> int:
    """A new boot; its number. `trust`: who vouches for the wall clock (`domain/timekeeping.py`).

    How long the one before is known to have lived is kept, for `outages.py`: it may have had no time to say so.
    """
    row = connection.execute(
        "INSERT INTO boot (started_wall_ms, started_mono_ms, trust) VALUES (:wall, :mono, :trust) RETURNING boot_no",
        {"wall": round(wall.timestamp() * 1000), "mono": mono_ms, "trust": trust},
    ).fetchone()
    connection.execute(
        "INSERT OR REPLACE INTO meta (key, value) SELECT 'alive_until:' || :boot, value FROM meta "
        "WHERE key IN ('last_wall_ms', 'csms_wall_ms') AND typeof(value) = 'integer' ORDER BY value DESC LIMIT 1",
        {"boot": row[0]},
    )
    return int(row[0])


def synchronised(
    connection: sqlite3.Connection, boot_no: int, trust: str, offset: timedelta, until_mono_s: float
) -> None:
    """What this boot stored before that monotonic moment carries a time that is wrong by `offset`; written once."""
    changed = connection.execute(
        "UPDATE boot SET trust = :trust, sync_offset_ms = :offset WHERE boot_no = :boot AND sync_offset_ms IS NULL",
        {"trust": trust, "offset": round(offset.total_seconds() * 1000), "boot": boot_no},
    ).rowcount
    if changed:
        connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('synchronised:' || :boot, :mono)",
            {"boot": boot_no, "mono": round(until_mono_s * 1000)},
        )


def offset_ms(connection: sqlite3.Connection, boot_no: int, mono_ms: int) -> int:
    """What to add to a wall time that was stored at this monotonic moment of that boot."""
    row = connection.execute(
        "SELECT b.sync_offset_ms FROM boot b JOIN meta m ON m.key = 'synchronised:' || b.boot_no "
        "WHERE b.boot_no = :boot AND :mono < m.value",
        {"boot": boot_no, "mono": mono_ms},
    ).fetchone()
    return 0 if row is None else int(row[0])


def keep_time(connection: sqlite3.Connection, now: datetime, trust: Trust) -> None:
    """The time that is acted on, for the next boot's floor; by whom it is vouched for.

    A time that the machine vouches for takes the place of what a CSMS has told.
    """
    key = "csms_wall_ms" if trust is Trust.CSMS else "last_wall_ms"
    connection.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :now)",
        {"key": key, "now": round(now.timestamp() * 1000)},
    )
    if trust is not Trust.CSMS:
        connection.execute("DELETE FROM meta WHERE key = 'csms_wall_ms'")


def floor(connection: sqlite3.Connection) -> Floor:
    """The latest times that are known to have been; what cannot be a time is none."""
    rows = connection.execute(
        "SELECT max(at), is_told FROM (SELECT value AS at, key = 'csms_wall_ms' AS is_told FROM meta "
        "WHERE key IN ('last_wall_ms', 'csms_wall_ms') UNION ALL "
        "SELECT at_wall_ms, trust = 'csms' FROM (SELECT at_wall_ms, boot_no FROM exchange ORDER BY seq DESC LIMIT 1) "
        "JOIN boot USING (boot_no) WHERE trust <> 'floor') "
        "WHERE typeof(at) = 'integer' AND at BETWEEN 0 AND :latest GROUP BY is_told",
        {"latest": LATEST_MS},
    ).fetchall()
    found = {bool(is_told): max(EARLIEST, datetime.fromtimestamp(at / 1000, UTC)) for at, is_told in rows}
    return Floor(vouched=found.get(False, EARLIEST), told=found.get(True, EARLIEST))


def end(connection: sqlite3.Connection, boot_no: int, reason: str) -> None:
    """The boot ended in an orderly way."""
    connection.execute(
        "UPDATE boot SET end_reason = :reason WHERE boot_no = :boot", {"reason": reason, "boot": boot_no}
    )


def next_number(connection: sqlite3.Connection, name: str, first: int) -> int:
    """The next value of a counter that never goes back; `first` is its value when it is new."""
    row = connection.execute(
        "INSERT INTO meta (key, value) VALUES ('counter:' || :name, :first) "
        "ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value",
        {"name": name, "first": first},
    ).fetchone()
    return int(row[0])


def counters(connection: sqlite3.Connection) -> dict[str, int]:
    """All of them by name. Raises ValueError when one has a value that none can have."""
    rows = connection.execute("SELECT substr(key, 9), value FROM meta WHERE key GLOB 'counter:*'").fetchall()
    for name, value in rows:
        if not is_possible(name, value):
            raise ValueError(f"its counter {name!r} is damaged: {value!r}")
    return dict(rows)


def is_possible(name: str, value: object) -> bool:
    """Whether a site can have reached this value of a counter, of `seq` or of `boot`."""
    return type(value) is int and 0 <= value <= HIGHEST.get(name, HIGHEST_ELSE)


def station_settings(connection: sqlite3.Connection) -> dict[str, str]:
    """The station's configuration keys that were changed at run time."""
    rows = connection.execute("SELECT substr(key, 9), value FROM meta WHERE key GLOB 'station:*'")
    return {str(key): str(value) for key, value in rows}


def set_station_setting(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep an accepted change; it wins over the file from now on."""
    connection.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES ('station:' || :key, :value)", {"key": key, "value": value}
    )


def probe(connection: sqlite3.Connection) -> None:
    """Write something: only then does a commit tell whether the disk takes it."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', 1)")
