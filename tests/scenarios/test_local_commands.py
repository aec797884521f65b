"""What a technician does at the site with a charger: without any cloud, at once, and to be found in the trace."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from simulators.charger import Charger
from websockets.asyncio.client import connect

from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_chargers import call
from tests.scenarios.test_outage import toml
from tests.scenarios.test_process import edge

TWO = (ChargerSettings("CP-01", evses=(1, 1)), ChargerSettings("CP-02", evses=(2,)))


@contextlib.asynccontextmanager
async def charger_at(site: Site, identity: str = "CP-01", **options) -> AsyncIterator[Charger]:
    charger = Charger(identity, site.url, meter_interval_s=0, reconnect_s=(0.05, 0.2), **options)
    async with charger.running():
        await charger.wait_for(lambda: charger.is_ready)
        yield charger


@contextlib.asynccontextmanager
async def scripted(site: Site, answers: dict[str, object], identity: str = "CP-01") -> AsyncIterator[list]:
    """A charger of few words: CALLs get these answers (None: silence; a text: that CALLERROR); what it was asked."""
    asked: list[tuple[str, dict]] = []

    async def listen(socket) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame[0] != 2:
                continue
            asked.append((frame[2], frame[3]))
            answer = answers.get(frame[2], "NotSupported")
            answer = answer(frame[3]) if callable(answer) else answer
            if isinstance(answer, str):
                await socket.send(json.dumps([4, frame[1], answer, "not here", {}]))
            elif answer is not None:
                await socket.send(json.dumps([3, frame[1], answer]))

    async with (
        connect(f"{site.url}/{identity}", subprotocols=["ocpp1.6"], proxy=None) as socket,
        asyncio.TaskGroup() as tasks,
    ):
        listening = tasks.create_task(listen(socket))
        await site.until(
            "chargers", lambda d: [c for c in d["chargers"] if (c["id"], c["state"]) == (identity, "online")]
        )
        yield asked
        listening.cancel()


async def refusal(site: Site, command: str, **args) -> tuple[str, str]:
    error = (await site.ask(command, **args))["error"]
    return error["code"], f"{error['message']} {error['hint']}"


async def causes(site: Site, subject: str) -> list[tuple[str, str]]:
    """(What the operator ordered, action that it caused), as the trace links them."""
    entries = (await site.ask("trace", subject=subject))["entries"]
    by_id = {one["id"]: one for one in entries}
    return [
        (by_id[one["cause"]]["summary"], one["action"])
        for one in entries
        if one["direction"] == "out" and one["type"] == "CALL" and one["peer"] == "charger" and one["cause"] in by_id
    ]


# --- reset, unlock


async def test_a_soft_reset_ends_the_session_and_the_charger_comes_back(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        await charger.start_session(1, "A", authorize=False)
        assert await site.ask("reset", charger="CP-01") == {
            "v": 1, "charger": "CP-01", "kind": "soft", "status": "Accepted",
        }  # fmt: skip
        ended = await site.until("sessions", lambda d: d["sessions"][0]["state"] == "ended" and d["sessions"][0])
        assert ended["end_reason"] == "SoftReset"
        await charger.wait_for(lambda: len(charger.boots) == 2)
        assert ("operator reset, kind soft", "Reset") in await causes(site, "CP-01")


async def test_a_hard_reset_under_a_session_has_to_be_meant(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        await charger.start_session(1, "A", authorize=False)
        code, words = await refusal(site, "reset", charger="CP-01", hard=True)
        assert code == "rejected" and "S1" in words and "--force" in words
        assert not [one for one in charger.requests if one[0] == "Reset"]
        assert (await site.ask("reset", charger="CP-01", hard=True, force=True))["kind"] == "hard"
        assert ("Reset", {"type": "Hard"}) in charger.requests


async def test_a_plug_is_released_by_every_name_of_its_connector_and_never_by_guess(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        for evse, connector, conn in ((2, 2, 2), (2, None, 2), (1, None, 1)):
            answer = await site.ask("unlock", charger="CP-01", evse=evse, connector=connector)
            assert (answer["connector"], answer["status"]) == (conn, "Unlocked")
        code, words = await refusal(site, "unlock", charger="CP-01")
        assert code == "no_such_connector" and "CP-01/1/1, CP-01/2/2" in words
        assert (await refusal(site, "unlock", charger="CP-01", evse=7))[0] == "no_such_connector"
        await charger.start_session(2, "A", authorize=False)
        await site.ask("unlock", charger="CP-01", evse=2)
        await site.until("sessions", lambda d: d["sessions"][0]["end_reason"] == "UnlockCommand")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"status": "UnlockFailed"}, "rejected", "did not unlock (UnlockFailed)"),
        ({"status": "NotSupported"}, "rejected", "cannot unlock"),
        ({"status": "Nonsense"}, "rejected", "did not unlock (UnlockFailed)"),
        ("NotSupported", "rejected", "CP-01 refused: NotSupported: not here."),
    ],
)
async def test_whatever_a_charger_answers_to_unlock_is_told_in_words(folder, answer, code, words):
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        async with scripted(site, {"UnlockConnector": answer}):
            found = await refusal(site, "unlock", charger="CP-01", evse=1)
            assert found[0] == code and words in found[1]


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("reset", {}),
        ("unlock", {"evse": 1}),
        ("trigger", {"message": "Heartbeat"}),
        ("get", {}),
        ("set", {"key": "A", "value": "1"}),
    ],
)
async def test_a_charger_that_is_away_unknown_or_retired_is_told_apart(folder, command, args):
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        assert (await refusal(site, command, charger="NOPE", **args))[0] == "no_such_charger"
        code, words = await refusal(site, command, charger="CP-01", **args)
        assert code == "rejected" and words.startswith("CP-01 is not connected.")
        await site.ask("forget", charger="CP-01")
        code, words = await refusal(site, command, charger="CP-01", **args)
        assert code == "rejected" and words.startswith("CP-01 is retired; edge adopt CP-01 takes it back.")


# --- availability


async def test_a_connector_and_a_whole_charger_are_taken_out_of_service_and_put_back(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=TWO)
    async with Site(config).running() as site, charger_at(site, "CP-02") as charger:
        await csms.wait_registered(IDENTITY)
        await charger.start_session(2, "A", authorize=False)

        async def switch(on: bool, evse: int | None = None, connector: int | None = None) -> tuple[list[int], str]:
            answer = await site.ask("availability", charger="CP-02", evse=evse, connector=connector, on=on)
            return answer["connectors"], answer["status"]

        assert await switch(False, 1, 1) == ([1], "Accepted")
        await csms.wait_for(
            lambda: [
                one
                for one in csms.calls("StatusNotification")
                if (one.connector, one.payload["status"]) == (3, "Unavailable")
            ]
        )
        assert await switch(True, 1, 1) == ([1], "Accepted")
        assert await switch(False, 1) == ([1, 2], "Scheduled")  # its EVSE has both, and one is charging
        assert await switch(False) == ([1, 2], "Scheduled")
        assert await switch(True) == ([1, 2], "Accepted")
        requests = [payload for action, payload in charger.requests if action == "ChangeAvailability"]
        assert [one["connectorId"] for one in requests] == [1, 1, 1, 2, 0, 0]
        assert ("operator availability, to Operative", "ChangeAvailability") in await causes(site, "CP-02")


async def test_what_an_absent_charger_is_to_be_is_kept_also_over_a_restart_and_done_when_it_is_back(folder):
    config = configuration(folder, chargers=TWO)
    async with Site(config).running() as site:
        answer = await site.ask("availability", charger="CP-01", on=False)
        assert (answer["status"], answer["connectors"]) == ("Kept", [1, 2])
    async with Site(config).running() as site, charger_at(site) as charger:
        await charger.wait_for(
            lambda: [one["connectorId"] for action, one in charger.requests if action == "ChangeAvailability"] == [1, 2]
        )


async def test_nothing_is_kept_for_a_charger_without_connectors(folder):
    async with Site(configuration(folder, chargers=(ChargerSettings("BARE"),))).running() as site:
        assert (await refusal(site, "availability", charger="BARE", on=False))[0] == "rejected"
        assert (await refusal(site, "availability", charger="NOPE", on=False))[0] == "no_such_charger"
        assert (await refusal(site, "availability", charger="BARE", evse=1, on=False))[0] == "no_such_connector"


# --- trigger, start, stop


async def test_a_triggered_message_comes_and_is_linked_to_who_asked_for_it(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        answer = await site.ask("trigger", charger="CP-01", evse=2, message="metervalues")
        assert answer == {"v": 1, "charger": "CP-01", "connector": 2, "message": "MeterValues", "status": "Accepted"}
        await charger.wait_for(lambda: [f for f in charger.frames if "MeterValues" in f.text and "Trigger" in f.text])
        assert (await site.ask("trigger", charger="CP-01", message="StatusNotification"))["connector"] is None
        assert ("TriggerMessage", {"requestedMessage": "StatusNotification"}) in charger.requests
        assert ("operator trigger, message MeterValues", "TriggerMessage") in await causes(site, "CP-01")
        code, words = await refusal(site, "trigger", charger="CP-01", message="Nonsense")
        assert code == "usage" and "BootNotification, DiagnosticsStatusNotification" in words
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        async with scripted(site, {"TriggerMessage": {"status": "NotImplemented"}}):
            code, words = await refusal(site, "trigger", charger="CP-01", message="Heartbeat")
            assert code == "rejected" and "(NotImplemented)" in words


async def test_a_start_and_a_stop_are_linked_to_the_order_in_the_trace_of_the_session(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site):
        await site.ask("start", charger="CP-01", evse=1, token="OPS")
        await site.until("sessions", lambda d: d["sessions"])
        await site.until("sessions", lambda d: d["sessions"][0]["remote_start"])
        assert (await site.ask("stop", session="S1"))["result"] == "Accepted"
        assert await causes(site, "CP-01") == [
            ("operator start, token OPS", "RemoteStartTransaction"),
            ("operator stop", "RemoteStopTransaction"),
        ]
        assert await causes(site, "S1") == [("operator stop", "RemoteStopTransaction")]


@pytest.mark.parametrize("token", ["T" * 21, "bad\ntoken"])
async def test_a_token_that_ocpp_cannot_carry_is_never_sent(folder, token):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        code, words = await refusal(site, "start", charger="CP-01", evse=1, token=token)
        assert code == "usage" and "1 to 20 characters" in words
        assert not [one for one in charger.requests if one[0] == "RemoteStartTransaction"]
        assert (await site.ask("start", charger="CP-01", evse=1, token="T" * 20))["result"] == "Accepted"


async def test_a_command_of_the_cloud_comes_before_what_it_caused_and_its_answer_is_in_the_trace(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=TWO)
    async with Site(config).running() as site, charger_at(site):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "UnlockConnector", {"connectorId": 2})
        await csms.call(IDENTITY, "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        entries = await site.until(
            "trace",
            lambda d: len([e for e in d["entries"] if e["peer"] == "csms"]) == 4 and d["entries"],
            subject="CP-01",
        )
        for action, status in (("UnlockConnector", "status Unlocked"), ("ChangeAvailability", "status Accepted")):
            asked = next(e for e in entries if (e["peer"], e["action"], e["type"]) == ("csms", action, "CALL"))
            sent = next(e for e in entries if (e["peer"], e["action"], e["type"]) == ("charger", action, "CALL"))
            answered = next(e for e in entries if (e["peer"], e["action"], e["type"]) == ("csms", action, "CALLRESULT"))
            assert sent["cause"] == asked["id"] and answered["cause"] == asked["id"]
            assert answered["id"] == f"{asked['id']}a" and answered["direction"] == "out"
            assert answered["summary"] == status
            assert entries.index(asked) < entries.index(sent) < entries.index(answered)


async def test_sessions_of_a_charger_that_nobody_knows_are_not_just_none(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        assert (await refusal(site, "sessions", charger="NOPE"))[0] == "no_such_charger"
        assert (await site.ask("sessions", charger="CP-01"))["sessions"] == []


# --- configuration keys


async def test_keys_of_a_charger_are_read_all_or_some_and_its_password_never(folder):
    def keys(payload: dict) -> dict:
        known = {"HeartbeatInterval": "300", "AuthorizationKey": "s3cret-key", "WifiPassword": "s3cret-wifi"}
        wanted = payload.get("key") or list(known)
        folded = {key.casefold(): key for key in known}
        found = [folded[key.casefold()] for key in wanted if key.casefold() in folded]
        unknown = [key for key in wanted if key.casefold() not in folded]
        entries = [{"key": key, "readonly": False, "value": known[key]} for key in found]
        return {"configurationKey": entries, "unknownKey": unknown}

    async with Site(configuration(folder, chargers=TWO)).running() as site:
        async with scripted(site, {"GetConfiguration": keys, "ChangeConfiguration": {"status": "Accepted"}}):
            answer = await site.ask("get", charger="CP-01")
            assert {one["key"]: one["value"] for one in answer["keys"]} == {
                "HeartbeatInterval": "300", "AuthorizationKey": None, "WifiPassword": None,
            }  # fmt: skip
            answer = await site.ask("get", charger="CP-01", keys=["heartbeatinterval", "Nope", "AuthorizationKey"])
            assert [one["key"] for one in answer["keys"]] == ["AuthorizationKey", "HeartbeatInterval"]
            assert answer["unknown"] == ["Nope"]
            assert (await refusal(site, "get", charger="CP-01", keys=["Nope"]))[0] == "no_such_key"
            await site.ask("set", charger="CP-01", key="WifiPassword", value="s3cret-new")
            trace = json.dumps(await site.ask("trace", subject="CP-01", raw=True))
            assert "AuthorizationKey" in trace and "s3cret" not in trace
    content = b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("edge.db"))
    assert b"WifiPassword" in content and b"s3cret" not in content


async def test_what_is_set_is_kept_and_written_again_only_when_a_boot_has_lost_it(folder):
    def written(charger: Charger) -> list[tuple[str, str]]:
        return [(one["key"], one["value"]) for action, one in charger.requests if action == "ChangeConfiguration"]

    config = configuration(folder, chargers=TWO)
    async with Site(config).running() as site, charger_at(site) as charger:
        await charger.wait_for(lambda: written(charger) == [("MeterValueSampleInterval", "30")])
        for key, value in (("ResetRetries", "4"), ("MeterValueSampleInterval", "10"), ("ConnectionTimeOut", "90")):
            answer = await site.ask("set", charger="CP-01", key=key, value=value, once=key == "ConnectionTimeOut")
            assert answer == {"v": 1, "charger": "CP-01", "key": key, "value": value, "status": "Accepted"}
        charger.configure("ResetRetries", "1")  # somebody else has changed it
        keys = {one["key"]: one for one in (await site.ask("get", charger="CP-01"))["keys"]}
        assert (keys["ResetRetries"]["value"], keys["ResetRetries"]["desired"]) == ("1", "4")
        assert (keys["ConnectionTimeOut"]["source"], keys["ResetRetries"]["source"]) == ("charger", "desired")
    async with Site(config).running() as site:
        fresh = Charger("CP-01", site.url, meter_interval_s=10)
        fresh.configure("ResetRetries", "1")
        async with fresh.running():
            await fresh.wait_for(lambda: written(fresh))
            await fresh.wait_for(lambda: fresh.configuration["ResetRetries"].value == "4")
            assert written(fresh) == [("ResetRetries", "4")]  # the default of 30 s gives way to what a person wants
            await site.ask("set", charger="CP-01", key="ResetRetries", value="2", once=True)
        await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline")
        later = Charger("CP-01", site.url, meter_interval_s=10)
        async with later.running():
            await later.wait_for(lambda: [action for action, _ in later.requests if action == "GetConfiguration"])
            await later.wait_for(lambda: later.is_ready)
            await site.ask("get", charger="CP-01", keys=["ResetRetries"])  # after the commissioning, in the same queue
            assert written(later) == []


async def test_a_key_that_does_not_stay_is_not_written_for_ever(folder):
    """A charger that loses it at each reboot, or reboots at each write, would wear out its flash."""
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        async with charger_at(site) as charger:
            await site.ask("set", charger="CP-01", key="ResetRetries", value="9")
        counts = []
        for _ in range(5):
            await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline")
            async with charger_at(site) as charger:  # a new one has the value of the factory
                await charger.wait_for(
                    lambda charger=charger: len([one for one in charger.requests if one[0] == "GetConfiguration"]) == 2
                )
                await site.ask("get", charger="CP-01", keys=["ResetRetries"])
                counts.append(len([1 for action, one in charger.requests if one.get("key") == "ResetRetries"]))
        assert counts == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("key", "value", "code", "words"),
    [
        ("AuthorizationKey", "x", "rejected", "could lock itself out"),
        ("securityprofile", "2", "rejected", "could lock itself out"),
        ("NumberOfConnectors", "9", "rejected", "rejected '9' for NumberOfConnectors"),
        ("Nope", "9", "rejected", "does not know the key Nope"),
        ("K" * 51, "9", "usage", "at most 50 characters"),
        ("HeartbeatInterval", "9" * 501, "usage", "500"),
    ],
)
async def test_a_key_that_cannot_be_set_is_refused_and_not_kept(folder, key, value, code, words):
    async with Site(configuration(folder, chargers=TWO)).running() as site, charger_at(site) as charger:
        found = await refusal(site, "set", charger="CP-01", key=key, value=value)
        assert found[0] == code and words in found[1]
        assert not [one for one in (await site.ask("get", charger="CP-01"))["keys"] if one["desired"] is not None]
        assert "x" not in [one.get("value") for _, one in charger.requests]


async def test_reboot_required_is_said_and_the_value_is_kept(folder):
    answers = {"ChangeConfiguration": {"status": "RebootRequired"}, "GetConfiguration": {"unknownKey": []}}
    async with Site(configuration(folder, chargers=TWO)).running() as site, scripted(site, answers):
        answer = await site.ask("set", charger="CP-01", key="LightIntensity", value="30")
        assert answer["status"] == "RebootRequired"


def _values(got: dict, *keys: str) -> dict:
    return {one["key"]: one["value"] for one in got["keys"] if one["key"] in keys}


async def test_the_stations_own_keys_are_read_and_set_with_their_source_without_a_cloud(folder):
    config = configuration(folder, chargers=TWO)
    async with Site(config).running() as site:
        keys = await site.until(
            "get", lambda got: [] if _values(got, "NumberOfConnectors") == {"NumberOfConnectors": "0"} else got["keys"]
        )
        everything = {one["key"]: one for one in keys}
        assert everything["NumberOfConnectors"]["value"] == "4" and everything["NumberOfConnectors"]["readonly"]
        assert everything["LocalAuthorizeOffline"]["source"] == "file"
        assert everything["HeartbeatInterval"]["source"] == "default"
        answer = await site.ask("set", key="heartbeatinterval", value="77")
        assert (answer["charger"], answer["status"]) == (None, "Accepted")
        for key, value, code in (
            ("HeartbeatInterval", "x", "rejected"),
            ("Nope", "1", "rejected"),
            ("ResetRetries", "2", "rejected"),
        ):
            assert (await refusal(site, "set", key=key, value=value))[0] == code
        code, words = await refusal(site, "get", charger="HeartbeatInterval")
        assert code == "no_such_charger" and "edge get --station HeartbeatInterval" in words
        assert (await refusal(site, "get", keys=["Nope"]))[0] == "no_such_key"
    async with Site(config).running() as site:
        (one,) = (await site.ask("get", keys=["HEARTBEATINTERVAL"]))["keys"]
        assert (one["key"], one["value"], one["source"]) == ("HeartbeatInterval", "77", "changed")


# --- as a person types them


async def test_the_commands_have_their_exit_codes_and_fit_a_pipe(folder):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    socket = ("--socket", str(daemon.socket))
    try:
        charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.05, 0.2))
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            for words, expected in (
                (["unlock", "CP-01/1"], 0),
                (["availability", "CP-01/2", "off"], 0),
                (["availability", "CP-02", "off"], 0),
                (["trigger", "CP-01", "HEARTBEAT"], 0),
                (["get", "CP-01"], 0),
                (["get", "CP-01", "HeartbeatInterval", "Nope"], 0),
                (["get"], 0),
                (["get", "--station", "HeartbeatInterval"], 0),
                (["set", "CP-01", "ResetRetries", "3"], 0),
                (["set", "--station", "HeartbeatInterval", "60"], 0),
                (["reset", "CP-01"], 0),
                (["forget", "CP-03"], 0),
                (["adopt", "CP-03"], 0),
                (["adopt", "CP-03"], 1),
                (["unlock", "CP-01"], 4),
                (["unlock", "CP-02/1"], 1),
                (["unlock", "NOPE/1"], 4),
                (["trigger", "CP-01", "Nonsense"], 2),
                (["get", "CP-01", "Nope"], 4),
                (["get", "HeartbeatInterval"], 4),
                (["set", "CP-01", "AuthorizationKey", "x"], 1),
                (["replace", "CP-02", "CP-03"], 1),
                (["forget", "NOPE"], 4),
                (["sessions", "--charger", "NOPE"], 4),
                (["start", "CP-01/1", "--token", "T" * 21], 2),
            ):
                if words[0] in {"unlock", "trigger", "get"} and words[1:2] and words[1].startswith("CP-01"):
                    await charger.wait_for(lambda: charger.is_ready)
                code, out, err = await edge(*words, *socket)
                assert code == expected, (words, out, err)
                assert bool(out.strip()) == (code == 0) and bool(err.strip()) == (code != 0), words
                code, out, _ = await edge(*words, "--json", *socket)
                assert json.loads(out)["v"] == 1, words
    finally:
        assert await daemon.stop() == 0
    for words in (["reset", "CP-01"], ["get"], ["forget", "CP-01"], ["replace", "A", "B"], ["set", "A", "B", "C"]):
        code, _, err = await edge(*words, *socket)
        assert code == 3 and str(daemon.socket) in err


async def test_an_order_survives_a_kill_in_the_trace(folder):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    try:
        async with connect(f"ws://127.0.0.1:{port}/ocpp/CP-01", subprotocols=["ocpp1.6"], proxy=None) as socket:
            await call(socket, "Heartbeat", {})
            reader, writer = await asyncio.open_unix_connection(daemon.socket)
            writer.write(b'{"command":"unlock","args":{"charger":"CP-01","evse":1}}\n')
            while json.loads(await socket.recv())[2] != "UnlockConnector":
                pass
            await daemon.kill()  # the charger has been asked, nobody has answered
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            del reader
        await daemon.start()
        entries = (await daemon.ask("trace", subject="CP-01"))["entries"]
        assert "operator unlock" in [one["summary"] for one in entries]
    finally:
        await daemon.stop()
