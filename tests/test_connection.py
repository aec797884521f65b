"""Texts that go to a peer that does not read wait for it, in their order, and do not hold up anything else."""

import asyncio
import json
import time

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from edge.connection import Answer, RpcConnection
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS
from edge.ocppj.peer import RpcPeer
from edge.world import RandomIds, SystemClock

TEXTS = [f"{number:04d}" + "x" * 100_000 for number in range(100)]
"""A few of them fill all buffers."""


def rpc(socket: ServerConnection) -> RpcConnection:
    peer = RpcPeer("1.6", Sender.STATION, CHARGER_LIMITS)
    return RpcConnection(socket, peer, SystemClock(), RandomIds(), on_call=lambda _received: None)


class Watched(ServerConnection):
    """Its peer reads again: at this very moment one more text is sent."""

    rpc: RpcConnection | None = None

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.rpc is not None:
            self.rpc.send("the last")
            self.rpc = None


async def test_texts_to_a_peer_that_reads_late_arrive_in_their_order() -> None:
    buffered: list[int] = []

    async def talk(socket: ServerConnection) -> None:
        assert isinstance(socket, Watched)
        socket.rpc = connection = rpc(socket)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(connection.run())
            await asyncio.sleep(0)  # now it runs
            for text in TEXTS:
                connection.send(text)
            assert socket.paused
            buffered.append(socket.transport.get_write_buffer_size())
            await connection.flushed()
            await socket.close()
            await running

    async with serve(talk, "127.0.0.1", 0, compression=None, create_connection=Watched) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", max_queue=1, compression=None) as peer:
            got = [str(text) async for text in peer]
    assert got == [*TEXTS, "the last"]
    assert buffered[0] < 3 * len(TEXTS[0])


async def test_what_is_sent_after_the_end_is_lost_without_a_word() -> None:
    ended = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        connection = rpc(socket)
        await connection.run()
        connection.send("too late")
        await connection.flushed()
        ended.set()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as peer:
            await peer.close()
        async with asyncio.timeout(10):
            await ended.wait()


@pytest.mark.parametrize("is_answer_first", [True, False])
async def test_an_answer_in_the_moment_in_which_its_time_is_up_is_an_answer(is_answer_first: bool) -> None:
    """The loop was busy over both. What the answer means is acted upon once, and nobody says that none came."""
    loop = asyncio.get_running_loop()
    got: list[Answer] = []
    calls: list[str] = []

    async def talk(socket: ServerConnection) -> None:
        connection = rpc(socket)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(connection.run())
            await asyncio.sleep(0)

            def answer() -> None:
                message_id = json.loads(calls[0])[1]
                connection._received(f'[3,"{message_id}",{{"status":"Accepted"}}]')

            loop.call_later(0.15 if is_answer_first else 0.25, answer)
            loop.call_later(0.1, lambda: time.sleep(0.2))
            answered = await connection.call("Reset", {"type": "Soft"}, within=0.2, on_answer=got.append)
            assert got == [answered]
            await socket.close()
            await running

    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as peer:
            calls.append(str(await peer.recv()))
            await peer.wait_closed()
