"""The log of a running daemon: JSON to the last line, and no secret in it, whatever a peer or a person does."""

import asyncio
import base64
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulators.charger import Charger
from simulators.csms import Csms, CsmsCallError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.scenarios.site import IDENTITY, DaemonProcess, free_port, short_folder

CHARGER_PASSWORD = "canaryChargerPass01"
NEW_PASSWORD = "canaryNewChargerPa02"
WRONG_PASSWORD = "canaryWrongPassword3"
UPLINK_PASSWORD = "canaryUplinkPassw04"
URL_PASSWORD = "canaryUrlPassword05"
KEY_IN_PAYLOAD = "canaryAuthKey06"
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHcanaryPemKey07AgEA\n-----END PRIVATE KEY-----\n"
TOKENS = ("canaryTokenOne0001", "canaryTokenTwo0002", "canaryTokenThree03", "canaryTokenTooLongByTen000004")
SECRETS = (
    CHARGER_PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, UPLINK_PASSWORD, URL_PASSWORD, KEY_IN_PAYLOAD, "canaryPemKey07", *TOKENS
)  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def configuration(folder: Path, port: int, csms_url: str) -> str:
    (folder / "cp.key").write_text(CHARGER_PASSWORD)
    (folder / "uplink.key").write_text(UPLINK_PASSWORD)
    for name in ("cp.key", "uplink.key"):
        (folder / name).chmod(0o640)
    return f"""
[site]
id = "{IDENTITY}"
[store]
path = "edge.db"
[[listener]]
address = "127.0.0.1:{port}"
[[charger]]
id = "CP-01"
password_file = "cp.key"
evses = [1]
[uplink]
url = "{csms_url}"
security_profile = 1
password_file = "uplink.key"
[authorization]
online_timeout = 1
[api]
socket = "edge.sock"
"""


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def misbehave(url: str) -> None:
    """What a charger can do to get something into the log."""
    for name, password in (("CP-01", WRONG_PASSWORD), ("CP-01", "")):
        with pytest.raises(InvalidStatus):
            await connect(f"{url}/{name}", subprotocols=["ocpp1.6"], additional_headers=basic(name, password))
    with pytest.raises(InvalidStatus):
        await connect(f"{url}/?password='{WRONG_PASSWORD}'", subprotocols=["ocpp1.6"])
    texts = [
        json.dumps([2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}]),
        json.dumps([2, "2", "StartTransaction", {"connectorId": 1, "idTag": TOKENS[3], "meterStart": 0}]),
        json.dumps([2, "3", "Authorize", {"idTag": TOKENS[3]}]),
        json.dumps([2, "4", "DataTransfer", {"vendorId": "V", "data": PEM}]),
        json.dumps([2, "5", "DataTransfer", {"vendorId": "V", "data": json.dumps({"idTag": TOKENS[0]})}]),
        json.dumps([2, "6", f'NoSuch","idTag":"{TOKENS[1]}', {}]),
        json.dumps([2, "7", "Authorize", {f'x","idTag":"{TOKENS[1]}': 1}]),
        json.dumps([4, "8", "InternalError", f'idTag="{TOKENS[2]}"', {"authorizationKey": KEY_IN_PAYLOAD}]),
        f'[2,"9","Authorize",{{"idTag":"{TOKENS[0]}"',
        f'{{"key":"AuthorizationKey","value":"{KEY_IN_PAYLOAD}"}}',
    ]
    async with connect(
        f"{url}/CP-01", subprotocols=["ocpp1.6"], additional_headers=basic("CP-01", CHARGER_PASSWORD)
    ) as socket:
        for text in texts:
            await socket.send(text)
        await socket.send(json.dumps([2, "last", "Heartbeat", {}]))
        async for text in socket:
            frame = json.loads(text)
            if frame[0] == 2:
                description = f'"key": "AuthorizationKey", "value": "{KEY_IN_PAYLOAD}"'
                await socket.send(json.dumps([4, frame[1], "InternalError", description, {}]))
            if frame[:2] == [3, "last"]:
                break


async def command(csms: Csms) -> None:
    """What a cloud can do."""
    for action, payload in (
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY_IN_PAYLOAD}),
        ("RemoteStartTransaction", {"connectorId": 1, "idTag": TOKENS[0]}),
        ("DataTransfer", {"vendorId": "V", "data": PEM}),
        ("GetDiagnostics", {"location": f"ftp://user:{URL_PASSWORD}@192.0.2.1/x"}),
        ("UpdateFirmware", {"location": f"https://u:{URL_PASSWORD}@192.0.2.1/x", "retrieveDate": "2026-11-21T08:00:00Z"}),
        ("SendLocalList", {"listVersion": 1, "updateType": "Full",
                           "localAuthorizationList": [{"idTag": TOKENS[1], "idTagInfo": {"status": "Accepted"}}]}),
        ("NoSuchAction", {"idTag": TOKENS[2]}),
    ):  # fmt: skip
        with contextlib.suppress(CsmsCallError):
            await csms.call(IDENTITY, action, payload)


async def test_no_secret_and_no_whole_token_is_ever_logged(folder):
    port = free_port()
    url = f"ws://127.0.0.1:{port}/ocpp"
    async with Csms(password=UPLINK_PASSWORD.encode()) as csms:
        daemon = DaemonProcess(folder, configuration(folder, port, csms.url), EDGE_LOG="debug")
        good = daemon.file.read_text()
        await daemon.start()
        try:
            await csms.wait_registered(IDENTITY)
            await misbehave(url)
            charger = Charger("CP-01", url, password=CHARGER_PASSWORD.encode(), meter_interval_s=0, connectors=1)
            async with charger.running():
                await charger.wait_for(lambda: charger.is_ready)
                await command(csms)
                await daemon.told("charger_connected", 2)
            # the password changes, and a person makes mistakes
            (folder / "cp.key").write_text(NEW_PASSWORD)
            daemon.signal(signal.SIGHUP)
            assert (await daemon.told("configuration_reloaded"))["live"] == ["charger[CP-01].password_file"]
            daemon.file.write_text(good.replace("ws://", f"ws://me:{URL_PASSWORD}@"))
            daemon.signal(signal.SIGHUP)
            refused = await daemon.told("configuration_refused")
            assert "[redacted]@" in refused["problems"][0]
            refusal = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge", "run", "--config", str(daemon.file),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await refusal.communicate()
            assert refusal.returncode == 2
            assert b"[redacted]@" in said
            # a cloud that wants another password
            csms.password = b"something-else"
            csms.cut()
            await daemon.until("status", lambda d: d["uplink"]["last_error"] and "401" in d["uplink"]["last_error"])
            around = Path(f"/proc/{daemon.pid}")
            seen_from_outside = (around / "cmdline").read_bytes() + (around / "environ").read_bytes()
        finally:
            assert await daemon.stop() == 0
    log = daemon.log.read_text()
    for secret in SECRETS:
        assert secret not in log, next(line for line in log.splitlines() if secret in line)
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in log
        assert secret.encode() not in said + seen_from_outside
    for name, password in (("CP-01", CHARGER_PASSWORD), ("CP-01", WRONG_PASSWORD), (IDENTITY, UPLINK_PASSWORD)):
        assert basic(name, password)["Authorization"].removeprefix("Basic ") not in log
    assert_json(log)
    told = {event["event"] for event in map(json.loads, log.splitlines())}
    assert {"handshake_refused", "input_refused", "call_refused", "uplink_lost"} <= told, "it was all there to be told"


def assert_json(log: str) -> None:
    """Each line is one event with its time and level."""
    for line in log.splitlines():
        event = json.loads(line)
        assert {"event", "level", "timestamp"} <= event.keys()
        assert len(line) < 20_000


FAILING = """
import logging, structlog, sys, threading, warnings
from edge import logs
logs.set_up({level!r})
log = structlog.get_logger("edge.test")
log.debug("small")
log.info("state", id_tag="0123456789", password=b"hunter2hunter2")
log.warning("odd", reason="\\x1b[31mred\\nlevel=error")
logging.getLogger("asyncio").error("Task exception was never retrieved: password='hunter2hunter2'")
warnings.warn("deprecated")
threading.Thread(target=lambda: 1 / 0).start()
try:
    raise ValueError("Basic aHVudGVyMmh1bnRlcjI=")
except ValueError:
    log.exception("caught")
raise RuntimeError("token='0123456789'")
"""


def run(level: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", FAILING.format(level=level)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    assert "aHVudGVy" not in done.stderr
    assert "0123456789" not in done.stderr
    assert_json(done.stderr)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_what_libraries_threads_and_nobody_catch_is_told_as_json_too():
    events = run("info")
    assert [event["event"] for event in events][:2] == ["state", "odd"]
    told = {event["event"]: event for event in events}
    assert told["state"] | {"timestamp": ""} == {
        "event": "state", "id_tag": "…6789", "password": "[redacted]", "level": "info", "timestamp": ""
    }  # fmt: skip
    assert told["odd"]["reason"] == "\\x1b[31mred\\nlevel=error"
    assert told["caught"]["exception"].endswith("ValueError: Basic [redacted]")
    assert told["thread_failed"]["exception"].endswith("ZeroDivisionError: division by zero")
    assert told["program_failed"]["exception"].endswith("RuntimeError: token='…6789'")
    assert [one["logger"] for one in events if "logger" in one] == ["asyncio"]


def test_the_level_of_the_log_is_set_in_the_environment():
    assert run("debug")[0]["event"] == "small"
    assert "state" not in [event["event"] for event in run("warning")]
    unknown = run("loud")[0]
    assert unknown["event"] == "log_level_unknown"
    assert unknown["level_asked_for"] == "loud"


def test_on_a_terminal_a_person_reads_columns_without_secrets_or_escape_sequences_of_peers():
    master, slave = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", FAILING.format(level="info")], stderr=slave, stdin=slave) as program:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other side is closed: that is how a terminal ends
                break
            if not piece:
                break
            shown += piece
        program.wait(20)
    os.close(master)
    text = shown.decode()
    assert "hunter2" not in text
    assert "0123456789" not in text
    assert "aHVudGVy" not in text
    assert "\x1b[31mred" not in text
    assert "ValueError: Basic [redacted]" in text


async def test_a_log_that_nobody_can_take_ends_no_daemon(folder):
    daemon = DaemonProcess(
        folder,
        f"""
        [site]
        id = "depot"
        [[listener]]
        address = "127.0.0.1:{free_port()}"
        security_profile = 0
        [store]
        path = "{folder / "edge.db"}"
        [api]
        socket = "{folder / "edge.sock"}"
    """,
    )
    reading, writing = os.pipe()
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "run", "--config", str(daemon.file), stderr=writing
    )
    os.close(writing)
    async with asyncio.timeout(20):
        while not daemon.socket.exists():
            await asyncio.sleep(0.05)
    os.close(reading)
    for _ in range(3):  # each leaves a line in the log
        program.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.3)
    assert program.returncode is None
    program.terminate()
    async with asyncio.timeout(20):
        assert await program.wait() in {0, 120}  # 120: Python could not flush stderr at its end
