"""The URLs of UpdateFirmware, in the hands of programs that are none of ours: each charger's counts for it alone."""

import asyncio
import ftplib
import shutil
from urllib.parse import urlsplit

import pytest
from simulators.obedience16 import Setting
from simulators.updating import Habits, image

from tests.firmware.yard import THREE, Internet, step, yard

CONTENT = image("1.1", 300_000)
ELSEWHERE = "127.0.0.2"
"""Another machine on the LAN."""


async def given(site, box, internet) -> str:
    """The URL, while its charger may fetch."""
    await site.ask("firmware_rollout", location=internet.url("evb-1.1.bin"), chargers=["CP-01"], version="1.1")
    await box.wait_for(lambda: box.updating.locations, 30)
    await step(site, "downloading")
    return box.updating.locations[-1]


def lingering(*protocols: str) -> dict[str, Habits]:
    """It has said that it downloads, and takes its time."""
    return {"CP-01": Habits(protocols=protocols, pause_s=2.0)}


async def curl(url: str, *options: str) -> tuple[int, bytes]:
    """Its exit code, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--fail", "--max-time", "20", *options, url, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
async def test_curl_gets_the_file_by_http_and_nobody_elsewhere_does(folder, tmp_path):
    internet = Internet({"evb-1.1.bin": CONTENT})
    async with yard(folder, internet, chargers=THREE[:1], habits=lingering("http")) as (site, (box,)):
        url = await given(site, box, internet)
        assert urlsplit(url).path.endswith("/evb-1.1.bin") and len(url) <= 128
        assert await curl(url) == (0, CONTENT)
        assert await curl(url, "--http1.0") == (0, CONTENT)
        code, header = await curl(url, "--head")
        assert code == 0 and f"Content-Length: {len(CONTENT)}".encode() in header
        (tmp_path / "part").write_bytes(CONTENT[:100_001])
        assert (await curl(url, "--continue-at", "-", "--output", str(tmp_path / "part")))[0] == 0
        assert (tmp_path / "part").read_bytes() == CONTENT
        assert await curl(url, "--interface", ELSEWHERE) == (22, b"")
        assert await curl(url.replace("evb-1.1.bin", "evb-1.2.bin")) == (22, b"")


def offers_ftp(box) -> None:
    """It says that it knows nothing else."""

    box.configuration["SupportedFileTransferProtocols"] = Setting("FTP", is_readonly=True, is_number=False)


@needs_curl
async def test_curl_gets_the_file_by_ftp_and_nobody_elsewhere_does(folder):
    internet = Internet({"evb-1.1.bin": CONTENT})
    async with yard(folder, internet, chargers=THREE[:1], habits=lingering("ftp")) as (site, (box,)):
        offers_ftp(box)
        url = await given(site, box, internet)
        assert urlsplit(url).scheme == "ftp" and len(url) <= 128
        assert await curl(url) == (0, CONTENT)
        assert await curl(url, "--disable-epsv") == (0, CONTENT)
        code, printed = await curl(url, "--interface", ELSEWHERE)
        assert code != 0 and printed == b""


async def test_ftplib_gets_the_file_and_nobody_elsewhere_does(folder):
    internet = Internet({"evb-1.1.bin": CONTENT})
    async with yard(folder, internet, chargers=THREE[:1], habits=lingering("ftp")) as (site, (box,)):
        offers_ftp(box)
        url = urlsplit(await given(site, box, internet))

        def fetch(source: str) -> bytes:
            came = bytearray()
            with ftplib.FTP(timeout=20, source_address=(source, 0)) as client:
                client.connect(url.hostname, url.port)
                client.login(url.username, url.password)
                client.retrbinary(f"RETR {url.path.lstrip('/')}", came.extend)
            return bytes(came)

        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, fetch, "127.0.0.1") == CONTENT
        with pytest.raises(ftplib.error_perm, match="530"):
            await loop.run_in_executor(None, fetch, ELSEWHERE)


async def test_what_was_for_a_charger_that_has_it_is_for_nobody_any_more(folder):
    internet = Internet({"evb-1.1.bin": CONTENT})
    async with yard(folder, internet, chargers=THREE[:1]) as (site, (box,)):
        await site.ask("firmware_rollout", location=internet.url("evb-1.1.bin"), chargers=["CP-01"], version="1.1")
        await site.until("firmware_show", lambda d: d["rollout"]["ended_at"], within=40, rollout="F1")
        url = urlsplit(box.updating.locations[0])
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(f"GET {url.path} HTTP/1.0\r\n\r\n".encode())
        assert b" 404 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
