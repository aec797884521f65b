"""A daemon of canned answers, the documents of interface.md, and a terminal to print them on."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path

from edge.console import cli

DOCUMENTS = Path(__file__).parent / "documents"


def document(name: str) -> dict:
    return json.loads((DOCUMENTS / f"{name}.json").read_text())


class CannedDaemon:
    """Answers every request with the same bytes; keeps the requests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[dict] = []
        self.answer = b""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def says(self, *documents: dict | bytes) -> None:
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in documents]
        self.answer = b"".join(lines)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                line = lines.readline()
                if line:
                    self.requests.append(json.loads(line))
                    with contextlib.suppress(BrokenPipeError):
                        connection.sendall(self.answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def edge(words: list[str]) -> int:
    """The exit code of the command line, in this process."""

    def run_daemon(_: str) -> int:
        raise AssertionError("no test here may start a daemon")

    return cli.main(words, run_daemon)


def on_a_terminal(*words: str) -> str:
    """What `edge` prints on a terminal of 80 columns and 24 lines."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-m", "edge", *words], stdout=theirs, stderr=subprocess.DEVNULL):
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # EIO: the program has ended
            while chunk := os.read(ours, 65536):
                printed += chunk
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")
