"""A terminal of 80 columns on which a line of bash is typed."""

import asyncio
import contextlib
import fcntl
import os
import re
import signal
import struct
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import WIDTH

PATIENCE = 60.0
LINES = 200
CTRL_C = "^C"


class Printed(NamedTuple):
    code: int
    text: str


async def typed(line: str, folder: Path, environment: Mapping[str, str], answer: str | None = None) -> Printed:
    """What the line prints, errors included, and its exit code. `answer` is typed when it asks for one."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, WIDTH, 0, 0))
    shown = bytearray()
    is_asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            loop.remove_reader(ours)
            return
        shown.extend(data)
        if answer == CTRL_C or shown.endswith((b"] ", b": ", b"? ")):
            is_asked.set()

    loop.add_reader(ours, readable)
    process = await asyncio.create_subprocess_exec(
        "bash", "-o", "pipefail", "-c", line,
        cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    try:
        async with asyncio.timeout(PATIENCE):
            if answer is not None:
                await is_asked.wait()
                os.write(ours, b"\x03" if answer == CTRL_C else answer.encode() + b"\n")
            code = await process.wait()
        loop.remove_reader(ours)
        os.set_blocking(ours, False)
        with contextlib.suppress(OSError):  # EIO at the end
            while True:
                shown.extend(os.read(ours, 65536))
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise AssertionError(f"{line} goes on and on; it has printed: {shown.decode(errors='replace')}") from None
    finally:
        loop.remove_reader(ours)
        os.close(ours)
    return Printed(
        128 + signal.SIGINT if code == -signal.SIGINT else code, _left_on_screen(shown.decode(errors="replace"))
    )


def _left_on_screen(text: str) -> str:
    """Without what was written over, and without colours."""
    text = re.sub(r"(?m)[^\n]*\r\x1b\[K", "", text.replace("\r\n", "\n"))
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
