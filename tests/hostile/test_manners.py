"""What everybody has to keep to who connects, in small; that it bounds what the daemon holds is in `test_guards.py`."""

import asyncio
import contextlib

import pytest
from websockets.asyncio.client import connect

from edge.chargers.manners import CONTROLS_AT_MOST, REQUEST_AT_MOST, Asking, Controls, Misbehaved
from edge.chargers.threshold import ALTOGETHER, PER_ADDRESS, Threshold
from edge.config import ChargerSettings
from edge.connection import is_worth_a_line
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, call_text
from edge.ocppj.peer import UNANSWERED_TEXTS, CallReceived, Flooded, RpcPeer
from tests.hostile.attackers import PING, frame, upgraded
from tests.scenarios.site import Site, configuration, short_folder

REQUEST = b"GET /ocpp/CP-01 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("size", [1, 2, 7, len(REQUEST)])
def test_a_request_is_read_when_it_is_there_as_a_whole(size):
    asking = Asking()
    pieces = [asking.take(REQUEST[at : at + size]) for at in range(0, len(REQUEST), size)]
    assert pieces == [b""] * (len(pieces) - 1) + [REQUEST]


def test_what_is_no_request_is_handed_on_at_once():
    assert Asking().take(b"\x16\x03\x01") == b"\x16\x03\x01"
    asking = Asking()
    assert asking.take(b"GE") == b""
    assert asking.take(b"M") == b"GEM"


def test_nothing_may_follow_a_request_before_it_is_answered():
    assert isinstance(Asking().take(REQUEST + b"\x81"), Misbehaved)
    asking = Asking()
    assert asking.take(REQUEST) == REQUEST
    assert isinstance(asking.take(b"\x81"), Misbehaved)


def test_a_request_may_be_so_long_and_no_longer():
    longest = REQUEST[:-2] + b"X: " + b"y" * (REQUEST_AT_MOST - len(REQUEST) - 5) + b"\r\n\r\n"
    assert len(longest) == REQUEST_AT_MOST
    assert Asking().take(longest) == longest
    asking = Asking()
    assert asking.take(longest[:-4]) == b""
    assert isinstance(asking.take(b"y" * 5), Misbehaved)


def test_pings_are_counted_by_the_minute():
    controls = Controls()
    assert not any(controls.are_too_many(1.0) for _ in range(CONTROLS_AT_MOST))
    assert controls.are_too_many(60.9)
    assert not controls.are_too_many(61.0)


def test_what_happens_all_the_time_is_told_now_and_then():
    assert [times for times in range(1, 1000) if is_worth_a_line(times)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_of_long_texts_fewer_may_wait_for_their_answer():
    peer = RpcPeer("1.6", Sender.STATION, CHARGER_LIMITS)
    long = {"vendorId": "v", "data": "x" * (CHARGER_LIMITS.max_characters - 100)}
    received = [
        peer.receive(call_text(str(number), "DataTransfer", long), 0.0) for number in range(UNANSWERED_TEXTS + 1)
    ]
    assert [type(one) for one in received] == [CallReceived] * UNANSWERED_TEXTS + [Flooded]
    peer.answer("0", {})
    assert isinstance(peer.receive(call_text("n", "DataTransfer", long), 0.0), CallReceived)


def test_whoever_holds_all_places_makes_room_for_another_address():
    threshold = Threshold(altogether=8)
    for number in range(8):
        assert threshold.enter(number, f"192.0.2.{number // 2}") is None
    assert threshold.in_the_way_of("192.0.2.1") is None
    assert threshold.in_the_way_of("198.51.100.1") == 0
    threshold.leave(0)
    assert threshold.in_the_way_of("198.51.100.1") is None


async def test_a_charger_gets_in_at_once_although_strangers_have_taken_all_places():
    with short_folder() as folder:
        async with Site(configuration(folder, chargers=(ChargerSettings("CP-01"),))).running() as site:
            port = site.daemon.charger_ports[0]
            silent = [
                await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.9.{1 + number // PER_ADDRESS}", 0))
                for number in range(ALTOGETHER + 10)
            ]
            async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], local_addr=("127.0.0.1", 0)):
                await site.until("chargers", lambda d: d["chargers"][0]["state"] == "online")
            for _, writer in silent:
                writer.transport.abort()


async def test_who_pings_all_the_time_is_dropped_and_told_of():
    with short_folder() as folder:
        async with Site(configuration(folder, chargers=(ChargerSettings("CP-01"),))).running() as site:
            async with upgraded(site.daemon.charger_ports[0], "127.0.9.9", "CP-01") as (reader, writer, _):
                writer.write(frame(PING, b"p") * (CONTROLS_AT_MOST + 1))
                async with asyncio.timeout(10):
                    with contextlib.suppress(ConnectionResetError):
                        while await reader.read(65536):
                            pass
            (door,) = site.daemon.inside._parts.chargers.doors
            assert [why for why in door.turned_away if "pings" in why]
