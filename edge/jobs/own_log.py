"""Our own part in an archive of logs: the journal of the time that was asked for, and what waits for the CSMS (H.7).

Left at the bridge as chargers leave theirs, with a ticket of our own, in files of JSON lines. Each holds a stretch of
the journal, its oldest row first; the newest stretch is left first, so that the oldest is what there is no room for.
Nothing secret is in them, and of tokens only the last characters.
"""

import asyncio
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from edge.dialects import timestamps
from edge.domain.ids import session_name
from edge.jsontypes import JsonValue, Payload
from edge.ocppj.frames import encode_json
from edge.redaction import redacted
from edge.store import Connection, DatabaseError, journal, report
from edge.store.db import Store
from edge.store.exchange import Exchange
from firmware_bridge.api import MOST_LEFT_BYTES, Bridge, BridgeRefused

CHARGER = "controller"
"""Whose the files are, in the archive and its manifest."""
MOST_FILES = 18
"""Of the journal; the bridge takes twenty of one ticket."""
FILE_BYTES = 2_000_000
"""Of the lines of one file; packed they have a tenth of that, or a third where hardly two are alike."""
ROWS_AT_ONCE, CHARACTERS_AT_ONCE = 200, 200_000
"""That are read while others wait."""
LINES_AT_ONCE = 100
LONGEST_TEXT = 4000
"""Characters of a message."""
MOST_QUEUED = 5000


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows that follow each other, newest first."""

    numbers: Sequence[int]
    lines: Sequence[bytes]
    before: int | None
    """The number of the row behind which to go on; None: nothing older was asked for."""


async def leave(store: Store, bridge: Bridge, ticket: str, since_ms: int | None, until_ms: int | None) -> Payload:
    """What the manifest says of it: the rows of the journal that were left, and why others are absent.

    Raises BridgeUnreachable, and CommitFailed for a store that is closed.
    """
    rows, first, last, why = 0, None, None, None
    try:
        await _leave(bridge, ticket, "queue", await store.read(_queue))
        before: int | None = await store.read(partial(journal.end, until_ms=until_ms))
        for _ in range(MOST_FILES):
            assert before is not None
            stretch = await _stretch(store, before, since_ms, until_ms)
            if stretch.lines:
                await _leave(bridge, ticket, f"journal-{stretch.numbers[-1]:010}", stretch.lines[::-1])
                first, last = stretch.numbers[-1], last or stretch.numbers[0]
                rows += len(stretch.lines)
            if (before := stretch.before) is None:
                break
        else:
            why = f"what is older than row {first} is more than one archive has room for"
    except BridgeRefused as error:
        why = str(error)
    except DatabaseError as error:  # damaged: the chargers' logs are worth all the more
        why = f"the store cannot be read: {error}"
    return {"journal_rows": rows, "first_seq": first, "last_seq": last, "why_absent": why}


async def _stretch(store: Store, before: int, since_ms: int | None, until_ms: int | None) -> _Stretch:
    """As many as go into one file."""
    numbers: list[int] = []
    lines: list[bytes] = []
    size, at = 0, before
    while True:
        read = await store.read(partial(_slice, before=at, since_ms=since_ms, until_ms=until_ms))
        numbers += read.numbers
        lines += read.lines
        size += sum(map(len, read.lines))
        if read.before is None or size >= FILE_BYTES:
            return _Stretch(numbers, lines, read.before)
        at = read.before


def _slice(db: Connection, before: int, since_ms: int | None, until_ms: int | None) -> _Stretch:
    rows, names = journal.before(db, before, ROWS_AT_ONCE, CHARACTERS_AT_ONCE), report.charger_names(db)
    asked = [
        row
        for row in rows
        if (since_ms is None or row.at_wall_ms >= since_ms) and (until_ms is None or row.at_wall_ms <= until_ms)
    ]
    # The clock may have been set: only where a whole slice is older, what is before it is, too.
    is_older = since_ms is not None and all(row.at_wall_ms < since_ms for row in rows)
    lines = [_line(_row(row, names.get(row.peer))) for row in asked]
    return _Stretch([row.seq for row in asked], lines, None if is_older or not rows else rows[-1].seq)


def _row(row: Exchange, charger: str | None) -> Payload:
    return {
        "seq": row.seq,
        "at": _time(row.at_wall_ms),
        "charger": charger,
        "kind": row.kind.name.lower(),
        "action": row.action,
        "session": None if row.tx_no is None else session_name(row.tx_no),
        "cause": row.cause_seq,
        "relayed": row.relay,
        "text": _shown(row.text),
        "answer": _shown(row.answer),
        "notes": _shown(row.notes),
    }


def _queue(db: Connection) -> list[bytes]:
    return [
        _line(
            {
                "seq": one.seq,
                "charger": one.charger,
                "action": one.action,
                "session": session_name(one.tx_no) if one.kind == "transaction" else None,
                "state": "parked" if one.is_parked else "waiting",
                **_fared(report.attempted(db, one.seq)),
            }
        )
        for one in islice(report.queue(db), MOST_QUEUED)
    ]


def _fared(how: report.Attempted) -> Payload:
    error = None if how.error is None else f"{how.error[0]}: {how.error[1] or ''}"
    return {"at": _time(how.at_wall_ms), "attempts": how.attempts, "error": _shown(error)}


def _shown(text: str | None) -> JsonValue:
    return None if text is None else redacted(text, LONGEST_TEXT)


def _time(wall_ms: int) -> str:
    return timestamps.text(datetime.fromtimestamp(wall_ms / 1000, UTC))


def _line(members: Payload) -> bytes:
    return encode_json(members).encode() + b"\n"


async def _leave(bridge: Bridge, ticket: str, name: str, lines: Sequence[bytes]) -> None:
    """As one file, or as several where it is larger than one may be."""
    packed = await _packed(lines)
    if len(packed) <= MOST_LEFT_BYTES:
        await bridge.leave(ticket, f"{name}.jsonl.gz", packed)
        return
    middle = len(lines) // 2
    await _leave(bridge, ticket, f"{name}b", lines[middle:])
    await _leave(bridge, ticket, f"{name}a", lines[:middle])


async def _packed(lines: Sequence[bytes]) -> bytes:
    """As gzip."""
    packing = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    packed = bytearray()
    for some in _pieces(lines):
        packed += packing.compress(b"".join(some))
        await asyncio.sleep(0)  # chargers are answered meanwhile
    return bytes(packed + packing.flush())


def _pieces(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (lines[at : at + LINES_AT_ONCE] for at in range(0, len(lines), LINES_AT_ONCE))
