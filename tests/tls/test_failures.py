"""The words for what OpenSSL reports, where a handshake in a scenario cannot bring it about."""

import ssl
from datetime import timedelta

import pytest

from edge.tls.failures import Cause, CsmsView, of_charger, of_csms
from edge.tls.x509 import read_pem
from tests.tls.authority import NOW


@pytest.fixture(scope="module")
def ours(authority):
    pair = authority.issue("gw.local", "DNS:gw.local", "IP:192.0.2.7", until=NOW.replace(microsecond=0) + timedelta(9))
    return read_pem(pair.cert_file.read_text())


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        (alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Cause.NOT_TRUSTED, "it finds our certificate expired, which is va"),
        (alert("SSLV3_ALERT_CERTIFICATE_UNKNOWN"), Cause.NOT_TRUSTED, "it refuses our certificate and does not say w"),
        (alert("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"), Cause.NOT_TRUSTED, "it cannot use a certificate of this kind ("),
        (alert("TLSV1_ALERT_PROTOCOL_VERSION"), Cause.TLS_TOO_OLD, "it offers only TLS 1.0 or 1.1"),
        (alert("WRONG_VERSION_NUMBER"), Cause.OTHER, "what it sends is not TLS"),
        (alert("BAD_EXTENSION"), Cause.OTHER, "the TLS handshake failed: bad extension"),
        (ConnectionResetError(), Cause.GAVE_UP, "it closed the connection during the TLS handshake without saying why"),
        (ConnectionAbortedError("too long"), Cause.TOO_SLOW, "it did not finish the TLS handshake in time"),
        (TimeoutError(), Cause.TOO_SLOW, "it did not finish the TLS handshake in time"),
        (ssl.SSLError(), Cause.GAVE_UP, "it closed the connection during the TLS handshake without saying why"),
    ],
)
def test_what_a_charger_means_is_put_into_words(error, cause, words, ours):
    failure = of_charger(error, ours)
    assert failure.cause is cause
    assert failure.words.startswith(words)


def test_a_charger_that_may_not_trust_us_is_told_with_what_it_has_to_compare(ours):
    words = of_charger(alert("SSLV3_ALERT_CERTIFICATE_UNKNOWN"), ours).words
    assert words.endswith(
        'is the host in its URL one of gw.local, 192.0.2.7, does it know "Test Root", is its clock right?'
    )
    assert "valid until" in of_charger(alert("SSLV3_ALERT_CERTIFICATE_EXPIRED"), ours).words


def view(certificate=None, **options) -> CsmsView:
    known = {"url": "wss://csms.example/ocpp", "host": "csms.example", "ca_file": None, "shows_ours": False}
    return CsmsView(certificate=certificate, **(known | options))


def refused(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, 'a certificate that signed it, "Test Root" or one above, has expired; this machine\'s clock says'),
        (9, "it is valid from a time to come (of a signer's); this machine's clock says"),
        (23, 'certificate revoked (its subject is "gw.local", signed by "Test Root")'),
        (64, "it is for gw.local, 192.0.2.7, not for csms.example: is the host in uplink.url right?"),
    ],
)
def test_the_verdict_on_the_certificate_of_the_cloud_is_explained(code, words, ours):
    said = of_csms(refused(code, "certificate revoked"), view(ours[0]), NOW)
    assert said.startswith(f"the certificate of wss://csms.example/ocpp is not trusted: {words}")


def test_a_certificate_that_could_not_be_fetched_leaves_openssls_words_and_our_time():
    said = of_csms(refused(10, "certificate has expired"), view(), NOW)
    assert said.endswith(f"certificate has expired; this machine's clock says {NOW:%Y-%m-%d %H:%M} UTC")


def test_a_refusal_of_our_own_certificate_names_its_key():
    said = of_csms(alert("TLSV1_ALERT_UNKNOWN_CA"), view(shows_ours=True), NOW)
    assert said == "wss://csms.example/ocpp refuses the certificate in cert_file (tlsv1 alert unknown ca)"
