"""Rollouts in which something goes wrong at the source, in the bridge, in the daemon or in a charger."""

import asyncio
import contextlib

import pytest
from simulators.csms import Csms
from simulators.updating import Habits, image

from edge.domain.rollouts import PATIENCE_MS, Step
from firmware_bridge import disk
from firmware_bridge.api import Bridge
from tests.firmware.bridge_process import BridgeProcess
from tests.firmware.yard import (
    THREE,
    Internet,
    bridge,
    connected,
    over,
    requests,
    settings,
    site_beside,
    some,
    step,
    yard,
)
from tests.scenarios.site import IDENTITY, Site

ONE = THREE[:1]
LARGE = image("1.1", 16_000_000)
"""More than the sockets between two ends hold."""
WAVE = 4
"""As many as the bridge serves to one address: here all chargers have the same."""
PERSISTENT = Habits(attempts=400, holds_at=100_000)


async def begin(site: Site, internet: Internet, **others) -> None:
    name = next(iter(internet.files))
    document = await site.ask(
        "firmware_rollout", **{"location": internet.url(name), "model": "Two-Outlet", "version": "1.1"} | others
    )
    assert "error" not in document, document


def asked(boxes) -> list[int]:
    """How often each was asked for it."""
    return [requests(box).count("UpdateFirmware") for box in boxes]


async def waits_for(site: Site, word: str) -> None:
    await site.until("firmware_show", lambda d: word in (d["rollout"]["why"] or ""), within=40, rollout="F1")


def no_complaint(ended: dict) -> bool:
    return (ended["state"], ended["failed"], ended["why"]) == ("done", 0, None)


# --- the source


async def test_a_download_that_breaks_off_goes_on_and_the_rollout_with_it(folder, soon):
    internet = Internet({"new.bin": image("1.1")}, breaks_after=[60_000])
    async with yard(folder, internet, chargers=ONE) as (site, boxes):
        await begin(site, internet)
        assert no_complaint(await over(site))
        assert len(internet.asked) == 2 and internet.asked[1][1] is not None
        assert boxes[0].updating.downloads == [image("1.1")]


async def test_another_file_than_was_announced_reaches_nobody(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet) as (site, boxes):
        await begin(site, internet, sha256="00" * 32)
        ended = await over(site)
        assert ended["state"] == "failed" and "SHA-256" in ended["why"]
        assert asked(boxes) == [0, 0, 0]


# --- chargers


async def test_who_fetches_the_file_twice_gets_it_twice(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=ONE, habits={"CP-01": Habits(fetches=2)}) as (site, boxes):
        await begin(site, internet)
        assert no_complaint(await over(site))
        assert boxes[0].updating.downloads == [image("1.1")] * 2 and asked(boxes) == [1]
        assert len(internet.asked) == 1


async def test_who_says_nothing_has_it_when_it_boots_with_it(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=ONE, habits={"CP-01": Habits(says_anything=False)}) as (site, boxes):
        await begin(site, internet)
        assert no_complaint(await over(site))
        assert asked(boxes) == [1]


async def test_who_is_never_heard_again_is_given_up_and_nobody_follows(folder, monkeypatch):
    monkeypatch.setitem(PATIENCE_MS, Step.DOWNLOADED, 1500)
    internet = Internet({"new.bin": image("1.1")})
    habits = {"CP-01": Habits(says_anything=False, is_never_heard_again=True)}
    async with yard(folder, internet, habits=habits) as (site, boxes):
        await begin(site, internet)
        ended = await over(site)
        assert (ended["state"], ended["why"]) == ("failed", "failed: CP-01; 2 were not asked")
        assert "may still be at it" in ended["chargers"][0]["why"]
        assert asked(boxes) == [1, 0, 0]


@pytest.mark.parametrize(("times", "state"), [(1, "done"), (2, "failed")])
async def test_who_restarts_midway_gets_a_second_chance_and_no_third(folder, monkeypatch, times, state):
    monkeypatch.setitem(PATIENCE_MS, Step.RESTARTED, 500)
    internet = Internet({"new.bin": image("1.1")})
    habits = {"CP-01": Habits(restarts_midway=times)}
    async with yard(folder, internet, chargers=ONE, habits=habits) as (site, boxes):
        await begin(site, internet)
        assert (await over(site))["state"] == state
        assert asked(boxes) == [2]


async def test_who_has_the_whole_file_and_says_only_that_it_has_started_may_be_flashing(folder, monkeypatch):
    monkeypatch.setitem(PATIENCE_MS, Step.RESTARTED, 200)
    monkeypatch.setitem(PATIENCE_MS, Step.DOWNLOADED, 2000)
    internet = Internet({"new.bin": image("1.1")})
    habits = {"CP-01": Habits(says_anything=False, keeps_old=True)}
    async with yard(folder, internet, chargers=ONE, habits=habits) as (site, boxes):
        await begin(site, internet)
        ended = await over(site)
        assert ended["state"] == "failed" and "may still be at it" in ended["chargers"][0]["why"]
        assert asked(boxes) == [1]


async def test_who_has_got_it_otherwise_meanwhile_is_not_asked(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=THREE[:2]) as (site, boxes):
        await boxes[0].start_session(1, "A", authorize=False)
        await begin(site, internet, chargers=["CP-01"])
        await site.until("firmware_show", lambda d: d["rollout"]["state"] == "running", rollout="F1")
        boxes[0].boot["firmwareVersion"] = "1.1"
        boxes[0].reset("Hard")
        assert no_complaint(await over(site))
        assert asked(boxes) == [0, 0]


# --- the daemon


async def test_a_daemon_that_was_restarted_does_not_ask_again(folder):
    internet = Internet({"new.bin": image("1.1")})
    site = site_beside(folder, ONE)
    async with internet.running(), bridge(settings(folder)), contextlib.AsyncExitStack() as lasting:
        async with site.running():
            boxes = await lasting.enter_async_context(connected(site.url, ONE, {"CP-01": Habits(pause_s=1.0)}))
            await begin(site, internet)
            await step(site, "installing")
        async with site.running():
            boxes[0].url = site.url
            assert no_complaint(await over(site))
            assert asked(boxes) == [1] and len(internet.asked) == 1


async def test_a_daemon_that_was_restarted_before_anything_was_asked_goes_on(folder):
    internet = Internet({"new.bin": image("1.1", 200_000)}, seconds_a_piece=0.02)
    site = site_beside(folder, ONE)
    async with internet.running(), bridge(settings(folder)), contextlib.AsyncExitStack() as lasting:
        async with site.running():
            boxes = await lasting.enter_async_context(connected(site.url, ONE))
            await begin(site, internet)
        async with site.running():
            boxes[0].url = site.url
            assert no_complaint(await over(site))
            assert asked(boxes) == [1] and len(internet.asked) == 1


# --- the bridge


async def test_a_rollout_waits_for_a_bridge_that_is_not_there_yet(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with (
        Csms() as csms,
        yard(folder, internet, chargers=ONE, csms_url=csms.url, has_bridge=False) as (site, boxes),
    ):
        await csms.wait_registered(IDENTITY)
        where = {"location": internet.url("new.bin"), "retrieveDate": "2026-01-01T00:00:00Z"}
        await csms.call(IDENTITY, "UpdateFirmware", where)
        await waits_for(site, "Is firmware-bridge running?")
        async with bridge(settings(folder)):
            assert no_complaint(await over(site))
        assert asked(boxes) == [1]


async def test_a_bridge_that_is_killed_while_it_fetches_goes_on_afterwards(folder):
    internet = Internet({"new.bin": image("1.1", 400_000)}, seconds_a_piece=0.02)
    async with (
        BridgeProcess(folder) as process,
        yard(folder, internet, chargers=ONE, has_bridge=False) as (site, boxes),
    ):
        await begin(site, internet)
        await site.until("firmware_show", lambda d: 10 < (d["rollout"]["fetch_percent"] or 0) < 100, rollout="F1")
        await process.kill()
        await waits_for(site, "Is firmware-bridge running?")
        internet.seconds_a_piece = 0
        await process.start()
        assert no_complaint(await over(site))
        assert asked(boxes) == [1] and boxes[0].updating.downloads == [image("1.1", 400_000)]


async def test_a_bridge_that_is_killed_before_anybody_was_asked_has_the_file_afterwards(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with (
        BridgeProcess(folder) as process,
        yard(folder, internet, chargers=ONE, has_bridge=False) as (site, boxes),
    ):
        await boxes[0].start_session(1, "A", authorize=False)
        await begin(site, internet)
        await site.until("firmware_show", lambda d: d["rollout"]["state"] == "running", rollout="F1")
        await process.kill()
        await boxes[0].stop_session(1)
        await boxes[0].unplug(1)
        await waits_for(site, "Is firmware-bridge running?")
        assert asked(boxes) == [0]
        await process.start()
        assert no_complaint(await over(site))
        assert asked(boxes) == [1] and len(internet.asked) == 1


async def test_a_bridge_that_is_killed_while_a_charger_downloads_serves_it_afterwards(folder):
    internet = Internet({"new.bin": LARGE})
    habits = {"CP-01": PERSISTENT}
    async with BridgeProcess(folder) as process:
        async with yard(folder, internet, chargers=THREE[:2], habits=habits, has_bridge=False) as (site, boxes):
            await begin(site, internet)
            async with asyncio.timeout(40):
                await boxes[0].updating.is_holding.wait()
            await process.kill()
            boxes[0].updating.goes_on.set()
            await process.start()
            assert no_complaint(await over(site))
            assert asked(boxes) == [1, 1] and len(internet.asked) == 1
            assert [box.updating.downloads == [LARGE] for box in boxes] == [True, True]


async def test_a_bridge_that_has_gone_for_good_does_not_keep_a_rollout_from_its_end(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with contextlib.AsyncExitStack() as beside:
        await beside.enter_async_context(bridge(settings(folder)))
        habits = {"CP-01": Habits(pause_s=0.7)}
        async with yard(folder, internet, chargers=ONE, habits=habits, has_bridge=False) as (site, boxes):
            await begin(site, internet)
            await step(site, "downloaded", "installing")
            await beside.aclose()
            assert no_complaint(await over(site))


async def test_a_file_that_the_bridge_has_lost_is_fetched_again(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=ONE) as (site, boxes):
        await boxes[0].start_session(1, "A", authorize=False)
        await begin(site, internet)
        running = await site.until(
            "firmware_show", lambda d: d["rollout"]["state"] == "running" and d["rollout"], rollout="F1"
        )
        await site.ask("firmware_remove", file=running["sha256"])
        await boxes[0].stop_session(1)
        await boxes[0].unplug(1)
        assert no_complaint(await over(site))
        assert asked(boxes) == [1] and len(internet.asked) == 2


async def test_another_file_than_the_first_ones_got_reaches_nobody(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=THREE[:2]) as (site, boxes):
        await boxes[1].start_session(1, "A", authorize=False)
        await begin(site, internet)
        await step(site, "installed")
        internet.files["new.bin"] = image("1.2")
        running = await site.ask("firmware_show", rollout="F1")
        await site.ask("firmware_remove", file=running["rollout"]["sha256"])
        await boxes[1].stop_session(1)
        await boxes[1].unplug(1)
        ended = await over(site)
        assert ended["state"] == "failed" and "SHA-256" in ended["why"]
        assert asked(boxes) == [1, 0]


async def test_on_a_full_disk_it_waits_for_room(folder, soon, monkeypatch):
    internet = Internet({"new.bin": image("1.1")})
    full = pytest.MonkeyPatch()
    full.setattr(disk, "free_bytes", lambda _: 0)
    try:
        async with yard(folder, internet, chargers=ONE) as (site, boxes):
            await begin(site, internet)
            await waits_for(site, "do not fit")
            full.undo()
            assert no_complaint(await over(site))
            assert asked(boxes) == [1]
    finally:
        full.undo()


# --- many, and an end before the end


async def test_forty_chargers_get_a_file_that_came_once_and_never_more_than_a_wave_at_a_time(folder):
    internet = Internet({"new.bin": image("1.1", 60_000)}, seconds_a_piece=0.05)
    forty = some(40)
    habits = {one.id: Habits(pause_s=0.01) for one in forty}
    most_at_once = 0

    def has_ended(document: dict) -> dict | None:
        nonlocal most_at_once
        now = document["rollout"]
        at_it = sum(Step(one["step"]).is_under_way for one in now["chargers"])
        most_at_once = max(most_at_once, at_it)
        assert at_it <= (WAVE if now["installed"] else 1)
        return now if now["ended_at"] else None

    async with yard(folder, internet, chargers=forty, habits=habits) as (site, boxes):
        await begin(site, internet, wave=WAVE)
        ended = await site.until("firmware_show", has_ended, within=100, rollout="F1")
        assert no_complaint(ended) and ended["installed"] == 40
        assert len(internet.asked) == 1 and asked(boxes) == [1] * 40
        assert 1 < most_at_once <= WAVE


async def test_after_an_abort_who_is_at_it_finishes_and_nobody_else_is_asked(folder):
    internet = Internet({"new.bin": LARGE})
    async with yard(folder, internet, habits={"CP-01": PERSISTENT}) as (site, boxes):
        await begin(site, internet)
        async with asyncio.timeout(40):
            await boxes[0].updating.is_holding.wait()
        aborted = await site.ask("firmware_abort", rollout="F1")
        assert aborted["rollout"]["state"] == "aborted" and aborted["rollout"]["ended_at"] is None
        boxes[0].updating.goes_on.set()
        ended = await over(site)
        assert (ended["state"], ended["installed"]) == ("aborted", 1)
        assert [one["step"] for one in ended["chargers"]] == ["installed", "skipped", "skipped"]
        assert asked(boxes) == [1, 0, 0]


async def test_after_an_abort_nobody_gets_a_second_chance(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=ONE, habits={"CP-01": Habits(takes_it=False, pause_s=2.0)}) as (
        site,
        boxes,
    ):
        await begin(site, internet)
        await step(site, "asked", "downloading")
        await site.ask("firmware_abort", rollout="F1")
        ended = await over(site)
        assert (ended["state"], ended["chargers"][0]["step"]) == ("aborted", "skipped")
        assert asked(boxes) == [1]


async def test_what_is_aborted_while_the_file_comes_asks_nobody(folder):
    internet = Internet({"new.bin": image("1.1", 2_000_000)}, seconds_a_piece=0.02)
    async with yard(folder, internet, chargers=ONE) as (site, boxes):
        await begin(site, internet)
        await begin(site, internet)
        for name in ("F1", "F2"):
            await site.until("firmware_show", lambda d: d["rollout"]["fetch_percent"], rollout=name)
        client = Bridge(folder / "firmware.sock")
        (record,) = (folder / "bridge" / "fetches").glob("*.json")
        await site.ask("firmware_abort", rollout="F1")
        assert (await over(site))["state"] == "aborted"
        assert (await client.fetched(record.stem)).state == "fetching"  # F2 waits for it, too
        await site.ask("firmware_abort", rollout="F2")
        assert (await over(site, "F2"))["state"] == "aborted"
        async with asyncio.timeout(10):
            while not (await client.fetched(record.stem)).has_ended:
                await asyncio.sleep(0.05)
        assert asked(boxes) == [0]
