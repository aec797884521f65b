"""RpcPeer: one event for each text, one CALL outstanding, each CALL owed one answer, late answers recognised."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, Call, CallError, CallResult, Send
from edge.ocppj.peer import (
    MAX_LATE,
    AnswerReceived,
    AnswerUnknown,
    CallReceived,
    Flooded,
    OutstandingCall,
    Received,
    Refused,
    ResultRefused,
    RpcPeer,
    SendReceived,
)
from tests.ocppj.corpus import recorded
from tests.ocppj.test_frames import damaged_texts

HEARTBEAT = '[2,"h1","Heartbeat",{}]'
T = "2026-01-01T00:00:00Z"


def charger_link(version="1.6", **options):
    return RpcPeer(version, Sender.STATION, CHARGER_LIMITS, **options)


def uplink(version="1.6", **options):
    return RpcPeer(version, Sender.CSMS, CHARGER_LIMITS, **options)


# --- what the peer asks -----------------------------------------------------------------------------------------


def test_call_is_received_and_answered_with_its_id():
    peer = charger_link()
    assert peer.receive(HEARTBEAT, 0.0) == CallReceived(Call("h1", "Heartbeat", {}, HEARTBEAT), ())
    assert peer.unanswered == 1
    assert peer.answer("h1", {"currentTime": T}) == f'[3,"h1",{{"currentTime":"{T}"}}]'
    assert peer.unanswered == 0


@pytest.mark.parametrize(
    ("version", "code"), [("1.6", "FormationViolation"), ("2.0.1", "FormatViolation"), ("2.1", "FormatViolation")]
)
def test_refusal_is_spelled_for_the_version(version, code):
    peer = charger_link(version)
    peer.receive(HEARTBEAT, 0.0)
    assert peer.refuse("h1", "FormationViolation", "why") == f'[4,"h1","{code}","why",{{}}]'
    assert peer.unanswered == 0


def test_call_that_violates_the_schema_is_received_with_its_violations():
    event = charger_link().receive('[2,"1","StartTransaction",{"connectorId":1,"idTag":7}]', 0.0)
    assert isinstance(event, CallReceived)
    assert [violation.path for violation in event.violations] == [("idTag",), ("meterStart",), ("timestamp",)]


@pytest.mark.parametrize(
    ("peer", "action", "code"),
    [
        (charger_link(), "RemoteStartTransaction", "NotSupported"),
        (charger_link(), "TransactionEvent", "NotImplemented"),
        (charger_link(), "heartbeat", "NotImplemented"),
        (charger_link(), "", "NotImplemented"),
        (charger_link("2.0.1"), "StartTransaction", "NotImplemented"),
        (charger_link("2.0.1"), "NotifyPeriodicEventStream", "NotImplemented"),
        (charger_link("2.1"), "NotifyPeriodicEventStream", "NotSupported"),
        (charger_link("2.1"), "RequestStartTransaction", "NotSupported"),
        (uplink(), "Heartbeat", "NotSupported"),
        (uplink("2.1"), "TransactionEvent", "NotSupported"),
        (uplink("2.1"), "NotifyPeriodicEventStream", "NotSupported"),
    ],
)
def test_action_that_is_unknown_or_not_for_that_side_is_refused_at_once(peer, action, code):
    event = peer.receive(f'[2,"1","{action}",{{}}]', 0.0)
    assert isinstance(event, Refused)
    assert event.code == code
    assert json.loads(event.reply)[:3] == [4, "1", code]
    assert peer.unanswered == 0


def test_data_transfer_may_come_from_either_side():
    for peer in (charger_link(), uplink()):
        assert isinstance(peer.receive('[2,"1","DataTransfer",{"vendorId":"x"}]', 0.0), CallReceived)


def test_name_of_an_unknown_action_is_not_echoed():
    event = charger_link().receive('[2,"1","<script>\\u202e",{}]', 0.0)
    assert event == Refused("unknown action", "NotImplemented", '[4,"1","NotImplemented","unknown action",{}]')


def test_each_call_is_owed_one_answer_even_when_an_id_comes_twice():
    peer = charger_link()
    peer.receive(HEARTBEAT, 0.0)
    peer.receive(HEARTBEAT, 0.0)
    peer.answer("h1", {})
    peer.refuse("h1", "InternalError")
    with pytest.raises(RuntimeError, match="not open"):
        peer.answer("h1", {})
    with pytest.raises(RuntimeError, match="not open"):
        peer.refuse("h1", "InternalError")


def test_answer_that_is_not_json_leaves_the_call_open_to_be_refused():
    peer = charger_link()
    peer.receive(HEARTBEAT, 0.0)
    with pytest.raises(ValueError, match="JSON"):
        peer.answer("h1", {"a": float("inf")})
    assert peer.refuse("h1", "InternalError") == '[4,"h1","InternalError","",{}]'


def test_flood_is_the_call_beyond_the_limit_and_is_not_accepted():
    peer = charger_link(max_unanswered=2)
    for number in range(2):
        assert isinstance(peer.receive(f'[2,"{number}","Heartbeat",{{}}]', 0.0), CallReceived)
    assert peer.receive('[2,"2","Heartbeat",{}]', 0.0) == Flooded(3)
    assert peer.unanswered == 2
    peer.answer("0", {})
    assert isinstance(peer.receive('[2,"3","Heartbeat",{}]', 0.0), CallReceived)


def test_by_default_32_calls_may_wait():
    peer = charger_link()
    events = [peer.receive(f'[2,"{number}","Heartbeat",{{}}]', 0.0) for number in range(33)]
    assert [type(event) for event in events] == [CallReceived] * 32 + [Flooded]


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "in_16", "in_201", "in_21"),
    [
        ("nonsense", None, "-1 RpcFrameworkError", "-1 RpcFrameworkError"),
        ('[2,7,"Heartbeat",{}]', None, "-1 RpcFrameworkError", "-1 RpcFrameworkError"),
        ('[2,"1","Heartbeat"]', "1 FormationViolation", "1 RpcFrameworkError", "1 RpcFrameworkError"),
        ('[2,"1","Heartbeat",[]]', "1 FormationViolation", "1 FormatViolation", "1 FormatViolation"),
        ('[2,"1","Heartbeat",{"a":NaN}]', "1 FormationViolation", "1 FormatViolation", "1 FormatViolation"),
        ('[7,"1"]', None, "1 MessageTypeNotSupported", "1 MessageTypeNotSupported"),
        ("[7,[]]", None, "-1 RpcFrameworkError", "-1 RpcFrameworkError"),
        ('[6,"1","NotifyPeriodicEventStream",{}]', None, "1 MessageTypeNotSupported", None),
        # an answer is never answered, or two peers could complain for ever
        ('[3,"1"]', None, None, None),
        ("[4,{},7]", None, None, None),
        ('[5,"1","InternalError","",{}]', None, None, None),
    ],
)
def test_bad_input_is_answered_where_the_version_has_an_answer(text, in_16, in_201, in_21):
    for version, expected in (("1.6", in_16), ("2.0.1", in_201), ("2.1", in_21)):
        peer = charger_link(version)
        event = peer.receive(text, 0.0)
        reply = event.reply if isinstance(event, Refused) else None
        assert (" ".join(json.loads(reply)[1:3]) if reply is not None else None) == expected, version
        assert peer.unanswered == 0


def test_reason_for_a_refusal_tells_what_was_wrong():
    event = charger_link("2.0.1").receive("[2,", 0.0)
    reply = '[4,"-1","RpcFrameworkError","not JSON at character 3",{}]'
    assert event == Refused("not JSON at character 3", "RpcFrameworkError", reply)


# --- 2.1 --------------------------------------------------------------------------------------------------------


def test_unconfirmed_message_of_21_is_received_and_owed_nothing():
    peer = charger_link("2.1")
    text = f'[6,"1","NotifyPeriodicEventStream",{{"id":1,"pending":0,"basetime":"{T}","data":[{{"t":0,"v":"1"}}]}}]'
    event = peer.receive(text, 0.0)
    assert event == SendReceived(Send("1", "NotifyPeriodicEventStream", json.loads(text)[3], text), ())
    assert peer.unanswered == 0
    incomplete = peer.receive('[6,"1","NotifyPeriodicEventStream",{"id":1,"pending":0,"data":[]}]', 0.0)
    assert {violation.keyword for violation in incomplete.violations} == {"required", "minItems"}


def test_unconfirmed_message_that_is_none_or_from_the_wrong_side_is_refused_silently():
    event = charger_link("2.1").receive('[6,"1","Heartbeat",{}]', 0.0)
    assert event == Refused("not an action that is sent unconfirmed", "NotImplemented", None)
    event = uplink("2.1").receive('[6,"1","NotifyPeriodicEventStream",{}]', 0.0)
    assert event == Refused("NotifyPeriodicEventStream is not for this side to send", "NotSupported", None)


def test_complaint_about_our_result_is_told():
    event = charger_link("2.1").receive('[5,"1","FormatViolation","why",{}]', 0.0)
    assert event == ResultRefused("1", "FormatViolation", "why")


# --- what we ask ------------------------------------------------------------------------------------------------


def asking(peer, message_id="m1", now=0.0, deadline=30.0):
    return peer.start_call(message_id, "Reset", {"type": "Soft"}, now, deadline)


def test_answer_is_matched_to_the_outstanding_call_and_checked():
    peer = charger_link()
    assert asking(peer) == '[2,"m1","Reset",{"type":"Soft"}]'
    assert peer.outstanding == OutstandingCall("m1", "Reset", 0.0, 30.0)
    text = '[3,"m1",{"status":"Maybe"}]'
    event = peer.receive(text, 1.0)
    assert event == AnswerReceived("m1", "Reset", CallResult("m1", {"status": "Maybe"}, text), False, event.violations)
    assert [violation.keyword for violation in event.violations] == ["enum"]
    assert peer.outstanding is None


def test_callerror_is_an_answer():
    peer = charger_link()
    asking(peer)
    text = '[4,"m1","SomethingOdd","why",{}]'
    error = CallError("m1", "SomethingOdd", "why", {}, text)
    assert peer.receive(text, 1.0) == AnswerReceived("m1", "Reset", error, False, ())


def test_second_call_has_to_wait_for_the_first():
    peer = charger_link()
    asking(peer)
    with pytest.raises(RuntimeError, match="Reset is still outstanding"):
        asking(peer, "m2")
    assert peer.outstanding.message_id == "m1"


def test_call_that_is_not_json_is_not_outstanding():
    peer = charger_link()
    with pytest.raises(ValueError, match="JSON"):
        peer.start_call("m1", "Reset", {"type": float("nan")}, 0.0, 30.0)
    assert peer.outstanding is None


def test_calls_may_cross():
    peer = charger_link()
    asking(peer)
    assert isinstance(peer.receive(HEARTBEAT, 1.0), CallReceived)
    assert peer.outstanding is not None
    assert peer.answer("h1", {}) == '[3,"h1",{}]'


@pytest.mark.parametrize("message_id", ["m2", "-1", "M1", "m1 "])
def test_answer_to_nothing_that_was_asked_is_unknown_and_changes_nothing(message_id):
    peer = charger_link()
    asking(peer)
    assert peer.receive(f'[3,"{message_id}",{{}}]', 1.0) == AnswerUnknown(message_id)
    assert peer.outstanding.message_id == "m1"


def test_answer_that_comes_twice_is_unknown_the_second_time():
    peer = charger_link()
    asking(peer)
    answer = '[3,"m1",{"status":"Accepted"}]'
    assert isinstance(peer.receive(answer, 1.0), AnswerReceived)
    assert peer.receive(answer, 1.0) == AnswerUnknown("m1")


def test_call_expires_at_its_deadline_and_makes_room_for_the_next():
    peer = charger_link()
    assert peer.expire(99.0) is None
    asking(peer)
    assert peer.expire(29.9) is None
    assert peer.expire(30.0) == OutstandingCall("m1", "Reset", 0.0, 30.0)
    assert peer.outstanding is None
    assert peer.expire(30.0) is None
    asking(peer, "m2", 30.0, 60.0)


def test_answer_after_the_deadline_is_recognised_as_late_once():
    peer = charger_link()
    asking(peer)
    peer.expire(30.0)
    asking(peer, "m2", 30.0, 60.0)
    text = '[3,"m1",{"status":"Accepted"}]'
    late = AnswerReceived("m1", "Reset", CallResult("m1", {"status": "Accepted"}, text), True, ())
    assert peer.receive(text, 31.0) == late
    assert peer.outstanding.message_id == "m2"
    assert peer.receive(text, 31.0) == AnswerUnknown("m1")


def test_answer_that_comes_before_expire_is_called_is_in_time():
    peer = charger_link()
    asking(peer)
    event = peer.receive('[3,"m1",{"status":"Accepted"}]', 31.0)
    assert not event.late


def test_late_answer_is_recognised_for_ten_minutes():
    for seconds, kind in ((600.0, AnswerReceived), (600.1, AnswerUnknown)):
        peer = charger_link()
        asking(peer)
        peer.expire(30.0)
        assert isinstance(peer.receive('[3,"m1",{"status":"Accepted"}]', 30.0 + seconds), kind)


def test_memory_of_late_calls_is_bounded_and_forgets_the_oldest():
    peer = charger_link()
    for number in range(MAX_LATE + 1):
        asking(peer, f"m{number}", 0.0, 1.0)
        peer.expire(1.0)
    assert peer.receive('[4,"m0","InternalError","",{}]', 2.0) == AnswerUnknown("m0")
    assert peer.receive('[4,"m1","InternalError","",{}]', 2.0).late


def test_lost_link_gives_back_the_outstanding_call_and_recognises_nothing():
    peer = charger_link()
    assert peer.abandon() is None
    asking(peer)
    peer.expire(30.0)
    asking(peer, "m2", 30.0, 60.0)
    assert peer.abandon() == OutstandingCall("m2", "Reset", 30.0, 60.0)
    assert peer.outstanding is None
    for message_id in ("m1", "m2"):
        assert isinstance(peer.receive(f'[3,"{message_id}",{{}}]', 31.0), AnswerUnknown)


# --- laws -------------------------------------------------------------------------------------------------------


def test_what_recorded_chargers_sent_is_received_but_for_the_fuzzers_wrong_directions():
    refused = []
    for version, pattern in (("1.6", "*_16_*"), ("2.0.1", "*_201_*"), ("2.1", "*_21_*")):
        peer = charger_link(version, max_unanswered=1)
        for direction, text in recorded(f"{pattern}.jsonl"):
            event = peer.receive(text, 0.0) if direction == "up" else None
            if isinstance(event, CallReceived):
                peer.answer(event.call.message_id, {})
            elif isinstance(event, Refused):
                refused.append(event.code)
    assert set(refused) <= {"NotSupported", "RpcFrameworkError"}
    assert len(refused) <= 8


VERSIONS_AND_SIDES = [(version, side) for version in ("1.6", "2.0.1", "2.1") for side in (Sender.STATION, Sender.CSMS)]


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(VERSIONS_AND_SIDES),
    st.lists(damaged_texts() | st.text(st.characters(), max_size=30), min_size=1, max_size=6),
)
def test_any_text_gives_exactly_one_event_whose_reply_is_a_callerror(version_and_side, texts):
    version, side = version_and_side
    peer = RpcPeer(version, side, CHARGER_LIMITS, max_unanswered=2)
    peer.start_call("id", "DataTransfer", {"vendorId": "x"}, 0.0, 1.0)
    for text in texts:
        event = peer.receive(text, 0.5)
        assert isinstance(event, Received)
        if isinstance(event, Refused) and event.reply is not None:
            assert json.loads(event.reply)[0] == 4
            event.reply.encode()


class Conversation(RuleBasedStateMachine):
    """Both directions at once, against a model that remembers what is owed."""

    @initialize()
    def connect(self):
        self.peer = charger_link(max_unanswered=4, late_for=100.0)
        self.now = 0.0
        self.asked = None
        self.late = {}
        self.owed = []
        self.random = Random(0)
        self.count = 0

    def fresh_id(self):
        self.count += 1
        return f"m{self.count}"

    @rule(seconds=st.sampled_from([0.0, 1.0, 29.0, 30.0, 99.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        message_id = self.fresh_id()
        if self.asked is None:
            asking(self.peer, message_id, self.now, self.now + 30.0)
            self.asked = (message_id, self.now + 30.0)
        else:
            with pytest.raises(RuntimeError):
                asking(self.peer, message_id, self.now, self.now + 30.0)

    @rule()
    def deadline_is_checked(self):
        expired = self.peer.expire(self.now)
        if self.asked is not None and self.now >= self.asked[1]:
            assert expired.message_id == self.asked[0]
            self.late[expired.message_id] = self.asked[1]
            self.asked = None
        else:
            assert expired is None

    @rule(pick=st.integers(0, 10**6), is_error=st.booleans())
    def answer_arrives(self, pick, is_error):
        known = [*self.late, *([self.asked[0]] if self.asked is not None else []), "never asked"]
        message_id = known[pick % len(known)]
        text = f'[4,"{message_id}","InternalError","",{{}}]' if is_error else f'[3,"{message_id}",{{}}]'
        event = self.peer.receive(text, self.now)
        if self.asked is not None and message_id == self.asked[0]:
            assert (event.late, event.message_id) == (False, message_id)
            self.asked = None
        elif message_id in self.late and self.now - self.late.pop(message_id) <= 100.0:
            assert (event.late, event.message_id) == (True, message_id)
        else:
            assert event == AnswerUnknown(message_id)

    @rule(message_id=st.sampled_from(["a", "b", "c"]))
    def call_arrives(self, message_id):
        event = self.peer.receive(f'[2,"{message_id}","Heartbeat",{{}}]', self.now)
        if len(self.owed) == 4:
            assert event == Flooded(5)
        else:
            assert event.call.message_id == message_id
            self.owed.append(message_id)

    @precondition(lambda self: self.owed)
    @rule(is_error=st.booleans())
    def owed_answer_is_given(self, is_error):
        message_id = self.owed.pop(0)
        text = self.peer.refuse(message_id, "InternalError") if is_error else self.peer.answer(message_id, {})
        assert json.loads(text)[:2] == [4 if is_error else 3, message_id]

    @rule(text=st.sampled_from(["nonsense", '[2,"x","Reset",{}]', '[3,"m1"]', '[7,"x"]', '[5,"m1","x","",{}]']))
    def bad_text_changes_nothing(self, text):
        assert isinstance(self.peer.receive(text, self.now), Refused)

    @invariant()
    def peer_agrees_with_the_model(self):
        assert (self.peer.outstanding.message_id if self.peer.outstanding else None) == (
            self.asked[0] if self.asked else None
        )
        assert self.peer.unanswered == len(self.owed)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
