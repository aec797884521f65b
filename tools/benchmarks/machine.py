"""What was measured on: without this the figures behind the ratios say nothing."""

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Self

LIBRARIES = ("ocpp", "websockets", "aiosqlite", "jsonschema")


def about(folder: Path) -> dict[str, str]:
    """In words, for the table's head and for the page."""
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}",
        "System": f"{platform.system()} {platform.release().split('-')[0]}, {_file_system(folder)}",
        "fdatasync": f"{1e3 * synced(folder):.2f} ms (append of 1 kB, median)",
        "Load": f"{os.getloadavg()[0]:.1f} at the beginning (of other programs: 0.0 is best)",
        "Python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _file_system(folder: Path) -> str:
    """Its kind, as the kernel names it: the longest mount point that the folder is below."""
    place, kinds = str(folder.resolve()) + "/", {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split(" ")
        kinds[point.rstrip("/") + "/"] = kind
    return kinds[max((point for point in kinds if place.startswith(point)), key=len)]


def is_in_memory(folder: Path) -> bool:
    """Whether nothing that is written there reaches a disk: then what waits for it tells nothing."""
    return _file_system(folder) in ("tmpfs", "ramfs")


def synced(folder: Path, times: int = 100, size: int = 1024) -> float:
    """Median seconds of one append with fdatasync."""
    took = []
    with Appended(folder / "append.bin") as file:
        for _ in range(times):
            began = time.perf_counter()
            file.append(b"x" * size)
            took.append(time.perf_counter() - began)
    return statistics.median(took)


class Appended:
    """The least that a durable record can cost: a file that is appended to, each record on disk before the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self

    def append(self, record: bytes) -> None:
        os.write(self._file, record)
        os.fdatasync(self._file)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        self._path.unlink()
