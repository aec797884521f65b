"""`edge get` and `edge set`: configuration keys. A word alone is a charger; the station's own keys take `--station`."""

import argparse

from edge.console.errors import CommandError
from edge.console.grammar import CHARGER_SECONDS, Commands, command
from edge.jsontypes import Payload

_GET = "edge get [options] [CHARGER [KEY ...] | --station [KEY ...]]"
_SET = "edge set [options] (CHARGER KEY VALUE | --station KEY VALUE)"


def add(commands: Commands) -> None:
    get = command(
        commands,
        "get",
        "show configuration keys of a charger, or of the station itself",
        "  edge get CP-01                      all keys of a charger\n"
        "  edge get CP-01 HeartbeatInterval    one of them\n"
        "  edge get                            all of the station that the cloud sees\n"
        "  edge get --station HeartbeatInterval",
        _asked,
        within=CHARGER_SECONDS,
    )
    get.usage = _GET
    get.add_argument("--station", action="store_true", help="the words are keys of the station, not a charger")
    get.add_argument("words", metavar="CHARGER [KEY ...]", nargs="*", help="a charger, and the keys that are meant")
    set_ = command(
        commands,
        "set",
        "change a configuration key of a charger, or of the station itself",
        "  edge set CP-01 MeterValueSampleInterval 60\n"
        "  edge set CP-01 LightIntensity 30 --once\n"
        "  edge set --station HeartbeatInterval 120\n\n"
        "What a charger has accepted is written again when it has lost it at a reboot.",
        _changed,
        within=CHARGER_SECONDS,
    )
    set_.usage = _SET
    set_.add_argument("--station", action="store_true", help="the words are a key of the station and its value")
    set_.add_argument(
        "--once", action="store_true", help="do not write it again after a reboot; forget a value kept before"
    )
    set_.add_argument("words", metavar="CHARGER KEY VALUE", nargs="+", help="a charger, a key, and its new value")


def _asked(options: argparse.Namespace) -> Payload:
    if options.station or not options.words:
        return {"charger": None, "keys": options.words}
    return {"charger": options.words[0], "keys": options.words[1:]}


def _changed(options: argparse.Namespace) -> Payload:
    words = options.words
    if options.station:
        if len(words) != 2:
            raise CommandError("usage", f"--station takes KEY VALUE, not {len(words)} words.", f"usage: {_SET}")
        if options.once:
            raise CommandError("usage", "--once is for chargers: a key of the station stays as it is set.")
        return {"charger": None, "key": words[0], "value": words[1], "once": False}
    if len(words) != 3:
        hint = f"usage: {_SET}"
        if len(words) == 2:
            hint = f"For a key of the station: edge set --station {words[0]} {words[1]}"
        raise CommandError("usage", f"CHARGER KEY VALUE are wanted, not {len(words)} words.", hint)
    return {"charger": words[0], "key": words[1], "value": words[2], "once": options.once}
