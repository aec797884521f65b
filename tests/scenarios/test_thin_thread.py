"""One session from the charger to the CSMS and back."""

from simulators.charger import Charger

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration


async def test_a_session_reaches_the_csms_as_the_charger_sent_it(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(2)
            await charger.start_session(2, "TAG-1")
            await charger.send_meter_values(2)
            await charger.stop_session(2)
            await csms.wait_for(lambda: csms.calls("StopTransaction"))
            start, values, stop = (
                csms.calls(name)[0] for name in ("StartTransaction", "MeterValues", "StopTransaction")
            )
            assert start.payload == {**charger.sent[0].payload, "connectorId": 2}
            csms_id = start.answer["transactionId"]
            assert values.payload == {**charger.sent[1].payload, "transactionId": csms_id}
            assert stop.payload == {**charger.sent[2].payload, "transactionId": csms_id}
            await site.until("sessions", lambda d: d["sessions"][0]["delivery"]["state"] == "delivered")
    assert csms.violations == []
