"""Commands about the site as a whole: the daemon itself, its connection to the cloud, its meters."""

from edge.console.grammar import Commands, add_options, command, since_time


def add(commands: Commands) -> None:
    run = command(
        commands,
        "run",
        "run the daemon in the foreground",
        "  edge run --config site.toml     as systemd runs it, with another file\n\n"
        "SIGTERM and Ctrl-C end it cleanly. SIGHUP puts a changed file in force.",
    )
    add_options(run, ("config",))
    check = command(
        commands,
        "check",
        "validate the configuration file",
        "  edge check --config site.toml   print every problem with file and line",
    )
    add_options(check, ("config", "json", "no-color"))
    status = command(
        commands,
        "status",
        "show the site at a glance",
        "  edge status               uplink, backlog, chargers, meters, alarms\n"
        "  edge status --watch       the same, kept up to date; Ctrl-C ends it\n"
        "  edge status --json | jq .backlog",
        lambda options: {"watch": True} if options.watch else {},
    )
    status.add_argument("--watch", action="store_true", help="keep it up to date")
    uplink = command(
        commands,
        "uplink",
        "show the connection to the cloud in detail",
        "  edge uplink",
        lambda _: {},
    )
    uplink.add_argument("verb", metavar="status", nargs="?", choices=["status"], help="the same")
    outages = command(
        commands,
        "outages",
        "show when the cloud was gone, and what went on meanwhile",
        "  edge outages              the newest first\n"
        "  edge outages --since 12h  of last night\n"
        "  edge outages --since 2026-11-01T06:00 --json",
        lambda options: {"since": options.since},
    )
    outages.add_argument(
        "--since", metavar="T", type=since_time, help="only those from then on: 90s, 15m, 2h, 3d, or a time of ISO 8601"
    )
    meter = command(
        commands,
        "meter",
        "show what the meters read now",
        "  edge meter                all meters\n"
        "  edge meter grid --watch   one, with each reading; Ctrl-C ends it\n"
        "  edge meter probe ADDRESS  find out what answers there: edge meter probe --help",
        lambda options: {"meter": options.meter, **({"watch": True} if options.watch else {})},
    )
    meter.add_argument("meter", metavar="ID", nargs="?", help="only this meter")
    meter.add_argument("--watch", action="store_true", help="keep it up to date")
