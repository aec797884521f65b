"""Commands about charging sessions."""

from edge.console.grammar import CHARGER_SECONDS, Commands, command, session_id, since_time, target


def add(commands: Commands) -> None:
    sessions = command(
        commands,
        "sessions",
        "list the charging sessions, newest first",
        "  edge sessions --open\n  edge sessions --charger CP-01 --since 2d\n  edge sessions --since 2026-11-01T06:00",
        lambda options: {"open": options.open, "charger": options.charger, "since": options.since},
    )
    sessions.add_argument("--open", action="store_true", help="only those that have not ended")
    sessions.add_argument("--charger", metavar="ID", help="only those of this charger")
    sessions.add_argument(
        "--since", metavar="T", type=since_time, help="only those from then on: 90s, 15m, 2h, 3d, or a time of ISO 8601"
    )
    session = command(
        commands,
        "session",
        "show one session with its messages and notes",
        "  edge session S42",
        lambda options: {"session": options.session},
    )
    session.add_argument("session", metavar="ID", type=session_id, help="as in edge sessions: S42")
    start = command(
        commands,
        "start",
        "start charging; works without the cloud",
        "  edge start CP-01 --token 04A2B3C4\n  edge start CP-01/2 --token 04A2B3C4",
        lambda options: {**options.target, "token": options.token},
        within=CHARGER_SECONDS,
    )
    start.add_argument(
        "target",
        metavar="CHARGER[/EVSE[/CONNECTOR]]",
        type=target,
        help="where, as edge status names it",
    )
    start.add_argument("--token", metavar="T", required=True, help="the id token to charge for")
    stop = command(
        commands,
        "stop",
        "stop a session; works without the cloud",
        "  edge stop S42",
        lambda options: {"session": options.session},
        within=CHARGER_SECONDS,
    )
    stop.add_argument("session", metavar="SESSION", type=session_id, help="as in edge sessions: S42")
