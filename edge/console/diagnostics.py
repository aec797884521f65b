"""The daemon's half of `edge diagnostics`: a charger leaves its log at the bridge, and the command gets it.

First how far it is (`collection`), then for each file what it is (`file`) and its bytes in base64 (`piece`), at last
that it is all (`done`). `diagnostics_file.py` is the command's half.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from edge.console import peer
from edge.console.bridge import told
from edge.console.errors import CommandError
from edge.console.units import iso
from edge.domain.collecting import Wish, as_json
from edge.domain.ids import ChargerId
from edge.domain.station_jobs import LogKind
from edge.jsontypes import Payload
from edge.store import Connection, collecting, connectors, orders
from edge.store.collecting import Collection, Part
from edge.store.connectors import RETIRED
from edge.store.db import CommitFailed, Store
from edge.store.exchange import Moment
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable, LeftFile, user_of

T = TypeVar("T")
LOOK_EVERY = 0.5


class DiagnosticsCommands:
    """One stream command. Raises CommandError for what the person is to be told."""

    def __init__(
        self, store: Store, socket: Callable[[], Path], moment: Callable[[], Moment], wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._socket = socket
        self._moment = moment
        self._wake = wake

    async def collect(self, args: Payload) -> AsyncGenerator[Payload, None]:
        bridge, by = Bridge(self._socket()), peer.operator()
        await told(bridge.uploads())  # without a bridge nothing is begun
        no = await self._write(lambda db: self._begin(db, args, by))
        self._wake()
        while True:
            one, part = await self._now(no)
            left = await self._left(bridge, part)
            came = sum(file.size for file in left)
            yield {"v": 1, "at": iso(self._moment().wall), "collection": _document(one, part, came)}
            if one.ended_wall_ms is not None:
                break
            await asyncio.sleep(LOOK_EVERY)
        if one.state != collecting.DONE or not left:
            why = part.progress.why or one.why or "nothing came"
            hint = f"What it was asked and said: edge trace {part.charger}"
            raise CommandError("failed", f"{part.charger} left no log: {why}.", hint)
        for file in left:
            yield {"v": 1, "file": _file(file)}
            offset = 0
            while piece := await told(bridge.piece(file.user, file.number, offset)):
                offset += len(piece)
                yield {"v": 1, "piece": base64.b64encode(piece).decode()}
        yield {"v": 1, "done": {"collection": one.name, "charger": part.charger, "files": len(left)}}
        await self._clear(bridge, one, part)

    async def _clear(self, bridge: Bridge, one: Collection, part: Part) -> None:
        """The command has it."""
        assert part.ticket is not None
        with suppress(BridgeRefused, BridgeUnreachable):  # else it expires by itself
            await bridge.withdraw(part.ticket)
            await bridge.discard(user_of(part.ticket))
        await self._write(lambda db: collecting.set_ticket(db, one.no, part.charger_no, None))

    def _begin(self, db: Connection, args: Payload, by: str | None) -> int:
        charger = connectors.charger(db, ChargerId(str(args.get("charger") or "")))
        if charger is None or charger.state == RETIRED:
            raise CommandError(
                "no_such_charger", f"There is no charger {args.get('charger')!r}.", "edge chargers lists them."
            )
        at = self._moment()
        kind = LogKind.SECURITY if args.get("security") else LogKind.DIAGNOSTICS
        wish = Wish(since_ms=_ms(args.get("since")), until_ms=_ms(args.get("until")), kind=kind)
        no = collecting.begin(db, collecting.OPERATOR, as_json(wish), [charger.no], at.wall_ms)
        orders.given(db, at, charger.no, "diagnostics", collection=f"D{no}", log=kind, by=by)
        return no

    async def _now(self, no: int) -> tuple[Collection, Part]:
        def look(db: Connection) -> tuple[Collection | None, list[Part]]:
            return collecting.load(db, no), collecting.parts(db, no)

        one, parts = await self._store.look(look)
        if one is None or not parts:
            raise CommandError("failed", f"D{no} is not there any more.", "Try again.")
        return one, parts[0]

    async def _left(self, bridge: Bridge, part: Part) -> list[LeftFile]:
        if part.ticket is None:
            return []
        return [file for file in await told(bridge.uploads()) if file.user == user_of(part.ticket)]

    async def _write(self, unit: Callable[[Connection], T]) -> T:
        try:
            return await self._store.write(unit)
        except CommitFailed as error:
            raise CommandError("not_stored", f"Nothing was begun. {error}.", "Is the disk full? edge status") from error


def _document(one: Collection, part: Part, came: int) -> Payload:
    return {
        "collection": one.name,
        "charger": part.charger,
        "state": one.state,
        "step": part.progress.step,
        "bytes": came,
        "why": part.progress.why or one.why,
    }


def _file(file: LeftFile) -> Payload:
    return {
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256,
        "at": iso(datetime.fromisoformat(file.at)),
        "whole": file.is_whole,
    }


def _ms(written: object) -> int | None:
    if written is None:
        return None
    try:
        return round(datetime.fromisoformat(str(written)).timestamp() * 1000)
    except ValueError as error:
        raise CommandError("usage", f"{written!r} is no time.", "Try: edge diagnostics --help") from error
