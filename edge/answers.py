"""Which part of the daemon answers which command of `edge`: the names here are those of the local API."""

from dataclasses import dataclass
from pathlib import Path

from edge.console.actions import Actions, FleetActions
from edge.console.actions_keys import KeyActions
from edge.console.actions_messages import MessageActions
from edge.console.backup_stream import BackupStream
from edge.console.diagnostics import DiagnosticsCommands
from edge.console.firmware import FirmwareCommands
from edge.console.server import Answer, ConsoleServer
from edge.console.views_diagnosis import DiagnosisViews
from edge.console.views_messages import MessageViews
from edge.console.views_outages import OutageViews
from edge.console.views_sessions import SessionViews
from edge.console.views_site import SiteViews
from edge.console.without_journal import nothing_to_follow, unknown_without_journal
from edge.fleet import Fleet
from edge.inside import Inside
from edge.operations import Operations
from edge.probing import Probing
from edge.settings import Settings
from edge.store.backup import Backups
from edge.store.db import Store

OF_THE_JOURNAL = (
    "sessions",
    "session",
    "outages",
    "queue",
    "queue_retry",
    "queue_drop",
    "trace",
    "diagnose",
    "firmware",
    "firmware_rollout",
    "firmware_show",
    "firmware_abort",
)
"""Commands that have nothing to show while there is no journal."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What a technician can set off, by subject."""

    fleet: Fleet
    operations: Operations
    settings: Settings
    messages: MessageActions
    backups: Backups
    probing: Probing
    firmware: FirmwareCommands
    diagnostics: DiagnosticsCommands


def console(path: Path, store: Store, live: Inside, hands: Hands, *, has_journal: bool) -> ConsoleServer:
    site, sessions, messages = SiteViews(store, live), SessionViews(store, live), MessageViews(store, live)
    fleet, actions, keys = FleetActions(hands.fleet), Actions(hands.operations), KeyActions(hands.settings)
    answers: dict[str, Answer] = {
        "status": site.status,
        "uplink": site.uplink,
        "chargers": site.chargers,
        "meter": site.meter,
        "sessions": sessions.sessions,
        "session": sessions.session,
        "outages": OutageViews(store, live).outages,
        "queue": messages.queue,
        "queue_retry": hands.messages.retry,
        "queue_drop": hands.messages.drop,
        "trace": messages.trace,
        "diagnose": DiagnosisViews(store, live).diagnose,
        "adopt": fleet.adopt,
        "forget": fleet.forget,
        "replace": fleet.replace,
        "start": actions.start,
        "stop": actions.stop,
        "reset": actions.reset,
        "unlock": actions.unlock,
        "availability": actions.availability,
        "trigger": actions.trigger,
        "get": keys.get,
        "set": keys.set,
        "firmware": hands.firmware.overview,
        "firmware_rollout": hands.firmware.rollout,
        "firmware_show": hands.firmware.show,
        "firmware_abort": hands.firmware.abort,
        "firmware_remove": hands.firmware.remove,
    }
    if not has_journal:
        answers |= dict.fromkeys(OF_THE_JOURNAL, unknown_without_journal)
    return ConsoleServer(
        path,
        answers,
        streams={
            "status": site.watch_status,
            "meter": site.watch_meter,
            "firmware_show": hands.firmware.watch if has_journal else nothing_to_follow,
            "diagnostics": hands.diagnostics.collect if has_journal else nothing_to_follow,
            "trace": messages.follow_trace if has_journal else nothing_to_follow,
            "backup": BackupStream(hands.backups).backup,
            "meter_probe": hands.probing.probe,
        },
    )
