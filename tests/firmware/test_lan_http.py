"""Chargers take their file by HTTP and leave diagnostics; nobody else gets anything, or keeps them from it."""

import asyncio
import contextlib
import io
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from firmware_bridge import disk, lan_http, lan_http_receiving
from firmware_bridge.api import BridgeRefused
from tests.firmware.depot import CONTENT, depot, eventually, reopened

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
BIG = os.urandom(700_000)


@contextlib.asynccontextmanager
async def charger(address="127.0.0.1"):
    """A client that does what a charger's does."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as client:
        yield client


async def curl(*arguments: str) -> tuple[int, str]:
    """(Its exit code, the status or statuses that it got)."""
    command = ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "--max-time", "30", *arguments]
    done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    stdout, _ = await done.communicate()
    return done.returncode or 0, stdout.decode()


async def raw(url: str, sent: bytes, *, ends: bool = False) -> bytes:
    """What is answered to these bytes."""
    port = int(urlsplit(url).port or 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        if ends:
            await writer.drain()
            return b""
        async with asyncio.timeout(20):
            return await reader.read(65_536)
    finally:
        writer.close()


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


async def test_a_charger_takes_its_file_whole_or_from_where_it_was(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.take()
        async with client.get(given.http) as answer:
            assert (answer.status, await answer.read()) == (200, CONTENT)
        async with client.get(given.http, headers={"Range": "bytes=300000-"}) as answer:
            assert (answer.status, await answer.read()) == (206, CONTENT[300_000:])
        async with client.head(given.http) as answer:
            assert (answer.status, answer.content_length) == (200, len(CONTENT))
        now = await site.asks.served(given.ticket.token, "127.0.0.1")
        assert (now.bytes, now.times) == (len(CONTENT), 2)


@pytest.mark.parametrize("way", ["PUT to its path", "PUT with a name", "POST", "chunked", "in folders"])
async def test_a_charger_leaves_a_file_as_it_likes(folder, way):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        match way:
            case "PUT to its path":
                told, asked = "file", client.put(given.http, data=BIG)
            case "PUT with a name":
                told, asked = "log.zip", client.put(given.http + "log.zip", data=BIG)
            case "POST":
                told, asked = "file", client.post(given.http.rstrip("/"), data=BIG)
            case "chunked":
                told, asked = "log.zip", client.post(given.http + "log.zip", data=slices(BIG))
            case "in folders":
                told, asked = "log.zip", client.put(given.http + "CP-01/today/log.zip", data=BIG)
        async with asked as answer:
            assert answer.status == 201
        assert await site.left(given) == {told: (len(BIG), True)}
        assert await site.contents() == {told: BIG}
        now = (await site.asks.received(given.ticket.token, "127.0.0.1")).ticket
        assert (now.bytes, now.times) == (len(BIG), 1)


async def slices(content):
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


async def test_a_charger_leaves_files_in_a_form(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("requestId", "17")
        form.add_field("file", BIG, filename="../../log.zip")
        form.add_field("other", b"second", filename="b.txt", content_type="text/plain")
        async with client.post(given.http, data=form) as answer:
            assert answer.status == 201
        assert await site.contents() == {"log.zip": BIG, "b.txt": b"second"}


@needs_curl
async def test_curl_leaves_files_in_each_of_its_ways(folder):
    (folder / "a.zip").write_bytes(BIG)
    async with depot(folder) as site:
        given = await site.leave(quota_mb=None)
        asks = ("-H", "Expect: 100-continue")
        assert await curl("-T", str(folder / "a.zip"), *asks, given.http) == (0, "201")
        assert await curl("--data-binary", f"@{folder / 'a.zip'}", *asks, given.http + "b") == (0, "201")
        assert await curl("-F", f"file=@{folder / 'a.zip'};filename=c", *asks, given.http) == (0, "201")
        assert await curl("-T", str(folder / "a.zip"), "--http1.0", given.http + "d") == (0, "201")
        assert await curl("-T", str(folder / "a.zip"), "-H", "Transfer-Encoding: chunked", given.http + "e") == (
            0,
            "201",
        )
        assert await site.contents() == dict.fromkeys(["a.zip", *"bcde"], BIG)


async def test_what_is_packed_for_the_way_stays_packed(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        packed = {"Content-Encoding": "gzip"}
        async with client.put(given.http + "a", data=b"no gzip at all", headers=packed) as answer:
            assert answer.status == 201
        assert await site.contents() == {"a": b"no gzip at all"}


@pytest.mark.parametrize("way", ["announced", "in a form", "chunked", "one after the other"])
async def test_beyond_its_quota_a_charger_is_refused(folder, way):
    async with depot(folder) as site, charger() as client:
        given = await site.leave(quota_mb=1)
        much = bytes(2**20 + 1)
        body = io.BytesIO(much)
        match way:
            case "announced":
                asked = client.put(given.http + "a", data=body)
            case "in a form":
                form = aiohttp.FormData()
                form.add_field("file", body, filename="a")
                asked = client.post(given.http, data=form)
            case "chunked":
                asked = client.put(given.http + "a", data=slices(much))
            case "one after the other":
                async with client.put(given.http + "b", data=BIG) as answer:
                    assert answer.status == 201
                asked = client.put(given.http + "a", data=BIG)
        async with asked as answer:
            assert answer.status == 413
        assert "a" not in await site.contents()


async def test_a_body_that_says_to_be_too_long_is_not_asked_for(folder):
    async with depot(folder) as site:
        given = await site.leave(quota_mb=1)
        header = f"PUT {path_of(given.http)}a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
        assert (await raw(given.http, (header % 2_000_000).encode())).startswith(b"HTTP/1.1 413 ")
        assert (await raw(given.http, (header % 20).encode())) == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_beyond_what_all_may_leave_or_the_disk_holds_a_charger_is_refused(folder, monkeypatch):
    async with depot(folder, uploads_max_mb=1) as site, charger() as client:
        one, other = await site.leave(), await site.leave()
        async with client.put(one.http + "a", data=BIG) as answer:
            assert answer.status == 201
        async with client.put(other.http + "a", data=BIG) as answer:
            assert answer.status == 413
        monkeypatch.setattr(disk, "free_bytes", lambda _: 64 * 2**20)
        async with client.put(one.http + "b", data=b"1") as answer:
            assert answer.status == 507
        assert await site.contents() == {"a": BIG}


@pytest.mark.parametrize(
    "name", ["%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%00b", "a%0d%0ab", "0001.json", "x" * 4000, "%ff%fe", "..%5c..%5cb"]
)
async def test_no_name_of_a_charger_reaches_the_disk(folder, name):
    async with depot(folder) as site:
        given = await site.leave()
        asked = f"PUT {path_of(given.http)}{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        assert (await raw(given.http, asked.encode())).startswith(b"HTTP/1.1 201 ")
        assert list((await site.contents()).values()) == [b"abc"]
        kept = sorted(path.name for path in (folder / "bridge" / "uploads").rglob("*") if path.is_file())
        assert kept == ["0001", "0001.json"]


async def test_a_ticket_is_for_one_direction(folder):
    async with depot(folder) as site, charger() as client:
        take, leave = await site.take(), await site.leave()
        for method, url in (("PUT", take.http), ("POST", take.http), ("POST", take.http.rpartition("/")[0])):
            async with client.request(method, url, data=b"1") as answer:
                assert answer.status == 404
        async with client.put(leave.http + "a", data=b"1") as answer:
            assert answer.status == 201
        for name in ("a", "0001"):
            async with client.get(leave.http + name) as answer:
                assert answer.status == 404
        async with client.delete(leave.http + "a") as answer:
            assert answer.status == 405


async def test_a_ticket_counts_from_its_address_while_it_is_valid(folder):
    async with depot(folder) as site, charger() as client, charger("127.0.0.2") as stranger:
        mine = await site.leave(address="127.0.0.2")
        gone, over = await site.leave(), await site.leave(seconds=1)
        await site.asks.withdraw(gone.ticket.token)
        await asyncio.sleep(1.1)
        for url in (mine.http, gone.http, over.http, mine.http.replace("/" + mine.ticket.token, "/" + "0" * 32)):
            async with client.put(url, data=b"1") as answer:
                assert answer.status == 404
        async with stranger.put(mine.http, data=b"1") as answer:
            assert answer.status == 201


@pytest.mark.parametrize(
    "body",
    [
        b"nothing of the kind",
        b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nabc",
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n"
        + b"a" * 100_000
        + b"\r\n--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nabc\r\n--y--\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=_charset_\r\n\r\n" + b"u" * 40 + b"\r\n--x--\r\n",
        b"--x\r\n" + b"a: b\r\n" * 1000 + b"\r\nabc\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n" * 100 + b"--x--\r\n",
        b"",
    ],
    ids=range(9),
)
async def test_a_form_that_cannot_be_read_is_refused(folder, body):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        async with client.post(given.http, data=body, headers=headers) as answer:
            assert answer.status == 400
        async with client.post(given.http, data=body, headers={"Content-Type": "multipart/form-data"}) as answer:
            assert answer.status == 400
        assert not any(whole for _, whole in (await site.left(given)).values())


async def test_a_part_of_a_file_is_not_taken_for_the_whole(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        async with client.put(given.http, data=b"abc", headers={"Content-Range": "bytes 3-5/9"}) as answer:
            assert answer.status == 400
        assert await site.contents() == {}


async def test_what_broke_off_is_not_whole_until_it_comes_again(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        announced = f"PUT {path_of(given.http)}a.zip HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n".encode()
        await raw(given.http, announced + BIG[:300_000], ends=True)

        found = await eventually(lambda: site.left(given))
        assert found["a.zip"][1] is False
        async with client.put(given.http + "a.zip", data=BIG) as answer:
            assert answer.status == 201
        assert await site.left(given) == {"a.zip": (len(BIG), True)}


@pytest.mark.parametrize("size", [3, 300_000])
async def test_who_sends_all_and_hangs_up_at_once_has_left_it(folder, size):
    async with depot(folder) as site:
        given = await site.leave()
        header = f"PUT {path_of(given.http)}a HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        await raw(given.http, header + BIG[:size], ends=True)
        assert await eventually(lambda: site.left(given)) == {"a": (size, True)}


async def test_who_sends_no_more_still_gets_its_answer(folder):
    async with depot(folder) as site:
        given = await site.take()
        ((reader, writer),) = await idle(given.http, 1, f"GET {path_of(given.http)} HTTP/1.0\r\n\r\n".encode())
        writer.write_eof()
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b"\r\n\r\n" + CONTENT)
        writer.close()


async def test_a_restart_in_the_midst_of_it_keeps_what_had_come_and_the_ticket(folder):
    async with depot(folder) as site:
        given = await site.leave()
        announced = f"PUT {path_of(given.http)}a.zip HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n".encode()
        port = urlsplit(given.http).port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(announced + BIG[:300_000])

        async def has_come():
            return (await site.asks.received(given.ticket.token, "x")).ticket.bytes == 300_000

        await eventually(has_come)
    writer.close()
    async with reopened(folder) as site, charger() as client:
        assert await site.left(given) == {"a.zip": (300_000, False)}
        now = (await site.asks.received(given.ticket.token, "127.0.0.1")).ticket
        async with client.put(now.locations["http"] + "a.zip", data=BIG) as answer:
            assert answer.status == 201
        assert await site.contents() == {"a.zip": BIG}


async def test_who_is_silent_while_it_leaves_a_file_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(lan_http_receiving, "SILENT_SECONDS", 0.3)
    async with depot(folder) as site:
        given = await site.leave()
        announced = f"PUT {path_of(given.http)}a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
        assert (await raw(given.http, announced.encode())).startswith(b"HTTP/1.1 408 ")
        assert await site.left(given) == {"a": (3, False)}


async def test_what_was_left_outlives_its_ticket_until_it_is_discarded(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        async with client.put(given.http + "a", data=b"abc") as answer:
            assert answer.status == 201
        await site.asks.withdraw(given.ticket.token)
        with pytest.raises(BridgeRefused, match="no such ticket"):
            await site.asks.received(given.ticket.token, "127.0.0.1")
        (left,) = await site.asks.uploads()
        assert (left.user, left.charger, left.name, left.size) == (given.ticket.token[:8], "CP-01", "a", 3)
        await site.asks.discard(left.user)
        assert await site.asks.uploads() == []
        with pytest.raises(BridgeRefused, match=left.user):
            await site.asks.discard(left.user)


@pytest.mark.parametrize(("quota", "is_good"), [(None, True), (2, True), (3, False), (0, False), (True, False)])
async def test_no_ticket_is_for_more_than_the_configuration_allows(folder, quota, is_good):
    async with depot(folder, upload_max_mb=2) as site:
        if is_good:
            assert (await site.leave(quota_mb=quota)).ticket.locations["ftp"].endswith("/")
        else:
            with pytest.raises(BridgeRefused, match="upload_max_mb"):
                await site.leave(quota_mb=quota)


async def idle(url: str, count: int, sent: bytes = b"", address: str = "127.0.0.1"):
    """Connections that say no more than this."""
    port = int(urlsplit(url).port or 0)
    made = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(sent)
        made.append((reader, writer))
    return made


async def hang_up(connections) -> None:
    for _, writer in connections:
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /x HTTP/1.1\r\nHost:", b"GET /x/y HTTP/1.1\r\nHost: x\r\n\r\n"], ids=range(3)
)
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
async def test_idle_connections_keep_no_charger_from_its_file(folder, monkeypatch, sent, address):
    monkeypatch.setattr(lan_http, "MOST_CONNECTIONS", 40)
    monkeypatch.setattr(lan_http, "MOST_CONNECTIONS_OF_ONE", 30)
    async with depot(folder) as site:
        given = await site.take()
        connections = await idle(given.http, 100, sent, address)
        async with charger() as client, client.get(given.http) as answer:
            assert (answer.status, await answer.read()) == (200, CONTENT)
        assert open_sockets(site) <= 40
        await hang_up(connections)


def open_sockets(site) -> int:
    """That the bridge's process and we have open to its port."""
    port = f":{site.bridge.http.port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(port in line.split(maxsplit=2)[1] + " " and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize("sent", [b"", b"GET /x HTTP/1.1\r\nHost:"], ids=range(2))
async def test_who_says_nothing_is_sent_away(folder, monkeypatch, sent):
    monkeypatch.setattr(lan_http, "HEADER_SECONDS", 0.3)
    async with depot(folder) as site:
        given = await site.take()
        ((reader, writer),) = await idle(given.http, 1, sent)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_who_takes_a_file_slowly_is_not_sent_away_for_others(folder, monkeypatch):
    monkeypatch.setattr(lan_http, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(lan_http, "MOST_CONNECTIONS_OF_ONE", 3)
    async with depot(folder) as site:
        given = await site.leave()
        header = f"PUT {path_of(given.http)}a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc".encode()
        ((reader, writer),) = await idle(given.http, 1, header)
        connections = await idle(given.http, 20)
        await asyncio.sleep(0.5)
        writer.write(b"defghi")
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
        writer.close()
        await hang_up(connections)


async def test_too_many_requests_of_one_at_once_are_told_to_come_later(folder):
    async with depot(folder) as site, charger() as client:
        given = await site.leave()
        header = f"PUT {path_of(given.http)}a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc".encode()
        connections = await idle(given.http, lan_http.MOST_OF_ONE, header)

        async def come():
            return (await site.asks.received(given.ticket.token, "x")).ticket.bytes == 3 * lan_http.MOST_OF_ONE

        await eventually(come)
        async with client.put(given.http + "b", data=b"1") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        await hang_up(connections)
