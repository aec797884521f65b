"""Starts everything, shows the first screen, lets the story run, and ends everything whatever happens.

Exit codes: 0 every transaction reached the cloud and the firmware every charger · 1 something was not right, or the
demo could not go on · 2 wrong usage · 130 Ctrl-C (nothing was checked), 143 SIGTERM, 129 SIGHUP, 141 nobody reads the
output any more.
"""

import argparse
import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demonstration.bridge import BridgeProcess
from demonstration.daemon import DaemonProcess
from demonstration.folder import Folder
from demonstration.lines import WIDTH, Lines, counted, kilowatts
from demonstration.observer import Observer
from demonstration.party import CHARGERS, STATION, Party
from demonstration.process import ROOT, DemoFailed, Process, tail
from demonstration.rollout import Rollout
from demonstration.story import Plan, Story
from demonstration.verification import Counts, Report
from edge import __version__

RIGHT, WRONG = 0, 1
SHORTEST_S = 20.0
COMPLETE_WITHIN = 30.0
PROBLEMS_SHOWN = 20
FRESH = 0.2


class Interruption:
    """Ctrl-C and its relatives: the first one ends the demo in order, the second one kills its processes."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.happened = asyncio.Event()
        self.processes: list[Process] = []

    def by(self, number: int) -> None:
        if self.number is not None:
            for process in self.processes:
                process.kill()
        self.number = self.number or number
        self.happened.set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self.by, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")
    lines = Lines()
    try:
        folder = Folder(options.data)
    except (DemoFailed, OSError) as error:
        print(f"tools/demo: {error}", file=sys.stderr)
        return WRONG
    code = 128 + signal.SIGINT
    try:
        code = asyncio.run(_demonstrate(options, folder, lines))
    except KeyboardInterrupt:
        pass
    finally:
        if code == WRONG and folder.is_temporary:
            lines.plain(f"Left for a look: {folder.path}")
        else:
            folder.remove()
    return code


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="The real daemon between three simulated chargers, a simulated site meter and a simulated cloud. "
        "The chargers get new firmware through the real firmware bridge. Then it cuts the uplink for a while, so that "
        "you see the backlog grow and drain.",
        epilog="exit codes: 0 every transaction reached the cloud, complete, in order and once, and the firmware every "
        "charger; 1 not so; "
        "130 Ctrl-C, nothing was checked",
    )
    parser.add_argument(
        "--duration", type=_seconds, metavar="S", help=f"stop after S seconds ({SHORTEST_S:.0f} or more) and check"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep database, configuration and log in this folder")
    parser.add_argument("--verbose", action="store_true", help="print each OCPP frame of chargers and cloud")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not SHORTEST_S <= seconds <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of seconds is expected, {SHORTEST_S:.0f} or more")
    return seconds


async def _demonstrate(options: argparse.Namespace, folder: Folder, lines: Lines) -> int:
    interruption = Interruption()
    lines.on_gone = lambda: interruption.by(signal.SIGPIPE)
    code = WRONG
    with interruption.watched():
        try:
            async with asyncio.TaskGroup() as tasks:
                performance = tasks.create_task(_perform(options, folder, lines, interruption))
                watch = tasks.create_task(interruption.happened.wait())
                await asyncio.wait({performance, watch}, return_when=asyncio.FIRST_COMPLETED)
                watch.cancel()
                if not performance.done():
                    lines.say("demo", "stops; nothing was checked")
                    performance.cancel()
            code = (
                128 + interruption.number if performance.cancelled() and interruption.number else performance.result()
            )
        except* DemoFailed as group:
            _tell_failure(group, folder, lines)
    return code


async def _perform(options: argparse.Namespace, folder: Folder, lines: Lines, interruption: Interruption) -> int:
    """The demo from its first to its last line; the exit code."""
    plan = Plan.of(options.duration)
    party = Party(folder.passwords(), lines, is_verbose=options.verbose)
    async with party.present():
        folder.configure(
            csms_url=party.csms.url,
            meter=party.meter.connection,
            meter_interval_s=plan.meter_interval_s,
            firmware_source=party.manufacturer.source,
        )
        daemon, bridge = DaemonProcess(folder), BridgeProcess(folder)
        interruption.processes = [daemon.process, bridge.process]
        async with bridge.running(), daemon.running(), asyncio.TaskGroup() as tasks:
            url = f"ws://127.0.0.1:{daemon.port}/ocpp"
            chargers = party.add_chargers(url, plan.meter_interval_s, plan.update_step_s)
            background = [tasks.create_task(charger.run()) for charger in chargers]
            background += [tasks.create_task(process.watch()) for process in interruption.processes]
            status = await _complete(daemon)
            _show_first_screen(folder, daemon, party, status, lines)
            observer = Observer(daemon, party, lines, status, outage_lines_every=plan.lines_every_s)
            background.append(tasks.create_task(observer.run()))
            rollout = Rollout(daemon, party, lines)
            story = Story(plan, party, observer, rollout, lines)
            await story.run()
            for part in background:
                part.cancel()
    report = party.verify(party.answered())
    report.problems += [one for one in observer.problems if one not in report.problems]
    report.problems += story.problems + rollout.problems + party.complaints()
    for process in interruption.processes:
        if process.exit_code != 0:
            report.problems.append(f"{process.name} ended with exit code {process.exit_code}")
    _show_result(report, rollout, folder, lines)
    return RIGHT if report.is_right else WRONG


async def _complete(daemon: DaemonProcess) -> dict:
    """The site's status when everybody is there."""
    deadline = asyncio.get_running_loop().time() + COMPLETE_WITHIN
    while True:
        status = await daemon.ask("status")
        has_reading = all(meter["quality"] == "good" for meter in status["meters"])
        is_online = status["uplink"]["state"] == "accepted"
        if has_reading and is_online and status["chargers"]["online"] == len(CHARGERS):
            return status
        if asyncio.get_running_loop().time() > deadline:
            what = f"uplink {status['uplink']['state']}, {status['chargers']['online']} chargers online"
            raise DemoFailed(f"not everybody was there after {COMPLETE_WITHIN:.0f} s: {what}")
        await asyncio.sleep(FRESH)


# ── paper ─────────────────────────────────────────────────────────────────────────────────────────────


def _show_first_screen(folder: Folder, daemon: DaemonProcess, party: Party, status: dict, lines: Lines) -> None:
    online = status["chargers"]["online"]
    power = kilowatts(status["meters"][0]["power_w"])
    first, last = CHARGERS[0], CHARGERS[-1]
    lines.plain(f'edge {__version__}, demo site "{status["site"]["name"]}". Ctrl-C stops.')
    lines.plain()
    lines.plain("Daemon and firmware bridge are real; the rest is simulated, all on loopback:")
    lines.plain(f"  uplink    {status['uplink']['state']:<9} {party.csms.url}/{STATION}, OCPP 1.6")
    lines.plain(f"  meter     {power:<9} {party.meter.connection}, Modbus TCP, Eastron SDM630")
    lines.plain(f"  chargers  {online} online  ws://127.0.0.1:{daemon.port}/ocpp/{first}..{last}, 2 connectors each")
    lines.plain(f"  bridge    ready     firmware from {party.manufacturer.url}")
    lines.plain(f"  data      SQLite    {folder.store}")
    lines.plain(f"  logs                {folder.log}, {folder.bridge_log.name}")
    lines.plain()
    lines.plain("Try in a second terminal:")
    lines.plain(f"  export EDGE_SOCKET={folder.socket}")
    lines.plain(f"  {_edge()} status")
    lines.plain("  and instead of status: sessions, queue, chargers, meter, uplink, firmware,")
    lines.plain("  trace CP-01")
    lines.plain()


def _edge() -> str:
    """The program as it can be typed in the folder where the demo was started."""
    path = ROOT / ".venv" / "bin" / "edge"
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _show_result(report: Report, rollout: Rollout, folder: Folder, lines: Lines) -> None:
    rows = (
        ("sessions", "sessions"),
        ("messages sent by chargers", "sent"),
        ("received by the cloud", "received"),
        ("lost", "lost"),
        ("repeated", "repeated"),
        ("out of order", "out_of_order"),
        ("changed", "changed"),
    )
    columns: list[tuple[str, Counts]] = [(name, report.chargers[name]) for name in CHARGERS]
    columns.append(("together", report.together()))
    lines.plain()
    lines.plain(f"{'':<26}" + "".join(f"{name:>10}" for name, _ in columns))
    for title, name in rows:
        lines.plain(f"{title:<26}" + "".join(f"{getattr(counts, name):>10}" for _, counts in columns))
    lines.plain(f"{'firmware':<26}" + "".join(f"{rollout.versions.get(name, '?'):>10}" for name in CHARGERS))
    lines.plain()
    for problem in report.problems[:PROBLEMS_SHOWN]:
        lines.plain(f"  {problem}"[:WIDTH])
    if len(report.problems) > PROBLEMS_SHOWN:
        lines.plain(f"  and {len(report.problems) - PROBLEMS_SHOWN} more")
    if report.is_right:
        lines.plain("Right: every transaction message is in the cloud, complete, in order and once.")
    else:
        lines.plain(f"WRONG: {counted(len(report.problems), 'problem')}.")
    if not folder.is_temporary:
        lines.plain(f"Database, configuration and logs stay in {folder.path}")


def _tell_failure(group: BaseExceptionGroup[DemoFailed], folder: Folder, lines: Lines) -> None:
    failures = _leaves(group)
    for failure in failures:
        lines.say("demo", f"FAILED: {failure}")
    log = next((failure.log for failure in failures if failure.log is not None), folder.log)
    end = tail(log)
    if end:
        lines.plain(f"The end of the log, {log}:")
        for line in end:
            lines.plain(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    "))


def _leaves(group: BaseExceptionGroup[DemoFailed]) -> list[DemoFailed]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]
