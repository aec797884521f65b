"""Chargers that say exactly what a test tells them to, and a site for them."""

import asyncio
import contextlib
import json

from websockets.asyncio.client import connect

from tests.scenarios.site import IDENTITY, ChargerSettings, Site, configuration
from tests.simulation.loop import run as run_on_virtual_time
from tests.simulation.world import folder_in_memory
from tests.simulation.yard import yard

AT = "2026-11-21T10:00:00Z"
LATER = "2026-11-21T10:05:00Z"
ENERGY = "Energy.Active.Import.Register"


class Raw:
    """A charger that says exactly what it is told to, and keeps what it hears."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.commands: list[list] = []
        self.answers: list[list] = []
        self._numbers = 0

    async def hear(self) -> list:
        async with asyncio.timeout(40):
            frame = json.loads(await self.socket.recv())
        (self.commands if frame[0] == 2 else self.answers).append(frame)
        return frame

    async def answer_to(self, message_id: str) -> list:
        while True:
            for frame in self.answers:
                if frame[1] == message_id:
                    self.answers.remove(frame)
                    return frame
            await self.hear()

    async def say(self, text: str) -> list:
        """The answer to a text whose message id stands in second place."""
        message_id = text.split('"')[1]
        await self.socket.send(text)
        return await self.answer_to(message_id)

    async def call(self, action: str, payload: dict) -> dict:
        self._numbers += 1
        answer = await self.say(json.dumps([2, f"m{self._numbers}", action, payload]))
        assert answer[0] == 3, answer
        return answer[2]

    async def command(self, action: str) -> list:
        """The next command of this kind."""
        while True:
            for frame in self.commands:
                if frame[2] == action:
                    self.commands.remove(frame)
                    return frame
            await self.hear()

    async def boot(self, vendor: str = "V", model: str = "M", firmware: str = "1") -> dict:
        return await self.call(
            "BootNotification", {"chargePointVendor": vendor, "chargePointModel": model, "firmwareVersion": firmware}
        )

    async def start(self, connector: int = 1, token: str = "A", meter: int = 0, at: str = AT) -> int:
        payload = {"connectorId": connector, "idTag": token, "meterStart": meter, "timestamp": at}
        return (await self.call("StartTransaction", payload))["transactionId"]


@contextlib.asynccontextmanager
async def raw(site: Site, identity: str = "CP-01"):
    async with connect(f"{site.url}/{identity}", subprotocols=["ocpp1.6"], proxy=None) as socket:
        yield Raw(socket)


@contextlib.asynccontextmanager
async def field(folder, csms, *identities: str, connectors: tuple[int, ...] = (1, 1), **settings):
    """The daemon with these chargers, registered at the CSMS."""
    names = identities or ("CP-01",)
    chargers = tuple(ChargerSettings(name, evses=connectors, **settings) for name in names)
    async with Site(configuration(folder, csms_url=csms.url, chargers=chargers)).running() as site:
        await csms.wait_registered(IDENTITY)
        yield site


def values(*sampled: dict, connector: int = 1, at: str = LATER, **more) -> dict:
    return {"connectorId": connector, "meterValue": [{"timestamp": at, "sampledValue": list(sampled)}], **more}


def energy(value: str) -> dict:
    return {"value": value, "measurand": ENERGY, "unit": "Wh"}


async def counted(site: Site, rule: str, charger: str = "CP-01") -> int:
    one = (await site.ask("chargers", charger=charger))["chargers"][0]
    assert rule in one["model_tolerances"] | one["model_findings"] or rule not in one["tolerances"] | one["findings"]
    return (one["tolerances"] | one["findings"]).get(rule, 0)


def simulate(story):
    """With CP-01 of the yard, and CP-02 left to the story."""
    with folder_in_memory() as folder:

        async def main(loop):
            async with yard(loop, folder, chargers=2) as site:
                await site.chargers[1].disconnect()
                return await story(site)

        return run_on_virtual_time(main).value


@contextlib.asynccontextmanager
async def raw_on_virtual_time():
    async with connect(
        "ws://127.0.0.1:8887/ocpp/CP-02", subprotocols=["ocpp1.6"], proxy=None, ping_interval=None
    ) as socket:
        yield Raw(socket)
