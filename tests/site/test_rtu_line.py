"""RTU on a pseudo-terminal and through a gateway: only its own answer is ever taken for the answer to a question."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from pymodbus.client import AsyncModbusSerialClient
from simulators.meter_bus import Fault, Image, Meter, MeterBus
from simulators.pseudo_serial import PseudoSerial

from edge.config.connections import SerialSettings, parse_connection
from edge.site.installation import line_to
from edge.site.modbus import LineDown, ModbusError, ModbusRefused, ModbusSilent, ModbusWrongAnswer
from edge.site.rtu import Question
from edge.site.rtu_line import RtuLine
from tests.site.polling import eventually, listening

PATIENCE_S = 0.1
"""Short, so that tests are; long enough for a loaded machine to answer in time."""
WIRES = ("serial", "gateway")


def telling_addresses() -> Image:
    """Each register says its own address, so that an answer tells which question it answers."""
    return Image({address: address for address in range(1000)})


@asynccontextmanager
async def bus_of(*units: int, wire: str = "serial", baudrate: int | None = None) -> AsyncIterator[MeterBus]:
    async with MeterBus({unit: Meter(telling_addresses()) for unit in units}, baudrate=baudrate) as bus:
        if wire == "serial":
            bus.open_serial()
        else:
            await bus.open_rtu_over_tcp()
        yield bus


@asynccontextmanager
async def line_of(connection: str, baudrate: int = 9600) -> AsyncIterator[RtuLine]:
    line = line_to([parse_connection(connection)], [SerialSettings(baudrate)])
    assert isinstance(line, RtuLine)
    try:
        yield line
    finally:
        line.close()


async def ask(line: RtuLine, address: int, count: int = 2, unit: int = 1) -> tuple[int, ...]:
    return await line.read(Question(unit, 4, address, count), PATIENCE_S)


def those_of(address: int, count: int = 2) -> tuple[int, ...]:
    return tuple(range(address, address + count))


# ── the fault that is guarded against ─────────────────────────────────────────────────────────


class SlowDevice:
    """A device on a pseudo-terminal that answers its first question too late, and then at once."""

    def __init__(self, late_s: float) -> None:
        self.port = PseudoSerial(self._hear)
        self._image = telling_addresses()
        self._late_s = late_s
        self._bus = MeterBus({1: Meter(self._image)})
        self._bus.say = self.port.write  # type: ignore[method-assign]
        self._bus.meters[1].late_s = late_s
        self._bus.meters[1].misbehave(Fault.LATE, times=1)

    def _hear(self, data: bytes) -> None:
        self._bus._hear(data)


async def test_a_modbus_stack_alone_takes_a_late_answer_for_the_answer_to_the_next_question():
    """What happens without the guards, with the stack that reads Modbus TCP here: wrong registers, wrong length."""
    device = SlowDevice(late_s=1.5 * PATIENCE_S)
    client = AsyncModbusSerialClient(device.port.device, timeout=PATIENCE_S, retries=0, reconnect_delay=0)
    assert await client.connect()
    with pytest.raises(Exception, match="No response"):
        await client.read_input_registers(100, count=6, device_id=1)
    device._bus.meters[1].misbehave(Fault.LATE, times=1)  # so that the late answer is the first one to come
    answer = await client.read_input_registers(700, count=2, device_id=1)
    assert tuple(answer.registers) == those_of(100, 6), "registers of 100, where those of 700 were asked for"
    client.close()
    await asyncio.sleep(1.5 * PATIENCE_S)
    device.port.close()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("late_in_patiences", [1.2, 1.5, 1.9, 2.05, 2.5])
async def test_a_late_answer_is_never_the_answer_to_the_next_question(wire, late_in_patiences):
    async with bus_of(1, wire=wire) as bus, line_of(bus.connection) as line:
        assert await ask(line, 500) == those_of(500)
        bus.meters[1].late_s = late_in_patiences * PATIENCE_S
        bus.meters[1].misbehave(Fault.LATE, times=1)
        with pytest.raises(ModbusSilent, match="no answer within 0.1 s"):
            await ask(line, 100)
        for address in (700, 720, 740, 760, 780):
            try:
                assert await ask(line, address) == those_of(address)
            except ModbusWrongAnswer:
                continue  # seen through


# ── every fault, on both wires ────────────────────────────────────────────────────────────────

FAULTS = {
    Fault.SILENT: (ModbusSilent, "no answer within"),
    Fault.LATE: (ModbusSilent, "no answer within"),
    Fault.SHORT: (ModbusWrongAnswer, "the answer ended after 4 bytes"),
    Fault.LONG: (ModbusWrongAnswer, "more bytes came after the answer"),
    Fault.FEWER: (ModbusWrongAnswer, "answered with 1 registers"),
    Fault.MORE: (ModbusWrongAnswer, "answered with 3 registers"),
    Fault.WRONG_UNIT: (ModbusWrongAnswer, "unit 2 answered"),
    Fault.WRONG_FUNCTION: (ModbusWrongAnswer, "answered with function code 3"),
    Fault.WRONG_CHECKSUM: (ModbusWrongAnswer, "checksum"),
    Fault.REFUSING: (ModbusRefused, "exception 4 .device failure."),
    Fault.NOBODY: (ModbusRefused, "exception 11 .gateway target device failed to respond."),
    Fault.PREVIOUS: (ModbusSilent, "no answer within"),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", Fault)
async def test_a_wrong_answer_fails_the_read_and_leaves_the_line_usable(fault, wire):
    kind, message = FAULTS[fault]
    async with bus_of(1, 2, wire=wire) as bus, line_of(bus.connection) as line:
        assert await ask(line, 10) == those_of(10)
        bus.meters[1].late_s = 1.5 * PATIENCE_S
        bus.meters[1].misbehave(fault, times=1)
        with pytest.raises(kind, match=f"unit 1: 2 input registers from 20: .*{message}"):
            await ask(line, 20)
        assert await ask(line, 30, unit=2) == those_of(30)
        assert await ask(line, 40) == those_of(40)


async def test_no_answer_of_a_device_that_answers_whenever_it_likes_is_ever_wrong():
    """Any delay up to three times what is waited: each answer that is accepted has the registers asked for."""
    chance = random.Random(1)
    lengths = dict(enumerate(range(2, 10)))  # as the blocks of a profile: none as long as another one
    accepted = refused = 0
    async with bus_of(1, 2) as bus, line_of(bus.connection) as line:
        for _ in range(80):
            for meter in bus.meters.values():
                meter.late_s = chance.uniform(0, 3) * PATIENCE_S
                meter.misbehave(Fault.LATE if chance.random() < 0.4 else None)
            number = chance.randrange(8)
            try:
                got = await ask(line, 100 * number, lengths[number], chance.choice((1, 2)))
            except ModbusError:
                refused += 1
            else:
                accepted += 1
                assert got == those_of(100 * number, lengths[number])
    assert accepted > 15
    assert refused > 15


async def test_after_a_failure_the_wire_is_silent_as_long_as_was_waited():
    async with bus_of(1, 2) as bus, line_of(bus.connection) as line:
        bus.meters[1].misbehave(Fault.SILENT, times=1)
        with pytest.raises(ModbusSilent):
            await ask(line, 10)
        await ask(line, 20, unit=2)
        silent, next_one = (request.at for request in bus.requests)
        assert next_one - silent >= 1.5 * PATIENCE_S


async def test_a_unit_that_failed_is_asked_twice_with_silence_between():
    async with bus_of(1, 2) as bus, line_of(bus.connection) as line:
        bus.meters[1].misbehave(Fault.SILENT, times=1)
        with pytest.raises(ModbusSilent):
            await ask(line, 10)
        assert await ask(line, 20) == those_of(20)
        assert await ask(line, 30) == those_of(30)
        assert [request.address for request in bus.requests] == [10, 20, 20, 30]
        assert bus.requests[2].at - bus.requests[1].at >= PATIENCE_S


async def test_a_second_answer_in_that_silence_shows_a_unit_that_answers_late():
    async with bus_of(1) as bus, line_of(bus.connection) as line:
        bus.meters[1].misbehave(Fault.SILENT, times=1)
        with pytest.raises(ModbusSilent):
            await ask(line, 10)
        asyncio.get_running_loop().call_later(1.5 * PATIENCE_S, bus._asked, bytes([1, 4, 0, 10, 0, 2]))
        with pytest.raises(
            ModbusWrongAnswer, match=r"answers later than after 0.1 s; not believed until it is in time"
        ):
            await ask(line, 20)
        assert await ask(line, 30) == those_of(30)


async def test_what_nobody_asked_for_is_forgotten():
    async with bus_of(1) as bus, line_of(bus.connection) as line:
        assert await ask(line, 10) == those_of(10)
        bus._asked(bytes([1, 4, 3, 0, 0, 2]))  # an answer to a question of somebody else
        await asyncio.sleep(0.005)
        assert await ask(line, 20) == those_of(20)


async def test_a_wire_on_which_somebody_talks_all_the_time_is_said_to_be_so():
    # at 300 baud a pause is 0.13 s: this machine may well stop for some milliseconds by itself
    async with bus_of(1, wire="gateway") as bus, line_of(bus.connection, 300) as line:

        async def babble() -> None:
            while True:
                bus.say(b"\x55" * 8)
                await asyncio.sleep(0)

        assert await ask(line, 10) == those_of(10)
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(babble())
            await eventually(lambda: line._ear.heard != b"")
            with pytest.raises(LineDown, match="somebody talks without being asked; is there a second master"):
                await ask(line, 20)
            talking.cancel()
        assert await ask(line, 30) == those_of(30)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_cancelled_read_is_treated_as_one_that_failed(wire):
    async with bus_of(1, wire=wire) as bus, line_of(bus.connection) as line:
        bus.meters[1].late_s = 0.5 * PATIENCE_S
        bus.meters[1].misbehave(Fault.LATE, times=1)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(ask(line, 100))
            await eventually(lambda: len(bus.requests) == 1)
            reading.cancel()
        assert await ask(line, 700) == those_of(700)
        assert [request.address for request in bus.requests] == [100, 700, 700]


# ── time ──────────────────────────────────────────────────────────────────────────────────────


async def test_patience_suits_the_speed_of_the_line_and_the_meter():
    slow = line_to([parse_connection("rtu:///dev/null")], [SerialSettings(2400)])
    fast = line_to([parse_connection("rtu:///dev/null")], [SerialSettings(9600)])
    # 8 + 113 bytes of 11 bits, twice 60 ms of thinking, 0.1 s to spare
    assert fast.patience_s(54, 0.06) == pytest.approx(0.1 + 0.12 + 121 * 11 / 9600)
    assert slow.patience_s(54, 0.06) == pytest.approx(0.1 + 0.12 + 121 * 11 / 2400)
    assert fast.patience_s(2, 0.02) == 0.3
    assert fast.patience_s(2, 5.0) < 1


async def test_the_bytes_of_a_slow_line_are_waited_for():
    async with bus_of(1, baudrate=19200) as bus, line_of(bus.connection) as line:
        assert await line.read(Question(1, 4, 0, 60), line.patience_s(60, 0.0)) == those_of(0, 60)


# ── the wire itself ───────────────────────────────────────────────────────────────────────────


async def test_a_serial_port_that_is_not_there_is_explained():
    async with line_of("rtu:///dev/ttyNone") as line:
        with pytest.raises(LineDown, match=r"/dev/ttyNone: there is no such serial port; is the adapter plugged in\?"):
            await ask(line, 10)


async def test_a_file_that_is_no_serial_port_is_explained(tmp_path):
    (tmp_path / "tty").write_text("")
    async with line_of(f"rtu://{tmp_path}/tty") as line:
        with pytest.raises(LineDown, match="is not a serial port"):
            await ask(line, 10)


async def test_a_serial_port_is_opened_as_it_is_set_and_for_nobody_else():
    """A pseudo-terminal carries bytes at any speed and parity, so that only the port itself tells."""
    async with bus_of(1) as bus, line_of(f"{bus.connection}?baudrate=19200&parity=E&stopbits=2") as line:
        assert await ask(line, 10) == those_of(10)
        port = line._wire._serial
        assert (port.baudrate, port.bytesize, port.parity, port.stopbits, port.exclusive) == (19200, 8, "E", 2, True)
        assert bus._serial.baudrate == 19200


@contextmanager
def without_permission(device: str) -> Iterator[None]:
    os.chmod(device, 0o600 if os.geteuid() == 0 else 0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may open everything
    try:
        yield
    finally:
        os.seteuid(user)


async def test_a_serial_port_without_permission_names_the_group_to_join():
    async with bus_of(1) as bus, line_of(bus.connection) as line:
        device = bus.connection.removeprefix("rtu://")
        with without_permission(device), pytest.raises(LineDown) as refused:
            await ask(line, 10)
        user = re.fullmatch(
            rf"{device}: no permission; (\S+) has to be in group dialout: sudo usermod -aG dialout (\S+)",
            str(refused.value),
        )
        assert user is not None and user[1] == user[2]


async def test_a_serial_port_that_is_open_elsewhere_is_explained():
    async with bus_of(1) as bus, line_of(bus.connection) as line, line_of(bus.connection) as second:
        await ask(line, 10)
        with pytest.raises(LineDown, match="another program, or a meter under another name of the port, has it open"):
            await ask(second, 10)
        line.close()
        assert await ask(second, 20) == those_of(20)


async def test_an_adapter_that_is_pulled_out_and_put_back_is_used_again(tmp_path):
    by_id = tmp_path / "usb-adapter"
    async with bus_of(1) as bus, bus_of(1) as other:
        by_id.symlink_to(bus.connection.removeprefix("rtu://"))
        async with line_of(f"rtu://{by_id}") as line:
            assert await ask(line, 10) == those_of(10)
            bus._serial.close()
            bus._serial = None
            by_id.unlink()
            await eventually(lambda: line._ear.is_deaf)
            with pytest.raises(LineDown, match="no such serial port"):
                await ask(line, 20)
            by_id.symlink_to(other.connection.removeprefix("rtu://"))
            assert await ask(line, 30) == those_of(30)


async def test_a_gateway_that_is_not_there_is_told():
    async with listening(lambda _reader, _writer: asyncio.sleep(0)) as port:
        pass
    async with line_of(f"rtu+tcp://127.0.0.1:{port}") as line:
        with pytest.raises(LineDown, match=rf"127.0.0.1:{port}: no connection to the gateway: Connection refused"):
            await ask(line, 10)


async def test_a_gateway_that_hangs_up_is_connected_again():
    async with bus_of(1, wire="gateway") as bus, line_of(bus.connection) as line:
        assert await ask(line, 10) == those_of(10)
        bus.hang_up()
        await eventually(lambda: line._ear.is_deaf)
        assert await ask(line, 20) == those_of(20)


async def test_a_gateway_that_hangs_up_instead_of_an_answer_is_told():
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(8)

    async with listening(hang_up) as port, line_of(f"rtu+tcp://127.0.0.1:{port}") as line:
        with pytest.raises(LineDown, match="the connection broke while unit 1: 2 input registers from 10 were awaited"):
            await ask(line, 10)


async def test_a_wire_on_which_nobody_answers_any_more_is_opened_again():
    connections = 0

    async def hangs_the_first_time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await reader.read()
            return
        device = MeterBus({1: Meter(telling_addresses())})
        device._writers.add(writer)
        while data := await reader.read(256):
            device._hear(data)

    async with listening(hangs_the_first_time) as port, line_of(f"rtu+tcp://127.0.0.1:{port}") as line:
        for _ in range(5):
            with pytest.raises(ModbusSilent):
                await ask(line, 10)
        assert await ask(line, 20) == those_of(20)
        assert connections == 2
