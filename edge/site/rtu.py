"""Modbus RTU frames: a question becomes bytes, and the bytes that are heard an answer. Pure.

RTU is what a wire carries: unit, function code, data, checksum; nothing in an answer tells which question it answers.
So everything that *can* be wrong is checked here, and `rtu_line.py` sees to it that an answer is only heard when it is
expected. (Modbus over Serial Line 1.02, 2.5; Modbus Application Protocol 1.1b3, 6.3 and 7.)
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from edge.site.registers import FunctionCode

BITS_PER_BYTE: Final = 11
"""Start, eight data bits, parity or a second stop bit, stop."""
REFUSED: Final = 0x80
_QUIET_CHARACTERS: Final = 3.5
_QUIET_AT_LEAST_S: Final = 0.00175
"""Above 19200 baud the silence between frames no longer shrinks (Modbus over Serial Line 1.02, 2.5.1.1)."""


@dataclass(frozen=True, slots=True)
class Question:
    unit: int
    function_code: FunctionCode
    address: int
    count: int

    def __str__(self) -> str:
        kind = "holding" if self.function_code == 3 else "input"
        return f"unit {self.unit}: {self.count} {kind} registers from {self.address}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The unit answered with an exception."""

    exception_code: int


@dataclass(frozen=True, slots=True)
class NotAnAnswer:
    """What was heard does not answer the question."""

    reason: str


Answer: TypeAlias = tuple[int, ...] | Refused | NotAnAnswer
"""The words that were asked for, or why there are none."""


def request_frame(question: Question) -> bytes:
    head = bytes([question.unit, question.function_code])
    return _with_checksum(head + question.address.to_bytes(2, "big") + question.count.to_bytes(2, "big"))


def request_length() -> int:
    return 8


def answer_length(count: int) -> int:
    return 5 + 2 * count


def quiet_s(baudrate: int) -> float:
    """The silence that ends a frame."""
    return max(_QUIET_AT_LEAST_S, _QUIET_CHARACTERS * BITS_PER_BYTE / baudrate)


def transfer_s(count: int, baudrate: int) -> float:
    """How long the bytes of a question for `count` registers and of its answer are on the wire."""
    return (request_length() + answer_length(count)) * BITS_PER_BYTE / baudrate


def judge(question: Question, heard: bytes) -> Answer | None:
    """What the bytes since the question say; None as long as the answer is not complete."""
    # Some RS-485 adapters hear themselves. An answer that begins with our question in full would be a strange one:
    # its length would have to stand where the address stands.
    echo = request_frame(question)
    if echo.startswith(heard):
        return None
    heard = heard.removeprefix(echo)
    if heard[0] != question.unit:
        return NotAnAnswer(f"unit {heard[0]} answered")
    if len(heard) < 3:
        return None
    if heard[1] == question.function_code | REFUSED:
        return _whole(heard, 5) or Refused(heard[2]) if len(heard) >= 5 else None
    if heard[1] != question.function_code:
        return NotAnAnswer(f"answered with function code {heard[1]}")
    if heard[2] != 2 * question.count:
        registers = f"{heard[2] // 2} registers" if heard[2] % 2 == 0 else f"{heard[2]} bytes"
        return NotAnAnswer(f"answered with {registers}")
    length = answer_length(question.count)
    if len(heard) < length:
        return None
    words = tuple(int.from_bytes(heard[at : at + 2], "big") for at in range(3, length - 2, 2))
    return _whole(heard, length) or words


def _whole(heard: bytes, length: int) -> NotAnAnswer | None:
    """What is wrong with a frame that should be so many bytes long, and nothing after it."""
    if checksum(heard[: length - 2]) != heard[length - 2 : length]:
        return NotAnAnswer("the checksum of the answer is wrong")
    if len(heard) > length:
        return NotAnAnswer("more bytes came after the answer")
    return None


def checksum(frame: bytes) -> bytes:
    """CRC-16 with the reflected polynomial A001, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _with_checksum(frame: bytes) -> bytes:
    return frame + checksum(frame)


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_remainder(byte) for byte in range(256))
