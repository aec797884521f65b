"""Firmware from SFTP servers: as it is, and only from those whose keys are known."""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
from dataclasses import replace

import asyncssh
import pytest

from firmware_bridge import reach, sftp_session, sftp_source, sources
from firmware_bridge.api import Bridge
from firmware_bridge.reach import Reach
from tests.firmware.asking import ended, fetched, hindered, refused, taken
from tests.firmware.vaults import LOGIN, USER, Vault
from tests.firmware.yard import bridge, settings

CONTENT = os.urandom(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CRYPTED = "$6$yard$Kf1JDZpOeUzUfcJndYu01BNHR6EXavc1MEb3GjlLMgcb36cpM8OPJzjPhXWplQ7Q1RVWUWNsnyl1N.n5EtLr.0"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits long for an answer."""
    monkeypatch.setattr(reach, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(sftp_session, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(sftp_source, "SILENT_SECONDS", 0.5)


@pytest.fixture
async def vault(tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    async with Vault(tmp_path).running() as running:
        yield running


@contextlib.asynccontextmanager
async def client(folder, known_hosts):
    async with bridge(replace(settings(folder), sources=("sftp://127.0.0.1",), known_hosts_file=known_hosts)):
        yield Bridge(folder / "firmware.sock")


async def test_a_file_comes_as_it_is(folder, vault):
    async with client(folder, vault.known(folder)) as asked:
        assert await fetched(asked, vault.url("a.bin")) == SHA256


async def test_a_name_is_what_the_url_escapes(folder, vault):
    (vault.folder / "neue Geräte").mkdir()
    (vault.folder / "neue Geräte" / "50%.bin").write_bytes(CONTENT)
    async with client(folder, vault.known(folder)) as asked:
        assert await fetched(asked, vault.url("neue%20Ger%C3%A4te/50%25.bin")) == SHA256


async def test_the_key_is_that_of_the_name_whatever_address_it_has(folder, vault):
    known = vault.known(folder, host=f"[localhost]:{vault.port}")
    async with client(folder, known) as asked:
        assert await fetched(asked, vault.url("a.bin", host="localhost")) == SHA256
        assert "known_hosts_file" in await refused(asked, vault.url("a.bin", host="127.0.0.1"))


async def test_a_broken_download_goes_on_where_it_was(folder, vault, soon):
    vault.at_offset = {150_000: "break", 300_000: "break"}
    async with client(folder, vault.known(folder)) as asked:
        assert await fetched(asked, vault.url("a.bin")) == SHA256
    assert len(vault.logins) == 3 and vault.reads.count(0) == 1


async def test_a_file_that_changed_between_two_parts_comes_anew(folder, vault, soon):
    other = os.urandom(len(CONTENT))
    vault.at_offset = {150_000: "break"}
    async with client(folder, vault.known(folder)) as asked:
        fetch = (await asked.fetch(vault.url("a.bin"))).id
        async with asyncio.timeout(10):
            while vault.at_offset:
                await asyncio.sleep(0)
        (vault.folder / "a.bin").write_bytes(other)
        os.utime(vault.folder / "a.bin", (1, 1))
        now = await ended(asked, fetch)
    assert now.sha256 == hashlib.sha256(other).hexdigest()
    assert vault.reads.count(0) == 2


async def test_a_file_that_changes_while_it_comes_is_no_file_yet(folder, vault, soon):
    vault.at_offset = {150_000: "change"}
    async with client(folder, vault.known(folder)) as asked:
        assert await fetched(asked, vault.url("a.bin")) == SHA256
    assert vault.reads.count(0) == 2


@pytest.mark.parametrize(
    ("login", "name", "told"),
    [
        ("vendor:not-it@", "a.bin", "neither user nor password"),
        ("nobody:geheim-%C3%A9@", "a.bin", "neither user nor password"),
        ("", "a.bin", "needs a user"),
        (LOGIN, "b.bin", "no such file"),
        (LOGIN, "shelf", "folder"),
        (LOGIN, "shelf/", "names no file"),
        (LOGIN, "a%00.bin", "characters"),
    ],
)
async def test_what_cannot_be_had_is_refused(folder, vault, login, name, told, capsys):
    (vault.folder / "shelf").mkdir()
    async with client(folder, vault.known(folder)) as asked:
        why = await refused(asked, vault.url(name, login))
    assert why.startswith("refused: ") and told in why
    for secret in ("vendor", "not-it", "nobody", "geheim"):
        assert secret not in why + capsys.readouterr().out


async def test_without_a_file_of_keys_no_server_is_asked(folder, vault):
    async with client(folder, None) as asked:
        why = await refused(asked, vault.url("a.bin"))
    assert "no host key is known" in why and "firmware_bridge.known_hosts_file" in why
    assert vault.logins == []


async def test_without_its_key_a_server_is_not_asked(folder, vault):
    async with client(folder, vault.known(folder, host="other.example")) as asked:
        why = await refused(asked, vault.url("a.bin"))
    assert "no key of 127.0.0.1" in why and "firmware_bridge.known_hosts_file" in why
    assert vault.logins == []


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_server_with_another_key_gets_no_password(folder, vault, kind):
    async with client(folder, vault.known(folder, key=asyncssh.generate_private_key(kind))) as asked:
        assert "firmware_bridge.known_hosts_file" in await refused(asked, vault.url("a.bin"))
    assert vault.logins == []


async def test_a_file_of_keys_that_is_none_is_named(folder, vault):
    (folder / "known_hosts").write_text("@revoked\n")
    async with client(folder, folder / "known_hosts") as asked:
        assert str(folder / "known_hosts") in await refused(asked, vault.url("a.bin"))


async def test_a_key_that_was_added_counts_at_once(folder, vault):
    async with client(folder, vault.known(folder, host="other.example")) as asked:
        await refused(asked, vault.url("a.bin"))
        vault.known(folder)
        assert await fetched(asked, vault.url("a.bin")) == SHA256


async def test_a_transfer_that_falls_silent_goes_on_later(folder, vault, soon, impatient):
    vault.at_offset = {150_000: "stop"}
    async with client(folder, vault.known(folder)) as asked:
        assert "no answer" in await hindered(asked, vault.url("a.bin"))
        assert await fetched(asked, vault.url("a.bin")) == SHA256
    assert vault.reads.count(0) == 1


async def test_a_server_that_says_nothing_is_given_up(folder, impatient):
    over = asyncio.Event()

    async def serve(_, writer):
        await over.wait()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        silent = Vault(folder, port=server.sockets[0].getsockname()[1])
        async with client(folder, silent.known(folder)) as asked:
            assert "no answer" in await hindered(asked, silent.url("a.bin"))
        over.set()


async def test_without_the_extra_a_url_is_refused_with_what_is_missing(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    async with client(folder, None) as asked:
        assert "[sftp]" in await refused(asked, "sftp://vendor@127.0.0.1/a.bin")


async def listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@contextlib.asynccontextmanager
async def openssh(folder):
    """An SFTP server with the files of a folder: OpenSSH's, in a mount namespace where it has a user of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        vault = Vault(folder, port=free.getsockname()[1])
    vault.key.write_private_key(folder / "key")
    (folder / "key").chmod(0o600)
    sshd_user = "sshd:x:65534:65534::/run/sshd:/usr/sbin/nologin"
    (folder / "passwd").write_text(f"root:x:0:0::/:/bin/sh\n{USER}:x:0:0::/:/bin/sh\n{sshd_user}\n")
    (folder / "shadow").write_text(f"{USER}:{CRYPTED}:20000:0:99999:7:::\n")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{vault.port}\nHostKey {folder}/key\nPidFile none\nUsePAM no\nPermitRootLogin yes\n"
        f"PasswordAuthentication yes\nStrictModes no\nSubsystem sftp internal-sftp -d {folder}\n"
    )
    own_world = (
        f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/shadow /etc/shadow && "
        f"mount -t tmpfs none /run && mkdir /run/sshd && exec {SSHD} -D -e -f {folder}/config"
    )
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", own_world]) as sshd:
        try:
            async with asyncio.timeout(10):
                while not await listens(vault.port):
                    assert sshd.poll() is None
                    await asyncio.sleep(0.05)
            yield vault
        finally:
            sshd.terminate()


@pytest.mark.skipif(
    SSHD is None or os.geteuid() != 0, reason="needs sshd (apt install openssh-server), and root to give it a user"
)
async def test_openssh_is_one_of_those_servers(folder, tmp_path, soon):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    async with openssh(tmp_path) as vault, client(folder, vault.known(folder)) as asked:
        assert await fetched(asked, vault.url(f"{tmp_path}/a.bin".lstrip("/"))) == SHA256
        assert "no such file" in await refused(asked, vault.url("b.bin"))
        assert "neither user nor password" in await refused(asked, vault.url("a.bin", "vendor:not-it@"))
        source = sources.parse(vault.url(f"{tmp_path}/a.bin".lstrip("/")))
        allowed = Reach([sources.allowed("sftp://127.0.0.1")], reach.tls(None), folder / "known_hosts")
        _, validator, _ = await taken(sftp_source.opened(source, allowed, 0, None))
        rest = await taken(sftp_source.opened(source, allowed, 300_000, validator))
        assert rest == (300_000, validator, CONTENT[300_000:])
        vault.known(folder, key=asyncssh.generate_private_key("ssh-ed25519"))
        assert "firmware_bridge.known_hosts_file" in await refused(asked, vault.url("c.bin"))
