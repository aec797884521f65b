"""What a certificate says, read from real ones, and that nothing a stranger sends does more than fail."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.tls.x509 import LONGEST_TEXT, KeyKind, UnreadableCertificate, read_der, read_pem
from tests.tls.authority import NOW, SAMPLE, self_signed

DER = ssl.PEM_cert_to_DER_cert(SAMPLE)


def test_names_dates_key_and_fingerprint_are_those_that_openssl_prints():
    (found,) = read_pem(SAMPLE)

    assert (found.subject.common_name, found.subject.organization) == ("gw.example", "Tests")
    assert str(found.issuer) == '"gw.example"'
    assert found.is_self_issued
    assert found.not_before == datetime(2026, 11, 21, 14, 24, 38, tzinfo=UTC)
    assert found.not_after == datetime(2126, 10, 28, 14, 24, 38, tzinfo=UTC)  # from 2050 on GeneralizedTime
    assert found.names == ("gw.example", "gw", "192.0.2.7", "2001:db8::1")
    assert found.key is KeyKind.ECDSA
    assert found.fingerprint == "330641a6c412878e51a5fc1f5278a6e537b98d19cde121a1d8579f1307d45ad1"


def test_a_signed_rsa_certificate_names_its_issuer_and_falls_back_on_its_common_name(authority):
    since = NOW.replace(microsecond=0) - timedelta(days=3)
    pair = authority.issue("rsa-plain", key="rsa", common_name="gw.local", since=since)
    (found,) = read_pem(pair.cert_file.read_text())

    assert found.key is KeyKind.RSA
    assert (str(found.issuer), found.is_self_issued) == ('"Test Root"', False)
    assert (found.names, found.hosts) == ((), ("gw.local",))
    assert found.not_before == since


def test_all_certificates_of_a_file_are_read_and_keys_between_them_are_passed_over(tmp_path: Path):
    pair = self_signed(tmp_path, "one")
    text = SAMPLE + pair.key_file.read_text() + pair.cert_file.read_text()
    assert [str(one.subject) for one in read_pem(text)] == ['"gw.example"', '"localhost"']
    assert read_pem("no certificate at all") == ()


def test_the_root_certificates_of_this_system_can_all_be_read():
    bundle = ssl.get_default_verify_paths().cafile
    if bundle is None or not Path(bundle).is_file():
        pytest.skip("this system has no file with root certificates: apt install ca-certificates")
    found = read_pem(Path(bundle).read_text())
    assert len(found) > 50
    assert all(one.not_after > one.not_before for one in found)


def test_texts_of_a_stranger_are_printable_and_short(tmp_path: Path):
    pair = self_signed(tmp_path, "evil", host="a" * 60)
    der = bytearray(ssl.PEM_cert_to_DER_cert(pair.cert_file.read_text()))
    at = der.index(b"a" * 60)
    der[at : at + 5] = b"\x1b[2J\n"
    assert str(read_der(bytes(der)).issuer).startswith('"?[2J?aaaa')
    assert LONGEST_TEXT < 200


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_told(text):
    with pytest.raises(UnreadableCertificate):
        read_pem(text)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_certificate_or_unreadable(content):
    with pytest.raises(UnreadableCertificate):
        read_der(content)


@given(st.data())
def test_a_damaged_certificate_is_read_or_unreadable(data):
    der = bytearray(DER)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(der[: data.draw(st.integers(1, len(der)))])
    try:
        found = read_der(damaged)
    except UnreadableCertificate:
        return
    assert str(found.subject).isprintable()
    assert all(name.isprintable() for name in found.hosts)
