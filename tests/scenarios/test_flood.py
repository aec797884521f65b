"""One charger sends as fast as it can, and the others' sessions are stored and reach the cloud all the same."""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed

from edge.chargers.refusals import BILLING_KEPT_PER_HOUR
from edge.config import ChargerSettings
from edge.store import shares
from tests.scenarios.field import AT, LATER, Raw, counted, energy, raw, values
from tests.scenarios.site import IDENTITY, Site, configuration


@contextlib.asynccontextmanager
async def a_small_store(folder, csms, megabytes: int):
    """Two chargers, and a cloud that is gone."""
    chargers = tuple(ChargerSettings(name, evses=(1, 1)) for name in ("CP-01", "CP-02"))
    config = configuration(folder, csms_url=csms.url, chargers=chargers)
    config = replace(config, store=replace(config.store, max_size_mb=megabytes))
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        await site.until("status", lambda found: found["store"])
        csms.refuse_connections(True)
        csms.cut()
        yield site


async def level(site: Site) -> str:
    return (await site.ask("status"))["store"]["level"]


async def a_session_is_stored(charger: Raw, token: str) -> None:
    tx = await charger.start(token=token)
    await charger.call("MeterValues", values(energy("100"), transactionId=tx))
    await charger.call("StopTransaction", {"transactionId": tx, "meterStop": 500, "timestamp": LATER})


async def the_session_arrives(site: Site, csms, token: str) -> None:
    csms.refuse_connections(False)

    def is_delivered(found: dict) -> bool:
        return any(one["id_token"] == token and one["delivery"]["state"] == "delivered" for one in found["sessions"])

    await site.until("sessions", is_delivered, within=30)


async def floods_with_sessions(site: Site) -> int:
    """Starts and stops of sessions of its own, each 40 kB, until it gets no answer any more."""
    stored = 0
    async with raw(site, "CP-01") as charger:
        with contextlib.suppress(ConnectionClosed):
            while True:
                tx = await charger.start(token=f"T{stored}", meter=stored)
                payload = {"transactionId": tx, "meterStop": stored, "timestamp": LATER, "vendorData": "x" * 40_000}
                await charger.call("StopTransaction", payload)
                stored += 1
        assert charger.socket.close_code == 1011
    return stored


async def test_a_charger_that_fills_the_store_with_sessions_takes_no_room_of_the_others(folder, csms):
    async with a_small_store(folder, csms, 8) as site:
        assert await floods_with_sessions(site) > 100
        assert await counted(site, "share_exceeded") == 1
        alarms = (await site.ask("status"))["alarms"]
        assert [alarm["subject"] for alarm in alarms if alarm["code"] == "charger_floods"] == ["CP-01"]
        assert await level(site) != "red"

        async with asyncio.TaskGroup() as tasks:

            async def goes_on() -> None:
                while True:
                    await floods_with_sessions(site)

            attack = tasks.create_task(goes_on())
            async with raw(site, "CP-02") as charger:
                await a_session_is_stored(charger, "GOOD")
            attack.cancel()
        await the_session_arrives(site, csms, "GOOD")


async def test_stops_that_belong_to_nothing_fill_no_store(folder, csms):
    async with a_small_store(folder, csms, 8) as site:
        async with raw(site) as charger:
            with pytest.raises(ConnectionClosed):
                for number in range(2 * shares.EXTRA_ROWS):
                    payload = {"transactionId": 900_000 + number, "meterStop": number, "timestamp": AT}
                    text = json.dumps([2, f"m{number}", "StopTransaction", payload])
                    assert (await charger.say(text[:-1] + " " * 64_000 + "]"))[0] == 3
        assert shares.EXTRA_ROWS <= number <= shares.EXTRA_ROWS + 5
        assert await counted(site, "allowance_exceeded") == 1
        assert await counted(site, "text_padded") == number
        assert await level(site) == "green"
        async with raw(site, "CP-02") as charger:
            await a_session_is_stored(charger, "GOOD")
        await the_session_arrives(site, csms, "GOOD")


async def test_an_unreadable_stop_beyond_what_is_kept_is_not_refused_so_that_its_charger_keeps_it(folder, csms):
    async with a_small_store(folder, csms, 64) as site, raw(site) as charger:
        longest = {"meterStop": "x" * (BILLING_KEPT_PER_HOUR - 100)}
        assert (await charger.say(json.dumps([2, "a", "StopTransaction", longest])))[0] == 4
        with pytest.raises(ConnectionClosed):
            await charger.say(json.dumps([2, "b", "StopTransaction", {"meterStop": "x" * 200}]))
        assert await counted(site, "allowance_exceeded") == 1
