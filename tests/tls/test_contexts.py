"""What the two sides offer each other, tried with handshakes in memory, and which files they refuse."""

import ssl
import warnings

import pytest

from edge.tls.contexts import CertificateUnusable, Pair, listener_context, uplink_context
from tests.tls.authority import openssl
from tests.tls.handshake import shake

OLD = ssl.TLSVersion.TLSv1_1


def charger(ca=None, *, ciphers=None, newest=None, oldest=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TLS 1.0 and 1.1 are deprecated: that is the point
        if oldest is not None:
            context.minimum_version = oldest
        if newest is not None:
            context.maximum_version = newest
    if ciphers is not None:
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    if ca is not None:
        context.load_verify_locations(ca)
    return context


@pytest.fixture(scope="module")
def pairs(authority):
    return {kind: authority.issue(f"server-{kind}", "DNS:gw.local", key=kind) for kind in ("rsa", "ec")}


@pytest.mark.parametrize(
    ("suite", "kinds"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", ("rsa", "ec")),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", ("rsa", "ec")),
        ("AES128-GCM-SHA256", ("rsa", "ec")),
        ("AES256-GCM-SHA384", ("rsa", "ec")),
        ("AES128-GCM-SHA256", ("rsa",)),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", ("ec",)),
    ],
)
def test_each_suite_of_the_security_whitepaper_is_served_with_the_key_that_it_needs(authority, pairs, suite, kinds):
    server = listener_context([pairs[kind] for kind in kinds])
    client = charger(authority.certificate, ciphers=suite, newest=ssl.TLSVersion.TLSv1_2)
    seen = shake(server, client, "gw.local")
    assert (seen.client_error, seen.server_error) == (None, None)
    assert seen.client.cipher()[0] == suite
    assert seen.client.compression() is None


def test_forward_secrecy_is_preferred_and_tls_1_3_is_offered(authority, pairs):
    server = listener_context(list(pairs.values()))
    everything = charger(
        authority.certificate, ciphers="AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", newest=ssl.TLSVersion.TLSv1_2
    )
    assert shake(server, everything, "gw.local").client.cipher()[0].startswith("ECDHE-ECDSA")
    assert shake(server, charger(authority.certificate), "gw.local").client.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"newest": OLD, "oldest": ssl.TLSVersion.TLSv1, "ciphers": "ALL"}, "UNSUPPORTED_PROTOCOL"),
        ({"newest": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-SHA"}, "NO_SHARED_CIPHER"),
        ({"newest": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-RSA-AES128-SHA256"}, "NO_SHARED_CIPHER"),
    ],
)
def test_old_versions_and_suites_without_gcm_are_not_offered(pairs, options, reason):
    assert shake(listener_context(list(pairs.values())), charger(**options), "gw.local").server_error.reason == reason


def test_renegotiation_and_compression_are_off(pairs):
    for context in (listener_context([pairs["ec"]]), uplink_context(None, None)):
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_uplink_demands_a_trusted_certificate_for_the_host_of_its_url(authority, pairs):
    server = listener_context([pairs["ec"]])
    trusting = uplink_context(authority.certificate, None)
    assert shake(server, trusting, "gw.local").client_error is None
    assert shake(server, trusting, "other.local").client_error.verify_code == 62
    assert shake(server, uplink_context(None, None), "gw.local").client_error.verify_code in (19, 20)
    pinned = uplink_context(pairs["ec"].cert_file, None)
    assert shake(server, pinned, "gw.local").client_error is None


def _files(authority, pairs, tmp_path):
    """Pairs that cannot be used: which file is at fault, and what is said of it."""
    rsa, ec = pairs["rsa"], pairs["ec"]
    other = authority.issue("other-ec", "DNS:gw.local")
    locked, der, text = tmp_path / "locked.key", tmp_path / "cert.der", tmp_path / "text.pem"
    openssl("pkey", "-in", rsa.key_file, "-aes256", "-passout", "pass:secret", "-out", locked)
    openssl("x509", "-in", rsa.cert_file, "-outform", "der", "-out", der)
    text.write_text("hello")
    short = authority.issue("short", "DNS:gw.local", key="rsa1024")
    request = authority.folder / "short.csr"
    damaged = tmp_path / "damaged.pem"
    damaged.write_text(rsa.cert_file.read_text().replace("MII", "!!!", 1))
    return {
        "other kind of key": (
            Pair(rsa.cert_file, ec.key_file),
            "key",
            "is not the key of the certificate in server-rs",
        ),
        "other key": (Pair(other.cert_file, ec.key_file), "key", "is not the key of the certificate in other-ec.pem"),
        "passphrase": (Pair(rsa.cert_file, locked), "key", "is encrypted with a passphrase, expected a key without on"),
        "der": (Pair(der, rsa.key_file), "cert", "is in DER form, expected a certificate in PEM form (-----BEGIN CER"),
        "key for cert": (Pair(rsa.key_file, rsa.key_file), "cert", "holds a private key and no certificate, expected"),
        "request": (Pair(request, rsa.key_file), "cert", "holds a request for a certificate, expected a certificate"),
        "cert for key": (Pair(rsa.cert_file, rsa.cert_file), "key", "holds no private key in PEM form (-----BEGIN PRI"),
        "text": (Pair(text, rsa.key_file), "cert", "holds no certificate, expected a certificate in PEM form"),
        "text for key": (Pair(rsa.cert_file, text), "key", "holds no private key in PEM form"),
        "short key": (short, "cert", "has a key that is too short, expected RSA of 2048 bits or more"),
        "damaged": (Pair(damaged, rsa.key_file), "cert", "what stands between BEGIN CERTIFICATE and END CERTIFICATE"),
        "missing": (Pair(rsa.cert_file, tmp_path / "none.key"), "key", "cannot be read (No such file or directory)"),
    }


def test_files_that_cannot_be_used_are_named_with_what_is_wrong(authority, pairs, tmp_path):
    for name, (pair, at_fault, words) in _files(authority, pairs, tmp_path).items():
        with pytest.raises(CertificateUnusable) as failed:
            listener_context([pair])
        assert failed.value.what.startswith(words), name
        assert failed.value.path == (pair.cert_file if at_fault == "cert" else pair.key_file), name


def test_a_ca_file_without_certificates_is_refused(pairs, tmp_path):
    with pytest.raises(CertificateUnusable, match="holds no certificate"):
        uplink_context(pairs["ec"].key_file, None)
    with pytest.raises(CertificateUnusable, match="No such file"):
        uplink_context(tmp_path / "none.pem", None)
