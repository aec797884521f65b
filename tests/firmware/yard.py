"""A bridge beside a site, and a server on the internet from which firmware comes: all on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from aiohttp import web
from simulators.charger import Charger
from simulators.updating import Habits
from yarl import URL

from edge.config import FirmwareBridge, FirmwareRule
from firmware_bridge.bridge import Bridge
from firmware_bridge.config import Settings
from tests.scenarios.site import ChargerSettings, Site, configuration


@dataclass
class Internet:
    """Files by name, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(Name, its Range)."""
    port: int = 0
    seconds_a_piece: float = 0.0
    knows_if_range: bool = True
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which each next answer breaks off."""

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Internet"]:
        async with website(web.get("/{name}", self._answer)) as url:
            self.port = URL(url).port or 0
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked.append((name, request.headers.get("Range")))
        content = self.files.get(name)
        if content is None:
            raise web.HTTPNotFound
        start, tag = request.http_range.start or 0, f'"{hash(content):x}"'
        if self.knows_if_range and request.headers.get("If-Range") != tag:
            start = 0
        if start >= len(content) > 0:
            headers = {"ETag": tag, "Content-Range": f"bytes */{len(content)}"}
            raise web.HTTPRequestRangeNotSatisfiable(headers=headers)
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(content) - start
        response.headers["ETag"] = tag
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        upto = self.breaks_after.pop(0) if self.breaks_after else len(content)
        for at in range(start, min(upto, len(content)), 4096):
            await response.write(content[at : min(at + 4096, upto)])
            if self.seconds_a_piece:
                await asyncio.sleep(self.seconds_a_piece)
        if upto < len(content):
            await asyncio.sleep(0.1)  # what is still under way when a connection breaks, is lost
            assert request.transport is not None
            request.transport.abort()
        return response


@contextlib.asynccontextmanager
async def website(*routes: web.RouteDef, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server on the internet that answers as these say, with TLS as localhost. Its URL."""
    application = web.Application(client_max_size=2**30)
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/" if tls is None else f"https://localhost:{port}/"
    finally:
        await runner.cleanup()


def settings(folder: Path, **others: object) -> Settings:
    chosen = Settings(
        socket=folder / "firmware.sock",
        path=folder / "bridge",
        http="127.0.0.1:0",
        ftp="127.0.0.1:0",
        sources=("http://127.0.0.1",),
    )
    return replace(chosen, **others)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def bridge(chosen: Settings) -> AsyncIterator[Bridge]:
    """It runs, and listens."""
    made = Bridge(chosen)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        listening = tasks.create_task(made.server.listening.wait())
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        try:
            yield made
        finally:
            running.cancel()


def some(number: int) -> tuple[ChargerSettings, ...]:
    """So many chargers, from CP-01 on."""
    return tuple(ChargerSettings(f"CP-{one:02}", evses=(1,)) for one in range(1, number + 1))


THREE = some(3)


def site_beside(folder: Path, chargers: Sequence[ChargerSettings], csms_url: str | None = None) -> Site:
    """A site that looks for its bridge in this folder."""
    config = configuration(folder, chargers=tuple(chargers), csms_url=csms_url)
    return Site(replace(config, firmware_bridge=FirmwareBridge(socket=folder / "firmware.sock")))


@contextlib.asynccontextmanager
async def connected(
    url: str,
    chargers: Sequence[ChargerSettings],
    habits: Mapping[str, Habits] | None = None,
    models: Sequence[str] = (),
) -> AsyncIterator[list[Charger]]:
    """Chargers that are registered at this URL."""
    async with contextlib.AsyncExitStack() as stack:
        boxes = []
        for one, model in zip_longest(chargers, models, fillvalue="Two-Outlet"):
            assert isinstance(one, ChargerSettings)
            box = Charger(
                one.id, url, connectors=1, model=model, meter_interval_s=0, reconnect_s=(0.05, 0.2), firmware="1.0"
            )
            box.updating.habits = (habits or {}).get(one.id, Habits())
            boxes.append(await stack.enter_async_context(box.running()))
        for box in boxes:
            await box.wait_for(lambda box=box: box.is_ready, 30)
        yield boxes


@contextlib.asynccontextmanager
async def yard(
    folder: Path,
    internet: Internet,
    *,
    chargers: Sequence[ChargerSettings] = THREE,
    habits: Mapping[str, Habits] | None = None,
    csms_url: str | None = None,
    models: Sequence[str] = (),
    rules: tuple[FirmwareRule, ...] = (),
    has_bridge: bool = True,
    trusted: Mapping[str, object] | None = None,
) -> AsyncIterator[tuple[Site, list[Charger]]]:
    """A site and its chargers, with a bridge beside it, unless a test brings its own; `models` of the chargers, in
    order; `trusted`: settings of the bridge.
    """
    site = site_beside(folder, chargers, csms_url)
    site.config = replace(site.config, firmware_rules=rules)
    beside = bridge(settings(folder, **(trusted or {}))) if has_bridge else contextlib.nullcontext()
    async with internet.running(), beside, site.running():
        async with connected(site.url, chargers, habits, models) as boxes:
            yield site, boxes


async def over(site: Site, name: str = "F1", within: float = 60.0) -> dict:
    """The rollout, when it is over."""
    return await site.until(
        "firmware_show", lambda d: d["rollout"]["ended_at"] and d["rollout"], within=within, rollout=name
    )


async def step(site: Site, *steps: str, charger: str = "CP-01") -> dict:
    """The charger in the rollout F1, once it is at one of these steps."""

    def there(document: dict) -> dict | None:
        found = next(one for one in document["rollout"]["chargers"] if one["charger"] == charger)
        return found if found["step"] in steps else None

    return await site.until("firmware_show", there, within=40, rollout="F1")


def requests(box: Charger) -> list[str]:
    """Actions of what it was asked for."""
    return [action for action, _ in box.requests]
