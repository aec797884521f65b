"""An archive reaches servers of each kind whole, and those that do not take it are told from those that cannot now."""

import asyncio
import contextlib
import importlib.util
import io
import os
import re
import zipfile

import pytest
from aiohttp import web

from firmware_bridge import ftp_session, http_target, sftp_session, sftp_target
from tests.firmware.depot import eventually, reopened
from tests.firmware.depots import Depot, certified
from tests.firmware.test_forwarding import MANIFEST, ended, hindered, leave, refused, sent, unpacked
from tests.firmware.vaults import Vault
from tests.firmware.yard import website

LOG = os.urandom(700_000)
SOURCES = ("http://127.0.0.1", "ftp://127.0.0.1", "ftps://127.0.0.1", "sftp://127.0.0.1")


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits long for a server that takes nothing."""
    for module in (ftp_session, http_target, sftp_target):
        monkeypatch.setattr(module, "TAKEN_SECONDS", 0.5)
    monkeypatch.setattr(ftp_session, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(sftp_session, "SILENT_SECONDS", 0.5)


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


@contextlib.asynccontextmanager
async def logs(folder, **others):
    """(Who asks the bridge, the user of a ticket with which a log was left)."""
    async with reopened(folder, sources=SOURCES, **others) as depot:
        yield depot.asks, (await leave(depot, content=LOG)).user


def is_whole(path):
    return unpacked(path.read_bytes())[0] == {"CP-01/0001-log.txt": LOG}


FOLDER_RULE = [
    ("in/a.zip", "in/a.zip"),
    ("in/", "in/b.zip"),
    ("in", "in/b.zip"),
    ("", "b.zip"),
    ("%69n/a%2Ezip", "in/a.zip"),
]


@pytest.mark.parametrize(("where", "there"), FOLDER_RULE)
async def test_ftp_takes_a_file_or_a_folder(folder, soon, shelf, where, there):
    server = Depot(shelf, takes_files=True)
    with server.running():
        async with logs(folder) as (asks, user):
            now = await sent(asks, server.url(where), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / there)
    assert now.target == f"ftp://127.0.0.1:{server.port}/{where}"


@pytest.mark.parametrize("lacks", ["PASV", "EPSV"])
async def test_ftp_needs_only_what_the_server_knows(folder, soon, shelf, lacks):
    server = Depot(shelf, takes_files=True, knows_not=frozenset({lacks}))
    with server.running():
        async with logs(folder) as (asks, user):
            await sent(asks, server.url("in/a.zip"), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / "in" / "a.zip")


async def test_ftps_hides_login_and_archive(folder, soon, shelf):
    proof = certified(shelf, "localhost")
    server = Depot(shelf, takes_files=True, certificate=proof.server)
    with server.running():
        async with logs(folder, ca_file=proof.root) as (asks, user):
            await sent(asks, server.url("in/", host="localhost"), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / "in" / "b.zip")
    assert server.asked[:2] == ["AUTH TLS", "USER vendor"] and "PROT P" in server.asked


async def test_ftps_that_cannot_prove_its_name_gets_neither(folder, soon, shelf):
    proof = certified(shelf, "other.example")
    server = Depot(shelf, takes_files=True, certificate=proof.server)
    with server.running():
        async with logs(folder, ca_file=proof.root) as (asks, user):
            url = server.url("in/", host="localhost")
            forward = (await asks.forward(url, "b.zip", [user], MANIFEST)).id
            assert "certificate" in (await hindered(asks, forward)).error
    assert set(server.asked) == {"AUTH TLS"}


async def test_a_transfer_by_ftp_that_broke_off_is_done_again(folder, soon, shelf):
    server = Depot(shelf, takes_files=True, breaks_after=[100_000, 300_000])
    with server.running():
        async with logs(folder) as (asks, user):
            await sent(asks, server.url("in/a.zip"), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / "in" / "a.zip")
    assert server.asked.count("STOR in/a.zip") == 3


@pytest.mark.parametrize(
    ("where", "told"),
    [("none/a.zip", "550 to STOR"), ("in/a.zip%0D%0ADELE%20x", "characters"), ("in", "550 to STOR")],
)
async def test_what_ftp_refuses_is_not_sent_again(folder, shelf, where, told):
    server = Depot(shelf, takes_files=where != "in")
    with server.running():
        async with logs(folder) as (asks, _):
            why = await refused(asks, server.url(where))
    assert why.startswith("refused: ") and told in why
    assert "geheim" not in why and "vendor" not in why


async def data(reader, writer):
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            """Takes all of it."""
    writer.close()


@contextlib.asynccontextmanager
async def scripted(*last, takes=data):
    """An FTP server that takes a file and then says this. Its port."""
    async with await asyncio.start_server(takes, "127.0.0.1", 0) as shelves:
        at = shelves.sockets[0].getsockname()[1]
        answers = [b"220 a", b"230 b", b"200 c", f"227 (127,0,0,1,{at // 256},{at % 256})".encode(), b"150 d"]

        async def serve(reader, writer):
            with contextlib.suppress(ConnectionError):
                for number, answer in enumerate(answers):
                    if number:
                        await reader.readline()
                    writer.write(answer + b"\r\n")
                for answer in last:
                    writer.write(answer + b"\r\n")
                await reader.read()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ([b"426 broken"], "426 to STOR"),
        ([b"552 quota"], "552 to STOR"),
        ([b"550 geheim"], "550 to STOR"),
        ([], "no answer to STOR"),
    ],
)
async def test_only_what_ftp_confirms_was_sent(folder, impatient, last, told):
    async with scripted(*last) as port, logs(folder) as (asks, user):
        forward = (await asks.forward(f"ftp://127.0.0.1:{port}/a.zip", "b.zip", [user], MANIFEST)).id
        now = await hindered(asks, forward)
        assert told in now.error and "geheim" not in now.error
        await asks.cancel_forward(forward)
    async with scripted(b"226 done") as port, logs(folder) as (asks, user):
        await sent(asks, f"ftp://127.0.0.1:{port}/a.zip", "b.zip", [user], MANIFEST)


@contextlib.asynccontextmanager
async def stuck():
    """What a server does that takes the first of what comes and no more."""
    over, serving = asyncio.Event(), set()

    async def take(reader, writer):
        serving.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readexactly(1000)
        await over.wait()
        writer.transport.abort()
        serving.remove(writer)

    yield take
    over.set()
    async with asyncio.timeout(5):
        while serving:
            await asyncio.sleep(0)


async def leave_much(depot):
    """More than buffers take."""
    return [(await leave(depot, content=os.urandom(2**20))).user for _ in range(12)]


async def test_an_ftp_server_that_takes_no_more_is_given_up(folder, impatient):
    async with reopened(folder, sources=SOURCES) as depot, stuck() as takes, scripted(takes=takes) as port:
        users = await leave_much(depot)
        forward = (await depot.asks.forward(f"ftp://127.0.0.1:{port}/a.zip", "b.zip", users, MANIFEST)).id
        assert "no answer to STOR" in (await hindered(depot.asks, forward)).error


async def test_an_http_server_that_takes_no_more_is_given_up(folder, impatient):
    async with reopened(folder, sources=SOURCES) as depot, stuck() as takes:
        users = await leave_much(depot)
        async with await asyncio.start_server(takes, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.zip"
            forward = (await depot.asks.forward(url, "b.zip", users, MANIFEST)).id
            assert "no answer in time" in (await hindered(depot.asks, forward)).error


async def test_http_is_asked_by_the_url_as_it_was_written(folder, soon):
    written, asked = "in/neue%20Ger%c3%a4te/a%2Fb%7E.zip?sig=%2bab%2f+c%3D&x=%41", []

    async def take(request):
        asked.append(request.raw_path)
        return web.Response(body=await request.read())

    async with website(web.route("*", "/{path:.*}", take)) as url, logs(folder) as (asks, user):
        await sent(asks, url + written, "b.zip", [user], MANIFEST)  # it may be signed
        await asks.fetch(url + written)

        async def is_asked():
            return len(asked) == 2

        await eventually(is_asked)
    assert asked == [f"/{written}"] * 2


async def test_an_http_server_that_is_slow_gets_the_time_that_it_needs(folder, soon, monkeypatch):
    monkeypatch.setattr(http_target, "TAKEN_SECONDS", 3)

    async def take(request):
        while await request.content.read(2**18):
            await asyncio.sleep(0.1)
        return web.Response()

    async with website(web.put("/a.zip", take)) as url, reopened(folder, sources=SOURCES) as depot:
        users, began = await leave_much(depot), asyncio.get_running_loop().time()
        await sent(depot.asks, f"{url}a.zip", "b.zip", users, MANIFEST)
        assert asyncio.get_running_loop().time() - began > 3.5


@pytest.mark.parametrize(("status", "state"), [(403, "failed"), (405, "sent")])
async def test_a_server_that_answers_before_all_has_come_is_heard(folder, soon, status, state):
    came = []

    async def answer_at_once(_):
        return web.Response(status=status)

    async def take(request):
        came.extend([piece async for piece in request.content.iter_any()])
        return web.Response()

    async with website(web.put("/a.zip", answer_at_once), web.post("/a.zip", take)) as url:
        async with reopened(folder, sources=SOURCES) as depot:
            users = await leave_much(depot)
            now = await ended(depot.asks, (await depot.asks.forward(f"{url}a.zip", "b.zip", users, MANIFEST)).id)
    assert now.state == state
    if state == "sent":
        body = b"".join(came)
        with zipfile.ZipFile(io.BytesIO(body[body.index(b"PK") :])) as found:
            assert len(found.namelist()) == 13


@pytest.mark.parametrize(("where", "there"), FOLDER_RULE)
async def test_sftp_takes_a_file_or_a_folder(folder, soon, shelf, where, there):
    async with Vault(shelf).running() as vault:
        async with logs(folder, known_hosts_file=vault.known(folder)) as (asks, user):
            await sent(asks, vault.url(where), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / there)


async def test_a_transfer_by_sftp_that_broke_off_is_done_again(folder, soon, shelf):
    async with Vault(shelf, at_offset={300_000: "break"}).running() as vault:
        async with logs(folder, known_hosts_file=vault.known(folder)) as (asks, user):
            await sent(asks, vault.url("in/a.zip"), "b.zip", [user], MANIFEST)
    assert is_whole(shelf / "in" / "a.zip") and len(vault.logins) == 2


async def test_sftp_that_takes_no_more_is_given_up(folder, impatient, shelf):
    async with Vault(shelf, at_offset={300_000: "stop"}).running() as vault:
        async with logs(folder, known_hosts_file=vault.known(folder)) as (asks, user):
            forward = (await asks.forward(vault.url("in/a.zip"), "b.zip", [user], MANIFEST)).id
            assert "no answer in time" in (await hindered(asks, forward)).error


@pytest.mark.parametrize(
    ("login", "where", "told"),
    [
        ("vendor:not-it@", "in/", "neither user nor password"),
        ("", "in/", "needs a user"),
        (None, "none/a.zip", "no such file or folder"),
    ],
)
async def test_what_sftp_refuses_is_not_sent_again(folder, shelf, login, where, told):
    async with Vault(shelf).running() as vault:
        async with logs(folder, known_hosts_file=vault.known(folder)) as (asks, _):
            why = await refused(asks, vault.url(where) if login is None else vault.url(where, login))
    assert why.startswith("refused: ") and told in why
    assert not re.search("vendor|geheim|not-it", why)


async def test_without_its_key_sftp_gets_no_password(folder, shelf):
    async with Vault(shelf).running() as vault:
        async with logs(folder, known_hosts_file=vault.known(folder, host="other.example")) as (asks, _):
            assert "has no key" in await refused(asks, vault.url("in/"))
    assert vault.logins == []


async def test_without_the_extra_sftp_is_refused_with_what_is_missing(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with logs(folder) as (asks, _):
        assert "[sftp]" in await refused(asks, "sftp://vendor@127.0.0.1/a.zip")
