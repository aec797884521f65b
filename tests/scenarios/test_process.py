"""`edge run` as a process: exit codes, one daemon per store, an orderly end, and a new life after a reset."""

import asyncio
import contextlib
import json
import signal
import sys

import pytest
from simulators.charger import Charger
from simulators.csms import Csms

from tests.scenarios.site import IDENTITY, DaemonProcess, free_port
from tests.scenarios.test_outage import charge, toml


async def edge(*arguments: str) -> tuple[int, str, str]:
    """The command line: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_second_daemon_on_the_same_store_is_refused(folder):
    daemon = DaemonProcess(folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    try:
        code, _, err = await edge("run", "--config", str(daemon.file))
        assert code == 1
        assert "Another daemon uses" in err
        assert str(folder / "edge.db") in err
    finally:
        assert await daemon.stop() == 0


async def test_an_invalid_configuration_starts_nothing_and_exits_2(folder):
    file = folder / "edge.toml"
    file.write_text('[site]\nid = "x"\n[[listener]]\naddress = "nowhere"\n[uplnk]\nurl = 7\n')
    code, _, err = await edge("run", "--config", str(file))
    assert code == 2
    assert f"{file}:4" in err
    assert "uplink" in err
    assert not (folder / "edge.db").exists()


async def test_a_port_that_is_taken_is_told_in_a_sentence(folder):
    port = free_port()
    first = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await first.start()
    try:
        file = folder / "other.toml"
        file.write_text(first.file.read_text().replace("edge.db", "other.db").replace("edge.sock", "other.sock"))
        code, _, err = await edge("run", "--config", str(file))
        assert code == 1
        assert "edge cannot run" in err
        assert str(port) in err
        assert "Traceback" not in err
    finally:
        await first.stop()


async def test_after_a_reset_the_same_process_serves_again_with_everything_it_had(folder):
    async with Csms() as csms:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        await daemon.start()
        try:
            await csms.wait_registered(IDENTITY)
            charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))
            async with charger.running():
                await charge(charger, 1, "BEFORE")
                boots = len(csms.calls("BootNotification"))
                assert await csms.call(IDENTITY, "Reset", {"type": "Hard"}) == {"status": "Accepted"}
                await csms.wait_for(lambda: len(csms.calls("BootNotification")) > boots, 30)
                await charger.wait_for(lambda: charger.is_ready)
                await charge(charger, 1, "AFTER")
                await csms.wait_for(lambda: len(csms.calls("StopTransaction")) == 2, 30)
            assert [one.payload["idTag"] for one in csms.calls("StartTransaction")] == ["BEFORE", "AFTER"]
        finally:
            assert await daemon.stop() == 0


async def test_the_command_line_shows_the_site_to_people_and_programs_and_says_what_failed(folder):
    async with Csms() as csms:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        await daemon.start()
        socket = ("--socket", str(daemon.socket))
        try:
            await csms.wait_registered(IDENTITY)
            charger = Charger("CP-02", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0)
            async with charger.running():
                await charge(charger, 2, "TAG-9")
                await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
                for command in (
                    ["status"], ["chargers"], ["chargers", "CP-02"], ["sessions"], ["session", "S1"], ["trace", "S1"],
                    ["trace", "CP-02", "--raw"], ["queue"], ["uplink"], ["meter"], ["sessions", "--open"],
                ):  # fmt: skip
                    code, out, err = await edge(*command, *socket)
                    assert (code, err) == (0, ""), command
                    assert out.strip()
                    code, out, err = await edge(*command, "--json", *socket)
                    assert (code, err) == (0, "")
                    assert json.loads(out)["v"] == 1
                code, out, _ = await edge("trace", "S1", "--json", "--raw", *socket)
                entries = json.loads(out)["entries"]
                assert all(entry["text"] for entry in entries)
                sent = next(e for e in entries if e["peer"] == "csms" and e["action"] == "StartTransaction")
                assert json.loads(sent["text"])[3] == csms.calls("StartTransaction")[0].payload
                assert sent["message_id"] == csms.calls("StartTransaction")[0].message_id
                code, out, _ = await edge("start", "CP-02/1", "--token", "OPS", *socket)
                assert code == 0
            for command, expected in (
                (["session", "S99"], 4),
                (["chargers", "NOPE"], 4),
                (["trace", "NOPE"], 4),
                (["queue", "show", "999999"], 4),
                (["start", "CP-01/1", "--token", "X"], 1),
                (["frobnicate"], 2),
                (["sessions", "--since", "yesterday-ish"], 2),
            ):
                code, out, err = await edge(*command, *socket)
                assert code == expected, (command, out, err)
                assert err.strip()
        finally:
            assert await daemon.stop() == 0
        code, _, err = await edge("status", *socket)
        assert code == 3
        assert str(daemon.socket) in err


async def test_what_ends_a_process_may_come_twice(folder):
    """A service manager that asks again, or a person with Ctrl-C, does not cut the orderly end short."""
    daemon = DaemonProcess(folder, toml(free_port(), "ws://127.0.0.1:9/ocpp"))
    for _ in range(6):
        await daemon.start()
        daemon.signal(signal.SIGTERM)
        async with asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(daemon.died())
            while not ending.done():
                with contextlib.suppress(ProcessLookupError):
                    daemon.signal(signal.SIGTERM)
                    daemon.signal(signal.SIGINT)
                await asyncio.sleep(0.002)
        assert ending.result() == 0


@pytest.mark.parametrize("said", [b"", b"GET /ocpp/CP-01 HTTP/1.1\r\n"])
async def test_who_has_not_even_logged_in_is_not_waited_for_at_the_end(folder, said):
    port = free_port()
    daemon = DaemonProcess(folder, toml(port, "ws://127.0.0.1:9/ocpp"))
    await daemon.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    await asyncio.sleep(0.2)
    async with asyncio.timeout(9.5):  # the handshake may take ten seconds, our end may not
        assert await daemon.stop() == 0
    writer.close()
