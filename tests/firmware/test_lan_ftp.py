"""Chargers that know only FTP take their file and leave diagnostics; what else FTP has to offer is not there."""

import asyncio
import contextlib
import ftplib
import io
import logging
import os
import re
import shutil
import socket
import subprocess

import pytest

from firmware_bridge import disk, lan_ftp, lan_ftp_commands
from tests.firmware.depot import CONTENT, NAME, depot, eventually, reopened

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
BIG = os.urandom(700_000)
RESET = b"\x01\0\0\0\0\0\0\0"
"""SO_LINGER of a socket that is reset when it is closed."""


async def blocking(work, *arguments):
    """ftplib blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def visit(given, work, **how):
    """What `work` returns of a visitor who is logged in."""

    def whole():
        with given.visit(**how) as visitor:
            return work(visitor)

    return await blocking(whole)


def code(work, *arguments) -> str:
    """Of the answer."""
    try:
        return str(work(*arguments))[:3]
    except ftplib.Error as error:
        return str(error)[:3]


def taken(visitor, name=NAME, rest=None) -> bytes:
    parts = []
    visitor.retrbinary(f"RETR {name}", parts.append, rest=rest)
    return b"".join(parts)


def leave(visitor, name, content, rest=None) -> str:
    return code(lambda: visitor.storbinary(f"STOR {name}", io.BytesIO(content), rest=rest))


async def curl(*arguments: str) -> tuple[int, bytes]:
    command = ["curl", "-sS", "--max-time", "30", *arguments]
    done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stdout, _ = await done.communicate()
    return done.returncode or 0, stdout


class Wire:
    """A control connection by hand."""

    def __init__(self, given, source="127.0.0.1"):
        self.socket = socket.create_connection((given.ftp.hostname, given.ftp.port), 20, source_address=(source, 0))
        self.lines = self.socket.makefile("rb")
        self.greeting = self.lines.readline()

    def says(self, line: bytes) -> str:
        self.socket.sendall(line + b"\r\n")
        return self.lines.readline().decode("latin-1").strip()

    def logs_in(self, given) -> "Wire":
        assert self.says(f"USER {given.ftp.username}".encode()).startswith("331")
        assert self.says(f"PASS {given.ftp.password}".encode()).startswith("230")
        return self

    def passive(self) -> tuple[str, int]:
        numbers = re.findall(r"\d+", self.says(b"PASV"))[1:]
        return ".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.socket.close()


async def test_a_charger_takes_its_file_whole_or_from_where_it_was(folder):
    async with depot(folder) as site:
        given = await site.take()
        assert await visit(given, taken) == CONTENT
        assert await visit(given, lambda visitor: taken(visitor, rest=300_000)) == CONTENT[300_000:]
        assert await visit(given, lambda visitor: (taken(visitor), taken(visitor, f"/{NAME}"))) == (CONTENT, CONTENT)
        now = await site.asks.served(given.ticket.token, "127.0.0.1")
        assert (now.bytes, now.times) == (len(CONTENT), 4)


async def test_it_sees_one_directory_with_its_file_and_nothing_else(folder):
    async with depot(folder) as site:
        given = await site.take()

        def looks(visitor):
            listed = []
            visitor.dir("-la", listed.append)
            return listed, visitor.pwd(), visitor.size(NAME), visitor.cwd("/")[:3], code(visitor.cwd, "logs")

        (line,), *others = await visit(given, looks)
        assert line.split()[0] == "-r--r-----"
        assert (line.split()[4], line.split()[-1]) == (str(len(CONTENT)), NAME)
        assert others == ["/", len(CONTENT), "250", "550"]


@pytest.mark.parametrize(
    "name",
    ["other.bin", "../other.bin", "/etc/passwd", "../../../../etc/passwd", "a/" + NAME, NAME + "x", "0001", ".", ""],
)
async def test_no_other_file_is_given(folder, name):
    async with depot(folder) as site:
        given = await site.take()
        assert await visit(given, lambda visitor: (code(taken, visitor, name), code(visitor.size, name))) == (
            "550",
            "550",
        )


CHANGES = ["MKD a", "DELE " + NAME, "RMD /", "RNFR " + NAME, "RNTO b", "SITE CHMOD 777 a", "PORT 127,0,0,1,1,1", "MLSD"]


@pytest.mark.parametrize("leaves", [True, False])
async def test_nothing_else_can_be_done(folder, leaves):
    async with depot(folder) as site:
        given = await (site.leave() if leaves else site.take())

        def tries(visitor):
            if leaves:
                leave(visitor, NAME, b"abc")
            return {code(visitor.sendcmd, change) for change in CHANGES}

        assert await visit(given, tries) == {"502"}


async def test_a_ticket_is_for_one_direction(folder):
    async with depot(folder) as site:
        take, files = await site.take(), await site.leave()
        assert await visit(take, lambda visitor: leave(visitor, NAME, b"abc")) == "550"
        assert await visit(take, lambda visitor: leave(visitor, "new", b"abc")) == "550"
        assert await visit(files, lambda visitor: (leave(visitor, "a", b"abc"), code(taken, visitor, "a"))) == (
            "226",
            "550",
        )
        assert await visit(take, taken) == CONTENT


async def test_only_who_shows_the_password_of_a_valid_ticket_gets_in(folder):
    async with depot(folder) as site:
        good, gone, over = await site.take(), await site.take(), await site.take(seconds=1)
        mine = await site.take(address="127.0.0.2")
        await site.asks.withdraw(gone.ticket.token)
        await asyncio.sleep(1.1)

        def tries():
            answers = []
            for user, password in [
                (good.ftp.username, "wrong"),
                (good.ftp.username, ""),
                (good.ftp.username, "\xff"),
                ("stranger", good.ftp.password),
                ("", "0" * 24),
                ("anonymous", "0" * 24),
                *((one.ftp.username, one.ftp.password) for one in (gone, over, mine)),
            ]:
                with Wire(good) as wire:
                    first = wire.says(f"USER {user}".encode("latin-1"))
                    answers.append((first, wire.says(f"PASS {password}".encode("latin-1")), wire.says(b"PWD")[:3]))
            return answers

        assert set(await blocking(tries)) == {("331 password required", "530 wrong password", "503")}
        assert await visit(mine, taken, source="127.0.0.2") == CONTENT


async def test_a_ticket_that_ends_in_the_midst_of_a_visit_leads_nowhere(folder):
    async with depot(folder) as site:
        take, files = await site.take(), await site.leave()
        loop = asyncio.get_running_loop()

        def visits():
            with take.visit() as taker, files.visit() as leaver:
                for one in (take, files):
                    asyncio.run_coroutine_threadsafe(site.asks.withdraw(one.ticket.token), loop).result(20)
                return code(taken, taker), code(taker.size, NAME), leave(leaver, "a", b"abc")

        assert await blocking(visits) == ("550", "550", "550")


async def test_who_names_another_user_is_nobody_until_the_password(folder):
    async with depot(folder) as site:
        mine, other = await site.leave(), await site.take()

        def pipelines():
            with Wire(mine) as wire:
                wire.logs_in(mine)
                asked = f"USER {other.ftp.username}\r\nSIZE {NAME}\r\nSIZE {NAME}".encode()
                return wire.says(asked), wire.lines.readline()[:3], wire.lines.readline()[:3]

        assert await blocking(pipelines) == ("331 password required", b"503", b"503")


@pytest.mark.parametrize("command", ["STOR", "APPE"])
async def test_a_charger_leaves_files_under_any_name(folder, command):
    async with depot(folder) as site:
        given = await site.leave()

        def leaves(visitor):
            visitor.cwd("/CP-01/logs")
            with contextlib.suppress(ftplib.error_perm):
                visitor.mkd("today")
            visitor.storbinary(f"{command} today/log.zip", io.BytesIO(BIG))
            visitor.storbinary(f"{command} ../b.txt", io.BytesIO(b"second"))
            listed = []
            visitor.dir(listed.append)
            return [line.split()[-1] for line in listed], visitor.size("today/log.zip"), visitor.pwd()

        assert await visit(given, leaves) == (["log.zip", "b.txt"], len(BIG), "/")
        assert await site.contents() == {"log.zip": BIG, "b.txt": b"second"}
        now = (await site.asks.received(given.ticket.token, "127.0.0.1")).ticket
        assert (now.bytes, now.times) == (len(BIG) + 6, 2)


@needs_curl
async def test_curl_takes_and_leaves_files(folder):
    async with depot(folder) as site:
        take, files = await site.take(), await site.leave(quota_mb=None)
        where = take.ticket.locations["ftp"]
        assert await curl(where) == (0, CONTENT)
        assert await curl("--disable-epsv", "-C", "300000", where) == (0, CONTENT[300_000:])
        (folder / "a.zip").write_bytes(BIG)
        assert (await curl("-T", str(folder / "a.zip"), files.ticket.locations["ftp"]))[0] == 0
        assert (
            await curl("--ftp-create-dirs", "-T", str(folder / "a.zip"), files.ticket.locations["ftp"] + "x/b.zip")
        )[0] == 0
        assert (await curl("-a", "-T", str(folder / "a.zip"), files.ticket.locations["ftp"] + "b.zip"))[0] == 0
        assert await site.contents() == {"a.zip": BIG, "b.zip": BIG + BIG}


HOSTILE = ["../../etc/passwd", "a\0b", "x" * 3000, "a\tb", "0001.json", "\xff\xfe", "..", "-rf", "C:\\x\\y.zip"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_name_of_a_charger_reaches_the_disk(folder, name):
    async with depot(folder) as site:
        given = await site.leave()

        def leaves(visitor):
            visitor.encoding = "latin-1"
            return leave(visitor, name, b"abc")

        assert await visit(given, leaves) == "226"
        assert list((await site.contents()).values()) == [b"abc"]
        kept = sorted(path.name for path in (folder / "bridge" / "uploads").rglob("*") if path.is_file())
        assert kept == ["0001", "0001.json"]


async def test_beyond_its_quota_or_all_a_charger_is_refused(folder):
    async with depot(folder, uploads_max_mb=1) as site:
        given, other = await site.leave(quota_mb=1), await site.leave(quota_mb=1)
        assert await visit(given, lambda visitor: leave(visitor, "a", bytes(2**20 + 1))) == "552"
        assert await visit(given, lambda visitor: leave(visitor, "a", BIG)) == "226"
        assert await visit(given, lambda visitor: leave(visitor, "b", BIG)) == "552"
        assert await visit(other, lambda visitor: leave(visitor, "b", BIG)) == "552"
        assert await site.contents() == {"a": BIG}


async def test_on_a_full_disk_a_charger_is_told_to_come_later(folder, monkeypatch):
    async with depot(folder) as site:
        given = await site.leave()
        monkeypatch.setattr(disk, "free_bytes", lambda _: 64 * 2**20)
        assert await visit(given, lambda visitor: leave(visitor, "a", b"abc")) == "452"
        assert await site.contents() == {}


async def break_off(site, given, name: str, content: bytes, *, how: str = "it reboots") -> None:
    """A charger sends some of a file, and then nothing any more."""
    wire = await blocking(Wire, given)
    data = await blocking(lambda: socket.create_connection(wire.logs_in(given).passive(), 20))

    def begins():
        assert wire.says(f"STOR {name}".encode()).startswith("150")
        data.sendall(content)

    def ends():
        match how:
            case "it reboots":
                wire.__exit__()
            case "its data connection is reset":
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            case "it aborts":
                assert wire.says(b"ABOR").startswith("426")
        data.close()

    await blocking(begins)
    await has_come(site, given, len(content))
    await blocking(ends)
    assert (await eventually(lambda: site.left(given)))[name] == (len(content), False)
    wire.__exit__()


async def has_come(site, given, size: int) -> None:
    async def come() -> bool:
        return (await site.asks.received(given.ticket.token, "x")).ticket.bytes == size

    await eventually(come)


@pytest.mark.parametrize("how", ["it reboots", "its data connection is reset", "it aborts"])
async def test_what_broke_off_is_not_whole_until_it_comes_again(folder, how):
    async with depot(folder) as site:
        given = await site.leave()
        await break_off(site, given, "a.zip", BIG[:300_000], how=how)
        assert await visit(given, lambda visitor: leave(visitor, "a.zip", BIG)) == "226"
        assert await site.left(given) == {"a.zip": (len(BIG), True)}


@pytest.mark.parametrize("command", ["REST", "APPE"])
async def test_a_charger_goes_on_behind_what_it_has_left(folder, command):
    async with depot(folder) as site:
        given = await site.leave()
        await break_off(site, given, "a.zip", BIG[:300_000])

        def goes_on(visitor):
            there = visitor.size("a.zip")
            if command == "REST":
                return leave(visitor, "a.zip", BIG[there:], rest=there), leave(visitor, "a.zip", b"", rest=10**9)
            return code(lambda: visitor.storbinary("APPE a.zip", io.BytesIO(BIG[there:]))), "554"

        assert await visit(given, goes_on) == ("226", "554")
        assert await site.contents() == {"a.zip": BIG}


def quits_behind_its_file(given) -> None:
    with Wire(given) as wire:
        data = socket.create_connection(wire.logs_in(given).passive(), 20)
        assert wire.says(b"STOR a.zip").startswith("150")
        data.sendall(b"abc")
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        wire.socket.sendall(b"NOOP\r\nQUIT\r\n")
        assert wire.lines.readline().startswith(b"200")
        data.close()


async def test_who_quits_behind_its_file_has_left_it(folder):
    async with depot(folder) as site:
        given = await site.leave()
        await blocking(quits_behind_its_file, given)
        assert await eventually(lambda: site.left(given)) == {"a.zip": (3, True)}


async def test_who_quits_and_hangs_up_takes_nobody_s_place(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "MOST_OF_ONE", 1)
    async with depot(folder) as site:
        given = await site.leave()
        await blocking(quits_behind_its_file, given)

        async def is_let_in():
            with contextlib.suppress(ftplib.Error):
                return await visit(given, lambda visitor: visitor.size("a.zip")) == 3

        await eventually(is_let_in)


async def test_a_restart_in_the_midst_of_it_keeps_what_had_come_and_the_ticket(folder):
    async with depot(folder) as site:
        given = await site.leave()
        wire = await blocking(Wire, given)
        data = await blocking(lambda: socket.create_connection(wire.logs_in(given).passive(), 20))

        def begins():
            assert wire.says(b"STOR a.zip").startswith("150")
            data.sendall(BIG[:300_000])

        await blocking(begins)

        await has_come(site, given, 300_000)
    data.close()
    wire.__exit__()
    async with reopened(folder) as site:
        assert await site.left(given) == {"a.zip": (300_000, False)}
        given.ticket = (await site.asks.received(given.ticket.token, "127.0.0.1")).ticket
        assert await visit(given, lambda visitor: leave(visitor, "a.zip", BIG)) == "226"
        assert await site.contents() == {"a.zip": BIG}


async def test_a_data_connection_is_the_charger_s_own(folder):
    async with depot(folder) as site:
        given = await site.take()

        def steals():
            with Wire(given) as wire:
                where = wire.logs_in(given).passive()
                with socket.create_connection(where, 20, source_address=("127.0.0.2", 0)) as stranger:
                    assert wire.says(f"RETR {NAME}".encode()).startswith("150")
                    with contextlib.suppress(ConnectionResetError):
                        assert stranger.recv(10) == b""
                with socket.create_connection(where, 20) as own:
                    return own.makefile("rb").read()

        assert await blocking(steals) == CONTENT


async def test_data_ports_are_those_of_the_configuration_and_given_back(folder):
    first = free_ports(2)
    async with depot(folder, ftp_data_ports=f"{first}-{first + 1}") as site:
        given = await site.take()

        def visits():
            for _ in range(3):
                with Wire(given) as one, Wire(given) as other, Wire(given) as third:
                    addresses = {one.logs_in(given).passive(), other.logs_in(given).passive()}
                    assert one.passive() in addresses
                    assert addresses == {("127.0.0.1", first), ("127.0.0.1", first + 1)}
                    assert third.logs_in(given).says(b"PASV").startswith("421")
                    assert one.says(b"PASV\r\nPASV\r\nEPSV").startswith("227")
            for _ in range(30):
                with Wire(given) as hasty:
                    hasty.logs_in(given).socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    hasty.socket.sendall(b"PASV\r\nPASV\r\nEPSV\r\n")
            return taken_within(given)

        assert await blocking(visits) == CONTENT


def taken_within(given) -> bytes:
    with given.visit() as visitor:
        return taken(visitor)


def free_ports(count: int) -> int:
    for first in range(21_000, 30_000, count):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise AssertionError("no free ports")


async def test_idle_connections_keep_no_charger_from_its_file(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "MOST_CONNECTIONS", 20)
    async with depot(folder) as site:
        given = await site.take()

        def visits():
            with contextlib.ExitStack() as crowd:
                for number in range(100):
                    address = (f"127.0.0.{1 + number % 30}", 0)
                    crowd.enter_context(
                        socket.create_connection((given.ftp.hostname, given.ftp.port), 20, source_address=address)
                    )
                return taken_within(given)

        assert await blocking(visits) == CONTENT


async def test_no_more_visitors_of_one_address_than_so_many(folder):
    async with depot(folder) as site:
        given = await site.take()

        def visits():
            with contextlib.ExitStack() as crowd:
                inside = [crowd.enter_context(Wire(given)).logs_in(given) for _ in range(lan_ftp.MOST_OF_ONE)]
                assert crowd.enter_context(Wire(given)).greeting.startswith(b"421")
                assert [one.says(b"NOOP")[:3] for one in inside] == ["200"] * lan_ftp.MOST_OF_ONE

        async def is_let_in():
            with contextlib.suppress(ftplib.Error):
                return await blocking(taken_within, given) == CONTENT

        await blocking(visits)
        await eventually(is_let_in)


async def test_who_does_not_log_in_is_sent_away(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "LOGIN_SECONDS", 0.5)
    async with depot(folder) as site:
        given = await site.take()

        def waits():
            with Wire(given) as wire:
                with contextlib.suppress(OSError):
                    while wire.says(f"USER {given.ftp.username}".encode()):
                        pass
                return True

        assert await blocking(waits)


async def test_who_is_silent_is_sent_away_but_not_while_it_takes_a_file(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(lan_ftp_commands, "END_SECONDS", 1.5)
    async with depot(folder) as site:
        given = await site.leave()

        def visits():
            with Wire(given) as wire:
                data = socket.create_connection(wire.logs_in(given).passive(), 20)
                assert wire.says(b"STOR a").startswith("150")
                data.sendall(b"abc")
                data.close()
                assert wire.lines.readline().startswith(b"226")
                return wire.lines.readline()

        assert await blocking(visits) == b""


async def test_a_data_connection_that_says_nothing_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "SILENT_SECONDS", 0.5)
    async with depot(folder) as site:
        given = await site.leave()

        def visits():
            with Wire(given) as wire, socket.create_connection(wire.logs_in(given).passive(), 20) as data:
                data.sendall(b"abc")
                return wire.says(b"STOR a")[:3], wire.lines.readline()[:3]

        assert await blocking(visits) == ("150", b"426")
        assert await site.left(given) == {"a": (3, False)}


async def test_who_asks_for_its_file_and_does_not_take_it_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(lan_ftp, "SILENT_SECONDS", 0.5)

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with depot(folder, bytes(16 * 2**20)) as site:
        given = await site.take()
        await asyncio.sleep(0.1)  # for what the way to it has opened
        before = open_files()

        def asks(data):
            with Wire(given) as wire:
                data.connect(wire.logs_in(given).passive())
                assert wire.says(f"RETR {NAME}".encode()).startswith("150")
                assert wire.lines.read() == b""

        async def is_nothing_left() -> bool:
            return open_files() <= before + 1

        with socket.socket() as data:
            data.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await blocking(asks, data)
            await eventually(is_nothing_left)
        now = await site.asks.served(given.ticket.token, "127.0.0.1")
        assert (now.bytes > 0, now.times) == (True, 0)


@pytest.mark.parametrize("sent", [b"NOOP " * 10_000 + b"\r\n", b"x" * 200_000], ids=range(2))
async def test_a_command_has_an_end(folder, sent):
    async with depot(folder) as site:
        given = await site.take()

        def says():
            with Wire(given) as wire, contextlib.suppress(ConnectionError):
                wire.logs_in(given).socket.sendall(sent)
                return wire.lines.read()
            return b""

        assert await blocking(says) == b""


async def test_no_password_is_logged(folder, caplog):
    caplog.set_level(logging.DEBUG)
    async with depot(folder) as site:
        given = await site.take()

        def says():
            with Wire(given) as wire:
                wire.says(f"USER {given.ftp.username}".encode())
                for line in (" PASS %s", "PASS\t%s", "pass  %s", "PASS %s", "PASS %s"):
                    wire.says((line % given.ftp.password).encode())
                wire.says(b"\xff\xfe")

        await blocking(says)
        assert await visit(given, taken) == CONTENT
    assert given.ftp.password not in caplog.text


async def test_callers_write_no_tracebacks_into_the_journal(folder, caplog):
    async with depot(folder) as site:
        given = await site.take()

        def hangs_up():
            for sent in (b"", b"x" * 100_000, b"USER a\r\nPASS b\r\n", f"USER {given.ftp.username}\r\n".encode()):
                with Wire(given) as wire:
                    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    wire.socket.sendall(sent)

        await blocking(hangs_up)
        assert await visit(given, taken) == CONTENT
    assert not [record for record in caplog.records if record.name.startswith("aioftp")]


async def test_without_ftp_there_is_none(folder):
    async with depot(folder, ftp="") as site:
        assert set((await site.take()).ticket.locations) == {"http"}
