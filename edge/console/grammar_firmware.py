"""Commands about firmware, which go through the firmware bridge."""

import argparse

from edge.console.grammar import COMMON_OPTIONS, Commands, add_options, command, since_time, verb


def add(commands: Commands) -> None:
    firmware = command(
        commands,
        "firmware",
        "bring new firmware to chargers that have no internet",
        "  edge firmware                    files that are kept, and rollouts\n"
        "  edge firmware rollout https://fw.example.com/evb-1.4.bin --model EVB-P \\\n"
        "       --version 1.4 --window 01:00-04:00\n"
        "  edge firmware show F1 --watch    how far it is\n"
        "  edge firmware abort F1           nobody else is asked\n\n"
        "One charger goes first; the others follow when it runs the new firmware. Only\n"
        "chargers without a session are asked, and a failure stops the rest.",
        lambda _: {},
    )
    firmware.usage = "edge firmware [options] [list|rollout URL|show F|abort F|remove FILE]"
    verbs = firmware.add_subparsers(dest="verb", metavar="WORD", title="words", prog="edge firmware")
    verb(verbs, "list", "files and rollouts (what happens without a word)")
    _rollout(verbs)
    show = verb(verbs, "show", "one rollout, charger by charger", "firmware_show", _named)
    show.add_argument("--watch", action="store_true", help="go on until it is over")
    abort = verb(verbs, "abort", "ask nobody else; who is at it goes on", "firmware_abort", _named)
    for each in (show, abort):
        each.add_argument("rollout", metavar="F", help="its name in edge firmware")
    remove = verb(
        verbs,
        "remove",
        "delete a file that the bridge keeps",
        "firmware_remove",
        lambda options: {"file": options.file},
    )
    remove.add_argument("file", metavar="FILE", help="its name, or the beginning of its SHA-256")

    _diagnostics(commands)


def _diagnostics(commands: Commands) -> None:
    diagnostics = command(
        commands,
        "diagnostics",
        "have a charger upload its log, and write it to a file",
        "  edge diagnostics CP-01\n"
        "  edge diagnostics CP-01 --since 2d --into /media/usb\n\n"
        "The file is called after the charger, and as the charger calls it. Many need\n"
        "minutes; after ten without a byte it is given up.",
    )
    add_options(diagnostics, COMMON_OPTIONS)
    diagnostics.add_argument("charger", metavar="CHARGER", help="which one, as in edge chargers")
    diagnostics.add_argument(
        "--since", metavar="T", type=since_time, help="only from then on: 90s, 15m, 2h, 3d, or a time of ISO 8601"
    )
    diagnostics.add_argument("--security", action="store_true", help="its security log, where it has one")
    diagnostics.add_argument("--into", metavar="FOLDER", default=".", help="where to write it (default: here)")


def _named(options: argparse.Namespace) -> dict[str, str]:
    return {"rollout": options.rollout}


def _rollout(verbs: Commands) -> None:
    rollout = verb(
        verbs,
        "rollout",
        "fetch a file once, and have chargers install it one after the other",
        "firmware_rollout",
        lambda options: {
            "location": options.url,
            "chargers": options.charger,
            "vendor": options.vendor,
            "model": options.model,
            "from": options.present,
            "version": options.version_wanted,
            "sha256": options.sha256,
            "canary": options.canary,
            "wave": options.wave,
            "stop_after": options.stop_after,
            "window": options.window,
        },
    )
    rollout.add_argument("url", metavar="URL", help="https, or what firmware_bridge.sources allows")
    rollout.add_argument("--charger", metavar="ID", action="append", help="this charger; may stand more than once")
    rollout.add_argument("--vendor", metavar="V", help="chargers of this vendor")
    rollout.add_argument("--model", metavar="M", help="chargers of this model")
    rollout.add_argument("--from", metavar="VERSION", dest="present", help="only those that run this version")
    rollout.add_argument(
        "--version",
        metavar="VERSION",
        dest="version_wanted",
        help="what they say when they run it; without it any other version than before is a success",
    )
    rollout.add_argument("--sha256", metavar="HEX", help="of the file: any other is not used")
    rollout.add_argument("--canary", metavar="N", type=int, default=1, help="so many first (default 1)")
    rollout.add_argument("--wave", metavar="N", type=int, default=5, help="then so many at a time (default 5)")
    rollout.add_argument(
        "--stop-after", metavar="N", type=int, default=1, help="failures, after which nobody else is asked (default 1)"
    )
    rollout.add_argument("--window", metavar="HH:MM-HH:MM", help="only at this time of day, at the site")
