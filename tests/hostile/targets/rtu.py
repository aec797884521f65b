"""The bytes that are heard after a question on an RS-485 line → words, a refusal, or no answer.

Nothing is accepted but the one frame that answers the question, byte for byte (made here by `simulators/meter_bus.py`,
which shares no line with the reader). What is accepted goes on to be decoded by each meter profile and judged: whatever
words a meter says, a reading of them is finite, or there is a reason why there is none.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

from simulators.meter_bus import checksum, rtu_answer

from edge.site.plausibility import Wiring, implausible, largest_current_a, reading_from, unknown_needed
from edge.site.profiles import load_profile
from edge.site.registers import Block, Group, MeterProfile, add_up, decode
from edge.site.requests import plan
from edge.site.rtu import NotAnAnswer, Question, Refused, judge, request_frame
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.mutation import damaged

AT = datetime(2026, 3, 1, tzinfo=UTC)
METERS = Path(__file__).parents[3] / "edge" / "site" / "meters"
HEADER = 6
"""Bytes of an input that say which question was asked; the rest is what is heard."""
_WIRING = Wiring()
_ODD_WORDS = (0, 1, 0x7F80, 0x7FC0, 0x7FFF, 0x8000, 0xFF80, 0xFFFF, 0x4366, 0x3F80, 0xC366)


@dataclass(frozen=True)
class Asked:
    profile: MeterProfile
    block: Block

    def question(self, unit: int) -> Question:
        return Question(unit, self.block.function_code, self.block.address, self.block.count)


@cache
def asked() -> tuple[Asked, ...]:
    """Every block that any of our profiles asks for."""
    profiles = [load_profile(file.stem) for file in sorted(METERS.glob("*.toml"))]
    return tuple(
        Asked(profile, block)
        for profile in profiles
        for baudrate in (None, 9600)
        for group in Group
        for block in plan(profile, baudrate)[group]
    )


def words(chance: Random, count: int) -> tuple[int, ...]:
    odd = chance.random()
    return tuple(
        _ODD_WORDS[int(chance.random() * len(_ODD_WORDS))] if chance.random() < odd else int(chance.random() * 65536)
        for _ in range(count)
    )


def answer_frame(question: Question, chance: Random) -> bytes:
    """Sound, or sound for another question."""
    kind = chance.random()
    unit, function_code, count = question.unit, question.function_code, question.count
    if kind < 0.08:
        body = bytes((unit, function_code | 0x80, int(chance.random() * 256)))
        return body + checksum(body)
    if kind < 0.16:
        count = max(1, count + chance.choice((-2, -1, 1, 2, 100)))
    elif kind < 0.22:
        unit = chance.choice((0, unit ^ 1, 255))
    elif kind < 0.28:
        function_code = chance.choice((1, 2, 3, 4, 5, 16, 43))
    return rtu_answer(unit, function_code, words(chance, min(count, 125)))


class Rtu:
    name = "modbus-rtu"
    batch = 40_000
    is_fresh_each_time = True

    def inputs(self, chance: Random) -> Iterator[bytes]:
        blocks = asked()
        while True:
            number = int(chance.random() * len(blocks))
            unit = 1 + int(chance.random() * 247)
            question = blocks[number].question(unit)
            heard = answer_frame(question, chance)
            kind = chance.random()
            if kind < 0.5:
                heard = damaged(heard, chance)
            elif kind < 0.6:
                body = damaged(heard[:-2], chance)
                heard = body + checksum(body)  # wrong in another way than by its checksum
            elif kind < 0.66:
                heard = request_frame(question) + heard
            elif kind < 0.7:
                heard = heard + answer_frame(question, chance)
            elif kind < 0.73:
                heard = bytes(int(chance.random() * 256) for _ in range(int(chance.random() * 40)))
            yield number.to_bytes(4, "big") + bytes((unit, 0)) + heard

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        for data in inputs:
            tally.begin(data)
            tally.end(accepted=_judge(data))


def _judge(data: bytes) -> bool:
    about = asked()[int.from_bytes(data[:4], "big") % len(asked())]
    question, heard = about.question(data[4]), data[HEADER:]
    found = judge(question, heard)
    if found is None or isinstance(found, NotAnAnswer):
        return False
    answer = heard.removeprefix(request_frame(question))
    if isinstance(found, Refused):
        body = bytes((question.unit, question.function_code | 0x80, found.exception_code))
        if answer != body + checksum(body):
            raise Escape(f"taken for a refusal: {heard.hex(' ')}")
        return False
    must_be_the_answer(question, found, answer, rtu_answer(question.unit, question.function_code, found))
    must_make_sense(about, found)
    return True


def must_be_the_answer(question: Question, found: tuple[int, ...], heard: bytes, only: bytes) -> None:
    if len(found) != question.count or heard != only:
        raise Escape(f"{question}: taken for the answer: {heard.hex(' ')}")


def must_make_sense(about: Asked, found: tuple[int, ...]) -> None:
    """Words to a reading: finite numbers, or a reason."""
    values = add_up(decode(about.block, found))
    if any(value is not None and not math.isfinite(value) for value in values.values()):
        raise Escape("a value that is no number")
    if unknown_needed(values):
        return
    reading = reading_from(values, AT)
    reasons = implausible(reading, (10, 10), largest_current_a(about.profile.max_current_a, values, _WIRING))
    numbers = (*reading.voltage_v, *reading.current_a, *reading.power_w, reading.power_total_w, reading.frequency_hz)
    if not reasons and any(value is not None and not math.isfinite(value) for value in numbers):
        raise Escape("a reading that is no number")
    if any("\n" in reason or len(reason) > 300 for reason in reasons):
        raise Escape(f"no reason that can be read: {reasons!a}")


RTU = Rtu()
