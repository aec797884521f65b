"""Serial ports without hardware: pseudo-terminals. What a program sets is kept, and means nothing.

`PseudoSerial` is one port whose other end is a Python object; `CrossedPorts` are two ports wired to each other, for
programs at both ends that want the name of a device.
"""

import asyncio
import contextlib
import os
import pty
import re
import termios
import tty
from collections.abc import Callable
from typing import Self

SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[0-9]+", name)}


class PseudoSerial:
    """`device` is what a program opens; what it writes comes to `on_data`, `write` is what it reads."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._on_data = on_data
        self._ours, self._theirs = pty.openpty()
        for end in (self._ours, self._theirs):
            tty.setraw(end)
        os.set_blocking(self._ours, False)
        self.device = os.ttyname(self._theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: the bytes are lost, as on a wire
            os.write(self._ours, data)

    @property
    def baudrate(self) -> int:
        """As whoever opened the device has set it; 0: none of the usual ones."""
        return SPEEDS.get(termios.tcgetattr(self._theirs)[5], 0)

    def close(self) -> None:
        """As if the adapter were pulled out."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def _readable(self) -> None:
        self._on_data(os.read(self._ours, 4096))


class CrossedPorts:
    """Two serial ports with a crossed cable between them: `a` and `b` are their devices."""

    def __init__(self) -> None:
        self._a = PseudoSerial(lambda data: self._b.write(data))  # noqa: PLW0108 - b is made below
        self._b = PseudoSerial(self._a.write)
        self.a, self.b = self._a.device, self._b.device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._a.close()
        self._b.close()
