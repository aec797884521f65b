"""Configuration keys, as a technician reads and writes them: of a charger, and of the station that we are.

Implements `console.operating.KeyAccess`. What is accepted by a charger is kept as desired, so that
`edge/chargers/commissioning.py` can write it again after a boot that has lost it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.chargers.roster import Roster
from edge.console.operating import KeyNow, Keys, NoSuchCharger, NoSuchKey, NotAllowed, WrongWord
from edge.dialects.v16 import commands as to_charger
from edge.domain.ids import ChargerId
from edge.domain.ports import Urgency
from edge.operations import ANSWER_WITHIN, must_be_online, ordered
from edge.store import Connection, connectors, fleet
from edge.store.db import Store
from edge.store.exchange import Moment
from edge.uplink.commands import Commands
from edge.uplink.configuration import Configuration

KEPT_WHEN = frozenset({"Accepted", "RebootRequired"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Implements `console.operating.KeyAccess`."""

    store: Store
    roster: Roster
    commands: Commands
    configuration: Configuration
    moment: Callable[[], Moment]

    async def of_charger(self, charger: str, keys: Sequence[str]) -> Keys:
        known, desired = await self.store.write(lambda db: self._known(db, charger))
        must_be_online(self.roster, known)
        cause = await ordered(self.store, self.moment(), known, "get", keys=", ".join(keys) or None)
        request = to_charger.get_configuration(keys)
        answer = await self.roster.call(
            known.id, "GetConfiguration", request, within=ANSWER_WITHIN, urgency=Urgency.CONFIGURATION, cause=cause
        )
        settings = to_charger.settings(answer)
        said = {key.casefold() for key in settings}
        not_told = [key for key in keys if key.casefold() not in said]
        unknown = [*to_charger.unknown_keys(answer), *not_told]
        found = [_in_charger(key, setting, desired) for key, setting in sorted(settings.items())]
        if keys and not found:
            raise NoSuchKey(f"{charger} has no key {', '.join(keys)}.")
        return Keys(found, list({key.casefold(): key for key in unknown}.values()))

    async def set_in_charger(self, charger: str, key: str, value: str, *, once: bool) -> str:
        if not to_charger.is_setting(key, value):
            raise WrongWord(
                f"A key has at most {to_charger.LONGEST_KEY} characters, a value {to_charger.LONGEST_VALUE}."
            )
        known, _ = await self.store.write(lambda db: self._known(db, charger))
        if key.casefold() in to_charger.ONLY_COMMISSIONED:
            raise NotAllowed(
                f"{key} is not written by hand: the charger could lock itself out.",
                "The password stands in password_file of the charger (or edge adopt --password-file), and how it "
                "connects is set in the charger itself.",
            )
        must_be_online(self.roster, known)
        shown = None if to_charger.is_secret(key) else value
        cause = await ordered(self.store, self.moment(), known, "set", key=key, value=shown)
        answer = await self.roster.call(
            known.id,
            "ChangeConfiguration",
            to_charger.change_configuration(key, value),
            within=ANSWER_WITHIN,
            urgency=Urgency.CONFIGURATION,
            cause=cause,
        )
        status = to_charger.status_of(answer, "Accepted", "RebootRequired", "NotSupported")
        if status in KEPT_WHEN:
            kept = None if once or to_charger.is_secret(key) else value
            await self.store.write(lambda db: fleet.desire(db, known.no, key, kept))
            self.roster.presence(known.id).written.clear()
        return status

    def of_station(self, keys: Sequence[str]) -> Keys:
        found, unknown = self.configuration.read(list(keys) or None)
        if keys and not found:
            raise NoSuchKey(f"The station has no key {', '.join(keys)}.")
        now = [KeyNow(key, value, readonly, self.configuration.source(key)) for key, readonly, value in found]
        return Keys(now, unknown)

    async def set_in_station(self, key: str, value: str) -> str:
        return await self.commands.set_key(key, value)

    def _known(self, db: Connection, charger: str) -> tuple[connectors.Charger, dict[str, str]]:
        """The charger and what people want of it. Raises NoSuchCharger."""
        known = connectors.charger(db, ChargerId(charger))
        if known is None:
            raise NoSuchCharger(f"There is no charger {charger!r}.")
        return known, fleet.desired(db, known.no)


def _in_charger(key: str, setting: to_charger.Setting, desired: dict[str, str]) -> KeyNow:
    wanted = next((value for name, value in desired.items() if name.casefold() == key.casefold()), None)
    value = None if to_charger.is_secret(key) else setting.value
    return KeyNow(key, value, setting.is_readonly, "charger" if wanted is None else "desired", wanted)
