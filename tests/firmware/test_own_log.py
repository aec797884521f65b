"""Our own log for an archive: whole where there is room for it, its newest part where there is not, and never secrets."""

import gzip
import json
import random
from dataclasses import replace

import pytest

from edge.domain.ids import ChargerId
from edge.jobs import own_log
from edge.ocppj.frames import call_text
from edge.store import connectors, exchange
from firmware_bridge.api import MOST_LEFT_BYTES, BridgeRefused
from tests.store.givens import a_row, moment, running

NOON_MS = moment().wall_ms


class Shelf:
    """What a bridge would keep."""

    def __init__(self, most_files=20):
        self.files = {}
        self._most_files = most_files

    async def leave(self, token, name, content):
        assert token == "token" and name not in self.files and len(content) <= MOST_LEFT_BYTES
        if len(self.files) >= self._most_files:
            raise BridgeRefused("over_quota", "controller may leave no more files.")
        self.files[name] = content

    def lines(self, beginning):
        names = sorted(one for one in self.files if one.startswith(beginning))
        return [json.loads(line) for one in names for line in gzip.decompress(self.files[one]).splitlines()]


@pytest.fixture
async def store(tmp_path):
    async with running(tmp_path / "edge.db") as store:
        yield store


async def filled(store, rows, text=lambda _: '[2,"m","Heartbeat",{}]', seconds=float):
    def unit(db):
        no = connectors.enrol(db, ChargerId("CP-01"), connectors.KNOWN, "file")
        for number in range(rows):
            row = replace(a_row(text(number), peer=no), at=moment(seconds(number)))
            exchange.append(db, row)

    await store.write(unit)


async def left(store, shelf, since_s=None, until_s=None):
    since_ms, until_ms = (None if one is None else NOON_MS + 1000 * one for one in (since_s, until_s))
    return await own_log.leave(store, shelf, "token", since_ms, until_ms)


async def test_all_of_it_stands_in_its_order(store, monkeypatch):
    monkeypatch.setattr(own_log, "FILE_BYTES", 20_000)
    await filled(store, 1000)
    shelf = Shelf()
    said = await left(store, shelf)
    rows = shelf.lines("journal")
    assert [one["seq"] for one in rows] == list(range(1, 1001)) and len(shelf.files) > 5
    assert said == {"journal_rows": 1000, "first_seq": 1, "last_seq": 1000, "why_absent": None}
    assert rows[0]["charger"] == "CP-01" and rows[0]["at"] == "2026-03-01T12:00:00.000Z"
    assert shelf.lines("queue") == []


@pytest.mark.parametrize(
    ("since_s", "until_s", "numbers"),
    [
        (100, 200, range(101, 202)),
        (None, 5, range(1, 7)),
        (990, None, range(991, 1001)),
        (5000, None, range(0)),
        (None, -5, range(0)),
        (500.5, 500.7, range(0)),
    ],
)
async def test_of_a_time_only_that(store, since_s, until_s, numbers):
    await filled(store, 1000)
    shelf = Shelf()
    said = await left(store, shelf, since_s, until_s)
    assert [one["seq"] for one in shelf.lines("journal")] == list(numbers)
    assert said["journal_rows"] == len(numbers) and said["why_absent"] is None


async def test_a_clock_that_was_set_back_for_a_while_hides_nothing(store):
    await filled(store, 1000, seconds=lambda number: number - 100_000 if 500 <= number < 600 else number)
    shelf = Shelf()
    await left(store, shelf, since_s=400)
    wanted = [*range(401, 501), *range(601, 1001)]
    assert [one["seq"] for one in shelf.lines("journal")] == wanted


async def test_what_is_too_much_for_one_archive_is_the_oldest(store, monkeypatch):
    monkeypatch.setattr(own_log, "FILE_BYTES", 20_000)
    monkeypatch.setattr(own_log, "MOST_FILES", 3)
    await filled(store, 1000)
    shelf = Shelf()
    said = await left(store, shelf)
    numbers = [one["seq"] for one in shelf.lines("journal")]
    assert numbers == list(range(numbers[0], 1001)) and numbers[0] > 1
    assert (said["journal_rows"], said["first_seq"]) == (len(numbers), numbers[0])
    assert f"row {numbers[0]}" in said["why_absent"]


async def test_what_cannot_be_packed_goes_in_smaller_files(store):
    chance = random.Random(7)
    await filled(store, 600, lambda _: chance.randbytes(1800).hex())
    shelf = Shelf()
    await left(store, shelf)
    assert [one["seq"] for one in shelf.lines("journal")] == list(range(1, 601))
    assert [one for one in shelf.files if one.endswith("a.jsonl.gz")]


async def test_what_the_bridge_has_no_room_for_is_told(store, monkeypatch):
    monkeypatch.setattr(own_log, "FILE_BYTES", 20_000)
    await filled(store, 1000)
    shelf = Shelf(most_files=3)
    said = await left(store, shelf)
    numbers = [one["seq"] for one in shelf.lines("journal")]
    assert said["first_seq"] == numbers[0] and said["journal_rows"] == len(numbers)
    assert said["why_absent"] == "controller may leave no more files."


async def test_secrets_are_not_in_it_and_tokens_end_alike(store):
    frames = [
        call_text("1", "Authorize", {"idTag": "0123456789ABCDEF"}),
        call_text("2", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "hunter2hunter2"}),
        call_text("3", "GetDiagnostics", {"location": "ftp://anna:hunter2@example.com/logs"}),
    ]
    await filled(store, len(frames), lambda number: frames[number])
    shelf = Shelf()
    await left(store, shelf)
    text = json.dumps(shelf.lines("journal"), ensure_ascii=False)
    assert "…CDEF" in text and "example.com/logs" in text
    assert "hunter2" not in text and "0123456789" not in text


async def test_of_a_store_that_cannot_be_read_that_is_told(store):
    await filled(store, 3000)
    await store.write(lambda db: db.execute("DROP TABLE exchange"))
    shelf = Shelf()
    said = await left(store, shelf)
    assert said["why_absent"].startswith("the store cannot be read")
    assert not journal_files(shelf)


def journal_files(shelf):
    return [one for one in shelf.files if one.startswith("journal")]
