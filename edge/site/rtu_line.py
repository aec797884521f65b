"""Modbus RTU on one wire: one question at a time, and nothing but its own answer is ever taken for its answer.

An RTU answer does not say which question it answers, so a unit that answers late would be believed to answer the next
question. Four things prevent it: what is heard is forgotten before each question; unit, function code, length and
checksum have to be right (`rtu.py`), and no two blocks of a profile have the same length (`requests.py`); after
anything but an answer the wire stays silent for as long as was waited, so that what comes late is heard and forgotten;
and a unit that failed is asked twice: its first answer is thrown away, and there must be silence after it.
"""

import asyncio
from typing import Final

from edge.site.modbus import LineDown, ModbusRefused, ModbusSilent, ModbusWrongAnswer
from edge.site.rtu import Answer, NotAnAnswer, Question, Refused, judge, quiet_s, request_frame, transfer_s
from edge.site.wires import Wire

SHORTEST_PATIENCE_S: Final = 0.3
LONGEST_THINKING_S: Final = 0.7
"""No meter thinks longer; with the bytes of an answer it makes about a second."""
SPARE_S: Final = 0.1
"""For adapters that collect bytes (16 ms each), a gateway's network and a busy machine."""
TO_CONNECT_S: Final = 1.0
SILENCES_BEFORE_REOPENING: Final = 5
"""In a row, by whomever: a gateway that was restarted, or an adapter that hangs, is opened again."""
BABBLE_S: Final = 1.0
"""Longer than this nobody waits for silence on the wire."""


class RtuLine:
    """A serial line or a gateway. One reader at a time (`bus.py`)."""

    def __init__(self, wire: Wire, baudrate: int) -> None:
        self.baudrate = baudrate
        self._wire = wire
        self._ear = wire.ear
        self._quiet_s = quiet_s(baudrate)
        self._silent_until = float("-inf")
        self._doubtful: set[int] = set()
        """Units from which an answer may still come, to a question that was given up."""
        self._silences = 0

    def patience_s(self, count: int, turnaround_s: float) -> float:
        thinking_s = min(2 * turnaround_s, LONGEST_THINKING_S)
        return max(SHORTEST_PATIENCE_S, thinking_s + transfer_s(count, self.baudrate) + SPARE_S)

    async def read(self, question: Question, within: float) -> tuple[int, ...]:
        await self._wire.open(max(within, TO_CONNECT_S))
        if question.unit in self._doubtful:
            await self._ask(question, within)  # perhaps the answer to an earlier question
            await self._hear_nothing(question, within)
        answer = await self._ask(question, within)
        self._doubtful.discard(question.unit)
        if isinstance(answer, Refused):
            raise ModbusRefused(answer.exception_code, f"{self._wire.name} {question}")
        return answer

    async def quiet(self) -> None:
        await self._wait_for_quiet()

    def close(self) -> None:
        self._wire.close()

    async def _ask(self, question: Question, within: float) -> tuple[int, ...] | Refused:
        """The answer that came. Raises ModbusSilent or ModbusWrongAnswer; then the unit is doubtful."""
        await self._wait_for_quiet()
        self._wire.flush()
        where = f"{self._wire.name} {question}"
        self._doubtful.add(question.unit)  # until its answer is here: also if this task is cancelled
        is_answered = False
        try:
            self._wire.send(request_frame(question))
            answer = await self._hear(question, within)
            if isinstance(answer, NotAnAnswer):
                raise ModbusWrongAnswer(f"{where}: {answer.reason}")
            is_answered = True
        except TimeoutError as error:
            raise self._given_up(where, within) from error
        finally:
            if not is_answered:
                self._silent_until = asyncio.get_running_loop().time() + within
        self._silences = 0
        return answer

    async def _hear(self, question: Question, within: float) -> Answer:
        """Raises TimeoutError."""
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + within):
            while (answer := judge(question, self._ear.heard)) is None:
                if self._ear.is_deaf:
                    raise LineDown(f"{self._wire.name}: the connection broke while {question} were awaited")
                await self._ear.news()
        return answer

    def _given_up(self, where: str, within: float) -> ModbusSilent | ModbusWrongAnswer:
        self._silences += 1
        if self._silences >= SILENCES_BEFORE_REOPENING:
            self._silences = 0
            self._wire.close()
        heard = len(self._ear.heard)
        if heard > 0:
            return ModbusWrongAnswer(f"{where}: the answer ended after {heard} bytes; waited {within:g} s")
        return ModbusSilent(f"{where}: no answer within {within:g} s")

    async def _hear_nothing(self, question: Question, within: float) -> None:
        """Raises ModbusWrongAnswer if something is said to nobody: it answers a question of before."""
        self._silent_until = asyncio.get_running_loop().time() + within
        self._wire.flush()
        where = f"{self._wire.name} {question}"
        try:
            async with asyncio.timeout_at(self._silent_until):
                while not self._ear.heard:
                    if self._ear.is_deaf:
                        raise LineDown(f"{where}: the connection broke")
                    await self._ear.news()
        except TimeoutError:
            return
        raise ModbusWrongAnswer(f"{where}: answers later than after {within:g} s; not believed until it is in time")

    async def _wait_for_quiet(self) -> None:
        """Until a guard time is over and nobody has spoken for the time that ends a frame. Raises LineDown."""
        loop = asyncio.get_running_loop()
        give_up_at = max(loop.time(), self._silent_until) + BABBLE_S
        while (wait_s := max(self._silent_until, self._ear.last_at + self._quiet_s) - loop.time()) > 0:
            if loop.time() > give_up_at:
                raise LineDown(f"{self._wire.name}: somebody talks without being asked; is there a second master?")
            await asyncio.sleep(wait_s)
