"""The programs of this folder themselves, against our simulators: a violation of the schema is not overlooked."""

import pytest
from simulators.charger import Charger
from simulators.wire import CallRefused

from tests.independent.parties import CommandFailed, NodeCharger, NodeCsms


async def test_the_charger_notices_an_invalid_answer(stack, csms):
    with pytest.raises(AssertionError, match="CALLRESULT Heartbeat received: .*currentTime"):
        async with NodeCharger(stack, "CP-01", csms.url).running() as charger:
            await charger.do("connect")
            csms.answer_with("Heartbeat", {"currentTime": "noon"})
            with pytest.raises(CommandFailed):
                await charger.do("call", action="Heartbeat", payload={})


async def test_the_charger_notices_an_invalid_command(stack, csms):
    with pytest.raises(AssertionError, match="CALL UnlockConnector received: .*connectorId"):
        async with NodeCharger(stack, "CP-01", csms.url).running() as charger:
            await charger.do("connect")
            with pytest.raises(CallRefused):
                await csms.call("CP-01", "UnlockConnector", {})


async def test_the_cloud_notices_an_invalid_message_and_an_invalid_answer(stack):
    with pytest.raises(AssertionError, match=r"CALL Authorize received: .*CALLRESULT GetConfiguration received: "):
        async with NodeCsms(stack, "CP-01").running() as csms:
            charger = Charger("CP-01", csms.url, meter_interval_s=0)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                with pytest.raises(CallRefused):
                    await charger.ask("Authorize", {"idTag": ["A"]})
                charger.configuration["HeartbeatInterval"].value = 300  # type: ignore[assignment]
                with pytest.raises(CommandFailed):
                    await csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]})


async def test_the_charger_obeys_and_comes_back_after_a_reset(stack, csms):
    async with NodeCharger(stack, "CP-01", csms.url).running() as charger:
        await charger.do("connect")
        asked = {"key": ["HeartbeatInterval", "Nope"]}
        assert await csms.call("CP-01", "GetConfiguration", asked) == {
            "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "900"}],
            "unknownKey": ["Nope"],
        }
        readonly = {"key": "NumberOfConnectors", "value": "3"}
        assert await csms.call("CP-01", "ChangeConfiguration", readonly) == {"status": "Rejected"}
        await charger.do("start", connector=1, idTag="A")
        assert await csms.call("CP-01", "Reset", {"type": "Soft"}) == {"status": "Accepted"}
        await csms.wait_for(lambda: len(csms.calls("BootNotification")) == 2)
        assert [call.payload["reason"] for call in csms.calls("StopTransaction")] == ["SoftReset"]
        await charger.wait_for(lambda: len(charger.told("connected")) == 2)
        await charger.wait_for(lambda: len([c for c in charger.talk.of("out", "StatusNotification") if c.answer]) >= 9)
    assert csms.violations == []


async def test_a_program_that_ends_by_itself_is_noticed(stack):
    charger = NodeCharger(stack, "CP-01", "ws://127.0.0.1:9/ocpp")
    with pytest.raises(AssertionError, match="has ended by itself"):
        async with charger.running():
            charger.signal("SIGKILL")
            with pytest.raises(AssertionError, match="has ended"):
                await charger.do("connect")


async def test_a_program_that_does_not_end_is_killed(stack):
    charger = NodeCharger(stack, "CP-01", "ws://127.0.0.1:9/ocpp")
    charger.end_within_s = 0.2
    async with charger.running():
        charger.signal("SIGSTOP")
    assert charger.code == -9
