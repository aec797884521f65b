"""The daemon's side of the local API, over real UNIX sockets, and the command line against it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from edge.console.errors import CommandError
from edge.console.server import MAX_CLIENTS, MAX_REQUEST_BYTES, ConsoleServer, SocketUnavailable
from tests.console.canned import document


class Site:
    """The commands of a daemon that knows little, and what happened to them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.stream_closed = asyncio.Event()
        self.asked: list = []

    async def echo(self, args):
        self.asked.append(args)
        return {"v": 1, "args": args}

    async def wait(self, _):
        await self.gate.wait()
        return {"v": 1, "waited": True}

    async def refuse(self, _):
        raise CommandError("no_such_session", "There is no session S99.", "edge sessions")

    async def crash(self, _):
        raise ZeroDivisionError("secret detail")

    async def not_a_number(self, _):
        return {"v": float("nan")}

    async def half_a_character(self, _):
        return {"ä": "\ud800"}

    async def status(self, _):
        return document("status-online")

    async def count(self, args):
        for number in range(args["to"]):
            yield {"n": number}

    async def tick(self, _):
        try:
            while True:
                yield document("status-online")
                await self.gate.wait()
        finally:
            self.stream_closed.set()

    async def stumble(self, _):
        yield {"n": 0}
        raise ZeroDivisionError

    async def stop_short(self, _):
        yield {"n": 0}
        raise CommandError("no_such_charger", "It is gone.")


@pytest.fixture
async def site() -> Site:
    return Site()


@contextlib.asynccontextmanager
async def serving(site: Site, path: Path, **options) -> AsyncIterator[ConsoleServer]:
    answers = {
        name: getattr(site, name)
        for name in ("echo", "wait", "refuse", "crash", "not_a_number", "half_a_character", "status")
    }
    streams = {"count": site.count, "status": site.tick, "stumble": site.stumble, "stop_short": site.stop_short}
    server = ConsoleServer(path, answers, streams, **options)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        await server.listening.wait()
        yield server
        running.cancel()


@pytest.fixture
async def server(site, folder) -> AsyncIterator[Path]:
    async with serving(site, folder / "edge.sock"):
        yield folder / "edge.sock"


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, command: str, *, stream: bool = False, **args) -> None:
        self.send(json.dumps({"command": command, "args": args, "stream": stream}).encode() + b"\n")

    def send(self, text: bytes) -> None:
        self.writer.write(text)

    async def hear(self) -> dict | None:
        """The next document; None when the server has closed."""
        line = await self.reader.readline()
        return json.loads(line) if line else None


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def said(path: Path, text: bytes) -> dict:
    async with connected(path) as client:
        client.send(text)
        return (await client.hear())["error"]


async def test_one_client_asks_again_and_again(server):
    async with connected(server) as client:
        for number in range(3):
            client.ask("echo", n=number)
            assert await client.hear() == {"v": 1, "args": {"n": number}}


async def test_request_without_line_end_is_answered_when_the_client_has_finished_writing(server):
    async with connected(server) as client:
        client.send(b'{"command":"echo"}')
        client.writer.write_eof()
        assert await client.hear() == {"v": 1, "args": {}}
        assert await client.hear() is None


async def test_second_client_is_answered_while_the_first_one_waits(server, site):
    async with connected(server) as first, connected(server) as second:
        first.ask("wait")
        second.ask("echo")
        assert await second.hear() == {"v": 1, "args": {}}
        site.gate.set()
        assert await first.hear() == {"v": 1, "waited": True}


async def test_command_goes_on_when_its_client_leaves(server, site):
    async with connected(server) as client:
        client.ask("wait")
    async with connected(server) as client:
        site.gate.set()
        client.ask("echo")
        assert await client.hear() is not None


async def test_failure_of_a_command_is_told_with_its_hint(server):
    error = await said(server, b'{"command":"refuse"}\n')
    assert error == {"code": "no_such_session", "message": "There is no session S99.", "hint": "edge sessions"}


@pytest.mark.parametrize("stream", [b"", b',"stream":true'])
async def test_unknown_command_is_said_to_be_unknown(server, stream):
    error = await said(server, b'{"command":"dance"' + stream + b"}\n")
    assert error["code"] == "unknown_command" and "'dance'" in error["message"]


@pytest.mark.parametrize(
    "text",
    [
        b"hello\n", b"\xff\n", b"[" * 100_000 + b"\n", b"[]\n", b"{}\n", b'{"command":3}\n',
        b'{"command":"echo","args":[]}\n', b'{"command":"echo","stream":1}\n',
        b'{"command":"echo","args":"' + b"x" * MAX_REQUEST_BYTES + b'"}\n',
    ],
)  # fmt: skip
async def test_bad_request_is_told_and_ends_only_this_client(server, text):
    assert (await said(server, text))["code"] == "bad_request"
    async with connected(server) as client:
        client.ask("echo")
        assert await client.hear() is not None


@pytest.mark.parametrize(("command", "name"), [("crash", "ZeroDivisionError"), ("not_a_number", "ValueError")])
async def test_defect_in_a_command_is_logged_and_the_same_client_goes_on(server, command, name):
    with structlog.testing.capture_logs() as logged:
        async with connected(server) as client:
            client.ask(command)
            error = (await client.hear())["error"]
            assert error["code"] == "internal" and name in error["message"]
            assert "secret detail" not in error["message"]
            client.ask("echo")
            assert await client.hear() is not None
    assert [(each["event"], each["command"]) for each in logged] == [("console_command_failed", command)]


async def test_text_that_is_not_unicode_is_sent_as_an_escape(server):
    async with connected(server) as client:
        client.ask("half_a_character")
        assert await client.hear() == {"ä": "\ud800"}


async def test_stream_sends_its_documents_and_then_closes(server):
    async with connected(server) as client:
        client.ask("count", stream=True, to=3)
        assert [await client.hear() for _ in range(4)] == [{"n": 0}, {"n": 1}, {"n": 2}, None]


async def test_the_same_name_can_be_an_answer_and_a_stream(server):
    async with connected(server) as client:
        client.ask("status")
        assert await client.hear() == document("status-online")
        client.ask("status", stream=True)
        client.send(b"whatever it says meanwhile\n")
        assert await client.hear() == document("status-online")


async def test_client_that_disappears_ends_its_stream(server, site):
    async with connected(server) as client:
        client.ask("status", stream=True)
        await client.hear()
        assert not site.stream_closed.is_set()
    await site.stream_closed.wait()


@pytest.mark.parametrize(("command", "code"), [("stumble", "internal"), ("stop_short", "no_such_charger")])
async def test_failure_of_a_stream_is_its_last_document(server, command, code):
    async with connected(server) as client:
        client.ask(command, stream=True)
        assert await client.hear() == {"n": 0}
        assert (await client.hear())["error"]["code"] == code
        assert await client.hear() is None


async def test_client_that_does_not_read_its_stream_is_noticed_when_it_leaves(server, site):
    async with connected(server) as client:
        site.gate.set()  # documents without pause: the socket fills up
        client.ask("status", stream=True)
        await client.hear()
    await site.stream_closed.wait()


async def test_one_client_more_than_allowed_is_told_so(server):
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server)) for _ in range(MAX_CLIENTS)]
        for client in clients:
            client.ask("echo")
            assert await client.hear() is not None
        extra = await stack.enter_async_context(connected(server))
        assert (await extra.hear())["error"]["code"] == "busy"
        assert await extra.hear() is None


async def test_client_that_never_asks_is_sent_away(site, folder):
    async with serving(site, folder / "edge.sock", request_seconds=0.01), connected(folder / "edge.sock") as client:
        assert await client.hear() is None


async def test_clients_are_told_that_the_daemon_stops(site, folder):
    async with contextlib.AsyncExitStack() as stack:
        async with serving(site, folder / "edge.sock"):
            waiting = await stack.enter_async_context(connected(folder / "edge.sock"))
            watching = await stack.enter_async_context(connected(folder / "edge.sock"))
            waiting.ask("wait")
            watching.ask("status", stream=True)
            await watching.hear()
        for client in (waiting, watching):
            assert (await client.hear())["error"]["code"] == "stopping"
            assert await client.hear() is None
    assert site.stream_closed.is_set()


@pytest.mark.parametrize("turns", range(9))
async def test_client_that_comes_while_the_daemon_stops_is_never_left_hanging(site, folder, turns):
    """However far its connection had come, in turns of the loop: not accepted, accepted, its task not begun, begun."""
    path = folder / "edge.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        async with serving(site, path):
            client.connect(str(path))
            for _ in range(turns):
                await asyncio.sleep(0)
        heard = b""
        with contextlib.suppress(ConnectionResetError):  # nobody had accepted it yet
            async with asyncio.timeout(5):
                while some := await asyncio.get_running_loop().sock_recv(client, 4096):
                    heard += some
        assert turns == 0 or json.loads(heard)["error"]["code"] == "stopping"


async def test_socket_is_for_its_group_and_is_removed_at_the_end(site, folder):
    path = folder / "edge.sock"
    async with serving(site, path) as server:
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o660
        assert server.listening.is_set()
    assert not path.exists() and not server.listening.is_set()


async def test_stale_socket_is_replaced(site, folder):
    path = folder / "edge.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(site, path), connected(path) as client:
        client.ask("echo")
        assert await client.hear() is not None


async def test_socket_of_a_living_daemon_is_left_alone(server, site):
    with pytest.raises(SocketUnavailable, match="another daemon answers"):
        await ConsoleServer(server, {}, {}).run()
    async with connected(server) as client:
        client.ask("echo")
        assert await client.hear() is not None


async def test_file_that_is_no_socket_is_left_alone(folder):
    (folder / "edge.sock").write_text("precious")
    with pytest.raises(SocketUnavailable, match="is not a socket"):
        await ConsoleServer(folder / "edge.sock", {}, {}).run()
    assert (folder / "edge.sock").read_text() == "precious"


@pytest.mark.parametrize(("name", "reason"), [("no/such/folder/edge.sock", "No such file"), ("x" * 120, "too long")])
async def test_path_that_cannot_be_bound_is_named(folder, name, reason):
    with pytest.raises(SocketUnavailable, match=reason):
        await ConsoleServer(folder / name, {}, {}).run()


async def test_socket_of_a_successor_is_not_removed(site, folder):
    path = folder / "edge.sock"
    async with serving(site, path):
        path.unlink()
        path.write_text("somebody else's")
    assert path.exists()


async def command_line(path: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "EDGE_SOCKET": str(path)},
    )


async def test_command_line_and_server_understand_each_other(server):
    edge = await command_line(server, "status", "--json")
    out, err = await edge.communicate()
    assert (edge.returncode, json.loads(out), err) == (0, document("status-online"), b"")
    edge = await command_line(server, "chargers")
    out, err = await edge.communicate()
    assert (edge.returncode, out) == (1, b"") and err.startswith(b"edge: The daemon does not know the command")


async def test_interrupted_watch_exits_130_quietly_and_ends_its_stream(server, site):
    edge = await command_line(server, "status", "--watch", "--json")
    assert json.loads(await edge.stdout.readline()) == document("status-online")
    edge.send_signal(signal.SIGINT)
    out, err = await edge.communicate()
    assert (edge.returncode, out, err) == (130, b"", b"")
    await site.stream_closed.wait()


async def test_a_client_that_takes_its_last_lines_slowly_harms_nobody(server):
    """After close() asyncio still sends what had been waiting, and then its transport fails at abort()."""
    reader, writer = await asyncio.open_unix_connection(server, limit=1024)
    writer.write(json.dumps({"command": "count", "args": {"to": 40_000}, "stream": True}).encode() + b"\n")
    lines = 0
    async with asyncio.timeout(30):
        while await reader.readline():
            lines += 1
            if lines % 400 == 0:
                await asyncio.sleep(0.005)
    assert lines == 40_000
    writer.close()
    async with connected(server) as client:
        client.ask("echo")
        assert (await client.hear())["v"] == 1
