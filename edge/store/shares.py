"""What each charger takes of the store, so that one of them never takes the room that the others' sessions need.

Two rules, each counted in TEMP tables of the writer's connection: in memory, but undone with a unit that is undone.

*The allowance* (`take_extra`): of what no honest charger sends much of - stops that belong to nothing, further stops of
one transaction, starts where a session is open already - a charger may store so much at once and so much an hour.
*The share* (`is_beyond`): once the store is 90 % full, a charger that holds more than its part of it finds it full.

What is beyond either is neither stored nor answered: the charger keeps its message and says it again. So nothing that
was acknowledged is lost, and a charger with an honest backlog is slowed down, not cut off.
"""

import sqlite3

from edge.domain.peculiarities import Rule
from edge.domain.ports import EdgeError
from edge.store import capacity

EXTRA_ROWS = 500
"""More than the queue of a charger holds; as many come back in an hour, one each 7 s."""
EXTRA_CHARACTERS = 1024 * 1024
"""Of their texts: 2,000 each, or the longest text four times."""
HOUR_MS = 3_600_000
COUNTS_FROM = 0.90
"""Share of the limit that must be in use: when all values are thinned, and before others have to go without theirs."""
LAST_PAGES_FROM = 0.975
"""From here on an equal part is all that a charger may hold."""
SMALLEST_PART, LARGEST_PART = 1 / 4, 1 / 2
"""Of the limit, however many chargers there are. Twice an equal part lies in between: not all are equally busy."""
CHARACTERS_BESIDE = 130
"""What a row takes beside its texts, with its part of `tx`, of `delivery` and of the indexes. Measured: 70 in a long
session, 130 in one of a start and a stop, 270 with an orphan (which the allowance limits)."""
SIZE = f"length(text) + coalesce(length(answer), 0) + coalesce(length(notes), 0) + {CHARACTERS_BESIDE}"


class BeyondRoom(EdgeError):
    """The charger may store nothing more of this now; its message must not be answered."""

    def __init__(self, rule: Rule, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def load(connection: sqlite3.Connection) -> None:
    """Make the TEMP tables and count what each charger holds: one look at each row, at the start only."""
    connection.execute("CREATE TEMP TABLE held (peer INTEGER PRIMARY KEY, characters INTEGER NOT NULL)")
    connection.execute(
        "CREATE TEMP TABLE extra (peer INTEGER PRIMARY KEY, mono_ms INTEGER, rows REAL, characters REAL)"
    )
    held: dict[int, int] = {}
    for peer, size in connection.execute(f"SELECT peer, {SIZE} FROM exchange"):  # noqa: S608 - a constant
        held[peer] = held.get(peer, 0) + size
    connection.executemany("INSERT INTO temp.held VALUES (?, ?)", held.items())


def count(connection: sqlite3.Connection, peer: int, characters: int) -> None:
    """The charger holds so much more; below 0: less."""
    connection.execute(
        "INSERT INTO temp.held VALUES (:peer, :more) ON CONFLICT (peer) DO UPDATE SET characters = characters + :more",
        {"peer": peer, "more": characters},
    )


def size(*texts: str | None) -> int:
    """Of a row with these texts, as `SIZE` says it of a stored one."""
    return sum(len(text) for text in texts if text is not None) + CHARACTERS_BESIDE


def held(connection: sqlite3.Connection, peer: int) -> int:
    """About how many bytes of the store are this charger's."""
    row = connection.execute("SELECT characters FROM temp.held WHERE peer = :peer", {"peer": peer}).fetchone()
    return 0 if row is None else int(row[0])


def part_of(chargers: int, in_use: float) -> float:
    """How much of the limit one of so many chargers may hold, when so much of it is in use."""
    if chargers < 2 or in_use < COUNTS_FROM:
        return 1.0
    if in_use >= LAST_PAGES_FROM:
        return 1 / chargers
    return min(LARGEST_PART, max(SMALLEST_PART, 2 / chargers))


def is_beyond(connection: sqlite3.Connection, peer: int) -> bool:
    """Whether the store counts as full for this charger, because it holds more than its part. Peer 0 is the station."""
    in_use = capacity.in_use(connection)
    if peer == 0 or in_use < COUNTS_FROM:
        return False
    chargers = connection.execute("SELECT count(*) FROM charger WHERE state = 'known'").fetchone()[0]
    part = part_of(chargers, in_use)
    # What each holds is estimated: by comparison with the others it is right, whatever a row really costs.
    of_all = connection.execute("SELECT max(1, coalesce(sum(characters), 0)) FROM temp.held").fetchone()[0]
    return part < 1.0 and in_use * held(connection, peer) / of_all > part


def refuse_beyond(connection: sqlite3.Connection, peer: int) -> None:
    """Raises BeyondRoom when the store counts as full for this charger."""
    if is_beyond(connection, peer):
        message = f"the store is filling, and {held(connection, peer) / 2**20:.0f} MB of it are this charger's"
        raise BeyondRoom(Rule.SHARE_EXCEEDED, message)


def take_extra(connection: sqlite3.Connection, peer: int, text: str, mono_ms: int) -> None:
    """One more of what no honest charger sends much of. Raises BeyondRoom when its allowance is used up."""
    row = connection.execute(
        "SELECT mono_ms, rows, characters FROM temp.extra WHERE peer = :peer", {"peer": peer}
    ).fetchone()
    since, rows, characters = (mono_ms, 0.0, 0.0) if row is None else row
    hours = max(0, mono_ms - since) / HOUR_MS
    rows = max(0.0, rows - hours * EXTRA_ROWS) + 1
    characters = max(0.0, characters - hours * EXTRA_CHARACTERS) + len(text)
    if rows > EXTRA_ROWS or characters > EXTRA_CHARACTERS:
        message = f"more than {EXTRA_ROWS} odd starts and stops (or {EXTRA_CHARACTERS // 1024} kB of them) in an hour"
        raise BeyondRoom(Rule.ALLOWANCE_EXCEEDED, message)
    connection.execute(
        "INSERT OR REPLACE INTO temp.extra VALUES (:peer, :now, :rows, :characters)",
        {"peer": peer, "now": mono_ms, "rows": rows, "characters": characters},
    )
