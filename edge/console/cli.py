"""The command `edge`: a command line goes in, text or JSON and an exit code come out.

Most commands are done by the daemon: `arguments` makes the request, `client` asks it, `render` turns the documents
into text. `run` is the daemon itself, `check` needs none. Loads nothing but the standard library, and of that only
what the command needs, so that it answers at once on a Pi.
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge.console.arguments import build_parser, config_path, parsed, request
from edge.console.client import Request, ask
from edge.console.document import part, printable, text
from edge.console.errors import USAGE, CommandError, exit_code
from edge.console.grammar import DEFAULT_SOCKET
from edge.console.terminal import columns, lines
from edge.jsontypes import Payload

if TYPE_CHECKING:  # loaded only where they are needed
    from edge.config.metering import ReadProfile
    from edge.console.probe_command import ProbeHere
    from edge.console.table import Page

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


RunDaemon = Callable[[str], int]
"""The daemon with the configuration file of that path, until it ends; its exit code."""


class HandedIn(NamedTuple):
    """What the command line may not know itself, for it has to start fast and without a network."""

    run_daemon: RunDaemon
    read_profile: "ReadProfile | None" = None
    """For `edge check`. Without it what is in meter profiles is not judged."""
    probe_here: "ProbeHere | None" = None
    """`edge meter probe` in this process."""


def main(words: Sequence[str], run_daemon: RunDaemon | HandedIn) -> int:
    """The exit code."""
    handed_in = run_daemon if isinstance(run_daemon, HandedIn) else HandedIn(run_daemon)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 gets ? for …
    try:
        try:
            code = _run(words, handed_in)
        except CommandError as error:
            code = _fail(error, json.dumps(error.document()).encode() if "--json" in words else None)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain when it closes stdout at its own end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _run(words: Sequence[str], handed_in: HandedIn) -> int:
    if "probe" in words:
        from edge.console.grammar_probe import joined

        words = joined(words)
    try:
        options = parsed(words)
    except SystemExit:  # --help has been printed; mistakes are CommandErrors
        return 0
    if options.version:
        from edge import __version__

        print(f"edge {__version__}")
        return 0
    match options.command:
        case None:
            build_parser().print_help(sys.stderr)
            return USAGE
        case "run":
            if hasattr(options, "socket"):
                raise CommandError(
                    "usage", "'edge run' takes its socket from the configuration.", "Set it there: [api] socket"
                )
            return handed_in.run_daemon(config_path(options))
        case "check":
            return _check(options, handed_in)
        case "meter probe":
            return _probe(options, handed_in)
        case "backup" | "restore":
            return _copy(options)
        case "diagnostics":
            return _diagnostics(options)
        case _:
            return _ask_daemon(options)


def _check(options: argparse.Namespace, handed_in: HandedIn) -> int:
    from pathlib import Path

    from edge.console.configuration_check import check_configuration

    return check_configuration(
        Path(config_path(options)),
        as_json=hasattr(options, "json"),
        page=_page(options),
        read_profile=handed_in.read_profile,
    )


def _probe(options: argparse.Namespace, handed_in: HandedIn) -> int:
    from edge.console.grammar_probe import asked
    from edge.console.probe_command import probe

    document = probe(socket_path(options), asked(options), handed_in.probe_here)
    if hasattr(options, "json"):
        _write_line(json.dumps(document).encode())
    else:
        _text_printer(options, Request("meter_probe", {}))(b"", document)
    return 0


def _copy(options: argparse.Namespace) -> int:
    document: Payload
    asks = options.command == "restore" and not options.yes and sys.stdin.isatty()
    # loaded before the work: a restore may have become a user who may not read the program's files
    show = _text_printer(options, Request("restore_done" if asks else options.command, {}))
    if options.command == "backup":
        from edge.console.backup_file import fetch

        document = fetch(socket_path(options), options.file, force=options.force)
    else:
        from edge.console.confirmation import ask_person
        from edge.console.offline import put_back

        def confirm(plan: Payload) -> None:
            if asks:
                ask_person("restore_question", {}, plan)

        document = put_back(options.file, config_path(options), force=options.force, confirm=confirm)
    if hasattr(options, "json"):
        _write_line(json.dumps(document).encode())
    else:
        show(b"", document)
    return 0


def _diagnostics(options: argparse.Namespace) -> int:
    from edge.console.diagnostics_file import fetch

    args: Payload = {"charger": options.charger, "since": options.since, "security": options.security}
    document = fetch(socket_path(options), args, options.into)
    if hasattr(options, "json"):
        _write_line(json.dumps(document).encode())
    else:
        _text_printer(options, Request("diagnostics", {}))(b"", document)
    return 0


def _ask_daemon(options: argparse.Namespace) -> int:
    asked = request(options)
    as_json = hasattr(options, "json")
    if getattr(options, "asks_before", False) and not options.yes:
        from edge.console.confirmation import confirm

        confirm(socket_path(options), asked)
    show = _show_json if as_json else _text_printer(options, asked)
    document: Payload = {}
    for line in ask(socket_path(options), asked):
        document = _parsed(line)
        if error := _error_in(document):
            return _fail(error, line if as_json else None)
        show(line, document)
    if not document:
        raise CommandError("unreachable", "The daemon closed the connection without an answer.", "Look at its log.")
    if getattr(options, "watch", False) and not _is_over(document):
        raise CommandError("unreachable", "The daemon closed the connection.", "Look at: systemctl status edge")
    return 0


def _is_over(document: Payload) -> bool:
    """What was watched has come to its end, and nothing else is to be said of it."""
    return part(document, "rollout").get("ended_at") is not None


def socket_path(options: argparse.Namespace) -> str:
    """`--socket`, else `$EDGE_SOCKET`, else the configuration's, else the one of an installed daemon."""
    named = getattr(options, "socket", None) or os.environ.get("EDGE_SOCKET")
    return named or _configured_socket(config_path(options), is_explicit=hasattr(options, "config")) or DEFAULT_SOCKET


def _configured_socket(path: str, *, is_explicit: bool) -> str | None:
    """`[api] socket` of the file, relative to the file's folder. The rest of the file is the daemon's business."""
    import tomllib

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs start time
            content = tomllib.load(file)
    except (OSError, ValueError) as error:
        if not is_explicit:
            return None  # a technician need not be allowed to read it
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError("invalid_configuration", f"{path} cannot be read: {reason}.") from error
    api = content.get("api")
    socket = api.get("socket") if isinstance(api, dict) else None
    return os.path.join(os.path.dirname(path), socket) if isinstance(socket, str) else None  # noqa: PTH118, PTH120


def _parsed(line: bytes) -> Payload:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise CommandError("bad_answer", f"The daemon's answer is not JSON: {error}.") from error
    if not isinstance(document, dict) or not document:
        raise CommandError("bad_answer", "The daemon's answer is not a JSON object.")
    return document


def _error_in(document: Payload) -> CommandError | None:
    """The failure that the document reports. A queue entry has an `error`, too, but without a `message`."""
    error = part(document, "error")
    if "message" not in error:
        return None
    return CommandError(text(error, "code"), text(error, "message"), text(error, "hint", ""))


def _fail(error: CommandError, document: bytes | None) -> int:
    """Say what failed: to programs on stdout, to people on stderr."""
    if document is not None:
        _write_line(document)
    from edge.console.table import Page, wrapped

    page = Page(columns() if sys.stderr.isatty() else None, colour=False)
    for words in (f"edge: {error.message}", *error.hint.splitlines()):
        print("\n".join(wrapped(str(printable(words)), 2, page)), file=sys.stderr)
    return exit_code(error.code)


def _show_json(line: bytes, _: Payload) -> None:
    _write_line(line)


def _write_line(line: bytes) -> None:
    """Exactly the daemon's bytes; at once, for somebody may be following."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _text_printer(options: argparse.Namespace, asked: Request) -> Callable[[bytes, Payload], None]:
    from edge.console.render import printer

    to_text = printer(asked.command, asked.args)
    is_watch = getattr(options, "watch", False)
    redraws = is_watch and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def show(_: bytes, document: Payload) -> None:
        words = to_text(document, _page(options))
        if redraws:
            words = _screenful(words)
        elif is_watch:
            words += "\n"
        print(words, flush=True)

    return show


def _screenful(words: str) -> str:
    """The words on a cleared terminal, cut where it ends."""
    shown, height = words.splitlines(), lines() - 1
    if len(shown) > height:
        shown[height - 1 :] = [f"… {len(shown) - height + 1} more lines; a taller window shows them"]
    return "\x1b[H\x1b[J" + "\n".join(shown)


def _page(options: argparse.Namespace) -> "Page":
    from edge.console.table import Page

    is_terminal = sys.stdout.isatty()
    is_plain = hasattr(options, "no_color") or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Page(columns() if is_terminal else None, is_terminal and not is_plain)
