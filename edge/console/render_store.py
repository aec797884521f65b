"""What `edge backup` and `edge restore` did, as text."""

from edge.console.document import count, flag, instant, number, text
from edge.console.table import Page, labelled, wrapped
from edge.console.units import counted, full_moment
from edge.jsontypes import Payload


def backup(document: Payload, page: Page) -> list[str]:
    return [
        *wrapped(f"{text(document, 'file')} is written and checked.", 0, page),
        "",
        *labelled([*_contents(document), ("sha256", text(document, "sha256"))], page),
        *_damaged(document, page),
    ]


def _contents(document: Payload) -> list[tuple[str, str]]:
    waiting, parked = count(document, "waiting"), count(document, "parked")
    made = instant(document, "made_at")
    return [
        ("size", f"{count(document, 'bytes') / 1e6:.1f} MB"),
        ("made", "not by edge backup" if made is None else full_moment(made)),
        ("sessions", str(count(document, "sessions"))),
        ("to be sent", f"{counted(waiting, 'message')}, {parked} parked"),
        ("from", full_moment(instant(document, "first_at"))),
        ("to", full_moment(instant(document, "last_at"))),
    ]


def _damaged(document: Payload, page: Page) -> list[str]:
    damaged = count(document, "damaged")
    if not damaged:
        return []
    words = f"{counted(damaged, 'message')} to be sent are damaged in the store itself: they will be parked."
    return ["", *wrapped(page.alarm(words), 0, page)]


def restore(document: Payload, page: Page) -> list[str]:
    """What was done, when nobody was asked."""
    return [*restore_done(document, page)[:-2], "", *_what_it_means(document, page), *_start_it()]


def restore_question(document: Payload, page: Page) -> list[str]:
    """What is about to be done."""
    words = f"{text(document, 'store')} is going to be what {text(document, 'file')} holds."
    return [*wrapped(words, 0, page), "", *_what_it_means(document, page)]


def restore_done(document: Payload, page: Page) -> list[str]:
    """What was done, when all else was shown before."""
    lines = wrapped(f"{text(document, 'store')} is what {text(document, 'file')} holds.", 0, page)
    if document.get("kept_as") is not None:
        words = (
            f"The store before it is kept as {text(document, 'kept_as')}: what happened since the backup is only in "
            "there. It is yours to delete."
        )
        lines += wrapped(words, 0, page)
    return [*lines, *_start_it()]


def _start_it() -> list[str]:
    return ["", "Start the daemon: systemctl start edge"]


def _what_it_means(document: Payload, page: Page) -> list[str]:
    lines = [*labelled(_contents(document), page), ""]
    for words in [*_of_the_cloud(document), _of_chargers(document), _of_numbers(document)]:
        lines += wrapped(words, 0, page)
    return [*lines, *_damaged(document, page)]


def _of_the_cloud(document: Payload) -> list[str]:
    words = []
    if document.get("damage") is not None:
        words.append(f"The present store is damaged ({text(document, 'damage')}); it is kept as it is.")
    lost, sessions = count(document, "lost_messages"), count(document, "lost_sessions")
    if lost or sessions:
        words.append(
            f"The cloud will not get {counted(lost, 'message')} and the ends of {counted(sessions, 'session')} "
            "that only the present store holds."
        )
    sent, ended = count(document, "already_sent"), count(document, "already_ended")
    if sent:
        words.append(f"Of what is to be sent the cloud has {counted(sent, 'message')} already: not sent again.")
    if ended:
        words.append(f"{counted(ended, 'open session')} of the backup ended since then, and the cloud knows it.")
    since = instant(document, "unknown_since")
    if since is not None:
        words.append(
            f"What happened after {full_moment(since)} is not known: what was sent since goes up once more; what was "
            "stored and not sent, the cloud will not get; sessions that began since have no start here, so their "
            "stops are kept and shown (edge queue), and not sent."
        )
    return words


def _of_chargers(document: Payload) -> str:
    if flag(document, "same_site"):
        return "Chargers, their connector numbers, tokens and settings stay as they are now."
    return (
        "Chargers, connector numbers, tokens and settings are those of the backup: what was adopted, replaced, "
        "forgotten, blocked or set since has to be done again. Compare the numbers in edge status with the cloud's."
    )


def _of_numbers(document: Payload) -> str:
    charger_tx = number(document, "next_charger_transaction_id")
    ids = "" if charger_tx is None else f", transaction ids for chargers with {int(charger_tx)}"
    return (
        f"No number is given twice: sessions go on with {text(document, 'next_session')}{ids}, "
        f"the journal with {count(document, 'next_seq')}."
    )
