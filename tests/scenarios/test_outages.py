"""What `edge outages` says of a night without the cloud, as the depot has lived it."""

from simulators.charger import Charger

from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port

TWO = tuple(ChargerSettings(f"CP-0{number}", evses=(1,)) for number in (1, 2))


async def test_an_outage_is_told_with_the_token_that_the_cloud_refused_later(folder, csms):
    csms.tokens["STRANGER"] = "Blocked"
    config = configuration(folder, csms_url=csms.url, chargers=TWO, offline="everyone")
    async with Site(config).running() as site:
        first, second = (Charger(f"CP-0{number}", site.url, meter_interval_s=0) for number in (1, 2))
        async with first.running(), second.running():
            for charger in (first, second):
                await charger.wait_for(lambda charger=charger: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            await first.plug_in(1)
            await first.start_session(1, "KNOWN", authorize=False)
            first.draw(1, 0.0)  # only what is added is metered
            first.add_energy(1, 1000)
            await first.send_meter_values(1)
            await csms.wait_for(lambda: csms.calls("MeterValues"))
            assert (await site.ask("outages"))["outages"] == []  # that it has just begun is none

            csms.refuse_connections(True)
            csms.cut()
            await site.until("status", lambda d: d["uplink"]["state"] != "accepted")
            first.add_energy(1, 2000)
            await first.send_meter_values(1)
            await second.plug_in(1)
            await second.start_session(1, "STRANGER", authorize=False)
            second.draw(1, 0.0)
            second.add_energy(1, 300)
            await second.send_meter_values(1)
            (goes_on,) = (await site.ask("outages"))["outages"]
            assert (goes_on["until"], goes_on["replay_s"], goes_on["replayed_at"]) == (None, None, None)
            assert (goes_on["messages"], goes_on["acknowledged"], goes_on["waiting"]) == (3, 0, 3)
            assert goes_on["counts_equal"] is False
            assert goes_on["tokens"] == [
                {
                    "session": "S2",
                    "id_token": "STRANGER",
                    "source": "policy",
                    "csms_verdict": None,
                    "csms_verdict_at": None,
                }
            ]

            await csms.wait_for(lambda: csms.handshakes_refused, 20)
            csms.refuse_connections(False)
            # its token is refused, and so the charger is told to stop
            await csms.wait_for(lambda: csms.calls("StopTransaction"), 20)
            document = await site.until("outages", lambda d: d if d["outages"][0]["waiting"] == 0 else None)
            (outage,) = document["outages"]
            assert outage["from"] < outage["until"] <= outage["replayed_at"] <= document["at"]
            assert 0 < outage["lasted_s"] < 60 and 0 <= outage["replay_s"] < 60
            assert "connection" in outage["why"]
            assert "503" in outage["last_error"]
            (token,) = outage["tokens"]
            assert (token["session"], token["source"], token["csms_verdict"]) == ("S2", "policy", "Blocked")
            assert token["csms_verdict_at"] >= outage["until"]
            counted = ("sessions_started", "sessions_ended", "sessions_served", "energy_wh", "messages", "acknowledged")
            assert [outage[name] for name in counted] == [1, 0, 2, 2300, 3, 3]
            assert (outage["counts_equal"], outage["parked"], outage["dropped"]) == (True, 0, 0)


TOML = """
[site]
id = "{identity}"
[store]
path = "edge.db"
[[listener]]
address = "127.0.0.1:{port}"
security_profile = 0
[[charger]]
id = "CP-01"
evses = [1]
[uplink]
url = "{url}"
identity = "{identity}"
security_profile = 0
[authorization]
offline = "everyone"
[api]
socket = "edge.sock"
"""


async def test_a_controller_that_was_killed_or_stopped_was_away_from_the_cloud_as_well(folder, csms):
    port = free_port()
    daemon = DaemonProcess(folder, TOML.format(identity=IDENTITY, port=port, url=csms.url))
    charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))
    await daemon.start()
    try:
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY)
            await charger.plug_in(1)
            await charger.start_session(1, "KNOWN", authorize=False)
            charger.draw(1, 0.0)
            await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
            await daemon.kill()
            csms.refuse_connections(True)
            await daemon.start()
            (outage,) = (await daemon.ask("outages"))["outages"]
            assert (outage["why"], outage["until"]) == ("the controller ended without a word: power, or a kill", None)
            await charger.wait_for(lambda: charger.is_ready, 20)
            charger.add_energy(1, 500)
            await charger.send_meter_values(1)
            csms.refuse_connections(False)
            outage = await daemon.until(
                "outages", lambda d: d["outages"][0]["replayed_at"] is not None and d["outages"][0], 40
            )
            assert (outage["messages"], outage["counts_equal"], outage["energy_wh"]) == (1, True, 500)
            assert (outage["sessions_served"], outage["sessions_started"], outage["tokens"]) == (1, 0, [])

            await daemon.stop()
            await daemon.start()
            newest, older = await daemon.until(
                "outages", lambda d: d["outages"] if len(d["outages"]) == 2 and d["outages"][0]["until"] else None
            )
            assert (newest["why"], newest["messages"], newest["replay_s"]) == ("the controller was stopped", 0, 0)
            assert newest["from"] > older["until"]
    finally:
        await daemon.stop()
