"""The wires that carry RTU: a serial port, or a TCP connection to a gateway that passes bytes on.

Bytes go out, bytes that are heard are kept with the time of the last one; what they mean is not known here
(`rtu_line.py`). The only module that knows pyserial. A serial port is opened exclusively: two programs on one line
would take each other's answers.
"""

import asyncio
import contextlib
import errno
import os
import pwd
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from edge.config.connections import RtuGateway, SerialPort, SerialSettings
from edge.site.modbus import LineDown, SettingsImpossible, why

if TYPE_CHECKING:
    from serial import Serial

BY_ID: Final = "/dev/serial/by-id"
_PORT_FAILED: Final = (OSError, termios.error)
"""pyserial's own exception is an OSError; what it does not wrap is not."""
_LARGEST_HEARD: Final = 4096
"""Bytes; an RTU frame has at most 256. Whoever says more without being asked is not listened to."""


class Ear:
    """What has been heard and not yet been taken."""

    def __init__(self) -> None:
        self.heard = b""
        self.last_at = float("-inf")
        """When the last byte came, in the loop's time."""
        self.is_deaf = True
        """The wire is not open, or has been lost."""
        self._news = asyncio.Event()

    def hear(self, data: bytes) -> None:
        self.last_at = asyncio.get_running_loop().time()
        self.heard = (self.heard + data)[-_LARGEST_HEARD:]
        self._news.set()

    def opened(self) -> None:
        self.is_deaf = False
        self.heard = b""

    def lost(self) -> None:
        self.is_deaf = True
        self._news.set()

    async def news(self) -> None:
        """Return when more has been heard since the last look, or the wire was lost."""
        self._news.clear()
        if not self.is_deaf:
            await self._news.wait()


class Wire(Protocol):
    ear: Ear

    @property
    def name(self) -> str:
        """For messages."""
        ...

    async def open(self, within: float) -> None:
        """Raises LineDown with what a technician can do about it. Nothing if it is open."""
        ...

    def send(self, frame: bytes) -> None:
        """Raises LineDown."""
        ...

    def flush(self) -> None:
        """Forget what came in and was not asked for."""
        ...

    def close(self) -> None: ...


class SerialWire:
    def __init__(self, port: SerialPort, settings: SerialSettings) -> None:
        self.ear = Ear()
        self._device = port.device
        self._settings = settings
        self._serial: Serial | None = None

    @property
    def name(self) -> str:
        return self._device

    async def open(self, within: float) -> None:  # noqa: ARG002 - opening a port takes no time
        if self._serial is not None and not self.ear.is_deaf:
            return
        self.close()
        from serial import Serial

        settings = self._settings
        try:
            self._serial = Serial(
                self._device,
                baudrate=settings.baudrate,
                bytesize=8,
                parity=settings.parity,
                stopbits=settings.stopbits,
                timeout=0,
                write_timeout=0,
                exclusive=True,
            )
        except (*_PORT_FAILED, ValueError) as error:
            raise _not_open(self._device, settings, error) from error
        self.ear.opened()
        asyncio.get_running_loop().add_reader(self._serial.fileno(), self._readable)

    def _readable(self) -> None:
        assert self._serial is not None
        try:
            data = self._serial.read(_LARGEST_HEARD)
        except OSError:  # SerialException is one: the adapter was pulled out
            self.close()
            return
        if data:
            self.ear.hear(data)

    def send(self, frame: bytes) -> None:
        if self._serial is None:
            raise LineDown(f"{self._device}: the port is not open")
        try:
            sent = self._serial.write(frame)
        except OSError as error:
            self.close()
            raise LineDown(f"{self._device}: cannot be written to: {why(error)}; is the adapter plugged in?") from error
        if sent != len(frame):
            self.close()
            raise LineDown(f"{self._device}: does not take the request; the port is opened again")

    def flush(self) -> None:
        self.ear.heard = b""
        if self._serial is not None:
            try:
                self._serial.reset_input_buffer()
            except _PORT_FAILED:
                self.close()

    def close(self) -> None:
        self.ear.lost()
        port, self._serial = self._serial, None
        if port is None:
            return
        asyncio.get_running_loop().remove_reader(port.fileno())
        with contextlib.suppress(*_PORT_FAILED):
            port.reset_output_buffer()  # else closing waits until a dead adapter has sent it
        with contextlib.suppress(*_PORT_FAILED):
            port.close()


def _not_open(device: str, settings: SerialSettings, error: Exception) -> LineDown:
    """In words, with what to do next."""
    code = _code(error)
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return LineDown(f"{device}: there is no such serial port; is the adapter plugged in? {_present()}")
    if code in (errno.EACCES, errno.EPERM):
        user = _user()
        return LineDown(f"{device}: no permission; {user} has to be in group dialout: sudo usermod -aG dialout {user}")
    if code in (errno.EBUSY, errno.EAGAIN):
        return LineDown(f"{device}: another program, or a meter under another name of the port, has it open")
    if code in (errno.ENOTTY, errno.EISDIR):
        return LineDown(f"{device}: is not a serial port. {_present()}")
    if code == errno.EINVAL or not isinstance(error, OSError):
        return SettingsImpossible(f"{device}: does not do {settings}")
    return LineDown(f"{device}: cannot be opened: {why(error)}")


def _code(error: BaseException | None) -> int | None:
    """The number of the operating system: pyserial hands it on, or wraps what has it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, termios.error):
        return int(error.args[0]) if error.args and isinstance(error.args[0], int) else None
    return None if error is None else _code(error.__context__)


def _user() -> str:
    """Whom this program runs as: the daemon's user, or the person who probes."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _present() -> str:
    try:
        names = sorted(str(path) for path in Path(BY_ID).iterdir())
    except OSError:
        names = []
    if not names:
        return f"{BY_ID} shows none"
    return f"There are, by names that stay the same: {', '.join(names)}"


class GatewayWire:
    """A TCP connection to a gateway. Its serial side is set in the gateway itself."""

    def __init__(self, gateway: RtuGateway) -> None:
        self.ear = Ear()
        self._gateway = gateway
        self._connection: _Connection | None = None

    @property
    def name(self) -> str:
        return f"{self._gateway.host}:{self._gateway.port}"

    async def open(self, within: float) -> None:
        if self._connection is not None and not self.ear.is_deaf:
            return
        self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + within):
                _, self._connection = await loop.create_connection(
                    lambda: _Connection(self.ear), self._gateway.host, self._gateway.port
                )
        except TimeoutError as error:
            raise LineDown(f"{self.name}: no connection to the gateway within {within:g} s") from error
        except OSError as error:
            raise LineDown(f"{self.name}: no connection to the gateway: {why(error)}") from error

    def send(self, frame: bytes) -> None:
        if self._connection is None or self._connection.transport is None:
            raise LineDown(f"{self.name}: the gateway has closed the connection")
        self._connection.transport.write(frame)

    def flush(self) -> None:
        self.ear.heard = b""

    def close(self) -> None:
        self.ear.lost()
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None


class _Connection(asyncio.Protocol):
    """Tells the ear what comes, until it is abandoned: the ear is the next connection's, too."""

    def __init__(self, ear: Ear) -> None:
        self._ear: Ear | None = ear
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._ear is not None:
            self._ear.opened()

    def data_received(self, data: bytes) -> None:
        if self._ear is not None:
            self._ear.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever ended it
        self.transport = None
        if self._ear is not None:
            self._ear.lost()

    def abandon(self) -> None:
        self._ear = None
        if self.transport is not None:
            self.transport.abort()
