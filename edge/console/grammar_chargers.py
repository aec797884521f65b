"""Commands about chargers: who belongs to the site, and what a charger is to do now."""

import argparse

from edge.console.grammar import CHARGER_SECONDS, Commands, command, password_file, target

_TARGET = "CHARGER[/EVSE[/CONNECTOR]]"
_WHERE = "where, as edge status names it"


def add(commands: Commands) -> None:
    chargers = command(
        commands,
        "chargers",
        "list the chargers, or show one",
        "  edge chargers             all of them, those that wait included\n  edge chargers CP-01       one in detail",
        lambda options: {"charger": options.charger},
    )
    chargers.add_argument("charger", metavar="ID", nargs="?", help="only this charger, in detail")
    _fleet(commands)
    _orders(commands)


def _fleet(commands: Commands) -> None:
    adopt = command(
        commands,
        "adopt",
        "accept a charger that waits to be accepted",
        "  edge adopt CP-07          serve it from now on\n"
        "  edge adopt CP-07 --password-file cp-07.key\n"
        "  edge adopt CP-03          take back one that was retired: its numbers are\n"
        "                            kept for it; or acknowledge the serial that a known\n"
        "                            one says since its box was exchanged",
        lambda options: {"charger": options.charger, "password": options.password_file},
    )
    adopt.add_argument("charger", metavar="ID", help="the identity with which it connects")
    _password(adopt)
    forget = command(
        commands,
        "forget",
        "retire a charger",
        "  edge forget CP-03         it is not served any more; the cloud sees its\n"
        "                            connectors as Unavailable, and their numbers stay\n"
        "  edge adopt CP-03          takes it back, with the same numbers",
        lambda options: {"charger": options.charger, "force": options.force},
    )
    forget.add_argument("charger", metavar="ID", help="the charger")
    forget.add_argument("--force", action="store_true", help="also while it is charging")
    replace = command(
        commands,
        "replace",
        "put a new box in the place of an old one",
        "  edge replace CP-03 CP-17  CP-17 waits to be accepted (edge chargers): it takes\n"
        "                            the cloud's connector numbers of CP-03, which is\n"
        "                            retired\n\n"
        "Connectors are matched by the charger's own numbers. A new box with fewer\n"
        "leaves the others Unavailable; one with more gets new numbers at the end.",
        lambda options: {
            "old": options.old,
            "new": options.new,
            "password": options.password_file,
            "force": options.force,
        },
    )
    replace.add_argument("old", metavar="OLD", help="the charger that leaves")
    replace.add_argument("new", metavar="NEW", help="the one that comes; it must have no numbers yet")
    replace.add_argument("--force", action="store_true", help="also while the old one is connected")
    _password(replace)


def _password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        type=password_file,
        help="file with the password that it has to present from now on",
    )


def _orders(commands: Commands) -> None:
    """What a charger is to do at once."""
    reset = command(
        commands,
        "reset",
        "restart a charger; works without the cloud",
        "  edge reset CP-01          it ends its sessions first\n"
        "  edge reset CP-01 --hard   at once, as if its power was cut",
        lambda options: {"charger": options.charger, "hard": options.hard, "force": options.force},
        within=CHARGER_SECONDS,
    )
    reset.add_argument("charger", metavar="CHARGER", help="the charger")
    reset.add_argument("--hard", action="store_true", help="do not wait for anything")
    reset.add_argument("--force", action="store_true", help="--hard also while it is charging")
    unlock = command(
        commands,
        "unlock",
        "release the plug of a connector; works without the cloud",
        "  edge unlock CP-01/2       a session there is ended by the charger",
        lambda options: options.target,
        within=CHARGER_SECONDS,
    )
    unlock.add_argument("target", metavar=_TARGET, type=target, help=_WHERE)
    availability = command(
        commands,
        "availability",
        "take a charger or a connector out of service, or put it back",
        "  edge availability CP-01 off    the whole charger, after its sessions\n"
        "  edge availability CP-01/2 on   one connector\n\n"
        "For a charger that is not connected it is kept, and done when it is back.",
        lambda options: {**options.target, "on": options.to == "on"},
        within=CHARGER_SECONDS,
    )
    availability.add_argument("target", metavar=_TARGET, type=target, help=_WHERE)
    availability.add_argument("to", metavar="on|off", choices=["on", "off"], help="in service or out of it")
    trigger = command(
        commands,
        "trigger",
        "have a charger send a message now; works without the cloud",
        "  edge trigger CP-01 StatusNotification\n"
        "  edge trigger CP-01/2 MeterValues\n\n"
        "messages of OCPP 1.6: BootNotification, DiagnosticsStatusNotification,\n"
        "FirmwareStatusNotification, Heartbeat, MeterValues, StatusNotification",
        lambda options: {**options.target, "message": options.message},
        within=CHARGER_SECONDS,
    )
    trigger.add_argument("target", metavar=_TARGET, type=target, help=_WHERE)
    trigger.add_argument("message", metavar="MESSAGE", help="its OCPP name, in any case")
