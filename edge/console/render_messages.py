"""Messages as text: the timeline of a session or a charger, and the queue towards the cloud."""

import json
import re
from collections.abc import Sequence
from datetime import date, datetime

from edge.console.document import UNKNOWN, count, flag, instant, items, number, part, parts, text
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import between, counted, full_moment, moment, offset
from edge.jsontypes import Payload

_ARROWS = {
    ("charger", "in"): "charger→",
    ("charger", "out"): "→charger",
    ("csms", "in"): "cloud→",
    ("csms", "out"): "→cloud",
}
_INDENT = 31  # where the words of a timeline begin: id 6, time 10, arrow 9, and the gaps between them
_QUEUE = (
    Column("SEQ", right=True),
    Column("STATE", is_state=True),
    Column("ACTION", gives=True),
    Column("FROM", gives=True),
    Column("#", right=True),
    Column("SESSION"),
    Column("OBSERVED"),
    Column("TRIES", right=True),
    Column("NEXT"),
)


class Timeline:
    """Entries of a trace, one after the other, whether they come in one document or one by one.

    A session's times count from its first entry; a charger's are times of day, for it may have run for months.
    """

    def __init__(self, subject: str) -> None:
        self._is_session = re.fullmatch(r"S\d+", subject) is not None
        self._subject = subject
        self._start: datetime | None = None
        self._day: date | None = None

    def lines(self, document: Payload, page: Page) -> list[str]:
        if "entries" not in document:
            return self._entry(document, page)
        entries = parts(document, "entries")
        if not entries:
            return [f"Nothing is recorded of {self._subject} yet."]
        lines = [line for entry in entries for line in self._entry(entry, page)]
        return [*lines, *self._verdict(document, page)]

    def _verdict(self, document: Payload, page: Page) -> list[str]:
        sentences = [str(one) for one in items(document, "verdict")]
        if not sentences:
            return []
        words = " ".join([*sentences, f"edge diagnose {self._subject} looks for faults."])
        return ["", *wrapped(f"Verdict  {words}", len("Verdict  "), page)]

    def _entry(self, entry: Payload, page: Page) -> list[str]:
        lines, time = self._time(instant(entry, "at"))
        kind = text(entry, "kind")
        arrow = _ARROWS.get((text(entry, "peer"), text(entry, "direction")), "edge")
        who = arrow if kind in ("frame", "decision") else kind
        words = _entry_words(entry, show_session=not self._is_session)
        if entry.get("type") == "CALLERROR":
            words = page.alarm(words)
        elif kind == "synthetic":
            who = page.state("waiting", who) + " " * (9 - len(who))
        lines += wrapped(f"{text(entry, 'id'):>6}  {time:<10}  {who:<9}  {words}", _INDENT, page)
        if entry.get("text") is not None:
            lines.append(f"{'':8}{text(entry, 'text')}")
        return lines

    def _time(self, at: datetime | None) -> tuple[list[str], str]:
        """The headline that is due before this entry, if any, and the entry's time."""
        if at is None:
            return [], UNKNOWN
        if self._is_session:
            headline = [f"{self._subject} from {full_moment(at)}"] if self._start is None else []
            self._start = self._start or at
            return headline, offset(self._start, at)
        local = at.astimezone()
        headline = [f"{self._subject} on {local.day} {local:%b %Y (%Z)}"] if local.date() != self._day else []
        self._day = local.date()
        return headline, f"{local:%H:%M:%S.}{local.microsecond // 100000}"


def _entry_words(entry: Payload, *, show_session: bool) -> str:
    action, summary = text(entry, "action", ""), text(entry, "summary", "")
    if entry.get("type") == "CALLRESULT":
        action += " answered"
    elif entry.get("type") == "CALLERROR":
        action += " refused"
    words = summary if action and summary.startswith(action) else f"{action}  {summary}".strip()
    marks = [text(entry, "session")] if show_session and entry.get("session") is not None else []
    cause = text(entry, "cause", "")
    marks += [f"because of {cause}"] if cause and cause != text(entry, "id").rstrip("a") else []
    return f"{words} ({', '.join(marks)})" if marks else words


def queue(document: Payload, page: Page) -> list[str]:
    if "entries" not in document:
        return _queued_message(part(document, "entry") or document, instant(document, "at"), page)
    now, entries = instant(document, "at"), parts(document, "entries")
    if not entries:
        return ["The queue is empty: the cloud has answered everything."]
    shown = f" Here are the first {len(entries)}." if flag(document, "truncated") else ""
    waiting, parked = counted(count(document, "messages"), "message"), count(document, "parked")
    rows = [
        [
            text(entry, "seq"),
            text(entry, "state"),
            text(entry, "action"),
            text(entry, "charger", "station"),
            text(entry, "upstream_connector"),
            text(entry, "session", ""),
            moment(instant(entry, "observed_at"), now),
            text(entry, "attempts"),
            _next(entry, now),
        ]
        for entry in entries
    ]
    return [
        *wrapped(f"{waiting} to be answered by the cloud, {parked} parked.{shown}", 0, page),
        "",
        *table(_QUEUE, rows, page),
        *_errors(entries, now, page),
    ]


def _next(entry: Payload, now: datetime | None) -> str:
    if entry.get("blocked_by") is not None:
        return f"after {text(entry, 'blocked_by')}"
    if entry.get("state") == "parked":
        return "stays"
    if entry.get("state") == "sending":
        return "sent"
    due = instant(entry, "next_attempt_at")
    return "its turn" if due is None else f"in {between(now, due)}"


def _errors(entries: Sequence[Payload], now: datetime | None, page: Page) -> list[str]:
    lines = [
        line
        for entry in entries
        if part(entry, "error")
        for line in wrapped(f"{text(entry, 'seq')}: {_error_words(part(entry, 'error'), now)}", 2, page)
    ]
    return ["", "LAST ERRORS", *lines] if lines else []


def _error_words(error: Payload, now: datetime | None) -> str:
    if not error:
        return "none"
    at = moment(instant(error, "at"), now)
    return f"{text(error, 'code')}: {text(error, 'description', 'no description')} (at {at})"


def _queued_message(entry: Payload, now: datetime | None, page: Page) -> list[str]:
    connector = (
        f" · upstream connector {text(entry, 'upstream_connector')}"
        if number(entry, "upstream_connector") is not None
        else ""
    )
    pairs = [
        ("message", f"{text(entry, 'seq')} · {text(entry, 'action')} · {page.state(text(entry, 'state'))}"),
        ("from", f"{text(entry, 'charger', 'the station itself')}{connector} · OCPP {text(entry, 'ocpp')}"),
        ("session", text(entry, "session", "none")),
        ("observed", full_moment(instant(entry, "observed_at"))),
        ("attempts", text(entry, "attempts")),
        ("next", _next(entry, now)),
        ("error", _error_words(part(entry, "error"), now)),
    ]
    return [
        *labelled(pairs, page),
        "",
        "RECEIVED",
        *_pretty(entry, "received_payload", "not known"),
        "",
        "TO THE CLOUD",
        *_pretty(entry, "upstream_payload", "cannot be rendered yet"),
    ]


def _pretty(entry: Payload, name: str, unknown: str) -> list[str]:
    if entry.get(name) is None:
        return [unknown]
    return json.dumps(entry[name], ensure_ascii=False, indent=2).splitlines()


def queue_retry(document: Payload, page: Page) -> list[str]:
    waiting = count(document, "waiting")
    later = f", with {counted(waiting - 1, 'later message')} of its session" if waiting > 1 else ""
    return wrapped(f"{_named(document)} waits for the cloud again{later}.", 0, page)


def queue_drop(document: Payload, page: Page) -> list[str]:
    """What was dropped; before it is confirmed, what would be."""
    dropped, waiting = count(document, "dropped"), count(document, "waiting")
    will = "" if flag(document, "is_done") else "will be "
    words = f"{_named(document)} {will or 'is '}dropped: the cloud will not get it. It stays in the journal."
    if flag(document, "is_start"):
        with_it = f" ({counted(dropped - 1, 'message')} so far)" if dropped > 1 else ""
        words += f" It is the start of its session, so all that follows it{with_it} is dropped with it:"
        words += " the cloud will never know of this session."
    elif flag(document, "is_stop"):
        words += " It is the stop of the session: at the cloud the session will stay open."
    if waiting:
        goes = "goes" if waiting == 1 else "go"
        words += f" {counted(waiting, 'later message')} of its transaction {goes} on."
    return wrapped(words, 0, page)


def _named(document: Payload) -> str:
    session = document.get("session")
    return f"Message {text(document, 'seq')} ({text(document, 'action')}{f' of {session}' if session else ''})"
