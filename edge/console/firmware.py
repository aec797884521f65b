"""`edge firmware`: files that the bridge keeps, and rollouts of them. They work without the uplink."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge.console import peer
from edge.console.bridge import sentence, told
from edge.console.errors import CommandError
from edge.console.units import iso
from edge.domain.ids import ChargerId
from edge.domain.rollouts import Step, Wish, as_json, from_json
from edge.jsontypes import Payload
from edge.redaction import redacted
from edge.store import Connection, connectors, orders, rollouts
from edge.store.connectors import RETIRED, Charger
from edge.store.db import CommitFailed, Store
from edge.store.exchange import STATION, Moment
from edge.store.rollouts import Part, Rollout
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable, FetchNow, KeptFile

T = TypeVar("T")
WATCH_INTERVAL = 1.0
LONGEST_LOCATION = 2000
SHOWN = 20
"""Rollouts in the overview."""


class FirmwareCommands:
    """Each method answers one command. Raises CommandError for what the person is to be told."""

    def __init__(
        self, store: Store, socket: Callable[[], Path], moment: Callable[[], Moment], wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._socket = socket
        self._moment = moment
        self._wake = wake

    async def overview(self, _: Payload) -> Payload:
        """What is kept, and the newest rollouts. Without the bridge: `files` is null, and why."""
        newest = await self._store.look(partial(rollouts.latest, most=SHOWN))
        shown = [await self._rollout(one, None) for one in newest]
        try:
            files = await Bridge(self._socket()).files()
        except BridgeUnreachable as error:
            return self._at({"files": None, "bridge": sentence(error), "rollouts": list(shown)})
        return self._at({"files": [_file(one) for one in files], "bridge": None, "rollouts": list(shown)})

    async def rollout(self, args: Payload) -> Payload:
        """Begin one."""
        try:
            wish = from_json(args)
        except ValueError as error:
            raise CommandError("usage", f"{error}.", "Try: edge firmware rollout --help") from error
        await self._store.look(lambda db: _chosen(connectors.chargers(db), args, wish.version))
        await told(Bridge(self._socket()).judge(wish.location))  # what it refuses is not begun
        by = peer.operator()
        no = await self._write(lambda db: self._begin(db, wish, args, by))
        self._wake()
        return await self.show({"rollout": f"F{no}"})

    def _begin(self, db: Connection, wish: Wish, args: Payload, by: str | None) -> int:
        chosen = _chosen(connectors.chargers(db), args, wish.version)
        no = rollouts.begin(db, rollouts.OPERATOR, as_json(wish), [one.no for one in chosen], self._moment().wall_ms)
        orders.given(db, self._moment(), STATION, "rollout", rollout=f"F{no}", chargers=len(chosen), by=by)
        return no

    async def show(self, args: Payload) -> Payload:
        no = _number(args.get("rollout"))
        return self._at({"rollout": await self._rollout(await self._known(no), Bridge(self._socket()))})

    async def _known(self, no: int) -> Rollout:
        found = await self._store.look(partial(rollouts.load, rollout_no=no))
        if found is None:
            raise CommandError("no_such_rollout", f"There is no rollout F{no}.", "edge firmware lists them.")
        return found

    async def watch(self, args: Payload) -> AsyncGenerator[Payload, None]:
        """Until it is over."""
        while True:
            document = await self.show(args)
            yield document
            rollout = document["rollout"]
            if isinstance(rollout, dict) and rollout["ended_at"] is not None:
                return
            await asyncio.sleep(WATCH_INTERVAL)

    async def abort(self, args: Payload) -> Payload:
        """Nobody else is asked; who is at it goes on."""
        no = _number(args.get("rollout"))
        await self._known(no)
        now_ms = self._moment().wall_ms
        if not await self._write(lambda db: rollouts.abort(db, no, now_ms)):
            raise CommandError("rejected", f"F{no} is over already.", f"How it ended: edge firmware show F{no}")
        self._wake()
        return await self.show(args)

    async def remove(self, args: Payload) -> Payload:
        bridge = Bridge(self._socket())
        begins_with = str(args.get("file") or "")
        files = await told(bridge.files())
        found = [
            one for one in files if begins_with and (one.sha256.startswith(begins_with) or one.name == begins_with)
        ]
        if len(found) != 1:
            what = "There is no such file" if not found else f"{len(found)} files could be meant"
            raise CommandError("no_such_file", f"{what}: {begins_with}.", "edge firmware lists them.")
        await told(bridge.remove(found[0].sha256))
        return {"v": 1, "file": _file(found[0])}

    # --- documents

    def _at(self, document: Payload) -> Payload:
        return {"v": 1, "at": iso(self._moment().wall), **document}

    async def _rollout(self, one: Rollout, bridge: Bridge | None) -> Payload:
        """`bridge`: None where how far each byte is does not matter."""
        parts = await self._store.look(partial(_parts, rollout_no=one.no))
        fetch = await _fetch_now(one, bridge)
        wish = from_json(one.wish)
        steps = [part.progress.step for part, _ in parts]
        return {
            "rollout": one.name,
            "state": one.state,
            "location": redacted(wish.location.partition("?")[0], LONGEST_LOCATION),
            "version": wish.version,
            "sha256": one.sha256,
            "begun_at": _time(one.begun_wall_ms),
            "ended_at": _time(one.ended_wall_ms),
            "why": one.why,
            "fetch_percent": 100 if one.sha256 is not None else _percent(fetch),
            "installed": steps.count(Step.INSTALLED),
            "failed": steps.count(Step.FAILED),
            "total": len(steps),
            "policy": {name: as_json(wish)[name] for name in ("canary", "wave", "stop_after", "window")},
            "chargers": [await _charger(part, runs, bridge, fetch) for part, runs in parts],
        }

    # --- what may fail

    async def _write(self, unit: Callable[[Connection], T]) -> T:
        try:
            return await self._store.write(unit)
        except CommitFailed as error:
            raise CommandError(
                "not_stored", f"Nothing was changed. {error}.", "Is the disk full? edge status"
            ) from error


def _chosen(known: list[Charger], args: Payload, version: str | None) -> list[Charger]:
    """The chargers that are meant. Raises CommandError."""
    named = args.get("chargers")
    wanted = [ChargerId(str(one)) for one in named] if isinstance(named, list) else []
    by_id = {one.id: one for one in known if one.state != RETIRED}
    missing = [one for one in wanted if one not in by_id]
    if missing:
        raise CommandError("no_such_charger", f"There is no charger {missing[0]!r}.", "edge chargers lists them.")
    fitting = [
        one
        for one in ([by_id[one] for one in dict.fromkeys(wanted)] if wanted else by_id.values())
        if _is_asked_for(args.get("vendor"), one.vendor)
        and _is_asked_for(args.get("model"), one.model)
        and _is_asked_for(args.get("from"), one.firmware)
    ]
    of_make = [one for one in fitting if version is None or one.firmware != version]
    if not wanted and args.get("model") is None and args.get("vendor") is None:
        raise CommandError(
            "usage", "Which chargers? Firmware is for one model.", "Name them, or --model (edge chargers shows it)."
        )
    if not of_make:
        why = f"All that fit run {version} already." if fitting else "No charger fits."
        raise CommandError("no_such_charger", why, "edge chargers shows models and versions.")
    unknown = [one.id for one in of_make if one.firmware is None]
    if version is None and unknown:
        raise CommandError(
            "usage",
            f"{unknown[0]} has not said which firmware it runs: nothing would prove that it runs another.",
            "Say --version, as the new firmware will.",
        )
    return of_make


def _is_asked_for(wanted: object, said: str | None) -> bool:
    return wanted is None or (said is not None and said.casefold() == str(wanted).casefold())


def _number(written: object) -> int:
    words = str(written or "").removeprefix("F").removeprefix("f")
    if not (words.isascii() and words.isdigit()) or len(words) > 12:
        raise CommandError("no_such_rollout", f"There is no rollout {written}.", "edge firmware lists them.")
    return int(words)


async def _fetch_now(one: Rollout, bridge: Bridge | None) -> FetchNow | None:
    if bridge is None or one.fetch is None:
        return None
    try:
        return await bridge.fetched(one.fetch)
    except (BridgeUnreachable, BridgeRefused):
        return None


def _parts(db: Connection, rollout_no: int) -> list[tuple[Part, str | None]]:
    """With what each charger runs now."""
    found = []
    for part in rollouts.parts(db, rollout_no):
        charger = connectors.charger_by_no(db, part.charger_no)
        found.append((part, None if charger is None else charger.firmware))
    return found


async def _charger(part: Part, runs: str | None, bridge: Bridge | None, fetch: FetchNow | None) -> Payload:
    now = part.progress
    percent: int | None = None
    if now.step is Step.DOWNLOADING or now.step is Step.ASKED:
        percent = await _taken_percent(part, bridge, fetch)
    elif now.step in {Step.DOWNLOADED, Step.INSTALLING, Step.INSTALLED}:
        percent = 100
    return {
        "charger": part.charger,
        "step": now.step,
        "since": _time(now.since_ms),
        "download_percent": percent,
        "requests": now.requests,
        "version_before": now.version_before,
        "version": now.version,
        "firmware": runs,
        "why": now.why,
    }


async def _taken_percent(part: Part, bridge: Bridge | None, fetch: FetchNow | None) -> int | None:
    if bridge is None or part.ticket is None or fetch is None or not fetch.size:
        return None
    try:
        taken = await bridge.served(part.ticket, "0.0.0.0")  # noqa: S104 - of no matter: only how far it is
    except (BridgeUnreachable, BridgeRefused):
        return None
    return 100 * taken.bytes // fetch.size


def _percent(fetch: FetchNow | None) -> int | None:
    return None if fetch is None or not fetch.size else 100 * fetch.bytes // fetch.size


def _file(one: KeptFile) -> Payload:
    return {
        "name": one.name,
        "sha256": one.sha256,
        "md5": one.md5,
        "size": one.size,
        "source": one.source,
        "stored_at": iso(datetime.fromisoformat(one.stored_at)),
        "signed_by": one.signed_by,
    }


def _time(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else iso(datetime.fromtimestamp(wall_ms / 1000, UTC))
