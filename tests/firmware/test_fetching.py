"""Files are fetched once, whole and unchanged, whatever ends connections or the process in between."""

import asyncio
import base64
import contextlib
import errno
import hashlib
import os
import pathlib
from datetime import timedelta

import pytest
from aiohttp import web

from firmware_bridge import bridge as of_bridge
from firmware_bridge import disk, fetching, http_source, patience, sources
from firmware_bridge.api import Bridge, BridgeRefused, BridgeUnreachable
from firmware_bridge.errors import Changed, Unreachable
from firmware_bridge.fetching import Wanted
from firmware_bridge.reach import Reach, tls
from tests.firmware.asking import ended, refused, taken
from tests.firmware.yard import Internet, bridge, settings, website

CONTENT = os.urandom(200_000)


async def test_whoever_asks_for_the_same_joins_one_download(folder):
    internet = Internet({"a.bin": CONTENT}, seconds_a_piece=0.001)
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        asked = [await client.fetch(internet.url("a.bin")) for _ in range(40)]
        assert len({one.id for one in asked}) == 1
        now = await ended(client, asked[0].id)
        assert (now.state, now.size, now.sha256) == ("stored", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        await client.fetch(internet.url("a.bin"))
        assert internet.asked == [("a.bin", None)]
        assert [(one.name, one.size) for one in await client.files()] == [("a.bin", len(CONTENT))]


async def test_a_disk_that_can_only_be_read_ends_no_bridge(folder, monkeypatch):
    monkeypatch.setattr(of_bridge, "TIDY_EVERY", 0.05)
    monkeypatch.setattr(fetching, "REMEMBERED_FOR", timedelta(0))
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        await client.receive("CP-01", "127.0.0.1", None, 1)

        def read_only(*_, **__):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        with monkeypatch.context() as patched:
            patched.setattr(disk, "remove", read_only)
            patched.setattr(pathlib.Path, "unlink", read_only)
            fetch = await client.fetch(internet.url("none.bin"))
            await asyncio.sleep(1.5)
            with contextlib.suppress(BridgeRefused):  # it may be forgotten by now
                assert (await client.fetched(fetch.id)).state == "failed"
            assert await client.files() == []
            monkeypatch.setattr(fetching, "REMEMBERED_FOR", timedelta(days=1))
        assert (await ended(client, (await client.fetch(internet.url("a.bin"))).id)).state == "stored"


async def test_a_flood_of_wishes_has_a_bound(folder, monkeypatch):
    monkeypatch.setattr(fetching, "MOST_REMEMBERED", 3)
    internet = Internet({f"{one}.bin": CONTENT for one in range(30)}, seconds_a_piece=0.05)
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        asked = [await client.fetch(internet.url(f"{one}.bin")) for one in range(fetching.MOST_UNFINISHED)]
        assert (await refused(client, internet.url("29.bin"))).startswith("busy")
        assert (await client.fetch(internet.url("0.bin"))).id == asked[0].id
        for one in asked:
            await client.cancel(one.id)
        last = await client.fetch(internet.url("29.bin"))
        async with asyncio.timeout(20):
            while len(list((folder / "bridge" / "fetches").glob("*.json"))) > 4:
                await asyncio.sleep(0.02)
        assert (await ended(client, last.id)).state == "stored"


async def test_a_broken_download_goes_on_where_it_was(folder, soon):
    internet = Internet({"a.bin": CONTENT}, breaks_after=[60_000, 120_000])
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        now = await ended(client, (await client.fetch(internet.url("a.bin"))).id)
        assert (now.state, now.sha256) == ("stored", hashlib.sha256(CONTENT).hexdigest())
        starts = [0 if asked is None else int(asked.removeprefix("bytes=").rstrip("-")) for _, asked in internet.asked]
        assert starts[0] == 0 and 0 < starts[1] <= 60_000 < starts[2] <= 120_000


async def test_a_bridge_that_was_killed_goes_on_where_it_was(folder, soon, monkeypatch):
    monkeypatch.setattr(fetching, "SYNC_EVERY_BYTES", 20_000)
    internet = Internet({"a.bin": CONTENT}, seconds_a_piece=0.01)
    async with internet.running():
        async with bridge(settings(folder)):
            client = Bridge(folder / "firmware.sock")
            fetch = (await client.fetch(internet.url("a.bin"))).id
            async with asyncio.timeout(20):
                while (await client.fetched(fetch)).bytes < 100_000:
                    await asyncio.sleep(0.01)
        internet.seconds_a_piece = 0
        async with bridge(settings(folder)):
            now = await ended(Bridge(folder / "firmware.sock"), fetch)
        assert (now.state, now.sha256) == ("stored", hashlib.sha256(CONTENT).hexdigest())
        assert internet.asked[-1][1] is not None


async def test_a_whole_file_that_was_not_yet_verified_does_not_come_again(folder, soon, monkeypatch):
    internet = Internet({"a.bin": CONTENT})
    verify = fetching.Fetches._verify

    def killed(*_):
        raise Unreachable("The process ended here.")

    monkeypatch.setattr(fetching.Fetches, "_verify", killed)
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        fetch = (await client.fetch(internet.url("a.bin"))).id
        async with asyncio.timeout(20):
            while len(internet.asked) < 2:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(fetching.Fetches, "_verify", verify)
        now = await ended(client, fetch)
        assert (now.state, now.sha256) == ("stored", hashlib.sha256(CONTENT).hexdigest())
        assert {asked for _, asked in internet.asked} == {None, f"bytes={len(CONTENT)}-"}
        assert [asked for _, asked in internet.asked].count(None) == 1


@pytest.mark.parametrize(
    ("length", "tag", "is_all"),
    [(5, '"v1"', True), (5, None, True), (5, '"v2"', False), (4, '"v1"', False), (9, '"v1"', False)],
)
async def test_nothing_more_to_come_is_all_of_it_only_of_the_same_version(folder, length, tag, is_all):
    async def behind_the_end(_: web.Request) -> web.Response:
        headers = {"Content-Range": f"bytes */{length}"} | ({} if tag is None else {"ETag": tag})
        return web.Response(status=416, body=b"not of the file", headers=headers)

    async with website(web.get("/a.bin", behind_the_end)) as url:
        source, reached = sources.parse(url + "a.bin"), Reach([sources.allowed("http://127.0.0.1")], tls(None))
        if is_all:
            assert await taken(http_source.opened(source, reached, 5, '"v1"')) == (5, '"v1"', b"")
        else:
            with pytest.raises(Changed):
                await taken(http_source.opened(source, reached, 5, '"v1"'))


async def test_an_error_of_our_disk_is_not_told_as_one_of_the_server(folder, soon, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "the disk has an error")

    monkeypatch.setattr(fetching, "_write", broken)
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        now = await ended(client, (await client.fetch(internet.url("a.bin"))).id)
        assert (now.state, now.code) == ("failed", "failed")


async def test_what_a_server_does_wrong_is_told_without_the_key_in_the_url(folder):
    async def babble(_, writer):
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server, bridge(settings(folder)):
        client, port = Bridge(folder / "firmware.sock"), server.sockets[0].getsockname()[1]
        fetch = await client.fetch(f"http://127.0.0.1:{port}/a.bin?key=geheim")
        async with asyncio.timeout(20):
            while (now := await client.fetched(fetch.id)).error is None:
                await asyncio.sleep(0.01)
        assert now.code == "unreachable" and "geheim" not in str(now)


@pytest.mark.parametrize("knows_if_range", [True, False])
async def test_a_file_that_changed_meanwhile_comes_as_a_whole(folder, soon, knows_if_range):
    internet = Internet({"a.bin": CONTENT}, breaks_after=[100_000], knows_if_range=knows_if_range)
    other = os.urandom(150_000)

    async def change() -> None:
        while not internet.asked:
            await asyncio.sleep(0.01)
        internet.files["a.bin"] = other

    async with internet.running(), bridge(settings(folder)), asyncio.TaskGroup() as tasks:
        tasks.create_task(change())
        client = Bridge(folder / "firmware.sock")
        now = await ended(client, (await client.fetch(internet.url("a.bin"))).id)
        assert (now.state, now.sha256) == ("stored", hashlib.sha256(other).hexdigest())


async def test_what_is_not_the_file_is_not_kept(folder, soon):
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder, max_file_mb=1)):
        client, url = Bridge(folder / "firmware.sock"), internet.url("a.bin")
        assert "unusable: " in (why := await refused(client, url, sha256="00" * 32)) and "SHA-256" in why
        assert "MD5" in await refused(client, url, md5="00" * 16)
        assert "not the 5" in await refused(client, url, size=5)
        internet.files["big.bin"] = bytes(2**20 + 1)
        assert "max_file_mb" in await refused(client, internet.url("big.bin"))
        assert "404" in await refused(client, internet.url("none.bin"))
        assert await client.files() == []
        assert list((folder / "bridge" / "fetches").glob("*.part")) == []
        good = await ended(client, (await client.fetch(url, sha256=hashlib.sha256(CONTENT).hexdigest())).id)
        assert good.state == "stored"


async def test_a_gateway_that_was_without_power_for_long_has_had_no_chance_yet(folder, soon, monkeypatch):
    monkeypatch.setattr(of_bridge, "LONGEST_FETCH", timedelta(0))
    internet = Internet({"a.bin": CONTENT}, breaks_after=[60_000])
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        assert (await ended(client, (await client.fetch(internet.url("a.bin"))).id)).state == "stored"


async def test_what_comes_for_too_long_is_given_up(folder, soon, monkeypatch):
    """A server that sends a little at a time is never silent."""
    monkeypatch.setattr(of_bridge, "LONGEST_FETCH", timedelta(seconds=0.5))
    monkeypatch.setattr(patience, "LEAST_SECONDS", 0.0)
    internet = Internet({"a.bin": CONTENT}, seconds_a_piece=0.2)
    async with internet.running(), bridge(settings(folder)):
        assert "Given up" in await refused(Bridge(folder / "firmware.sock"), internet.url("a.bin"))
        assert list((folder / "bridge" / "fetches").glob("*.part")) == []


async def test_a_file_that_nobody_uses_goes_after_its_time(folder, monkeypatch):
    monkeypatch.setattr(of_bridge, "TIDY_EVERY", 0.05)
    monkeypatch.setattr(fetching, "HELD_FOR", timedelta(0))
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        assert (await ended(client, (await client.fetch(internet.url("a.bin"))).id)).state == "stored"
        now = disk.utc_now
        monkeypatch.setattr(of_bridge, "utc_now", lambda: now() + timedelta(days=91))
        async with asyncio.timeout(10):
            while await client.files():
                await asyncio.sleep(0.02)


async def test_a_disk_that_is_full_is_waited_for(folder, soon, monkeypatch):
    free = [0]
    monkeypatch.setattr(disk, "free_bytes", lambda _: free[0])
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        fetch = (await client.fetch(internet.url("a.bin"))).id
        async with asyncio.timeout(10):
            while (now := await client.fetched(fetch)).code != "no_room":
                await asyncio.sleep(0.02)
        assert not now.has_ended and "the disk lacks" in now.error
        free[0] = 10**12
        assert (await ended(client, fetch)).state == "stored"


async def test_a_record_that_the_disk_has_no_room_for_ends_nothing(folder, soon, monkeypatch):
    write, internet = disk.write_record, Internet({"a.bin": CONTENT}, breaks_after=[60_000])

    def full(path, record):
        if path.parent.name == "fetches":
            raise OSError(errno.ENOSPC, "the disk is full")
        write(path, record)

    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        monkeypatch.setattr(disk, "write_record", full)
        with pytest.raises(BridgeRefused, match="disk"):
            await client.fetch(internet.url("a.bin"))
        monkeypatch.setattr(disk, "write_record", write)
        internet.seconds_a_piece = 0.01
        fetch = (await client.fetch(internet.url("a.bin"))).id
        monkeypatch.setattr(disk, "write_record", full)
        assert (await ended(client, fetch)).state == "stored"


async def test_the_oldest_file_goes_when_another_needs_its_room(folder, monkeypatch):
    monkeypatch.setattr(fetching, "HELD_FOR", fetching.timedelta(0))
    internet = Internet({f"{name}.bin": os.urandom(7 * 2**20) for name in "abc"})
    async with internet.running(), bridge(settings(folder, max_size_mb=16)):
        client = Bridge(folder / "firmware.sock")
        for name in "abc":
            assert (await ended(client, (await client.fetch(internet.url(f"{name}.bin"))).id)).state == "stored"
        assert [one.name for one in await client.files()] == ["c.bin", "b.bin"]


async def test_hostile_urls_of_the_cloud_lead_nowhere(folder, soon):
    internet = Internet({"a.bin": CONTENT})
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        for url in (
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]/x",
            "http://10.0.0.1/x",
            "https://localhost/x",
            f"http://user@127.0.0.2:{internet.port}/a.bin",
        ):
            assert (await refused(client, url)).startswith("refused: ")
        assert internet.asked == []


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.2:{port}/a.bin", "another host"),
        ("http://169.254.169.254/", "another host"),
        ("file:///etc/passwd", "Nothing goes by file"),
        ("/again", "more than 3 times"),
    ],
)
async def test_redirects_lead_nowhere_else(folder, soon, location, why):
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(location.format(port=request.url.port))

    async with website(web.get("/{name}", redirect)) as url, bridge(settings(folder)):
        assert why in await refused(Bridge(folder / "firmware.sock"), url + "a.bin")


async def test_a_redirect_within_its_host_is_followed(folder):
    async def serve(request: web.Request) -> web.Response:
        if request.match_info["name"] == "old.bin":
            raise web.HTTPFound("/new.bin")
        return web.Response(body=CONTENT)

    async with website(web.get("/{name}", serve)) as url, bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        now = await ended(client, (await client.fetch(url + "old.bin")).id)
        assert now.sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_a_file_that_comes_only_compressed_is_refused(folder):
    async def compressed(_: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with website(web.get("/a.bin", compressed)) as url, bridge(settings(folder)):
        assert "would change the file" in await refused(Bridge(folder / "firmware.sock"), url + "a.bin")


async def test_what_was_cancelled_may_be_asked_for_again_at_once(folder):
    internet = Internet({"a.bin": CONTENT}, seconds_a_piece=0.05)
    async with internet.running(), bridge(settings(folder)) as running:
        client = Bridge(folder / "firmware.sock")
        fetch = await client.fetch(internet.url("a.bin"))
        while not internet.asked:
            await asyncio.sleep(0.01)
        internet.seconds_a_piece = 0
        # In one step of the loop, so that the cancelled one is not over yet.
        running._fetches.cancel(fetch.id)
        running._fetches.ask(Wanted(internet.url("a.bin")))
        assert (await ended(client, fetch.id)).state == "stored"


async def test_a_cancelled_download_leaves_nothing(folder):
    internet = Internet({"a.bin": CONTENT}, seconds_a_piece=0.05)
    async with internet.running(), bridge(settings(folder)):
        client = Bridge(folder / "firmware.sock")
        fetch = (await client.fetch(internet.url("a.bin"))).id
        while not internet.asked:
            await asyncio.sleep(0.01)
        now = await client.cancel(fetch)
        assert (now.state, now.code) == ("failed", "cancelled")
        await asyncio.sleep(0.1)
        assert list((folder / "bridge" / "fetches").glob("*.part")) == []


async def test_without_a_bridge_it_is_said(folder):
    with pytest.raises(BridgeUnreachable, match=r"firmware\.sock"):
        await Bridge(folder / "firmware.sock").files()


async def test_a_stranger_gets_no_answer(folder):
    async with bridge(settings(folder)) as running:
        running.server._users = {"somebody-else"}
        with pytest.raises(BridgeRefused, match="may not speak"):
            await Bridge(folder / "firmware.sock").files()


async def test_user_and_password_of_the_url_go_to_its_host_only(folder):
    came = []

    async def serve(request: web.Request) -> web.Response:
        came.append((request.headers["Host"].partition(":")[0], request.headers.get("Authorization")))
        if request.match_info["name"] == "old.bin":
            raise web.HTTPFound(f"http://localhost:{request.url.port}/new.bin")
        return web.Response(body=CONTENT)

    sources = ("http://127.0.0.1", "http://localhost")
    async with website(web.get("/{name}", serve)) as url, bridge(settings(folder, sources=sources)):
        client = Bridge(folder / "firmware.sock")
        located = url.replace("http://", "http://vendor:geheim-%C3%A9@") + "old.bin"
        assert (await ended(client, (await client.fetch(located)).id)).state == "stored"
    told = "Basic " + base64.b64encode("vendor:geheim-é".encode()).decode()
    assert came == [("127.0.0.1", told), ("localhost", None)]


async def test_another_file_under_the_same_url_is_fetched_a_while_later(folder, monkeypatch):
    internet, newer = Internet({"a.bin": CONTENT}), os.urandom(1000)
    async with internet.running(), bridge(settings(folder)):
        client, url = Bridge(folder / "firmware.sock"), internet.url("a.bin")
        before = await ended(client, (await client.fetch(url)).id)
        internet.files["a.bin"] = newer
        assert (await client.fetch(url)).sha256 == before.sha256
        monkeypatch.setattr(fetching, "FRESH_FOR", timedelta(0))
        now = await ended(client, (await client.fetch(url)).id)
        assert now.sha256 == hashlib.sha256(newer).hexdigest()
        assert {one.sha256 for one in await client.files()} == {before.sha256, now.sha256}
