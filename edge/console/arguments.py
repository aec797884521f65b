"""The command line of `edge`: what can be written, and the request that it becomes.

A command stands here when it works, not before. Everything else about commands is behind the socket.
"""

import argparse
import base64
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from edge.console.client import Request
from edge.console.errors import CommandError
from edge.console.units import iso, since
from edge.jsontypes import Payload

DEFAULT_CONFIG = "/etc/edge/edge.toml"
DEFAULT_SOCKET = "/run/edge/edge.sock"
_COMMAND_SECONDS = 45.0  # a start or stop: the daemon itself gives the charger 30 s to answer

_DESCRIPTION = "ocpp-edge: many chargers on the LAN, one durable client towards the cloud."
_EPILOG = f"""\
examples:
  edge status              the site at a glance
  edge sessions --open     who is charging now
  edge trace S42 --raw     what happened to a session, down to the wire

The options stand before or after the command. Times are local for people and
UTC in JSON. Help on one command: edge COMMAND --help

environment: EDGE_CONFIG   instead of {DEFAULT_CONFIG}
             EDGE_SOCKET   instead of the configuration's [api] socket
             NO_COLOR      as --no-color

exit codes: 0 done · 1 failed or rejected · 2 wrong usage or configuration
            3 daemon not reachable · 4 no such charger, session, …
            5 timed out
"""


class Parser(argparse.ArgumentParser):
    """Fails with an error instead of leaving the program; argparse has no other way that covers all failures."""

    def error(self, message: str) -> NoReturn:
        raise CommandError("usage", f"{message[:1].upper()}{message[1:]}.", f"Try: {self.prog} --help")


def config_path(options: argparse.Namespace) -> str:
    return getattr(options, "config", None) or os.environ.get("EDGE_CONFIG") or DEFAULT_CONFIG


def build_parser() -> Parser:
    parser = Parser(
        prog="edge",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
        usage="edge [options] COMMAND …",
    )
    _add_options(parser, _COMMON_OPTIONS)
    parser.add_argument("--version", action="store_true", help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="edge")
    _add_local_commands(commands)
    _add_site_commands(commands)
    _add_session_commands(commands)
    _add_message_commands(commands)
    _add_charging_commands(commands)
    return parser


def _formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    width = min(shutil.get_terminal_size().columns, 80) - 2
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=22, width=width)


_OPTIONS = {
    "config": ("FILE", f"configuration file (default {DEFAULT_CONFIG})"),
    "socket": ("PATH", f"the daemon's socket (default {DEFAULT_SOCKET})"),
    "json": (None, "print JSON for programs"),
    "no-color": (None, "print without colour"),
}

_COMMON_OPTIONS = tuple(_OPTIONS)


def _add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Options that may stand before or after the command: none has a default, so that neither place hides the other."""
    for name in names:
        metavar, text = _OPTIONS[name]
        if metavar is None:
            parser.add_argument(f"--{name}", action="store_true", default=argparse.SUPPRESS, help=text)
        else:
            parser.add_argument(f"--{name}", metavar=metavar, default=argparse.SUPPRESS, help=text)


_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it
_Args = Callable[[argparse.Namespace], Payload]


def _command(
    commands: "_Commands[Parser]", name: str, text: str, example: str, args: _Args | None = None
) -> argparse.ArgumentParser:
    """A command; with `args` it is one that the daemon answers."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="examples:\n" + example,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    if args is not None:
        _add_options(parser, _COMMON_OPTIONS)
        parser.set_defaults(args=args)
    return parser


def request(options: argparse.Namespace) -> Request:
    """What the daemon is asked for by a command line that it has to answer."""
    args = options.args(options)
    is_stream = bool(getattr(options, "watch", False) or getattr(options, "follow", False))
    timeout_s: float | None = _COMMAND_SECONDS if options.command in ("start", "stop") else 60.0
    if is_stream:
        timeout_s = None
    return Request(options.command, args, is_stream, timeout_s)


def _add_local_commands(commands: "_Commands[Parser]") -> None:
    run = _command(
        commands,
        "run",
        "run the daemon in the foreground",
        "  edge run --config site.toml     as systemd runs it, with another file\n\n"
        "SIGTERM and Ctrl-C end it cleanly. A changed file needs a restart.",
    )
    _add_options(run, ("config",))
    check = _command(
        commands,
        "check",
        "validate the configuration file",
        "  edge check --config site.toml   print every problem with file and line",
    )
    _add_options(check, ("config", "json", "no-color"))


def _add_site_commands(commands: "_Commands[Parser]") -> None:
    status = _command(
        commands,
        "status",
        "show the site at a glance",
        "  edge status               uplink, backlog, chargers, meters, alarms\n"
        "  edge status --watch       the same, kept up to date; Ctrl-C ends it\n"
        "  edge status --json | jq .backlog",
        lambda options: {"watch": True} if options.watch else {},
    )
    status.add_argument("--watch", action="store_true", help="keep it up to date")
    chargers = _command(
        commands,
        "chargers",
        "list the chargers, or show one",
        "  edge chargers             all of them, those that wait included\n  edge chargers CP-01       one in detail",
        lambda options: {"charger": options.charger},
    )
    chargers.add_argument("charger", metavar="ID", nargs="?", help="only this charger, in detail")
    adopt = _command(
        commands,
        "adopt",
        "accept a charger that waits to be accepted",
        "  edge adopt CP-07\n  edge adopt CP-07 --password-file cp-07.key",
        lambda options: {"charger": options.charger, "password": options.password_file},
    )
    adopt.add_argument("charger", metavar="ID", help="the identity with which it connects")
    adopt.add_argument(
        "--password-file",
        metavar="FILE",
        type=_password,
        help="file with the password that it has to present from now on",
    )
    meter = _command(
        commands,
        "meter",
        "show what the meters read now",
        "  edge meter                all meters\n  edge meter grid --watch   one, with each reading; Ctrl-C ends it",
        lambda options: {"meter": options.meter, **({"watch": True} if options.watch else {})},
    )
    meter.add_argument("meter", metavar="ID", nargs="?", help="only this meter")
    meter.add_argument("--watch", action="store_true", help="keep it up to date")
    uplink = _command(
        commands,
        "uplink",
        "show the connection to the cloud in detail",
        "  edge uplink",
        lambda _: {},
    )
    uplink.add_argument("verb", metavar="status", nargs="?", choices=["status"], help="the same")


def _add_session_commands(commands: "_Commands[Parser]") -> None:
    sessions = _command(
        commands,
        "sessions",
        "list the charging sessions, newest first",
        "  edge sessions --open\n  edge sessions --charger CP-01 --since 2d\n  edge sessions --since 2026-11-01T06:00",
        lambda options: {"open": options.open, "charger": options.charger, "since": options.since},
    )
    sessions.add_argument("--open", action="store_true", help="only those that have not ended")
    sessions.add_argument("--charger", metavar="ID", help="only those of this charger")
    sessions.add_argument(
        "--since", metavar="T", type=_since, help="only those from then on: 90s, 15m, 2h, 3d, or a time of ISO 8601"
    )
    session = _command(
        commands,
        "session",
        "show one session with its messages and notes",
        "  edge session S42",
        lambda options: {"session": options.session},
    )
    session.add_argument("session", metavar="ID", type=_session, help="as in edge sessions: S42")


def _add_message_commands(commands: "_Commands[Parser]") -> None:
    trace = _command(
        commands,
        "trace",
        "show what happened to a session or a charger, in order",
        "  edge trace S42            from the charger's message to the cloud's answer\n"
        "  edge trace S42 --raw      with the exact text of each message\n"
        "  edge trace CP-01 --follow as it happens; Ctrl-C ends it",
        lambda options: {"subject": options.subject, "raw": options.raw, "follow": options.follow},
    )
    trace.add_argument("subject", metavar="SESSION|CHARGER", help="a session (S42) or a charger's identity")
    trace.add_argument("--follow", action="store_true", help="go on as things happen")
    trace.add_argument("--raw", action="store_true", help="print the text that was on the wire, too")
    queue = _command(
        commands,
        "queue",
        "show the messages that the cloud has not answered yet",
        "  edge queue                in sending order, with what each one waits for\n"
        "  edge queue show 812       one message with its payload",
        lambda options: {"seq": getattr(options, "seq", None)},
    )
    queue.usage = "edge queue [options] [list | show SEQ]"
    verbs = queue.add_subparsers(dest="verb", metavar="list | show SEQ", title="what to show", prog="edge queue")
    _verb(verbs, "list", "all of them (what happens without a word)")
    show = _verb(verbs, "show", "one message in full")
    show.add_argument("seq", metavar="SEQ", type=int, help="its number in edge queue")


def _verb(verbs: "_Commands[argparse.ArgumentParser]", name: str, text: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, formatter_class=_formatter, allow_abbrev=False)
    _add_options(parser, _COMMON_OPTIONS)
    return parser


def _add_charging_commands(commands: "_Commands[Parser]") -> None:
    start = _command(
        commands,
        "start",
        "start charging; works without the cloud",
        "  edge start CP-01 --token 04A2B3C4\n  edge start CP-01/2 --token 04A2B3C4",
        lambda options: {**options.target, "token": options.token},
    )
    start.add_argument(
        "target",
        metavar="CHARGER[/EVSE[/CONNECTOR]]",
        type=_target,
        help="where, as edge status names it",
    )
    start.add_argument("--token", metavar="T", required=True, help="the id token to charge for")
    stop = _command(
        commands,
        "stop",
        "stop a session; works without the cloud",
        "  edge stop S42",
        lambda options: {"session": options.session},
    )
    stop.add_argument("session", metavar="SESSION", type=_session, help="as in edge sessions: S42")


def _since(written: str) -> str:
    try:
        return iso(since(written, datetime.now(UTC)))  # noqa: TID251 - the client is a process of its own
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"'{written}' is neither a duration (90s, 15m, 2h, 3d) nor a time (2026-11-01T06:00)"
        ) from error


def _session(written: str) -> str:
    """`S42`, `s42` and `42` are one session; anything else the daemon does not have."""
    match = re.fullmatch(r"[Ss]?(\d+)", written, re.ASCII)
    return f"S{int(match[1])}" if match else written


def _target(written: str) -> Payload:
    charger, *numbers = written.split("/")
    wrong = argparse.ArgumentTypeError(f"'{written}' is not CHARGER, CHARGER/EVSE or CHARGER/EVSE/CONNECTOR")
    if not charger or len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,9}", each) for each in numbers):
        raise wrong
    evse, connector = ([int(each) for each in numbers] + [None, None])[:2]
    return {"charger": charger, "evse": evse, "connector": connector}


def _password(path: str) -> str:
    """The file's bytes without its final line end, in base64: a password need not be text."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start time
            content = file.read()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {error.strerror}") from error
    content = content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n")
    return base64.b64encode(content).decode()
