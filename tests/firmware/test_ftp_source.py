"""Firmware from FTP servers: as it is, and from nowhere else than from where it was asked."""

import asyncio
import contextlib
import hashlib
import os
import ssl
from dataclasses import replace

import aioftp
import pytest

from firmware_bridge import ftp_session, ftp_source, reach, sources
from firmware_bridge.api import Bridge
from firmware_bridge.reach import Reach
from tests.firmware.asking import fetched, hindered, refused, taken
from tests.firmware.depots import PASSWORD, USER, Depot, certified
from tests.firmware.yard import bridge, settings

CONTENT = os.urandom(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SOURCES = ("ftp://127.0.0.1", "ftps://127.0.0.1")


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits long for an answer."""
    monkeypatch.setattr(reach, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(ftp_session, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(ftp_session, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(ftp_source, "SILENT_SECONDS", 0.3)


@pytest.fixture
def depot(tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    return Depot(tmp_path)


@contextlib.asynccontextmanager
async def client(folder, **others):
    async with bridge(replace(settings(folder), sources=SOURCES, **others)):
        yield Bridge(folder / "firmware.sock")


@pytest.mark.parametrize("lacks", ["", "PASV", "EPSV", "SIZE MDTM", "SIZE MDTM MLST"])
async def test_a_file_comes_as_it_is_whatever_the_server_knows(folder, depot, lacks):
    depot.knows_not = frozenset(lacks.split())
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == SHA256
    assert "USER vendor" in depot.asked


async def test_a_url_without_a_user_is_asked_for_anonymously(folder, depot):
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin", login="")) == SHA256
    assert "USER anonymous" in depot.asked


async def test_a_name_is_what_the_url_escapes(folder, depot):
    (depot.folder / "neue Geräte").mkdir()
    (depot.folder / "neue Geräte" / "50%.bin").write_bytes(CONTENT)
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("neue%20Ger%C3%A4te/50%25.bin;type=i")) == SHA256


@pytest.mark.parametrize("name", ["a.bin%0D%0ADELE%20a.bin", "a.bin%0ADELE%20a.bin", "a%00.bin", "", "folder/"])
async def test_a_name_that_is_none_or_more_than_that_is_not_asked_for(folder, depot, name):
    with depot.running():
        async with client(folder) as asked:
            assert (await refused(asked, depot.url(name))).startswith("refused: ")
    assert depot.asked == []


@pytest.mark.parametrize("lacks", ["", "SIZE MDTM"])
async def test_a_broken_download_goes_on_where_it_was(folder, depot, soon, lacks):
    depot.knows_not = frozenset(lacks.split())
    depot.breaks_after = [150_000, 100_000]
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == SHA256
    assert [one for one in depot.asked if one.startswith("REST")] == ["REST 150000", "REST 250000"]


@pytest.mark.parametrize("lacks", ["REST", "MDTM MLST", "SIZE MDTM MLST"])
async def test_a_broken_download_begins_anew_where_the_server_cannot_go_on(folder, depot, soon, lacks):
    depot.knows_not = frozenset(lacks.split())
    depot.breaks_after = [150_000]
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == SHA256
    assert depot.asked.count("RETR a.bin") == 2


async def test_a_file_that_changed_between_two_parts_comes_anew(folder, depot, soon):
    file, other = depot.folder / "a.bin", os.urandom(len(CONTENT))

    def change():
        before = file.stat().st_mtime
        file.write_bytes(other)
        os.utime(file, (before + 60, before + 60))

    depot.breaks_after, depot.when_broken = [150_000], change
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == hashlib.sha256(other).hexdigest()
    assert not [one for one in depot.asked if one.startswith("REST")]


async def test_a_server_that_only_pretends_to_go_on_is_asked_for_all(folder, depot, soon):
    depot.breaks_after, depot.ignores_rest = [150_000], True
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == SHA256


async def test_a_whole_file_that_was_not_yet_verified_is_not_asked_for_again(tmp_path, depot):
    with depot.running():
        source = sources.parse(depot.url("a.bin"))
        allowed = Reach([sources.allowed("ftp://127.0.0.1")], ssl.create_default_context())
        _, validator, _ = await taken(ftp_source.opened(source, allowed, 0, None))
        again = await taken(ftp_source.opened(source, allowed, len(CONTENT), validator))
    assert again == (len(CONTENT), validator, b"")
    assert depot.asked.count("RETR a.bin") == 1


@pytest.mark.parametrize(
    ("login", "name", "told"),
    [("vendor:not-it@", "a.bin", "530 to USER and PASS"), ("", "b.bin", "550 to RETR"), ("", "folder", "550 to RETR")],
)
async def test_what_the_server_refuses_is_not_asked_for_again(folder, depot, login, name, told, caplog, capsys):
    (depot.folder / "folder").mkdir()
    with depot.running():
        async with client(folder) as asked:
            why = await refused(asked, depot.url(name, login))
    assert why.startswith("refused: ") and told in why
    assert not {"vendor", "not-it"} & set(why.replace(":", " ").split())
    assert "not-it" not in capsys.readouterr().out


async def test_a_server_that_is_busy_is_asked_again_later(folder, depot):
    depot.most_clients = 1
    with depot.running():
        _, holder = await asyncio.open_connection("127.0.0.1", depot.port)
        async with client(folder) as asked:
            assert "421" in await hindered(asked, depot.url("a.bin"))
        holder.close()
        await holder.wait_closed()


async def test_an_answer_to_pasv_leads_nowhere_else(folder, depot):
    depot.tells_address = "127.0.0.2"
    with depot.running():
        async with client(folder) as asked:
            assert await fetched(asked, depot.url("a.bin")) == SHA256
    assert "PASV" in depot.asked


async def test_explicit_tls_hides_login_and_file_and_proves_the_name(folder, depot, soon):
    proof = certified(depot.folder, "localhost")
    depot.certificate, depot.breaks_after = proof.server, [150_000]
    with depot.running():
        async with client(folder, ca_file=proof.root) as asked:
            assert await fetched(asked, depot.url("a.bin", host="localhost")) == SHA256
    # The server refuses USER and PASV without TLS.
    assert depot.asked[:2] == ["AUTH TLS", "USER vendor"]
    assert "PROT P" in depot.asked and "REST 150000" in depot.asked


@pytest.mark.parametrize(("host", "is_trusted"), [("other.example", True), ("localhost", False)])
async def test_a_server_that_cannot_prove_its_name_gets_no_password(folder, depot, host, is_trusted):
    proof = certified(depot.folder, host)
    depot.certificate = proof.server
    with depot.running():
        async with client(folder, ca_file=proof.root if is_trusted else None) as asked:
            why = await hindered(asked, depot.url("a.bin", host="localhost"))
    assert why.startswith("unreachable: ") and "certificate" in why
    assert depot.asked == ["AUTH TLS"]


async def test_without_tls_ftps_is_refused(folder, depot):
    with depot.running():
        async with client(folder) as asked:
            why = await refused(asked, depot.url("a.bin").replace("ftp:", "ftps:"))
    assert "no TLS" in why and depot.asked == ["AUTH TLS"]


async def test_implicit_tls_carries_commands_and_file_in_one_session(folder, depot, monkeypatch):
    proof = certified(depot.folder, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(proof.server)
    server = aioftp.Server([aioftp.User(USER, PASSWORD, base_path=depot.folder)], ssl=context)
    await server.start("127.0.0.1", 0)
    try:
        # Only who is root may listen on port 990.
        monkeypatch.setitem(sources.PORTS, "ftps", server.server_port)
        url = f"ftps://vendor:geheim-%C3%A9@localhost:{server.server_port}/a.bin"
        async with client(folder, ca_file=proof.root) as asked:
            assert await fetched(asked, url) == SHA256
        assert (context.session_stats()["accept_good"], context.session_stats()["hits"]) == (2, 1)
        allowed = Reach([sources.allowed("ftps://127.0.0.1")], reach.tls(proof.root))
        _, validator, _ = await taken(ftp_source.opened(sources.parse(url), allowed, 0, None))
        rest = await taken(ftp_source.opened(sources.parse(url), allowed, 300_000, validator))
        assert rest == (300_000, validator, CONTENT[300_000:])
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def scripted(*answers):
    """A server that gives these answers, one to each command (the first to nobody's), and then is silent. Its port."""
    over, serving = asyncio.Event(), set()

    async def serve(reader, writer):
        serving.add(writer)
        with contextlib.suppress(ConnectionError):
            for number, answer in enumerate(answers):
                if number:
                    await reader.readline()
                writer.write(answer)
                await writer.drain()
            await over.wait()
        writer.transport.abort()
        serving.remove(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        over.set()
        async with asyncio.timeout(5):
            while serving:
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([b""], "no answer to the connection"),
        ([b"220 welcome\r\n", b""], "no answer to USER and PASS"),
        ([b"220-welcome\r\n" * 100_000], "talks without end"),
        ([b"220 " + b"x" * 1_000_000], "broke off"),
        ([b"220 a\r\n", b"230 b\r\n", b"200 c\r\n", b"213 " + b"9" * 5000 + b"\r\n"] + [b"500 d\r\n"] * 3
         + [b"421 e\r\n"], "421 to EPSV"),
        ([b"220 a\r\n", b"230 b\r\n", b"200 c\r\n", b"213 7\r\n", b"213 20260101000000\r\n", b"227 (1,2,3,4,5)\r\n"],
         "names no port"),
    ],
    ids=["no greeting", "no login", "endless greeting", "endless line", "absurd size", "no port"],
)  # fmt: skip
async def test_a_server_of_another_kind_costs_a_short_while_and_no_more(folder, impatient, answers, told):
    async with scripted(*answers) as port, client(folder) as asked:
        assert told in await hindered(asked, f"ftp://127.0.0.1:{port}/a.bin")


async def test_a_transfer_that_falls_silent_is_given_up(folder, impatient):
    async with scripted() as data:
        told = f"227 (127,0,0,1,{data // 256},{data % 256})\r\n".encode()
        begin = [b"220 a\r\n", b"230 b\r\n", b"200 c\r\n", b"213 7\r\n", b"213 20260101000000\r\n", told, b"150 d\r\n"]
        async with scripted(*begin) as port, client(folder) as asked:
            assert "no answer to RETR" in await hindered(asked, f"ftp://127.0.0.1:{port}/a.bin")


async def test_what_came_before_tls_is_no_answer(folder, impatient):
    async with scripted(b"220 a\r\n", b"234 b\r\n230 as if the login had been taken\r\n") as port:
        async with client(folder) as asked:
            why = await hindered(asked, f"ftps://localhost:{port}/a.bin")
    assert "goes on without TLS" in why
