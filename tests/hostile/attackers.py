"""Clients that mean harm, in a process of their own: `python attackers.py PORT NAME…` goes on until its input ends.

Then it prints how often each of them did what. They are written on bare sockets: a WebSocket library would not send
what they send. Each comes from addresses of its own (127.0.x.y), and comes again when it is thrown out.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

CONTINUATION, TEXT, PING, RSV1, FIN = 0x0, 0x1, 0x9, 0x40, 0x80
MAD_OF_EACH = 3
ENDLESS = b"\x81\xff" + (2**62).to_bytes(8, "big") + bytes(4)
"""The head of a frame that is as long as can be."""
PAUSE_S = 0.05
LATER = "2026-03-01T10:00:00Z"
Attack = Callable[[int, Counter[str]], Awaitable[None]]


def frame(opcode: int, payload: bytes, bits: int = FIN) -> bytes:
    """Masked with zeros, which is a mask like any other."""
    length = len(payload)
    if length < 126:
        head = bytes((bits | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((bits | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((bits | opcode, 0x80 | 127)) + length.to_bytes(8, "big")
    return head + bytes(4) + payload


def call(number: int, action: str, payload: dict) -> bytes:
    return frame(TEXT, json.dumps([2, f"a{number}", action, payload]).encode())


def request(name: str, *more: str) -> bytes:
    lines = [
        f"GET /ocpp/{name} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: ocpp1.6",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def mad(attack: str) -> tuple[str, ...]:
    """Chargers that are known, and went mad in this way."""
    return tuple(f"{attack[:12]}-{number}" for number in range(1, 1 + MAD_OF_EACH))


@contextlib.asynccontextmanager
async def connection(port: int, address: str, *, receives: int | None = None):
    """`receives`: bytes that may wait to be read."""
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.setblocking(False)
    if receives is not None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    link.bind((address, 0))
    try:
        await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=link, limit=2**20)
    except OSError:
        link.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def upgraded(port: int, address: str, name: str, *more: str, receives: int | None = None):
    """A WebSocket; raises OSError when there is none to be had."""
    async with connection(port, address, receives=receives) as (reader, writer):
        writer.write(request(name, *more))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head:
            raise ConnectionRefusedError(head[:40].decode())
        yield reader, writer, head


async def again_and_again(count: Counter[str], what: Callable[[], Awaitable[None]], at_once: int) -> None:
    async def one() -> None:
        while True:
            try:
                await what()
            except* (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass  # alone, or of one of its tasks
            count["thrown_out"] += 1
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one())


async def until_thrown_out(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


# --- before anybody knows who it is


async def silent_connections(port: int, count: Counter[str]) -> None:
    """Open, and say nothing."""

    async def what() -> None:
        async with connection(port, _address(count, 21, 2)) as (reader, _):
            count["opened"] += 1
            await until_thrown_out(reader)

    await again_and_again(count, what, 300)


async def slow_handshakes(port: int, count: Counter[str]) -> None:
    """A request letter by letter, that never ends."""

    async def what() -> None:
        async with connection(port, _address(count, 22, 1)) as (reader, writer):
            count["opened"] += 1
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(until_thrown_out(reader))
                for letter in request("CP-01", *(f"X-{number}: y" for number in range(100))):
                    if ending.done():
                        break
                    writer.write(bytes((letter,)))
                    await asyncio.sleep(0.1)

    await again_and_again(count, what, 200)


async def header_bombs(port: int, count: Counter[str]) -> None:
    """A megabyte of headers that websockets would hold, of each of hundreds."""

    async def what() -> None:
        async with connection(port, _address(count, 23, 1)) as (reader, writer):
            count["opened"] += 1
            bomb = "X-A: " + "b" * 8000
            writer.write(request("CP-01", *[bomb] * 120)[:-2])
            count["sent"] += 1
            await until_thrown_out(reader)

    await again_and_again(count, what, 250)


# --- as somebody


async def compression_bombs(port: int, count: Counter[str]) -> None:
    """Offers to compress, and sends 64 MB in 64 kB whether that is taken or not."""
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflated.compress(bytes(64 * 2**20)) + deflated.flush(zlib.Z_SYNC_FLUSH)[:-4]

    async def what() -> None:
        extension = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        async with upgraded(port, "127.0.24.1", mad("compression_bombs")[0], extension) as (reader, writer, head):
            count["opened"] += 1
            count["compression_agreed"] += b"permessage-deflate" in head
            writer.write(frame(TEXT, bomb, FIN | RSV1))
            await until_thrown_out(reader)

    await again_and_again(count, what, 2)


async def endless_fragments(port: int, count: Counter[str]) -> None:
    """A message that never ends, in pieces of nothing and of one byte."""

    async def of(name: str, piece: bytes) -> None:
        async with upgraded(port, "127.0.25.1", name) as (reader, writer, _):
            count["opened"] += 1
            writer.write(frame(TEXT, b"[", 0))
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(until_thrown_out(reader))
                while not ending.done():
                    writer.write(frame(CONTINUATION, piece, 0) * 500)
                    count["fragments"] += 500
                    await writer.drain()
                    await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for name, piece in (
            (mad("endless_fragments")[0], b""),
            (mad("endless_fragments")[1], b"x"),
            ("STRANGER-F", b""),
        ):
            tasks.create_task(again_and_again(count, lambda name=name, piece=piece: of(name, piece), 1))


async def huge_frames(port: int, count: Counter[str]) -> None:
    """One that says that it is as long as can be, one of some megabytes, one of just too much, and of just enough."""
    exact = b'[2,"huge","DataTransfer",{"vendorId":"' + b"v" * (256 * 1024 - 60) + b'"}]'

    async def of(name: str, data: bytes) -> None:
        async with upgraded(port, "127.0.26.1", name) as (reader, writer, _):
            count["opened"] += 1
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(until_thrown_out(reader))
                writer.write(data)
                while not ending.done():
                    writer.write(b"x" * 65536 if data == ENDLESS else b"")
                    await writer.drain()
                    await asyncio.sleep(0.001)

    kinds = (
        (mad("huge_frames")[0], ENDLESS),
        (mad("huge_frames")[1], frame(TEXT, b"x" * 8 * 2**20)),
        ("STRANGER-H", frame(TEXT, b"[" * (256 * 1024 + 1))),
        (mad("huge_frames")[2], frame(TEXT, exact) * 20),
    )
    async with asyncio.TaskGroup() as tasks:
        for name, data in kinds:
            tasks.create_task(again_and_again(count, lambda name=name, data=data: of(name, data), 1))


async def ping_floods(port: int, count: Counter[str]) -> None:
    """Pings without end, whose answers nobody reads."""
    pings = frame(PING, b"p" * 125) * 500

    async def of(name: str) -> None:
        async with upgraded(port, "127.0.27.1", name, receives=4096) as (reader, writer, _):
            count["opened"] += 1
            reader._transport.pause_reading()
            while not writer.is_closing():
                writer.write(pings)
                await writer.drain()
                count["pings"] += 500
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for name in (*mad("ping_floods"), "STRANGER-P"):
            tasks.create_task(again_and_again(count, lambda name=name: of(name), 1))


async def many_strangers(port: int, count: Counter[str]) -> None:
    """Chargers that nobody knows, each under another name."""

    async def what() -> None:
        count["names"] += 1
        async with upgraded(port, "127.0.28.1", f"NEW-{count['names']}") as (reader, writer, _):
            count["opened"] += 1
            boot = {"chargePointVendor": f"V{count['names']}", "chargePointModel": "M" * 20}
            for number in range(200):
                writer.write(call(number, "BootNotification", boot))
                await writer.drain()
                await reader.read(65536)
            count["served"] += 1

    await again_and_again(count, what, 40)


async def message_floods(port: int, count: Counter[str]) -> None:
    """Known chargers that send faster than anybody can store, sessions and values of their own, without waiting."""

    async def of(name: str) -> None:
        async with upgraded(port, "127.0.29.1", name) as (reader, writer, _):
            count["opened"] += 1
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(until_thrown_out(reader))
                while not ending.done():
                    for _ in range(20):
                        count["messages"] += 1
                        writer.write(_some_message(count["messages"]))
                    await writer.drain()
                    await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        for name in mad("message_floods"):
            tasks.create_task(again_and_again(count, lambda name=name: of(name), 1))


def _some_message(number: int) -> bytes:
    if number % 3 == 0:
        return call(
            number, "StartTransaction", {"connectorId": 1, "idTag": f"T{number}", "meterStart": 0, "timestamp": LATER}
        )
    if number % 3 == 1:
        sample = {"timestamp": LATER, "sampledValue": [{"value": str(number)}]}
        return call(number, "MeterValues", {"connectorId": 1, "meterValue": [sample] * 20})
    return call(number, "DataTransfer", {"vendorId": "x" * 250, "data": "y" * 4000})


async def big_messages(port: int, count: Counter[str]) -> None:
    """As many of the largest texts at once as may wait for an answer."""
    sample = {"timestamp": LATER, "sampledValue": [{"value": "1", "unit": "Wh"}]}
    payload = {"connectorId": 1, "meterValue": [sample] * 2400}

    async def of(name: str) -> None:
        async with upgraded(port, "127.0.30.1", name) as (reader, writer, _):
            count["opened"] += 1
            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(until_thrown_out(reader))
                for number in range(31):
                    if ending.done():
                        break
                    writer.write(call(number, "MeterValues", payload | {"connectorId": number}))
                    count["messages"] += 1
                    await writer.drain()
                await ending

    async with asyncio.TaskGroup() as tasks:
        for name in mad("big_messages"):
            tasks.create_task(again_and_again(count, lambda name=name: of(name), 1))


async def deaf_clients(port: int, count: Counter[str]) -> None:
    """They ask and ask, and never read an answer."""

    async def of(name: str) -> None:
        async with upgraded(port, "127.0.31.1", name, receives=4096) as (reader, writer, _):
            count["opened"] += 1
            reader._transport.pause_reading()
            number = 0
            while not writer.is_closing():
                number += 1
                writer.write(frame(TEXT, json.dumps([2, f"{number}-" + "i" * 240, "Nonsense", {}]).encode()))
                await writer.drain()
                count["messages"] += 1
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for name in (*mad("deaf_clients"), "STRANGER-D"):
            tasks.create_task(again_and_again(count, lambda name=name: of(name), 1))


BEFORE_LOGIN = (silent_connections, slow_handshakes, header_bombs)
IN_FRAMES = (compression_bombs, endless_fragments, huge_frames, ping_floods)
IN_MESSAGES = (many_strangers, message_floods, big_messages, deaf_clients)
ATTACKS: dict[str, Attack] = {one.__name__: one for one in (*BEFORE_LOGIN, *IN_FRAMES, *IN_MESSAGES)}
LATER_S = 1.0
"""Who keeps everybody out lets the others in first."""


def _address(count: Counter[str], third: int, many: int) -> str:
    """The next of so many addresses."""
    count["attempts"] += 1
    return f"127.0.{third}.{1 + count['attempts'] % many}"


async def _begin(port: int, name: str, count: Counter[str], attacks: int) -> None:
    if attacks > len(IN_MESSAGES) and ATTACKS[name] in BEFORE_LOGIN:
        await asyncio.sleep(LATER_S)
    await ATTACKS[name](port, count)


async def attack(port: int, names: Iterable[str]) -> None:
    """Until the standard input ends; then it tells what was done."""
    counts = {name: Counter[str]() for name in names}
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    async with asyncio.TaskGroup() as tasks:
        for name, count in counts.items():
            tasks.create_task(_begin(port, name, count, len(counts)))
        await over.wait()
        sys.stdout.write(json.dumps(counts))
        sys.stdout.flush()
        os._exit(0)  # not one by one: hundreds of connections end as they do when a machine is switched off


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # which warns of connections that were thrown out
    asyncio.run(attack(int(sys.argv[1]), sys.argv[2:]))
