"""Rollouts from end to end: one download from the internet, one charger after the other, proven by its next boot."""

from simulators.updating import Habits, image

from tests.firmware.yard import THREE, Internet, over, yard


async def test_a_rollout_downloads_the_file_once_and_is_proven_by_each_boot(folder):
    internet = Internet({"evb-1.1.bin": image("1.1", 300_000)})
    async with yard(folder, internet) as (site, boxes):
        begun = await site.ask(
            "firmware_rollout", location=internet.url("evb-1.1.bin"), model="Two-Outlet", version="1.1"
        )
        assert begun["rollout"]["rollout"] == "F1"
        ended = await over(site)
        assert (ended["state"], ended["installed"], ended["failed"]) == ("done", 3, 0)
        assert [one["version"] for one in ended["chargers"]] == ["1.1"] * 3
        assert len(internet.asked) == 1
        for box in boxes:
            assert box.updating.downloads == [image("1.1", 300_000)]
            assert [action for action, _ in box.requests].count("UpdateFirmware") == 1


async def test_a_canary_that_fails_saves_the_others(folder):
    internet = Internet({"bad.bin": image("1.1")})
    async with yard(folder, internet, habits={"CP-01": Habits(installs_it=False)}) as (site, boxes):
        await site.ask("firmware_rollout", location=internet.url("bad.bin"), model="Two-Outlet", version="1.1")
        ended = await over(site)
        assert (ended["state"], ended["installed"], ended["failed"]) == ("failed", 0, 1)
        assert "CP-01" in ended["why"]
        assert [one["step"] for one in ended["chargers"]] == ["failed", "waiting", "waiting"]
        assert not any(action == "UpdateFirmware" for box in boxes[1:] for action, _ in box.requests)


async def test_a_charger_that_charges_is_asked_after_its_session(folder):
    internet = Internet({"new.bin": image("2.0")})
    async with yard(folder, internet, chargers=THREE[:1]) as (site, (box,)):
        await box.start_session(1, "A", authorize=False)
        await site.ask("firmware_rollout", location=internet.url("new.bin"), chargers=["CP-01"])
        await site.until("firmware_show", lambda d: d["rollout"]["state"] == "running", rollout="F1")
        assert not [action for action, _ in box.requests if action == "UpdateFirmware"]
        await box.stop_session(1)
        await box.unplug(1)
        assert (await over(site))["state"] == "done"
