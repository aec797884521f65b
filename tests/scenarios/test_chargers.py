"""Who may connect, how chargers are known, and what bad input gets."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest
from simulators.charger import Charger
from simulators.wire import CallRefused
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

KEY = b"0123456789abcdef"


def basic(user: str, password: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user.encode() + b":" + password).decode()}


async def handshake(url: str, **headers: object) -> int:
    """HTTP status of an attempt to connect; 101 when it succeeds."""
    try:
        async with connect(url, subprotocols=["ocpp1.6"], proxy=None, **headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize(
    ("identity", "headers", "status"),
    [
        ("CP-01", basic("CP-01", KEY), 101),
        ("CP-01", {}, 401),
        ("CP-01", basic("CP-01", b"wrong"), 401),
        ("CP-01", basic("CP-02", KEY), 401),
        ("CP-02", basic("CP-02", bytes.fromhex("00112233445566778899aabbccddeeff")), 101),
        ("CP-02", basic("CP-02", b"00112233445566778899aabbccddeeff"), 101),
        ("UNKNOWN", basic("UNKNOWN", KEY), 404),
        ("", basic("", KEY), 404),
        ("CP-01?z", {}, 401),
        ("CP-01/", {}, 401),
        ("/CP-01", {}, 401),
        ("CP%2D01", basic("CP-01", KEY), 101),
    ],
)
async def test_only_a_known_charger_with_its_password_gets_in(folder, identity, headers, status):
    chargers = (
        ChargerSettings("CP-01", password=KEY),
        ChargerSettings("CP-02", password=b"00112233445566778899aabbccddeeff"),
    )
    config = configuration(folder, chargers=chargers, security_profile=1, unknown="reject")
    async with Site(config).running() as site:
        assert await handshake(f"{site.url}/{identity}", additional_headers=headers) == status


async def test_a_charger_that_has_a_password_shows_it_on_every_listener(folder):
    """A listener of profile 0 is for those that have none: or anybody could take the place of the others there."""
    chargers = (ChargerSettings("CP-01", password=KEY), ChargerSettings("OPEN"))
    config = configuration(folder, chargers=chargers, security_profile=1)
    asking = config.listeners[0]
    config = replace(config, listeners=(replace(asking, security_profile=0), asking))
    async with Site(config).running() as site:
        for port in site.daemon.charger_ports:
            url = f"ws://127.0.0.1:{port}/ocpp/CP-01"
            assert await handshake(url) == 401
            assert await handshake(url, additional_headers=basic("CP-01", b"wrong")) == 401
            assert await handshake(url, additional_headers=basic("CP-01", KEY)) == 101
        without, asking_port = site.daemon.charger_ports
        assert await handshake(f"ws://127.0.0.1:{without}/ocpp/OPEN") == 101
        assert await handshake(f"ws://127.0.0.1:{without}/ocpp/OPEN", additional_headers=basic("OPEN", KEY)) == 101
        assert await handshake(f"ws://127.0.0.1:{asking_port}/ocpp/OPEN") == 401


async def test_a_charger_that_was_adopted_with_a_password_shows_it_where_none_is_asked_for(folder):
    async with Site(configuration(folder)).running() as site:
        knocking = Charger("NEW", site.url, password=KEY, meter_interval_s=0)
        async with knocking.running():
            await site.until(
                "chargers", lambda d: [c for c in d["chargers"] if c["state"] == "pending" and c["vendor"]]
            )
            await site.ask("adopt", charger="NEW")
    async with Site(site.config).running() as site:  # as the store has it
        assert await handshake(f"{site.url}/NEW") == 401
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", KEY)) == 101


async def test_a_password_is_nowhere_in_the_store(folder):
    config = configuration(folder, security_profile=1)
    async with Site(config).running() as site:
        knocking = Charger("NEW", site.url, password=KEY, meter_interval_s=0)
        async with knocking.running():
            await site.until(
                "chargers", lambda d: [c for c in d["chargers"] if c["state"] == "pending" and c["vendor"]]
            )
            await site.ask("adopt", charger="NEW")
            await knocking.wait_for(lambda: knocking.boots)
    content = b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("edge.db"))
    assert b"NEW" in content
    assert KEY not in content
    async with Site(config).running() as site:
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", KEY)) == 101
        assert await handshake(f"{site.url}/NEW", additional_headers=basic("NEW", b"other")) == 401


async def test_a_pending_charger_is_answered_but_nothing_of_it_is_stored_until_it_is_adopted(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url)).running() as site:
        async with connect(f"{site.url}/NEW-1", subprotocols=["ocpp1.6"], proxy=None) as socket:
            boot = {"chargePointVendor": "V", "chargePointModel": "M"}
            assert (await call(socket, "BootNotification", boot))[2]["status"] == "Pending"
            assert "currentTime" in (await call(socket, "Heartbeat", {}))[2]
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            assert (await call(socket, "StatusNotification", status))[2] == {}
            start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
            assert (await call(socket, "StartTransaction", start))[2] == "SecurityError"
            pending = await site.until("chargers", lambda d: [c for c in d["chargers"] if c["state"] == "pending"])
            assert (pending[0]["vendor"], pending[0]["upstream_connectors"]) == ("V", [])
            assert (await site.ask("sessions"))["sessions"] == []
            assert (await site.ask("trace", subject="NEW-1"))["error"]["code"] == "no_such_subject"
            assert (await site.ask("adopt", charger="NEW-1"))["state"] == "online"
            assert (await call(socket, "BootNotification", boot))[2]["status"] == "Accepted"
            assert (await call(socket, "StartTransaction", start))[2]["transactionId"] > 0
        assert (await site.ask("adopt", charger="NOBODY"))["error"]["code"] == "no_such_charger"


async def test_a_known_charger_that_reconnects_without_booting_is_served(folder, csms):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0, boot_on_reconnect=False)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await charger.disconnect()
            await charger.connect()
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await csms.wait_for(lambda: csms.calls("StartTransaction"))
            assert len(charger.boots) == 1


async def test_connectors_are_counted_from_the_configuration_and_numbered_all_together(folder, csms):
    chargers = (ChargerSettings("A"), ChargerSettings("B", evses=(1,)))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        charger = Charger("A", site.url, connectors=3, meter_interval_s=0)
        async with charger.running():
            await site.until("chargers", lambda d: d["chargers"][0]["upstream_connectors"] == [2, 3, 4])
            assert (await site.ask("chargers"))["chargers"][1]["upstream_connectors"] == [1]
            await csms.wait_for(lambda: {one.connector for one in csms.calls("StatusNotification")} >= {0, 1, 2, 3, 4})


async def test_a_session_that_begins_before_the_connectors_are_counted_goes_up_under_its_number(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("A"),))).running() as site:
        await csms.wait_registered(IDENTITY)
        async with connect(f"{site.url}/A", subprotocols=["ocpp1.6"], proxy=None) as socket:
            start = {"connectorId": 2, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
            answer = await call(socket, "StartTransaction", start)
            assert answer[2]["idTagInfo"]["status"] == "Accepted"
            boot = {"chargePointVendor": "V", "chargePointModel": "M"}
            await socket.send(json.dumps([2, "boot", "BootNotification", boot]))
            # Asked for its configuration, it says that it has two connectors.
            while True:
                frame = json.loads(await socket.recv())
                if frame[0] == 2 and frame[2] == "GetConfiguration":
                    key = {"key": "NumberOfConnectors", "readonly": True, "value": "2"}
                    await socket.send(json.dumps([3, frame[1], {"configurationKey": [key]}]))
                    break
            got = await csms.wait_for(lambda: csms.calls("StartTransaction"))
            assert got[0].payload["connectorId"] == 2


async def test_only_what_differs_is_written_into_a_charger(folder):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        charger.configure("HeartbeatInterval", "300")
        charger.configure("MeterValueSampleInterval", "60")
        async with charger.running():
            written = await charger.wait_for(lambda: [p for a, p in charger.requests if a == "ChangeConfiguration"])
            assert written == [{"key": "MeterValueSampleInterval", "value": "30"}]
            await charger.disconnect()
            charger.boot_again()
            await charger.connect()
            await charger.wait_for(lambda: len([a for a, _ in charger.requests if a == "GetConfiguration"]) == 2)
            assert len([a for a, _ in charger.requests if a == "ChangeConfiguration"]) == 1


async def test_the_newest_connection_of_an_identity_wins(folder, csms):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        url = f"{site.url}/CP-01"
        async with connect(url, subprotocols=["ocpp1.6"], proxy=None) as first:
            await call(first, "Heartbeat", {})
            async with connect(url, subprotocols=["ocpp1.6"], proxy=None) as second:
                await call(second, "Heartbeat", {})
                with pytest.raises(ConnectionClosed):
                    await first.recv()
                start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
                assert (await call(second, "StartTransaction", start))[2]["transactionId"] > 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[2,"a","BootNotification",{}]', "ProtocolError"),
        ('[2,"a","Heartbeat",{"extra":1}]', "FormationViolation"),
        (
            '[2,"a","StatusNotification",{"connectorId":"x","errorCode":"NoError","status":"Available"}]',
            "TypeConstraintViolation",
        ),
        ('[2,"a","Nonsense",{}]', "NotImplemented"),
        ('[2,"a","RemoteStartTransaction",{"idTag":"A"}]', "NotSupported"),
        ('[2,"a","SignCertificate",{"csr":"x"}]', "NotSupported"),
        ('[2,"a","StartTransaction",{"idTag":"no connector"}]', "ProtocolError"),
        ('[2,"a","StopTransaction",{"timestamp":"2026-11-21T10:00:00Z"}]', "ProtocolError"),
        ('[2,"a","Heartbeat",{"a":1,"a":2}]', "FormationViolation"),
        ('[2,"a","Heartbeat",' + "[" * 100 + "]" * 100 + "]", "FormationViolation"),
    ],
)
async def test_bad_input_gets_the_right_callerror_is_counted_and_the_connection_lives(folder, text, code):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await socket.send(text)
            answer = json.loads(await socket.recv())
            assert (answer[0], answer[1], answer[2]) == (4, "a", code)
            assert "currentTime" in (await call(socket, "Heartbeat", {}))[2]
            document = await site.ask("chargers", charger="CP-01")
            assert document["chargers"][0]["refused_messages"] == {code: 1}


@pytest.mark.parametrize(
    "text", ["", "garbage", "[]", "[9,1]", '{"a":1}', "[3]", '[3,"never-asked",{}]', "null", "[2,7]"]
)
async def test_what_is_no_ocpp_frame_is_dropped_and_the_connection_lives(folder, text):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await socket.send(text)
            await socket.send('[2,"after","Heartbeat",{}]')
            while (answer := json.loads(await socket.recv()))[1] != "after":
                assert answer[0] == 4
            assert answer[0] == 3


async def test_too_large_a_frame_closes_with_1009_and_binary_with_1003(folder):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        for message, code in (("x" * 300_000, 1009), (b"binary", 1003)):
            async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
                await socket.send(message)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd.code == code


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StartTransaction", {"connectorId": 1, "idTag": "A" * 30, "meterStart": "5", "timestamp": "yesterday"}),
        ("MeterValues", {"connectorId": 1, "meterValue": {"timestamp": "x", "sampledValue": [{"value": 7.5}]}}),
        ("StopTransaction", {"transactionId": -1, "meterStop": 3.7, "timestamp": None, "idTag": "A"}),
    ],
)
async def test_a_flawed_transaction_message_that_still_tells_is_kept_and_flagged(folder, action, payload):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            assert (await call(socket, action, payload))[0] == 3
            trace = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
            entry = next(one for one in trace if one["action"] == action)
            assert json.loads(entry["text"])[3] == payload
            assert "schema_violated" in entry["summary"]


async def test_a_flood_of_unanswered_calls_closes_the_connection(folder):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    async with Site(configuration(folder, chargers=chargers)).running() as site:
        async with connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(10):
                    for number in range(5000):
                        start = {
                            "connectorId": 1,
                            "idTag": "A",
                            "meterStart": number,
                            "timestamp": "2026-11-21T10:00:00Z",
                        }
                        await socket.send(json.dumps([2, str(number), "StartTransaction", start]))
                    while True:
                        await socket.recv()
            assert closed.value.rcvd.code == 1008


async def test_a_repeated_start_is_the_same_transaction_and_a_repeated_stop_is_answered_again(folder, csms):
    chargers = (ChargerSettings("CP-01", evses=(1, 1)),)
    config = configuration(folder, csms_url=csms.url, chargers=chargers)
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
    ids = []
    for _ in range(2):  # also over a restart
        async with (
            Site(config).running() as site,
            connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket,
        ):
            ids += [(await call(socket, "StartTransaction", start))[2]["transactionId"] for _ in range(2)]
            await site.until("status", lambda d: d["backlog"]["messages"] == 0 and d["uplink"]["state"] == "accepted")
    assert len(set(ids)) == 1
    values = {
        "connectorId": 1,
        "transactionId": ids[0],
        "meterValue": [{"timestamp": "2026-11-21T10:01:00Z", "sampledValue": [{"value": "10"}]}],
    }
    stop = {"transactionId": ids[0], "meterStop": 20, "timestamp": "2026-11-21T10:02:00Z"}
    for _ in range(2):
        async with (
            Site(config).running() as site,
            connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket,
        ):
            for _ in range(2):
                assert (await call(socket, "MeterValues", values))[2] == {}
            for _ in range(2):
                assert (await call(socket, "StopTransaction", stop))[2] == {}
            await site.until("status", lambda d: d["backlog"]["messages"] == 0 and d["uplink"]["state"] == "accepted")
    assert [one.action for one in csms.received if one.transaction is not None] == [
        "StartTransaction", "MeterValues", "StopTransaction",
    ]  # fmt: skip


async def test_another_chargers_transaction_id_touches_nothing_of_it(folder, csms):
    chargers = (ChargerSettings("CP-01", evses=(1,)), ChargerSettings("CP-02", evses=(1,)))
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
        async with (
            connect(f"{site.url}/CP-01", subprotocols=["ocpp1.6"], proxy=None) as victim,
            connect(f"{site.url}/CP-02", subprotocols=["ocpp1.6"], proxy=None) as other,
        ):
            own = (await call(victim, "StartTransaction", start))[2]["transactionId"]
            stop = {"transactionId": own, "meterStop": 9, "timestamp": "2026-11-21T10:02:00Z"}
            assert (await call(other, "StopTransaction", stop))[2] == {}
            sessions = (await site.ask("sessions"))["sessions"]
            assert [session["state"] for session in sessions] == ["open"]
            parked = (await site.ask("queue"))["entries"]
            assert [
                (one["state"], one["charger"], one["error"]["code"]) for one in parked if one["state"] == "parked"
            ] == [("parked", "CP-02", "orphan_stop")]


async def call(socket, action: str, payload: dict) -> list:
    """One CALL and its answer; CALLs of the controller are answered NotSupported meanwhile."""
    message_id = f"{action}-{id(payload)}"
    await socket.send(json.dumps([2, message_id, action, payload]))
    async with asyncio.timeout(10):
        while True:
            frame = json.loads(await socket.recv())
            if frame[0] == 2:
                await socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))
            elif frame[1] == message_id:
                return frame


__all__ = ["CallRefused"]


async def test_no_way_of_writing_the_path_lets_a_stranger_in_under_a_chargers_name(folder):
    """A fragment was once read differently by admission and by service: in without a password."""
    chargers = (ChargerSettings("CP-01", password=KEY, evses=(1, 1)),)
    config = configuration(folder, chargers=chargers, security_profile=1, unknown="pending")
    async with Site(config).running() as site:
        host, port = site.url.removeprefix("ws://").split("/")[0].split(":")
        for path in (
            "/ocpp/CP-01#z",
            "/ocpp/CP-01%23z",
            "/ocpp/CP-01;z",
            "/ocpp/CP-01?#",
            "/ocpp/x/../CP-01",
            "http://h/ocpp/CP-01#y",
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
            )
            await reader.readline()
            known = (await site.ask("chargers"))["chargers"][0]
            assert (known["id"], known["state"]) == ("CP-01", "offline"), path
            writer.close()
            await writer.wait_closed()
