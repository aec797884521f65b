"""Kills at random moments of reloads, while chargers charge: nothing is lost, no number changes hands."""

import asyncio
import random
import signal

from simulators.charger import Charger
from simulators.csms import Csms

from tests.scenarios.site import IDENTITY, DaemonProcess, free_port
from tests.scenarios.test_outage import assert_cloud_has_what_was_sent, charge, toml

LIVES = 5


def variants(text: str) -> list[str]:
    """What the file says in turn: a charger leaves and another comes, one grows, the cloud is told another vendor."""
    return [
        text,
        text.replace('id = "CP-03"', 'id = "CP-04"').replace("evses = [1, 1]", "evses = [1, 1, 1]", 1),
        text.replace("[uplink]", '[uplink]\nvendor = "Acme"'),
        text.replace('offline = "everyone"', 'offline = "everyone"\nonline_timeout = 3.0'),
        "this is no TOML",
    ]


async def test_kills_at_random_moments_of_reloads_lose_nothing(folder):
    chance = random.Random(9)
    async with Csms(dedupe=True) as csms:
        port = free_port()
        text = toml(port, csms.url)
        daemon = DaemonProcess(folder, text)
        options = {"meter_interval_s": 0, "reconnect_s": (0.05, 0.2)}
        chargers = [Charger(f"CP-0{number}", f"ws://127.0.0.1:{port}/ocpp", **options) for number in (1, 2)]
        is_over = asyncio.Event()
        owners: dict[int, tuple[str, int]] = {}
        reloads = 0

        async def keep_charging(charger: Charger, connector: int) -> None:
            session = 0
            while not is_over.is_set():
                session += 1
                await charge(charger, connector, f"{charger.identity}/{connector}/{session}", values=2)

        async def one_life() -> None:
            nonlocal reloads
            await daemon.start()
            document = await daemon.ask("status")
            for one in document["connectors"]:
                owner = (one["charger"], one["connector"])
                assert owners.setdefault(one["upstream_connector"], owner) == owner
            assert list(owners) == list(range(1, len(owners) + 1))
            before = len(daemon.events("configuration_reloaded"))
            async with asyncio.timeout(20):
                while not all(charger.is_ready for charger in chargers):
                    await asyncio.sleep(0.01)
            until = asyncio.get_running_loop().time() + chance.uniform(0.05, 0.6)
            while asyncio.get_running_loop().time() < until:
                daemon.file.write_text(chance.choice(variants(text)))
                daemon.signal(signal.SIGHUP)
                await asyncio.sleep(chance.uniform(0.0, 0.06))
            await daemon.kill()
            reloads += len(daemon.events("configuration_reloaded")) - before

        try:
            async with chargers[0].running(), chargers[1].running():
                async with asyncio.TaskGroup() as tasks:
                    for charger in chargers:
                        for connector in (1, 2):
                            tasks.create_task(keep_charging(charger, connector))
                    for _ in range(LIVES):
                        daemon.file.write_text(chance.choice(variants(text)[:-1]))
                        await one_life()
                    daemon.file.write_text(variants(text)[1])
                    await daemon.start()
                    is_over.set()
                await csms.wait_registered(IDENTITY)
                for charger in chargers:
                    await charger.wait_drained(30)
            assert reloads > LIVES
            assert sum(len(charger.sent) for charger in chargers) > 50
            assert all(one.answered for charger in chargers for one in charger.sent)
            document = await daemon.until("status", lambda d: d["backlog"]["messages"] == 0 and d)
            assert document["backlog"]["parked"] == 0
            assert_cloud_has_what_was_sent(csms, chargers, repeats_allowed=True)
            assert set(owners.values()) >= {("CP-01", 3), ("CP-03", 2), ("CP-04", 1)}
            assert not csms.violations
        finally:
            await daemon.stop()
