"""`edge diagnose` at a real site: two firmwares of one model, of which one shows a fault; commands that come to nothing."""

import json
from contextlib import AsyncExitStack, asynccontextmanager

from simulators.charger import Charger
from simulators.wire import timestamp, utc_now

from tests.scenarios.field import energy, field, values
from tests.scenarios.site import IDENTITY
from tests.scenarios.test_local_commands import scripted
from tests.scenarios.test_process import edge
from tests.scenarios.test_queue import on_terminal

OLD, NEW = "1.8.2", "1.9.0"
FIRMWARE = {"CP-01": OLD, "CP-02": OLD, "CP-03": NEW, "CP-04": NEW}
FAULT = "values_attached_by_connector"
QUIET = {"GetConfiguration": {"unknownKey": []}, "ChangeConfiguration": {"status": "Accepted"}}


async def charges(charger: Charger) -> None:
    """A session; the old firmware does not say to which transaction a value belongs."""
    await charger.start_session(1, "A")
    if charger.boot["firmwareVersion"] == OLD:
        await charger.ask("MeterValues", values(energy("1000"), at=timestamp(utc_now())))
    await charger.stop_session(1)
    await charger.unplug(1)


@asynccontextmanager
async def depot(folder, csms):
    """Four chargers of one model, with a session each."""
    async with field(folder, csms, *FIRMWARE) as site, AsyncExitStack() as connected:
        for identity, firmware in FIRMWARE.items():
            charger = Charger(
                identity, site.url, vendor="Acme", model="Duo 22", firmware=firmware, meter_interval_s=0, current_a=0
            )
            await connected.enter_async_context(charger.running())
            await charger.connect()
            await charges(charger)
        await site.until("status", lambda d: d["backlog"]["messages"] == 0)
        yield site


async def entries_of(site, subject: str) -> dict[str, dict]:
    return {one["id"]: one for one in (await site.ask("trace", subject=subject))["entries"]}


async def test_a_fault_of_one_firmware_is_tied_to_it_with_its_evidence(folder, csms):
    async with depot(folder, csms) as site:
        fleet = await site.ask("diagnose")
        (found,) = fleet["findings"]
        assert (found["rule"], found["cause"], found["times"]) == (FAULT, "protocol", 2)
        assert (found["sessions"], found["chargers"]) == (["S1", "S2"], ["CP-01", "CP-02"])
        assert found["tied_to"] == {
            "kind": "firmware", "vendor": "Acme", "model": "Duo 22", "firmware": OLD, "charger": None,
            "seen_on": 2, "of": 2, "others": 2,
        }  # fmt: skip
        assert fleet["makes"] == [
            {"vendor": "Acme", "model": "Duo 22", "firmware": OLD, "chargers": 2, "affected": 2, "rules": [FAULT]}
        ]
        first, second = found["entries"]
        assert FAULT in (await entries_of(site, "CP-01"))[first]["summary"]
        assert FAULT in (await entries_of(site, "CP-02"))[second]["summary"]

        session = await site.ask("diagnose", subject="S2")
        (of_session,) = session["findings"]
        assert (of_session["times"], of_session["entries"]) == (1, [second])
        assert session["answers"]["recurring"] == {"times": 2, "sessions": 2, "chargers": 2, "since": found["first_at"]}
        assert session["answers"]["when_it_failed"] == found["last_at"]
        assert session["answers"]["tied_to"] == found["tied_to"]

        for sound in ("CP-03", "S3"):
            assert (await site.ask("diagnose", subject=sound))["findings"] == []


async def test_commands_that_come_to_nothing_say_which_when_and_why(folder, csms):
    start = {"connectorId": 1, "idTag": "A"}
    async with field(folder, csms, "CP-01", connectors=(1,)) as site:
        async with scripted(site, {**QUIET, "RemoteStartTransaction": {"status": "Rejected"}}):
            assert (await csms.call(IDENTITY, "RemoteStartTransaction", start))["status"] == "Rejected"
        await site.until("chargers", lambda d: d["chargers"][0]["state"] == "offline", charger="CP-01")
        assert (await csms.call(IDENTITY, "RemoteStartTransaction", start))["status"] == "Rejected"

        found = await site.ask("diagnose", subject="CP-01")
        commands = [one for one in found["answers"]["commands"] if one["action"] == "RemoteStartTransaction"]
        assert [one["outcome"] for one in commands] == ["refused", "not_sent"]
        refused, not_sent = commands
        assert refused["why"] == "the charger answered Rejected"
        assert not_sent["why"] == "the charger was not connected; the cloud was told Rejected"
        entries = await entries_of(site, "CP-01")
        assert [entries[entry]["peer"] for entry in refused["entries"]] == ["csms", "charger", "charger"]
        assert [entries[entry]["peer"] for entry in not_sent["entries"]] == ["csms", "csms"]
        rules = [one["rule"] for one in found["findings"] if one["weight"] >= 80]
        assert rules == ["command_not_sent", "command_refused"]


async def test_a_technician_reads_it_on_80_columns_and_a_program_through_a_pipe(folder, csms):
    async with depot(folder, csms):
        socket = ("--socket", str(folder / "edge.sock"))
        for words in ((), ("CP-01",), ("S1",), ("s1", "--since", "1d"), ("S3",)):
            code, text = await on_terminal("", "diagnose", *words, "--no-color", *socket)
            assert (code, max(map(len, text.splitlines())) <= 80) == (0, True), text
            assert ("Nothing is wrong with S3" if words == ("S3",) else f"protocol · {FAULT}") in text
        code, out, err = await edge("diagnose", "S1", "--json", *socket)
        assert (code, err, json.loads(out)["subject"]["session"]) == (0, "", "S1")
        for unknown in ("S99", "CP-99", "S", ""):
            code, out, err = await edge("diagnose", unknown, *socket)
            assert (code, out) == (4, "")
            assert "There is no session and no charger" in err
