"""How a command of `edge` is declared, and the kinds of words that stand in one.

`arguments.py` puts the commands together; the `grammar_*` modules declare them, by subject.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeAlias

from edge.console.errors import CommandError
from edge.console.terminal import columns
from edge.jsontypes import Payload

DEFAULT_CONFIG = "/etc/edge/edge.toml"
DEFAULT_SOCKET = "/run/edge/edge.sock"
ANSWER_SECONDS = 20.0
CHARGER_SECONDS = 45.0
"""For what a charger is asked: the daemon itself gives it 30 s to answer."""


class Parser(argparse.ArgumentParser):
    """Fails with an error instead of leaving the program; argparse has no other way that covers all failures."""

    def error(self, message: str) -> NoReturn:
        raise CommandError("usage", f"{message[:1].upper()}{message[1:]}.", f"Try: {self.prog} --help")


def formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    width = min(columns(), 80) - 2
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=22, width=width)


_OPTIONS = {
    "config": ("FILE", f"configuration file (default {DEFAULT_CONFIG})"),
    "socket": ("PATH", f"the daemon's socket (default {DEFAULT_SOCKET})"),
    "json": (None, "print JSON for programs"),
    "no-color": (None, "print without colour"),
}

COMMON_OPTIONS = tuple(_OPTIONS)


def add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Options that may stand before or after the command: none has a default, so that neither place hides the other."""
    for name in names:
        metavar, text = _OPTIONS[name]
        if metavar is None:
            parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=text)
        else:
            parser.add_argument(f"--{name}", metavar=metavar, default=argparse.SUPPRESS, help=text)


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no other name
Args = Callable[[argparse.Namespace], Payload]


def command(
    commands: Commands, name: str, text: str, example: str, args: Args | None = None, *, within: float = ANSWER_SECONDS
) -> argparse.ArgumentParser:
    """A command; with `args` it is one that the daemon answers, `within` so many seconds."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="examples:\n" + example,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    if args is not None:
        add_options(parser, COMMON_OPTIONS)
        parser.set_defaults(args=args, within=within)
    return parser


def verb(
    verbs: Commands, name: str, text: str, asks: str | None = None, args: Args | None = None
) -> argparse.ArgumentParser:
    """A word after a command; with `asks` the daemon knows it by that name, else by the command's."""
    parser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", formatter_class=formatter, allow_abbrev=False
    )
    add_options(parser, COMMON_OPTIONS)
    if asks is not None:
        parser.set_defaults(asks=asks)
    if args is not None:
        parser.set_defaults(args=args)
    return parser


def since_time(written: str) -> str:
    from datetime import UTC, datetime

    from edge.console.units import iso, since

    try:
        return iso(since(written, datetime.now(UTC)))  # noqa: TID251 - the client is a process of its own
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"'{written}' is neither a duration (90s, 15m, 2h, 3d) nor a time (2026-11-01T06:00)"
        ) from error


def session_id(written: str) -> str:
    """`S42`, `s42` and `42` are one session; anything else the daemon does not have."""
    match = re.fullmatch(r"[Ss]?(\d+)", written, re.ASCII)
    return f"S{int(match[1])}" if match else written


def target(written: str) -> Payload:
    charger, *numbers = written.split("/")
    wrong = argparse.ArgumentTypeError(f"'{written}' is not CHARGER, CHARGER/EVSE or CHARGER/EVSE/CONNECTOR")
    if not charger or len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,9}", each) for each in numbers):
        raise wrong
    evse, connector = ([int(each) for each in numbers] + [None, None])[:2]
    return {"charger": charger, "evse": evse, "connector": connector}


def password_file(path: str) -> str:
    """The file's bytes without its final line end, in base64: a password need not be text."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start time
            content = file.read()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {error.strerror}") from error
    import base64

    content = content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n")
    return base64.b64encode(content).decode()
