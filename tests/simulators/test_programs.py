"""The simulators as programs on a technician's laptop."""

import asyncio
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools" / "simulators"


@pytest.fixture
async def cloud():
    """`csms.py` as a process: its URL, and the process, which is ended here."""
    process = await start("csms.py", "--port", "0", "--token", "BAD=Blocked")
    line = (await process.stdout.readline()).decode()
    yield line.split()[-1], process
    if process.returncode is None:
        process.terminate()
        await process.communicate()


async def start(program, *arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable, TOOLS / program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def finish(program, *arguments):
    process = await start(program, *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_charger_charges_and_leaves(cloud):
    url, process = cloud
    code, out, err = await finish(
        "charger.py", "--url", url, "--id", "CP-01", "--sessions", "2", "--session-seconds", "0"
    )
    assert (code, err) == (0, "")
    assert "connector 2: transaction 2" in out
    assert "4 transaction messages, all answered" in out
    process.terminate()
    shown = (await process.communicate())[0].decode()
    assert "CP-01 connected (ocpp1.6)" in shown
    assert "StopTransaction connector 2" in shown


async def test_a_recording_is_played(cloud, recording):
    url, _ = cloud
    code, out, err = await finish("replay.py", recording("shiv3_16_session"), "--url", url, "--speed", "500")
    assert (code, err) == (0, "")
    assert "33 answered, 0 refused, 0 not answered, 0 not sent" in out


@pytest.mark.parametrize("program", ["csms.py", "charger.py", "replay.py"])
async def test_help_is_given(program):
    code, out, _ = await finish(program, "--help")
    assert code == 0
    assert "usage:" in out
