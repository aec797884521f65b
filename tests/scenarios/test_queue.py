"""A person decides about parked messages: they go up after all, or never; online, in an outage, with a kill between."""

import asyncio
import contextlib
import os
import sqlite3
import sys

import pytest
from simulators.charger import Charger
from simulators.csms import Csms

from tests.scenarios.apart import apart
from tests.scenarios.site import IDENTITY, ChargerSettings, DaemonProcess, Site, configuration, free_port
from tests.scenarios.test_outage import TRANSACTION, charge, toml
from tests.scenarios.test_process import edge

ONE = (ChargerSettings(id="CP-01", evses=(1, 1)),)
STRICT = ({"key": "TransactionMessageAttempts", "value": "1"}, {"key": "TransactionMessageRetryInterval", "value": "0"})


async def be_strict(csms: Csms) -> None:
    """One refusal parks."""
    await csms.wait_registered(IDENTITY)
    for change in STRICT:
        assert (await csms.call(IDENTITY, "ChangeConfiguration", change))["status"] == "Accepted"


def refuse(csms: Csms, action: str, **more) -> None:
    csms.refuse(action, "PropertyConstraintViolation", times=None, **more)


def sent_of(csms: Csms, tag: str) -> list[str]:
    """What the cloud accepted of this token's session, in order."""
    ids = {
        one.answer["transactionId"]
        for one in csms.calls("StartTransaction")
        if one.payload["idTag"] == tag and one.answer is not None
    }
    return [
        one.action
        for one in apart(csms.received)
        if one.action in TRANSACTION
        and one.answer is not None
        and (one.payload.get("idTag") == tag or one.payload.get("transactionId") in ids)
    ]


async def parked_entries(site, count: int) -> list[dict]:
    found = await site.until("queue", lambda d: d if d["parked"] == count else None)
    return [one for one in found["entries"] if one["state"] == "parked"]


@contextlib.asynccontextmanager
async def strict_site(folder, csms):
    """The daemon, a charger, and a cloud after whose first refusal a message is parked."""
    async with Site(configuration(folder, csms_url=csms.url, chargers=ONE)).running() as site:
        await be_strict(csms)
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.wait_for(lambda: charger.is_ready)
            yield site, charger


async def test_a_retried_start_goes_up_with_its_whole_session_also_from_a_running_lane(folder, csms):
    refuse(csms, "StartTransaction", when=lambda one: one.payload["idTag"] == "BAD")
    async with strict_site(folder, csms) as (site, charger):
        await charge(charger, 1, "BAD", values=2)
        first, *later = await parked_entries(site, 4)
        csms.behave()
        answer = await site.ask("queue_retry", seq=first["seq"])
        assert answer == {
            "v": 1, "seq": first["seq"], "action": "StartTransaction", "session": "S1", "waiting": 4,
        }  # fmt: skip
        await site.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
        assert sent_of(csms, "BAD") == ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
        await charge(charger, 1, "GOOD", values=1)
        await csms.wait_for(lambda: len(csms.calls("StopTransaction")) == 2)
        assert csms.violations == []
        assert (await site.ask("status"))["alarms"] == []
        session = (await site.ask("session", session="S1"))["session"]
        assert (
            session["delivery"] | {"state": "delivered", "waiting": 0, "acked": 4, "parked": 0, "dropped": 0}
            == session["delivery"]
        )
        trace = (await site.ask("trace", subject="S1"))["entries"]
        (decision,) = [one for one in trace if one["kind"] == "decision" and "retried" in one["summary"]]
        assert decision["cause"] == str(first["seq"])
        assert f"uid {os.getuid()}" in decision["summary"]
        again = await site.ask("queue_retry", seq=later[0]["seq"])
        assert again["error"]["code"] == "rejected"
        assert "delivered" in again["error"]["message"]


async def test_a_retried_session_goes_up_before_what_was_stored_after_it_and_nothing_goes_twice(folder, csms):
    """The head that is on its way when the person decides stays the head: its answer must find it."""
    refuse(csms, "StartTransaction", when=lambda one: one.payload["idTag"] == "BAD")
    async with strict_site(folder, csms) as (site, charger):
        await charge(charger, 1, "BAD", values=1)
        first, *_ = await parked_entries(site, 3)
        csms.behave()
        csms.delay("StartTransaction", 0.3, times=1)
        await charger.plug_in(1)
        charger.begin_session(1, "NEXT")
        charger.end_session(1)
        await csms.wait_for(lambda: any(one.payload["idTag"] == "NEXT" for one in csms.calls("StartTransaction")))
        assert "error" not in await site.ask("queue_retry", seq=first["seq"])
        await site.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
        assert [one.payload["idTag"] for one in csms.calls("StartTransaction")] == ["BAD", "NEXT", "BAD"]
        assert sent_of(csms, "BAD") == ["StartTransaction", "MeterValues", "StopTransaction"]
        assert sent_of(csms, "NEXT") == ["StartTransaction", "StopTransaction"]
        assert csms.violations == []


async def test_what_is_retried_in_an_outage_goes_up_when_the_cloud_is_back(folder, csms):
    refuse(csms, "MeterValues")
    async with strict_site(folder, csms) as (site, charger):
        await charge(charger, 1, "A", values=2)
        first, *_ = await parked_entries(site, 3)
        csms.behave()
        with csms.outage():
            await site.until("status", lambda d: d["uplink"]["state"] != "accepted")
            await charge(charger, 1, "B", values=1)
            assert (await site.ask("queue_retry", seq=first["seq"]))["waiting"] == 3
            queue = await site.ask("queue")
            assert [one["state"] for one in queue["entries"]] == ["waiting"] * 6
            assert queue["parked"] == 0
        await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        assert sent_of(csms, "A") == ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
        assert sent_of(csms, "B") == ["StartTransaction", "MeterValues", "StopTransaction"]
        assert csms.violations == []


async def test_a_dropped_message_is_left_out_and_the_session_shows_it(folder, csms):
    refuse(csms, "MeterValues", when=lambda one: len(csms.calls("MeterValues")) == 1)
    async with strict_site(folder, csms) as (site, charger):
        await charge(charger, 1, "A", values=2)
        first, *_ = await parked_entries(site, 3)
        plan = await site.ask("queue_drop", seq=first["seq"], only_look=True)
        assert (plan["dropped"], plan["waiting"], plan["is_done"]) == (1, 2, False)
        assert len(await parked_entries(site, 3)) == 3
        done = await site.ask("queue_drop", seq=first["seq"])
        assert (done["dropped"], done["waiting"], done["is_done"]) == (1, 2, True)
        await site.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
        assert sent_of(csms, "A") == ["StartTransaction", "MeterValues", "StopTransaction"]
        assert (await site.ask("status"))["alarms"] == []
        session = (await site.ask("session", session="S1"))["session"]
        assert [(one["state"], one["result"]) for one in session["messages"]] == [
            ("acked", "Accepted"), ("parked", "dropped by operator"), ("acked", "Accepted"), ("acked", "Accepted"),
        ]  # fmt: skip
        assert (
            session["delivery"] | {"state": "parked", "waiting": 0, "acked": 3, "parked": 1, "dropped": 1}
            == session["delivery"]
        )
        trace = (await site.ask("trace", subject="S1"))["entries"]
        assert [one["cause"] for one in trace if "dropped" in one["summary"]] == [str(first["seq"])]
        shown = await site.ask("queue", seq=first["seq"])
        assert shown["error"] == {
            "code": "no_such_message",
            "message": f"Message {first['seq']} is not in the queue.",
            "hint": "The operator dropped it.",
        }


async def test_with_a_start_the_running_session_is_dropped_and_the_connector_goes_on(folder, csms):
    refuse(csms, "StartTransaction", when=lambda one: one.payload["idTag"] == "BAD")
    async with strict_site(folder, csms) as (site, charger):
        await charger.plug_in(1)
        await charger.start_session(1, "BAD", authorize=False)
        await charger.send_meter_values(1)
        first, _ = await parked_entries(site, 2)
        plan = await site.ask("queue_drop", seq=first["seq"], only_look=True)
        assert (plan["is_start"], plan["dropped"], plan["waiting"]) == (True, 2, 0)
        await site.ask("queue_drop", seq=first["seq"])
        await charger.send_meter_values(1)
        await charger.stop_session(1)
        await charger.unplug(1)
        await charge(charger, 1, "GOOD", values=1)
        await csms.wait_for(lambda: csms.calls("StopTransaction"))
        await site.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
        assert sent_of(csms, "BAD") == []
        assert sent_of(csms, "GOOD") == ["StartTransaction", "MeterValues", "StopTransaction"]
        session = (await site.ask("session", session="S1"))["session"]
        assert (
            session["delivery"] | {"state": "parked", "waiting": 0, "acked": 0, "parked": 4, "dropped": 4}
            == session["delivery"]
        )
        assert {(one["state"], one["result"]) for one in session["messages"]} == {("parked", "dropped by operator")}


async def test_a_message_that_rots_on_the_disk_is_parked_shown_and_dropped(folder, csms):
    """No JSON and no UTF-8 any more: it must neither be sent nor hold up whoever looks, nor the uplink, nor a start."""
    config = configuration(folder, csms_url=csms.url, chargers=ONE)
    csms.refuse_connections(True)
    async with Site(config).running() as site:
        charger = Charger("CP-01", site.url, meter_interval_s=0)
        async with charger.running():
            await charger.plug_in(1)
            await charger.start_session(1, "A", authorize=False)
            await charger.send_meter_values(1)
            await charger.send_meter_values(1)
    with contextlib.closing(sqlite3.connect(folder / "edge.db")) as db, db:
        (rotten,) = db.execute("SELECT min(seq) FROM exchange WHERE action = 'MeterValues'").fetchone()
        db.execute("UPDATE exchange SET text = CAST(x'5b322cff22' AS TEXT) WHERE seq = ?", (rotten,))
    async with Site(config).running() as site:
        csms.refuse_connections(False)
        first, _ = await parked_entries(site, 2)
        assert (first["seq"], first["error"]["code"]) == (rotten, "damaged")
        for command, args in (
            ("queue", {"seq": rotten}), ("session", {"session": "S1"}), ("sessions", {}),
            ("trace", {"subject": "S1", "raw": True}), ("trace", {"subject": "CP-01"}),
        ):  # fmt: skip
            assert "error" not in await site.ask(command, **args) or command == "queue"
        refused = await site.ask("queue_retry", seq=rotten)
        assert "damaged on the disk" in refused["error"]["message"]
        await site.ask("queue_drop", seq=rotten)
        await csms.wait_for(lambda: csms.calls("MeterValues"))
        await site.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
        assert sent_of(csms, "A") == ["StartTransaction", "MeterValues"]


async def test_an_orphan_stop_can_be_dropped_and_not_retried(folder, csms):
    async with strict_site(folder, csms) as (site, charger):
        await charger.ask(
            "StopTransaction", {"transactionId": 999, "meterStop": 5, "timestamp": "2026-11-21T10:00:00Z"}
        )
        (orphan,) = await parked_entries(site, 1)
        assert "belongs to no session" in (await site.ask("queue_retry", seq=orphan["seq"]))["error"]["message"]
        done = await site.ask("queue_drop", seq=orphan["seq"])
        assert (done["session"], done["is_stop"], done["dropped"]) == (None, False, 1)
        assert (await site.ask("queue"))["entries"] == []
        assert "dropped" in (await site.ask("queue", seq=orphan["seq"]))["error"]["hint"]


@pytest.mark.parametrize("decision", ["retry", "drop"])
async def test_a_kill_right_after_the_answer_changes_nothing_of_what_was_decided(folder, decision):
    async with Csms() as csms:
        port = free_port()
        daemon = DaemonProcess(folder, toml(port, csms.url))
        await daemon.start()
        try:
            await be_strict(csms)
            refuse(csms, "StartTransaction", when=lambda one: one.payload["idTag"] == "BAD")
            charger = Charger("CP-01", f"ws://127.0.0.1:{port}/ocpp", meter_interval_s=0, reconnect_s=(0.1, 0.5))
            async with charger.running():
                await charge(charger, 1, "BAD", values=1)
                first, *_ = await parked_entries(daemon, 3)
                csms.refuse_connections(True)
                csms.cut()
                await daemon.until("status", lambda d: d["uplink"]["state"] != "accepted")
                await daemon.ask(f"queue_{decision}", seq=first["seq"])
                await daemon.kill()
                csms.behave()
                await daemon.start()
                await daemon.until("status", lambda d: d["uplink"]["state"] == "accepted")
                await charge(charger, 1, "NEXT", values=1)
                await daemon.until("status", lambda d: d["backlog"]["messages"] == d["backlog"]["parked"] == 0)
            whole = ["StartTransaction", "MeterValues", "StopTransaction"]
            assert sent_of(csms, "BAD") == (whole if decision == "retry" else [])
            assert sent_of(csms, "NEXT") == whole
        finally:
            await daemon.stop()


async def on_terminal(answer: str, *words: str) -> tuple[int, str]:
    """The command on a terminal of 80 columns where somebody types this line; exit code and what was shown."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        *words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"COLUMNS": "80"},
    )
    os.close(theirs)
    os.write(ours, answer.encode() + b"\n")
    code = await process.wait()
    shown = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    return code, shown.decode().replace("\r\n", "\n")


async def test_the_command_line_asks_before_it_drops(folder, csms):
    refuse(csms, "StartTransaction", when=lambda one: one.payload["idTag"] == "BAD")
    async with strict_site(folder, csms) as (site, charger):
        socket = ("--socket", str(folder / "edge.sock"))
        await charge(charger, 1, "BAD", values=1)
        first, second, _ = await parked_entries(site, 3)
        seq = str(first["seq"])

        code, shown = await on_terminal("n", "queue", "drop", seq, *socket)
        assert code == 1
        assert "the cloud will never know of this session" in shown.replace("\n", " ")
        assert "Nothing was done." in shown
        assert max(map(len, shown.splitlines())) <= 80
        code, _, err = await edge("queue", "drop", seq, *socket)
        assert (code, "--yes" in err) == (2, True)
        assert len(await parked_entries(site, 3)) == 3

        code, _, err = await edge("queue", "retry", str(second["seq"]), *socket)
        assert code == 1
        assert f"edge queue retry {seq}" in err
        for words in (["drop", "99999", "--yes"], ["retry", "99999"]):
            code, _, err = await edge("queue", *words, *socket)
            assert (code, "not in the queue" in err) == (4, True)
        for words in (["drop"], ["retry", "one"], ["drop", seq, "--perhaps"]):
            code, _, _ = await edge("queue", *words, *socket)
            assert code == 2

        code, shown = await on_terminal("y", "queue", "drop", seq, *socket)
        assert code == 0
        assert "Do it? [y/N]" in shown
        assert "is dropped" in shown
        assert (await site.ask("queue"))["entries"] == []
        code, _, err = await edge("queue", "drop", seq, "--yes", *socket)
        assert (code, "was dropped already" in err) == (1, True)
        code, out, err = await edge("session", "S1", *socket)
        assert (code, err) == (0, "")
        assert "dropped by operator" in out
    code, _, _ = await edge("queue", "retry", "1", *socket)
    assert code == 3
