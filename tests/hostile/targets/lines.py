"""A device that answers anything, at the other end of a real line to it: Modbus TCP, and RTU through a gateway.

The line and, for TCP, pymodbus with it are the daemon's own, on virtual time and in-memory connections. An answer is
taken for a reading only if what had come by then is the one right answer, byte for byte; whatever else comes ends in
a `ModbusError` with words for a technician, within the time that was given.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from random import Random

from simulators.meter_bus import checksum, rtu_answer

from edge.config.connections import RtuGateway
from edge.site.modbus import Line, ModbusError, TcpLine
from edge.site.rtu import Question
from edge.site.rtu_line import RtuLine
from edge.site.wires import GatewayWire
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.mutation import damaged
from tests.hostile.targets.rtu import HEADER, answer_frame, asked
from tests.simulation.loop import SimLoop, run

DEVICE = ("127.0.0.1", 502)
WITHIN_S = 0.3
AT_MOST_S = 20.0
"""Virtual seconds that one read may take: with the silence that a line keeps after a failure."""
LATER_S = 0.02
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # as in the daemon: it would keep each frame


class Lines:
    batch = 1_500
    is_fresh_each_time = False

    def __init__(self, name: str, *, is_tcp: bool) -> None:
        self.name = name
        self._is_tcp = is_tcp

    def inputs(self, chance: Random) -> Iterator[bytes]:
        """Block, unit, how many bytes come at once (0: all), and what comes; of a TCP answer's number the difference."""
        blocks = asked()
        while True:
            number, unit = int(chance.random() * len(blocks)), chance.choice((1, 1, 1, 2, 247))
            frame = answer_frame(blocks[number].question(unit), chance)
            if self._is_tcp:
                length = len(frame) - 2 if chance.random() < 0.9 else int(chance.random() * 300)
                wrong = bytes(2) if chance.random() < 0.9 else chance.choice((b"\0\1", b"\xff\xff", b"\1\0"))
                frame = wrong + bytes(2) + length.to_bytes(2, "big") + frame[:-2]
            if chance.random() < 0.5:
                frame = damaged(frame, chance)
                if not self._is_tcp and chance.random() < 0.3:
                    frame = frame[:-2] + checksum(frame[:-2])
            elif chance.random() < 0.1:
                frame = frame * chance.choice((2, 2, 100))
            at_once = 0 if chance.random() < 0.7 else 1 + int(chance.random() * 12)
            yield number.to_bytes(4, "big") + bytes((unit, at_once)) + frame

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        async def main(loop: SimLoop) -> None:
            device = Device(is_tcp=self._is_tcp)
            server = await loop.create_server(device.connected, *DEVICE)
            line = self._line()
            for data in inputs:
                tally.begin(data)
                tally.end(accepted=await self._judge(line, device, data))
            line.close()
            await asyncio.sleep(1.0)
            server.close()

        run(main)

    def _line(self) -> Line:
        return TcpLine(*DEVICE, WITHIN_S) if self._is_tcp else RtuLine(GatewayWire(RtuGateway(*DEVICE)), 9600)

    async def _judge(self, line: Line, device: "Device", data: bytes) -> bool:
        about = asked()[int.from_bytes(data[:4], "big") % len(asked())]
        question = about.question(data[4] or 1)
        device.plan(data[HEADER:], data[HEADER - 1])
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            words = await line.read(question, WITHIN_S)
        except ModbusError as error:
            if not str(error) or "\n" in str(error):
                raise Escape(f"no words for a technician: {error!r}") from error
            return False
        finally:
            if loop.time() - began > AT_MOST_S:
                raise Escape(f"one read took {loop.time() - began:.1f} s")
        self._must_be_right(question, words, device)
        return True

    def _must_be_right(self, question: Question, words: tuple[int, ...], device: "Device") -> None:
        right = rtu_answer(question.unit, question.function_code, words)
        if self._is_tcp:
            right = device.number + bytes(2) + (len(right) - 2).to_bytes(2, "big") + right[:-2]
        if len(words) != question.count or device.sent != right:
            raise Escape(f"{question}: taken for the answer: {device.sent.hex(' ')}")


class Device:
    """Answers each question with what was planned last."""

    def __init__(self, *, is_tcp: bool) -> None:
        self.number = bytes(2)
        """Of the last question (Modbus TCP)."""
        self.sent = b""
        """Since the last question."""
        self._is_tcp = is_tcp
        self._answer = b""
        self._at_once = 0
        self._questions = 0

    def plan(self, answer: bytes, at_once: int) -> None:
        self._answer, self._at_once = answer, at_once

    def connected(self) -> asyncio.Protocol:
        return _End(self)

    def asked(self, question: bytes, transport: asyncio.Transport) -> None:
        self._questions += 1
        answer = self._answer
        if self._is_tcp:
            self.number = question[:2]
            answer = bytes(ours ^ wrong for ours, wrong in zip(self.number, answer, strict=False)) + answer[2:]
        self.sent = b""
        at_once = self._at_once or max(1, len(answer))
        pieces = [answer[at : at + at_once] for at in range(0, len(answer), at_once)][:40]
        for number, piece in enumerate(pieces):
            asyncio.get_running_loop().call_later(number * LATER_S, self._send, self._questions, piece, transport)

    def _send(self, of_question: int, piece: bytes, transport: asyncio.Transport) -> None:
        if of_question == self._questions and not transport.is_closing():
            self.sent += piece
            transport.write(piece)


class _End(asyncio.Protocol):
    def __init__(self, device: Device) -> None:
        self._device = device

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._device.asked(data, self._transport)


TCP = Lines("modbus-tcp", is_tcp=True)
GATEWAY = Lines("modbus-gateway", is_tcp=False)
