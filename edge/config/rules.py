"""What a key's value must be: the words for people and the test, kept together.

`values.py` attaches a rule to a field with `Annotated`; a field without one has the rule of its type.
The same words stand in the messages (`structure.py`) and in `docs/configuration.md`.
"""

import difflib
import os
import re
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config.connections import EXPECTED, ConnectionInvalid, parse_connection
from edge.domain.field_guide import NAMED_ONLY
from edge.redaction import redacted

BUILT_VERSIONS: Final = ("1.6",)
BUILT_LISTENER_PROFILES: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Rule:
    expected: str
    """Completes "expected …"."""
    holds: Callable[[Any], bool]
    """Gets the value as TOML has it; for a path, the path it leads to."""
    convert: Callable[[Any], object] | None = None
    """Where the field is not what the file says: the host of an address."""
    is_planned: Callable[[Any], bool] = lambda _: False
    """Of a value that does not hold: the format knows it, this version of the program does not yet."""
    choices: Callable[[], Collection[str]] = tuple
    """For "did you mean"."""
    objection: Callable[[str], str] = lambda _: ""
    """What exactly is wrong with a string that does not hold."""


@dataclass(frozen=True, slots=True)
class Named:
    """The key in the file, where it differs from the field's name."""

    key: str


@dataclass(frozen=True, slots=True)
class Each:
    """The rule of a list: of each item, and whether there must be one."""

    item: Rule
    expected: str
    may_be_empty: bool = True


def integer(low: int, high: int) -> Rule:
    return Rule(f"an integer from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Rule:
    return Rule(
        f"a number from {low:g} to {high:g}", lambda value: type(value) in (int, float) and low <= value <= high
    )


def number_above(low: float, high: float) -> Rule:
    return Rule(
        f"a number above {low:g}, at most {high:g}", lambda value: type(value) in (int, float) and low < value <= high
    )


def text(expected: str, pattern: str) -> Rule:
    return Rule(expected, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def one_of(allowed: Collection[str | int], planned: Collection[str | int] = ()) -> Rule:
    return Rule(
        "one of: " + " | ".join(map(str, allowed)),
        lambda value: type(value) in (str, int) and value in allowed,
        is_planned=lambda value: type(value) in (str, int) and value in planned,
        choices=lambda: [choice for choice in allowed if isinstance(choice, str)],
    )


TEXT: Final = Rule("a string", lambda value: isinstance(value, str))
PATH: Final = Rule("a path", lambda _: True)
SECRET: Final = Rule("the name of a file with the password", lambda _: True)


def _is_identity(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= 48
        and value.isprintable()
        and value == value.strip()
        and not set(value) & set(":/")
    )


# 2.x identifierString: at most 48 characters and no colon, which ends the user name in Basic authentication.
# A slash would end the last segment of the URL.
IDENTITY: Final = Rule("an identity of 1 to 48 characters without ':' and '/'", _is_identity)
NAME: Final = Rule("a name of 1 to 48 characters without ':' and '/'", _is_identity)
METER_NAME: Final = Rule(
    "a name of 1 to 48 characters without ':' and '/', and not \"probe\"",  # `edge meter probe` is another command
    lambda value: _is_identity(value) and value != "probe",
)
STATION_WORDS: Final = text("a text of 1 to 20 characters", r".{1,20}")  # 1.6 BootNotification.req: CiString20

VERSION: Final = one_of(BUILT_VERSIONS, planned=("2.0.1", "2.1"))
TOLERANCE: Final = one_of(sorted(NAMED_ONLY))
TOLERANCES: Final = Each(TOLERANCE, f"a list of tolerances, each {TOLERANCE.expected}")
VERSIONS: Final = Each(VERSION, f"a list of OCPP versions, each {VERSION.expected}", may_be_empty=False)
LISTENER_PROFILE: Final = one_of(BUILT_LISTENER_PROFILES, planned=(3,))
URL_PATH: Final = text('a path such as "/ocpp", without a slash at its end', r"/|(/[^/?#\s]+)+")
BOOLEAN: Final = Rule("true or false", lambda value: type(value) is bool)
_PHASES = r"L([123])(?:L(?!\1)([123])(?:L(?!\1|\2)[123])?)?"
PHASES: Final = text('the charger\'s phases in order, such as "L1L2L3", "L2L3L1" or "L3"', _PHASES)
METER_PHASES: Final = text('the meter\'s phases in order, such as "L1L2L3", "L2L3L1" or "L3"', _PHASES)


def _is_zone(value: Any) -> bool:
    if value == "UTC":  # also on a machine without the zone database
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError, TypeError):  # "Europe" is a folder, "../x" not a key
        return False
    return True


def _zones() -> Collection[str]:
    from zoneinfo import available_timezones

    return available_timezones()


TIMEZONE: Final = Rule('a time zone such as "Europe/Berlin"', _is_zone, choices=_zones)


def split_address(value: Any) -> tuple[str, int] | None:
    """`0.0.0.0:8887`, `[::]:8887`, `gateway.local:8887` → host and port."""
    found = (
        re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", value) if type(value) is str else None
    )
    if found is None or int(found[3]) > 65535:
        return None
    import ipaddress

    try:
        if found[1]:
            ipaddress.IPv6Address(found[1])
        elif re.fullmatch(r"[0-9.]+", found[2]):
            ipaddress.IPv4Address(found[2])
    except ValueError:
        return None
    return found[1] or found[2], int(found[3])


def _host(value: Any) -> object:
    parts = split_address(value)
    return parts and parts[0]


def _port(value: Any) -> object:
    parts = split_address(value)
    return parts and parts[1]


_ADDRESS = 'HOST:PORT, such as "0.0.0.0:8887" or "[::]:8887"'
ADDRESS_HOST: Final = Rule(_ADDRESS, lambda value: split_address(value) is not None, _host)
ADDRESS_PORT: Final = Rule(_ADDRESS, lambda value: split_address(value) is not None, _port)
HTTP_ADDRESS: Final = Rule(
    'HOST:PORT, such as "127.0.0.1:8880", or "" for none',
    lambda value: value == "" or split_address(value) is not None,
)


ADDRESS: Final = Rule(
    'HOST:PORT, such as "0.0.0.0:8889" or "[::]:8889"',
    lambda value: split_address(value) is not None,
)
ADDRESS_OR_NONE: Final = Rule(
    'HOST:PORT, such as "0.0.0.0:2121" or "[::]:2121", or "" for none',
    lambda value: value == "" or split_address(value) is not None,
)


def _are_ports(value: Any) -> bool:
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", value) if isinstance(value, str) else None
    return found is not None and 1024 <= int(found[1]) <= int(found[2]) <= 65535


PORTS: Final = Rule('FIRST-LAST from 1024 to 65535, such as "50000-50031"', _are_ports)
IPV4: Final = text('an address such as "192.0.2.10", or "" for none', r"((\d{1,3}\.){3}\d{1,3})?")
SOURCE: Final = text(
    "https://, http://, ftps://, ftp:// or sftp:// with a host, *.DOMAIN, an address or a network, and a port or none",
    r"(https?|ftps?|sftp)://(\[[0-9a-f:.]+\](/\d+)?|(\*\.)?[a-z0-9_.-]+(/\d+)?)(:\d{1,5})?",
)
SOURCES: Final = Each(SOURCE, f"a list of sources, each {SOURCE.expected}")


def _is_websocket_url(value: Any) -> bool:
    from urllib.parse import urlsplit

    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    has_place = parts.scheme in ("ws", "wss") and bool(parts.hostname) and port != 0
    # Credentials in a URL would be secrets in the file; the identity is appended, so nothing may follow the path.
    return has_place and not (parts.query or parts.fragment or "@" in parts.netloc)


WEBSOCKET_URL: Final = Rule(
    "ws://HOST[:PORT]/PATH or wss://… without user, query and identity (it is appended)", _is_websocket_url
)


def _is_connection(value: Any) -> bool:
    return isinstance(value, str) and not _wrong_with_connection(value)


def _wrong_with_connection(value: Any) -> str:
    try:
        parse_connection(value)
    except ConnectionInvalid as error:
        return str(error)
    return ""


CONNECTION: Final = Rule(EXPECTED, _is_connection, objection=_wrong_with_connection)


def is_readable_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode) and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False


def _is_not_folder(path: Path) -> bool:
    try:
        return not path.is_dir()
    except (OSError, ValueError):
        return True  # whether it can be opened is told when it is


READABLE_FILE: Final = Rule("the name of a file that can be read", is_readable_file)
DATABASE: Final = Rule("the path of a file", _is_not_folder)
# sockaddr_un.sun_path has 108 bytes, the last one is 0.
SOCKET: Final = Rule("a path of at most 107 bytes", lambda path: len(os.fsencode(path)) <= 107)


def shown(value: object) -> str:
    """A value of the file in a message, on one line and not longer than it helps."""
    match value:
        case str():
            return f"the string {quoted(redacted(value))}"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) < 10**18:
            return f"the integer {value}"
        case int():
            return "an integer of more than 18 digits"
        case float():
            return f"the number {value}"
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case _:
            return f"the date or time {value}"


def printable(word: str) -> str:
    return word if word.isprintable() else ascii(word)


def quoted(word: str) -> str:
    short = word if len(word) <= 60 else word[:59] + "…"
    return f'"{short}"' if short.isprintable() else ascii(short)


def guess(word: str, known: Collection[str]) -> str:
    """` (did you mean "x"?)`, or nothing."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f" (did you mean {quoted(close[0])}?)" if close else ""
