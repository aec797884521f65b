"""What strace writes is read as it happened, or not at all."""

from pathlib import Path

import pytest

from tests.crash import recording, strace
from tests.crash.recording import Acknowledged, Begun, Create, Rename, Sync, Told, Write


def hexed(text: str | bytes) -> str:
    return "".join(f"\\x{one:02x}" for one in (text.encode() if isinstance(text, str) else text))


def handle(number: int, path: str) -> str:
    return f"{number}<{hexed(path)}>"


@pytest.fixture
def trace(tmp_path: Path):
    def write(*lines: str) -> Path:
        path = tmp_path / "trace"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def steps(trace: Path) -> list[recording.Step]:
    first, *rest = recording.read(Path("/disk"), {}, [trace]).steps
    assert first == Begun(1)
    return rest


def test_a_write_has_its_place_its_octets_and_its_file(trace):
    path = trace(
        f'7 openat(AT_FDCWD<{hexed("/")}>, "{hexed("/disk/a.db")}", O_RDWR|O_CREAT, 0644) = {handle(3, "/disk/a.db")}',
        f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("abc")}", 3, 4096) = 3',
        f'7 write({handle(3, "/disk/a.db")}, "{hexed("de")}", 2) = 2',
        f'7 write({handle(3, "/disk/a.db")}, "{hexed("fg")}", 2) = 2',
        f'7 write({handle(4, "/elsewhere/b")}, "{hexed("no")}", 2) = 2',
    )
    assert steps(path) == [
        Create("a.db"),
        Write("a.db", 4096, b"abc"),
        Write("a.db", 0, b"de"),
        Write("a.db", 2, b"fg"),
    ]


def test_of_a_write_that_was_cut_only_the_part_counts_that_was_written(trace):
    path = trace(f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("abcdef")}", 6, 10) = 4')
    assert steps(path) == [Write("a.db", 10, b"abcd")]


def test_a_call_that_failed_has_done_nothing_but_a_failed_sync_is_remembered(trace):
    path = trace(
        f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("x")}", 1, 0) = -1 ENOSPC (No space left on device) (INJECTED)',
        f'7 unlink("{hexed("/disk/none")}") = -1 ENOENT (No such file or directory)',
        f"7 fdatasync({handle(3, '/disk/a.db')}) = -1 EIO (Input/output error) (INJECTED)",
    )
    assert steps(path) == [Sync("a.db", 1, failed=True)]


def test_a_sync_covers_only_what_had_ended_when_it_began(trace):
    path = trace(
        f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("1")}", 1, 0) = 1',
        f'8 pwrite64({handle(3, "/disk/a.db")}, "{hexed("2")}", 1, 1 <unfinished ...>',
        f"7 fdatasync({handle(3, '/disk/a.db')} <unfinished ...>",
        "8 <... pwrite64 resumed>) = 1",
        "7 <... fdatasync resumed>) = 0",
    )
    assert steps(path) == [Write("a.db", 0, b"1"), Write("a.db", 1, b"2"), Sync("a.db", 2, failed=False)]


def test_an_answer_counts_from_the_moment_at_which_it_began_to_leave(trace):
    frame = b'\x81\x20[3,"m1",{}]\x81\x20[3,"m2",{"transactionId":7}]'
    path = trace(
        f'7 sendto({handle(9, "socket:[1]")}, "{hexed(frame)}", 66, 0, NULL, 0 <unfinished ...>',
        f"8 fdatasync({handle(3, '/disk/a.db')}) = 0",
        "7 <... sendto resumed>) = 66",
    )
    assert steps(path) == [
        Acknowledged("m1", {}),
        Acknowledged("m2", {"transactionId": 7}),
        Sync("a.db", 3, failed=False),
    ]


def test_names_and_what_is_told_are_steps(trace):
    path = trace(
        f'7 rename("{hexed("/disk/a.new")}", "{hexed("/disk/a")}") = 0',
        f"7 fsync({handle(5, '/disk')}) = 0",
        f'7 write(1<{hexed("/elsewhere/log")}>, "{hexed("done")}", 4) = 4',
        "7 +++ exited with 0 +++",
    )
    assert steps(path) == [Rename("a.new", "a"), Sync(".", 2, failed=False), Told("done")]


def test_a_call_in_which_the_process_died_may_have_been_done(trace):
    path = trace(f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("x")}", 1, 0) = ?', "7 +++ killed by SIGKILL +++")
    assert steps(path) == [Write("a.db", 0, b"x")]


def test_a_string_that_was_cut_is_an_error(trace):
    path = trace(f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("x")}"..., 4096, 0) = 4096')
    with pytest.raises(AssertionError, match="cut a string short"):
        steps(path)


def test_a_line_that_is_not_understood_is_an_error(trace):
    with pytest.raises(AssertionError, match="is not understood"):
        list(strace.calls(trace("7 what(is this")))


def test_a_way_of_writing_that_is_not_modelled_is_an_error_in_the_stores_folder_only(trace):
    steps(trace(f"7 copy_file_range({handle(3, '/a')}, NULL, {handle(4, '/b')}, NULL, 10, 0) = 10"))
    with pytest.raises(AssertionError, match="is not modelled"):
        steps(trace(f"7 copy_file_range({handle(3, '/disk/a')}, NULL, {handle(4, '/b')}, NULL, 10, 0) = 10"))


def test_a_trace_may_end_while_the_process_goes_on(trace):
    path = trace(
        f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("1")}", 1, 0) = 1',
        f'7 pwrite64({handle(3, "/disk/a.db")}, "{hexed("2")}", 1, 1 <detached ...>',
        "8 ???( <detached ...>",
        "9 ???( <unfinished ...>",
        "9 <... ???? resumed>) = ?",
        "9 +++ killed by SIGKILL +++",
    )
    assert [(one.thread, one.result) for one in strace.calls(path)] == [(7, 1), (7, None)]
