"""The whole daemon on virtual time, with its peers put directly behind the WebSocket: texts go in, texts come out.

The daemon is the real one (`daemon.build`), and so are a charger's link and the uplink; only what websockets would do
is left out, so that thousands of texts a second go through tolerances, decisions, units of work, SQLite and commands.
An input is one text of the charger (`>`) or of the cloud (`<`), or an answer that it has ready for the next CALL of
one kind (`>Action frame`, `<Action frame`), or what a client of the local API sends (`!`). `@asked` in it becomes the id
of the CALL that waits for an answer, and `@unique` an id that was not used before.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from edge.chargers.link import ChargerLink
from edge.config import Api, Authorization, ChargerDefaults, ChargerSettings, Config, Listener, StoreSettings, Uplink
from edge.config import Site as SiteSettings
from edge.console.server import _encode
from edge.console.views_diagnosis import DiagnosisViews
from edge.console.views_messages import MessageViews
from edge.console.views_sessions import SessionViews
from edge.console.views_site import SiteViews
from edge.daemon import Daemon, build
from edge.domain.ids import ChargerId
from edge.ocppj.frames import encode_json
from edge.world import World
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.peers import BOX, CLOUD, Peer, Said, Wire
from tests.hostile.watched import watched_log
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory

IDENTITY = "depot-7"
CHARGER = ChargerId("CP-01")
TRANSACTION_ID_BASE = 7000
TURN_S = 0.04
"""Virtual seconds that pass after each text: a commit or two."""
REST_EVERY, REST_S = 50, 45.0
"""After so many texts, so many virtual seconds: all that is asked is answered by then, or given up."""
ANSWERED_WITHIN_S = 300.0
KEPT_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})


class _Dialer:
    """Instead of a real connection to the cloud."""

    def __init__(self, cloud: Peer) -> None:
        self._cloud = cloud

    async def dial(self, _settings: Uplink, _ping_interval: float | None) -> Wire:
        return self._cloud.connected()

    def certificates(self) -> list[object]:
        return []


def live(inputs: Iterable[bytes], tally: Tally) -> None:
    """A life of the site in which these texts are said, one after the other."""
    with folder_in_memory() as folder, watched_log() as failures:
        run(lambda loop: HostileSite(loop, folder, failures).live(inputs, tally))


class HostileSite:
    def __init__(self, loop: SimLoop, folder: Path, failures: list[str]) -> None:
        self._loop = loop
        self._path = folder / "edge.db"
        self._failures = failures
        self.charger = Peer("the charger", BOX)
        self.cloud = Peer("the cloud", CLOUD)
        self.charger.on_answer = self._must_be_stored
        self._stored_texts: set[str] = set()
        self._stored_payloads: set[str] = set()
        self._seen = 0
        self._documents = 0
        self._link: ChargerLink | None = None
        self._reader: sqlite3.Connection | None = None

    def _build(self) -> Daemon:
        config = Config(
            site=SiteSettings(id=IDENTITY),
            listeners=(Listener("127.0.0.1", 8887, "/ocpp", 0),),
            uplink=Uplink(url="ws://127.0.0.1:9999/ocpp", identity=IDENTITY, security_profile=0),
            store=StoreSettings(self._path),
            chargers=ChargerDefaults(meter_interval=60),
            charger=(ChargerSettings(CHARGER, evses=(1, 1)),),
            authorization=Authorization(offline="everyone", online_timeout=2.0),
            api=Api(socket=self._path.with_name("edge.sock")),
        )
        world = World(
            SimClock(self._loop),
            _Ids(0, "edge"),
            SimDisk(self._loop).open_database,
            SimOffload(),
            SimNotify(self._loop),
        )
        return build(config, world)

    async def live(self, inputs: Iterable[bytes], tally: Tally) -> None:
        daemon = self._daemon = self._build()
        self._loop.remove_reader = lambda _listener: False  # the local API's server lets go of its socket
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(daemon.run())
            await daemon.ready.wait()
            assert daemon.inside is not None
            parts = daemon.inside._parts
            parts.uplink._dialer = _Dialer(self.cloud)
            self._reader = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            linking = tasks.create_task(self._stays_connected(daemon))
            await asyncio.sleep(REST_S)
            for data in inputs:
                tally.begin(data)
                before = self._accepted()
                if data[:1] == b"!":
                    await self._ask(data[1:])
                else:
                    self._say(data)
                await asyncio.sleep(TURN_S)
                if tally.inputs % REST_EVERY == 0:
                    await self._rest()
                self._must_be_well()
                tally.end(accepted=self._accepted() > before)
            await self._rest()
            await _must_be_shown(daemon)
            self._must_be_well()
            linking.cancel()
            self._reader.close()
            daemon.leave()
            await life

    async def _stays_connected(self, daemon: Daemon) -> None:
        """As `ChargerServer` serves a charger that comes again and again."""
        assert daemon.inside is not None
        server, roster = daemon.inside._parts.chargers, daemon.inside._parts.roster
        while True:
            wire, enrolment = self.charger.connected(), roster.enrolment(CHARGER)
            charger_no = None if enrolment is None else enrolment.no
            link = ChargerLink(
                wire, CHARGER, charger_no, "1.6", server._parts, server._clock, server._ids, roster.presence(CHARGER)
            )  # fmt: skip
            self._link = link
            await roster.attach(link)
            try:
                await link.run()
            finally:
                roster.detach(link)
            await asyncio.sleep(0.02)

    def _say(self, data: bytes) -> None:
        peer = self.charger if data[:1] == b">" else self.cloud
        try:
            text = data[1:].decode()
        except UnicodeDecodeError:
            return  # websockets closes with 1007, and we never see it
        action, blank, frame = text.partition(" ")
        if blank and action.isalpha():
            peer.has_ready(action, frame)
        else:
            peer.says(text)

    async def _ask(self, request: bytes) -> None:
        """What the local API makes of these bytes: documents, each a line."""
        reader, writer = await asyncio.open_unix_connection(self._path.with_name("edge.sock"), limit=2**24)
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            line = await reader.readline()
        writer.close()
        if not line:
            return  # nothing was asked
        document = json.loads(line)
        if not isinstance(document, dict):
            raise Escape(f"no document: {line[:200]!a}")
        error = document.get("error")
        if error is None:
            self._documents += 1
        elif not (error["code"] and error["message"]):
            raise Escape(f"an error without words: {line[:200]!a}")

    async def _rest(self) -> None:
        """All CALLs that were heard as such have their answer then; of what is no CALL nobody knows."""
        await asyncio.sleep(REST_S)
        uplink = self._daemon.inside._parts.uplink
        waiting = {self.charger: self._link and self._link.connection, self.cloud: uplink._connection}
        for peer, connection in waiting.items():
            is_silenced = peer is self.cloud and uplink.status.state == "rejected"
            if connection is not None and not connection._is_over and connection.unanswered and not is_silenced:
                raise Escape(f"{peer.name} waits for {connection.unanswered} answers")
            peer.forget()

    def _accepted(self) -> int:
        return self._documents + sum(
            peer.answered.total() - peer.answered["CALLERROR"] for peer in (self.charger, self.cloud)
        )

    def _must_be_well(self) -> None:
        for wrong in (*self._failures, *self.charger.wrong, *self.cloud.wrong):
            raise Escape(wrong)

    def _must_be_stored(self, said: list[Said]) -> None:
        """What the charger may forget now is on the disk."""
        if any(one.action not in KEPT_ACTIONS for one in said):
            return
        assert self._reader is not None
        for seq, kept in self._reader.execute("SELECT seq, text FROM exchange WHERE seq > ?", (self._seen,)):
            self._seen = seq
            self._stored_texts.add(kept)
            self._stored_payloads.add(_payload_of(kept))
        if not any(one.text in self._stored_texts or _payload_of(one.text) in self._stored_payloads for one in said):
            raise Escape(f"answered and not stored: {said[0].text[:300]!a}")


def _payload_of(text: str) -> str:
    """Of a CALL, in one spelling; the text itself where it is none."""
    with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
        value = json.loads(text)
        if value[0] == 2:
            return encode_json(value[3] or {})
    return text


class _Ids(SimIds):
    def number(self, low: int, high: int) -> int:
        """The transaction ids that chargers get are those that `material.py` knows."""
        return TRANSACTION_ID_BASE if low > 1000 else super().number(low, high)


async def _must_be_shown(daemon: Daemon) -> None:
    """Whatever was stored, every view of it can be drawn and written."""
    inside = daemon.inside
    assert inside is not None
    store = inside._parts.store
    site, sessions, messages = SiteViews(store, inside), SessionViews(store, inside), MessageViews(store, inside)
    for view in (site.status, site.uplink, site.chargers, messages.queue):
        _encode(await view({}))
    listed = await sessions.sessions({})
    _encode(listed)
    for one in listed["sessions"][:25]:
        _encode(await sessions.session({"session": one["session"]}))
        _encode(await messages.trace({"subject": one["session"], "raw": True}))
        _encode(await DiagnosisViews(store, inside).diagnose({"subject": one["session"]}))
    _encode(await messages.trace({"subject": CHARGER, "raw": True}))
    _encode(await messages.trace({"subject": CHARGER}))
    for subject in (CHARGER, None):
        _encode(await DiagnosisViews(store, inside).diagnose({"subject": subject}))
    for entry in (await messages.queue({}))["entries"][:25]:
        _encode(await messages.queue({"seq": entry["seq"]}))
