"""The service manager hears that the daemon is well, as long as it is, and how the site does."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from simulators.charger import Charger
from simulators.csms import Csms

from edge.config import Api, Authorization, ChargerDefaults, ChargerSettings, Config, Listener, StoreSettings, Uplink
from edge.config import Site as SiteSettings
from edge.daemon import build
from edge.watchdog import Vitals
from edge.world import World, watchdog_seconds
from tests.scenarios.site import IDENTITY, DaemonProcess, free_port
from tests.scenarios.test_outage import toml
from tests.simulation.loop import SimLoop, run
from tests.simulation.world import SimClock, SimDisk, SimIds, SimNotify, SimOffload, folder_in_memory

WATCHDOG = 60.0


class Life:
    """One simulated machine with the daemon on it, and what the service manager has heard."""

    def __init__(self, loop: SimLoop, folder: Path, **world: object) -> None:
        self.loop = loop
        self.disk = SimDisk(loop)
        self.notify = SimNotify(loop)
        self.works = asyncio.Event()
        self.works.set()
        self.world = World(
            SimClock(loop), SimIds(0, "edge"), self.open_database, SimOffload(), self.notify,
            **({"has_service_manager": True, "watchdog": WATCHDOG} | world),
        )  # fmt: skip
        self.config = Config(
            site=SiteSettings(id=IDENTITY),
            listeners=(Listener("127.0.0.1", 8887, "/ocpp", 0),),
            uplink=Uplink(url="ws://127.0.0.1:9000/ocpp", identity=IDENTITY, security_profile=0),
            store=StoreSettings(path=folder / "edge.db"),
            charger=(ChargerSettings("CP-01", evses=(1,)), ChargerSettings("CP-02", evses=(1,))),
            chargers=ChargerDefaults(meter_interval=3600),
            authorization=Authorization(offline="everyone"),
            api=Api(socket=None),
        )
        self.daemon = build(self.config, self.world)

    async def open_database(self, path: Path) -> "Hanging":
        return Hanging(await self.disk.open_database(path), self.works)

    @contextlib.asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(self.daemon.run())
            await self.daemon.ready.wait()
            yield self
            self.daemon.leave()
            await life

    def pings(self) -> list[float]:
        return [at for at, state in self.notify.sent if state == "WATCHDOG=1"]

    def statuses(self) -> list[str]:
        return [state.removeprefix("STATUS=") for state in self.notify.states() if state.startswith("STATUS=")]

    def longest_silence(self) -> float:
        pings = [0.0, *self.pings(), self.loop.elapsed()]
        return max(later - earlier for earlier, later in zip(pings, pings[1:], strict=False))


class Hanging:
    """A database whose disk can stop answering at all."""

    def __init__(self, database, works: asyncio.Event) -> None:
        self.database = database
        self.works = works

    async def run(self, function):
        await self.works.wait()
        return await self.database.run(function)

    async def close(self) -> None:
        await self.database.close()


@pytest.fixture
def simulate():
    """Runs a story of one life in virtual time."""

    def simulated(story, **world: object):
        with folder_in_memory() as folder:

            async def main(loop):
                life = Life(loop, folder, **world)
                async with life.running():
                    return await story(life)

            return run(main).value

    return simulated


def test_a_healthy_daemon_is_heard_of_three_times_in_the_time_that_it_has(simulate):
    async def story(life):
        await asyncio.sleep(600)
        return life.pings(), life.longest_silence()

    pings, silence = simulate(story)
    assert len(pings) == pytest.approx(30, abs=1)
    assert silence < WATCHDOG / 3 + 2


def test_a_loop_that_was_held_for_six_seconds_is_not_called_healthy(simulate):
    async def story(life):
        await asyncio.sleep(70)
        before = len(life.pings())
        life.loop.call_later(5, lambda: setattr(life.loop, "_now", life.loop._now + 6))  # something computes
        await asyncio.sleep(25)
        held = len(life.pings())
        await asyncio.sleep(40)
        return before, held, len(life.pings())

    before, held, after = simulate(story)
    assert held == before, "one ping was left out"
    assert after == before + 2, "and then it is well again"


def test_what_holds_it_between_two_looks_counts_as_well(simulate):
    async def story(life):
        watchdog = life.daemon._watchdog
        asks = watchdog._ask_store

        def computes() -> None:
            watchdog._ask_store = asks
            life.loop._now += 6

        watchdog._ask_store = computes
        await asyncio.sleep(100)
        return life.pings()

    pings = simulate(story)
    assert any(15 < at < 25 for at in pings)
    assert not any(25 < at < 55 for at in pings), "one ping was left out"
    assert any(55 < at < 70 for at in pings), "and then it is well again"


def test_four_seconds_are_not_yet_a_reason(simulate):
    async def story(life):
        await asyncio.sleep(70)
        life.loop.call_later(5, lambda: setattr(life.loop, "_now", life.loop._now + 4))
        await asyncio.sleep(600)
        return life.longest_silence()

    assert simulate(story) < WATCHDOG / 3 + 6


def test_a_disk_that_fails_is_an_answer_and_no_reason_to_start_again(simulate):
    async def story(life):
        await asyncio.sleep(30)
        life.disk.fail_commits(1_000_000)
        life.daemon.inside._parts.store.defer(lambda db: db.execute("SELECT 1"))
        await asyncio.sleep(1800)
        statuses = life.statuses()
        life.disk.recover()
        await asyncio.sleep(300)
        return life.longest_silence(), statuses, life.statuses()[-1]

    silence, statuses, last = simulate(story)
    assert silence < WATCHDOG / 3 + 15
    assert any("the store fails" in one for one in statuses)
    assert "CONTROL-ONLY" in statuses[-1]
    assert "CONTROL-ONLY" not in last


def test_a_writer_that_does_not_answer_at_all_is_a_reason(simulate):
    async def story(life):
        await asyncio.sleep(30)
        life.works.clear()
        hung = life.loop.elapsed()
        await asyncio.sleep(300)
        last = life.pings()[-1]
        life.works.set()
        return hung, last

    hung, last = simulate(story)
    assert 40 <= last - hung <= 80, "sixty seconds after its last answer it was no longer called healthy"


def test_a_service_that_stands_still_is_a_reason(simulate):
    async def story(life):
        await asyncio.sleep(30)
        tick = life.daemon._watchdog.life.vitals.expect("control loop", 10.0)
        await asyncio.sleep(5)
        tick()
        pings = len(life.pings())
        await asyncio.sleep(60)
        still = len(life.pings())
        for _ in range(12):
            tick()
            await asyncio.sleep(5)
        return pings, still, len(life.pings())

    pings, still, again = simulate(story)
    assert still <= pings + 1
    assert again >= still + 2


def test_what_must_tick_is_known_by_its_name_and_its_time():
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    vitals = Vitals(clock)
    tick = vitals.expect("control loop", 3.0)
    vitals.expect("poller", 60.0)
    clock.now = 3.0
    assert vitals.silent() == []
    clock.now = 4.0
    assert vitals.silent() == ["control loop has not ticked for 4 s"]
    tick()
    assert vitals.silent() == []


def test_without_a_watchdog_only_the_status_is_told_and_without_a_manager_nothing(simulate):
    async def story(life):
        await asyncio.sleep(100)
        return life.notify.states()

    assert [state.partition("=")[0] for state in simulate(story, watchdog=None)] == ["READY", "STATUS", "STATUS"][:2]
    assert simulate(story, has_service_manager=False, watchdog=None) == ["READY=1"]


def test_the_status_is_one_sentence_about_the_site_told_when_it_changes(simulate):
    async def story(life):
        async with contextlib.AsyncExitStack() as stack:
            clock, ids = SimClock(life.loop), SimIds(0, "parties")
            csms = await stack.enter_async_context(
                Csms(port=9000, utc_now=clock.utc_now, new_message_id=ids.message_id)
            )
            charger = Charger(
                "CP-01", "ws://127.0.0.1:8887/ocpp", connectors=1, meter_interval_s=0,
                utc_now=clock.utc_now, new_message_id=ids.message_id,
            )  # fmt: skip
            await stack.enter_async_context(charger.running())
            await charger.wait_for(lambda: charger.is_ready)
            await csms.wait_registered(IDENTITY, 200)
            await charger.start_session(1, "TAG")
            await asyncio.sleep(60)
            csms.refuse_connections()
            csms.cut()
            await charger.send_meter_values(1)
            await asyncio.sleep(60)
            return life.statuses()

    statuses = simulate(story)
    assert "uplink accepted, 1 of 2 chargers online, 1 sessions open, 0 messages waiting for the cloud" in statuses
    assert statuses[-1] == "uplink offline, 1 of 2 chargers online, 1 sessions open, 1 messages waiting for the cloud"
    assert len(statuses) == len(set(statuses))


# --- the real thing


@contextlib.contextmanager
def service_manager(folder: Path):
    """A socket like systemd's; gives the next datagram that was not read yet."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        yield listener


async def heard(listener: socket.socket, what: str, within: float = 20.0) -> str:
    """The next datagram that begins like this."""
    async with asyncio.timeout(within):
        while True:
            state = (await asyncio.get_running_loop().sock_recv(listener, 4096)).decode()
            if state.startswith(what):
                return state


async def test_the_process_tells_a_real_socket_and_not_while_it_was_stopped(folder):
    with service_manager(folder) as listener:
        daemon = DaemonProcess(
            folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"), NOTIFY_SOCKET=str(folder / "notify"),
            WATCHDOG_USEC="3000000",
        )  # fmt: skip
        await daemon.start()
        try:
            await heard(listener, "READY=1")
            assert "0 of 3 chargers online" in await heard(listener, "STATUS=")
            for _ in range(3):
                await heard(listener, "WATCHDOG=1", within=3.0)
            daemon.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await heard(listener, "READY=1", within=6.5)  # nothing comes from a process that stands still
            finally:
                daemon.signal(signal.SIGCONT)
            assert "the loop was" in (await daemon.told("watchdog_withheld"))["why"][0]
            await heard(listener, "WATCHDOG=1")
            daemon.signal(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in await heard(listener, "RELOADING=1")
            await heard(listener, "READY=1")
            daemon.signal(signal.SIGTERM)
            await heard(listener, "STOPPING=1")
        finally:
            assert await daemon.stop() == 0


async def test_a_service_manager_that_has_gone_is_no_reason_to_end(folder):
    daemon = DaemonProcess(
        folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"), NOTIFY_SOCKET=str(folder / "nobody"), WATCHDOG_USEC="300000"
    )
    await daemon.start()
    await daemon.until("status", lambda d: d["alarms"])
    assert await daemon.stop() == 0


async def test_a_service_manager_that_does_not_read_does_not_hold_us(folder):
    with service_manager(folder):
        daemon = DaemonProcess(
            folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"), NOTIFY_SOCKET=str(folder / "notify"),
            WATCHDOG_USEC="60000",
        )  # fmt: skip
        await daemon.start()
        await asyncio.sleep(2.0)  # a hundred pings; the kernel keeps ten
        await daemon.ask("status")
        assert await daemon.stop() == 0


ASKED = "from edge.world import watchdog_seconds; print(watchdog_seconds())"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "None"),
        ({"WATCHDOG_USEC": "60000000"}, "60.0"),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, "None"),
        ({"WATCHDOG_USEC": "0"}, "None"),
        ({"WATCHDOG_USEC": "soon"}, "None"),
    ],
)
def test_the_watchdog_is_the_one_that_was_asked_of_this_process(environment, expected):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHDOG")}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=clean | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


def test_it_is_asked_of_this_process_when_its_number_is_named():
    program = f"import os; os.environ.update(WATCHDOG_USEC='5000000', WATCHDOG_PID=str(os.getpid())); {ASKED}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "5.0"
    assert watchdog_seconds() is None
