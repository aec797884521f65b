"""Commands about chargers."""

from edge.console.grammar import Commands, command, password_file


def add(commands: Commands) -> None:
    chargers = command(
        commands,
        "chargers",
        "list the chargers, or show one",
        "  edge chargers             all of them, those that wait included\n  edge chargers CP-01       one in detail",
        lambda options: {"charger": options.charger},
    )
    chargers.add_argument("charger", metavar="ID", nargs="?", help="only this charger, in detail")
    adopt = command(
        commands,
        "adopt",
        "accept a charger that waits to be accepted",
        "  edge adopt CP-07\n  edge adopt CP-07 --password-file cp-07.key",
        lambda options: {"charger": options.charger, "password": options.password_file},
    )
    adopt.add_argument("charger", metavar="ID", help="the identity with which it connects")
    adopt.add_argument(
        "--password-file",
        metavar="FILE",
        type=password_file,
        help="file with the password that it has to present from now on",
    )
