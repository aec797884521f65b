"""The in-memory network: how links carry, fail and come back."""

import asyncio
import socket

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.simulation.loop import run
from tests.simulation.transport import KERNEL_BUFFER

CSMS = ("csms.example", 9000)
URL = "ws://csms.example:9000/cp-01"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


class Listening(asyncio.Protocol):
    """Keeps what it was told."""

    def __init__(self):
        self.told = []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.told.append(data)

    def eof_received(self):
        self.told.append("eof")

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, exc):
        self.told.append(("lost", type(exc)))


async def pair(loop, address=CSMS):
    far = Listening()
    server = await loop.create_server(lambda: far, *address)
    _, near = await loop.create_connection(Listening, *address)
    await asyncio.sleep(0.1)
    return server, near, far


def test_a_half_open_link_is_found_by_the_keepalive():
    async def main(loop):
        async with serve(echo, *CSMS, ping_interval=None):
            async with connect(URL, proxy=None, ping_interval=30, ping_timeout=10) as link:
                await asyncio.sleep(45)
                loop.network.cut(CSMS)
                with pytest.raises(ConnectionClosed, match="keepalive ping timeout"):
                    await link.recv()
                found_at = loop.elapsed()
            loop.network.heal(CSMS)
            async with connect(URL, proxy=None) as link:
                await link.send("back")
                assert await link.recv() == "back"
            for half_open in loop.network.links():
                half_open.ends[1].abort()
        return found_at

    assert 70 <= run(main).value <= 81  # ping at 60, given up at 70, close timeout 10


def test_a_link_that_lost_a_byte_stays_lost_after_healing_and_one_that_lost_none_goes_on():
    async def main(loop):
        server, near, far = await pair(loop)
        _, idle = await loop.create_connection(Listening, *CSMS)
        loop.network.cut(CSMS)
        near.transport.write(b"into the hole")
        await asyncio.sleep(1)
        loop.network.heal(CSMS)
        near.transport.write(b"after")
        idle.transport.write(b"idle one")
        await asyncio.sleep(1)
        server.close()
        return far.told

    assert run(main).value == [b"idle one"]


def test_connecting_into_a_black_hole_hangs_until_it_is_healed_or_the_kernel_gives_up():
    async def main(loop):
        server = await loop.create_server(Listening, *CSMS)
        loop.network.cut(CSMS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await loop.create_connection(Listening, *CSMS)
        with pytest.raises(TimeoutError, match="Connect call failed"):
            await loop.create_connection(Listening, *CSMS)
        gave_up_after = loop.elapsed() - 10
        loop.call_later(5, loop.network.heal, CSMS)
        began = loop.elapsed()
        await loop.create_connection(Listening, *CSMS)
        server.close()
        return gave_up_after, loop.elapsed() - began

    gave_up_after, connected_after = run(main).value
    assert gave_up_after == pytest.approx(127)
    assert connected_after == pytest.approx(7, abs=0.01)  # the attempts are at 0, 1, 3, 7 s …


def test_a_stalled_link_delivers_everything_in_order_when_it_comes_back():
    async def main(loop):
        server, near, far = await pair(loop)
        near.transport.write(b"1")
        loop.network.stall(CSMS)
        near.transport.write(b"2")
        await asyncio.sleep(60)
        near.transport.write(b"3")
        assert far.told == []
        loop.network.heal(CSMS)
        near.transport.write(b"4")
        await asyncio.sleep(1)
        server.close()
        return b"".join(far.told)

    assert run(main).value == b"1234"


def test_a_reset_reaches_both_ends():
    async def main(loop):
        server, near, far = await pair(loop)
        loop.network.reset(CSMS)
        await asyncio.sleep(0)
        await server.get_loop().create_connection(Listening, *CSMS)
        server.close()
        return near.told, far.told[:1]

    assert run(main).value == ([("lost", ConnectionResetError)], [("lost", ConnectionResetError)])


def test_a_connection_is_refused_where_nobody_listens_or_where_it_is_told_so():
    async def main(loop):
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Listening, "nobody.example", 1)
        server = await loop.create_server(Listening, *CSMS)
        loop.network.refuse(CSMS)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Listening, *CSMS)
        loop.network.refuse(CSMS, False)
        await loop.create_connection(Listening, *CSMS)
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Listening, *CSMS)

    run(main)


def test_a_fault_may_concern_one_machine_only():
    async def main(loop):
        reached = []

        async def machine(name):
            async with connect(URL, proxy=None, open_timeout=5) as link:
                await link.send(name)
                reached.append(await link.recv())

        async with serve(echo, *CSMS):
            loop.network.cut(CSMS, client="cp-02")
            tasks = [loop.launch(f"{name}#1", machine(name)) for name in ("cp-01", "cp-02", "cp-03")]
            await asyncio.wait(tasks)
        return sorted(reached), [type(task.exception()) for task in tasks]

    assert run(main).value == (["cp-01", "cp-03"], [type(None), TimeoutError, type(None)])


def test_latency_is_that_of_the_client_and_the_address():
    async def main(loop):
        loop.network.set_latency(CSMS, 0.2)
        loop.network.set_latency(CSMS, 0.7, client="far")
        took = {}

        async def machine(name):
            began = loop.time()
            await loop.create_connection(Listening, *CSMS)
            took[name] = loop.time() - began

        server = await loop.create_server(Listening, *CSMS)
        await asyncio.wait([loop.launch(name, machine(name)) for name in ("near", "far")])
        server.close()
        return took

    assert run(main).value == {"near": pytest.approx(0.4), "far": pytest.approx(1.4)}


def test_a_server_on_every_interface_and_port_zero_gets_the_next_port_and_is_found_by_any_host():
    async def main(loop):
        loop.network.place("cp-01", "10.0.0.21")
        peers = []

        async def note_peer(connection):
            peers.append(connection.remote_address[0])

        async with serve(note_peer, "", 0) as first, serve(note_peer, None, 0) as second:
            ports = [server.sockets[0].getsockname()[1] for server in (first, second)]
            assert first.sockets[0].family == socket.AF_INET

            async def machine():
                async with connect(f"ws://10.0.0.1:{ports[0]}/", proxy=None) as link:
                    await link.wait_closed()

            await loop.launch("cp-01", machine())
            with pytest.raises(OSError, match="bind on address"):
                await loop.create_server(Listening, None, ports[0])
        return ports, peers

    assert run(main).value == ([20000, 20001], ["10.0.0.21"])


def test_a_writer_is_paused_when_the_reader_does_not_read():
    async def main(loop):
        server, near, far = await pair(loop)
        far.transport.pause_reading()
        near.transport.write(bytes(KERNEL_BUFFER))
        assert near.told == []
        near.transport.write(bytes(KERNEL_BUFFER + 1))
        assert near.told == ["pause"]
        await asyncio.sleep(10)
        assert near.told == ["pause"]
        assert far.told == []
        far.transport.resume_reading()
        await asyncio.sleep(1)
        assert near.told == ["pause", "resume"]
        server.close()
        return sum(map(len, far.told))

    assert run(main).value == 2 * KERNEL_BUFFER + 1


def test_closing_waits_for_what_was_written_and_the_peer_sees_the_end():
    async def main(loop):
        server, near, far = await pair(loop)
        far.transport.pause_reading()
        near.transport.write(bytes(3 * KERNEL_BUFFER))
        near.transport.close()
        await asyncio.sleep(5)
        assert near.told == ["pause"]
        far.transport.resume_reading()
        await asyncio.sleep(5)
        server.close()
        await server.wait_closed()
        return near.told, far.told

    near, far = run(main).value
    assert near[-1] == ("lost", type(None))
    assert far == [bytes(3 * KERNEL_BUFFER), "eof", ("lost", type(None))]


def test_writing_to_someone_who_is_gone_brings_a_reset():
    async def main(loop):
        async def crashing():
            await loop.create_connection(Listening, *CSMS)
            await asyncio.sleep(60)

        far = Listening()
        server = await loop.create_server(lambda: far, *CSMS)
        loop.launch("cp-01#1", crashing())
        await asyncio.sleep(1)
        loop.crash("cp-01#1")
        far.transport.write(b"are you there?")
        await asyncio.sleep(1)
        server.close()
        await server.wait_closed()
        return far.told

    assert run(main).value == [("lost", ConnectionResetError)]


def test_a_unix_socket_carries_lines_and_can_be_given_to_a_group(tmp_path):
    path = tmp_path / "edge.sock"

    async def main(loop):
        async def answer(reader, writer):
            while line := await reader.readline():
                writer.write(b"> " + line)
                await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(answer, path)
        path.chmod(0o660)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"status\n")
        line = await reader.readline()
        credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        again = await asyncio.start_unix_server(answer, path)
        again.close()
        return line, len(credentials)

    assert run(main).value == (b"> status\n", 12)
    assert path.is_socket()
