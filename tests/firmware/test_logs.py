"""Logs of chargers: for the CSMS as one archive, for a technician as files."""

import asyncio
import contextlib
import gzip
import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from simulators.csms import Csms
from simulators.logs import LogHabits
from simulators.obedience16 import Setting

from edge.domain import collecting
from edge.jobs import collections
from edge.store import collecting as collecting_store
from edge.store.db import CommitFailed
from firmware_bridge import arriving
from firmware_bridge import bridge as of_bridge
from firmware_bridge.disk import utc_now
from tests.firmware.bridge_process import BridgeProcess
from tests.firmware.yard import THREE, Internet, bridge, connected, requests, settings, site_beside, yard
from tests.scenarios.site import IDENTITY
from tests.scenarios.test_process import edge

AT_ONCE = "2026-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Nobody waits long."""
    monkeypatch.setattr(collecting, "STABLE_MS", 200)
    monkeypatch.setattr(collections, "EVERY", 0.1)
    monkeypatch.setattr(collections, "BACK_WITHIN", 2.0)


@dataclass
class Inbox:
    """Where the CSMS wants logs: a stock HTTP server."""

    came: dict[str, bytes] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    """For the next uploads; then 201."""
    port: int = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    @contextlib.asynccontextmanager
    async def running(self):
        application = web.Application(client_max_size=2**26)
        application.router.add_put("/{name}", self._put)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _put(self, request):
        content = await request.read()
        status = self.answers.pop(0) if self.answers else 201
        if status == 201:
            self.came[request.match_info["name"]] = content
        return web.Response(status=status)


def statuses(csms, action="DiagnosticsStatusNotification"):
    return [one.payload["status"] for one in csms.calls(action)]


async def until(fact):
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.02)


def unpacked(content):
    """(The manifest, contents of what chargers left by name) of an archive."""
    found = contents(content)
    said = json.loads(found.pop("manifest.json"))
    return said, {name: one for name, one in found.items() if not name.startswith("controller/")}


def contents(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def own_log(content, name="journal"):
    """What the controller says in an archive."""
    files = sorted(one for one in contents(content) if one.startswith("controller/") and name in one)
    lines = [gzip.decompress(contents(content)[one]).splitlines() for one in files]
    return [json.loads(line) for some in lines for line in some]


async def test_the_csms_gets_the_logs_of_all_chargers_as_one_archive(folder):
    inbox = Inbox()
    async with Csms() as csms, inbox.running(), yard(folder, Internet(), csms_url=csms.url) as (_, boxes):
        await csms.wait_registered(IDENTITY)
        boxes[0].logs.habits = LogHabits(content=b"one\n", method="POST")
        boxes[1].logs.habits = LogHabits(name="", content=b"")
        boxes[2].logs.habits = LogHabits(name="log 3.txt", content=b"three\n", method="form", says_anything=False)
        answer = await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip")})
        assert answer["fileName"].endswith(".zip")
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=30)
        assert statuses(csms)[0] == "Uploading"
        said, files = unpacked(inbox.came["all.zip"])
        assert sorted(files.values()) == [b"one\n", b"three\n"]
        told = {one["charger"]: (one["step"], one["why_absent"]) for one in said["chargers"]}
        assert told["CP-01"] == ("uploaded", None)
        assert told["CP-02"] == ("nothing", "it has no diagnostics")
        assert told["CP-03"] == ("uploaded", None)
        assert all(requests(box).count("GetDiagnostics") == 1 for box in boxes)
        uploads = folder / "bridge" / "uploads"
        await until(lambda: not list(uploads.rglob("0*")))  # the CSMS has them


async def test_what_the_controller_has_seen_is_in_the_archive_without_secrets(folder):
    inbox = Inbox()
    async with Csms() as csms, inbox.running(), yard(folder, Internet(), csms_url=csms.url) as (_, boxes):
        await csms.wait_registered(IDENTITY)
        boxes[0].logs.habits = LogHabits(content=b"one\n")
        await boxes[0].authorize("0123456789ABCDEF")
        await boxes[0].ask("DataTransfer", {"vendorId": "acme", "data": "password=hunter2"})
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip#target=CP-01")})
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=30)
        archive = inbox.came["all.zip"]
        rows = own_log(archive)
        numbers = [one["seq"] for one in rows]
        assert numbers == sorted(numbers) and len(numbers) == len(set(numbers))
        said, _ = unpacked(archive)
        told = {"journal_rows": len(rows), "first_seq": numbers[0], "last_seq": numbers[-1], "why_absent": None}
        assert said["own_log"] == told
        (authorized,) = [one for one in rows if one["action"] == "Authorize" and one["kind"] == "charger_call"]
        assert authorized["charger"] == "CP-01" and "…CDEF" in authorized["text"]
        assert "Accepted" in authorized["answer"]
        assert not [one for one in rows if "hunter2" in str(one) or "0123456789" in str(one)]
        assert own_log(archive, "queue") == []
        uploads = folder / "bridge" / "uploads"
        await until(lambda: not list(uploads.rglob("0*")))


async def test_the_bridge_may_have_another_time_than_the_daemon(folder, monkeypatch):
    """Of a gateway without NTP the daemon knows the time from the CSMS, the bridge does not."""
    monkeypatch.setattr(arriving, "utc_now", lambda: utc_now() + timedelta(hours=1))
    inbox = Inbox()
    async with Csms() as csms, inbox.running(), yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip")})
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=20)


async def test_chargers_that_know_only_the_security_extension_are_asked_by_it(folder):
    inbox = Inbox()
    async with Csms() as csms, inbox.running(), yard(folder, Internet(), csms_url=csms.url) as (_, boxes):
        await csms.wait_registered(IDENTITY)
        boxes[0].logs.habits = LogHabits(knows_diagnostics=False, knows_logs=True, content=b"signed\n")
        wish = {
            "logType": "DiagnosticsLog",
            "requestId": 17,
            "log": {"remoteLocation": inbox.url("one.zip#target=CP-01"), "oldestTimestamp": AT_ONCE},
        }
        answer = await csms.call(IDENTITY, "GetLog", wish)
        assert answer["status"] == "Accepted" and answer["filename"]
        await csms.wait_for(lambda: statuses(csms, "LogStatusNotification")[-1:] == ["Uploaded"], timeout_s=30)
        assert {one.payload["requestId"] for one in csms.calls("LogStatusNotification")} == {17}
        said, files = unpacked(inbox.came["one.zip"])
        assert list(files.values()) == [b"signed\n"] and [one["charger"] for one in said["chargers"]] == ["CP-01"]
        assert boxes[0].logs.requests[0]["log_type"] == "DiagnosticsLog"
        assert not boxes[1].logs.requests


async def test_a_bridge_that_is_killed_in_the_midst_of_it_sends_the_archive_afterwards(folder):
    inbox = Inbox(answers=[503] * 1000)
    async with (
        Csms() as csms,
        inbox.running(),
        BridgeProcess(folder) as process,
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1], has_bridge=False) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        box.logs.habits = LogHabits(content=b"one\n")
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip")})
        await until(lambda: len(inbox.answers) < 1000)
        await process.kill()
        inbox.answers.clear()
        await process.start()
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=40)
        assert list(unpacked(inbox.came["all.zip"])[1].values()) == [b"one\n"]
        assert requests(box).count("GetDiagnostics") == 1


async def test_a_daemon_that_was_restarted_goes_on_and_who_is_away_is_in_the_manifest(folder):
    inbox = Inbox()
    async with Csms() as csms, inbox.running(), bridge(settings(folder)), contextlib.AsyncExitStack() as lasting:
        site = site_beside(folder, THREE[:2], csms.url)
        async with site.running():
            boxes = await lasting.enter_async_context(connected(site.url, THREE[:1]))
            await csms.wait_registered(IDENTITY)
            boxes[0].logs.habits = LogHabits(uploads=False)
            answer = await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip")})
            await boxes[0].wait_for(lambda: boxes[0].logs.requests)
            again = await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("all.zip")})
            assert again == answer
        async with site.running():
            async with aiohttp.ClientSession() as late:
                await late.put(boxes[0].logs.requests[0]["location"] + "late.log", data=b"one\n")
            await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=40)
        said, files = unpacked(inbox.came["all.zip"])
        assert list(files.values()) == [b"one\n"] and requests(boxes[0]).count("GetDiagnostics") == 1
        assert [one["why_absent"] for one in said["chargers"]] == [None, "it is not connected"]


async def test_who_comes_back_soon_is_asked(folder, monkeypatch):
    monkeypatch.setattr(collections, "BACK_WITHIN", 60.0)
    site = site_beside(folder, THREE[:1])
    async with bridge(settings(folder)), site.running(), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(asked(site, "diagnostics", "CP-01", "--into", str(folder)))
        async with connected(site.url, THREE[:1]):
            code, _, err = await asking
            assert code == 0, err


async def test_an_archive_that_the_csms_does_not_take_has_failed(folder):
    inbox = Inbox(answers=[403])
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (site, _),
    ):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("x.zip")})
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["UploadFailed"], timeout_s=30)
        ask = {"requestedMessage": "DiagnosticsStatusNotification"}
        so_far = len(statuses(csms))
        assert await csms.call(IDENTITY, "TriggerMessage", ask) == {"status": "Accepted"}
        await csms.wait_for(lambda: statuses(csms)[so_far:] == ["Idle"])  # 1.6 §4.4
        assert not inbox.came


@pytest.mark.parametrize("where", ["file:///etc/passwd", "gopher://127.0.0.1/x", "http://127.0.0.1/#target=CP-99"])
async def test_a_location_that_leads_nowhere_is_answered_with_nothing(folder, where):
    async with Csms() as csms, yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)):
        await csms.wait_registered(IDENTITY)
        assert await csms.call(IDENTITY, "GetDiagnostics", {"location": where}) == {}
        wish = {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": where}}
        assert await csms.call(IDENTITY, "GetLog", wish) == {"status": "Rejected"}
        assert not box.logs.requests and not statuses(csms)


async def test_a_time_that_means_none_bounds_nothing(folder):
    inbox = Inbox()
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        wish = {"location": inbox.url("x.zip"), "startTime": "0001-01-01T00:00:00Z"}
        await csms.call(IDENTITY, "GetDiagnostics", wish)
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=30)
        assert "startTime" not in dict(box.requests)["GetDiagnostics"]


async def test_a_collection_that_cannot_be_carried_out_holds_up_no_other(folder, monkeypatch):
    inbox, told = Inbox(), collections.to_charger.get_diagnostics

    def of_times_that_there_are(request):
        if request.since is not None:
            raise OverflowError("date value out of range")
        return told(request)

    monkeypatch.setattr(collections.to_charger, "get_diagnostics", of_times_that_there_are)
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("x.zip"), "startTime": AT_ONCE})
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["UploadFailed"], timeout_s=30)
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("y.zip")})
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=30)
        assert list(inbox.came) == ["y.zip"] and box.logs.requests


@pytest.mark.parametrize("at", [-62_135_596_800_000, 253_402_300_799_999])
def test_a_charger_is_asked_for_no_time_that_no_calendar_has(at):
    assert collections.by_its_clock(at, 0) is not None
    assert collections.by_its_clock(at, -5000 if at < 0 else 5000) is None


async def test_a_newer_request_takes_the_place_of_an_older_one(folder):
    inbox = Inbox()
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        box.logs.habits.uploads = False
        wish = {"logType": "DiagnosticsLog", "requestId": 1, "log": {"remoteLocation": inbox.url("1.zip")}}
        assert (await csms.call(IDENTITY, "GetLog", wish))["status"] == "Accepted"
        await box.wait_for(lambda: box.logs.requests)
        box.logs.habits.uploads = True
        wish = {"logType": "DiagnosticsLog", "requestId": 2, "log": {"remoteLocation": inbox.url("2.zip")}}
        assert (await csms.call(IDENTITY, "GetLog", wish))["status"] == "AcceptedCanceled"
        await csms.wait_for(lambda: statuses(csms, "LogStatusNotification")[-1:] == ["Uploaded"], timeout_s=30)
        assert csms.calls("LogStatusNotification")[-1].payload["requestId"] == 2
        assert list(inbox.came) == ["2.zip"]


async def test_a_charger_that_uploads_for_ever_is_not_waited_for_as_long(folder, monkeypatch):
    monkeypatch.setattr(collections, "TICKET_SECONDS", 2)
    monkeypatch.setattr(of_bridge, "TIDY_EVERY", 0.2)
    inbox = Inbox()
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        box.logs.habits.uploads = False
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("x.zip")})
        async with asyncio.timeout(30):
            while statuses(csms)[-1:] != ["Uploaded"]:
                await box.ask("DiagnosticsStatusNotification", {"status": "Uploading"})
                await asyncio.sleep(0.1)
        said, files = unpacked(inbox.came["x.zip"])
        assert not files and "is over" in said["chargers"][0]["why_absent"]


async def test_while_nothing_can_be_stored_no_tickets_pile_up(folder, monkeypatch):
    tries = []

    def full(*_):
        tries.append(1)
        raise CommitFailed("disk full")

    inbox = Inbox()
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as (_, (box,)),
    ):
        await csms.wait_registered(IDENTITY)
        with monkeypatch.context() as patched:
            patched.setattr(collecting_store, "set_ticket", full)
            await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("x.zip")})
            await until(lambda: len(tries) >= 5)
            assert len(list((folder / "bridge" / "tickets").glob("*.json"))) <= 1
            assert "GetDiagnostics" not in requests(box)
        await csms.wait_for(lambda: statuses(csms)[-1:] == ["Uploaded"], timeout_s=30)


async def test_an_archive_that_nobody_wants_any_more_is_not_sent_on_and_on(folder):
    inbox = Inbox(answers=[503])
    async with (
        Csms() as csms,
        inbox.running(),
        yard(folder, Internet(), csms_url=csms.url, chargers=THREE[:1]) as _,
    ):
        await csms.wait_registered(IDENTITY)
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("1.zip")})
        forwards, uploads = folder / "bridge" / "forwards", folder / "bridge" / "uploads"
        await until(lambda: not inbox.answers and list(forwards.glob("*.zip")))
        await csms.call(IDENTITY, "GetDiagnostics", {"location": inbox.url("2.zip")})
        await until(lambda: "2.zip" in inbox.came)
        await until(lambda: not list(forwards.glob("*.zip")) and not list(uploads.rglob("0*")))
        assert list(inbox.came) == ["2.zip"]


# --- for a technician


async def asked(site, *words):
    return await edge(*words, "--socket", str(site.config.api.socket))


async def test_a_technician_gets_the_file(folder):
    content = os.urandom(1_300_000)
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, (box,)):
        box.logs.habits = LogHabits(name="../../etc/passwd", content=content, method="form")
        into = folder / "into"
        into.mkdir()
        code, out, err = await asked(site, "diagnostics", "CP-01", "--since", "2d", "--into", str(into), "--json")
        assert code == 0, err
        (file,) = json.loads(out)["files"]
        assert [(path.name, path.read_bytes()) for path in into.iterdir()] == [("CP-01_passwd", content)]
        assert (file["size"], file["whole"], file["path"]) == (len(content), True, str(into / "CP-01_passwd"))
        assert "startTime" in str(box.logs.requests) or "start_time" in str(box.logs.requests)
        code, out, _ = await asked(site, "diagnostics", "CP-01", "--into", str(into))
        assert code == 0 and "CP-01_passwd-2" in out


@pytest.mark.parametrize(
    ("habits", "why"),
    [
        (LogHabits(name=""), "it has no diagnostics"),
        (LogHabits(knows_diagnostics=False), "it refused: NotImplemented"),
    ],
)
async def test_what_a_charger_does_not_have_is_said(folder, habits, why):
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, (box,)):
        box.logs.habits = habits
        code, out, err = await asked(site, "diagnostics", "CP-01", "--into", str(folder))
        assert (code, out) == (1, "") and why in err
        assert not list(folder.glob("CP-01*"))


async def test_what_a_technician_gets_wrong_is_said(folder):
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, _):
        assert (await asked(site, "diagnostics", "CP-99"))[0] == 4
        assert (await asked(site, "diagnostics"))[0] == 2
        code, _, err = await asked(site, "diagnostics", "CP-01", "--into", str(folder / "none"))
        assert code == 1 and "There is no folder" in err


async def test_what_nobody_has_taken_makes_room_for_others(folder, monkeypatch):
    monkeypatch.setattr(collections, "IDLE_EVERY", 0.2)
    uploads = folder / "bridge" / "uploads"
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, (box,)):
        box.logs.habits = LogHabits(content=os.urandom(100_000))
        reader, writer = await asyncio.open_unix_connection(site.config.api.socket)
        request = {"command": "diagnostics", "args": {"charger": "CP-01"}, "stream": True}
        writer.write(json.dumps(request).encode() + b"\n")
        await reader.readline()
        writer.close()  # as a command does that was ended
        await until(lambda: list(uploads.rglob("0001")))
        await asyncio.sleep(1.0)
        assert list(uploads.rglob("0001"))
        monkeypatch.setattr(collections, "KEPT_FOR_MS", 0)
        await until(lambda: not list(uploads.rglob("0*")))


@pytest.mark.parametrize("listed", [None, "FTP"])
async def test_a_charger_that_knows_only_ftp_leaves_its_log_by_ftp(folder, listed):
    async with yard(folder, Internet(), chargers=THREE[:1]) as (site, (box,)):
        box.logs.habits = LogHabits(content=b"by ftp\n", protocols=("ftp",))
        if listed is not None:
            box.configuration["SupportedFileTransferProtocols"] = Setting(listed, is_number=False)
        code, out, err = await asked(site, "diagnostics", "CP-01", "--into", str(folder), "--json")
        assert code == 0, err
        (file,) = json.loads(out)["files"]
        assert Path(file["path"]).read_bytes() == b"by ftp\n"
        assert requests(box).count("GetDiagnostics") == (2 if listed is None else 1)
