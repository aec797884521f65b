"""`edge diagnose` as text: the verdict in a sentence, what happened, and each finding with its evidence."""

from collections.abc import Sequence
from datetime import datetime

from edge.console.document import count, flag, instant, items, number, part, parts, text
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import counted, full_moment, moment
from edge.jsontypes import Payload

_GRAVE = 80
"""From this weight on a finding is one that somebody has to deal with."""
_NAMES_SHOWN = 6
_MAKES_SHOWN = 4
_MAKES = (
    Column("MODEL", gives=True),
    Column("FIRMWARE", gives=True),
    Column("CHARGERS", right=True),
    Column("AFFECTED", right=True),
    Column("RULES", gives=True),
)


def diagnose(document: Payload, page: Page) -> list[str]:
    now, findings = instant(document, "at"), parts(document, "findings")
    answers = part(document, "answers")
    lines = [*_headline(document, now, page), "", *_verdict(document, findings, page)]
    if flag(document, "truncated"):
        lines += wrapped("Not all of that time was looked at: there is too much. A shorter --since shows it.", 0, page)
    lines += _happened(answers, page)
    if findings:
        lines += ["", f"FINDINGS ({counted(len(findings), 'finding')})"]
    for index, one in enumerate(findings, start=1):
        lines += ["", *_finding(index, one, document, now, page)]
    return [*lines, *_commands(answers, now, page), *_counted(document, page), *_makes(document, page)]


def _headline(document: Payload, now: datetime | None, page: Page) -> list[str]:
    subject = part(document, "subject")
    session, charger = text(subject, "session", ""), text(subject, "charger", "")
    words = [word for word in (session, charger) if word] or ["all chargers"]
    make = _make(subject)
    since = moment(instant(document, "since"), now)
    return wrapped(" · ".join([*words, *([make] if make else []), f"compared since {since}"]), 0, page)


def _make(document: Payload) -> str:
    model = " ".join(word for word in (text(document, "vendor", ""), text(document, "model", "")) if word)
    firmware = text(document, "firmware", "")
    return ", ".join(word for word in (model, f"firmware {firmware}" if firmware else "") if word)


def _verdict(document: Payload, findings: Sequence[Payload], page: Page) -> list[str]:
    """The weightiest finding in a sentence, or that nothing is wrong."""
    subject = part(document, "subject")
    name = text(subject, "session", "") or text(subject, "charger", "") or "this site"
    if not findings:
        if parts(document, "counted"):
            return wrapped(f"The messages of {name} tell of nothing wrong; see what was counted below.", 0, page)
        words = f"Nothing is wrong with {name}: nothing that matters was found, and no command came to nothing."
        return wrapped(words, 0, page)
    top, others = findings[0], len(findings) - 1
    failed = instant(part(document, "answers"), "when_it_failed")
    words = f"{_sentence(text(top, 'what'))} It failed at {full_moment(failed)}; cause: {text(top, 'cause')}."
    if count(top, "weight") < _GRAVE:
        words = f"Nothing grave. {_sentence(text(top, 'what'))} Seen at {full_moment(failed)}."
    tied = _tied_words(part(top, "tied_to"))
    words += f" Tied to {tied}." if tied else ""
    words += f" {counted(others, 'other finding')} below." if others else ""
    return wrapped(words, 0, page)


def _sentence(words: str) -> str:
    return words if words.endswith((".", "…", "?")) else f"{words}."


def _happened(answers: Payload, page: Page) -> list[str]:
    happened = [str(line) for line in items(answers, "what_happened")]
    if not happened:
        return []
    lines = ["", "WHAT HAPPENED"]
    for words in happened:
        lines += wrapped(words, len(words.split(" ", 1)[0]) + 1 if words[:1] in {"+", "-"} else 2, page)
    return lines


def _finding(index: int, one: Payload, document: Payload, now: datetime | None, page: Page) -> list[str]:
    cause, rule = text(one, "cause"), text(one, "rule")
    head = f"{index}. {page.alarm(cause) if count(one, 'weight') >= _GRAVE else cause} · {rule}"
    pairs = [
        ("what", text(one, "what")),
        ("when", _when(one, now)),
        ("where", _where(one)),
        ("again", _again(part(one, "recurring"), now)),
        ("tied to", _tied(one)),
        ("evidence", _evidence(one, part(document, "subject"))),
        ("next", text(one, "advice")),
    ]
    return [head, *labelled([(f"   {label}", words) for label, words in pairs if words], page)]


def _when(one: Payload, now: datetime | None) -> str:
    first, last = moment(instant(one, "first_at"), now), moment(instant(one, "last_at"), now)
    times = count(one, "times")
    if times <= 1:
        return f"once, at {last}"
    return f"{times} times, {f'at {last}' if first == last else f'from {first} to {last}'}"


def _where(one: Payload) -> str:
    sessions = _names([str(name) for name in items(one, "sessions")], count(one, "session_count"))
    chargers = _names([str(name) for name in items(one, "chargers")], count(one, "charger_count"))
    return " · ".join(words for words in (sessions, chargers) if words) or "the station itself"


def _names(names: Sequence[str], total: int) -> str:
    shown = names[-_NAMES_SHOWN:]
    more = max(total, len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _again(recurring: Payload, now: datetime | None) -> str:
    if not recurring:
        return "no, not seen otherwise"
    sessions, chargers = count(recurring, "sessions"), count(recurring, "chargers")
    words = [f"yes, {counted(count(recurring, 'times'), 'time')}"]
    words += [f"in {counted(sessions, 'session')}"] if sessions else []
    words += [f"on {counted(chargers, 'charger')}"] if chargers else []
    return f"{' '.join(words)} since {moment(instant(recurring, 'since'), now)}"


def _tied(one: Payload) -> str:
    tied = _tied_words(part(one, "tied_to"))
    if tied:
        return tied
    shares = [
        f"{count(share, 'seen_on')} of {count(share, 'of')} {_make(share) or 'of a model that is not known'}"
        for share in parts(one, "makes")
    ]
    more = [f"{len(shares) - _MAKES_SHOWN} more makes"] if len(shares) > _MAKES_SHOWN else []
    seen = "; ".join(shares[:_MAKES_SHOWN] + more)
    return f"no model or firmware, as far as this site can tell: {seen}" if shares else ""


def _tied_words(tied: Payload) -> str:
    """With the numbers that it rests on."""
    seen, of, others = count(tied, "seen_on"), count(tied, "of"), count(tied, "others")
    model = " ".join(word for word in (text(tied, "vendor", ""), text(tied, "model", "")) if word)
    match text(tied, "kind", ""):
        case "firmware":
            words = f"{of} {'charger' if of == 1 else 'chargers'} with firmware {text(tied, 'firmware')}"
            return f"firmware {text(tied, 'firmware')} of {model}: {seen} of {words}, 0 of {others} with another"
        case "model":
            return f"model {model}: {seen} of {counted(of, 'charger')}, 0 of {others} of other models"
        case "charger":
            return f"this charger, {text(tied, 'charger')}: 0 of {others} others of its model"
        case _:
            return ""


def _evidence(one: Payload, subject: Payload) -> str:
    """The entries, and the trace that has them; of a session only if all of it is the session's own."""
    entries = ", ".join(str(entry) for entry in items(one, "entries"))
    sessions, chargers = items(one, "sessions"), items(one, "chargers")
    if not entries:
        return ""
    if text(subject, "session", "") and list(sessions) == [subject.get("session")]:
        return f"{entries} of edge trace {text(subject, 'session')}"
    names = _names([str(name) for name in chargers], count(one, "charger_count"))
    return f"{entries} of edge trace {names}" if names else entries


def _commands(answers: Payload, now: datetime | None, page: Page) -> list[str]:
    commands = parts(answers, "commands")
    if not commands:
        return []
    lines = ["", "COMMANDS THAT CAME TO NOTHING"]
    for one in commands:
        entries = ", ".join(str(entry) for entry in items(one, "entries"))
        outcome = text(one, "outcome").replace("_", " ")
        words = f"{moment(instant(one, 'at'), now)}  {text(one, 'action')} {outcome}: {text(one, 'why')} ({entries})"
        lines += wrapped(words, 10, page)
    return lines


def _counted(document: Payload, page: Page) -> list[str]:
    found = parts(document, "counted")
    if not found:
        return []
    lines = ["", "COUNTED SINCE THE DAEMON STARTED, WITHOUT A TRACE"]
    for one in found:
        times = counted(count(one, "times"), "time")
        words = f"{text(one, 'charger')}  {text(one, 'rule')}, {times}: {_sentence(text(one, 'what'))}"
        lines += wrapped(f"{words} {text(one, 'advice')}", 7, page)
    return lines


def _makes(document: Payload, page: Page) -> list[str]:
    rows = [
        [
            " ".join(word for word in (text(one, "vendor", ""), text(one, "model", "")) if word) or "not known",
            text(one, "firmware"),
            text(one, "chargers"),
            text(one, "affected"),
            ", ".join(str(rule) for rule in items(one, "rules")),
        ]
        for one in parts(document, "makes")
        if number(one, "affected") is not None
    ]
    return ["", "BY MODEL AND FIRMWARE", *table(_MAKES, rows, page)] if rows else []
