import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.transport import NULLMODEM_HOST

from edge.site.modbus import GUARD_S, LineDown, ModbusRefused, ModbusSilent, ModbusWrongAnswer, TcpLine
from edge.site.rtu import Question
from tests.site.polling import Serve, eventually, listening

TIMEOUT_S = 0.3


class Link:
    """A line that is asked in short."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._line = TcpLine(host, port, timeout_s)
        self._timeout_s = timeout_s

    async def read(self, function_code: int, address: int, count: int, unit: int) -> tuple[int, ...]:
        return await self._line.read(Question(unit, function_code, address, count), self._timeout_s)

    def close(self) -> None:
        self._line.close()


@asynccontextmanager
async def linked(serve: Serve, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Link]:
    async with listening(serve) as port:
        link = Link("127.0.0.1", port, timeout_s)
        try:
            yield link
        finally:
            link.close()


@asynccontextmanager
async def device(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[Link]:
    """A Modbus TCP device in raw bytes: `answer` gets a request and returns what comes back, None hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            reply = answer(request)
            if reply is None:
                break
            writer.write(reply)

    async with linked(serve) as link:
        yield link


def frame(request: bytes, pdu: bytes) -> bytes:
    return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def test_the_asked_words_are_read_from_either_register_space():
    def answer(request: bytes) -> bytes:
        return frame(request, request[7:8] + b"\x04\x12\x34\xff\xfe")

    async with device(answer) as link:
        assert await link.read(4, 0, 2, unit=1) == (0x1234, 0xFFFE)
        assert await link.read(3, 7, 2, unit=9) == (0x1234, 0xFFFE)


async def test_a_device_that_does_not_answer_is_silent_after_the_deadline_and_can_be_asked_again():
    answers = [b"", b"\x04\x02\x00\x07"]

    def answer(request: bytes) -> bytes:
        pdu = answers.pop(0)
        return frame(request, pdu) if pdu else b""

    async with device(answer) as link:
        with pytest.raises(
            ModbusSilent, match=r"127.0.0.1:\d+ unit 1: 1 input registers from 0: no answer within 0.3 s"
        ):
            await link.read(4, 0, 1, unit=1)
        assert await link.read(4, 0, 1, unit=1) == (7,)


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one():
    connections = 0

    async def slow_gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Misses the first deadline, answers questions in order and with the transaction ids of the newest."""
        nonlocal connections
        connections += 1
        questions: list[bytes] = []
        while request := await reader.read(12):
            questions.append(request)
            if connections == 1 and len(questions) == 1:
                continue
            asked = questions.pop(0)
            writer.write(frame(request, b"\x04\x02" + asked[8:10]))

    async with linked(slow_gateway) as link:
        with pytest.raises(ModbusSilent):
            await link.read(4, 100, 1, unit=1)
        assert await link.read(4, 200, 1, unit=1) == (200,)


@pytest.mark.parametrize(("code", "name"), [(2, "illegal data address"), (6, "device busy"), (77, "unknown")])
async def test_an_exception_of_the_device_is_a_refusal_with_its_name(code, name):
    async with device(lambda request: frame(request, bytes([0x84, code]))) as link:
        with pytest.raises(
            ModbusRefused, match=rf"54 input registers from 0: refused with Modbus exception {code} \({name}\)"
        ) as refused:
            await link.read(4, 0, 54, unit=1)
        assert refused.value.exception_code == code


async def test_after_a_gateway_has_said_that_a_unit_did_not_answer_its_line_is_left_silent():
    """What the unit says late, some gateways give to the next question, with its transaction id and unit."""
    asked_at: list[float] = []

    def answer(request: bytes) -> bytes:
        asked_at.append(asyncio.get_running_loop().time())
        return frame(request, b"\x84\x0b" if len(asked_at) == 1 else b"\x04\x02\x00\x07")

    async with device(answer) as link:
        with pytest.raises(ModbusRefused, match="gateway target device failed to respond"):
            await link.read(4, 0, 1, unit=1)
        for _ in range(3):
            assert await link.read(4, 0, 1, unit=2) == (7,)
    assert asked_at[1] - asked_at[0] > 0.9 * GUARD_S
    assert asked_at[3] - asked_at[1] < GUARD_S, "once"


async def test_an_answer_of_another_length_is_wrong():
    async with device(lambda request: frame(request, b"\x04\x06\x00\x01\x00\x02\x00\x03")) as link:
        with pytest.raises(ModbusWrongAnswer, match="2 input registers from 0: answered with 3 registers"):
            await link.read(4, 0, 2, unit=1)


async def test_an_answer_with_something_behind_its_registers_is_wrong():
    async with device(lambda request: frame(request, b"\x04\x04\x00\x01\x00\x02\x00\x03")) as link:
        with pytest.raises(ModbusWrongAnswer, match="2 input registers from 0: answered with more than its registers"):
            await link.read(4, 0, 2, unit=1)


async def test_an_answer_in_pieces_is_put_together():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            for byte in frame(request, b"\x04\x04\x00\x01\x00\x02"):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.001)

    async with linked(serve) as link:
        for _ in range(2):
            assert await link.read(4, 0, 2, unit=1) == (1, 2)


async def test_an_answer_to_another_function_is_wrong():
    async with device(lambda request: frame(request, b"\x03\x04\x00\x01\x00\x02")) as link:
        with pytest.raises(ModbusWrongAnswer, match="answered with function code 3"):
            await link.read(4, 0, 2, unit=1)


NO_ANSWER = "%d bytes came that are no answer to it"


@pytest.mark.parametrize(
    ("nonsense", "expected"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", NO_ANSWER % 28, id="not modbus"),
        pytest.param(
            b"\x00\x01\x00\x00\x00\x07\x01\x04\x08\x00\x01\x00\x02", NO_ANSWER % 13, id="byte count too large"
        ),
        pytest.param(b"\x00\x01\x00\x00\x00\x03\x01\x63\x00", NO_ANSWER % 9, id="unknown function"),
        pytest.param(bytes(100), NO_ANSWER % 100, id="zeros"),
        pytest.param(bytes(300), "no answer within", id="more than any answer"),
        pytest.param(
            b"\x00\x01\x00\x00\x00\x05\x02\x04\x02\x00\x01" + b"\x00\x01\x00\x00\x00\x03\x01\x63\x00",
            "unit 2 answered",
            id="unknown function behind the answer of another unit",
        ),
    ],
)
async def test_nonsense_fails_the_read_and_leaves_the_link_usable(nonsense, expected, caplog):
    replies = [nonsense]

    def answer(request: bytes) -> bytes:
        return replies.pop() if replies else frame(request, b"\x04\x02\x00\x07")

    async with device(answer) as link:
        with pytest.raises((ModbusWrongAnswer, ModbusSilent), match=expected):
            await link.read(4, 0, 1, unit=1)
        assert await link.read(4, 0, 1, unit=1) == (7,)
    assert [record.name for record in caplog.records if record.name == "asyncio"] == [], "a defect of ours, it says"


async def test_an_answer_of_another_unit_is_wrong():
    async with device(lambda asked: frame(asked[:6] + bytes([asked[6] + 1]) + asked[7:], b"\x04\x02\x00\x07")) as link:
        with pytest.raises(ModbusWrongAnswer, match="unit 1: 1 input registers from 0: unit 2 answered"):
            await link.read(4, 0, 1, unit=1)


@pytest.mark.parametrize("pdu", [b"\x04\x02\x00\x07", b"\x84\x0b"], ids=["words", "exception"])
@pytest.mark.parametrize("wrong", [b"\x00\x00", b"\x12\x34"], ids=["0", "another"])
async def test_an_answer_with_another_transaction_id_is_wrong(wrong, pdu):
    """0 is another one, too: it may be the answer to any earlier question."""
    connections = 0

    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while request := await reader.read(12):
            writer.write(wrong + frame(request, pdu)[2:] if connections == 1 else frame(request, b"\x04\x02\x00\x09"))

    async with linked(forgetful) as link:
        with pytest.raises(ModbusWrongAnswer, match="transaction id|no answer to it"):
            await link.read(4, 0, 1, unit=1)
        assert await link.read(4, 0, 1, unit=1) == (9,), "over a new connection"


async def test_an_answer_that_comes_twice_is_not_kept_for_the_next_question():
    def answer(request: bytes) -> bytes:
        one = frame(request, b"\x04\x02" + request[8:10])
        return one + one

    async with device(answer) as link:
        for address in (100, 200):
            with pytest.raises(ModbusWrongAnswer, match="answered with more than its registers"):
                await link.read(4, address, 1, unit=1)


async def test_a_device_that_hangs_up_is_reported_as_such():
    async with device(lambda _: None) as link:
        with pytest.raises(ModbusSilent, match="connection closed by the device"):
            await link.read(4, 0, 1, unit=1)


async def test_a_device_that_hangs_up_between_reads_is_connected_again():
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(12)
        writer.write(frame(request, b"\x04\x02\x00\x07"))
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    async with linked(serve) as link:
        for _ in range(3):
            assert await link.read(4, 0, 1, unit=1) == (7,)
            await hung_up.wait()
            hung_up.clear()
            await asyncio.sleep(0)  # the end of the connection reaches us with the next turn of the loop


async def test_a_dead_port_is_reported_with_the_reason(dead_port):
    link = Link("127.0.0.1", dead_port, TIMEOUT_S)
    with pytest.raises(LineDown, match=rf"127.0.0.1:{dead_port}: no connection: Connection refused"):
        await link.read(4, 0, 1, unit=1)


async def test_a_host_that_does_not_take_the_connection_is_reported_as_such():
    link = Link(NULLMODEM_HOST, 1, TIMEOUT_S)  # pymodbus's way to a network where nobody listens
    with pytest.raises(LineDown, match=r":1: no connection within 0.3 s"):
        await link.read(4, 0, 1, unit=1)


async def test_a_cancelled_read_leaves_no_task_and_no_connection():
    asked = asyncio.Event()
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(12)
        asked.set()
        await reader.read()
        hung_up.set()

    async with linked(serve, timeout_s=5) as link:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(link.read(4, 0, 1, unit=1))
            await asked.wait()
            reading.cancel()
        await eventually(hung_up.is_set)
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
