"""`edge meter probe`: two words that are one command, for `edge meter ID` takes any other word for a meter's name."""

import argparse
import os
import re
from collections.abc import Sequence
from itertools import pairwise

from edge.console.grammar import COMMON_OPTIONS, Commands, add_options, command
from edge.console.units import seconds
from edge.jsontypes import Payload

NAME = "meter probe"
LONGEST_PROFILE = 16_384
"""Characters of the person's own; ours have 2000."""
_LONGEST_RANGE = 256
_WITHIN_S = {"serial": 180.0, "network": 60.0}


def add(commands: Commands) -> None:
    probe = command(
        commands,
        NAME,
        "find out what answers at an address, and which profile fits it",
        "  edge meter probe tcp://192.0.2.20\n"
        "  edge meter probe rtu:///dev/ttyUSB0            all usual speeds, units 1 to 10\n"
        '  edge meter probe "rtu:///dev/ttyUSB0?baudrate=9600&parity=N" --units 1-32\n'
        "  edge meter probe rtu+tcp://192.0.2.21:4196 --unit 3 --profile ./my-meter.toml\n\n"
        "Only reads. Works with and without the daemon; a line that the daemon reads is\n"
        "probed by it, as that line is set, without holding up the grid meter. Exit code\n"
        "1: nothing answers; 5: nothing so far, and the time is over.",
    )
    add_options(probe, COMMON_OPTIONS)
    probe.usage = "edge meter probe [options] ADDRESS"
    probe.add_argument("address", metavar="ADDRESS", help="tcp://HOST[:PORT], rtu:///dev/TTY or rtu+tcp://HOST:PORT")
    units = probe.add_mutually_exclusive_group()
    units.add_argument("--unit", metavar="N", dest="units", type=_numbers, help="only this unit")
    units.add_argument("--units", metavar="1-16", dest="units", type=_numbers, help="these units: 1-16 or 1,3,126")
    probe.add_argument(
        "--profile", metavar="P", type=_profile, default=(None, None), help="only this profile, by name or file"
    )
    probe.add_argument("--baudrates", metavar="9600,19200", type=_numbers, help="only these speeds of a serial port")
    probe.add_argument(
        "--within", metavar="DURATION", type=_seconds, help="give up after so long: 30s, 5m (default 3m, network 1m)"
    )


def joined(words: Sequence[str]) -> list[str]:
    """The command line with `meter probe` as one word."""
    for at, two in enumerate(pairwise(words)):
        if two == ("meter", "probe"):
            return [*words[:at], NAME, *words[at + 2 :]]
    return list(words)


def asked(options: argparse.Namespace) -> Payload:
    usual = _WITHIN_S["serial" if options.address.lower().startswith("rtu:") else "network"]
    return {
        "address": options.address,
        "units": options.units,
        "baudrates": options.baudrates,
        "profile": options.profile[0],
        "profile_text": options.profile[1],
        "within_s": usual if options.within is None else options.within,
    }


def _numbers(written: str) -> list[int]:
    found: list[int] = []
    for part in written.split(","):
        match = re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7}))?", part.strip(), re.ASCII)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high < low + _LONGEST_RANGE:
            raise argparse.ArgumentTypeError(f"'{written}' is not a list of numbers such as 1-16 or 1,3,126")
        found += range(low, high + 1)
    return list(dict.fromkeys(found))


def _profile(written: str) -> tuple[str, str | None]:
    """A name; or a file, and what stands in it: the daemon may not see the person's files."""
    if "/" not in written and not written.endswith(".toml"):
        return written, None
    path = os.path.abspath(written)  # noqa: PTH100 - pathlib costs start time
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            content = file.read(LONGEST_PROFILE + 1)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {written}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{written} is not a text in UTF-8") from error
    if len(content) > LONGEST_PROFILE:
        raise argparse.ArgumentTypeError(f"{written} is no profile: it has more than {LONGEST_PROFILE} characters")
    return path, content


def _seconds(written: str) -> float:
    try:
        return seconds(written)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{written}' is not a duration such as 30s or 5m") from error
