"""What a copy takes over from the store whose place it is to have, so that it can go on where that one stopped.

`restore.py` hands in the copy, with the store before it attached as `present` when that can be read and has the same
past. Chargers, what the CSMS has told us and what it has got do not travel back in time with a copy: these are as they
are now. Of the journal and of sessions the copy has what it has. `move_numbers` comes last: what was given since the
copy was made, to a charger, to the CSMS or to a person, is never given again.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from edge.domain.ids import TransactionNo
from edge.store import boots, chains, delivery, exchange, parked
from edge.store.inspection import Unusable

AHEAD = 10_000
"""How far numbers are moved beyond the highest known."""
AHEAD_A_DAY = {"seq": 1_000_000}
"""More than a large site gives in a day, for as many days as nobody can say what was given; others `AHEAD`."""
DAYS_AT_MOST = 3650
"""A clock may be wrong, and numbers for chargers end at 2³¹ (1.6 §7.44)."""
DAY_MS = 86_400_000


_DIFFERENCES = (
    """
    SELECT EXISTS (SELECT 1 FROM main.boot m LEFT JOIN present.boot p USING (boot_no)
    WHERE m.boot_no = (SELECT min(boot_no) FROM main.boot)
    AND (p.started_wall_ms, p.started_mono_ms) IS NOT (m.started_wall_ms, m.started_mono_ms))
    """,
    """
    SELECT EXISTS (SELECT 1 FROM main.charger m LEFT JOIN present.charger p USING (charger_no) WHERE p.id IS NOT m.id)
    """,
    """
    SELECT EXISTS (SELECT 1 FROM main.connector m LEFT JOIN present.connector p USING (connector_no)
    WHERE p.conn IS NOT m.conn OR (m.up16_connector IS NOT NULL AND p.up16_connector IS NOT m.up16_connector))
    """,
    """
    SELECT EXISTS (SELECT 1 FROM main.uplink_epoch m LEFT JOIN present.uplink_epoch p USING (epoch_no)
    WHERE (p.identity, p.endpoint, p.version) IS NOT (m.identity, m.endpoint, m.version))
    """,
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The highest that were given."""

    seq: int
    boot: int
    counters: Mapping[str, int]


NONE_GIVEN = Numbers(0, 0, {"session": 0})


@dataclass(frozen=True, slots=True)
class Following:
    """What the copy goes on with."""

    numbers: Numbers
    """The next ones are beyond these."""
    already_sent: int
    """Messages that wait in the copy according to itself, and that the CSMS has: they are not sent again."""
    already_ended: int
    """Sessions that have ended since, of which the CSMS knows everything."""
    unknown_since_ms: int | None
    """What was stored since then is not known; None: all that was is."""


def numbers(connection: sqlite3.Connection) -> Numbers:
    """Of a store. Raises Unusable when they are none."""
    newest, boot = connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM exchange), 0), coalesce((SELECT max(boot_no) FROM boot), 0)"
    ).fetchone()
    try:
        return Numbers(max(chains.settled_seq(connection), newest), boot, boots.counters(connection))
    except ValueError as error:
        raise Unusable(f"its counters are damaged: {error}") from error


def most_to_go_on_from(name: str) -> int:
    """The highest number from which `move_numbers` does not lead beyond what a store may hold (`boots.HIGHEST`)."""
    most = boots.HIGHEST.get(name, boots.HIGHEST_ELSE)
    return most - AHEAD - (DAYS_AT_MOST + 1) * AHEAD_A_DAY.get(name, AHEAD)


def has_same_past(copy: sqlite3.Connection) -> bool:
    """Whether both come from one store, and a number for a charger or a connector means the same in both.

    The first boot is the birth of a store. Two that have gone different ways since may have given the same number to
    different chargers; then neither can take anything from the other.
    """
    return not any(copy.execute(difference).fetchone()[0] for difference in _DIFFERENCES)


def take_over(copy: sqlite3.Connection) -> tuple[int, int]:
    """All that is now as the present store says; `Following.already_sent` and `.already_ended`."""
    for statement in (
        # The ends of the chains of rows are the copy's own, like the rows.
        "CREATE TEMP TABLE charger_end AS SELECT charger_no AS no, last_seq AS end_seq FROM main.charger",
        "DELETE FROM main.connector",
        "DELETE FROM main.charger",
        "INSERT INTO main.charger SELECT * FROM present.charger",
        "UPDATE main.charger SET last_seq = (SELECT end_seq FROM temp.charger_end WHERE no = charger_no)",
        "INSERT INTO main.connector SELECT * FROM present.connector",
        "DROP TABLE temp.charger_end",
        "INSERT OR IGNORE INTO main.uplink_epoch SELECT * FROM present.uplink_epoch",
        "DELETE FROM main.token",
        "INSERT INTO main.token SELECT * FROM present.token",
        "DELETE FROM main.id_map",
        "INSERT INTO main.id_map SELECT * FROM present.id_map",
        "DELETE FROM main.meta WHERE key GLOB 'station:*'",
        "INSERT INTO main.meta SELECT * FROM present.meta WHERE key GLOB 'station:*'",
    ):
        copy.execute(statement)
    copy.execute(
        "INSERT OR REPLACE INTO main.meta SELECT key, max(value) FROM (SELECT * FROM main.meta UNION ALL "
        "SELECT * FROM present.meta) WHERE key = 'last_wall_ms' GROUP BY key"
    )
    return _take_over_deliveries(copy)


def _take_over_deliveries(copy: sqlite3.Connection) -> tuple[int, int]:
    rows = copy.execute(
        "SELECT m.tx_no, m.acked_seq, p.acked_seq, p.epoch_no, m.state = 'open' AND p.state = 'ended' AND p.due = 0 "
        "AND p.parked_seq IS NULL AND p.dropped_seq IS NULL AND p.dropped_rows = 0 "
        "FROM main.tx m JOIN present.tx p USING (tx_no, begin_seq) "
        "WHERE p.started_wall_ms IS m.started_wall_ms AND p.charger_tx IS m.charger_tx "
        "AND (m.due = 1 OR m.parked_seq IS NOT NULL OR m.state = 'open')"
    ).fetchall()
    sent = ended = 0
    for tx_no, acked_seq, present_acked, epoch_no, has_ended in rows:
        last_seq, _ = chains.tx_end(copy, tx_no)
        for seq, _ in [] if last_seq is None else exchange.pending(copy, last_seq, acked_seq):
            if not _was_delivered(copy, seq, present_acked):
                break
            copy.execute(
                "UPDATE main.tx SET parked_seq = NULL, due = 1 WHERE tx_no = :tx AND parked_seq = :seq",
                {"tx": tx_no, "seq": seq},
            )
            sent += delivery.acknowledge(copy, seq, tx_no, epoch_no)
        _take_over_answers(copy, tx_no)
        if has_ended:
            ended += _take_over_end(copy, tx_no)
    return sent, ended


def _was_delivered(copy: sqlite3.Connection, seq: int, present_acked: int) -> bool:
    """Whether the present store, or what it has left of a removed row, says that the CSMS has this very row."""
    row = copy.execute(
        "SELECT 1 FROM main.exchange WHERE seq = :seq AND :seq <= :acked AND digest IN "
        "(SELECT digest FROM present.exchange WHERE seq = :seq UNION ALL "
        "SELECT digest FROM present.gap WHERE seq = :seq) "
        "AND NOT EXISTS (SELECT 1 FROM present.delivery WHERE seq = :seq AND state = :dropped)",
        {"seq": seq, "acked": present_acked, "dropped": parked.DROPPED},
    ).fetchone()
    return row is not None


def _take_over_answers(copy: sqlite3.Connection, tx_no: TransactionNo) -> None:
    """What the CSMS said of a session."""
    copy.execute(
        "UPDATE main.tx SET (upstream_tx, epoch_no, csms_verdict, csms_verdict_wall_ms) = "
        "(SELECT p.upstream_tx, p.epoch_no, p.csms_verdict, p.csms_verdict_wall_ms FROM present.tx p "
        "WHERE p.tx_no = :tx) WHERE tx_no = :tx AND acked_seq >= begin_seq",
        {"tx": tx_no},
    )


def _take_over_end(copy: sqlite3.Connection, tx_no: TransactionNo) -> int:
    """Its charger has said the end, and the CSMS has it: nobody will say it again."""
    copy.execute(
        "UPDATE main.tx SET (state, ended_wall_ms, meter_stop_wh, end_reason) = (SELECT p.state, p.ended_wall_ms, "
        "p.meter_stop_wh, p.end_reason FROM present.tx p WHERE p.tx_no = :tx) WHERE tx_no = :tx",
        {"tx": tx_no},
    )
    delivery.finish_if_all_is_delivered(copy, tx_no)
    return 1


def move_numbers(copy: sqlite3.Connection, given: Numbers | None, unknown_since_ms: int | None, now_ms: int) -> Numbers:
    """Go beyond the highest numbers of the copy and of the present store; those afterwards.

    `unknown_since_ms`: since then others may have been given of which nothing is known. None: all are known.
    """
    own = numbers(copy)
    given = given or NONE_GIVEN
    days = 0 if unknown_since_ms is None else min(max(0, now_ms - unknown_since_ms) // DAY_MS + 1, DAYS_AT_MOST)

    def beyond(name: str, one: int, other: int) -> int:
        return max(one, other) + AHEAD + days * AHEAD_A_DAY.get(name, AHEAD)

    moved = Numbers(
        beyond("seq", own.seq, given.seq),
        beyond("boot", own.boot, given.boot),
        {
            name: beyond(name, own.counters.get(name, 0), given.counters.get(name, 0))
            for name in own.counters.keys() | given.counters.keys()
        },
    )
    copy.executemany(
        "INSERT OR REPLACE INTO main.meta VALUES ('counter:' || :name, :value)",
        [{"name": name, "value": value} for name, value in moved.counters.items()],
    )
    copy.execute(
        "INSERT INTO main.boot (boot_no, started_wall_ms, started_mono_ms, trust, end_reason) "
        "VALUES (:boot, :now, 0, 'floor', 'restored')",
        {"boot": moved.boot, "now": now_ms},
    )
    copy.execute("UPDATE temp.counter SET value = :seq WHERE name = 'seq'", {"seq": moved.seq})
    chains.settle(copy)
    return moved
