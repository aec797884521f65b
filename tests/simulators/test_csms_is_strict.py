"""What the simulated cloud writes down about a station that breaks the rules."""

import asyncio

import pytest
from simulators.csms import Rule
from simulators.wire import dial, encode, parse
from websockets.exceptions import ConnectionClosed

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.fixture
async def station(csms):
    """A bare connection: the test decides every frame."""
    async with dial(csms.url, "ST", None, ["ocpp1.6"]) as socket:
        yield socket


async def answer(socket):
    return parse(await socket.recv())


async def boot(socket):
    await socket.send(encode(2, "boot", "BootNotification", BOOT))
    assert (await answer(socket))[2]["status"] == "Accepted"


def rules(csms):
    return [violation.rule for violation in csms.violations]


async def test_a_call_before_the_boot_is_refused_and_noted(csms, station):
    await station.send(encode(2, "1", "Heartbeat", {}))
    assert (await answer(station))[:3] == [4, "1", "SecurityError"]
    assert rules(csms) == [Rule.NOT_REGISTERED]


async def test_what_the_schema_forbids_is_refused_and_noted(csms, station):
    await boot(station)
    await station.send(encode(2, "1", "Authorize", {"idTag": "x" * 21}))
    assert (await answer(station))[:3] == [4, "1", "TypeConstraintViolation"]
    await station.send(encode(2, "2", "Authorize", {}))
    assert (await answer(station))[:3] == [4, "2", "ProtocolError"]
    await station.send(encode(2, "3", "Nonsense", {}))
    assert (await answer(station))[:3] == [4, "3", "NotImplemented"]
    assert rules(csms) == [Rule.SCHEMA] * 3


async def test_a_lenient_cloud_processes_what_the_schema_forbids(csms, station):
    csms.refuses_malformed = False
    await boot(station)
    await station.send(encode(2, "1", "Authorize", {"idTag": "x" * 21, "vendor": {"a": 1}}))
    assert (await answer(station)) == [3, "1", {"idTagInfo": {"status": "Accepted"}}]
    assert csms.calls("Authorize")[0].payload["vendor"] == {"a": 1}


async def test_a_second_call_before_the_answer_is_noted(csms, station):
    await boot(station)
    csms.delay("Heartbeat", 0.02, times=1)
    await station.send(encode(2, "1", "Heartbeat", {}))
    await station.send(encode(2, "2", "Authorize", {"idTag": "A"}))
    assert [(await answer(station))[1] for _ in range(2)] == ["2", "1"]
    assert rules(csms) == [Rule.SECOND_CALL]


async def test_a_second_call_after_the_timeout_of_the_station_is_right(csms, station):
    await boot(station)
    csms.station_timeout_s = 0
    csms.delay("Heartbeat", 0.02, times=1)
    await station.send(encode(2, "1", "Heartbeat", {}))
    await station.send(encode(2, "2", "Heartbeat", {}))
    assert [(await answer(station))[1] for _ in range(2)] == ["2", "1"]
    assert not csms.violations


async def test_a_message_id_that_is_used_twice_is_noted(csms, station):
    await boot(station)
    for _ in range(2):
        await station.send(encode(2, "1", "Heartbeat", {}))
        await answer(station)
    assert rules(csms) == [Rule.MESSAGE_ID_REUSED]


async def test_an_answer_that_nobody_asked_for_is_noted(csms, station):
    await station.send(encode(3, "never", {}))
    await csms.wait_for(lambda: csms.violations)
    assert rules(csms) == [Rule.UNASKED_ANSWER]


@pytest.mark.parametrize(
    "text", ["", "hello", "{}", "[2]", '[2,"1","Heartbeat"]', '[9,"1","Heartbeat",{}]', '[2,1,"A",{}]']
)
async def test_what_is_no_message_is_noted(csms, station, text):
    await station.send(text)
    await csms.wait_for(lambda: csms.violations)
    assert rules(csms) == [Rule.NOT_OCPP]


async def test_a_malformed_answer_to_a_command_is_noted(csms, station):
    await boot(station)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(csms.call("ST", "ClearCache", {}))
        command = await answer(station)
        await station.send(encode(3, command[1], {"status": "Maybe"}))
    assert asked.result() == {"status": "Maybe"}
    assert rules(csms) == [Rule.SCHEMA]


async def test_a_late_answer_is_neither_taken_nor_a_violation(csms, station):
    await boot(station)
    with pytest.raises(TimeoutError):
        await csms.call("ST", "ClearCache", {}, 0.01)
    command = await answer(station)
    await station.send(encode(3, command[1], {"status": "Accepted"}))
    await station.send(encode(2, "1", "Heartbeat", {}))
    await answer(station)
    assert not csms.violations


async def test_the_newest_connection_of_an_identity_counts(csms, station):
    await boot(station)
    async with dial(csms.url, "ST", None, ["ocpp1.6"]) as newest:
        with pytest.raises(ConnectionClosed):
            await station.recv()
        await newest.send(encode(2, "1", "Heartbeat", {}))
        assert (await answer(newest))[0] == 3
        assert list(csms.stations) == ["ST"]
    assert not csms.violations
