"""The one connection to the CSMS: how it registers, what it tells of the site, and how it fails in words."""

import ssl
import subprocess

import pytest
from simulators.charger import Charger
from simulators.csms import Csms
from simulators.meter import MeterSimulator

from edge.config import Meter
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration, replace

TWO = tuple(ChargerSettings(f"CP-0{number}", evses=(1, 1)) for number in (1, 2))


async def test_after_registration_come_the_statuses_0_to_n_then_a_heartbeat_then_the_queue(folder, csms):
    csms.refuse_connections(True)
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            csms.refuse_connections(False)
            await csms.wait_for(lambda: csms.calls("StartTransaction"), 20)
            told = [(one.action, one.payload.get("connectorId")) for one in csms.received]
            assert told[:8] == [
                ("BootNotification", None),
                *(("StatusNotification", number) for number in range(5)),
                ("Heartbeat", None),
                ("StartTransaction", 1),
            ]
            statuses = {one.payload["connectorId"]: one.payload for one in csms.calls("StatusNotification")}
            assert statuses[0]["status"] == "Available"
            assert statuses[1]["status"] == "Charging"
            assert (statuses[3]["status"], statuses[3]["info"]) == ("Unavailable", "charger offline")


async def test_a_reconnect_sends_no_boot_unless_the_csms_needs_it(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        await csms.wait_for(lambda: csms.calls("Heartbeat"))
        csms.cut()
        await csms.wait_for(lambda: len(csms.calls("Heartbeat")) == 2, 20)
        assert len(csms.calls("BootNotification")) == 1
        csms.forget_registration(IDENTITY)
        csms.cut()
        await csms.wait_for(lambda: len(csms.calls("BootNotification")) == 2, 20)
        await site.until("status", lambda d: d["uplink"]["state"] == "accepted")


async def test_a_rejected_registration_is_silent_until_the_interval_is_over(folder, csms):
    csms.boot_status = "Rejected"
    csms.boot_interval_s = 1
    async with Site(configuration(folder, csms_url=csms.url, chargers=TWO)).running() as site:
        await site.until("uplink", lambda d: d["uplink"]["state"] == "rejected")
        csms.boot_status = "Accepted"
        await csms.wait_for(lambda: csms.calls("Heartbeat"), 20)
        assert [one.action for one in csms.received][:3] == [
            "BootNotification",
            "BootNotification",
            "StatusNotification",
        ]


async def test_the_password_is_shown_and_a_wrong_one_is_told_in_words(folder):
    async with Csms(password=b"right-password!!") as csms:
        config = configuration(folder, csms_url=csms.url, password=b"wrong-password!!")
        async with Site(config).running() as site:
            error = await site.until("status", lambda d: d["uplink"]["last_error"])
            assert error == "the CSMS refused the connection with HTTP 401: wrong password"
        right = replace(config, uplink=replace(config.uplink, password=b"right-password!!"))
        async with Site(right).running():
            await csms.wait_registered(IDENTITY)


async def test_wss_with_an_own_ca_connects_and_an_unknown_ca_is_told_in_words(folder):
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with Csms(ssl_context=context) as csms:
        url = csms.url.replace("127.0.0.1", "localhost")
        trusting = configuration(folder, csms_url=url, ca_file=certificate)
        async with Site(trusting).running():
            await csms.wait_registered(IDENTITY)
        async with Site(configuration(folder, csms_url=url)).running() as site:
            error = await site.until("status", lambda d: d["uplink"]["last_error"])
            assert "is not trusted" in error
            assert url in error


def _certificate(folder):
    certificate, key = folder / "cert.pem", folder / "key.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("openssl is not installed: apt install openssl")
    return certificate, key


async def test_another_endpoint_is_refused_while_the_first_one_knows_unfinished_transactions(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=TWO)
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await csms.wait_for(lambda: csms.calls("StartTransaction"))
            await site.until("session", lambda d: d["session"]["csms_transaction_id"], session="S1")
    async with Csms() as other, Site(configuration(folder, csms_url=other.url, chargers=TWO)).running() as site:
        error = await site.until("status", lambda d: d["uplink"]["last_error"])
        assert error.startswith("UplinkDown: 1 unfinished transactions belong to") or "unfinished" in error
        assert other.received == []


async def test_the_site_meter_is_relayed_as_connector_0(folder, csms):
    async with MeterSimulator() as meter:
        meter.set(power_w=(1000.0, -200.0, 0.0), current_a=(4.4, 1.0, 0.0))
        meters = (Meter("grid", "eastron-sdm630", meter.connection, poll_interval=0.2, stale_after=1.0),)
        async with Site(configuration(folder, csms_url=csms.url, chargers=TWO, meters=meters)).running() as site:
            await csms.wait_registered(IDENTITY)
            change = {"key": "ClockAlignedDataInterval", "value": "1"}
            await site.until("meter", lambda d: d["meters"][0]["quality"] == "good")
            assert await csms.call(IDENTITY, "TriggerMessage", {"requestedMessage": "MeterValues"}) == {
                "status": "Accepted"
            }
            assert (await csms.call(IDENTITY, "ChangeConfiguration", change))["status"] == "Accepted"
            values = await csms.wait_for(lambda: csms.calls("MeterValues"))
            assert values[0].payload["connectorId"] == 0
            sampled = values[0].payload["meterValue"][0]["sampledValue"]
            assert all(one["location"] == "Inlet" and one["context"] == "Trigger" for one in sampled)
            powers = [(one["measurand"], one["phase"], one["value"]) for one in sampled if one["unit"] == "W"]
            assert powers == [
                ("Power.Active.Import", "L1", "1000.0"),
                ("Power.Active.Export", "L2", "200.0"),
                ("Power.Active.Import", "L3", "0.0"),
            ]
            aligned = await csms.wait_for(
                lambda: [
                    one
                    for one in csms.calls("MeterValues")
                    if one.payload["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
                ]
            )
            assert aligned[0].payload["connectorId"] == 0
            meter.silent(True)
            alarm = await site.until("status", lambda d: [a for a in d["alarms"] if a["code"] == "meter_silent"])
            assert alarm[0]["subject"] == "grid"
            meter.silent(False)
            await site.until("status", lambda d: not d["alarms"])


async def test_the_daemon_works_without_any_uplink(folder):
    async with Site(configuration(folder, chargers=TWO)).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await charger.stop_session(1)
            status = await site.ask("status")
            assert status["uplink"]["state"] == "offline"
            assert status["backlog"]["messages"] == 2
