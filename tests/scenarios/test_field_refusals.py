"""What is refused is never lost: the text of a start or a stop is on the disk before its charger is told.

A charger may drop what got a CALLERROR (ocpp-rules.md J.2, 63 and 108); then the journal has the only copy.
"""

import json

import pytest
from websockets.exceptions import ConnectionClosed

from edge.chargers.refusals import BILLING_KEPT_PER_HOUR, HOUR, KEPT_PER_HOUR, Allowance, RefusedText
from edge.domain.peculiarities import Rule
from tests.scenarios.failures import no_failure
from tests.scenarios.field import AT, LATER, counted, field, raw, raw_on_virtual_time, simulate
from tests.scenarios.site import Site, configuration

NOT_READABLE = [
    # text, code, rule
    ('[2,"x","StopTransaction",{}]', "ProtocolError", "message_refused"),
    ('[2,"x","StopTransaction",{"transactionId":[],"meterStop":{}}]', "TypeConstraintViolation", "message_refused"),
    (f'[2,"x","StartTransaction",{{"connectorId":1,"meterStart":5,"timestamp":"{AT}"}}]', "ProtocolError", "message_refused"),
    ('[2,"x","StopTransaction",{"transactionId":7,"meterStop":12', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction",{"meterStop":1,"meterStop":2}]', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction",{"meterStop":NaN}]', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction",{"meterStop":123456789012345678901}]', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction",{"idTag":"\\ud800"}]', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction",' + "[" * 40 + "]" * 40 + "]", "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransaction"]', "FormationViolation", "message_malformed"),
    ('[2,"x","StopTransactions",{"transactionId":7,"meterStop":12}]', "NotImplemented", "action_unknown"),
    ('[2,"x","StatusNotification",{"connectorId":1,"status":"Occupied"}]', "FormationViolation", "message_refused"),
    ('[2,"x","MeterValues",{"connectorId":1,"meterValue":[]}]', "FormationViolation", "message_refused"),
    ('[2,"x","RemoteStartTransaction",{"idTag":"A"}]', "NotSupported", "action_of_csms"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "rule"), NOT_READABLE, ids=[f"{one[1]} {one[0][9:60]}" for one in NOT_READABLE]
)
async def test_what_is_refused_stands_in_the_journal_with_its_callerror(folder, csms, text, code, rule):
    with no_failure():
        async with field(folder, csms) as site, raw(site) as charger:
            answer = await charger.say(text)
            assert (answer[0], answer[2]) == (4, code)
            trace = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
            (kept,) = [entry for entry in trace if entry["text"] == text]
            (told,) = [entry for entry in trace if entry["cause"] == kept["id"]]
            assert json.loads(told["text"]) == answer
            assert f"[{rule}]" in kept["summary"]
            assert await counted(site, rule) == 1
            shown = (await site.ask("chargers", charger="CP-01"))["chargers"][0]
            assert sum(shown["refused_messages"].values()) == 1
            assert (await site.ask("sessions"))["sessions"] == []


async def test_a_text_that_has_no_id_gets_no_answer_and_is_kept_as_well(folder, csms):
    """1.6J §4.1.4: an unreadable id cannot be answered"""
    async with field(folder, csms) as site, raw(site) as charger:
        for text in ("StopTransaction without a frame", "5", '{"a":1}', "\0[2]"):
            await charger.socket.send(text)
        texts = {"StopTransaction without a frame", "5", '{"a":1}', "\0[2]"}
        await site.until(
            "trace", lambda d: texts <= {entry["text"] for entry in d["entries"]}, subject="CP-01", raw=True
        )
        people = (await site.ask("trace", subject="CP-01"))["entries"]
        assert [entry["summary"] for entry in people if entry["type"] is None and entry["kind"] == "frame"] == [
            "not JSON at character 0 [message_malformed]",
            "not an array of at least two elements [message_malformed]",
            "not an array of at least two elements [message_malformed]",
            "not JSON at character 0 [message_malformed]",
        ]


@pytest.mark.parametrize(
    ("said", "code", "rule"),
    [
        ('"' + "x" * 300_000 + '"', 1009, "text_too_long"),
        (b'[2,"x","Authorize",{"idTag":"\xe4"}]', 1007, "text_not_utf8"),
    ],
)
async def test_a_text_for_which_the_connection_is_closed_is_found(folder, csms, said, code, rule):
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.socket.send(said, text=True)
        await charger.socket.wait_closed()
        assert charger.socket.close_code == code
        await site.until("chargers", lambda d: d["chargers"][0]["findings"] == {rule: 1}, charger="CP-01")


async def test_a_secret_in_a_text_that_nobody_understands_is_not_stored(folder, csms):
    async with field(folder, csms) as site, raw(site) as charger:
        await charger.say('[2,"x","ChangeConfiguration",{"key":"AuthorizationKey","value":"open sesame"}]')
        await charger.socket.send('[3,"nobody",{"configurationKey":[{"key":"AuthorizationKey","value":"open sesame"')
        await site.until("chargers", lambda d: "message_malformed" in d["chargers"][0]["findings"], charger="CP-01")
        trace = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
        assert "open sesame" not in json.dumps(trace)
        assert any("may hold a secret" in (entry["text"] or "") for entry in trace)


async def test_a_charger_that_is_refused_all_the_time_does_not_fill_the_disk(folder, csms):
    async with field(folder, csms) as site, raw(site) as charger:
        for number in range(12):
            text = json.dumps([2, f"v{number}", "MeterValues", {"connectorId": "one", "noise": "x" * 10_000}])
            assert (await charger.say(text))[0] == 4
        stop = '[2,"stop","StopTransaction",{}]'
        assert (await charger.say(stop))[0] == 4
        trace = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
        kept = [entry["text"] for entry in trace if entry["peer"] == "charger" and entry["direction"] == "in"]
        assert len([text for text in kept if "noise" in text]) == KEPT_PER_HOUR // 10_100
        assert stop in kept
        assert await counted(site, "message_refused") == 13


def test_what_may_be_kept_comes_back_with_the_hour_and_the_longest_stop_fits():
    def refused(length, action="MeterValues"):
        return RefusedText("x" * length, Rule.MESSAGE_REFUSED, "", None, action)

    allowance = Allowance()
    assert allowance.takes(refused(KEPT_PER_HOUR), 5.0)
    assert not allowance.takes(refused(1), 5.0)
    assert allowance.takes(refused(BILLING_KEPT_PER_HOUR, "StopTransaction"), 6.0)
    assert not allowance.takes(refused(1, "StartTransaction"), 7.0)
    assert not allowance.takes(refused(1), 4.0 + HOUR)
    assert allowance.takes(refused(1), 5.0 + HOUR)


async def test_nothing_is_kept_of_a_charger_that_nobody_has_adopted(folder, csms):
    async with Site(configuration(folder, csms_url=csms.url)).running() as site, raw(site, "NEW") as charger:
        assert (await charger.say('[2,"x","StopTransaction",{}]'))[0] == 4
        assert (await charger.say('[2,"y","StopTransaction",{"a":1,"a":2}]'))[0] == 4
        assert "error" in await site.ask("trace", subject="NEW")


@pytest.mark.parametrize("text", ['[2,"x","StopTransaction",{}]', '[2,"x","StopTransaction",{"a":1,"a":2}]'])
def test_without_a_disk_an_unreadable_stop_gets_no_answer_so_that_its_charger_keeps_it(text):
    async def story(site):
        async with raw_on_virtual_time() as charger:
            await charger.boot()
            site.disk.fail_commits(50)
            await charger.socket.send(text)
            with pytest.raises(ConnectionClosed):
                await charger.answer_to("x")
            assert charger.socket.close_code == 1011
            site.disk.recover()
        async with raw_on_virtual_time() as charger:
            assert (await charger.say(text))[0] == 4
            trace = (await site.ask("trace", subject="CP-02", raw=True))["entries"]
            assert text in [entry["text"] for entry in trace]
        return True

    assert simulate(story)


async def test_a_stop_of_which_something_can_be_read_is_never_refused(folder, csms):
    """J.2, 63: whatever else is wrong with it"""
    readable = [
        {"transactionId": "7", "meterStop": "5"},
        {"transactionId": 7},
        {"meterStop": 5.5, "timestamp": 5, "idTag": ["A"], "reason": "Whim", "transactionData": {"a": None}},
        {"transactionId": 2**63 - 1, "meterStop": None, "timestamp": LATER, "more": [[[]]]},
    ]
    async with field(folder, csms) as site, raw(site) as charger:
        for stop in readable:
            await charger.call("StopTransaction", stop)
        trace = (await site.ask("trace", subject="CP-01", raw=True))["entries"]
        kept = [
            json.loads(one["text"])[3] for one in trace if one["action"] == "StopTransaction" and one["type"] == "CALL"
        ]
        assert kept == readable
        assert await counted(site, "orphan_stop") == 4
