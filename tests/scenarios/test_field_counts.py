"""What had to be tolerated and what was found, as a technician sees it: by charger, and by vendor, model and firmware."""

import json

from tests.scenarios.field import AT, LATER, energy, field, raw, values
from tests.scenarios.test_process import edge
from tests.scenarios.test_queue import on_terminal

FAULT = {"connectorId": 1, "status": "Faulted", "errorCode": "Error"}


async def odd_messages(site, identity: str, firmware: str) -> None:
    """Three rules concern what this charger says; one message of it is refused."""
    async with raw(site, identity) as charger:
        await charger.boot("Legrand", "Green'up", firmware)
        await charger.call("StatusNotification", FAULT)
        await charger.start()
        await charger.call("MeterValues", values(energy("700")))
        await charger.call("MeterValues", values(energy("900"), at="2026-11-21T10:06:00Z"))
        await charger.say('[2,"x","StatusNotification",{"connectorId":1,"status":"Occupied"}]')


async def test_each_rule_is_counted_by_charger_and_by_vendor_model_and_firmware(folder, csms):
    async with field(folder, csms, "CP-01", "CP-02", "CP-03") as site:
        for identity, firmware in (("CP-01", "2.1"), ("CP-02", "2.1"), ("CP-03", "2.2")):
            await odd_messages(site, identity, firmware)
        shown = {one["id"]: one for one in (await site.ask("chargers"))["chargers"]}
        for one in shown.values():
            assert one["tolerances"] == {"error_code_alias": 1, "values_attached_by_connector": 2}
            assert one["findings"] == {"message_refused": 1}
            assert one["refused_messages"] == {"FormationViolation": 1}
        for identity, times in (("CP-01", 2), ("CP-02", 2), ("CP-03", 1)):
            of_model = shown[identity]["model_tolerances"]
            assert of_model == {"error_code_alias": times, "values_attached_by_connector": 2 * times}
            assert shown[identity]["model_findings"] == {"message_refused": times}


async def test_a_technician_reads_them_on_80_columns(folder, csms):
    async with field(folder, csms, "CP-01", "CP-02") as site:
        for identity in ("CP-01", "CP-02"):
            await odd_messages(site, identity, "2.1")
        socket = ("--socket", str(folder / "edge.sock"))
        code, text = await on_terminal("", "chargers", "CP-01", "--no-color", *socket)
        assert code == 0
        lines = text.strip().splitlines()
        assert max(map(len, lines)) <= 80
        assert "refused    FormationViolation 1 (edge trace CP-01 shows them)" in lines
        table = [line.split() for line in lines[lines.index(next(one for one in lines if one.startswith("RULE"))) :]]
        assert table == [
            ["RULE", "KIND", "TIMES", "ALL", "OF", "ITS", "MODEL"],
            ["error_code_alias", "tolerance", "1", "2"],
            ["values_attached_by_connector", "tolerance", "2", "4"],
            ["message_refused", "finding", "1", "2"],
        ]
        for words in (("chargers",), ("status",), ("trace", "CP-01"), ("session", "S1")):
            code, text = await on_terminal("", *words, "--no-color", *socket)
            assert (code, max(map(len, text.splitlines())) <= 80) == (0, True), text
            if words[0] in ("trace", "session"):
                assert "values_attached_by_connector" in text


async def test_a_program_reads_the_same_through_a_pipe(folder, csms):
    async with field(folder, csms) as site:
        await odd_messages(site, "CP-01", "2.1")
        code, out, err = await edge("chargers", "CP-01", "--json", "--socket", str(folder / "edge.sock"))
        assert (code, err) == (0, "")
        (one,) = json.loads(out)["chargers"]
        assert (
            one["model_tolerances"] == one["tolerances"] == {"error_code_alias": 1, "values_attached_by_connector": 2}
        )


async def test_the_longest_names_fit_on_80_columns(folder, csms):
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.boot("V" * 60, "M" * 60, "F" * 60)
        await charger.start(at=AT)
        await charger.call("StopTransaction", {"transactionId": -1, "meterStop": 5, "timestamp": LATER})
        code, text = await on_terminal("", "chargers", "CP-01", "--no-color", "--socket", str(folder / "edge.sock"))
        assert code == 0
        assert "stop_attached_to_only_transaction" in text
        assert max(map(len, text.splitlines())) <= 80


async def test_a_hostile_text_that_was_kept_does_nothing_to_the_terminal(folder, csms):
    async with field(folder, csms) as site, raw(site) as charger:
        text = "StopTransaction \x1b[2J\x07\u202e\x00 " + "x" * 300
        await charger.socket.send(text)
        await site.until(
            "trace", lambda d: text in [entry["text"] for entry in d["entries"]], subject="CP-01", raw=True
        )
        for words in (("trace", "CP-01"), ("trace", "CP-01", "--raw")):
            code, shown = await on_terminal("", *words, "--no-color", "--socket", str(folder / "edge.sock"))
            assert code == 0
            assert "message_malformed" in shown
            assert all(character.isprintable() or character == "\n" for character in shown)
