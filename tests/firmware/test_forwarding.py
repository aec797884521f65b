"""What chargers have left reaches the cloud as one archive, whatever ends connections or the process in between."""

import asyncio
import contextlib
import errno
import hashlib
import io
import json
import os
import re
import zipfile
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
from aiohttp import web

from firmware_bridge import archives, disk, forwarding, patience
from firmware_bridge.api import Bridge, BridgeRefused
from firmware_bridge.disk import utc_now
from tests.firmware.depot import eventually, reopened
from tests.firmware.yard import website

LOG = os.urandom(300_000)
MANIFEST = {"station": "depot-7", "reasons": {"CP-09": "offline"}}


@dataclass
class Cloud:
    """A server that takes files, by PUT and as a form has it: aiohttp's."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By the path to which it was put, or the name that the form has."""
    asked: list[str] = field(default_factory=list)
    """Method and path."""
    knows_not: frozenset[str] = frozenset()
    """Methods."""
    says: list[int] = field(default_factory=list)
    """The status of each next answer."""
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which each next transfer breaks off."""
    holds: asyncio.Event | None = None
    """Until when it does not answer."""
    url: str = ""

    @contextlib.asynccontextmanager
    async def running(self):
        async with website(web.route("*", "/{path:.*}", self._answer)) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        if request.method in self.knows_not:
            raise web.HTTPMethodNotAllowed(request.method, [])
        if self.breaks_after:
            await request.content.readexactly(self.breaks_after.pop(0))
            request.transport.abort()
            return web.Response()
        if self.holds is not None:
            await self.holds.wait()
        if self.says:
            return web.Response(status=self.says.pop(0))
        assert request.headers["Content-Length"] and "Transfer-Encoding" not in request.headers
        if request.method == "POST":
            part = (await request.post())["file"]
            assert part.content_type == "application/zip"
            self.files[request.path + part.filename] = part.file.read()
        else:
            self.files[request.path] = await request.read()
        return web.Response(status=201)


@pytest.fixture
def cloud():
    return Cloud()


@pytest.fixture
async def depot(folder, soon):
    async with reopened(folder) as found:
        yield found


async def leave(depot, name="log.txt", content=LOG, *, charger="CP-01", comes=None):
    """What the charger has left, of which `comes` bytes came."""
    ticket = await depot.asks.receive(charger, "127.0.0.1", None, 600, 2)
    url = re.sub(r"/[^/]*$", f"/{name}", ticket.locations["http"])
    length = {"Content-Length": str(len(content))}
    async with aiohttp.ClientSession() as client:
        with contextlib.suppress(aiohttp.ClientError):
            async with client.put(url, data=part(content, comes), headers=length):
                pass

    async def left():
        found = await depot.asks.received(ticket.token, "127.0.0.1")
        return next((one for one in found.files if one.size), None)

    return await eventually(left)


async def part(content, comes):
    yield content[:comes]
    if comes is not None:
        await asyncio.sleep(0.2)
        raise ConnectionAbortedError


async def ended(asks: Bridge, forward: str):
    async def over():
        now = await asks.forwarded(forward)
        return now if now.has_ended else None

    return await eventually(over)


async def sent(asks: Bridge, *what):
    now = await ended(asks, (await asks.forward(*what)).id)
    assert (now.state, now.code, now.error) == ("sent", None, None)
    assert now.bytes == now.size
    return now


async def hindered(asks: Bridge, forward: str, code: str = "unreachable"):
    async def told():
        now = await asks.forwarded(forward)
        return now if now.code == code else None

    now = await eventually(told)
    assert not now.has_ended
    return now


async def refused(asks: Bridge, url: str) -> str:
    try:
        now = await ended(asks, (await asks.forward(url, "a.zip", [], MANIFEST)).id)
    except BridgeRefused as error:
        return f"{error.code}: {error}"
    assert now.state == "failed"
    return f"{now.code}: {now.error}"


def unpacked(archive: bytes):
    """(Contents by name, the manifest) of an archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        assert found.testzip() is None
        assert len(set(found.namelist())) == len(found.namelist())
        files = {name: found.read(name) for name in found.namelist()}
    return files, json.loads(files.pop("manifest.json"))


def on_disk(depot):
    return sorted(path.name for path in (depot.folder / "bridge" / "forwards").iterdir())


def said_of(left, **others):
    told = {"charger": left.charger, "path": f"{left.charger}/{left.number}-{left.name}", "name": left.name}
    return told | {"size": left.size, "sha256": left.sha256, "is_whole": left.is_whole, "at": left.at} | others


async def test_an_archive_has_what_was_left_and_says_so(depot, cloud):
    one, broken = await leave(depot), await leave(depot, "diag.zip", LOG, charger="CP-02", comes=100_000)
    assert one.is_whole and not broken.is_whole
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}in/a.zip", "ignored.zip", [one.user, broken.user], MANIFEST)
    files, manifest = unpacked(cloud.files["/in/a.zip"])
    assert files == {"CP-01/0001-log.txt": LOG, "CP-02/0001-diag.zip": LOG[: broken.size]}
    assert manifest == MANIFEST | {"files": [said_of(one), said_of(broken)]}
    assert manifest["files"][0]["sha256"] == hashlib.sha256(LOG).hexdigest()
    assert on_disk(depot) == [path.name for path in (depot.folder / "bridge" / "forwards").glob("*.json")]


async def test_an_archive_of_nothing_says_why(depot, cloud):
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", ["0123abcd"], MANIFEST)
    assert unpacked(cloud.files["/a.zip"]) == ({}, MANIFEST | {"files": []})


@pytest.mark.parametrize(
    ("where", "knows_not", "asked", "files"),
    [
        ("in/a.zip?key=1", "", ["PUT /in/a.zip?key=1"], ["/in/a.zip"]),
        ("in/a.zip", "PUT", ["PUT /in/a.zip", "POST /in/a.zip"], ["/in/a.zipb.zip"]),
        ("in/", "", ["POST /in/"], ["/in/b.zip"]),
        ("in/?key=1", "POST", ["POST /in/?key=1", "PUT /in/b.zip?key=1"], ["/in/b.zip"]),
    ],
)
async def test_it_goes_the_way_that_the_server_knows(depot, cloud, where, knows_not, asked, files):
    cloud.knows_not = frozenset(knows_not.split())
    async with cloud.running():
        await sent(depot.asks, cloud.url + where, "b.zip", [], MANIFEST)
    assert (cloud.asked, list(cloud.files)) == (asked, files)
    assert unpacked(cloud.files[files[0]])[1]["station"] == "depot-7"


async def test_who_asks_for_the_same_joins_and_nothing_is_sent_twice(depot, cloud):
    async with cloud.running():
        what = (f"{cloud.url}a.zip", "a.zip", [], MANIFEST)
        assert len({(await depot.asks.forward(*what)).id for _ in range(10)}) == 1
        await sent(depot.asks, *what)
        assert (await depot.asks.forward(*what)).state == "sent"
        await sent(depot.asks, *what[:3], {"station": "another"})
    assert cloud.asked == ["PUT /a.zip"] * 2


async def test_a_transfer_that_broke_off_is_done_again_until_all_has_come(depot, cloud):
    left = await leave(depot)
    cloud.breaks_after = [20_000, 150_000]
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)
    assert unpacked(cloud.files["/a.zip"])[0] == {"CP-01/0001-log.txt": LOG}
    assert len(cloud.asked) == 3


async def test_a_bridge_that_ended_goes_on_with_the_same_archive(folder, soon, cloud):
    cloud.holds = asyncio.Event()
    async with cloud.running():
        async with reopened(folder) as depot:
            left = await leave(depot)
            what = (f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)
            forward = (await depot.asks.forward(*what)).id

            async def is_under_way():
                now = await depot.asks.forwarded(forward)
                return cloud.asked and now.state == "sending" and now.bytes > 100_000

            await eventually(is_under_way)
            archive = (folder / "bridge" / "forwards" / f"{forward}.zip").read_bytes()
            await depot.asks.discard(left.user)
        cloud.holds = None
        async with reopened(folder) as depot:
            assert (await ended(depot.asks, forward)).state == "sent"
    assert cloud.files["/a.zip"] == archive
    assert unpacked(archive)[0] == {"CP-01/0001-log.txt": LOG}


@pytest.mark.parametrize("spoilt", ["a part of it", "nothing of it"])
async def test_what_was_not_packed_to_its_end_is_packed_anew(folder, soon, cloud, spoilt):
    cloud.says = [503] * 1000
    async with cloud.running():
        async with reopened(folder) as depot:
            left = await leave(depot)
            forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)).id
            await hindered(depot.asks, forward)
        archive = folder / "bridge" / "forwards" / f"{forward}.zip"
        if spoilt == "a part of it":
            archive.write_bytes(archive.read_bytes()[:1000])
        else:
            archive.unlink()
        cloud.says = []
        async with reopened(folder) as depot:
            assert (await ended(depot.asks, forward)).state == "sent"
    assert unpacked(cloud.files["/a.zip"])[0] == {"CP-01/0001-log.txt": LOG}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 302])
async def test_what_the_server_refuses_is_not_sent_again(depot, cloud, status):
    cloud.says = [status]
    async with cloud.running():
        why = await refused(depot.asks, f"{cloud.url}a.zip")
    assert why.startswith("refused: ") and f"answers {status}" in why
    assert len(cloud.asked) == 1 and not cloud.files
    assert len(on_disk(depot)) == 1


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 507])
async def test_what_may_be_otherwise_later_is_sent_again(depot, cloud, status):
    cloud.says = [status]
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", [], MANIFEST)
    assert len(cloud.asked) == 2


async def test_who_was_without_power_for_so_long_tries_all_the_same(depot, cloud, monkeypatch):
    monkeypatch.setattr(depot.bridge._forwards, "_longest", forwarding.timedelta(0))
    cloud.says = [503]
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", [], MANIFEST)


async def test_after_so_long_it_is_given_up(depot, cloud, monkeypatch):
    monkeypatch.setattr(depot.bridge._forwards, "_longest", forwarding.timedelta(0))
    monkeypatch.setattr(patience, "LEAST_SECONDS", 0.3)
    cloud.says = [503] * 1000
    async with cloud.running():
        now = await ended(depot.asks, (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [], MANIFEST)).id)
    assert now.state == "failed" and "Given up after 0 hours" in now.error and "503" in now.error
    assert len(on_disk(depot)) == 1


async def test_what_failed_may_be_asked_for_again(depot, cloud):
    cloud.says = [403]
    async with cloud.running():
        assert "403" in await refused(depot.asks, f"{cloud.url}a.zip")
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", [], MANIFEST)


async def test_hostile_urls_of_the_cloud_lead_nowhere(depot, cloud):
    async with cloud.running():
        for url in (
            "file:///etc/cron.d/a.zip",
            "gopher://127.0.0.1/a.zip",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]/x",
            "http://10.0.0.1/x",
            "https://localhost/x",
            "ftp://127.0.0.1/x",
            cloud.url.replace("127.0.0.1", "127.0.0.2"),
        ):
            assert (await refused(depot.asks, url)).startswith("refused: ")
    assert cloud.asked == []


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.2:{port}/a.zip", "another host"),
        ("http://169.254.169.254/", "another host"),
        ("file:///etc/cron.d/a", "Nothing goes by file"),
        ("/again", "more than 3 times"),
    ],
)
async def test_redirects_lead_nowhere_else(depot, location, why):
    async def redirect(request):
        raise web.HTTPTemporaryRedirect(location.format(port=request.url.port))

    async with website(web.put("/{name}", redirect)) as url:
        assert why in await refused(depot.asks, url + "a.zip")


@pytest.mark.parametrize("kind", [web.HTTPTemporaryRedirect, web.HTTPPermanentRedirect])
async def test_a_redirect_within_its_host_gets_all_of_it(depot, kind):
    left, came = await leave(depot), []

    async def redirect(_):
        raise kind("/new/a.zip")

    async def take(request):
        came.append(await request.read())
        return web.Response()

    async with website(web.put("/a.zip", redirect), web.put("/new/a.zip", take)) as url:
        await sent(depot.asks, url + "a.zip", "a.zip", [left.user], MANIFEST)
    assert [unpacked(one)[0] for one in came] == [{"CP-01/0001-log.txt": LOG}]


async def test_no_name_of_a_charger_leads_out_of_its_folder(depot, cloud):
    chargers = ["../../etc", "/", "manifest.json", "C:\\x", "CP-01", "cp-01", "CP-01"]
    users = [(await leave(depot, "..%2F..%2Fetc%2Fpasswd", charger=one)).user for one in chargers]
    async with cloud.running():
        await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", users, MANIFEST)
    files, manifest = unpacked(cloud.files["/a.zip"])
    folders = ["etc", "file", "manifest.json-2", "C_x", "CP-01", "cp-01-2", "CP-01-3"]
    assert list(files) == [f"{one}/0001-passwd" for one in folders] == [one["path"] for one in manifest["files"]]
    assert [one["charger"] for one in manifest["files"]] == chargers


async def test_what_is_to_be_packed_is_neither_discarded_nor_too_old(depot, cloud, monkeypatch):
    free = [0]
    monkeypatch.setattr(disk, "free_bytes", lambda _: free[0])
    free[0] = 10**12
    left = await leave(depot)
    free[0] = 0
    async with cloud.running():
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)).id
        now = await hindered(depot.asks, forward, "no_room")
        assert now.state == "waiting" and "the disk lacks" in now.error and cloud.asked == []
        with pytest.raises(BridgeRefused, match="still to be sent"):
            await depot.asks.discard(left.user)
        uploads = depot.bridge._uploads
        uploads.expire(
            utc_now() + forwarding.timedelta(days=9), forwarding.timedelta(0), depot.bridge._forwards.in_use()
        )
        free[0] = 10**12
        assert (await ended(depot.asks, forward)).state == "sent"
        await depot.asks.discard(left.user)
    assert unpacked(cloud.files["/a.zip"])[0] == {"CP-01/0001-log.txt": LOG}


async def test_of_what_is_gone_the_manifest_says_so(depot, cloud, monkeypatch):
    gone, kept = await leave(depot, charger="CP-02"), await leave(depot)
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    async with cloud.running():
        users = [gone.user, kept.user]
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", users, MANIFEST)).id
        await hindered(depot.asks, forward, "no_room")
        (depot.folder / "bridge" / "uploads" / gone.user / gone.number).unlink()
        monkeypatch.undo()
        assert (await ended(depot.asks, forward)).state == "sent"
    files, manifest = unpacked(cloud.files["/a.zip"])
    assert files == {"CP-01/0001-log.txt": LOG}
    assert manifest["files"] == [said_of(gone, path=None, why=archives.GONE), said_of(kept)]


async def test_what_a_charger_sends_anew_meanwhile_is_what_goes(depot, cloud, monkeypatch):
    ticket = await depot.asks.receive("CP-01", "127.0.0.1", None, 600, 2)

    async def put(content):
        async with aiohttp.ClientSession() as client:
            async with client.put(f"{ticket.locations['http']}log.txt", data=io.BytesIO(content)) as answer:
                assert answer.status == 201

    await put(b"old")
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    async with cloud.running():
        (old,) = await depot.asks.uploads()
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [old.user], MANIFEST)).id
        await hindered(depot.asks, forward, "no_room")
        monkeypatch.undo()
        await put(b"new")
        assert (await ended(depot.asks, forward)).state == "sent"
    files, _ = unpacked(cloud.files["/a.zip"])
    assert files in ({"CP-01/0001-log.txt": b"old"}, {"CP-01/0002-log.txt": b"new"})


async def test_cancelled_while_it_is_sent_it_leaves_nothing_and_may_be_asked_for_again(depot, cloud):
    cloud.holds = asyncio.Event()
    left = await leave(depot)
    what = ("a.zip", [left.user], MANIFEST)
    async with cloud.running():
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", *what)).id

        async def is_asked():
            return cloud.asked

        await eventually(is_asked)
        now = await depot.asks.cancel_forward(forward)
        assert (now.state, now.code) == ("failed", "cancelled")
        assert on_disk(depot) == [f"{forward}.json"]
        cloud.holds = None
        await sent(depot.asks, f"{cloud.url}a.zip", *what)
    assert unpacked(cloud.files["/a.zip"])[0] == {"CP-01/0001-log.txt": LOG}


async def test_what_was_cancelled_may_be_asked_for_again_at_once(depot, cloud):
    cloud.holds = asyncio.Event()
    async with cloud.running():
        forward = await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [], MANIFEST)

        async def is_asked():
            return cloud.asked

        await eventually(is_asked)
        cloud.holds = None
        forwards = depot.bridge._forwards
        # In one step of the loop, so that the cancelled one is not over yet.
        forwards.cancel(forward.id)
        forwards.ask(forwards.get(forward.id).asked)
        assert (await ended(depot.asks, forward.id)).state == "sent"


async def test_cancelled_while_it_is_packed_it_leaves_nothing(depot, cloud, monkeypatch):
    monkeypatch.setattr(archives, "BLOCK_BYTES", 100)
    left = await leave(depot)
    async with cloud.running():
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)).id

        async def is_being_packed():
            return len(on_disk(depot)) == 2

        await eventually(is_being_packed)
        assert (await depot.asks.forwarded(forward)).state == "packing"
        assert (await depot.asks.cancel_forward(forward)).state == "failed"

        async def is_over():
            return not depot.bridge._forwards._running

        await eventually(is_over)
    assert on_disk(depot) == [f"{forward}.json"] and cloud.asked == []


async def test_on_a_disk_that_is_full_an_archive_is_no_defect(tmp_path, monkeypatch):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    left = archives.Left("0123abcd", "0001", "CP-01", "a.bin", len(LOG), "", utc_now().isoformat(), is_whole=True)
    (tmp_path / "0001").write_bytes(LOG)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(archives.disk.NoRoom):
            await archives.pack(tmp_path / "a.zip", {}, [archives.Content(left, tmp_path / "0001")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_record_that_the_disk_has_no_room_for_ends_nothing(depot, cloud, monkeypatch):
    write = disk.write_record

    def full(*_):
        raise OSError(errno.ENOSPC, "the disk is full")

    cloud.says = [503]
    async with cloud.running():
        monkeypatch.setattr(disk, "write_record", full)
        with pytest.raises(BridgeRefused, match="disk"):
            await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [], MANIFEST)
        monkeypatch.setattr(disk, "write_record", write)
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [], MANIFEST)).id
        monkeypatch.setattr(disk, "write_record", full)
        assert (await ended(depot.asks, forward)).state == "sent"
    assert cloud.asked == ["PUT /a.zip"] * 2


async def test_what_the_disk_had_no_room_for_leaves_nothing_on_it(depot, cloud, monkeypatch):
    entry = archives._entry

    def full(name, at):
        if name == archives.MANIFEST:  # behind all files
            raise OSError(errno.ENOSPC, "the disk is full")
        return entry(name, at)

    monkeypatch.setattr(archives, "_entry", full)
    left = await leave(depot)
    async with cloud.running():
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [left.user], MANIFEST)).id
        monkeypatch.setattr(forwarding, "LONGEST_PAUSE", 1.0)
        await hindered(depot.asks, forward, "no_room")
        assert on_disk(depot) == [f"{forward}.json"]
        monkeypatch.setattr(archives, "_entry", entry)
        assert (await ended(depot.asks, forward)).state == "sent"


async def test_an_archive_that_cannot_be_read_is_not_told_as_the_servers_fault(depot, cloud, monkeypatch):
    cloud.says = [503] * 1000
    async with cloud.running():
        forward = (await depot.asks.forward(f"{cloud.url}a.zip", "a.zip", [], MANIFEST)).id
        await hindered(depot.asks, forward)
        (depot.folder / "bridge" / "forwards" / f"{forward}.zip").unlink()
        now = await ended(depot.asks, forward)
    assert (now.state, now.code) == ("failed", "failed")


async def test_no_secret_of_the_url_is_told_or_logged(depot, cloud, capsys, caplog):
    secrets = ("geheim-user", "geheim-password", "geheim-key")
    where = cloud_url_with(secrets)
    cloud.says = [503, 403]
    cloud.breaks_after = [10]
    async with cloud.running():
        forward = await depot.asks.forward(where(cloud.url), "a.zip", [], MANIFEST)
        assert forward.target == f"{cloud.url}a.zip"
        now = await ended(depot.asks, forward.id)
        assert "403" in now.error
        told = f"{forward} {now}"
    babbler = await asyncio.start_server(lambda _, writer: babble(writer), "127.0.0.1", 0)
    async with babbler:
        url = f"http://127.0.0.1:{babbler.sockets[0].getsockname()[1]}/"
        forward = await depot.asks.forward(where(url), "a.zip", [], MANIFEST)
        told += str(await hindered(depot.asks, forward.id))
        await depot.asks.cancel_forward(forward.id)
    said = capsys.readouterr()
    for secret in secrets:
        assert secret not in told + said.out + said.err + caplog.text


def cloud_url_with(secrets):
    user, password, key = secrets
    return lambda url: url.replace("http://", f"http://{user}:{password}@") + f"a.zip?key={key}"


def babble(writer):
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("manifest", [{"files": []}, [], "x", None])
async def test_a_manifest_that_is_none_is_refused(depot, manifest):
    with pytest.raises(BridgeRefused, match="manifest"):
        await depot.asks.forward("http://127.0.0.1/a.zip", "a.zip", [], manifest)


async def test_a_request_that_is_too_long_is_refused_at_once(depot):
    with pytest.raises(BridgeRefused, match="bytes"):
        await depot.asks.forward("http://127.0.0.1/a.zip", "a.zip", [], {"x": "x" * 1_000_000})


async def test_not_more_than_so_many_wait(depot, monkeypatch):
    monkeypatch.setattr(forwarding, "MOST_UNFINISHED", 2)
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    for number in range(2):
        await depot.asks.forward("http://127.0.0.1:9/a.zip", "a.zip", [], {"number": number})
    with pytest.raises(BridgeRefused) as refusal:
        await depot.asks.forward("http://127.0.0.1:9/a.zip", "a.zip", [], {"number": 2})
    assert refusal.value.code == "no_room"


async def test_who_asks_for_what_is_not_there_is_told(depot):
    for ask in (depot.asks.forwarded, depot.asks.cancel_forward):
        with pytest.raises(BridgeRefused) as refusal:
            await ask("0123456789abcdef")
        assert refusal.value.code == "unknown"


async def test_what_ended_long_ago_is_forgotten(depot, cloud):
    async with cloud.running():
        now = await sent(depot.asks, f"{cloud.url}a.zip", "a.zip", [], MANIFEST)
        forwards = depot.bridge._forwards
        old = replace(forwards.get(now.id), ended_at=(utc_now() - forwarding.timedelta(days=8)).isoformat())
        forwards._keep(old)
        await sent(depot.asks, f"{cloud.url}b.zip", "b.zip", [], MANIFEST)
    with pytest.raises(BridgeRefused):
        await depot.asks.forwarded(now.id)
    assert len(on_disk(depot)) == 1
