import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators.meter_bus import checksum as by_hand
from simulators.meter_bus import rtu_answer

from edge.site.rtu import (
    NotAnAnswer,
    Question,
    Refused,
    answer_length,
    checksum,
    judge,
    quiet_s,
    request_frame,
    transfer_s,
)

# from Eastron's description of the protocol: volts of L1, 230.2
QUESTION = Question(1, 4, 0, 2)
ASKED = bytes.fromhex("01 04 00 00 00 02 71 CB")
ANSWERED = bytes.fromhex("01 04 04 43 66 33 34 1B 38")

questions = st.builds(
    Question, st.integers(1, 247), st.sampled_from((3, 4)), st.integers(0, 0xFF00), st.integers(1, 125)
)


def sound_answer(question: Question, seed: int = 1) -> tuple[bytes, tuple[int, ...]]:
    words = tuple((seed * 7919 + word * 104729) & 0xFFFF for word in range(question.count))
    return rtu_answer(question.unit, question.function_code, words), words


def test_the_manufacturers_example_is_asked_and_understood():
    assert request_frame(QUESTION) == ASKED
    assert judge(QUESTION, ANSWERED) == (0x4366, 0x3334)
    assert judge(QUESTION, bytes.fromhex("01 84 02 C2 C1")) == Refused(2)


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_the_standard(data):
    assert checksum(data) == by_hand(data)


@given(questions, st.integers(0, 1000))
def test_an_answer_is_its_words_and_nothing_before_it_is_complete(question, seed):
    frame, words = sound_answer(question, seed)
    assert judge(question, frame) == words
    assert len(frame) == answer_length(question.count)
    for end in range(len(frame)):
        assert judge(question, frame[:end]) is None


@given(questions, st.data())
def test_no_flipped_bit_goes_unnoticed(question, data):
    frame, _ = sound_answer(question)
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    broken = bytearray(frame)
    broken[bit // 8] ^= 1 << (bit % 8)
    judged = judge(question, bytes(broken))
    assert judged is None or isinstance(judged, NotAnAnswer)


@given(questions, st.binary(min_size=1, max_size=20))
def test_bytes_after_an_answer_spoil_it(question, more):
    frame, _ = sound_answer(question)
    assert isinstance(judge(question, frame + more), NotAnAnswer)


@given(questions, questions)
def test_the_answer_to_a_question_of_another_length_unit_or_function_is_none(question, other):
    frame, words = sound_answer(other)
    is_alike = (question.unit, question.function_code, question.count) == (
        other.unit,
        other.function_code,
        other.count,
    )
    judged = judge(question, frame)
    assert judged == words if is_alike else isinstance(judged, NotAnAnswer)


@given(questions, st.binary(max_size=280))
def test_noise_is_judged_without_failing(question, noise):
    judged = judge(question, noise)
    assert judged is None or isinstance(judged, NotAnAnswer | Refused | tuple)


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        ("02 04 04", "unit 2 answered"),
        ("01 03 04", "answered with function code 3"),
        ("01 04 06", "answered with 3 registers"),
        ("01 04 05", "answered with 5 bytes"),
        ("01 83 02", "answered with function code 131"),
        ("01 04 04 43 66 33 34 1B 39", "the checksum of the answer is wrong"),
        ("01 84 02 C2 C0", "the checksum of the answer is wrong"),
        ("01 84 02 C2 C1 00", "more bytes came after the answer"),
    ],
)
def test_what_is_wrong_is_told_as_soon_as_it_is_known(heard, reason):
    assert judge(QUESTION, bytes.fromhex(heard)) == NotAnAnswer(reason)


def test_an_adapter_that_hears_itself_is_borne():
    for end in range(len(ASKED) + 1):
        assert judge(QUESTION, ASKED[:end]) is None
    assert judge(QUESTION, ASKED + ANSWERED[:5]) is None
    assert judge(QUESTION, ASKED + ANSWERED) == (0x4366, 0x3334)


def test_times_are_those_of_the_wire():
    assert quiet_s(9600) == pytest.approx(0.00401, abs=1e-5)
    assert quiet_s(115200) == 0.00175
    assert transfer_s(54, 9600) == pytest.approx(0.139, abs=1e-3)
