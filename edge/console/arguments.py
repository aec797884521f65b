"""The command line of `edge`: what can be written, and the request that it becomes.

A command stands here when it works, not before. Everything else about commands is behind the socket.
"""

import argparse
import os

from edge.console import (
    grammar_chargers,
    grammar_keys,
    grammar_messages,
    grammar_probe,
    grammar_sessions,
    grammar_site,
    grammar_store,
)
from edge.console.client import Request
from edge.console.grammar import COMMON_OPTIONS, DEFAULT_CONFIG, Parser, add_options, formatter

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


_SUBJECTS = (
    grammar_site,
    grammar_probe,
    grammar_chargers,
    grammar_keys,
    grammar_sessions,
    grammar_messages,
    grammar_store,
)


def config_path(options: argparse.Namespace) -> str:
    return getattr(options, "config", None) or os.environ.get("EDGE_CONFIG") or DEFAULT_CONFIG


def build_parser() -> Parser:
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
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="edge")
    for subject in _SUBJECTS:
        subject.add(commands)
    return parser


def request(options: argparse.Namespace) -> Request:
    """What the daemon is asked for by a command line that it has to answer."""
    is_stream = bool(getattr(options, "watch", False) or getattr(options, "follow", False))
    asks = getattr(options, "asks", options.command)
    return Request(asks, options.args(options), is_stream, None if is_stream else options.within)
