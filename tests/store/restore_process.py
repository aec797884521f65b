"""A program that puts a copy back: `words` are the copy and the store. Run by test_restore.py through lives.py."""

from pathlib import Path

from tests.store.lives import serve
from tests.store.restoring import put_back


def work(copy: str, store: str) -> None:
    put_back(Path(copy), Path(store))


if __name__ == "__main__":
    serve(work)
