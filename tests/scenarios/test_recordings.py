"""Recordings of chargers that we did not write, played against the daemon: the right transactions reach the CSMS."""

import json
from pathlib import Path

import pytest
from simulators.replay import Replay

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

WIRE = Path(__file__).parent.parent / "wire"


def recorded(name: str, action: str) -> list[dict]:
    """Payloads of the recorded charger's CALLs of one action."""
    lines = (WIRE / f"{name}.jsonl").read_text().splitlines()[1:]
    frames = [json.loads(json.loads(line)["text"]) for line in lines if json.loads(line)["dir"] == "up"]
    return [frame[3] for frame in frames if frame[0] == 2 and frame[2] == action]


async def play(folder, csms, name: str, identity: str, evses=(1, 1)):
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings(identity, evses=evses),))
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        report = await Replay(WIRE / f"{name}.jsonl", site.url, speed=30).run()
        await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        sessions = (await site.ask("sessions"))["sessions"]
        return report, sessions[::-1]


EXPECTED = {
    # (connector, meterStart, meterStop, number of MeterValues inside the transaction)
    "shiv3_16_session": ("SH16", [(1, 0, 2500, 3), (2, 0, 750, 1)]),
    "shiv3_16_outage": ("SH16O", [(1, 0, 2500, 3), (2, 300, 300, 0)]),
    "openocpp_16_two_connectors": ("OOCP16", [(1, 100, 200, 0), (2, 300, 400, 0)]),
    "solidstudio_16_ocmf": ("SO16", [(1, 0, 320, 2), (1, 0, 40, 0)]),
}


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_recorded_charger_ends_as_the_right_transactions_in_the_csms(folder, csms, name):
    identity, expected = EXPECTED[name]
    report, sessions = await play(folder, csms, name, identity)
    assert report.errors == [], report.errors
    assert report.unanswered == []
    found = [
        (one.connector, one.start.payload["meterStart"], one.stop.payload["meterStop"], len(one.meter_values))
        for one in csms.transactions.values()
    ]
    assert found == expected
    assert csms.orphans == [] or all("transactionId" not in one.payload for one in csms.orphans)
    assert [session["energy_wh"] for session in sessions] == [stop - start for _, start, stop, _ in expected]
    assert all(session["delivery"]["state"] == "delivered" for session in sessions)
    assert csms.violations == []


@pytest.mark.parametrize("name", EXPECTED)
async def test_all_that_a_recorded_charger_said_of_transactions_arrives_equal_but_for_ids(folder, csms, name):
    identity, _ = EXPECTED[name]
    await play(folder, csms, name, identity)
    for action in ("StartTransaction", "MeterValues", "StopTransaction"):
        got = [_without_ids(call.payload) for call in csms.calls(action) if call.connector != 0]
        sent = [_without_ids(payload) for payload in recorded(name, action)]
        assert sorted(got, key=json.dumps) == sorted(sent, key=json.dumps)


async def test_the_signed_meter_blob_is_untouched(folder, csms):
    await play(folder, csms, "solidstudio_16_ocmf", "SO16")
    stop = csms.calls("StopTransaction")[0]
    blob = recorded("solidstudio_16_ocmf", "StopTransaction")[0]["transactionData"]
    assert stop.payload["transactionData"] == blob
    assert json.dumps(blob)[1:-1] in json.dumps(json.loads(stop.text))


async def test_a_charger_without_evses_gets_its_numbers_from_its_own_configuration(folder, csms):
    """shiv3 answers NumberOfConnectors; nobody told us how many it has."""
    _, sessions = await play(folder, csms, "shiv3_16_session", "SH16", evses=())
    assert [session["upstream_connector"] for session in sessions] == [1, 2]
    assert sorted({call.connector for call in csms.calls("StatusNotification")}) == [0, 1, 2]


def _without_ids(payload: dict) -> dict:
    return {key: value for key, value in payload.items() if key not in {"connectorId", "transactionId"}}
