"""What the demo says of a rollout of firmware, and what it holds against one that did not go as it must."""

import contextlib
from types import SimpleNamespace

import pytest
from demonstration.manufacturer import Manufacturer
from demonstration.rollout import Rollout
from simulators.updating import Habits

from tests.firmware.yard import Internet, yard
from tests.scenarios.site import short_folder


@contextlib.asynccontextmanager
async def played(habits=None):
    """The rollout, played to its end on a site of three chargers, and what was said."""
    manufacturer = Manufacturer()
    with short_folder() as folder:
        async with manufacturer.present(), yard(folder, Internet(), habits=habits) as (site, boxes):
            party = SimpleNamespace(manufacturer=manufacturer, chargers={box.identity: box for box in boxes})
            said = []
            rollout = Rollout(site, party, SimpleNamespace(say=lambda who, text: said.append(f"{who}: {text}")))
            await rollout.play()
            yield rollout, party.chargers, said


async def test_a_rollout_that_is_done_is_told_and_nothing_is_held_against_it():
    async with played() as (rollout, _, said):
        await rollout.check()
    assert rollout.problems == []
    assert rollout.versions == {"CP-01": "1.1", "CP-02": "1.1", "CP-03": "1.1"}
    assert said[:3] == [
        "firmware: F1 begins: 1.1 for 3 chargers, before the first car comes",
        "firmware: F1: evb-1.1.bin fetched once (100 kB), CP-01 goes first",
        "CP-01: restarted, runs 1.1 (before: 1.0)",
    ]
    assert said[-1] == "firmware: F1 done: 3 of 3 run 1.1, 1 download"


@pytest.mark.parametrize(
    ("habits", "problems"),
    [
        (
            {"CP-02": Habits(installs_it=False)},
            ["F1 is not done: failed: CP-02", "CP-02 runs 1.0, not 1.1; the daemon says 1.0"],
        ),
        (
            {"CP-03": Habits(fetches=2)},
            ["CP-03 did not get the manufacturer's file, once"],
        ),
    ],
)
async def test_what_went_wrong_is_named(habits, problems):
    async with played(habits) as (rollout, _, _):
        await rollout.check()
    assert rollout.problems == problems


async def test_firmware_that_a_charger_loses_later_is_named():
    async with played() as (rollout, chargers, _):
        chargers["CP-01"].boot["firmwareVersion"] = "1.0"
        await rollout.check()
    assert rollout.problems == ["CP-01 runs 1.0, not 1.1; the daemon says 1.1"]
