"""The daemon and the bridge read the same table: same keys, same defaults, same judgement."""

from dataclasses import fields
from pathlib import Path

import pytest

from edge.config import values
from edge.config.rules import ADDRESS_OR_NONE, PORTS, SOURCE
from firmware_bridge import config, sources


def test_both_know_the_same_keys_with_the_same_defaults():
    daemon = {one.name: one.default for one in fields(values.FirmwareBridge)}
    bridge = {one.name: one.default for one in fields(config.Settings)}
    assert daemon == bridge


@pytest.mark.parametrize(
    ("written", "is_one"),
    [
        ("https://fw.example.com", True),
        ("http://192.0.2.0/24:8080", True),
        ("https://*.example.com", True),
        ("http://[2001:db8::]/32", True),
        ("ftp://192.0.2.7:2121", True),
        ("ftps://*.example.com", True),
        ("sftp://fw.example.com:2222", True),
        ("tftp://fw.example.com", False),
        ("gopher://fw.example.com", False),
        ("https://FW.example.com", False),
        ("fw.example.com", False),
    ],
)
def test_both_judge_a_source_alike(written, is_one):
    assert SOURCE.holds(written) is is_one
    if is_one:
        sources.allowed(written)
    else:
        with pytest.raises(ValueError, match="."):
            sources.allowed(written)


@pytest.mark.parametrize(
    ("written", "is_one"),
    [
        ("50000-50031", True),
        ("1024-1024", True),
        ("65000-65535", True),
        ("50031-50000", False),
        ("1023-2000", False),
        ("65000-65536", False),
        ("50000", False),
        ("50000-", False),
        ("a-b", False),
        ("", False),
    ],
)
def test_both_judge_a_range_of_ports_alike(written, is_one, tmp_path):
    assert PORTS.holds(written) is is_one
    if is_one:
        first, last = written.split("-")
        ports = config.structured({"ftp_data_ports": written}, tmp_path / "edge.toml").data_ports
        assert (ports[0], ports[-1]) == (int(first), int(last))
    else:
        with pytest.raises(config.InvalidConfiguration, match="ftp_data_ports"):
            config.structured({"ftp_data_ports": written}, tmp_path / "edge.toml")


@pytest.mark.parametrize(
    ("written", "leads_to"),
    [("", None), ("0.0.0.0:2121", ("0.0.0.0", 2121)), ("[::]:2121", ("::", 2121)), ("2121", False), ("a", False)],
)
def test_both_judge_the_address_of_ftp_alike(written, leads_to, tmp_path):
    assert ADDRESS_OR_NONE.holds(written) is (leads_to is not False)
    if leads_to is False:
        with pytest.raises(config.InvalidConfiguration, match="ftp"):
            config.structured({"ftp": written}, tmp_path / "edge.toml")
    else:
        assert config.structured({"ftp": written}, tmp_path / "edge.toml").ftp_host_and_port == leads_to


@pytest.mark.parametrize(
    "table",
    [{"sockets": "x"}, {"max_size_mb": "many"}, {"max_size_mb": True}, {"sources": "https://a"}, {"http": "8889"}],
    ids=str,
)
def test_a_table_that_is_none_is_an_error_that_names_it(table, tmp_path):
    with pytest.raises(config.InvalidConfiguration, match="firmware_bridge"):
        config.structured(table, tmp_path / "edge.toml")


def test_paths_count_from_the_folder_of_the_file(tmp_path):
    found = config.structured({"socket": "a.sock", "path": "/x"}, tmp_path / "edge.toml")
    assert (found.socket, found.path) == (tmp_path / "a.sock", Path("/x"))
