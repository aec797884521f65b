"""What chargers leave is kept under names of ours, within its quota, whatever ends a transfer or the process."""

import asyncio
import hashlib
import io
import json
import os
import shutil
from datetime import timedelta

import aiohttp
import pytest

from firmware_bridge import disk, uploads
from firmware_bridge.api import BridgeRefused
from firmware_bridge.disk import utc_now
from firmware_bridge.errors import BridgeError, NoRoom, OverQuota, Refused, Unknown
from firmware_bridge.tickets import Ticket
from firmware_bridge.uploads import PIECE_BYTES, Uploads
from tests.firmware import depot as depots

TICKET = Ticket("0123abcd" + "5" * 24, "CP-01", utc_now().isoformat(), quota=1000)
OTHER = Ticket("89abcdef" + "5" * 24, "CP-02", utc_now().isoformat(), quota=1000)


class BrokenOff(Exception):
    pass


async def pieces(*these: bytes, breaks: bool = False):
    for piece in these:
        yield piece
    if breaks:
        raise BrokenOff


@pytest.fixture
def kept(tmp_path):
    return opened(tmp_path / "uploads")


def opened(folder, most=10_000):
    made = Uploads(folder, most)
    made.open()
    return made


async def leave(kept, name, content, *, ticket=TICKET, **others):
    return await kept.receive(ticket, name, pieces(content[:100], content[100:]), **others)


async def break_off(kept, name, content, *, ticket=TICKET):
    with pytest.raises(BrokenOff):
        await kept.receive(ticket, name, pieces(content, breaks=True))


def there(kept, ticket=TICKET):
    return [(one.name, kept.path(one).read_bytes(), one.is_whole) for one in kept.of(ticket.user)]


def on_disk(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_file_is_kept_under_a_name_of_ours_with_what_is_known_of_it(kept, tmp_path):
    content = os.urandom(700)
    left = await leave(kept, "diagnostics.zip", content)
    assert (left.user, left.number, left.charger, left.name) == ("0123abcd", "0001", "CP-01", "diagnostics.zip")
    assert (left.size, left.sha256, left.is_whole) == (700, hashlib.sha256(content).hexdigest(), True)
    folder = tmp_path / "uploads"
    assert on_disk(folder) == ["0123abcd/0001", "0123abcd/0001.json"]
    assert {path.stat().st_mode & 0o777 for path in (folder / "0123abcd").iterdir()} == {0o600}
    assert (folder / "0123abcd").stat().st_mode & 0o777 == 0o700
    assert kept.all() == [left]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\logs\\..\\a b.zip", "a_b.zip"),
        ("a\0b.zip", "a_b.zip"),
        ("a\nb\r\x1b[2Jc.zip", "a_b_2Jc.zip"),
        ("0001.json", "0001.json"),
        ("0001", "0001"),
        ("..", "file"),
        ("logs/", "file"),
        ("", "file"),
        ("ü" * 300 + ".log", "log"),
        ("x" * 5000 + ".tar.gz", "x" * 80 + "x" * 13 + ".tar.gz"),
    ],
    ids=repr,
)
async def test_no_name_of_a_charger_reaches_the_disk(kept, tmp_path, told, name):
    await leave(kept, told, b"x" * 200)
    await leave(kept, "another", b"y" * 200)
    assert there(kept) == [(name, b"x" * 200, True), ("another", b"y" * 200, True)]
    assert on_disk(tmp_path) == [f"uploads/0123abcd/{one}" for one in ("0001", "0001.json", "0002", "0002.json")]
    assert there(opened(tmp_path / "uploads")) == there(kept)


async def test_a_whole_file_replaces_the_earlier_of_its_name(kept, tmp_path):
    await leave(kept, "a.zip", b"1" * 900)
    await leave(kept, "b.zip", b"b" * 50)
    await leave(kept, "a.zip", b"2" * 600)
    assert there(kept) == [("b.zip", b"b" * 50, True), ("a.zip", b"2" * 600, True)]
    assert on_disk(tmp_path / "uploads" / "0123abcd") == ["0002", "0002.json", "0003", "0003.json"]
    assert kept.bytes_of("0123abcd") == kept.used_bytes() == 650


async def test_what_broke_off_is_kept_until_a_whole_one_comes_and_replaces_none_that_is_whole(kept):
    await break_off(kept, "a.zip", b"1" * 300)
    assert there(kept) == [("a.zip", b"1" * 300, False)]
    await break_off(kept, "a.zip", b"2" * 200)
    assert there(kept) == [("a.zip", b"1" * 300, False)]
    await break_off(kept, "a.zip", b"3" * 400)
    assert there(kept) == [("a.zip", b"3" * 400, False)]
    await leave(kept, "a.zip", b"4" * 250)
    assert there(kept) == [("a.zip", b"4" * 250, True)]
    await break_off(kept, "a.zip", b"5" * 900)
    assert there(kept) == [("a.zip", b"4" * 250, True)]


async def test_nothing_replaces_nothing(kept, tmp_path):
    await leave(kept, "a.zip", b"1" * 300)
    assert await kept.receive(TICKET, "a.zip", pieces()) is None
    await break_off(kept, "a.zip", b"")
    assert there(kept) == [("a.zip", b"1" * 300, True)]
    assert len(on_disk(tmp_path)) == 2


async def test_a_charger_goes_on_behind_what_it_has_left(kept):
    await break_off(kept, "a.zip", b"1" * 300)
    left = await leave(kept, "a.zip", b"2" * 200, onto=250)
    assert there(kept) == [("a.zip", b"1" * 250 + b"2" * 200, True)]
    assert left.sha256 == hashlib.sha256(b"1" * 250 + b"2" * 200).hexdigest()
    with pytest.raises(Refused):
        await leave(kept, "a.zip", b"2", onto=451)
    with pytest.raises(Refused):
        await leave(kept, "b.zip", b"2", onto=1)


async def test_beyond_its_quota_a_transfer_is_refused_and_leaves_nothing(kept, tmp_path):
    await leave(kept, "a.zip", b"1" * 600)
    with pytest.raises(OverQuota):
        await leave(kept, "b.zip", b"2" * 401)
    with pytest.raises(OverQuota):
        await leave(kept, "b.zip", b"2", announced=401)
    assert there(kept) == [("a.zip", b"1" * 600, True)]
    assert len(on_disk(tmp_path)) == 2
    await leave(kept, "b.zip", b"2" * 400)
    await leave(kept, "a.zip", b"3" * 600)
    assert kept.used_bytes() == 1000


async def test_what_comes_at_the_same_time_counts_together(kept):
    gate = asyncio.Event()

    async def slow():
        yield b"1" * 600
        await gate.wait()

    async with asyncio.TaskGroup() as tasks:
        coming = tasks.create_task(kept.receive(TICKET, "a.zip", slow()))
        while kept.bytes_of(TICKET.user) < 600:
            await asyncio.sleep(0.01)
        with pytest.raises(OverQuota):
            await leave(kept, "b.zip", b"2" * 401)
        with pytest.raises(OverQuota):
            await leave(kept, "a.zip", b"2" * 401)
        gate.set()
    assert coming.result().is_whole


async def test_beyond_what_all_may_leave_a_transfer_is_refused(tmp_path):
    kept = opened(tmp_path, most=1500)
    await leave(kept, "a.zip", b"1" * 900)
    with pytest.raises(OverQuota, match="uploads_max_mb"):
        await leave(kept, "a.zip", b"2" * 700, ticket=OTHER)
    await leave(kept, "a.zip", b"2" * 600, ticket=OTHER)
    assert kept.used_bytes() == 1500
    kept.remove(TICKET.user)
    assert kept.used_bytes() == 600


async def test_no_more_files_than_so_many(kept, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    for name in "abc":
        await leave(kept, name, b"1")
    with pytest.raises(OverQuota, match="3 files"):
        await leave(kept, "d", b"1")
    await leave(kept, "a", b"2")


async def test_on_a_full_disk_nothing_is_kept(kept, tmp_path, monkeypatch):
    free = [uploads.SPARE_BYTES + 500]
    monkeypatch.setattr(disk, "free_bytes", lambda _: free[0])
    with pytest.raises(NoRoom) as refusal:
        await leave(kept, "a.zip", b"1" * 601)
    assert not isinstance(refusal.value, OverQuota)
    assert on_disk(tmp_path) == []
    assert await leave(kept, "a.zip", b"1" * 500)


async def test_whatever_kills_the_process_what_had_come_is_found_again(kept, tmp_path):
    folder, copies = tmp_path / "uploads", []

    async def killed_at_each_piece():
        for number in range(4):
            copies.append(shutil.copytree(folder, tmp_path / f"killed{number}"))
            yield b"%d" % number * 20_000  # more than is buffered

    big = Ticket(TICKET.token, "CP-01", TICKET.until, quota=100_000)
    kept._most_bytes = 200_000
    await leave(kept, "old.log", b"o" * 10, ticket=big)
    await break_off(kept, "a.zip", b"b" * 30_000, ticket=big)
    await kept.receive(big, "a.zip", killed_at_each_piece())
    sizes = []
    for copy in copies:
        found = there(opened(copy))
        assert found[0] == ("old.log", b"o" * 10, True)
        (name, content, is_whole) = found[1]
        assert (name, is_whole) == ("a.zip", False)
        sizes.append(len(content))
        assert len(on_disk(copy)) == 4
    assert sizes == [30_000, 30_000, 40_000, 60_000]


async def test_killed_between_a_whole_file_and_the_end_of_the_earlier_one_the_newer_is_kept(kept, tmp_path):
    await leave(kept, "a.zip", b"1" * 500)
    before = shutil.copytree(tmp_path / "uploads", tmp_path / "before")
    await leave(kept, "a.zip", b"2" * 400)
    shutil.copytree(tmp_path / "uploads", before, dirs_exist_ok=True)
    assert len(on_disk(before)) == 4
    assert there(opened(before)) == [("a.zip", b"2" * 400, True)]
    assert len(on_disk(before)) == 2


async def test_a_content_that_is_not_what_its_record_says_is_not_whole(kept, tmp_path):
    left = await leave(kept, "a.zip", b"1" * 500)
    path = kept.path(left)
    path.write_bytes(b"1" * 400)
    (again,) = opened(tmp_path / "uploads").of(TICKET.user)
    assert (again.size, again.sha256, again.is_whole) == (400, hashlib.sha256(b"1" * 400).hexdigest(), False)


@pytest.mark.parametrize("name", ["0002", "0002.json", "0003.json.new", "notes.txt"])
async def test_what_nobody_can_use_is_cleared(kept, tmp_path, name):
    await leave(kept, "a.zip", b"1" * 500)
    strange = tmp_path / "uploads" / "0123abcd" / name
    strange.write_text(json.dumps({"user": "0123abcd"}))
    assert there(opened(tmp_path / "uploads")) == there(kept)
    assert not strange.exists()


async def test_a_technician_gets_it_piece_by_piece(folder):
    content = os.urandom(1_200_000)
    async with depots.reopened(folder) as depot:
        given = await depot.leave(quota_mb=2)
        async with (
            aiohttp.ClientSession() as charger,
            charger.put(f"{given.http}a.zip", data=io.BytesIO(content)) as answer,
        ):
            assert answer.status == 201
        (left,) = await depot.asks.uploads()
        pieces = [await depot.asks.piece(left.user, left.number, at) for at in range(0, len(content), PIECE_BYTES)]
        assert b"".join(pieces) == content and len(pieces[0]) == PIECE_BYTES == 512 * 1024
        assert await depot.asks.piece(left.user, left.number, 1_199_999) == content[-1:]
        assert await depot.asks.piece(left.user, left.number, 1_200_000) == b""
        assert await depot.asks.piece(left.user, left.number, 10**15) == b""
        for user, number in ((left.user, "0002"), ("89abcdef", "0001"), ("..", left.user), (left.user, "0001.json")):
            with pytest.raises(BridgeRefused) as refusal:
                await depot.asks.piece(user, number, 0)
            assert refusal.value.code == "unknown"
        with pytest.raises(BridgeRefused, match="offset"):
            await depot.asks.piece(left.user, left.number, -1)


async def test_an_empty_folder_of_a_ticket_goes(tmp_path):
    (tmp_path / "0123abcd").mkdir()
    opened(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_discarded_while_it_comes_is_not_kept(kept, tmp_path):
    gate = asyncio.Event()

    async def slow():
        yield b"1" * 10
        await gate.wait()
        yield b"2" * 10

    async with asyncio.TaskGroup() as tasks:
        coming = tasks.create_task(refused(kept.receive(TICKET, "a.zip", slow())))
        while kept.bytes_of(TICKET.user) < 10:
            await asyncio.sleep(0.01)
        kept.remove(TICKET.user)
        gate.set()
    assert coming.result() is Unknown
    assert list((tmp_path / "uploads").iterdir()) == []
    with pytest.raises(Unknown):
        kept.remove(TICKET.user)


async def refused(coming):
    try:
        await coming
    except BridgeError as error:
        return type(error)


async def test_who_is_cancelled_leaves_what_had_come(kept, tmp_path):
    stuck = asyncio.Event()

    async def slow():
        yield b"1" * 10
        stuck.set()
        await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(kept.receive(TICKET, "a.zip", slow()))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert there(kept) == there(opened(tmp_path / "uploads")) == [("a.zip", b"1" * 10, False)]


async def test_what_is_old_goes(kept, tmp_path):
    await leave(kept, "a.zip", b"1" * 500)
    kept.expire(utc_now() + timedelta(days=1), timedelta(days=2))
    assert there(kept)
    kept.expire(utc_now() + timedelta(days=3), timedelta(days=2))
    assert list((tmp_path / "uploads").iterdir()) == []
    left = await leave(kept, "a.zip", b"1" * 500)
    assert left.number == "0002"
