"""Who may charge, with the CSMS and without it."""

import pytest
from simulators.charger import AuthorizationRefused, Charger

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

ONE = (ChargerSettings("CP-01", evses=(1, 1)),)


async def test_the_csms_is_asked_once_and_the_cache_answers_when_it_is_away(folder, csms):
    csms.tokens["BAD"] = "Blocked"
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="list-and-cache")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            assert await charger.authorize("GOOD") == "Accepted"
            with pytest.raises(AuthorizationRefused, match="Blocked"):
                await charger.start_session(1, "BAD")
            assert await charger.authorize("good") == "Accepted"
            assert [one.payload["idTag"] for one in csms.calls("Authorize")] == ["GOOD", "BAD"]
            csms.refuse_connections(True)
            csms.cut()
            await site.until("status", lambda d: d["uplink"]["state"] != "accepted")
            assert await charger.authorize("GOOD") == "Accepted"
            with pytest.raises(AuthorizationRefused, match="Blocked"):
                await charger.start_session(1, "BAD")
            with pytest.raises(AuthorizationRefused, match="Invalid"):
                await charger.start_session(1, "NEVER-SEEN")


async def test_a_start_of_an_unknown_token_is_stored_first_and_answered_with_the_verdict(folder, csms):
    csms.tokens["BAD"] = "Blocked"
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="nobody")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            start = {"connectorId": 1, "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z"}
            good = await charger.ask("StartTransaction", {**start, "idTag": "GOOD"})
            assert good["idTagInfo"] == {"status": "Accepted"}
            bad = await charger.ask("StartTransaction", {**start, "connectorId": 2, "idTag": "BAD"})
            assert bad["idTagInfo"] == {"status": "Blocked"}
            assert bad["transactionId"] > 0
            await site.until("status", lambda d: d["backlog"]["messages"] == 0)
            found = [(await site.ask("session", session=name))["session"]["authorization"] for name in ("S1", "S2")]
            assert [(one["decision"], one["source"], one["csms_verdict"]) for one in found] == [
                ("accepted", "csms", "Accepted"), ("refused", "csms", "Blocked"),
            ]  # fmt: skip
            assert not [one for one in charger.requests if one[0] == "RemoteStopTransaction"]  # it was told


async def test_a_silent_csms_is_waited_for_only_until_the_deadline(folder, csms):
    csms.be_silent("StartTransaction")
    csms.be_silent("Authorize")
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="everyone")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            start = {"connectorId": 1, "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z", "idTag": "X"}
            answer = await charger.ask("StartTransaction", start)
            assert answer["idTagInfo"] == {"status": "Accepted"}
            session = (await site.ask("session", session="S1"))["session"]
            assert session["authorization"]["source"] == "policy"
            trace = (await site.ask("trace", subject="S1"))["entries"]
            assert [one["summary"] for one in trace if one["kind"] == "decision"] == [
                "decision accept, status Accepted, source policy"
            ]


async def test_a_token_that_the_csms_refuses_later_is_stopped_at_the_charger(folder, csms):
    csms.refuse_connections(True)
    csms.tokens["LATE"] = "Blocked"
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="everyone")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            own_id = await charger.start_session(1, "LATE", authorize=False)
            session = (await site.ask("session", session="S1"))["session"]
            assert (session["started_offline"], session["authorization"]["source"]) == (True, "policy")
            csms.refuse_connections(False)
            await charger.wait_for(lambda: ("RemoteStopTransaction", {"transactionId": own_id}) in charger.requests, 20)
            await csms.wait_for(lambda: csms.calls("StopTransaction"))


async def test_a_refused_offline_start_is_told_so_and_still_relayed(folder, csms):
    csms.refuse_connections(True)
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="nobody")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            start = {"connectorId": 1, "meterStart": 0, "timestamp": "2026-11-21T10:00:00Z", "idTag": "X"}
            answer = await charger.ask("StartTransaction", start)
            assert answer["idTagInfo"]["status"] == "Invalid"
            csms.refuse_connections(False)
            await csms.wait_for(lambda: csms.calls("StartTransaction"), 20)


async def test_an_operators_start_needs_neither_csms_nor_list(folder, csms):
    csms.refuse_connections(True)
    config = configuration(folder, csms_url=csms.url, chargers=ONE, offline="nobody")
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            answer = await site.ask("start", charger="CP-01", evse=2, connector=None, token="SERVICE")
            assert answer == {"v": 1, "charger": "CP-01", "connector": 2, "result": "Accepted"}
            session = await site.until("sessions", lambda d: d["sessions"] and d["sessions"][0])
            detail = (await site.ask("session", session=session["session"]))["session"]
            assert detail["authorization"]["source"] == "operator"
            assert detail["remote_start"] is True
            assert (await site.ask("stop", session=session["session"]))["result"] == "Accepted"
            await site.until("sessions", lambda d: d["sessions"][0]["state"] == "ended")
            again = (await site.ask("stop", session=session["session"]))["error"]
            assert (again["code"], again["message"]) == ("rejected", f"{session['session']} has ended already.")
            assert (await site.ask("stop", session="S99"))["error"]["code"] == "no_such_session"
        assert (await site.ask("start", charger="CP-01", evse=1, connector=None, token="X"))["error"][
            "code"
        ] == "rejected"
        assert (await site.ask("start", charger="NO", evse=None, connector=None, token="X"))["error"]["code"] == (
            "no_such_charger"
        )
