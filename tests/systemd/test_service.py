"""What the service manager sees of the daemon, and the daemon of it (the watchdog itself: tests/scenarios)."""

import asyncio
import contextlib
import json
import signal
import stat

from simulators.csms import Csms
from websockets.asyncio.client import connect

from edge.chargers.door import CLOSE_WITHIN
from edge.process import DONE, INVALID
from tests.scenarios.site import IDENTITY, free_port, until
from tests.scenarios.test_outage import toml
from tests.systemd.service import service
from tests.systemd.unit import seconds, value

NOWHERE = "ws://127.0.0.1:9/ocpp"


async def test_it_is_ready_reloaded_and_stopped_as_the_unit_says_and_leaves_nothing_open_to_others(folder):
    async with service(folder, toml(free_port(), NOWHERE)) as edge:
        await edge.heard("WATCHDOG=1")
        await edge.heard("READY=1")
        await edge.reload()
        await edge.heard("RELOADING=1")
        await edge.heard("READY=1")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("edge.*")}
        assert modes.pop("edge.sock") == 0o660
        assert modes.pop("edge.toml")
        assert set(modes.values()) == {0o600}, modes
        edge.process.send_signal(signal.SIGTERM)
        await edge.heard("STOPPING=1")
        assert await edge.ended() == DONE


async def test_a_reset_by_the_csms_ends_the_process_for_the_manager_to_start_it_again(folder):
    async with Csms() as csms:
        async with service(folder, toml(free_port(), csms.url)) as edge:
            await csms.wait_registered(IDENTITY)
            assert await csms.call(IDENTITY, "Reset", {"type": "Hard"}) == {"status": "Accepted"}
            await edge.heard("STOPPING=1")
            assert await edge.ended() == DONE
    assert value("Restart") == "always"
    assert str(DONE) not in value("RestartPreventExitStatus").split()


async def test_an_invalid_configuration_ends_it_with_the_status_that_keeps_it_down(folder):
    async with service(folder, "[site]\n") as edge:
        assert await edge.ended() == INVALID
        assert "edge.toml" in edge.log.read_text()
    assert str(INVALID) in value("RestartPreventExitStatus").split()


async def test_secrets_come_from_the_credentials_of_the_service(folder):
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "uplink.key").write_text("correct-horse-battery")
    config = toml(free_port(), NOWHERE).replace(
        f'identity = "{IDENTITY}"\nsecurity_profile = 0',
        f'identity = "{IDENTITY}"\nsecurity_profile = 1\npassword_file = "uplink.key"',
    )
    async with service(folder, config, CREDENTIALS_DIRECTORY=str(credentials)) as edge:
        await edge.heard("READY=1")
        edge.process.send_signal(signal.SIGTERM)
        assert await edge.ended() == DONE
    async with service(folder, config) as edge:
        assert await edge.ended() == INVALID
        assert 'no such file "uplink.key"' in edge.log.read_text()


async def test_chargers_that_answer_nothing_do_not_keep_it_from_stopping_in_time(folder):
    ports = free_port(), free_port()
    config = toml(ports[0], NOWHERE) + f'[[listener]]\naddress = "127.0.0.1:{ports[1]}"\nsecurity_profile = 0\n'
    async with service(folder, config) as edge, contextlib.AsyncExitStack() as stack:
        await edge.heard("READY=1")
        for number, port in enumerate(ports, 1):
            charger = await stack.enter_async_context(
                connect(f"ws://127.0.0.1:{port}/ocpp/CP-0{number}", subprotocols=["ocpp1.6"], close_timeout=0.01)
            )
            charger.transport.pause_reading()  # it is there, and hears nothing any more
        await until(folder / "edge.sock", "status", lambda status: status["chargers"]["online"] == 2)
        began = asyncio.get_running_loop().time()
        edge.process.send_signal(signal.SIGTERM)
        assert await edge.ended() == DONE
        took = asyncio.get_running_loop().time() - began
    # However many listeners there are; and twice as much is less than half of what systemd gives.
    assert CLOSE_WITHIN - 1 < took < 2 * CLOSE_WITHIN < seconds("TimeoutStopSec") / 2
    events = [json.loads(line)["event"] for line in edge.log.read_text().splitlines() if line.startswith("{")]
    assert "end_not_stored" not in events
