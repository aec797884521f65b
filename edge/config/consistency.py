"""What takes more than one value to judge: references, duplicates, passwords, sums.

Looks at the document itself, so that one wrong value elsewhere hides nothing; a value that was already found
wrong counts as absent. In: `Draft`. Out: faults, warnings among them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

from edge.config.files import Files
from edge.config.keys import keys_of
from edge.config.problems import Fault, KeyPath, LineIndex, Unexpected
from edge.config.rules import guess, is_readable_file, printable, quoted, split_address
from edge.config.values import Config

Table: TypeAlias = tuple[KeyPath, Mapping[str, object]]

_REFERENCES = (
    ("charger", "circuit", "circuit"),
    ("circuit", "parent", "circuit"),
    ("circuit", "meter", "meter"),
)
_SECRET_TABLES = ("charger", "uplink")


@dataclass(frozen=True, slots=True)
class Draft:
    document: Mapping[str, object]
    faulted: frozenset[KeyPath]
    lines: LineIndex

    def tables(self, name: str) -> Iterator[Table]:
        """The tables of an array, or the one table of that name; none where it has the wrong shape."""
        value = self.document.get(name) if (name,) not in self.faulted else None
        if isinstance(value, dict):
            yield (name,), value
        elif isinstance(value, list):
            yield from (((name, number), table) for number, table in enumerate(value) if isinstance(table, dict))

    def value(self, table: Table, key: str) -> Any:
        """None where the value was found wrong; the key's default where it is absent."""
        path, values = table
        if (*path, key) in self.faulted:
            return None
        return values[key] if key in values else _defaults(path[0]).get(key)

    def named(self, name: str) -> dict[str, Table]:
        """The first table of each id."""
        found: dict[str, Table] = {}
        for table in self.tables(name):
            if isinstance(identity := table[1].get("id"), str):
                found.setdefault(identity, table)
        return found


@cache
def _defaults(section: str | int) -> dict[str, object]:
    table = next(key.kind for key in keys_of(Config) if key.name == section)
    return {key.name: key.default for key in keys_of(table) if not key.is_required}


def inconsistencies(draft: Draft, files: Files, known_profiles: Collection[str] | None) -> tuple[Fault, ...]:
    return tuple(
        chain(
            _duplicates(draft),
            _lost_references(draft),
            _cycles(draft),
            _missing_passwords(draft),
            _passwords_nobody_asks_for(draft),
            _uplink(draft),
            _meters(draft, files, known_profiles),
            _failsafe_sums(draft),
            _secret_remarks(draft, files),
            _not_in_force(draft),
        )
    )


def _duplicates(draft: Draft) -> Iterator[Fault]:
    for name, key in (("listener", "address"), ("charger", "id"), ("circuit", "id"), ("meter", "id")):
        first: dict[object, KeyPath] = {}
        for table in draft.tables(name):
            value = draft.value(table, key)
            if not isinstance(value, str) or (name == "listener" and value.endswith(":0")):
                continue
            path = (*table[0], key)
            value = split_address(value) or value if name == "listener" else value
            if value in first:
                where = draft.lines.get(first[value])
                yield Fault(path, f'expected each {name} to have its own, got "{table[1][key]}" as in line {where}')
            else:
                first[value] = path


def _lost_references(draft: Draft) -> Iterator[Fault]:
    for name, key, target in _REFERENCES:
        known = draft.named(target)
        if (target,) in draft.faulted:
            continue
        for table in draft.tables(name):
            value = draft.value(table, key)
            if isinstance(value, str) and value not in known:
                choice = f"one of: {' | '.join(map(printable, known))}" if known else f"a [[{target}]] with this id"
                yield Fault((*table[0], key), f"no {target} {quoted(value)}{guess(value, known)}; expected {choice}")


def _cycles(draft: Draft) -> Iterator[Fault]:
    """Told once for each ring, at its first circuit in the file."""
    circuits = draft.named("circuit")
    told: set[str] = set()
    for start in circuits:
        way = [start]
        while isinstance(parent := draft.value(circuits[way[-1]], "parent"), str) and parent in circuits:
            if parent in way:
                ring = way[way.index(parent) :]
                if start in ring and not told & set(ring):
                    told.update(ring)
                    yield Fault(
                        (*circuits[start][0], "parent"),
                        f"{' → '.join(map(printable, [*ring, parent]))} is a ring, "
                        f"expected a circuit that is not fed by {printable(start)}",
                    )
                break
            way.append(parent)


def _missing_passwords(draft: Draft) -> Iterator[Fault]:
    profiles = [draft.value(table, "security_profile") for table in draft.tables("listener")]
    if not profiles or any(profile not in (1, 2) for profile in profiles):
        return
    for table in draft.tables("charger"):
        if "password_file" not in table[1]:
            yield Fault(
                (*table[0], "password_file"),
                "missing, expected the name of a file with the password: no [[listener]] has security_profile = 0",
            )


def _passwords_nobody_asks_for(draft: Draft) -> Iterator[Fault]:
    """A charger that is set up for profile 0 most likely shows none, and would be refused."""
    profiles = [draft.value(table, "security_profile") for table in draft.tables("listener")]
    if not profiles or any(profile != 0 for profile in profiles):
        return
    for table in draft.tables("charger"):
        if "password_file" in table[1]:
            yield Fault(
                (*table[0], "password_file"),
                "the charger has to show this password although every [[listener]] has security_profile = 0; "
                "expected none, or a listener of profile 1 or 2",
                warning=True,
            )


def _uplink(draft: Draft) -> Iterator[Fault]:
    table = next(draft.tables("uplink"), None)
    profile = draft.value(table, "security_profile") if table is not None else None
    if table is None or profile is None:
        return
    url = draft.value(table, "url")
    wanted = "ws" if profile < 2 else "wss"
    if url is not None and url.partition("://")[0].lower() != wanted:
        yield Fault(("uplink", "url"), f'expected {wanted}://… at security_profile = {profile}, got "{url}"')
    required = {1: ("password_file",), 2: ("password_file",), 3: ("cert_file", "key_file")}.get(profile, ())
    pair = ("cert_file", "key_file") if {"cert_file", "key_file"} & set(table[1]) else ()
    for key in dict.fromkeys((*required, *pair)):
        if key not in table[1]:
            why = f"at security_profile = {profile}" if key in required else "as cert_file and key_file go together"
            yield Fault(("uplink", key), f"missing, expected the name of a file {why}")


def _meters(draft: Draft, files: Files, known_profiles: Collection[str] | None) -> Iterator[Fault]:
    grid: KeyPath | None = None
    for table in draft.tables("meter"):
        profile = draft.value(table, "profile")
        if isinstance(profile, str) and (wrong := _wrong_profile(profile, files, known_profiles)):
            yield Fault((*table[0], "profile"), wrong)
        every, stale = draft.value(table, "poll_interval"), draft.value(table, "stale_after")
        if every is not None and stale is not None and stale <= every:
            yield Fault((*table[0], "stale_after"), f"expected more than poll_interval ({every:g} s), got {stale:g} s")
        if draft.value(table, "role") == "grid":
            if grid is not None:
                where = draft.lines.get(grid)
                yield Fault((*table[0], "role"), f'expected "sub": the grid meter is the one in line {where}')
            grid = grid or table[0]


def is_path_of_profile(profile: str) -> bool:
    return "/" in profile or profile.endswith(".toml")


def _wrong_profile(profile: str, files: Files, known_profiles: Collection[str] | None) -> str | None:
    if not is_path_of_profile(profile):
        if known_profiles is None or profile in known_profiles:
            return None
        choice = " | ".join(sorted(known_profiles))
        return f"no profile {quoted(profile)}{guess(profile, known_profiles)}; expected a path or one of: {choice}"
    try:
        is_there = is_readable_file(files.locate(profile))
    except Unexpected:
        is_there = False
    return None if is_there else f"no such file {quoted(profile)}; expected the path of a meter profile"


def _failsafe_sums(draft: Draft) -> Iterator[Fault]:
    """`decided.md`: fails `edge check`; the daemon starts with the surplus chargers at 0 A."""
    children: dict[str, list[str]] = {}
    circuits = draft.named("circuit")
    for identity, table in circuits.items():
        if isinstance(parent := draft.value(table, "parent"), str):
            children.setdefault(parent, []).append(identity)
    for identity, table in circuits.items():
        limit, own = draft.value(table, "limit"), draft.value(table, "failsafe")
        if limit is None:
            continue
        if own is not None and own > limit:
            yield Fault((*table[0], "failsafe"), f"expected at most limit ({limit:g} A), got {own:g} A", can_run=True)
        parts = {child: draft.value(circuits[child], "failsafe") for child in children.get(identity, ())}
        used = {child: ampere for child, ampere in parts.items() if ampere is not None}
        if (total := sum(used.values())) > limit:
            yield Fault(
                (*table[0], "limit"),
                f"the failsafe currents of {', '.join(map(printable, used))} add up to {total:g} A, "
                f"expected at most {limit:g} A",
                can_run=True,
            )


def _secret_remarks(draft: Draft, files: Files) -> Iterator[Fault]:
    for table in chain.from_iterable(map(draft.tables, _SECRET_TABLES)):
        name = draft.value(table, "password_file")
        if name is not None:
            path = (*table[0], "password_file")
            yield from (Fault(path, remark, warning=True) for remark in files.remarks(name))


def _not_in_force(draft: Draft) -> Iterator[Fault]:
    """What the file may say and this version does not do."""
    if next(draft.tables("circuit"), None) is not None:
        yield Fault(("circuit",), "read but not enforced: allocation is not built yet", warning=True)
    for table in draft.tables("api"):
        if draft.value(table, "http"):
            yield Fault(("api", "http"), "read but not served: the dashboard is not built yet", warning=True)
    for table in draft.tables("listener"):
        address = draft.value(table, "address")
        if isinstance(address, str) and address.endswith(":0"):
            yield Fault((*table[0], "address"), "port 0 is a new port at each start, expected 1 to 65535", warning=True)
