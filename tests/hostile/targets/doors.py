"""The bytes that a stranger sends to a listener → an HTTP answer, and a link for whoever may have one.

The listener is the running daemon's, on virtual time and in-memory connections. Whoever gets 101 must have shown the
password of the charger under whose name it gets in; nothing that is sent costs an exception, and what has come is gone
again: connections, links, and places at the door.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator
from random import Random

from edge.chargers.server import ChargerServer
from edge.config import Api, ChargerSettings, Config, Listener, StoreSettings
from edge.config import Site as SiteSettings
from edge.daemon import Daemon, build
from edge.ocppj.handshake import identity_from_path
from edge.world import World
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.targets.handshakes import PASSWORDS, PREFIX, request, shows_password
from tests.hostile.watched import watched_log
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory

PORT = 8887
_FRAMES = (b"\x81\x82\0\0\0\0[]", b"\xc1\x80\0\0\0\0", b"\x81\x00", b"\x88\x80\0\0\0\0", b"\x8a\xff", b"\xff" * 20, b"\x01\x80\0\0\0\0")  # fmt: skip
_PATH = re.compile(rb"\S+ (\S+) ")


class Doors:
    name = "doors"
    batch = 1_000
    is_fresh_each_time = False

    def inputs(self, chance: Random) -> Iterator[bytes]:
        """The bytes of one connection, from its first to its last."""
        while True:
            data = request(chance)
            if chance.random() < 0.3:
                data += chance.choice(_FRAMES) * chance.choice((1, 1, 30))
            if chance.random() < 0.05:
                data = data[: int(chance.random() * len(data))]
            yield data

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        with folder_in_memory() as folder, watched_log() as failures:

            async def main(loop: SimLoop) -> None:
                config = Config(
                    site=SiteSettings(id="depot"),
                    listeners=(Listener("127.0.0.1", PORT, PREFIX, 1),),
                    store=StoreSettings(folder / "edge.db"),
                    charger=tuple(ChargerSettings(name, password=password) for name, password in PASSWORDS.items()),
                    api=Api(socket=None),
                )
                clock, disk = SimClock(loop), SimDisk(loop)
                world = World(clock, SimIds(0), disk.open_database, SimOffload(), SimNotify(loop))
                daemon = build(config, world)
                async with asyncio.TaskGroup() as tasks:
                    life = tasks.create_task(daemon.run())
                    await daemon.ready.wait()
                    for data in inputs:
                        tally.begin(data)
                        tally.end(accepted=await _judge(data))
                        if failures:
                            raise Escape(failures[0])
                    await asyncio.sleep(60.0)
                    _must_be_empty(daemon)
                    daemon.leave()
                    await life

            run(main)


async def _judge(data: bytes) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(data)
    await asyncio.sleep(0.2)
    writer.close()
    answered = b""
    with contextlib.suppress(OSError):
        answered = await reader.read()
    if not answered.startswith(b"HTTP/1.1 101 "):
        return False
    path = _PATH.match(data)
    name = identity_from_path(path[1].decode("latin-1"), PREFIX) if path is not None else None
    if name is None:
        raise Escape("a WebSocket for nobody")
    if name in PASSWORDS and not shows_password(data, name):
        raise Escape(f"{name!a} gets in without its password")
    return True


def _must_be_empty(daemon: Daemon) -> None:
    assert daemon.inside is not None
    parts = daemon.inside._parts
    server: ChargerServer = parts.chargers
    if parts.roster.links() or server._threshold.waiting():
        raise Escape(f"left: {len(parts.roster.links())} links, {len(server._threshold.waiting())} that wait")
    known = len(parts.roster._presence)
    if known > len(PASSWORDS):
        raise Escape(f"{known} names are remembered")


DOORS = Doors()
