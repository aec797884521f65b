"""Commands about the store as a whole."""

from edge.console.grammar import COMMON_OPTIONS, Commands, add_options, command


def add(commands: Commands) -> None:
    backup = command(
        commands,
        "backup",
        "write a consistent copy of the store to a file, while the daemon works on",
        "  edge backup /media/usb/edge-2026-11-21.db\n"
        "  edge backup --force nightly.db    replace the one of yesterday\n\n"
        "The file holds tokens and hashes of passwords: only you may read it.",
    )
    add_options(backup, COMMON_OPTIONS)
    backup.add_argument("file", metavar="FILE", help="where to write it; must not exist yet")
    backup.add_argument("--force", action="store_true", help="replace FILE if it exists")
    restore = command(
        commands,
        "restore",
        "put a backup in the store's place, while the daemon is stopped",
        "  systemctl stop edge\n"
        "  edge restore /media/usb/edge-2026-11-21.db\n"
        "  systemctl start edge\n\n"
        "The present store is kept beside it under another name. As long as it can be\n"
        "read, chargers keep their numbers and nothing goes to the cloud twice. No number\n"
        "of a session or transaction is given twice.",
    )
    add_options(restore, ("config", "json", "no-color"))
    restore.add_argument("file", metavar="FILE", help="what edge backup wrote, or a store that was kept")
    restore.add_argument("--yes", action="store_true", help="do not ask (without a terminal nobody is asked)")
    restore.add_argument(
        "--force", action="store_true", help="also when the cloud then never gets what only the present store holds"
    )
