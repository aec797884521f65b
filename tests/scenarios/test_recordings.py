"""Recordings of chargers that we did not write, played against the daemon: the right transactions reach the CSMS."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from simulators.recording import Recording
from simulators.replay import Replay, ReplayReport

from edge.dialects.v16 import commands
from edge.domain.peculiarities import Rule
from edge.ocppj.schemas import check_response
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

WIRE = Path(__file__).parent.parent / "wire"


def recorded(name: str, action: str) -> list[dict]:
    """Payloads of the recorded charger's CALLs of one action."""
    lines = (WIRE / f"{name}.jsonl").read_text().splitlines()[1:]
    frames = [json.loads(json.loads(line)["text"]) for line in lines if json.loads(line)["dir"] == "up"]
    return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action]


@dataclass
class Played:
    report: ReplayReport
    sessions: list[dict]
    charger: dict
    trace: list[dict]

    def peculiar(self) -> dict[str, int]:
        return self.charger["tolerances"] | self.charger["findings"]


async def played(folder, csms, name: str, evses=(1, 1), speed: float = 30, **settings) -> Played:
    """All that is left of a recording after it was played, with nothing waiting for the CSMS."""
    identity = IDENTITIES[name]
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings(identity, evses=evses, **settings),))
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        report = await Replay(WIRE / f"{name}.jsonl", site.url, speed=speed).run()
        await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline", charger=identity)
        return Played(
            report,
            (await site.ask("sessions"))["sessions"][::-1],
            (await site.ask("chargers", charger=identity))["chargers"][0],
            (await site.ask("trace", subject=identity, raw=True))["entries"],
        )


IDENTITIES = {
    "shiv3_16_session": "SH16",
    "shiv3_16_outage": "SH16O",
    "openocpp_16_two_connectors": "OOCP16",
    "openocpp_16_remote": "OOCP16R",
    "solidstudio_16_ocmf": "SO16",
    "sap_16_atg": "CS-BASIC-00001",
    "fuzzer_16_valid": "FUZZ1",
    "fuzzer_16_wrong_direction": "FUZZ1",
    "testocpp_16_boot": "TESTOCPP",
}
EXPECTED = {
    # (connector, meterStart, meterStop, number of MeterValues inside the transaction)
    "shiv3_16_session": [(1, 0, 2500, 3), (2, 0, 750, 1)],
    "shiv3_16_outage": [(1, 0, 2500, 3), (2, 300, 300, 0)],
    "openocpp_16_two_connectors": [(1, 100, 200, 0), (2, 300, 400, 0)],
    "openocpp_16_remote": [(1, 0, 53, 3), (2, 0, 54, 2)],
    "solidstudio_16_ocmf": [(1, 0, 320, 2), (1, 0, 40, 0)],
    "sap_16_atg": [(1, 0, 84, 2), (2, 0, 45, 2), (3, 0, 33, 2), (3, 0, 20, 1), (1, 0, 50, 1), (2, 0, 12, 1)],
}
CONNECTORS = {"sap_16_atg": (1, 1, 1)}
PECULIAR = {
    "shiv3_16_session": {"register_jumped", "stop_without_reason"},
    "shiv3_16_outage": {
        "register_jumped", "boot_while_open", "available_while_open", "finishing_skipped", "stop_without_reason",
        "values_before_start",
    },
    "openocpp_16_two_connectors": {"preparing_skipped", "finishing_skipped"},
    "openocpp_16_remote": {
        "preparing_skipped", "finishing_skipped", "energy_without_unit", "stop_without_token",
        "values_attached_by_connector",
    },
    "solidstudio_16_ocmf": {
        "calls_in_parallel", "preparing_skipped", "finishing_skipped", "stop_without_reason", "stop_without_token",
        "value_over_500_characters", "signed_values", "register_restarted",
    },
    "sap_16_atg": {
        "calls_in_parallel", "fraction_of_wh", "soc_fell", "register_restarted", "stop_without_reason",
        "duplicate_stop",
    },
    "fuzzer_16_valid": {
        "value_not_a_number", "unit_of_other_measurand", "phase_of_other_measurand", "duplicate_stop",
        "start_while_open", "boot_while_open", "values_after_stop", "values_attached_by_connector",
        "stop_without_reason", "stop_without_token", "available_while_open", "finishing_skipped", "preparing_skipped",
    },
    "fuzzer_16_wrong_direction": {"action_of_csms", "answer_nobody_asked_for"},
    "testocpp_16_boot": set(),
}  # fmt: skip


def test_all_recordings_of_16_are_played():
    assert {path.stem for path in WIRE.glob("*_16_*.jsonl")} == set(IDENTITIES) == set(PECULIAR)


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_recorded_charger_ends_as_the_right_transactions_in_the_csms(folder, csms, name):
    expected = EXPECTED[name]
    done = await played(folder, csms, name, CONNECTORS.get(name, (1, 1)))
    assert done.report.errors == [], done.report.errors
    assert done.report.unanswered == []
    found = [
        (one.connector, one.start.payload["meterStart"], one.stop.payload["meterStop"], len(one.meter_values))
        for one in csms.transactions.values()
    ]
    assert sorted(found) == sorted(expected)
    assert all(len(one.stops) == 1 for one in csms.transactions.values())
    # A triggered value without transactionId travels as it came; the rest must name what the CSMS knows.
    assert all("transactionId" not in one.payload for one in csms.orphans)
    assert [session["energy_wh"] for session in done.sessions] == [stop - start for _, start, stop, _ in expected]
    assert all(session["delivery"]["state"] == "delivered" for session in done.sessions)
    assert csms.violations == []


@pytest.mark.parametrize("name", PECULIAR)
async def test_each_recording_shows_what_is_peculiar_about_it(folder, csms, name):
    done = await played(folder, csms, name, CONNECTORS.get(name, (1, 1)), SPEED.get(name, 30))
    assert set(done.peculiar()) - {"serial_changed"} == PECULIAR[name]
    noted = {rule for entry in done.trace for rule in re.findall(r"\[([a-z0-9_; ]+)\]$", entry["summary"] or "")}
    told = {rule for line in noted for rule in line.split("; ")}
    in_conversation = {"action_of_csms", "answer_nobody_asked_for", "calls_in_parallel", "serial_changed"}
    assert told - in_conversation == PECULIAR[name] - in_conversation


SPEED = {"fuzzer_16_valid": 3, "fuzzer_16_wrong_direction": 3, "testocpp_16_boot": 1}


@pytest.mark.parametrize("name", EXPECTED)
async def test_all_that_a_recorded_charger_said_of_transactions_arrives_equal_but_for_ids(folder, csms, name):
    await played(folder, csms, name, CONNECTORS.get(name, (1, 1)))
    for action in ("StartTransaction", "MeterValues", "StopTransaction"):
        got = [_without_ids(call.payload) for call in csms.calls(action) if call.connector != 0]
        sent = [_without_ids(payload) for payload in recorded(name, action)]
        if name == "sap_16_atg" and action == "StopTransaction":
            # Of the two stops of one transaction the first goes up.
            sent = [one for one in sent if one["timestamp"] != "2026-11-21T08:34:38.633Z" or one["meterStop"] != 50]
        assert sorted(got, key=json.dumps) == sorted(sent, key=json.dumps)


async def test_of_two_stops_the_first_goes_up_and_the_second_is_kept(folder, csms):
    done = await played(folder, csms, "sap_16_atg", (1, 1, 1))
    twice = next(one for one in csms.transactions.values() if one.energy_wh == 50)
    assert [stop.payload.get("reason") for stop in twice.stops] == [None]
    kept = [entry for entry in done.trace if "duplicate_stop" in (entry["summary"] or "")]
    assert ['"reason":"Local"' in entry["text"] for entry in kept] == [True]


async def test_each_message_of_the_fuzzer_is_accepted(folder, csms):
    """60 messages of ten actions, a socket each. What lacks its stop is open, until reconciliation can close it."""
    done = await played(folder, csms, "fuzzer_16_valid", (1,), 3)
    assert done.report.errors == []
    assert done.report.unanswered == []
    assert len(done.report.answers) == 60
    assert [session["state"] for session in done.sessions] == ["ended", *["open"] * 5]
    assert len(csms.transactions) == 6
    assert [one.is_open for one in csms.transactions.values()] == [False, *[True] * 5]
    assert csms.violations == []


async def test_the_wrong_direction_is_refused_and_stray_answers_are_ignored(folder, csms):
    done = await played(folder, csms, "fuzzer_16_wrong_direction", (1,), 3)
    assert [(action, code) for action, code, _ in done.report.errors] == [
        (action, "NotSupported")
        for action in (
            "Reset", "GetConfiguration", "RemoteStartTransaction", "SetChargingProfile", "ReserveNow", "UpdateFirmware",
        )
    ]  # fmt: skip
    assert done.charger["findings"] == {"action_of_csms": 6, "answer_nobody_asked_for": 2}


async def test_a_boot_on_the_same_socket_ends_nothing(folder, csms):
    done = await played(folder, csms, "shiv3_16_session")
    boots = [entry for entry in done.trace if entry["action"] == "BootNotification" and entry["type"] == "CALL"]
    opened = [entry for entry in done.trace if entry["kind"] == "link" and "opened" in entry["summary"]]
    assert (len(boots), len(opened)) == (2, 1)
    assert "Available" in {call.payload["status"] for call in csms.calls("StatusNotification")}


@pytest.mark.parametrize(("name", "how"), [("openocpp_16_remote", "1006"), ("testocpp_16_boot", "1000")])
async def test_how_a_charger_left_is_in_the_journal(folder, csms, name, how):
    done = await played(folder, csms, name)
    closed = [entry["summary"] for entry in done.trace if entry["kind"] == "link" and "closed" in entry["summary"]]
    assert len(closed) == 1
    assert f"code {how}" in closed[0]


@pytest.mark.parametrize(("name", "says_0"), [("shiv3_16_session", True), ("sap_16_atg", False)])
async def test_a_charger_may_report_connector_0_or_not(folder, csms, name, says_0):
    await played(folder, csms, name, CONNECTORS.get(name, (1, 1)))
    assert (0 in {payload["connectorId"] for payload in recorded(name, "StatusNotification")}) is says_0
    assert {call.connector for call in csms.calls("StatusNotification")} >= {0, 1, 2}


async def test_the_time_of_a_status_goes_up_as_it_came(folder, csms):
    await played(folder, csms, "openocpp_16_two_connectors")
    charging = [call.payload for call in csms.calls("StatusNotification") if call.payload["status"] == "Charging"]
    assert [status["timestamp"] for status in charging] == ["2026-11-21T08:28:46Z", "2026-11-21T08:29:28Z"]


async def test_power_is_judged_by_the_current_that_the_file_allows(folder, csms):
    """150 kW may be a fast charger's, but not on 32 A."""
    done = await played(folder, csms, "shiv3_16_session", max_current=32.0)
    assert done.charger["findings"]["power_beyond_physics"] == 4
    assert done.charger["findings"]["register_jumped"] >= 4


async def test_a_text_is_stored_blank_by_blank(folder, csms):
    done = await played(folder, csms, "openocpp_16_two_connectors")
    texts = [
        json.loads(line)["text"] for line in (WIRE / "openocpp_16_two_connectors.jsonl").read_text().splitlines()[1:]
    ]
    boot = next(text for text in texts if "BootNotification" in text)
    assert boot.startswith('[2, "')
    assert boot in [entry["text"] for entry in done.trace]


async def test_an_empty_string_in_a_boot_says_nothing(folder, csms):
    done = await played(folder, csms, "openocpp_16_two_connectors")
    assert (done.charger["vendor"], done.charger["serial"]) == ("Open OCPP", "S/N0123456789")
    assert done.report.errors == []


def test_odd_answers_of_recorded_chargers_are_read():
    answers = {}
    for name in ("openocpp_16_remote", "sap_16_atg", "openocpp_16_two_connectors"):
        for command in Recording.load(WIRE / f"{name}.jsonl").commands:
            assert check_response("1.6", command.action, command.answer[2]) == ()
            if command.action == "GetConfiguration":
                answers[name] = commands.settings(command.answer[2])
    assert answers["openocpp_16_remote"]["AuthorizationKey"] == commands.Setting(None, False)
    assert answers["sap_16_atg"]["HeartbeatInterval"].value == "60"


async def test_the_signed_meter_blob_is_untouched(folder, csms):
    await played(folder, csms, "solidstudio_16_ocmf")
    stop = csms.calls("StopTransaction")[0]
    blob = recorded("solidstudio_16_ocmf", "StopTransaction")[0]["transactionData"]
    assert stop.payload["transactionData"] == blob
    assert json.dumps(blob)[1:-1] in json.dumps(json.loads(stop.text))


async def test_a_charger_without_evses_gets_its_numbers_from_its_own_configuration(folder, csms):
    """shiv3 answers NumberOfConnectors; nobody told us how many it has."""
    done = await played(folder, csms, "shiv3_16_session", evses=())
    assert [session["upstream_connector"] for session in done.sessions] == [1, 2]
    assert sorted({call.connector for call in csms.calls("StatusNotification")}) == [0, 1, 2]


def _without_ids(payload: dict) -> dict:
    return {key: value for key, value in payload.items() if key not in {"connectorId", "transactionId"}}


# --- the table of tests/wire/README.md

TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (WIRE / "README.md").read_text().split("## How the controller meets")[1].splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| Peculiarity"))
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0][:50])
def test_each_peculiarity_is_met_by_a_rule_that_exists_and_a_test_that_exists(row):
    _, met_by, test = row
    rules = re.findall(r"`([a-z0-9_]+)`", met_by)
    assert rules or met_by == "legal"
    assert all(Rule(rule) for rule in rules)
    sources = [(Path(__file__).parent / name).read_text() for name in ("test_recordings.py", "test_field_chargers.py")]
    assert any(f"def {test}(" in source for source in sources)


def test_the_table_names_all_that_the_recordings_show():
    named = {rule for _, met_by, _ in TABLE for rule in re.findall(r"`([a-z0-9_]+)`", met_by)}
    assert named >= set().union(*PECULIAR.values())
