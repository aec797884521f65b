"""`firmware-bridge` as a program: what it says when it cannot start."""

import socket
import subprocess
import sys

import pytest


def run(folder, *lines):
    """(Exit code, what it says) with these lines of the table."""
    file = folder / "edge.toml"
    file.write_text(
        f'[firmware_bridge]\nsocket = "{folder}/f.sock"\npath = "{folder}/bridge"\nftp = ""\n' + "\n".join(lines)
    )
    words = (sys.executable, "-m", "firmware_bridge", "--config", str(file), "run")
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return found.returncode, found.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('ca_file = "none.pem"', "none.pem: No such file or directory"),
        ('manufacturers_file = "edge.toml"', "edge.toml: it holds no certificate (PEM)"),
        ('http = "8889"', "http: expected HOST:PORT"),
        ("retention = 3", "retention"),
    ],
)
def test_what_is_wrong_with_its_table_is_said(folder, line, says):
    code, err = run(folder, line)
    assert code == 2 and says in err and "Nothing was started." in err and "Traceback" not in err


def test_a_port_that_another_has_is_named(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, err = run(folder, f'http = "127.0.0.1:{port}"')
    assert code == 1 and str(port) in err and "already in use" in err and "ss -ltnp" in err


def test_a_file_that_is_not_there_is_named_once(folder):
    words = (sys.executable, "-m", "firmware_bridge", "--config", str(folder / "none.toml"), "run")
    found = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith(f"{folder}/none.toml cannot be read: No such file or directory\n")
