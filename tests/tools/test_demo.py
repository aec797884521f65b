"""tools/demo: the whole of it as a newcomer runs it, and its judgement on ledgers made by hand."""

import asyncio
import contextlib
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from demonstration.program import main
from demonstration.verification import ChargerMessage, CloudMessage, compare

DEMO = Path(__file__).parents[2] / "tools" / "demo"


# ── the ledgers ───────────────────────────────────────────────────────────────────────────────────────


def at(second):
    return f"2026-11-21T08:15:{second:02d}.000Z"


def sent_by(charger, connector, upstream, *, own_id, first_second):
    """A session: start, a sample, stop; with the charger's own numbers in it."""
    session = f"{charger}.{connector}"
    start = {"connectorId": connector, "idTag": "ANNA", "meterStart": 100, "timestamp": at(first_second)}
    value = {"timestamp": at(first_second + 1), "sampledValue": [{"value": "105", "unit": "Wh"}]}
    stop = {"transactionId": own_id, "meterStop": 110, "timestamp": at(first_second + 2), "reason": "Local"}
    payloads = {
        "StartTransaction": start,
        "MeterValues": {"connectorId": connector, "transactionId": own_id, "meterValue": [value]},
        "StopTransaction": stop,
    }
    return [
        ChargerMessage(charger, connector, upstream, session, action, payload) for action, payload in payloads.items()
    ]


def received_as(messages, cloud_id):
    """The same session as it must arrive."""
    new = {"connectorId": messages[0].upstream_connector, "transactionId": cloud_id}
    return [
        CloudMessage(
            one.action,
            {name: new.get(name, value) for name, value in one.payload.items()},
            cloud_id if one.action == "StartTransaction" else None,
        )
        for one in messages
    ]


@pytest.fixture
def sent():
    return [
        *sent_by("CP-01", 2, 2, own_id=7001, first_second=0),
        *sent_by("CP-02", 1, 3, own_id=7002, first_second=10),
    ]


@pytest.fixture
def received(sent):
    return [*received_as(sent[:3], 31), *received_as(sent[3:], 32)]


def with_payload(message, **changes):
    return replace(message, payload={**message.payload, **changes})


def test_ledgers_that_agree_are_right(sent, received):
    report = compare(sent, received)
    assert report.problems == []
    assert report.is_right
    together = report.together()
    assert (together.sessions, together.sent, together.received) == (2, 6, 6)
    assert (together.lost, together.repeated, together.out_of_order, together.changed) == (0, 0, 0, 0)


def test_connectors_may_take_turns(sent, received):
    turns = [received[place] for place in (0, 3, 1, 4, 5, 2)]
    assert compare(sent, turns).is_right


@pytest.mark.parametrize("place", range(6))
def test_a_message_that_the_cloud_does_not_have_is_lost(sent, received, place):
    del received[place]
    report = compare(sent, received)
    assert report.together().lost == 1
    assert f"lost: {sent[place]}" in report.problems


def test_an_unanswered_message_may_be_missing_and_may_be_there(sent, received):
    sent[5] = replace(sent[5], is_required=False)
    assert compare(sent, received).is_right
    assert compare(sent, received[:5]).is_right


@pytest.mark.parametrize("place", range(6))
def test_a_message_that_came_twice_is_repeated(sent, received, place):
    received.append(received[place])
    report = compare(sent, received)
    assert report.together().repeated == 1
    assert report.together().lost == 0
    assert report.problems == [f"repeated: {sent[place]}"]


@pytest.mark.parametrize(("early", "late"), [(0, 1), (1, 2), (0, 2)])
def test_messages_of_a_connector_that_overtook_each_other_are_out_of_order(sent, received, early, late):
    received[early], received[late] = received[late], received[early]
    report = compare(sent, received)
    assert report.together().out_of_order > 0
    assert not report.is_right
    assert report.together().lost == 0


def test_a_session_before_an_older_one_of_its_connector_is_out_of_order(sent, received):
    sent[3:] = sent_by("CP-01", 2, 2, own_id=7002, first_second=10)
    received[3:] = received_as(sent[3:], 32)
    sent[3:] = [replace(one, session="the second") for one in sent[3:]]
    assert compare(sent, received).is_right
    assert compare(sent, received[3:] + received[:3]).together().out_of_order == 3


@pytest.mark.parametrize("place", [0, 1])
def test_a_message_under_another_connector_is_wrong(sent, received, place):
    received[place] = with_payload(received[place], connectorId=3)
    report = compare(sent, received)
    assert report.problems == [f"wrong connectorId: {sent[place]}: 3 instead of 2"]


def test_the_chargers_own_connector_number_is_wrong_upstream(sent, received):
    received[4] = with_payload(received[4], connectorId=1)
    assert compare(sent, received).problems == [f"wrong connectorId: {sent[4]}: 1 instead of 3"]


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("other", [32, 7001, None])
def test_a_message_under_another_transaction_is_wrong(sent, received, place, other):
    received[place] = with_payload(received[place], transactionId=other)
    assert compare(sent, received).problems == [f"wrong transactionId: {sent[place]}: {other} instead of 31"]


def test_a_transaction_id_that_no_charger_put_in_is_wrong(sent, received):
    received[0] = with_payload(received[0], transactionId=31)
    assert compare(sent, received).problems == [f"wrong transactionId: {sent[0]}: 31 instead of None"]


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (0, "meterStart", 101),
        (0, "meterStart", "100"),
        (0, "idTag", "anna"),
        (2, "reason", "Remote"),
        (2, "timestamp", at(59)),
        (1, "meterValue", [{"timestamp": at(1), "sampledValue": [{"value": "105.0", "unit": "Wh"}]}]),
    ],
)
def test_a_payload_that_is_not_equal_is_changed(sent, received, place, name, value):
    received[place] = with_payload(received[place], **{name: value})
    report = compare(sent, received)
    assert report.problems == [f"changed: {sent[place]}: {name}"]
    assert (report.together().changed, report.together().lost) == (1, 0)


def test_a_member_that_was_left_out_is_changed(sent, received):
    received[2] = replace(received[2], payload={k: v for k, v in received[2].payload.items() if k != "reason"})
    assert compare(sent, received).problems == [f"changed: {sent[2]}: reason"]


def test_a_message_that_no_charger_has_sent_is_unknown(sent, received):
    stranger = {"connectorId": 5, "idTag": "X", "meterStart": 0, "timestamp": at(40)}
    received.append(CloudMessage("StartTransaction", stranger, 33))
    report = compare(sent, received)
    assert report.unknown == 1
    assert report.problems == [f"no charger has sent this: StartTransaction of {at(40)}"]


# ── the program ───────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def running(*arguments):
    """The demo with its output in a pipe; whatever happens, it is told to end and does."""
    process = subprocess.Popen(
        [DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def read_until(process, text):
    """The lines up to the first with `text`; the whole test has a deadline."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    pytest.fail(f"{text!r} was never said:\n" + "\n".join(lines))


def processes_of(folder):
    """The daemon and the firmware bridge that use this folder: process ids by module."""
    found = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
            if b"-m" in command and os.fsencode(folder / "edge.toml") in command:
                found[command[command.index(b"-m") + 1].decode()] = int(entry)
    return found


def test_a_short_demo_loses_nothing_and_says_so(prepared):
    with running("--duration", "20") as process:
        out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    for said in (
        "export EDGE_SOCKET=/",
        "Try in a second terminal",
        "firmware  F1 begins: 1.1 for 3 chargers",
        "firmware  F1: evb-1.1.bin fetched once (100 kB), CP-01 goes first",
        "CP-01     restarted, runs 1.1 (before: 1.0)",
        "firmware  F1 done: 3 of 3 run 1.1, 1 download",
        "CP-01.1   car plugged in, token ANNA: Accepted",
        " charges; to the cloud it is connector 1, transaction 1001",
        "RemoteStart connector 6 -> CP-03 connector 2: Accepted",
        "RemoteStop transaction 1003 -> CP-03's ",
        "uplink    LOST",
        "messages wait on disk",
        "charges without the cloud",
        "uplink    BACK after",
        "0 lost, 0 twice",
        "Right: every transaction message is in the cloud, complete, in order and once.",
    ):
        assert said in out, out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    folder = next(line for line in out.splitlines() if "EDGE_SOCKET" in line).split("=")[1].removesuffix("/edge.sock")
    assert processes_of(Path(folder)) == {}
    assert not Path(folder).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_takes_everything_with_it(prepared, tmp_path, number):
    with running() as process:
        said = read_until(process, " charges; ")
        folder = Path(next(line for line in said if "EDGE_SOCKET" in line).split("=")[1]).parent
        assert processes_of(folder).keys() == {"edge", "firmware_bridge"}
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert processes_of(folder) == {}
    assert not folder.exists()


def test_a_demo_that_nobody_reads_ends(prepared):
    with running() as process:
        said = read_until(process, "EDGE_SOCKET")
        folder = Path(said[-1].split("=")[1]).parent
        process.stdout.close()
        assert process.wait(60) == 128 + signal.SIGPIPE
    assert processes_of(folder) == {}
    assert not folder.exists()


@pytest.mark.parametrize(
    ("module", "name", "log", "logged"),
    [
        ("edge", "the daemon", "edge.log", "charger_connected"),
        ("firmware_bridge", "the firmware bridge", "bridge.log", "listening"),
    ],
)
def test_a_process_that_dies_is_a_failure_with_the_end_of_its_log(prepared, tmp_path, module, name, log, logged):
    with running("--data", tmp_path / "data") as process:
        read_until(process, " charges; ")
        os.kill(processes_of(tmp_path / "data")[module], signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"FAILED: {name} ended by itself (signal SIGKILL)" in out
    assert f"The end of the log, {tmp_path / 'data' / log}:" in out
    assert logged in out
    assert processes_of(tmp_path / "data") == {}


async def test_a_demo_that_is_killed_leaves_no_process(prepared, tmp_path):
    with running("--data", tmp_path / "data") as process:
        read_until(process, "EDGE_SOCKET")
        process.kill()
        process.wait(10)
        async with asyncio.timeout(20):
            while processes_of(tmp_path / "data"):
                await asyncio.sleep(0.05)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "precious").write_text("mine")
    assert main(["--data", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("duration", ["5", "-1", "nan", "soon"])
def test_a_duration_that_makes_no_sense_is_wrong_usage(duration, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--duration", duration])
    assert ended.value.code == 2
    assert "20 or more" in capsys.readouterr().err


def test_the_head_can_be_read_by_an_old_python():
    import ast

    ast.parse(DEMO.read_text(), feature_version=(3, 8))
    assert os.access(DEMO, os.X_OK)
