"""Recordings of chargers that we did not write, played against the daemon: the right transactions reach the CSMS.

What each of them did is written down in `tests/wire/expected.py`.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from simulators.recording import Recording
from simulators.replay import Replay, ReplayReport

from edge.dialects.v16 import commands
from edge.ocppj.schemas import check_response
from tests.scenarios.apart import apart
from tests.scenarios.failures import no_failure
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration
from tests.wire.expected import RECORDINGS, Session

WIRE = Path(__file__).parent.parent / "wire"
IN_CONVERSATION = {"answer_nobody_asked_for", "calls_in_parallel", "serial_changed"}
"""Not of one message, so beside none in the journal; a serial changes where one identity plays two chargers."""


def recorded(name: str, action: str) -> list[dict]:
    """Payloads of the recorded charger's CALLs of one action."""
    lines = (WIRE / f"{name}.jsonl").read_text().splitlines()[1:]
    frames = [json.loads(json.loads(line)["text"]) for line in lines if json.loads(line)["dir"] == "up"]
    return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action]


@dataclass
class Played:
    report: ReplayReport
    sessions: list[dict]
    details: list[dict]
    charger: dict
    trace: list[dict]
    log: list[dict]

    def peculiar(self) -> dict[str, int]:
        return self.charger["tolerances"] | self.charger["findings"]

    def in_trace(self) -> set[str]:
        """Rules that stand beside a message."""
        found = [re.findall(r"\[([a-z0-9_; ]+)\]$", entry["summary"] or "") for entry in self.trace]
        return {rule for rules in found for one in rules for rule in one.split("; ")}


async def played(folder, csms, name: str, **settings) -> Played:
    """All that is left of a recording after it was played, with nothing waiting for the CSMS and nothing gone wrong."""
    expected = RECORDINGS[name]
    identity = expected.identity
    settings = {"evses": expected.connectors} | settings
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings(identity, **settings),))
    with no_failure() as log:
        async with Site(config).running() as site:
            await csms.wait_registered(IDENTITY)
            report = await Replay(WIRE / f"{name}.jsonl", site.url, speed=expected.speed).run()
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline", charger=identity)
            sessions = (await site.ask("sessions"))["sessions"][::-1]
            return Played(
                report,
                sessions,
                [(await site.ask("session", session=one["session"]))["session"] for one in sessions],
                (await site.ask("chargers", charger=identity))["chargers"][0],
                (await site.ask("trace", subject=identity, raw=True))["entries"],
                log,
            )


BILLED = [name for name, expected in RECORDINGS.items() if expected.sessions]


def test_all_recordings_of_16_are_there_as_they_were_recorded():
    found = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in WIRE.glob("*_16_*.jsonl")}
    assert found == {name: expected.sha256 for name, expected in RECORDINGS.items()}


@pytest.mark.parametrize("name", RECORDINGS)
async def test_each_call_of_a_recorded_charger_is_answered_and_nothing_goes_wrong(folder, csms, name):
    done = await played(folder, csms, name)
    expected = RECORDINGS[name]
    assert len(done.report.calls) == expected.calls
    assert done.report.unsent == []
    assert done.report.unanswered == []
    assert Counter(action for action, _, _ in done.report.errors) == Counter(expected.refused)
    assert csms.violations == []


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recorded_charger_ends_as_the_right_transactions_here_and_in_the_csms(folder, csms, name):
    done = await played(folder, csms, name)
    expected = RECORDINGS[name].sessions
    ours = {number for number, one in enumerate(expected) if one.is_ours}
    assert [_as_shown(one, is_ours=n in ours) for n, one in enumerate(done.details)] == [_told(one) for one in expected]
    ended = [one for one in done.sessions if one["state"] == "ended"]
    assert all(one["delivery"]["state"] == "delivered" for one in ended)
    assert all(one["delivery"]["waiting"] == 0 for one in done.sessions)

    # In the order of their starts, which the CSMS's own numbers do not tell: connectors take turns.
    in_cloud = sorted(csms.transactions.values(), key=lambda one: one.start.payload["timestamp"])
    assert [_as_billed(one, is_ours=n in ours) for n, one in enumerate(in_cloud)] == [_bill(one) for one in expected]
    assert all(len(one.starts) == 1 and len(one.stops) <= 1 for one in in_cloud)
    unnamed = [
        one for one in apart(csms.calls("MeterValues")) if one.connector != 0 and "transactionId" not in one.payload
    ]
    assert len(unnamed) == sum(one.unnamed for one in expected) + RECORDINGS[name].outside
    assert csms.orphans == []


def _as_shown(session: dict, *, is_ours: bool) -> tuple:
    """What `edge session` says."""
    if is_ours:
        assert session["end_cause"] == "synthetic"
        session = {**session, "state": "open", "ended_at": None, "meter_stop_wh": None, "end_reason": None}
    values = [one for one in session["messages"] if one["action"] == "MeterValues"]
    after = [note for note in session["notes"] if note["rule"] == "values_after_stop"]
    return (
        session["state"], session["connector"], session["upstream_connector"], session["id_token"],
        session["started_at"], session["meter_start_wh"], session["ended_at"], session["meter_stop_wh"],
        session["end_reason"], len(values), len(after),
    )  # fmt: skip


def _told(one: Session) -> tuple:
    return (
        "open" if one.ended_at is None else "ended", one.connector, one.connector, one.token, one.started_at,
        one.meter_start_wh, one.ended_at, one.meter_stop_wh, one.reason, one.values, one.after,
    )  # fmt: skip


def _as_billed(transaction, *, is_ours: bool) -> tuple:
    start, stop = transaction.start.payload, {} if transaction.stop is None or is_ours else transaction.stop.payload
    return (
        start["connectorId"], start["idTag"], datetime.fromisoformat(start["timestamp"]), start["meterStart"],
        stop.get("meterStop"), stop.get("reason", "Local") if stop else None, len(transaction.meter_values),
    )  # fmt: skip


def _bill(one: Session) -> tuple:
    return (
        one.connector, one.token, datetime.fromisoformat(one.started_at), one.meter_start_wh,
        one.meter_stop_wh, one.reason, one.values - one.unnamed,
    )  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
async def test_each_recording_shows_what_is_peculiar_about_it(folder, csms, name):
    done = await played(folder, csms, name)
    peculiar = set(RECORDINGS[name].peculiar)
    assert set(done.peculiar()) - {"serial_changed"} == peculiar
    assert done.in_trace() - IN_CONVERSATION == peculiar - IN_CONVERSATION
    logged = {line["rule"] for line in done.log if line["event"] == "peculiarity"}
    assert logged - {"serial_changed"} == peculiar


@pytest.mark.parametrize("name", BILLED)
async def test_all_that_a_recorded_charger_said_of_transactions_arrives_equal_but_for_ids(folder, csms, name):
    await played(folder, csms, name)
    for action in ("StartTransaction", "MeterValues", "StopTransaction"):
        ours = {stop.message_id for stop in _our_stops(csms, name)} if action == "StopTransaction" else set()
        got = [
            _without_ids(call.payload)
            for call in csms.calls(action)
            if call.connector != 0 and call.message_id not in ours
        ]
        sent = [_without_ids(payload) for payload in recorded(name, action) if not _stays_here(name, action, payload)]
        assert sorted(got, key=json.dumps) == sorted(sent, key=json.dumps)


def _our_stops(csms, name: str) -> list:
    """Of sessions whose stop the recording does not have."""
    in_cloud = sorted(csms.transactions.values(), key=lambda one: one.start.payload["timestamp"])
    return [
        stop
        for one, said in zip(in_cloud, RECORDINGS[name].sessions, strict=True)
        if said.is_ours
        for stop in one.stops
    ]


def _stays_here(name: str, action: str, payload: dict) -> bool:
    """What is kept and not sent: of several stops all but the first, and values after the stop."""
    if name == "sap_16_atg" and action == "StopTransaction":
        return payload["timestamp"] == "2026-11-21T08:34:38.633Z" and payload["meterStop"] == 50
    if name == "fuzzer_16_valid" and action != "StartTransaction":
        return payload.get("transactionId") == 1 and payload not in recorded(name, action)[:1]
    return False


async def test_of_two_stops_the_first_goes_up_and_the_second_is_kept(folder, csms):
    done = await played(folder, csms, "sap_16_atg")
    twice = next(one for one in csms.transactions.values() if one.energy_wh == 50)
    assert [stop.payload.get("reason") for stop in twice.stops] == [None]
    kept = [entry for entry in done.trace if "duplicate_stop" in (entry["summary"] or "")]
    assert ['"reason":"Local"' in entry["text"] for entry in kept] == [True]


async def test_the_wrong_direction_is_refused_and_stray_answers_are_ignored(folder, csms):
    done = await played(folder, csms, "fuzzer_16_wrong_direction")
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


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("openocpp_16_remote", "1006"),
        ("solidstudio_16_ocmf", "1006"),
        ("sap_16_atg", "1005"),
        ("testocpp_16_boot", "1000"),
    ],
)
async def test_how_a_charger_left_is_in_the_journal(folder, csms, name, how):
    done = await played(folder, csms, name)
    closed = [entry["summary"] for entry in done.trace if entry["kind"] == "link" and "closed" in entry["summary"]]
    assert len(closed) == 1
    assert f"code {how}" in closed[0]


@pytest.mark.parametrize(("name", "says_0"), [("shiv3_16_session", True), ("sap_16_atg", False)])
async def test_a_charger_may_report_connector_0_or_not(folder, csms, name, says_0):
    await played(folder, csms, name)
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
