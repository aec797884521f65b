"""What `edge firmware` tells of rollouts, and what it says to do next where it cannot."""

import pytest
from simulators.updating import Habits, image

from tests.firmware.yard import THREE, Internet, over, yard


async def test_what_each_charger_runs_is_shown_before_and_after_its_turn(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=THREE[:2], habits={"CP-02": Habits(installs_it=False)}) as (site, _):
        begun = await site.ask("firmware_rollout", location=internet.url("new.bin"), model="Two-Outlet", version="1.1")
        assert [one["firmware"] for one in begun["rollout"]["chargers"]] == ["1.0", "1.0"]
        assert [one["version_before"] for one in begun["rollout"]["chargers"]] == [None, None]
        ended = await over(site)
        assert [one["firmware"] for one in ended["chargers"]] == ["1.1", "1.0"]


async def test_a_model_and_the_present_version_say_which_chargers_are_meant(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, models=("A", "B", "A")) as (site, (_, _, last)):
        last.boot["firmwareVersion"] = "0.9"
        last.reset("Hard")
        await site.until("chargers", lambda d: [one["firmware"] for one in d["chargers"]] == ["1.0", "1.0", "0.9"])
        wish = {"location": internet.url("new.bin"), "version": "1.1", "from": "1.0"}
        begun = await site.ask("firmware_rollout", **wish, model="a")
        assert [one["charger"] for one in begun["rollout"]["chargers"]] == ["CP-01"]
        assert (await site.ask("firmware_rollout", **wish, model="C"))["error"]["code"] == "no_such_charger"
        assert (await over(site))["state"] == "done"


async def test_what_cannot_be_done_says_what_to_do_next(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=THREE[:1]) as (site, _):

        async def error(command: str, **args: object) -> tuple[str, str]:
            found = (await site.ask(command, **args))["error"]
            assert found["message"].endswith(".") and not found["message"].endswith("..")
            return found["code"], found["hint"]

        assert await error("firmware_show", rollout="F1") == ("no_such_rollout", "edge firmware lists them.")
        assert await error("firmware_show", rollout="one") == ("no_such_rollout", "edge firmware lists them.")
        assert await error("firmware_abort", rollout="F7") == ("no_such_rollout", "edge firmware lists them.")
        assert (await error("firmware_remove", file="none"))[0] == "no_such_file"
        for refused in ("notaurl", "file:///etc/passwd", "gopher://127.0.0.1/a.bin"):
            wish = {"location": refused, "chargers": ["CP-01"], "version": "1.1"}
            assert (await site.ask("firmware_rollout", **wish))["error"]["code"] == "rejected"
        assert not (await site.ask("firmware"))["rollouts"]
        await site.ask("firmware_rollout", location=internet.url("new.bin"), chargers=["CP-01"], version="1.1")
        await over(site)
        assert await error("firmware_abort", rollout="F1") == ("rejected", "How it ended: edge firmware show F1")
        again = {"location": internet.url("new.bin"), "model": "Two-Outlet"}
        answer = await site.ask("firmware_rollout", **again, version="1.1")
        assert answer["error"]["message"] == "All that fit run 1.1 already."


@pytest.mark.parametrize("command", ["firmware_rollout", "firmware_remove"])
async def test_without_a_bridge_it_says_how_to_look_at_it(folder, command):
    async with yard(folder, Internet(), chargers=THREE[:1], has_bridge=False) as (site, _):
        answer = await site.ask(command, location="http://127.0.0.1/a.bin", chargers=["CP-01"], file="a.bin")
        assert answer["error"]["code"] == "no_bridge"
        assert answer["error"]["hint"] == "Is it running? systemctl status firmware-bridge"
        shown = await site.ask("firmware")
        assert shown["files"] is None and shown["bridge"].endswith(".") and shown["rollouts"] == []


async def test_what_may_be_a_key_in_a_url_is_not_shown(folder):
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, _):
        where = "http://bob:s3c-ret@127.0.0.1:9/new.bin?sig=s3c-ret"
        begun = await site.ask("firmware_rollout", location=where, chargers=["CP-01"], version="1.1")
        assert begun["rollout"]["location"].endswith("127.0.0.1:9/new.bin")
        for command in ("firmware", "firmware_show"):
            assert "s3c-ret" not in str(await site.ask(command, rollout="F1"))
