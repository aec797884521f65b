import os
from pathlib import Path

import pytest

from edge.config import ConfigurationError, check, load

SECRET = "expected the name of a file with the password"


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"0123456789abcdef", b"0123456789abcdef"),
        (b"0123456789abcdef\n", b"0123456789abcdef"),
        (b"0123456789abcdef\r\n", b"0123456789abcdef"),
        (b"0123456789abcdef\r", b"0123456789abcdef\r"),
        (b"0123456789abcdef\n\n", b"0123456789abcdef\n"),
        (b" 0123456789abcdef ", b" 0123456789abcdef "),
        (bytes(range(128, 144)), bytes(range(128, 144))),
    ],
)
def test_a_password_is_the_files_bytes_without_the_line_end_after_them(checked, full, gateway, content, password):
    (gateway / "cp-01.key").write_bytes(content)
    config, _ = checked(full)

    assert config.charger[0].password == password


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('"none.key"', f'no such file "none.key"; {SECRET}'),
        ('"cp-01.key/x"', f'no such file "cp-01.key/x"; {SECRET}'),
        ('"empty.key"', f'"empty.key" is empty; {SECRET}'),
        ('"line.key"', f'"line.key" is empty; {SECRET}'),
        ('"large.key"', f'"large.key" has more than 1024 bytes; {SECRET}'),
        ('"."', f'"." is not a file; {SECRET}'),
        ('"pipe"', f'"pipe" is not a file; {SECRET}'),
        ('"/dev/zero"', f'"/dev/zero" is not a file; {SECRET}'),
        ('"/proc/self/mem"', f'cannot read "/proc/self/mem" (Input/output error); {SECRET}'),  # root as well cannot
        ('""', f'got the string ""; {SECRET}'),
        (r'"a\u0000b"', rf"got the string 'a\x00b'; {SECRET}"),
        ("7", f"got the integer 7; {SECRET}"),
        ('"$CREDENTIALS_DIRECTORY/x"', f'$CREDENTIALS_DIRECTORY is not set, which "$CREDENTIALS_DIRECTORY/x" needs; {SECRET}'),
        (f'"{"n" * 300}"', f'cannot read "{"n" * 59}…" (File name too long); {SECRET}'),
    ],
)  # fmt: skip
def test_a_password_file_that_gives_no_password_is_told_with_the_reason(
    checked, full, gateway, monkeypatch, name, message
):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (gateway / "empty.key").touch()
    (gateway / "line.key").write_text("\n")
    (gateway / "large.key").write_bytes(bytes(1025))
    os.mkfifo(gateway / "pipe")
    _, problems = checked(full.replace('"cp-01.key"', name))

    assert [(problem.key, problem.message) for problem in problems if not problem.warning] == [
        ("charger[CP-01].password_file", message)
    ]


def test_a_password_shorter_than_the_whitepaper_demands_is_a_warning(checked, full, gateway):
    (gateway / "uplink.key").write_bytes(b"0123456789abcde\n")
    config, problems = checked(full)

    assert config.uplink.password == b"0123456789abcde"
    assert [(problem.line, problem.key, problem.warning, problem.message) for problem in problems][:1] == [
        (
            36,
            "uplink.password_file",
            True,
            "the password has 15 bytes, expected 16 to 20 (1.6 security whitepaper A00.FR.205)",
        )
    ]


def test_a_password_file_that_everyone_can_read_is_a_warning(checked, full, gateway):
    (gateway / "cp-01.key").chmod(0o644)
    config, problems = checked(full)

    assert config is not None
    assert [(problem.key, problem.warning, problem.message) for problem in problems][:1] == [
        (
            "charger[CP-01].password_file",
            True,
            "every user can read the file, expected mode 0640 or stricter (chmod o-r)",
        )
    ]


def test_credentials_of_systemd_come_before_files_of_the_folder(checked, full, gateway):
    credentials = gateway / "credentials"
    credentials.mkdir()
    (credentials / "cp-01.key").write_bytes(b"from systemd 123\n")
    (credentials / "other").write_bytes(b"from systemd 456\n")
    config, _ = checked(
        full.replace('"uplink.key"', '"$CREDENTIALS_DIRECTORY/other"'), credentials_directory=credentials
    )

    assert config.charger[0].password == b"from systemd 123"
    assert config.uplink.password == b"from systemd 456"


def test_names_that_systemd_has_not_loaded_are_files_of_the_folder(checked, full, gateway):
    config, _ = checked(full, credentials_directory=gateway / "none")

    assert config.charger[0].password == b"0123456789abcdef"


def test_the_credentials_directory_is_by_default_that_of_the_environment(checked, full, gateway, monkeypatch):
    (gateway / "credentials").mkdir()
    (gateway / "credentials" / "cp-01.key").write_bytes(b"from systemd 123\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(gateway / "credentials"))

    assert checked(full)[0].charger[0].password == b"from systemd 123"


def only_problem(path):
    config, problems = check(path)
    assert config is None
    with pytest.raises(ConfigurationError) as failed:
        load(path)
    assert failed.value.problems == problems
    assert len(problems) == 1
    assert (problems[0].file, problems[0].key) == (str(path), "")
    return problems[0].line, problems[0].message


def test_a_configuration_file_that_cannot_be_read_as_text_is_one_problem_without_a_key(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "latin1").write_bytes(b'[site]\nid = "x"\nname = "K\xf6ln"\n')
    (tmp_path / "deep").write_text("a = " + "[" * 5000 + "]" * 5000)
    (tmp_path / "long").write_text("a = " + "9" * 5000)

    assert only_problem(tmp_path / "none") == (None, "no such file; `edge --config FILE` names another")
    assert only_problem(tmp_path) == (None, "cannot be read (Is a directory); expected a TOML file")
    assert only_problem(tmp_path / "binary") == (None, "is a binary file; expected TOML, which is UTF-8 text")
    assert only_problem(tmp_path / "binary" / "x") == (None, "cannot be read (Not a directory); expected a TOML file")
    assert only_problem(Path("/proc/self/mem")) == (None, "cannot be read (Input/output error); expected a TOML file")
    assert only_problem(Path("a\0b")) == (None, "cannot be read (embedded null byte); expected a TOML file")
    assert only_problem(tmp_path / "latin1") == (3, "byte 0xf6 is not UTF-8; expected UTF-8 text")
    number = "has a number too long or brackets too deep to be read; expected plain TOML"
    assert only_problem(tmp_path / "deep") == (None, number)
    assert only_problem(tmp_path / "long") == (None, number)


def test_port_0_and_a_dashboard_are_warnings(checked, minimal):
    config, problems = checked(minimal.replace(":8887", ":0") + '[api]\nhttp = "127.0.0.1:8880"\n')

    assert config.listeners[0].port == 0
    assert [(problem.line, problem.key, problem.warning) for problem in problems] == [
        (5, "listener[#1].address", True),
        (8, "api.http", True),
    ]


def test_two_listeners_may_both_take_any_free_port(checked, minimal):
    listener = '[[listener]]\naddress = "127.0.0.1:0"\n'

    assert checked(minimal + listener + listener)[0] is not None
