"""Who is calling, in which version, with which password."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ocppj.handshake import (
    accepted_forms,
    basic_credentials,
    choose_subprotocol,
    hash_password,
    identity_from_path,
    password_matches,
    version_of,
)


@pytest.mark.parametrize(
    ("path", "prefix", "identity"),
    [
        ("/CP-1", "/", "CP-1"),
        ("/CP-1", "", "CP-1"),
        ("/ocpp/CP-1", "/ocpp", "CP-1"),
        ("/ocpp/CP-1", "/ocpp/", "CP-1"),
        ("/ocpp/CP-1/", "/ocpp", "CP-1"),
        ("//ocpp//CP-1//", "/ocpp", "CP-1"),
        ("/ocpp/CP-1?token=a/b", "/ocpp", "CP-1"),
        ("/ocpp/1.6/CP-1", "/ocpp", "CP-1"),
        ("/ocpp/RDAM%20%7C%20123", "/ocpp", "RDAM | 123"),
        ("/ocpp/%C3%A9t%C3%A9", "/ocpp", "été"),
        ("/ocpp/" + "x" * 48, "/ocpp", "x" * 48),
        ("/ocpp/" + "x" * 49, "/ocpp", None),
        ("/ocpp", "/ocpp", None),
        ("/ocpp/", "/ocpp", None),
        ("/", "/", None),
        ("", "/", None),
        ("/other/CP-1", "/ocpp", None),
        ("/ocppx/CP-1", "/ocpp", None),
        ("/ocpp/a:b", "/ocpp", None),
        ("/ocpp/a%3Ab", "/ocpp", None),
        ("/ocpp/a%00b", "/ocpp", None),
        ("/ocpp/a%0Ab", "/ocpp", None),
        ("/ocpp/a%7Fb", "/ocpp", None),
        ("/ocpp/a%C2%85b", "/ocpp", None),
        ("/ocpp/a%E2%80%AEb", "/ocpp", None),  # right-to-left override
        ("/ocpp/%FF", "/ocpp", None),
        ("/ocpp/%ED%A0%80", "/ocpp", None),  # half a surrogate pair in UTF-8
        ("/ocpp/\ud800", "/ocpp", None),
        ("/ocpp/..", "/ocpp", None),
        ("/ocpp/%2E", "/ocpp", None),
    ],
)
def test_identity_is_the_decoded_last_segment_under_the_listeners_path(path, prefix, identity):
    assert identity_from_path(path, prefix) == identity


@given(st.text(st.characters()), st.sampled_from(["", "/", "/ocpp", "/a/b/"]))
def test_any_path_gives_an_identity_that_can_be_used_or_none(path, prefix):
    identity = identity_from_path("/ocpp/" + path, prefix)
    if identity is not None:
        assert 1 <= len(identity) <= 48
        assert ":" not in identity
        assert identity.isprintable()


@pytest.mark.parametrize(
    ("offered", "enabled", "chosen"),
    [
        (["ocpp1.6"], ["1.6"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.0.1"], ["2.1", "2.0.1", "1.6"], "ocpp2.0.1"),
        (["ocpp2.0.1", "ocpp1.6"], ["1.6"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.0.1"], ["1.6", "2.0.1"], "ocpp1.6"),
        (["ocpp1.5", "ocpp2.0"], ["2.1", "2.0.1", "1.6"], None),
        (["ocpp1.5"], ["1.5"], None),
        ([], ["1.6"], None),
        (["ocpp1.6"], [], None),
    ],
)
def test_our_order_of_preference_chooses_the_subprotocol(offered, enabled, chosen):
    assert choose_subprotocol(offered, enabled) == chosen


@pytest.mark.parametrize(
    ("subprotocol", "version"),
    [("ocpp1.6", "1.6"), ("ocpp2.0.1", "2.0.1"), ("ocpp2.1", "2.1"), ("ocpp2.0", None), ("", None), ("1.6", None)],
)
def test_subprotocol_names_its_version(subprotocol, version):
    assert version_of(subprotocol) == version


def header(user_and_password):
    return "Basic " + base64.b64encode(user_and_password).decode()


@pytest.mark.parametrize(
    ("given_header", "credentials"),
    [
        (header(b"CP-1:secret"), (b"CP-1", b"secret")),
        (header(b"CP-1:a:b:"), (b"CP-1", b"a:b:")),
        (header(b"CP-1:" + bytes(range(20))), (b"CP-1", bytes(range(20)))),
        (header(b"CP-1:\xff\xfe"), (b"CP-1", b"\xff\xfe")),
        (header(b":"), (b"", b"")),
        (header(b"CP-1:x").replace("Basic", "bASIC"), (b"CP-1", b"x")),
        (f"  {header(b'CP-1:x').replace(' ', '   ')} ", (b"CP-1", b"x")),
        (header(b"CP-1"), None),
        ("Basic Q1AtMTp", None),
        ("Basic Q1At MTp4", None),
        ("Basic \u00e9", None),
        ("Basic", None),
        ("Bearer Q1AtMTp4", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials_are_octets_or_nothing(given_header, credentials):
    assert basic_credentials(given_header) == credentials


@given(st.text(st.characters()))
def test_any_header_gives_credentials_or_none(text):
    for given_header in (text, f"Basic {text}"):
        credentials = basic_credentials(given_header)
        assert credentials is None or b":" not in credentials[0]


@given(st.binary(), st.binary(max_size=32))
def test_password_matches_its_own_record_only(password, salt):
    record = hash_password(password, salt)
    assert password_matches(record, password)
    assert not password_matches(record, password + b"x")
    assert record.startswith(b"hmac-sha256$" + salt.hex().encode() + b"$")


@pytest.mark.parametrize(
    "record",
    [
        None,
        b"",
        b"$",
        b"hmac-sha256",
        b"hmac-sha256$zz$00",
        b"hmac-sha256$\xff$00",
        b"scrypt$00$" + hash_password(b"secret", b"\x00").split(b"$")[2],
        hash_password(b"secret", b"\x00")[:-1],
        b"hmac-sha256$$" + hash_password(b"secret", b"\x01").split(b"$")[2],
    ],
)
def test_record_that_is_missing_or_damaged_matches_nothing(record):
    assert not password_matches(record, b"secret")


@pytest.mark.parametrize(
    ("secret", "forms"),
    [
        (b"00" * 16, (bytes(16), b"00" * 16)),
        (b"aB" * 20, (b"\xab" * 20, b"aB" * 20)),
        (b"00" * 15, (b"00" * 15,)),
        (b"00" * 21, (b"00" * 21,)),
        (b"0" * 33, (b"0" * 33,)),
        (b"zz" * 16, (b"zz" * 16,)),
        (b"correct horse", (b"correct horse",)),
        (b"00" * 16 + b"\n", (b"00" * 16 + b"\n",)),
    ],
)
def test_key_in_hex_digits_may_be_presented_decoded_or_as_written(secret, forms):
    assert accepted_forms(secret) == forms
