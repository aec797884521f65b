"""What `edge check` says of certificate files, before a charger or the cloud has to say it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.config import check
from tests.tls.authority import NOW, self_signed

FILE = """\
[site]
id = "depot-7"

[[listener]]
address = "127.0.0.1:8443"
security_profile = {profile}
{listener}
[uplink]
url = "wss://csms.example.com/ocpp"
password_file = "password"
{uplink}
"""


TODAY = NOW + timedelta(hours=1)  # the certificates of the tests are made after NOW


@pytest.fixture
def checked(tmp_path: Path):
    (tmp_path / "password").write_bytes(b"0123456789abcdef\n")
    (tmp_path / "password").chmod(0o640)

    def check_keys(listener: dict, uplink: dict | None = None, *, profile: int = 2, now=TODAY) -> list[str]:
        lines = ["".join(f'{key} = "{value}"\n' for key, value in keys.items()) for keys in (listener, uplink or {})]
        (tmp_path / "edge.toml").write_text(FILE.format(profile=profile, listener=lines[0], uplink=lines[1]))
        config, problems = check(tmp_path / "edge.toml", now=now)
        assert (config is None) == any(not problem.warning for problem in problems)
        return [f"{'warning' if one.warning else 'error'} {one.key}: {one.message}" for one in problems]

    return check_keys


def keys(pair, prefix: str = "") -> dict:
    return {f"{prefix}cert_file": pair.cert_file, f"{prefix}key_file": pair.key_file}


@pytest.fixture(scope="module")
def server(authority):
    return authority.issue("gw.local", "DNS:gw.local")


def test_good_files_are_passed_in_silence(authority, checked, server):
    rsa = authority.issue("gw-rsa", "DNS:gw.local", key="rsa")
    client = authority.issue("depot-7")
    uplink = {"ca_file": authority.certificate, **keys(client)}
    assert checked({**keys(server), **keys(rsa, "second_")}, uplink) == []


def test_security_profile_2_demands_a_certificate_and_its_key(checked, server):
    assert checked({}) == [
        "error listener[#1].cert_file: missing, expected the name of a file at security_profile = 2",
        "error listener[#1].key_file: missing, expected the name of a file at security_profile = 2",
    ]
    assert checked({**keys(server), "second_key_file": server.key_file}) == [
        (
            "error listener[#1].second_cert_file: missing, expected the name of a file as second_cert_file and "
            "second_key_file go together"
        )
    ]
    assert checked({"cert_file": "none.pem", "key_file": server.key_file}) == [
        'error listener[#1].cert_file: expected the name of a file that can be read, got the string "none.pem"'
    ]


def test_security_profile_3_is_told_to_be_not_built_and_its_key_not_to_be_used(checked, server):
    assert checked(keys(server), profile=3) == [
        "error listener[#1].security_profile: the integer 3 is not built yet, expected one of: 0 | 1 | 2"
    ]
    assert checked({**keys(server), "client_ca_file": server.cert_file}) == [
        "warning listener[#1].client_ca_file: read but not used: security_profile = 3 is not built yet"
    ]


def test_certificates_of_a_listener_without_tls_are_told_to_be_idle(checked, server):
    assert checked(keys(server), profile=0) == [
        "warning listener[#1].cert_file: not used at security_profile = 0, which is ws://",
        "warning listener[#1].key_file: not used at security_profile = 0, which is ws://",
    ]


def test_a_key_of_another_certificate_is_an_error_at_the_key(authority, checked, server):
    other = authority.issue("other", "DNS:gw.local")
    assert checked({"cert_file": server.cert_file, "key_file": other.key_file}) == [
        "error listener[#1].key_file: is not the key of the certificate in gw.local.pem"
    ]
    assert checked(keys(server), {"cert_file": server.cert_file, "key_file": other.key_file}) == [
        "error uplink.key_file: is not the key of the certificate in gw.local.pem"
    ]


def test_a_date_that_is_wrong_or_near_warns_and_never_stops_the_daemon(authority, checked, server):
    until = NOW + timedelta(days=12, hours=5)
    soon = authority.issue("soon", "DNS:gw.local", until=until)
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    assert checked(keys(soon)) == [
        f'warning listener[#1].cert_file: the certificate of "soon" expires at {when}, in 12 days'
    ]
    later = NOW + timedelta(days=20)
    assert checked(keys(soon), now=later) == [
        (
            f'warning listener[#1].cert_file: the certificate of "soon" expired at {when}; '
            f"this machine's clock says {later:%Y-%m-%d %H:%M} UTC"
        )
    ]
    without_clock = datetime(1970, 1, 1, tzinfo=UTC)
    (early,) = checked(keys(soon), now=without_clock)
    assert 'the certificate of "soon" is not valid before ' in early
    assert early.endswith("this machine's clock says 1970-01-01 00:00 UTC")
    (authority_too,) = checked(keys(server), {"ca_file": soon.cert_file})
    assert authority_too.startswith("warning uplink.ca_file: ")
    assert checked(keys(soon), now=None) == []


def test_a_private_key_that_everybody_can_read_is_warned_about(authority, checked):
    open_one = authority.issue("open", "DNS:gw.local")
    open_one.key_file.chmod(0o644)
    assert checked(keys(open_one)) == [
        "warning listener[#1].key_file: every user can read the private key, expected mode 0640 or stricter (chmod o-r)"
    ]


def test_a_second_certificate_of_the_same_kind_of_key_is_an_error(authority, checked, server):
    same = authority.issue("same", "DNS:gw.local")
    assert checked({**keys(server), **keys(same, "second_")}) == [
        (
            "error listener[#1].second_cert_file: has a key of the same kind as the first one (ECDSA), "
            "expected RSA beside ECDSA"
        )
    ]


def test_a_chain_in_the_wrong_order_and_a_missing_common_name_are_warned_about(authority, checked, tmp_path):
    nameless = authority.issue("nameless", "DNS:gw.local", common_name=None)
    assert checked(keys(nameless)) == [
        (
            "warning listener[#1].cert_file: has no common name, which chargers of OCPP 1.6 compare with the host of "
            "their URL"
        )
    ]
    server = authority.issue("chained", "DNS:gw.local")
    stranger = self_signed(tmp_path, "stranger")
    chain = tmp_path / "chain.pem"
    chain.write_text(server.cert_file.read_text() + stranger.cert_file.read_text())
    assert checked({"cert_file": chain, "key_file": server.key_file}) == [
        (
            'warning listener[#1].cert_file: the certificate of "chained" is followed by that of "localhost", '
            'expected the one that signed it: "Test Root"'
        )
    ]
    chain.write_text(server.cert_file.read_text() + authority.certificate.read_text())
    assert checked({"cert_file": chain, "key_file": server.key_file}) == []
