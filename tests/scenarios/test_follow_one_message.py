"""The README's "Follow one message" is true: a StartTransaction passes the files that it names, in that order."""

import re
import sys
import threading
from pathlib import Path

from simulators.charger import Charger

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration

ROOT = Path(__file__).parent.parent.parent


def named_files() -> list[str]:
    """The files of the section, in the order in which it names them."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## Follow one message", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"`(edge/[\w/]+\.py)`", section)


class Walk:
    """Which files of the daemon are entered, in order, by all threads."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self._base = f"{ROOT}/"

    def __call__(self, frame, event, _argument) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(self._base + "edge/"):
            path = name.removeprefix(self._base)
            if not self.files or self.files[-1] != path:
                self.files.append(path)


async def test_a_start_passes_the_files_that_the_readme_names_in_that_order(folder, csms):
    walk = Walk()
    threading.setprofile(walk)  # the database's thread begins with the site
    try:
        config = configuration(folder, csms_url=csms.url, chargers=(ChargerSettings("CP-01", evses=(1, 1)),))
        async with Site(config).running() as site:
            await csms.wait_registered(IDENTITY)
            charger = Charger("CP-01", site.url, meter_interval_s=0)
            async with charger.running():
                await charger.plug_in(1)
                await csms.wait_for(
                    lambda: [one for one in csms.calls("StatusNotification") if one.payload["status"] == "Preparing"]
                )
                await site.until("status", lambda d: d["backlog"]["messages"] == 0)
                await charger.authorize("A")  # a token that is known: its start is answered at once
                walk.files.clear()
                sys.setprofile(walk)
                await charger.start_session(1, "A", authorize=False)
                await csms.wait_for(lambda: csms.calls("StartTransaction"))
                await csms.wait_for(lambda: csms.calls("StartTransaction")[0].is_answered)
                await site.until("session", lambda d: d["session"]["csms_transaction_id"] is not None, session="S1")
                sys.setprofile(None)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    names = named_files()
    assert len(names) > 12
    assert all((ROOT / name).exists() for name in names)
    place = 0
    for number, name in enumerate(names):
        assert name in walk.files[place:], f"step {number + 1}, {name}, does not come after {names[:number]}"
        place = walk.files.index(name, place) + 1
