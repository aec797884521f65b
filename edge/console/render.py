"""JSON documents of the local API → text for people. One function a command; the subjects have their own modules."""

from collections.abc import Callable
from functools import partial

from edge.console import render_chargers, render_firmware
from edge.console.document import (
    as_number,
    count,
    instant,
    items,
    number,
    part,
    parts,
    printable,
    text,
)
from edge.console.render_diagnosis import diagnose
from edge.console.render_messages import Timeline, queue, queue_drop, queue_retry
from edge.console.render_outages import outages
from edge.console.render_probe import probe
from edge.console.render_sessions import session, sessions
from edge.console.render_site import backlog_words, charger, chargers, status, uplink_words
from edge.console.render_store import backup, restore, restore_done, restore_question
from edge.console.table import Column, Page, labelled, table
from edge.console.units import between, counted, duration, energy, full_moment, moment, quantity
from edge.console.units import power as watts
from edge.jsontypes import JsonValue, Payload

Render = Callable[[Payload, Page], list[str]]


def printer(command: str, args: Payload) -> Callable[[Payload, Page], str]:
    """What turns the command's documents, one after the other, into text."""
    render: Render
    if command == "trace":
        render = Timeline(str(args["subject"])).lines
    elif command == "chargers" and args.get("charger") is not None:
        render = charger
    elif command == "sessions" and any(args.values()):
        render = partial(sessions, nothing="No session fits.")
    else:
        render = _RENDERS[command]

    def to_text(document: Payload, page: Page) -> str:
        clean = printable(document)
        return "\n".join(render(clean, page)) if isinstance(clean, dict) else ""

    return to_text


def uplink(document: Payload, page: Page) -> list[str]:
    now, link, waiting = instant(document, "at"), part(document, "uplink"), part(document, "outstanding")
    pairs = [
        ("state", uplink_words(link, now, page)),
        ("endpoint", text(link, "url", "none is configured: everything waits in the queue")),
        ("identity", f"{text(link, 'identity')} · OCPP {text(link, 'ocpp')}"),
        ("connected", _connected_words(link, document)),
        (
            "registration",
            f"{text(link, 'registration')} · heartbeat every {duration(number(link, 'heartbeat_interval_s'))}",
        ),
        ("last error", text(link, "last_error", "none")),
        ("backlog", backlog_words(part(document, "backlog"), page)),
        ("order", f"{text(link, 'order')} · epoch {text(link, 'epoch')}"),
    ]
    if waiting:
        seq = f" (message {text(waiting, 'seq')})" if number(waiting, "seq") is not None else ""
        ago = between(instant(waiting, "sent_at"), now)
        pairs.append(("waits for", f"the answer to {text(waiting, 'action')}{seq}, sent {ago} ago"))
    return labelled(pairs, page)


def _connected_words(link: Payload, document: Payload) -> str:
    connected = instant(link, "connected_at")
    if connected is None:
        return "no"
    return f"since {full_moment(connected)} ({between(connected, instant(document, 'at'))})"


def meter(document: Payload, page: Page) -> list[str]:
    meters = parts(document, "meters")
    if not meters:
        return ["No meters are configured."]
    blocks = [_meter(each, document, page) for each in meters]
    return [line for index, block in enumerate(blocks) for line in ([""] if index else []) + block]


def _meter(each: Payload, document: Payload, page: Page) -> list[str]:
    quality = page.state(text(each, "quality"))
    read_at = instant(each, "read_at")
    read = f"read {duration(number(each, 'age_s'))} ago ({moment(read_at, instant(document, 'at'))})"
    polls, failures = count(each, "polls"), count(each, "failures")
    share = f" ({100 * failures / polls:.2f} %)" if failures and polls else ""
    return [
        f"{text(each, 'id')}  {quality}, {read if read_at is not None else 'never read'}",
        "",
        *table(
            [Column(""), *(Column(phase, right=True) for phase in ("L1", "L2", "L3", "total"))],
            [
                ["voltage", *_phases(each, "voltage_v", "V"), ""],
                ["current", *_phases(each, "current_a", "A"), ""],
                ["power", *map(watts, _three(each, "power_w")), watts(number(each, "power_total_w"))],
            ],
            page,
        ),
        "",
        *labelled(
            [
                ("frequency", quantity(number(each, "frequency_hz"), "Hz", 2)),
                ("energy", _energy_words(each)),
                ("polls", f"{polls}, {counted(failures, 'failure')}{share}"),
                ("last error", text(each, "last_error", "none")),
                ("profile", f"{text(each, 'profile')} · role {text(each, 'role')}"),
                ("connection", f"{text(each, 'connection')} · unit {text(each, 'unit')}"),
            ],
            page,
        ),
    ]


def _energy_words(each: Payload) -> str:
    imported, exported = energy(number(each, "energy_import_wh")), energy(number(each, "energy_export_wh"))
    return f"import {imported} · export {exported}"


def _three(document: Payload, name: str) -> list[float | None]:
    values: list[JsonValue] = [*items(document, name), None, None, None]
    return [as_number(value) for value in values[:3]]


def _phases(document: Payload, name: str, unit: str) -> list[str]:
    return [quantity(value, unit) for value in _three(document, name)]


def start(document: Payload, page: Page) -> list[str]:
    result = page.state(text(document, "result").lower())
    return [
        f"{text(document, 'charger')}, connector {text(document, 'connector')}: start {result}.",
        "The session appears once the charger reports it: edge sessions --open",
    ]


def stop(document: Payload, page: Page) -> list[str]:
    return [f"{text(document, 'session')}: stop {page.state(text(document, 'result').lower())}."]


_RENDERS: dict[str, Render] = {
    "status": status,
    "chargers": chargers,
    "adopt": render_chargers.adopt,
    "forget": render_chargers.forget,
    "replace": render_chargers.replace,
    "reset": render_chargers.reset,
    "unlock": render_chargers.unlock,
    "availability": render_chargers.availability,
    "trigger": render_chargers.trigger,
    "get": render_chargers.get,
    "set": render_chargers.set_,
    "sessions": sessions,
    "session": session,
    "diagnose": diagnose,
    "queue": queue,
    "queue_retry": queue_retry,
    "backup": backup,
    "restore": restore,
    "restore_done": restore_done,
    "restore_question": restore_question,
    "queue_drop": queue_drop,
    "uplink": uplink,
    "outages": outages,
    "meter": meter,
    "firmware": render_firmware.overview,
    "firmware_rollout": render_firmware.rollout,
    "firmware_show": render_firmware.rollout,
    "firmware_abort": render_firmware.rollout,
    "firmware_remove": render_firmware.removed,
    "diagnostics": render_firmware.diagnostics,
    "meter_probe": probe,
    "start": start,
    "stop": stop,
}
