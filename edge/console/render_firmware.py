"""Files of the firmware bridge and rollouts, as text: a bar for what is fetched, and a line for each charger."""

from edge.console.document import count, flag, instant, number, part, parts, text
from edge.console.table import Column, Page, labelled, table, wrapped
from edge.console.units import between, counted, full_moment, moment
from edge.jsontypes import Payload

BAR = 20
INDENT = 11
"""Of the values behind the longest label, `installed`."""
_NEXT = "Is it running? systemctl status firmware-bridge"


def overview(document: Payload, page: Page) -> list[str]:
    now, files, rollouts = instant(document, "at"), parts(document, "files"), parts(document, "rollouts")
    lines = []
    if document.get("files") is None:
        lines += [*wrapped(page.alarm(_folded(text(document, "bridge"), 0, page)), 0, page), _NEXT, ""]
    elif not files:
        lines += ["The bridge keeps no files.", ""]
    else:
        columns = [
            Column("FILE", gives=True),
            Column("SIZE", right=True),
            Column("SHA-256"),
            Column("SIGNED BY", gives=True),
            Column("SINCE"),
        ]
        rows = [
            [
                text(one, "name"),
                size(count(one, "size")),
                text(one, "sha256")[:12],
                text(one, "signed_by", ""),
                moment(instant(one, "stored_at"), now),
            ]
            for one in files
        ]
        lines += [*table(columns, rows, page), ""]
    if not rollouts:
        return [*lines, "There was no rollout yet: edge firmware rollout --help"]
    columns = [
        Column("ROLLOUT"),
        Column("STATE", is_state=True),
        Column("INSTALLED", right=True),
        Column("FAILED", right=True),
        Column("BEGUN"),
        Column("WHY", gives=True),
    ]
    rows = [
        [
            text(one, "rollout"),
            text(one, "state"),
            f"{count(one, 'installed')}/{count(one, 'total')}",
            str(count(one, "failed") or ""),
            moment(instant(one, "begun_at"), now),
            text(one, "why", ""),
        ]
        for one in rollouts
    ]
    return [*lines, *table(columns, rows, page)]


def rollout(document: Payload, page: Page) -> list[str]:
    one, now = part(document, "rollout"), instant(document, "at")
    pairs = [
        ("state", page.state(text(one, "state"))),
        ("file", _folded(text(one, "location"), INDENT, page)),
        *([("version", text(one, "version"))] if one.get("version") is not None else []),
        ("order", _order(part(one, "policy"))),
        ("fetched", bar(number(one, "fetch_percent"))),
        ("installed", f"{bar(_share(one))}, {count(one, 'installed')} of {count(one, 'total')}"),
        ("begun", full_moment(instant(one, "begun_at"))),
    ]
    if one.get("ended_at") is not None:
        pairs.append(("ended", full_moment(instant(one, "ended_at"))))
    if one.get("why") is not None:
        pairs.append(("why", _folded(text(one, "why"), INDENT, page)))
    columns = [
        Column("CHARGER"),
        Column("STEP", is_state=True),
        Column("DOWNLOAD"),
        Column("SINCE", right=True),
        Column("RUNS", gives=True),
    ]
    rows = [
        [
            text(each, "charger"),
            text(each, "step"),
            bar(number(each, "download_percent"), 10) if each.get("download_percent") is not None else "",
            between(instant(each, "since"), now),
            text(each, "firmware", ""),
        ]
        for each in parts(one, "chargers")
    ]
    reasons = [line for each in parts(one, "chargers") for line in _reason(each, page)]
    blocks = [labelled(pairs, page), table(columns, rows, page) if rows else [], reasons]
    return [f"Rollout {text(one, 'rollout')}", *(line for block in blocks if block for line in ("", *block))]


def _order(policy: Payload) -> str:
    """`1 first, then 5 at a time, at 01:00-04:00; 1 failure stops it`."""
    canary, stop_after = count(policy, "canary"), count(policy, "stop_after")
    first = f"{canary} first, then " if canary else ""
    window = f", at {text(policy, 'window')}" if policy.get("window") is not None else ""
    stops = f"{counted(stop_after, 'failure')} {'stops' if stop_after == 1 else 'stop'} it"
    return f"{first}{count(policy, 'wave')} at a time{window}; {stops}"


def _reason(charger: Payload, page: Page) -> list[str]:
    """What has gone wrong with it, in full."""
    if charger.get("why") is None:
        return []
    requests = count(charger, "requests")
    again = f" (asked {requests} times)" if requests > 1 else ""
    return wrapped(_folded(f"{text(charger, 'charger')}: {text(charger, 'why')}{again}", 2, page), 2, page)


def _folded(words: str, indent: int, page: Page) -> str:
    """With words that are longer than a line, such as URLs, in pieces that are not."""
    if page.width is None:
        return words
    room = page.width - indent
    pieces = [word[at : at + room] for word in words.split(" ") for at in range(0, max(1, len(word)), room)]
    return " ".join(pieces)


def removed(document: Payload, page: Page) -> list[str]:
    return wrapped(f"{text(part(document, 'file'), 'name')} is deleted.", 0, page)


def diagnostics(document: Payload, page: Page) -> list[str]:
    columns = [Column("FILE", gives=True), Column("SIZE", right=True), Column("")]
    rows = [
        [text(one, "path"), size(count(one, "size")), "" if flag(one, "whole") else "it broke off"]
        for one in parts(document, "files")
    ]
    return [f"{text(document, 'charger')} has uploaded its log.", "", *table(columns, rows, page)]


def _share(one: Payload) -> float | None:
    total = count(one, "total")
    return None if not total else 100 * count(one, "installed") / total


def size(count_bytes: int) -> str:
    """`12 bytes`, `340 kB`, `1.3 MB`."""
    if count_bytes < 1000:
        return f"{count_bytes} bytes"
    return f"{count_bytes / 1000:.0f} kB" if count_bytes < 1_000_000 else f"{count_bytes / 1e6:.1f} MB"


def bar(percent: float | None, width: int = BAR) -> str:
    """`[########------------]  40 %`."""
    if percent is None:
        return "not yet"
    done = round(width * min(max(percent, 0), 100) / 100)
    return f"[{'#' * done}{'-' * (width - done)}] {percent:3.0f} %"
