"""Whatever the text, `parse` gives one frame or says what is wrong; what we send is compact and correct."""

import json
import time
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.ocppj.frames import (
    CHARGER_LIMITS,
    CSMS_LIMITS,
    Call,
    CallError,
    CallResult,
    CallResultError,
    Limits,
    Malformed,
    Send,
    call_text,
    encode_json,
    error_text,
    parse,
    result_text,
)
from tests.ocppj.corpus import recorded

NUL, HALF, PAIR = "\\u0000", "\\ud83d", "\\ud83d\\ude00"


def parsed(text, limits=CHARGER_LIMITS):
    return parse(text, limits)


def call_with(payload):
    return f'[2,"id","Heartbeat",{payload}]'


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('[2,"id","Heartbeat",{}]', lambda t: Call("id", "Heartbeat", {}, t)),
        (' [ 2 , "id" , "Heartbeat" , { } ] ', lambda t: Call("id", "Heartbeat", {}, t)),
        ('[2,"id","Heartbeat",null]', lambda t: Call("id", "Heartbeat", {}, t)),
        ('[2,"id","A",{"a":[1,-2.5e3,true,null]}]', lambda t: Call("id", "A", {"a": [1, -2500.0, True, None]}, t)),
        ('[3,"id",{"a":1}]', lambda t: CallResult("id", {"a": 1}, t)),
        ('[3,"id",null]', lambda t: CallResult("id", {}, t)),
        ('[4,"id","InternalError","why",{"a":1}]', lambda t: CallError("id", "InternalError", "why", {"a": 1}, t)),
        ('[4,"id","InternalError","why"]', lambda t: CallError("id", "InternalError", "why", {}, t)),
        ('[4,"id","InternalError"]', lambda t: CallError("id", "InternalError", "", {}, t)),
        ('[4,"id","InternalError",null,null]', lambda t: CallError("id", "InternalError", "", {}, t)),
        ('[4,"id","InternalError",7,[]]', lambda t: CallError("id", "InternalError", "", {}, t)),
        ('[4,"-1","RpcFrameworkError","",{}]', lambda t: CallError("-1", "RpcFrameworkError", "", {}, t)),
        ('[5,"id","InternalError","why",{}]', lambda t: CallResultError("id", "InternalError", "why", {}, t)),
        ('[6,"id","NotifyPeriodicEventStream",{}]', lambda t: Send("id", "NotifyPeriodicEventStream", {}, t)),
        (f'[2,"{"x" * 255}","A",{{}}]', lambda t: Call("x" * 255, "A", {}, t)),
        (call_with(f'{{"a":"{PAIR}é\\n"}}'), lambda t: Call("id", "Heartbeat", {"a": "😀é\n"}, t)),
        (call_with('{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}'), lambda t: Call("id", "Heartbeat", {"a": "[" * 38}, t)),
        (call_with(f'{{"a":[{",".join(["[]"] * 99)}]}}'), lambda t: Call("id", "Heartbeat", {"a": [[]] * 99}, t)),
        (call_with('{"a":9223372036854775807,"b":-9223372036854775808}'), lambda t: Call("id", "Heartbeat", {"a": 2**63 - 1, "b": -(2**63)}, t)),
    ],
)  # fmt: skip
def test_frame_is_read_and_keeps_its_text(text, frame):
    assert parsed(text) == frame(text)


DEEP = "[" * 33
SYNTAX, CONTENT, KIND = "RpcFrameworkError", "FormationViolation", "MessageTypeNotSupported"


@pytest.mark.parametrize(
    ("text", "code", "message_id", "reason"),
    [
        # not JSON
        ("", SYNTAX, None, "not JSON at character 0"),
        ("nonsense", SYNTAX, None, "not JSON at character 0"),
        ("\ufeff[]", SYNTAX, None, "not JSON at character 0"),
        ('[2,"id","A",{', SYNTAX, "id", "not JSON at character 13"),
        ('[2,"id","A",{}]x', SYNTAX, "id", "not JSON at character 15"),
        ("[2,'id','A',{}]", SYNTAX, None, "not JSON at character 3"),
        ('[2,"id","A",{"a":"\x00"}]', SYNTAX, "id", "not JSON at character 18"),
        ('[2,"id","A",{"a":01}]', SYNTAX, "id", "not JSON at character 18"),
        # JSON, but not a frame
        ("{}", SYNTAX, None, "not an array of at least two elements"),
        ("null", SYNTAX, None, "not an array of at least two elements"),
        ("7", SYNTAX, None, "not an array of at least two elements"),
        ('"text"', SYNTAX, None, "not an array of at least two elements"),
        ("[]", SYNTAX, None, "not an array of at least two elements"),
        ("[2]", SYNTAX, None, "not an array of at least two elements"),
        ('[2.0,"id","A",{}]', SYNTAX, "id", "the message type is not an integer"),
        ('["2","id","A",{}]', SYNTAX, "id", "the message type is not an integer"),
        ('[true,"id","A",{}]', SYNTAX, "id", "the message type is not an integer"),
        ('[null,{},"A",{}]', SYNTAX, None, "the message type is not an integer"),
        ('[[2],"id","A",{}]', SYNTAX, "id", "the message type is not an integer"),
        ('[7,"id","A",{}]', KIND, "id", "message type 7 is unknown"),
        ('[1,"id"]', KIND, "id", "message type 1 is unknown"),
        ('[-2,"id","A",{}]', KIND, "id", "message type -2 is unknown"),
        # ids that are none
        ('[2,"","A",{}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        (f'[2,"{"x" * 256}","A",{{}}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        ('[2,7,"A",{}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        ('[2,null,"A",{}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        ('[2,{},"A",{}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        ('[2,["id"],"A",{}]', SYNTAX, None, "the message id is not a string of 1 to 255 characters"),
        # a CALL or SEND of the wrong shape
        ('[2,"id"]', SYNTAX, "id", "2 elements where 4 belong"),
        ('[2,"id","A"]', SYNTAX, "id", "3 elements where 4 belong"),
        ('[2,"id","A",{},{}]', SYNTAX, "id", "5 elements where 4 belong"),
        ('[2,"id",["A"],{}]', SYNTAX, "id", "the action is not a string"),
        ('[2,"id",null,{}]', SYNTAX, "id", "the action is not a string"),
        ('[2,"id","A",[]]', CONTENT, "id", "the payload is not an object"),
        ('[2,"id","A","{}"]', CONTENT, "id", "the payload is not an object"),
        ('[2,"id","A",0]', CONTENT, "id", "the payload is not an object"),
        ('[2,"id","A",false]', CONTENT, "id", "the payload is not an object"),
        ('[6,"id","A"]', SYNTAX, "id", "3 elements where 4 belong"),
        # legal JSON that cannot be held
        (call_with('{"a":1,"a":1}'), CONTENT, "id", "a key stands twice in one object"),
        (call_with('{"a":[{"b":1,"c":2,"b":3}]}'), CONTENT, "id", "a key stands twice in one object"),
        (call_with('{"a":NaN}'), CONTENT, "id", "NaN and Infinity are not JSON"),
        (call_with('{"a":Infinity}'), CONTENT, "id", "NaN and Infinity are not JSON"),
        (call_with('{"a":-Infinity}'), CONTENT, "id", "NaN and Infinity are not JSON"),
        (call_with('{"a":1e999}'), CONTENT, "id", "a number beyond double precision"),
        (call_with('{"a":-1e999}'), CONTENT, "id", "a number beyond double precision"),
        (call_with('{"a":9223372036854775808}'), CONTENT, "id", "an integer beyond 64 bits"),
        (call_with('{"a":-9223372036854775809}'), CONTENT, "id", "an integer beyond 64 bits"),
        (call_with('{"a":%s}' % ("9" * 5000)), CONTENT, "id", "an integer beyond 64 bits"),
        (call_with('{"a":-%s}' % ("9" * 5000)), CONTENT, "id", "an integer beyond 64 bits"),
        (call_with(f'{{"a":"{NUL}"}}'), CONTENT, "id", "NUL or half a surrogate pair in a string"),
        (call_with(f'{{"{NUL}":1}}'), CONTENT, "id", "NUL or half a surrogate pair in a string"),
        (call_with(f'{{"a":["x",{{"b":"{HALF}"}}]}}'), CONTENT, "id", "NUL or half a surrogate pair in a string"),
        (call_with(f'{{"{HALF}x":1}}'), CONTENT, "id", "NUL or half a surrogate pair in a string"),
        (call_with('{"a":"\ud800"}'), CONTENT, "id", "NUL or half a surrogate pair in a string"),
        (f'[2,"{NUL}","A",{{}}]', CONTENT, None, "NUL or half a surrogate pair in a string"),
        (f'[2,"id","{HALF}",{{}}]', CONTENT, "id", "NUL or half a surrogate pair in a string"),
        ('[2,"\ud800","A",{}]', CONTENT, None, "NUL or half a surrogate pair in a string"),
        # size and depth
        (call_with('{"a":"%s"}' % ("x" * 300_000)), CONTENT, "id", "longer than 262144 characters"),
        ("[" * 250_000, CONTENT, None, "nested deeper than 32"),
        (call_with('{"a":' * 250), CONTENT, "id", "nested deeper than 32"),
        (call_with("[" * 32 + "]" * 32), CONTENT, "id", "nested deeper than 32"),
        (f'[2,"id","A","{PAIR}",{DEEP}', CONTENT, "id", "nested deeper than 32"),
        (f'"{DEEP}\\"" {DEEP}', CONTENT, None, "nested deeper than 32"),
    ],
)  # fmt: skip
def test_text_that_is_no_frame_is_malformed(text, code, message_id, reason):
    assert parsed(text) == Malformed(reason, code, message_id)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ('[3,"id"]', SYNTAX, "2 elements where 3 belong"),
        ('[3,"id","Authorize",{}]', SYNTAX, "4 elements where 3 belong"),  # recorded: fuzzer_16_wrong_direction
        ('[3,"id",[]]', CONTENT, "the payload is not an object"),
        ('[4,"id"]', SYNTAX, "2 elements where 5 belong"),
        ('[4,"id","A","",{},{}]', SYNTAX, "6 elements where 5 belong"),
        ('[4,"id",{},"",{}]', SYNTAX, "the error code is not a string"),
        ('[5,"id",1,"",{}]', SYNTAX, "the error code is not a string"),
    ],
)
def test_answer_of_the_wrong_shape_is_malformed_and_known_as_an_answer(text, code, reason):
    assert parsed(text) == Malformed(reason, code, "id", is_answer=True)


def test_answer_without_id_is_known_as_an_answer():
    assert parsed("[3,7,{}]").is_answer
    assert not parsed('[2,7,"A",{}]').is_answer


def test_depth_is_counted_up_to_the_limit():
    text = call_with('{"a":' + "[" * 30 + "]" * 30 + "}")
    assert isinstance(parsed(text), Call)
    assert parsed(call_with('{"a":' + "[" * 31 + "]" * 31 + "}")).reason == "nested deeper than 32"
    assert isinstance(parsed(text, Limits(1000, max_depth=31)), Malformed)


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 120_000 + "[" * 40,
        '"' * 200_000 + "[" * 40,
        "[" * 40 + '"' + "\\" * 200_001,
        "[]" * 120_000,
        ("[" * 30 + "]" * 30) * 4000,
        "{" * 40 + '\\"' * 100_000,
    ],
)
def test_counting_depth_takes_linear_time(text):
    started = time.perf_counter()
    assert isinstance(parsed(text), Malformed)
    assert time.perf_counter() - started < 1.0


def test_limits_are_those_decided():
    assert Limits(256 * 1024, 32) == CHARGER_LIMITS
    assert Limits(4 * 1024 * 1024, 32) == CSMS_LIMITS


def test_every_recorded_frame_is_read_but_the_fuzzers_malformed_answers():
    odd = [frame for _, text in recorded() if isinstance(frame := parsed(text), Malformed)]
    assert all(frame.is_answer for frame in odd)
    assert len(odd) <= 2


# --- what we send -----------------------------------------------------------------------------------------------


def test_sent_text_is_compact_and_unescaped():
    assert call_text("id", "Reset", {"type": "Soft"}) == '[2,"id","Reset",{"type":"Soft"}]'
    assert result_text("id", {"a": [1, 2.5, None, True, "é"]}) == '[3,"id",{"a":[1,2.5,null,true,"é"]}]'
    assert error_text("id", "InternalError") == '[4,"id","InternalError","",{}]'
    assert error_text("id", "GenericError", "why", {"a": 1}) == '[4,"id","GenericError","why",{"a":1}]'


def test_description_is_cut_to_255_characters():
    assert json.loads(error_text("id", "InternalError", "é" * 300))[3] == "é" * 255


def test_any_mapping_and_sequence_is_encoded():
    assert encode_json(MappingProxyType({"a": (1, range(2))})) == '{"a":[1,[0,1]]}'


def test_what_is_not_json_is_our_mistake_and_raises():
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json({"a": float("nan")})
    with pytest.raises(TypeError, match="set is not JSON"):
        encode_json({"a": {1}})


storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | storable_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(storable_text, inner, max_size=4),
    max_leaves=12,
)
payloads = st.dictionaries(storable_text, json_values, max_size=4)
message_ids = storable_text.filter(bool)


@given(message_ids, storable_text, payloads)
def test_what_we_send_is_what_is_read(message_id, word, payload):
    text = call_text(message_id, word, payload)
    assert parsed(text) == Call(message_id, word, payload, text)
    text = result_text(message_id, payload)
    assert parsed(text) == CallResult(message_id, payload, text)
    text = error_text(message_id, word, word, payload)
    assert parsed(text) == CallError(message_id, word, word, payload, text)


FRAGMENTS = (
    "[", "]", "{", "}", ",", ":", '"', "\\", "\\u0000", "\\ud800", "\ud800", "\x00", "\n", "é", "😀", "NaN", "-Infinity",
    "1e999", "9" * 4400, "-0", "2.0", "true", "null", "{}", "[]", '"a":1,', '"a":1,"a":1', "[" * 40, '{"a":' * 40,
    '[2,"id","Heartbeat",{}]', '[3,"id",{}]', '[4,"id","x","",{}]', '[5,"id","x","",{}]', '[6,"id","x",{}]', "[7", "2", "\ufeff",
)  # fmt: skip


@st.composite
def damaged_texts(draw):
    """A recorded or made-up frame, cut, doubled and spliced by the grammar's own pieces."""
    text = draw(st.sampled_from(SEEDS))
    random = Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 6))):
        start = random.randint(0, len(text))
        end = min(len(text), start + random.choice((0, 0, 1, 2, 7, 50)))
        text = text[:start] + random.choice((*FRAGMENTS, text[start:end] * 2, "")) + text[end:]
    return text


SEEDS = [text for _, text in recorded()][::7] + ['[2,"id","Heartbeat",{}]', '[3,"id",{"a":[{}]}]', '[6,"i","N",{}]']


def assert_storable(value):
    if isinstance(value, str):
        value.encode()
        assert "\x00" not in value
    elif isinstance(value, dict):
        for key, member in value.items():
            assert_storable(key)
            assert_storable(member)
    elif isinstance(value, list):
        for member in value:
            assert_storable(member)
    elif isinstance(value, int):
        assert -(2**63) <= value < 2**63
    elif isinstance(value, float):
        assert abs(value) <= 1.8e308


@settings(max_examples=1500, deadline=None)
@given(damaged_texts() | st.text(st.characters(), max_size=60) | st.lists(st.sampled_from(FRAGMENTS)).map("".join))
@example('[2,"id","A",{"a":"\ud800"}]')
def test_any_text_gives_a_frame_that_can_be_stored_or_a_reason_in_our_words(text):
    frame = parsed(text)
    if isinstance(frame, Malformed):
        assert frame.reason.isascii()
        assert len(frame.reason) < 100
        assert_storable(frame.message_id)
        return
    assert frame.text == text
    assert 1 <= len(frame.message_id) <= 255
    for field in type(frame).__slots__:
        if field != "text":
            assert_storable(getattr(frame, field))
