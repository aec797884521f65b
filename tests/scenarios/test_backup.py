"""`edge backup` while everything goes on, with kills; `edge restore`, and the chargers go on where they were."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import stat
import sys
from contextlib import closing

import pytest
from simulators.charger import Charger
from simulators.csms import Csms

from tests.databases.dump import load
from tests.scenarios.apart import apart
from tests.scenarios.site import IDENTITY, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_outage import TRANSACTION, charge, is_repeat, toml
from tests.scenarios.test_process import edge
from tests.scenarios.test_queue import ONE, on_terminal
from tests.store.givens import opened
from tests.store.lives import ROOT
from tests.store.test_backup import sessions

NO_CSMS = "ws://127.0.0.1:9/ocpp"


def a_large_store(folder) -> None:
    """So large that a backup of it takes a moment."""
    with closing(opened(folder / "edge.db")) as db:
        db.execute("BEGIN")
        sessions(db, 1500, "OLD", padding=8000)
        db.execute("COMMIT")


def counts(file) -> tuple[int, int]:
    """Sessions and messages of a backup, or of a store that is not in use."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return db.execute(
            "SELECT (SELECT count(*) FROM tx WHERE kind = 'transaction'), "
            "(SELECT count(*) FROM exchange WHERE relay = 1)"
        ).fetchone()


@contextlib.asynccontextmanager
async def daemon_with(folder, csms_url: str, port: int):
    daemon = DaemonProcess(folder, toml(port, csms_url))
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


def a_charger(number: int, port: int) -> Charger:
    return Charger(f"CP-0{number}", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))


async def command(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def until_there(path, process) -> None:
    async with asyncio.timeout(30):
        while not path.exists():
            assert process.returncode is None, (await process.communicate())[1].decode()
            await asyncio.sleep(0.005)


def leftovers(folder) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if ".copying" in item.name or ".part" in item.name)


async def test_a_backup_under_load_is_whole_and_nobody_waits_for_it(folder):
    a_large_store(folder)
    port = free_port()
    async with daemon_with(folder, NO_CSMS, port) as daemon, contextlib.AsyncExitStack() as stack:
        chargers = [a_charger(number, port) for number in (1, 2, 3)]
        for charger in chargers:
            await stack.enter_async_context(charger.running())
            await charger.wait_for(lambda charger=charger: charger.is_ready)
        is_over = asyncio.Event()
        answered: list[float] = []

        async def keep_charging(charger: Charger) -> None:
            await charger.plug_in(1)
            await charger.start_session(1, "LOAD", authorize=False)
            while not is_over.is_set():
                asked = asyncio.get_running_loop().time()
                await charger.send_meter_values(1)
                answered.append(asyncio.get_running_loop().time() - asked)
            await charger.stop_session(1)

        async with asyncio.TaskGroup() as tasks:
            for charger in chargers:
                tasks.create_task(keep_charging(charger))
            await asyncio.sleep(0)
            target = folder / "backup.db"
            code, out, err = await edge("backup", str(target), "--json", "--socket", str(daemon.socket))
            is_over.set()
        assert (code, err) == (0, "")
        said = json.loads(out)
        assert said["v"] == 1
        assert said["bytes"] == target.stat().st_size > 30e6
        assert said["damaged"] == said["parked"] == 0
        assert counts(target) == (said["sessions"], said["waiting"])
        assert said["sessions"] >= 1500
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert leftovers(folder) == []
        assert len(answered) > 20
        assert max(answered) < 2.0, sorted(answered)[-10:]
        assert sum(charger.violations != [] for charger in chargers) == 0


@pytest.mark.parametrize("moment", ["copying", "handing out"])
async def test_a_daemon_that_is_killed_during_a_backup_has_lost_nothing_and_tidies_up(folder, moment):
    a_large_store(folder)
    port = free_port()
    async with daemon_with(folder, NO_CSMS, port) as daemon:
        charger = a_charger(1, port)
        async with charger.running():
            await charge(charger, 1, "A", values=2)
            target = folder / "backup.db"
            process = await command("backup", str(target), "--socket", str(daemon.socket))
            there = folder / "edge.db.copying"
            await until_there(there, process)
            if moment == "handing out":
                async with asyncio.timeout(60):
                    while there.exists():
                        await asyncio.sleep(0.005)
            charger.begin_session(1, "AT-THE-KILL")
            await daemon.kill()
            _, err = await process.communicate()
            if process.returncode != 0:  # the last byte may have been sent
                assert process.returncode == 3
                assert b"daemon" in err
                assert b"Nothing was kept of the backup." in err
                assert not target.exists()
            assert not (folder / "backup.db.part").exists()
            await daemon.start()
            await charger.wait_drained()
            charger.end_session(1)
            await charger.wait_drained()
            async with asyncio.timeout(10):
                while there.exists():
                    await asyncio.sleep(0.01)
            assert leftovers(folder) == []
            code, _, err = await edge("backup", str(target), "--force", "--socket", str(daemon.socket))
            assert (code, err) == (0, "")
    assert counts(target) == counts(folder / "edge.db") == (1502, 1500 * 5 + 4 + 2)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("moment", ["edge.db.copying", "backup.db.part"])
async def test_a_command_that_is_killed_ends_the_backup_and_the_next_one_works(folder, moment, how):
    a_large_store(folder)
    async with daemon_with(folder, NO_CSMS, free_port()) as daemon:
        target = folder / "backup.db"
        process = await command("backup", str(target), "--socket", str(daemon.socket))
        await until_there(folder / moment, process)
        if moment == "backup.db.part":
            async with asyncio.timeout(60):
                while (folder / moment).stat().st_size == 0:
                    await asyncio.sleep(0.001)
        process.send_signal(how)
        await process.communicate()
        assert process.returncode == (130 if how is signal.SIGINT else -how)
        assert not target.exists()
        async with asyncio.timeout(10):
            while (folder / "edge.db.copying").exists():
                await asyncio.sleep(0.01)
        if how is signal.SIGINT:
            assert leftovers(folder) == []

        async def works() -> bool:
            code, _, err = await edge("backup", str(target), "--socket", str(daemon.socket))
            assert code == 0 or "A backup is running" in err
            return code == 0

        async with asyncio.timeout(30):
            while not await works():
                pass
        assert leftovers(folder) == []
        assert counts(target) == (1500, 7500)


async def test_only_one_backup_is_made_at_a_time(folder):
    a_large_store(folder)
    async with daemon_with(folder, NO_CSMS, free_port()) as daemon:
        first = await command("backup", str(folder / "one.db"), "--socket", str(daemon.socket))
        await until_there(folder / "edge.db.copying", first)
        code, _, err = await edge("backup", str(folder / "two.db"), "--socket", str(daemon.socket))
        assert (code, "A backup is running" in err) == (1, True)
        await first.communicate()
        assert first.returncode == 0
        assert not (folder / "two.db").exists()


async def test_after_a_restore_the_chargers_go_on_and_the_cloud_gets_everything(folder):
    """The disk dies after a backup: what was running goes on under its ids, and no id is given twice."""
    start = {"connectorId": 2, "idTag": "REPEAT", "meterStart": 5, "timestamp": "2026-11-21T10:00:00Z"}
    async with Csms(dedupe=True) as csms:
        port = free_port()
        charger, other = a_charger(1, port), a_charger(2, port)
        async with daemon_with(folder, csms.url, port) as daemon, charger.running(), other.running():
            await charger.wait_for(lambda: charger.is_ready)
            await other.wait_for(lambda: other.is_ready)
            await csms.wait_registered(IDENTITY)
            await charge(other, 1, "DONE")
            await charger.plug_in(1)
            await charger.start_session(1, "RUNNING", authorize=False)
            await charger.send_meter_values(1)
            repeated = await charger.ask("StartTransaction", start)
            await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
            csms.refuse_connections(True)
            csms.cut()
            await charge(other, 1, "WAITING")
            backup = folder / "backup.db"
            code, _, err = await edge("backup", str(backup), "--socket", str(daemon.socket))
            assert (code, err) == (0, "")

            csms.refuse_connections(False)
            await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
            await charge(other, 2, "AFTER-THE-BACKUP")
            await daemon.until("status", lambda d: d["backlog"]["messages"] == 0)
            given = {
                json.loads(frame.text)[2]["transactionId"]
                for one in (charger, other)
                for frame in one.frames
                if '"transactionId"' in frame.text and json.loads(frame.text)[0] == 3
            }
            assert len(given) == 5
            await daemon.kill()
            for suffix in ("", "-wal", "-shm"):
                folder.joinpath(f"edge.db{suffix}").unlink(missing_ok=True)
            code, out, err = await edge("restore", str(backup), "--config", str(daemon.file))
            assert (code, err) == (0, "")
            assert "goes up once more" in out.replace("\n", " ")
            await daemon.start()

            await charger.wait_for(lambda: charger.is_ready, 30)
            await other.wait_for(lambda: other.is_ready, 30)
            assert await charger.ask("StartTransaction", start) == repeated
            await charger.send_meter_values(1)
            await charger.stop_session(1)
            await charge(other, 1, "NEW")
            await daemon.until("status", lambda d: d["backlog"]["messages"] == 0 and d["backlog"]["parked"] == 0)
            new = {
                one.payload["transactionId"] for one in other.sent if one.action == "StopTransaction" and one.answered
            } - given
            assert len(new) == 1
            assert new.pop() > max(given) + 9_000
            session = max(int(one["session"][1:]) for one in (await daemon.ask("sessions"))["sessions"])
            assert session > 10_000
        assert csms.violations == []
        for one in (charger, other):
            for number in one.outlets:
                got = []
                upstream = 2 * (int(one.identity[-1]) - 1) + number
                for call in apart(csms.received):
                    is_new = not any(is_repeat(csms, earlier, call) for earlier in got)
                    if call.action in TRANSACTION and call.connector == upstream and is_new:
                        got.append(call)
                sent = [message.action for message in one.sent if message.connector == number]
                if (one, number) == (charger, 2):
                    sent = ["StartTransaction"]  # the one that was asked for outside of the charger's own sessions
                assert [call.action for call in got] == sent, f"{one.identity}/{number}"


async def test_a_restore_that_would_lose_something_says_how_much_and_does_nothing(folder):
    port = free_port()
    config = str(folder / "edge.toml")
    async with daemon_with(folder, NO_CSMS, port) as daemon:
        charger = a_charger(1, port)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            backup = str(folder / "backup.db")
            code, _, _ = await edge("backup", backup, "--socket", str(daemon.socket))
            assert code == 0
            await charge(charger, 1, "LATER", values=1)
            await charger.plug_in(2)
            await charger.start_session(2, "OPEN", authorize=False)
            code, _, err = await edge("restore", backup, "--config", config)
            assert (code, "systemctl stop edge" in err) == (1, True)
    before = (folder / "edge.db").read_bytes()
    code, out, err = await edge("restore", backup, "--config", config, "--json")
    assert code == 1
    assert "4 messages that the cloud has not got and 1 session" in err
    assert json.loads(out)["error"]["code"] == "would_lose"
    assert (folder / "edge.db").read_bytes() == before
    code, out, err = await edge("restore", backup, "--config", config, "--force", "--json")
    assert (code, err) == (0, "")
    done = json.loads(out)
    assert (done["lost_messages"], done["lost_sessions"], done["already_sent"]) == (4, 1, 0)
    assert (done["same_site"], done["unknown_since"], done["next_session"]) == (True, None, "S10003")
    assert counts(done["kept_as"])[0] == 2
    assert counts(folder / "edge.db")[0] == 0
    code, out, err = await edge("restore", done["kept_as"], "--config", config)
    assert (code, err) == (0, "")
    assert counts(folder / "edge.db") == (2, 4)


async def test_the_command_line_behaves_on_a_terminal_through_a_pipe_and_with_wrong_arguments(folder, csms):
    config = configuration(folder, csms_url=csms.url, chargers=ONE)
    toml_file = folder / "edge.toml"
    toml_file.write_text(toml(free_port(), csms.url))
    socket = ("--socket", str(folder / "edge.sock"))
    async with Site(config).running() as site:
        await csms.wait_registered(IDENTITY)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charge(charger, 1, "A", values=1)
        target = folder / "one.db"
        code, shown = await on_terminal("", "backup", str(target), *socket)
        assert code == 0
        assert "\x1b[K" in shown
        plain = shown.split("\x1b[K")[-1]
        assert f"{target} is written and checked." in plain
        assert max(map(len, plain.splitlines())) <= 80
        code, out, err = await edge("backup", str(folder / "two.db"), *socket)
        assert (code, err) == (0, "")
        assert "\x1b" not in out
        assert "sessions    1" in out
        for words, expected, said in (
            ((), 2, "FILE"),
            ((str(target), "extra"), 2, "extra"),
            ((str(target),), 1, "exists already"),
            ((str(folder),), 1, "is a folder"),
            (("-",), 2, "A backup is written to a file"),
            (("-", "--force"), 2, "./-"),
            ((str(folder / "no" / "file"),), 1, "no folder"),
            (("/dev/null", "--force"), 1, "no ordinary file"),
            ((str(folder / "edge.db"), "--force"), 1, "a store in use"),
        ):
            code, _, err = await edge("backup", *words, *socket)
            assert (code, said in err) == (expected, True), (words, err)
        code, _, _ = await edge("backup", str(target), "--force", *socket)
        assert code == 0
    code, _, err = await edge("backup", str(folder / "three.db"), *socket)
    assert code == 3
    assert not (folder / "three.db").exists()
    assert leftovers(folder) == []

    with_config = ("--config", str(toml_file))
    for words, expected, said in (
        (with_config, 2, "FILE"),
        ((str(folder / "none.db"), *with_config), 1, "does not exist"),
        ((str(folder), *with_config), 1, "is no file"),
        ((str(toml_file), *with_config), 1, "no SQLite database"),
        ((str(folder / "edge.db"), *with_config), 1, "the store itself"),
        ((str(target), "--config", str(folder / "none.toml")), 2, "cannot be read"),
        ((str(target), "--socket", "x"), 2, "--socket"),
    ):
        code, _, err = await edge("restore", *words)
        assert (code, said in err) == (expected, True), (words, err)
    before = (folder / "edge.db").read_bytes()
    for answer in ("", "n", "yess"):
        code, shown = await on_terminal(answer, "restore", str(target), *with_config)
        assert (code, "Nothing was done." in shown) == (1, True)
        assert "Do it? [y/N]" in shown
    assert (folder / "edge.db").read_bytes() == before
    for words in (("y", "restore", str(target)), ("", "restore", "--yes", str(target))):
        code, shown = await on_terminal(*words, *with_config)
        assert code == 0
        plain = shown.split("\x1b[K")[-1]
        assert max(map(len, plain.splitlines())) <= 80
        assert "systemctl start edge" in plain
        assert plain.count("sessions go on with S") == 1
    assert len([item for item in folder.iterdir() if ".before-restore-" in item.name]) == 2
    async with Site(config).running() as site:
        assert (await site.ask("sessions"))["sessions"][0]["session"] == "S1"


AS_NOBODY = """
import os, sys
from edge.console import cli, confirmation, offline
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(cli.main(sys.argv[1:], lambda _: 9))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_whoever_may_not_read_the_store_may_not_replace_it(folder):
    with closing(opened(folder / "edge.db")) as db:
        sessions(db, 1)
    file = folder / "edge.toml"
    file.write_text(toml(free_port(), NO_CSMS))
    with closing(sqlite3.connect(folder / "edge.db")) as db, closing(sqlite3.connect(folder / "copy.db")) as copy:
        db.backup(copy)
    for name in (".", "edge.toml", "copy.db"):
        os.chmod(folder / name, 0o777)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AS_NOBODY, "restore", str(folder / "copy.db"), "--config", str(file),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert (process.returncode, b"Permission denied" in err) == (1, True), err.decode()
    assert counts(folder / "edge.db") == (1, 5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_whoever_may_not_read_the_backup_is_told(folder):
    file = folder / "edge.toml"
    file.write_text(toml(free_port(), NO_CSMS))
    (folder / "secret.db").touch(0o600)
    (folder / "closed").mkdir(0o700)
    os.chmod(folder, 0o777)
    for name in ("secret.db", "closed/x.db"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", AS_NOBODY, "restore", str(folder / name), "--config", str(file),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        assert (process.returncode, b"Permission denied" in err) == (1, True), err.decode()
        assert name.encode() in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("trap", ["none", "store", "lock", "staged"])
async def test_root_restores_as_the_daemons_user_and_steps_into_no_trap_of_it(folder, trap):
    daemons = folder / "of-the-daemon"
    daemons.mkdir()
    with closing(opened(daemons / "edge.db")) as db:
        sessions(db, 1)
    copy = folder / "copy.db"
    with closing(sqlite3.connect(daemons / "edge.db")) as db, closing(sqlite3.connect(copy)) as to:
        db.backup(to)
    copy.chmod(0o600)
    roots = folder / "of-root"
    roots.write_text("a secret")
    name = {"store": "edge.db", "lock": "edge.db.lock", "staged": "edge.db.restoring"}.get(trap)
    if name is not None:
        (daemons / name).unlink(missing_ok=True)
        (daemons / name).symlink_to(roots)
    for one in (daemons, *daemons.iterdir()):
        os.chown(one, 65534, 65534, follow_symlinks=False)
    roots.chmod(0o600)
    os.chmod(folder, 0o755)
    file = folder / "edge.toml"
    file.write_text(toml(free_port(), NO_CSMS).replace('"edge.db"', '"of-the-daemon/edge.db"'))
    code, _, err = await edge("restore", str(copy), "--config", str(file))
    assert (roots.read_text(), roots.stat().st_uid) == ("a secret", 0)
    if trap in {"store", "lock"}:
        assert (code, "Permission denied" in err) == (1, True)
        return
    assert (code, err) == (0, "")
    owners = {item.name.split(".before")[0]: (item.stat().st_uid, item.stat().st_gid) for item in daemons.iterdir()}
    assert owners == dict.fromkeys(("edge.db", "edge.db.lock"), (65534, 65534))


async def test_a_present_store_of_an_earlier_schema_leaves_stdout_to_the_document(folder):
    for name in ("edge.db", "of-then.db"):
        load((ROOT / "tests/databases/schema-1.sql").read_text(), folder / name)
    file = folder / "edge.toml"
    file.write_text(toml(free_port(), NO_CSMS))
    code, out, err = await edge("restore", str(folder / "of-then.db"), "--config", str(file), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["same_site"] is True
    assert (folder / "edge.db.before-migration-1").exists()


async def test_two_commands_that_write_to_one_name_do_not_spoil_each_others_backup(folder):
    a_large_store(folder)
    async with daemon_with(folder, NO_CSMS, free_port()) as daemon:
        target = folder / "backup.db"
        first = await command("backup", str(target), "--socket", str(daemon.socket))
        await until_there(folder / "backup.db.part", first)
        code, _, err = await edge("backup", str(target), "--socket", str(daemon.socket))
        assert (code, "Another edge command is writing" in err) == (1, True)
        await first.communicate()
        assert first.returncode == 0
        assert counts(target) == (1500, 7500)
