"""Who parks at a simulated charger: cars come to each space, charge, pause, and go; some are started from the cloud."""

import asyncio
from typing import TYPE_CHECKING

from tests.simulation.parking import Space
from tests.simulation.truth import Session

if TYPE_CHECKING:
    from tests.simulation.field_charger import FieldCharger

TAGS = 12
BETWEEN_CARS_S = 1200.0
SHORTEST_S, LONGEST_S = 300.0, 7200.0
CURRENTS_A = (0.0, 6.0, 10.3, 16.0)


class Drivers:
    """Of one charger."""

    def __init__(self, charger: "FieldCharger") -> None:
        self._charger = charger
        self._chance = charger.chance

    async def park(self, space: Space) -> None:
        """One car after the other, for ever."""
        charger, chance = self._charger, self._chance
        while True:
            await asyncio.sleep(chance.expovariate(1 / BETWEEN_CARS_S))
            if charger.is_closing or not charger.has_power or space.is_taken:
                continue
            charger.parking.plug_in(space)
            await asyncio.sleep(chance.uniform(2, 40))
            id_tag = f"TAG-{chance.randrange(TAGS)}"
            status = "Accepted"
            if chance.random() < charger.habits.authorizes:
                status = await charger.authorize(id_tag)
            if status == "Accepted" and space.session is None and charger.has_power:
                await self._charge(space, charger.parking.begin(space, id_tag))
            await self._drive_off(space)

    async def remote_session(self, space: Space, session: Session) -> None:
        """The cloud has started it, for a car that stands there or comes now."""
        await self._charge(space, session)
        await self._drive_off(space)

    async def _charge(self, space: Space, session: Session) -> None:
        """Until the driver comes back, or something else has ended the session."""
        charger, chance = self._charger, self._chance
        until = session.began_at + chance.uniform(SHORTEST_S, LONGEST_S)
        sample_at = session.began_at + charger.settings["MeterValueSampleInterval"]
        while space.session is session and not (charger.is_closing and self._now() > session.began_at + SHORTEST_S):
            await asyncio.sleep(max(0.001, min(until, sample_at) - self._now()))
            if not charger.has_power:
                await charger.until_powered()
                await asyncio.sleep(1.0)
            if space.session is not session:
                return
            if self._now() >= until:
                charger.parking.end(space, chance.choice(("Local", "EVDisconnected", "Other")))
                return
            charger.parking.sample(space)
            sample_at = self._now() + charger.settings["MeterValueSampleInterval"]
            if chance.random() < 0.1:
                charger.parking.draw(space, chance.choice(CURRENTS_A))
        if space.session is session:
            charger.parking.end(space, "Local")

    async def _drive_off(self, space: Space) -> None:
        await asyncio.sleep(self._chance.uniform(5, 120))
        await self._charger.until_powered()
        if space.session is None:
            self._charger.parking.leave(space)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
