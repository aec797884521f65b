"""One rollout of firmware through the daemon's console socket, as `edge firmware rollout` begins it, and its lines.

What must be true of it: it ended `done`, the manufacturer was asked for the file once, and each charger has that file
and says the new version, also when the demo ends.
"""

import asyncio

from demonstration.daemon import DaemonProcess
from demonstration.lines import Lines, counted
from demonstration.manufacturer import FILE, NEW_VERSION
from demonstration.party import CHARGERS, Party
from demonstration.process import DemoFailed

LOOKS_EVERY = 0.1
OVER_WITHIN = 60.0


class Rollout:
    def __init__(self, daemon: DaemonProcess, party: Party, lines: Lines) -> None:
        self._daemon = daemon
        self._party = party
        self._lines = lines
        self._name = ""
        self._downloads = 0
        self._has_file = False
        self._proven: set[str] = set()
        self.versions: dict[str, str] = {}
        """What each charger runs, when it was checked."""
        self.problems: list[str] = []

    async def play(self) -> None:
        """From its beginning to its end; nobody must have a session."""
        manufacturer = self._party.manufacturer
        wish = {"location": manufacturer.url, "version": NEW_VERSION, "chargers": list(CHARGERS), "canary": 1}
        rollout = await self._ask("firmware_rollout", **wish)
        self._name = rollout["rollout"]
        chargers = counted(rollout["total"], "charger")
        self._lines.say("firmware", f"{self._name} begins: {NEW_VERSION} for {chargers}, before the first car comes")
        deadline = _now() + OVER_WITHIN
        while rollout["ended_at"] is None and _now() < deadline:
            await asyncio.sleep(LOOKS_EVERY)
            rollout = await self._ask("firmware_show", rollout=self._name)
            self._tell(rollout)
        self._downloads = manufacturer.asked
        counts = f"{rollout['installed']} of {rollout['total']} run {NEW_VERSION}"
        downloads = counted(self._downloads, "download")
        self._lines.say("firmware", f"{self._name} {rollout['state']}: {counts}, {downloads}")

    async def check(self) -> None:
        """At the end of the demo, while the daemon runs."""
        rollout = await self._ask("firmware_show", rollout=self._name)
        if rollout["state"] != "done":
            self.problems.append(f"{self._name} is not done: {rollout['why'] or rollout['state']}")
        if self._downloads != 1:
            self.problems.append(f"{FILE} was downloaded {counted(self._downloads, 'time')}, not once")
        self.versions = {one["charger"]: str(one["firmware"]) for one in rollout["chargers"]}
        for identity, charger in self._party.chargers.items():
            heard, runs = self.versions.get(identity), charger.boot["firmwareVersion"]
            if {heard, runs} != {NEW_VERSION}:
                self.problems.append(f"{identity} runs {runs}, not {NEW_VERSION}; the daemon says {heard}")
            elif charger.updating.downloads != [self._party.manufacturer.content]:
                self.problems.append(f"{identity} did not get the manufacturer's file, once")

    def _tell(self, rollout: dict) -> None:
        chargers = rollout["chargers"]
        if rollout["sha256"] is not None and not self._has_file:
            self._has_file = True
            fetched = f"{FILE} fetched once ({len(self._party.manufacturer.content) // 1000} kB)"
            self._lines.say("firmware", f"{self._name}: {fetched}, {chargers[0]['charger']} goes first")
        for one in chargers:
            if one["step"] == "installed" and one["charger"] not in self._proven:
                self._proven.add(one["charger"])
                self._lines.say(one["charger"], f"restarted, runs {one['version']} (before: {one['version_before']})")

    async def _ask(self, command: str, **args: object) -> dict:
        try:
            return (await self._daemon.ask(command, **args))["rollout"]
        except (OSError, ValueError) as error:
            raise DemoFailed(f"the daemon did not answer `{command}`: {error}") from error


def _now() -> float:
    return asyncio.get_running_loop().time()
