"""The command line of `edge`: what can be written, and the request that it becomes.

A command stands here when it works, not before. Everything else about commands is behind the socket.
"""

import argparse
import os
from collections.abc import Sequence

from edge.console.client import Request
from edge.console.errors import CommandError
from edge.console.grammar import COMMON_OPTIONS, DEFAULT_CONFIG, Commands, Parser, add_options, formatter

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


_ASK_FOR_HELP = {"-h", "--help"}


def config_path(options: argparse.Namespace) -> str:
    return getattr(options, "config", None) or os.environ.get("EDGE_CONFIG") or DEFAULT_CONFIG


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """What the words say. Raises CommandError; SystemExit after help has been printed.

    To declare all commands takes as long as all the rest of a short one: so only those are that the words may name.
    Help and what is wrong are for the whole of them to say.
    """
    if _ASK_FOR_HELP.isdisjoint(words):
        try:
            return build_parser(words).parse_args(words)
        except CommandError:
            pass
    return build_parser().parse_args(words)


def build_parser(words: Sequence[str] | None = None) -> Parser:
    """With the subjects that one of the words may belong to; None: with all."""
    parser = Parser(
        prog="edge",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
        usage="edge [options] COMMAND …",
    )
    add_options(parser, COMMON_OPTIONS)
    parser.add_argument("--version", action="store_true", help="print the version and end")
    commands: Commands = parser.add_subparsers(  # type: ignore[assignment]  # they make our own kind of parser
        dest="command", metavar="COMMAND", title="commands", prog="edge"
    )
    _declare(commands, words)
    return parser


def _declare(commands: Commands, words: Sequence[str] | None) -> None:
    """Each subject with all its commands, in the order of the help; loaded only when it is wanted."""

    def may_be(*names: str) -> bool:
        return words is None or any(name in words for name in names)

    if may_be("run", "check", "status", "uplink", "outages", "meter"):
        from edge.console import grammar_site

        grammar_site.add(commands)
    if may_be("meter probe"):
        from edge.console import grammar_probe

        grammar_probe.add(commands)
    if may_be("chargers", "adopt", "forget", "replace", "reset", "unlock", "availability", "trigger"):
        from edge.console import grammar_chargers

        grammar_chargers.add(commands)
    if may_be("get", "set"):
        from edge.console import grammar_keys

        grammar_keys.add(commands)
    if may_be("sessions", "session", "start", "stop"):
        from edge.console import grammar_sessions

        grammar_sessions.add(commands)
    if may_be("trace", "diagnose", "queue"):
        from edge.console import grammar_messages

        grammar_messages.add(commands)
    if may_be("firmware", "diagnostics"):
        from edge.console import grammar_firmware

        grammar_firmware.add(commands)
    if may_be("backup", "restore"):
        from edge.console import grammar_store

        grammar_store.add(commands)


def request(options: argparse.Namespace) -> Request:
    """What the daemon is asked for by a command line that it has to answer."""
    is_stream = bool(getattr(options, "watch", False) or getattr(options, "follow", False))
    asks = getattr(options, "asks", options.command)
    return Request(asks, options.args(options), is_stream, None if is_stream else options.within)
