"""What a changed file changes: which keys at once, which with the next connection to the CSMS, which after a restart.

The configuration in force and the one just read go in; out comes the one that is to be in force: the new values, but
for those that wait for a restart. `edge/reload.py` puts it in force. A table of an array is known again by its first
key (`id`, `address`), and comes and goes when that key may change.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.config.effects import LIVE, ON_RECONNECT, ON_RESTART, Effect
from edge.config.keys import Key, keys_of
from edge.config.rules import printable
from edge.config.values import Config


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys as `edge check` spells them (`charger[CP-02].password_file`), never their values."""

    config: Config
    """To be put in force."""
    live: tuple[str, ...]
    on_reconnect: tuple[str, ...]
    on_restart: tuple[str, ...]
    """Not in `config`: the old values count until then."""


def changes(present: Config, read: Config) -> Changes:
    """From the configuration in force to the one that the file gives now."""
    found: dict[Effect, dict[str, None]] = {effect: {} for effect in Effect}
    config: Config = _Comparison(found).table(Config, present, _under_present_identity(present, read), "")
    return Changes(config, tuple(found[LIVE]), tuple(found[ON_RECONNECT]), tuple(found[ON_RESTART]))


def _under_present_identity(present: Config, read: Config) -> Config:
    """An uplink that goes by the site's id takes a new one when the site does: at a restart."""
    if present.uplink is None or read.uplink is None:
        return read
    goes_by_id = present.uplink.identity == present.site.id and read.uplink.identity == read.site.id
    return replace(read, uplink=replace(read.uplink, identity=present.site.id)) if goes_by_id else read


class _Comparison:
    def __init__(self, found: dict[Effect, dict[str, None]]) -> None:
        self._found = found

    def _note(self, effect: Effect | None, name: str) -> None:
        assert effect is not None, f"{name} has no mark of edge/config/effects.py"
        self._found[effect][name] = None

    def table(self, kind: type[Any], before: Any, now: Any, path: str) -> Any:
        """`before` with what may change already."""
        merged: dict[str, object] = {}
        for key in keys_of(kind):
            old, new = getattr(before, key.attribute), getattr(now, key.attribute)
            name = f"{path}.{key.name}" if path else key.name
            if key.rule is None and key.is_array:
                merged[key.attribute] = self._array(key, old, new)
            elif key.rule is None and old is not None and new is not None:
                merged[key.attribute] = self.table(key.kind, old, new, name)
            elif old != new:
                effect = keys_of(key.kind)[0].effect if key.rule is None else key.effect
                self._note(effect, name)
                merged[key.attribute] = old if effect is ON_RESTART else new
        return replace(before, **merged)

    def _array(self, key: Key, before: Sequence[Any], now: Sequence[Any]) -> tuple[Any, ...]:
        first = keys_of(key.kind)[0]
        old, new = _by_identity(key, before), _by_identity(key, now)
        for ours, theirs, happened in ((new, old, "added"), (old, new, "removed")):
            for identity in ours:
                if identity not in theirs:
                    self._note(first.effect, f"{key.name}[{_spelled(identity)}] {happened}")
        stay = old if first.effect is ON_RESTART else new
        return tuple(
            self.table(key.kind, old[identity], new[identity], f"{key.name}[{_spelled(identity)}]")
            if identity in old and identity in new
            else alone
            for identity, alone in stay.items()
        )


_Identity = tuple[tuple[object, ...], int]


def _by_identity(key: Key, tables: Sequence[Any]) -> dict[_Identity, Any]:
    """Two listeners at port 0 are told apart by their order."""
    keys = keys_of(key.kind)
    named = [one.attribute for one in keys if one.name == keys[0].name]
    seen: Counter[tuple[object, ...]] = Counter()
    found: dict[_Identity, Any] = {}
    for table in tables:
        identity = tuple(getattr(table, attribute) for attribute in named)
        seen[identity] += 1
        found[identity, seen[identity]] = table
    return found


def _spelled(identity: _Identity) -> str:
    values, number = identity
    return ":".join(printable(str(value)) for value in values) + (f" #{number}" if number > 1 else "")
