"""docs/tls.md: its commands are run, and what they make is what its configuration needs."""

import re
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from edge.config import check
from edge.console.configuration_check import check_configuration
from edge.console.table import Page
from edge.tls.contexts import Pair, listener_context
from edge.tls.failures import Cause
from tests.tls.authority import NOW, openssl
from tests.tls.handshake import shake

PAGE = (Path(__file__).parents[2] / "docs" / "tls.md").read_text()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The page's commands and its configuration, carried out in a folder."""
    openssl("version")
    commands = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1]
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "edge.toml").write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    return tmp_path


def test_the_commands_make_what_the_configuration_names(made):
    config, problems = check(made / "edge.toml", now=NOW + timedelta(hours=1))
    assert problems == ()
    listener = config.listeners[1]
    pairs = [Pair(listener.cert_file, listener.key_file), Pair(listener.second_cert_file, listener.second_key_file)]
    charger = ssl.create_default_context(cafile=made / "tls/root.pem")
    for host in ("gateway.lan", "192.0.2.7"):
        assert shake(listener_context(pairs), charger, host).client_error is None


def test_edge_check_shows_for_whom_the_certificates_stand(made, capsys):
    assert check_configuration(made / "edge.toml", as_json=False, page=Page(None, colour=False)) == 0
    shown = capsys.readouterr().out
    assert "wss://0.0.0.0:8443/ocpp/IDENTITY, security profile 2, ECDSA certificate for gateway.lan, 192.0.2.7" in shown
    assert "RSA certificate for gateway.lan, 192.0.2.7 until " in shown


def test_every_cause_of_a_failed_handshake_is_explained():
    documented = re.findall(r"^\| `(\w+)`", PAGE.split("## When it fails")[1], re.MULTILINE)
    assert sorted([*documented, "other"]) == sorted([*Cause, "failed_handshakes"])
