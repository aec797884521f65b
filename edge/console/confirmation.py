"""A question before something is done that cannot be undone: what it would do, and a yes on the terminal.

Without a terminal nobody can be asked: then it is done only with `--yes`. Loaded only where it is needed.
"""

import json
import sys

from edge.console.client import Request, ask
from edge.console.document import part, text
from edge.console.errors import CommandError
from edge.console.render import printer
from edge.console.table import Page
from edge.console.terminal import columns
from edge.jsontypes import Payload


def confirm(socket: str, asked: Request) -> None:
    """Return only on a yes. The daemon is asked with `only_look` what it would do."""
    if not sys.stdin.isatty():
        raise CommandError(
            "usage", "This cannot be undone, and there is no terminal to ask on.", "To do it all the same, add --yes"
        )
    args = {**asked.args, "only_look": True}
    document = json.loads(next(iter(ask(socket, asked._replace(args=args))), b"{}"))
    error = part(document, "error")
    if error:
        raise CommandError(text(error, "code"), text(error, "message"), text(error, "hint", ""))
    if not document:
        raise CommandError("unreachable", "The daemon closed the connection without an answer.", "Look at its log.")
    ask_person(asked.command, asked.args, document)


def ask_person(command: str, args: Payload, document: Payload) -> None:
    """Show on the terminal what the document says, and return only on a yes."""
    page = Page(columns() if sys.stderr.isatty() else None, colour=False)
    print(printer(command, args)(document, page), file=sys.stderr)
    print("Do it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("not_confirmed", "Nothing was done.")
