"""Whoever opens connections and says nothing keeps no charger out, and a yard that comes back at once gets in."""

import asyncio
import contextlib

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidMessage

from edge.chargers.threshold import ALTOGETHER, PER_ADDRESS, Seldom, Threshold, network_of
from edge.config import ChargerSettings
from tests.scenarios.site import Site, configuration
from tests.scenarios.test_chargers import basic

KEY = b"0123456789abcdef0123"
STRANGER = "127.0.9.9"


def port_of(site: Site) -> int:
    return site.daemon.charger_ports[0]


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


async def comes(site: Site, name: str, address: str) -> object:
    """As a charger does: until it is let in."""
    while True:
        with contextlib.suppress(OSError, InvalidHandshake, InvalidMessage, EOFError):
            return await connect(
                f"{site.url}/{name}", subprotocols=["ocpp1.6"], compression=None, local_addr=(address, 0)
            )


async def all_come(site: Site, callers: list[tuple[str, str]]) -> None:
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        coming = [tasks.create_task(comes(site, name, address)) for name, address in callers]
    await site.until("chargers", lambda d: all(one["state"] == "online" for one in d["chargers"]))
    for task in coming:
        await task.result().close()


async def test_who_says_nothing_holds_so_many_connections_and_no_charger_is_kept_out(folder):
    async with Site(configuration(folder, chargers=(ChargerSettings("CP-01"),))).running() as site:
        with structlog.testing.capture_logs() as lines:
            opened = [
                await asyncio.open_connection("127.0.0.1", port_of(site), local_addr=(STRANGER, 0))
                for _ in range(PER_ADDRESS + 20)
            ]
            for _, writer in opened:
                with contextlib.suppress(OSError):
                    writer.write(b"GET /oc")
            async with asyncio.timeout(5):
                assert all([await is_cut_off(reader) for reader, _ in opened[PER_ADDRESS:]])
            (line,) = [one for one in lines if one["event"] == "connection_refused"]
            assert (line["address"], line["untold_before"]) == (STRANGER, 0)
            assert not any(reader.at_eof() for reader, _ in opened[:PER_ADDRESS])
            await all_come(site, [("CP-01", "127.0.0.1")])
        for _, writer in opened:
            writer.close()
        await all_come(site, [("CP-01", STRANGER)])  # who has gone has made room


async def test_a_hundred_chargers_behind_one_router_all_get_in(folder):
    names = [f"CP-{number:03}" for number in range(100)]
    config = configuration(folder, chargers=tuple(map(ChargerSettings, names)))
    async with Site(config).running() as site:
        await all_come(site, [(name, "127.0.0.1") for name in names])


async def test_two_hundred_chargers_that_come_back_at_once_all_get_in_beside_a_stranger(folder):
    names = [f"CP-{number:03}" for number in range(200)]
    config = configuration(folder, chargers=tuple(map(ChargerSettings, names)))
    async with Site(config).running() as site:
        silent = [
            await asyncio.open_connection("127.0.0.1", port_of(site), local_addr=(STRANGER, 0))
            for _ in range(PER_ADDRESS)
        ]
        await all_come(site, [(name, f"127.0.1.{number + 1}") for number, name in enumerate(names)])
        for _, writer in silent:
            writer.close()


async def test_who_is_refused_is_told_once_a_minute_and_what_it_offers_is_told_in_short(folder):
    config = configuration(folder, chargers=(ChargerSettings("CP-01", password=KEY),), security_profile=1)
    async with Site(config).running() as site:
        with structlog.testing.capture_logs() as lines:
            for _ in range(5):
                with contextlib.suppress(InvalidHandshake):
                    await connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"])
                async with connect(
                    f"{site.url}/CP-01", subprotocols=["token" * 800], additional_headers=basic("CP-01", KEY)
                ) as socket:
                    await socket.wait_closed()
        (refused,) = [one for one in lines if one["event"] == "handshake_refused"]
        assert (refused["why"], refused["address"]) == ("no password", "127.0.0.1")
        (without,) = [one for one in lines if one["event"] == "no_common_version"]
        assert without["offered"] == "token" * 16


def test_over_all_addresses_there_is_an_end_too():
    threshold = Threshold(altogether=16)
    waiting = [(number, f"192.0.2.{number % 8}") for number in range(16)]
    assert [threshold.enter(*one) for one in waiting] == [None] * 16
    assert threshold.enter("one more", "198.51.100.1") == "16 connections have not logged in"
    threshold.leave(3)
    threshold.leave(3)
    assert len(threshold.waiting()) == 15
    assert threshold.enter("one more", "198.51.100.1") is None
    for number, _ in waiting:
        threshold.leave(number)
    assert len(threshold.waiting()) == 1


def test_of_one_address_there_is_an_end_sooner():
    threshold = Threshold(altogether=ALTOGETHER)
    taken = [threshold.enter(number, "192.0.2.1") for number in range(100)]
    assert taken.count(None) == PER_ADDRESS == 64
    assert threshold.enter("another", "192.0.2.2") is None
    assert len(threshold.waiting()) == 65


def test_one_ipv6_network_is_one_address():
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::2%eth0")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("unknown") == "unknown"


def test_what_was_not_told_is_told_by_its_number():
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    seldom = Seldom(clock)
    assert [seldom.untold_before("a") for _ in range(4)] == [0, None, None, None]
    clock.now = 61.0
    assert seldom.untold_before("a") == 3
