"""Commands about messages: what happened, what went wrong, what waits."""

from edge.console.grammar import Commands, command, since_time, verb


def add(commands: Commands) -> None:
    trace = command(
        commands,
        "trace",
        "show what happened to a session or a charger, in order",
        "  edge trace S42            from the charger's message to the cloud's answer\n"
        "  edge trace S42 --raw      with the exact text of each message\n"
        "  edge trace CP-01 --follow as it happens; Ctrl-C ends it",
        lambda options: {"subject": options.subject, "raw": options.raw, "follow": options.follow},
    )
    trace.add_argument("subject", metavar="SESSION|CHARGER", help="a session (S42) or a charger's identity")
    trace.add_argument("--follow", action="store_true", help="go on as things happen")
    trace.add_argument("--raw", action="store_true", help="print the text that was on the wire, too")
    diagnose = command(
        commands,
        "diagnose",
        "say what went wrong, whose fault it is, and whether it recurs",
        "  edge diagnose             all chargers, by model and firmware\n"
        "  edge diagnose S42         what happened to a session, when it failed, which\n"
        "                            command was not answered\n"
        "  edge diagnose CP-01 --since 30d",
        lambda options: {"subject": options.subject, "since": options.since},
    )
    diagnose.add_argument(
        "subject", metavar="SESSION|CHARGER", nargs="?", help="a session (S42) or a charger's identity"
    )
    diagnose.add_argument(
        "--since", metavar="T", type=since_time, help="look so far back: 90s, 15m, 2h, 3d, or a time (default 7d)"
    )
    queue = command(
        commands,
        "queue",
        "show the messages that the cloud has not answered yet",
        "  edge queue                in sending order, with what each one waits for\n"
        "  edge queue show 812       one message with its payload\n"
        "  edge queue retry 812      a parked message waits again, with its later ones\n"
        "  edge queue drop 812       the cloud will not get it; asks before",
        lambda options: {"seq": getattr(options, "seq", None)},
    )
    queue.usage = "edge queue [options] [list | show SEQ | retry SEQ | drop SEQ]"
    verbs = queue.add_subparsers(dest="verb", metavar="WORD", title="words", prog="edge queue")
    verb(verbs, "list", "all of them (what happens without a word)")
    show = verb(verbs, "show", "one message in full")
    retry = verb(verbs, "retry", "let a parked message wait again, with its later ones", "queue_retry")
    drop = verb(
        verbs,
        "drop",
        "never send a parked message; it stays in the journal",
        "queue_drop",
        lambda options: {"seq": options.seq},
    )
    drop.add_argument("--yes", action="store_true", help="do not ask")
    drop.set_defaults(asks_before=True)
    for each in (show, retry, drop):
        each.add_argument("seq", metavar="SEQ", type=int, help="its number in edge queue")
