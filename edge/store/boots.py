"""Starts of the daemon, the station's settings, and other single values."""

import sqlite3
from datetime import datetime


def begin(connection: sqlite3.Connection, wall: datetime, mono_ms: int) -> int:
    """A new boot; its number."""
    row = connection.execute(
        "INSERT INTO boot (started_wall_ms, started_mono_ms, trust) VALUES (:wall, :mono, 'system') RETURNING boot_no",
        {"wall": round(wall.timestamp() * 1000), "mono": mono_ms},
    ).fetchone()
    return int(row[0])


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
