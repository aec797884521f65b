"""UpdateFirmware of the CSMS: for whom it is, and what the CSMS is told of it."""

import pytest
from simulators.csms import Csms
from simulators.updating import Habits, image

from edge.config import FirmwareRule
from tests.firmware.yard import THREE, Internet, over, requests, yard
from tests.scenarios.site import IDENTITY

AT_ONCE = "2026-01-01T00:00:00Z"


def statuses(csms: Csms) -> list[str]:
    return [one.payload["status"] for one in csms.calls("FirmwareStatusNotification")]


async def test_all_chargers_of_one_model_get_it_and_the_cloud_hears_of_one_station(folder):
    internet = Internet({"evb.bin": image("1.1")})
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url) as (site, boxes):
        await csms.wait_registered(IDENTITY)
        answer = await csms.call(
            IDENTITY, "UpdateFirmware", {"location": internet.url("evb.bin"), "retrieveDate": AT_ONCE}
        )
        assert answer == {}
        ended = await over(site)
        assert (ended["state"], ended["installed"]) == ("done", 3)
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Installed"])
        assert statuses(csms)[0] == "Downloading"
        assert all(requests(box).count("UpdateFirmware") == 1 for box in boxes)
        assert len(internet.asked) == 1


async def test_of_several_models_those_that_are_named_get_it(folder):
    internet = Internet({"duo.bin": image("1.1")})
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, models=("A", "B", "A")) as (site, boxes):
        await csms.wait_registered(IDENTITY)
        where = internet.url("duo.bin") + "#target=CP-02"
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        assert [one["charger"] for one in (await over(site))["chargers"]] == ["CP-02"]
        assert [requests(box).count("UpdateFirmware") for box in boxes] == [0, 1, 0]


async def test_or_those_that_a_rule_names(folder):
    internet = Internet({"Duo-1.1.bin": image("1.1")})
    rules = (FirmwareRule("duo-*.bin", model="A"),)
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, models=("A", "B", "A"), rules=rules) as (site, _),
    ):
        await csms.wait_registered(IDENTITY)
        where = internet.url("Duo-1.1.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        assert [one["charger"] for one in (await over(site))["chargers"]] == ["CP-01", "CP-03"]


async def test_where_nobody_knows_for_whom_it_is_nobody_gets_it(folder):
    internet = Internet({"x.bin": image("1.1")})
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, models=("A", "B", "A")) as (site, boxes):
        await csms.wait_registered(IDENTITY)
        where = internet.url("x.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        await csms.wait_for(lambda: statuses(csms) == ["DownloadFailed"])
        ended = await over(site)
        assert ended["state"] == "failed" and "#target=" in ended["why"]
        assert not internet.asked and not any("UpdateFirmware" in requests(box) for box in boxes)


@pytest.mark.parametrize("where", ["", "#target=CP-01"])
async def test_a_location_without_a_url_is_one_from_which_nothing_comes(folder, where):
    async with Csms() as csms, yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (site, (box,)):
        await csms.wait_registered(IDENTITY)
        assert await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE}) == {}
        await csms.wait_for(lambda: statuses(csms) == ["DownloadFailed"])
        assert (await over(site))["state"] == "failed"
        assert "UpdateFirmware" not in requests(box)


async def test_what_was_aborted_is_not_installed(folder):
    internet = Internet({"evb.bin": image("1.1", 400_000)}, seconds_a_piece=0.2)
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, chargers=THREE[:1]) as (site, _):
        await csms.wait_registered(IDENTITY)
        where = internet.url("evb.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        await csms.wait_for(lambda: statuses(csms) != [])
        await site.ask("firmware_abort", rollout="F1")
        assert (await over(site))["state"] == "aborted"
        await csms.wait_for(lambda: statuses(csms)[-1] != "Downloading")
        assert statuses(csms)[-1] == "DownloadFailed"


async def test_what_happened_while_the_cloud_was_away_it_hears_once_afterwards(folder):
    internet = Internet({"evb.bin": image("1.1")})
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, chargers=THREE[:1]) as (site, _):
        await csms.wait_registered(IDENTITY)
        where = internet.url("evb.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        await csms.stop()
        assert (await over(site))["state"] == "done"
        before = len(statuses(csms))
        await csms.start()
        await csms.wait_registered(IDENTITY)
        await csms.wait_for(lambda: len(statuses(csms)) > before)
        assert statuses(csms)[before:] == ["Installed"]


async def test_the_cloud_may_ask_how_far_it_is(folder):
    internet = Internet({"bad.bin": image("1.1")})
    habits = {"CP-01": Habits(installs_it=False)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:1], habits=habits) as (site, _),
    ):
        await csms.wait_registered(IDENTITY)
        ask = {"requestedMessage": "FirmwareStatusNotification"}
        assert await csms.call(IDENTITY, "TriggerMessage", ask) == {"status": "Accepted"}
        await csms.wait_for(lambda: statuses(csms) == ["Idle"])
        where = internet.url("bad.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        assert (await over(site))["failed"] == 1
        await csms.wait_for(lambda: statuses(csms)[-1] == "InstallationFailed")
        so_far = len(statuses(csms))
        assert await csms.call(IDENTITY, "TriggerMessage", ask) == {"status": "Accepted"}
        await csms.wait_for(lambda: statuses(csms)[so_far:] == ["Idle"])  # 1.6 §4.5


async def test_before_its_time_neither_the_uplink_nor_a_charger_is_bothered(folder):
    """The file may not even lie there yet."""
    internet = Internet()
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, chargers=THREE[:1]) as (site, (box,)):
        await csms.wait_registered(IDENTITY)
        wish = {"location": internet.url("evb.bin"), "retrieveDate": "2099-01-01T00:00:00Z"}
        await csms.call(IDENTITY, "UpdateFirmware", wish)
        await site.until("firmware_show", lambda d: "not before" in (d["rollout"]["why"] or ""), rollout="F1")
        assert not statuses(csms)
        await csms.call(IDENTITY, "TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        await csms.wait_for(lambda: statuses(csms) == ["Idle"])
        assert not internet.asked and "UpdateFirmware" not in requests(box)
        internet.files["evb.bin"] = image("1.1")
        await csms.call(IDENTITY, "UpdateFirmware", wish | {"retrieveDate": AT_ONCE})  # the same, at another time
        assert (await over(site))["state"] == "done"
        await csms.wait_for(lambda: statuses(csms)[1:2] == ["Downloading"] and statuses(csms)[-1] == "Installed")


async def test_a_request_that_the_cloud_repeats_is_the_same_one(folder):
    internet = Internet({"evb.bin": image("1.1")})
    habits = {"CP-01": Habits(holds_at=10_000)}
    async with (
        Csms() as csms,
        yard(folder, internet, csms_url=csms.url, chargers=THREE[:2], habits=habits) as (site, boxes),
    ):
        await csms.wait_registered(IDENTITY)
        wish = {"location": internet.url("evb.bin"), "retrieveDate": AT_ONCE}
        await csms.call(IDENTITY, "UpdateFirmware", wish)
        await boxes[0].updating.is_holding.wait()
        assert await csms.call(IDENTITY, "UpdateFirmware", wish) == {}
        boxes[0].updating.goes_on.set()
        assert (await over(site))["installed"] == 2
        assert [one["rollout"] for one in (await site.ask("firmware"))["rollouts"]] == ["F1"]
        assert [requests(box).count("UpdateFirmware") for box in boxes] == [1, 1]


async def test_what_is_aborted_here_is_not_installed_to_the_cloud(folder):
    internet = Internet({"evb.bin": image("1.1", 400_000)}, seconds_a_piece=0.3)
    async with Csms() as csms, yard(folder, internet, csms_url=csms.url, chargers=THREE[:1]) as (site, _):
        await csms.wait_registered(IDENTITY)
        where = internet.url("evb.bin")
        await csms.call(IDENTITY, "UpdateFirmware", {"location": where, "retrieveDate": AT_ONCE})
        await csms.wait_for(lambda: statuses(csms) == ["Downloading"])
        await site.until("firmware_show", lambda d: d["rollout"]["fetch_percent"], rollout="F1")
        await site.ask("firmware_abort", rollout="F1")
        await csms.wait_for(lambda: statuses(csms) == ["Downloading", "DownloadFailed"])
        assert (await over(site))["state"] == "aborted"
        fetch = folder / "bridge" / "fetches"
        await site.until("firmware", lambda _: not list(fetch.glob("*.part")))  # it does not come to its end in vain
