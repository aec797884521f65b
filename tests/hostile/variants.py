"""`edge` with one guard off, for the tests of the tests: `python variants.py VARIANT run --config …`."""

import sys
from collections.abc import Callable
from pathlib import Path


def pings_without_end() -> None:
    """Whoever pings is answered, and need not read."""
    from edge.chargers import door, manners

    manners.CONTROLS_AT_MOST = door.UNREAD_AT_MOST = 2**62


def requests_of_any_length() -> None:
    """What comes is given to websockets as it comes."""
    from edge.chargers import manners

    manners.Asking.take = lambda _self, data: data


def any_number_of_strangers() -> None:
    """Who has not logged in is not counted."""
    from edge.chargers import threshold

    threshold.Threshold.enter = lambda *_: None


def any_number_of_unanswered_texts() -> None:
    """32 of the longest may wait."""
    from edge.ocppj import peer

    peer.UNANSWERED_TEXTS = 2**30


def every_refusal_is_told() -> None:
    """One line of the log for each text that is refused."""
    from edge import connection
    from edge.chargers import intake, link

    connection.is_worth_a_line = intake.is_worth_a_line = link.is_worth_a_line = lambda _times: True


def compression_is_agreed() -> None:
    """As websockets does it unless it is told otherwise."""
    from edge.chargers import server

    serve = server.serve
    server.serve = lambda *words, **options: serve(*words, **options | {"compression": "deflate"})


def texts_of_any_length() -> None:
    """No limit on what is put together of frames."""
    from edge.chargers import server

    serve = server.serve
    server.serve = lambda *words, **options: serve(*words, **options | {"max_size": None})


VARIANTS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        pings_without_end, requests_of_any_length, any_number_of_strangers, any_number_of_unanswered_texts,
        every_refusal_is_told, compression_is_agreed, texts_of_any_length,
    )
}  # fmt: skip


def run(variant: str, words: list[str]) -> int:
    from edge.__main__ import main

    sys.argv = ["edge", *words]
    VARIANTS[variant]()
    return main()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this edge, whichever is installed
    sys.exit(run(sys.argv[1], sys.argv[2:]))
