"""Charger and cloud of another make with the daemon between them, also when the cloud dies in mid-transaction."""

from tests.independent.parties import TRANSACTION, NodeCharger, NodeCsms
from tests.scenarios.apart import apart
from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

ONE = (ChargerSettings("CP-01", evses=(1, 1)),)


async def test_a_token_that_the_cloud_blocks_is_blocked_at_the_charger(stack, folder):
    async with NodeCsms(stack, IDENTITY, tokens={"STOLEN": "Blocked"}).running() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
            await csms.until_told_statuses(3)
            async with NodeCharger(stack, "CP-01", site.url).running() as charger:
                await charger.do("connect")
                assert await charger.do("authorize", idTag="STOLEN") == {"idTagInfo": {"status": "Blocked"}}
                assert await charger.do("authorize", idTag="MINE") == {"idTagInfo": {"status": "Accepted"}}


async def test_what_a_charger_says_during_an_outage_arrives_once_and_in_order(stack, folder):
    async with NodeCsms(stack, IDENTITY, firstTransactionId=50).running() as csms:
        async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
            async with NodeCharger(stack, "CP-01", site.url).running() as charger:
                await charger.do("connect")
                await csms.until_told_statuses(3)
                await charger.do("start", connector=1, idTag="BEFORE")
                await charger.do("sample", connector=1, addWh=100)
                # Nothing is on its way when the cloud goes: what was not answered would rightly be sent again.
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
                await csms.do("leave")
                await site.until("status", lambda d: d["uplink"]["state"] != "accepted")
                for number in range(5):
                    await charger.do("sample", connector=1, addWh=200 + number)
                await charger.do("stop", connector=1, reason="Local")
                await charger.do("start", connector=1, idTag="DURING")
                await charger.do("sample", connector=1, addWh=300)
                assert len(csms.received(*TRANSACTION)) == 2
                await csms.do("comeBack")
                await csms.until_answered("StartTransaction", 2, within_s=30)
                await charger.do("stop", connector=1, reason="EVDisconnected")
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
                await csms.until_answered("StopTransaction", 2)

                got = apart(csms.received(*TRANSACTION))
                assert [call.action for call in got] == [call.action for call in charger.sent]
                assert len(got) == 11
                upstream_id = None
                for call, one in zip(got, charger.sent, strict=True):
                    if call.action == "StartTransaction":
                        upstream_id = call.result["transactionId"]
                    named = {"transactionId": upstream_id} if "transactionId" in one.payload else {}
                    assert call.payload == {**one.payload, **named}
                assert [call.result["transactionId"] for call in got if call.action == "StartTransaction"] == [50, 51]
                assert len({call.message_id for call in csms.received()}) == len(csms.received())
        assert csms.talk.stray == []
