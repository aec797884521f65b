"""A store as SQL text, so that what a release wrote can be kept with the tests: `python tests/databases/dump.py STORE`.

The store is not touched: what its write-ahead log holds is in the text.
"""

import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

PRAGMAS = ("auto_vacuum", "application_id", "user_version")


def dump(store: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if Path(f"{store}{suffix}").exists():
                shutil.copy(f"{store}{suffix}", Path(folder) / f"store{suffix}")
        with closing(sqlite3.connect(Path(folder) / "store")) as connection:
            pragmas = [f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};" for name in PRAGMAS]
            return "\n".join([*pragmas, *connection.iterdump(), ""])


def load(text: str, path: Path) -> None:
    """The store that `dump` was given, as a crash left it: nothing but the rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(text)
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


if __name__ == "__main__":
    sys.stdout.write(dump(Path(sys.argv[1])))
