"""A listener's certificate can be replaced while it runs, and whoever knocks in the meantime loses nothing."""

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog

from edge.chargers.door import HANDSHAKES_PER_ADDRESS, FailedHandshakes
from edge.chargers.roster import Roster
from edge.chargers.server import ChargerServer
from edge.config import ChargerDefaults, Config, Listener, Site
from edge.config.in_force import InForce
from edge.tls.contexts import CertificateUnusable
from edge.tls.failures import TLS_ON_A_PLAIN_PORT
from edge.tls.x509 import read_der
from edge.world import RandomIds, SystemClock
from tests.tls.authority import NOW


@asynccontextmanager
async def listening(config: Config):
    """The listeners of a site whose chargers are all unknown: whoever gets through TLS is answered 404."""
    clock = SystemClock()

    async def nobody(*_):
        raise AssertionError("nobody is adopted here")

    server = ChargerServer(InForce(config), Roster(clock, lambda _: None), None, clock, RandomIds(), nobody)
    await server.open()
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
def config(authority, tmp_path) -> Config:
    """With files that the test may replace; the two certificates are called "first" and "second"."""
    for name in ("first", "second"):
        pair = authority.issue(name, "DNS:localhost")
        shutil.copy(pair.cert_file, tmp_path / f"{name}.pem")
        shutil.copy(pair.key_file, tmp_path / f"{name}.key")
    for ending in ("pem", "key"):
        shutil.copy(tmp_path / f"first.{ending}", tmp_path / f"now.{ending}")
    listener = Listener("127.0.0.1", 0, "/ocpp", 2, cert_file=tmp_path / "now.pem", key_file=tmp_path / "now.key")
    plain = Listener("127.0.0.1", 0, "/ocpp", 1)
    return Config(Site("depot-7"), (plain, listener), chargers=ChargerDefaults(unknown="reject"))


def install(folder, name: str, *endings: str) -> None:
    for ending in endings or ("pem", "key"):
        shutil.copy(folder / f"{name}.{ending}", folder / f"now.{ending}")


async def knock(server: ChargerServer, authority):
    """A connection through TLS, and whose certificate was shown."""
    trusting = ssl.create_default_context(cafile=authority.certificate)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.doors[1].port, ssl=trusting, server_hostname="localhost"
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return reader, writer, read_der(der).subject.common_name


async def answered(reader, writer) -> bytes:
    writer.write(b"GET /ocpp/CP-01 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")  # fmt: skip
    status = await reader.readline()
    writer.close()
    return status


async def test_a_new_certificate_counts_from_the_next_handshake_and_cuts_no_connection(authority, config, tmp_path):
    async with listening(config) as server:
        reader, writer, shown = await knock(server, authority)
        assert shown == "first"
        install(tmp_path, "second")
        assert server.renew_certificates(config) == [f"127.0.0.1:{server.doors[1].port}"]
        *later, shown = await knock(server, authority)
        assert shown == "second"
        assert (await answered(reader, writer)).startswith(b"HTTP/1.1 404")
        assert (await answered(*later)).startswith(b"HTTP/1.1 404")
        assert [one.certificate.subject.common_name for one in server.certificates()] == ["second"]
        assert server.renew_certificates(config) == []


async def test_new_files_that_cannot_be_used_leave_the_old_certificate_in_use(authority, config, tmp_path):
    async with listening(config) as server:
        install(tmp_path, "second", "pem")  # the key has not been copied yet
        with pytest.raises(CertificateUnusable, match="is not the key of the certificate"):
            server.renew_certificates(config)
        *early, shown = await knock(server, authority)
        assert shown == "first"
        early[1].close()
        install(tmp_path, "second", "key")
        assert server.renew_certificates(config) != []


async def test_other_file_names_are_taken_from_the_configuration(authority, config, tmp_path):
    files = {"cert_file": tmp_path / "second.pem", "key_file": tmp_path / "second.key"}
    other = replace(config, listeners=(config.listeners[0], replace(config.listeners[1], **files)))
    async with listening(config) as server:
        assert server.renew_certificates(other) != []
        *later, shown = await knock(server, authority)
        assert shown == "second"
        later[1].close()


async def test_a_file_that_gives_tls_up_changes_nothing_before_the_restart(authority, config):
    """The profile waits for a restart; the certificate must not be gone before."""
    without = replace(config.listeners[1], cert_file=None, key_file=None)
    for listener in (without, replace(without, security_profile=1)):
        async with listening(config) as server:
            assert server.renew_certificates(replace(config, listeners=(config.listeners[0], listener))) == []
            *later, shown = await knock(server, authority)
            assert shown == "first"
            later[1].close()


async def test_a_listener_without_its_files_does_not_open(config, tmp_path):
    (tmp_path / "now.key").unlink()
    with pytest.raises(CertificateUnusable, match="now.key: cannot be read"):
        async with listening(config):
            pass


async def test_what_comes_with_the_end_of_the_handshake_is_not_lost(authority, config):
    """A charger may send its HTTP request in the same packet as the last message of TLS."""
    async with listening(config) as server:
        trusting = ssl.create_default_context(cafile=authority.certificate)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.doors[1].port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        tls.write(b"GET /ocpp/CP-01 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")  # fmt: skip
        writer.write(outgoing.read())  # Finished and the request at once
        answer = b""
        async with asyncio.timeout(5):
            while not answer:
                incoming.write(await reader.read(65536))
                try:
                    answer = tls.read(4096)
                except ssl.SSLWantReadError:
                    continue
        assert answer.startswith(b"HTTP/1.1 404")
        writer.close()


async def test_more_handshakes_of_one_address_than_may_run_at_once_take_turns(authority, config):
    async with listening(config) as server:
        many = await asyncio.wait(
            [
                asyncio.get_running_loop().create_task(knock(server, authority))
                for _ in range(2 * HANDSHAKES_PER_ADDRESS)
            ]
        )
        shown = [task.result() for task in many[0]]
        assert {name for *_, name in shown} == {"first"}
        for _, writer, _ in shown:
            writer.close()


class Clock:
    seconds = 0.0

    def monotonic(self):
        return self.seconds

    def utc_now(self):
        return NOW


def test_failures_are_all_counted_but_told_once_a_minute_for_each_address():
    clock = Clock()
    failed = FailedHandshakes(clock)
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            failed.note(8443, "192.0.2.1", TLS_ON_A_PLAIN_PORT)
        assert [(line["address"], line["untold_before"]) for line in lines] == [("192.0.2.1", 0)]
        clock.seconds = 61.0
        failed.note(8443, "192.0.2.1", TLS_ON_A_PLAIN_PORT)
        assert lines[1]["untold_before"] == 4
        for number in range(1000):
            failed.note(8443, f"198.51.100.{number}", TLS_ON_A_PLAIN_PORT)
        assert len(lines) == 31
        clock.seconds = 122.0
        failed.note(8443, "192.0.2.1", TLS_ON_A_PLAIN_PORT)
        assert lines[31]["untold_before"] == 1000 - 29
    assert failed.by_cause == {"tls": 1007}
    assert failed.last.address == "192.0.2.1"
