"""Short scripts of what a charger does on the wire, each with the expected verdict, told to the unmodified daemon.

A script is a TOML file in `scripts/`: `about` says what happens, `seen` where, `rule` which rule of the field it is;
`wire` has a line for each thing that happens, `session` what is said of each session afterwards, `upstream` what the
CSMS got. Time is virtual: a day takes a second. A line is `TIME WHAT …`, TIME as `h:mm:ss` since the charger connected:

    0:00:00  boot                              BootNotification, and its answer
    0:00:05  status 1 Preparing                StatusNotification of connector 1
    0:01:00  start 1 1000                      StartTransaction at 1000 Wh; token=T, at=TIME: another token or time
    0:02:00  values 1 1200                     MeterValues; power=W, offered=A, tx=none|-1|S1|…, also several: 1200@0:01:30
    0:30:00  stop 1900 Local                   StopTransaction; tx=, at=, token=
    0:31:00  raw StatusNotification {…}        any payload
    0:32:00  hangup / connect                  the connection
    0:33:00  clock +2:00:00 / unset / right / nozone   what the charger's clock shows from now on
    0:34:00  answers trigger=status            how it answers commands: trigger=status|refuse|silent, stop=accept|refuse|silent
    0:35:00  csms stop S1 / csms start 1 TAG   the CSMS orders something
    0:36:00  uplink down / up
"""

import asyncio
import contextlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.wire import CallRefused, Direction, LinkLost, Wire, dial, encode, timestamp

from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimIds, folder_in_memory
from tests.simulation.yard import IDENTITY, Yard, yard

FOLDER = Path(__file__).parent / "scripts"
CHARGER = "CP-01"
UNSET = datetime(1970, 1, 1, tzinfo=UTC)
TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")


@dataclass(frozen=True)
class Script:
    name: str
    about: str
    wire: tuple[tuple[float, str], ...]
    until: float
    expected: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def scripts() -> list[Script]:
    return [_read(path) for path in sorted(FOLDER.glob("*.toml"))]


ABOUT, EXPECTED = ("about", "seen", "rule", "wire", "until", "settings"), ("session", "upstream", "rules", "alarms")


def _read(path: Path) -> Script:
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(found) <= {*ABOUT, *EXPECTED}, f"{path.name} has more than is looked at: {sorted(found)}"
    lines = [line.split(None, 1) for line in found["wire"].strip().splitlines() if line.split("#")[0].strip()]
    return Script(
        path.stem,
        found["about"],
        tuple((seconds(at), what.strip()) for at, what in lines),
        seconds(found.get("until", "2:00:00")),
        {key: found[key] for key in EXPECTED if key in found},
        found.get("settings", {}),
    )


def seconds(text: str) -> float:
    sign, parts = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    hours, minutes, rest = parts.split(":")
    return sign * (int(hours) * 3600 + int(minutes) * 60 + float(rest))


@dataclass
class Told:
    """What there is to be said afterwards."""

    sessions: list[dict[str, Any]]
    details: list[dict[str, Any]]
    upstream: list[str]
    rules: set[str]
    violations: list[str]
    alarms: set[str]
    """That the site shows at the end."""
    received: list[tuple[str, dict[str, Any], dict[str, Any] | None]]
    """What the CSMS got of transactions: action, payload, answer."""
    began_at: datetime
    """When the charger connected, by a clock that is right."""


def told(script: Script) -> Told:
    """The script, told to a daemon."""
    with folder_in_memory() as folder:
        return run(lambda loop: _tell(loop, folder, script), seed=1).value


async def _tell(loop: SimLoop, folder: Path, script: Script) -> Told:
    async with yard(loop, folder, chargers=0, listed=(CHARGER,), **script.settings) as site:
        charger = ScriptedCharger(loop, site)
        async with asyncio.TaskGroup() as tasks:
            charger.tasks = tasks
            await charger.connect()
            for at, what in script.wire:
                await asyncio.sleep(max(0.0, charger.began + at - loop.time()))
                await charger.do(what)
            await asyncio.sleep(max(0.0, charger.began + script.until - loop.time()))
            found = await _found(site, charger)
            charger.hang_up()
        return found


async def _found(site: Yard, charger: "ScriptedCharger") -> Told:
    sessions = (await site.ask("sessions"))["sessions"][::-1]
    details = [
        (await site.ask("session", session=one["session"]))["session"]
        | {"verdict": (await site.ask("trace", subject=one["session"]))["verdict"]}
        for one in sessions
    ]
    upstream = [charger.words(one.action, one.payload) for one in site.csms.received if one.action in TRANSACTION]
    rules = {note["rule"] for one in details for note in one["notes"]}
    received = [(one.action, one.payload, one.answer) for one in site.csms.received if one.action in TRANSACTION]
    alarms = {one["code"] for one in (await site.ask("status"))["alarms"]}
    return Told(
        sessions,
        details,
        upstream,
        rules,
        [str(one) for one in site.csms.violations],
        alarms,
        received,
        charger.began_at(),
    )


class ScriptedCharger:
    """Says what the script says, answers what it is asked, and is never clever."""

    def __init__(self, loop: SimLoop, site: Yard) -> None:
        self.site = site
        self.began = 0.0
        self.tasks: asyncio.TaskGroup
        self.given: list[int] = []
        """Transaction ids, in the order in which they were given."""
        self.of_connector: dict[int, int] = {}
        self.statuses: dict[int, str] = {}
        self.answers = {"trigger": "refuse", "stop": "refuse", "start": "refuse"}
        self._loop = loop
        self._ids = SimIds(1, "script")
        self._wire: Wire | None = None
        self._shift = timedelta()
        self._zone = "Z"

    # --- the connection

    async def connect(self) -> None:
        socket = await dial("ws://127.0.0.1:8887/ocpp", CHARGER, None, ("ocpp1.6",))
        self._wire = Wire(socket, CHARGER, lambda _frame: None)
        self.began = self.began or self._loop.time()
        self.tasks.create_task(self._listen(self._wire))

    def hang_up(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def _listen(self, wire: Wire) -> None:
        with contextlib.suppress(Exception):
            while True:
                frame = await wire.recv()
                assert frame.direction is Direction.IN
                if frame.message is not None and frame.message[0] == 2:
                    _, message_id, action, payload = frame.message
                    answer = self._answer(action, payload)
                    if answer is not None:
                        await wire.send(encode(3, message_id, answer))

    def _answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        match action:
            case "GetConfiguration":
                return {"configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}]}
            case "TriggerMessage":
                return self._triggered(payload.get("connectorId", 0))
            case "RemoteStopTransaction":
                return _status(self.answers["stop"])
            case "RemoteStartTransaction":
                return _status(self.answers["start"])
            case _:
                return {"status": "Rejected"}

    def _triggered(self, connector: int) -> dict[str, Any] | None:
        how = self.answers["trigger"]
        if how.startswith("status"):
            _, _, instead = how.partition(":")
            status = instead or self.statuses.get(connector, "Available")
            self.tasks.create_task(self.do(f"status {connector} {status}"))
        return _status("accept" if how.startswith("status") else how)

    # --- what it does

    async def do(self, what: str) -> None:  # noqa: PLR0912 - one for each verb
        verb, *words = what.split()
        plain = [word for word in words if "=" not in word]
        more = dict(word.split("=", 1) for word in words if "=" in word)
        match verb:
            case "boot":
                await self.call("BootNotification", {"chargePointVendor": "Script", "chargePointModel": "Wire"})
            case "status":
                await self._status(int(plain[0]), plain[1], more)
            case "start":
                await self._start(int(plain[0]), int(plain[1]), more)
            case "values":
                await self._values(int(plain[0]), plain[1:], more)
            case "stop":
                await self._stop(plain, more)
            case "raw":
                action, text = what.split(None, 2)[1:]
                await self.call(action, json.loads(text.replace("$tx", str(self.given[-1] if self.given else 0))))
            case "hangup":
                self.hang_up()
            case "connect":
                await self.connect()
            case "clock":
                self._set_clock(plain[0])
            case "answers":
                self.answers |= more
            case "csms":
                await self._ordered(plain)
            case "uplink":
                self.site.csms.refuse_connections(plain[0] == "down")
                if plain[0] == "down":
                    self.site.csms.cut()
            case _:
                raise ValueError(f"no such line: {what}")

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Its answer; None where there was none."""
        if self._wire is None:
            raise ValueError(f"{action} without a connection")
        try:
            return await self._wire.ask(action, payload, 30.0, self._ids.message_id())
        except (CallRefused, LinkLost, TimeoutError):
            return None

    async def _status(self, connector: int, status: str, more: dict[str, str]) -> None:
        self.statuses[connector] = status
        payload = {"connectorId": connector, "errorCode": more.get("error", "NoError"), "status": status}
        await self.call("StatusNotification", payload if more.get("at") == "none" else payload | self._at(more))

    async def _start(self, connector: int, register: int, more: dict[str, str]) -> None:
        payload = {"connectorId": connector, "idTag": more.get("token", "TAG"), "meterStart": register} | self._at(more)
        answer = await self.call("StartTransaction", payload)
        if answer is not None:
            self.of_connector[connector] = answer["transactionId"]
            if answer["transactionId"] not in self.given:
                self.given.append(answer["transactionId"])

    async def _values(self, connector: int, registers: list[str], more: dict[str, str]) -> None:
        entries = []
        for word in registers:
            register, _, at = word.partition("@")
            sampled = [] if register == "-" else [
                {"value": register, "measurand": "Energy.Active.Import.Register", "unit": more.get("unit", "Wh")}
            ]  # fmt: skip
            if "power" in more:
                sampled.append({"value": more["power"], "measurand": "Power.Active.Import", "unit": "W"})
            if "offered" in more:
                sampled.append({"value": more["offered"], "measurand": "Current.Offered", "unit": "A"})
            if "signed" in more:
                sampled.append({"value": "OCMF|" + "x" * 60, "format": "SignedData"})
            entries.append({**self._at({"at": at} if at else {}), "sampledValue": sampled})
        payload: dict[str, Any] = {"connectorId": connector, "meterValue": entries}
        await self.call("MeterValues", payload | self._named(more, self.of_connector.get(connector)))

    async def _stop(self, plain: list[str], more: dict[str, str]) -> None:
        payload: dict[str, Any] = {"meterStop": int(plain[0])} | self._at(more)
        if len(plain) > 1:
            payload["reason"] = plain[1]
        if "token" in more:
            payload["idTag"] = more["token"]
        await self.call("StopTransaction", payload | self._named(more, self.given[-1] if self.given else -1))

    def _named(self, more: dict[str, str], usual: int | None) -> dict[str, Any]:
        word = more.get("tx")
        if word == "none" or (word is None and usual is None):
            return {}
        if word is None:
            return {"transactionId": usual}
        return {"transactionId": self.given[int(word[1:]) - 1] if word.startswith("S") else int(word)}

    async def _ordered(self, words: list[str]) -> None:
        if words[0] == "stop":
            number = int(words[1][1:]) - 1
            started = [one for one in self.site.csms.received if one.action == "StartTransaction"]
            payload: dict[str, Any] = {"transactionId": started[number].answer["transactionId"]}
            order = self.site.csms.call(IDENTITY, "RemoteStopTransaction", payload, timeout_s=60)
        else:
            payload = {"connectorId": int(words[1]), "idTag": words[2]}
            order = self.site.csms.call(IDENTITY, "RemoteStartTransaction", payload, timeout_s=60)
        await order

    # --- its clock

    def _set_clock(self, word: str) -> None:
        self._zone = "" if word.startswith("nozone") else "Z"
        word = word.removeprefix("nozone") or "right"
        if word == "right":
            self._shift = timedelta()
        elif word == "unset":
            self._shift = UNSET - self._now()
        else:
            self._shift = timedelta(seconds=seconds(word))

    def began_at(self) -> datetime:
        return self._now() + timedelta(seconds=self.began - self._loop.time())

    def _now(self) -> datetime:
        return self._loop.epoch + timedelta(seconds=self._loop.elapsed())

    def _at(self, more: dict[str, str]) -> dict[str, str]:
        at = self._now()
        if "at" in more:
            at = self._now() + timedelta(seconds=self.began + seconds(more["at"]) - self._loop.time())
        return {"timestamp": timestamp(at + self._shift).removesuffix("Z") + self._zone}

    # --- what the CSMS got, in the words of a script

    def words(self, action: str, payload: dict[str, Any]) -> str:
        match action:
            case "StartTransaction":
                said = f"start {payload['connectorId']} {payload['meterStart']}"
            case "StopTransaction":
                said = f"stop {payload['meterStop']} {payload.get('reason', '-')}"
            case _:
                entries = payload["meterValue"]
                values = [one["value"] for entry in entries for one in entry["sampledValue"] if _is_energy(one)]
                return f"values {payload['connectorId']} {' '.join(values)}"
        return f"{said} at {self.clocked(payload['timestamp'])}"

    def clocked(self, text: str | None) -> str | None:
        """A time as `h:mm:ss` since the charger connected; one of another day as it is."""
        if text is None:
            return None
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return text
        since = (at - self._loop.epoch).total_seconds() + self._loop.time() - self._loop.elapsed() - self.began
        if not -86400 < since < 7 * 86400:
            return text
        sign, whole = ("-", -round(since)) if round(since) < 0 else ("", round(since))
        return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _status(how: str) -> dict[str, Any] | None:
    return None if how == "silent" else {"status": "Accepted" if how == "accept" else "Rejected"}


def _is_energy(sampled: dict[str, Any]) -> bool:
    return sampled.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"


def verdict(script: Script, found: Told) -> Iterator[str]:
    """Each thing that is not as the script says."""
    if "upstream" in script.expected:
        wanted = [line.strip() for line in script.expected["upstream"].strip().splitlines()]
        got = [line for line in found.upstream if not line.startswith("values") or any("values" in w for w in wanted)]
        if got != wanted:
            yield "upstream:\n  " + "\n  ".join(got) + "\nwanted:\n  " + "\n  ".join(wanted)
    for number, wanted in enumerate(script.expected.get("session", []), 1):
        if number > len(found.details):
            yield f"there is no S{number}"
            continue
        one = found.details[number - 1]
        if not one["verdict"] or (one["end_cause"] == "synthetic") is not ("without a stop" in one["verdict"][0]):
            yield f"S{number}: its end is {one['end_cause']}, and its trace says {one['verdict']}"
        for key, value in wanted.items():
            got = " ".join(one["verdict"]) if key == "verdict" else _of(one, key)
            if value not in got if key == "verdict" else got != value:
                yield f"S{number}: {key} is {got!r}, wanted {value!r}"
    if "session" in script.expected and len(found.details) > len(script.expected["session"]):
        yield f"there are {len(found.details)} sessions"
    for rule in script.expected.get("rules", []):
        if rule.removeprefix("not ") in found.rules if rule.startswith("not ") else rule not in found.rules:
            yield f"rules: {rule}, got {sorted(found.rules)}"
    for alarm in script.expected.get("alarms", []):
        if (alarm.removeprefix("not ") in found.alarms) is alarm.startswith("not "):
            yield f"alarms: {alarm}, got {sorted(found.alarms)}"
    yield from found.violations


def _of(session: dict[str, Any], key: str) -> Any:
    found: Any = session
    for part in re.split(r"\.", key):
        found = found[part]
    return found
