"""Why a TLS handshake failed, for a person who is to mend it: what the other side meant, and what to do next.

OpenSSL says what it saw ("tlsv1 alert unknown ca"); these functions say what that means where it happened.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from edge.tls.judgement import minute
from edge.tls.x509 import Certificate, KeyKind, shown


class Cause(StrEnum):
    """What went wrong with a charger's handshake, to count."""

    NOT_TRUSTED = "our_certificate_not_trusted"
    TLS_TOO_OLD = "tls_too_old"
    NO_SHARED_CIPHER = "no_shared_cipher"
    NO_TLS = "no_tls"
    """ws:// to a port with TLS."""
    TLS = "tls"
    """wss:// to a port without."""
    GAVE_UP = "gave_up"
    TOO_SLOW = "too_slow"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failure:
    cause: Cause
    words: str


TLS_ON_A_PLAIN_PORT: Final = Failure(
    Cause.TLS,
    "it speaks TLS (wss://) to a port without: give its URL the port of a [[listener]] with security_profile = 2, "
    "or ws:// in place of wss://",
)
_PLAIN = Failure(
    Cause.NO_TLS,
    "it speaks plain ws:// to a port with TLS: set wss:// in its URL, "
    "or give the URL the port of a [[listener]] with security_profile 0 or 1",
)
_TOO_OLD = Failure(Cause.TLS_TOO_OLD, "it offers only TLS 1.0 or 1.1, expected 1.2 or newer: update its firmware")
_UNTRUSTED_ALERTS: Final = {
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know who signed our certificate ({issuer}): install that one's certificate "
    "as its central system root certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate, most often because the host in its URL is not "
    "one of {hosts}",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it finds our certificate expired, which is valid until {until}: is its "
    "clock wrong?",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate and does not say why: is the host in its URL one "
    "of {hosts}, does it know {issuer}, is its clock right?",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it cannot use a certificate of this kind ({keys})",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it has been told that our certificate is revoked",
    "TLSV1_ALERT_ACCESS_DENIED": "it accepts our certificate and still refuses us",
    "TLSV1_ALERT_DECRYPT_ERROR": "it cannot verify the signature of our key ({keys})",
}
_CIPHER_REASONS: Final = frozenset(
    {
        "NO_SHARED_CIPHER",
        "NO_SHARED_GROUP",
        "NO_SHARED_GROUPS",
        "NO_SHARED_SIGNATURE_ALGORITHMS",
        "NO_SUITABLE_KEY_SHARE",
        "NO_SUITABLE_SIGNATURE_ALGORITHM",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    }
)
_VERSION_REASONS: Final = frozenset(
    {"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
)
_HANGS_UP: Final = frozenset({"UNEXPECTED_EOF_WHILE_READING"})
_PLAIN_REASONS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
_NOT_TLS_REASONS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE"}
)


def of_charger(error: BaseException, ours: Sequence[Certificate]) -> Failure:
    """Why a charger's handshake with a listener failed; `ours` are the listener's own certificates."""
    match error:
        case ssl.SSLError(reason=str(reason)) if reason not in _HANGS_UP:
            return _charger_reason(reason, ours)
        case ConnectionAbortedError() | TimeoutError():
            return Failure(Cause.TOO_SLOW, "it did not finish the TLS handshake in time")
        case OSError():
            # Many small TLS stacks hang up without an alert when they do not like a certificate.
            words = "it closed the connection during the TLS handshake without saying why; often it does not trust us"
            return Failure(
                Cause.GAVE_UP, f"{words}: {_filled(_UNTRUSTED_ALERTS['SSLV3_ALERT_CERTIFICATE_UNKNOWN'], ours)}"
            )
        case _:
            return Failure(Cause.OTHER, f"the TLS handshake failed ({type(error).__name__})")


def _charger_reason(reason: str, ours: Sequence[Certificate]) -> Failure:
    if reason in _PLAIN_REASONS:
        return _PLAIN
    if reason in _VERSION_REASONS:
        return _TOO_OLD
    if reason in _CIPHER_REASONS:
        return Failure(Cause.NO_SHARED_CIPHER, f"it offers no cipher suite that goes with our {_missing(ours)}")
    if reason in _UNTRUSTED_ALERTS:
        return Failure(Cause.NOT_TRUSTED, _filled(_UNTRUSTED_ALERTS[reason], ours))
    if reason in _NOT_TLS_REASONS:
        return Failure(Cause.OTHER, "what it sends is not TLS")
    return Failure(Cause.OTHER, f"the TLS handshake failed: {in_lower_case(reason)}")


def _filled(words: str, ours: Sequence[Certificate]) -> str:
    hosts = list(dict.fromkeys(host for one in ours for host in one.hosts))
    return words.format(
        issuer=" and ".join(dict.fromkeys(str(one.issuer) for one in ours)) or "nobody",
        hosts=", ".join(hosts) or "no host at all",
        until=" and ".join(dict.fromkeys(minute(one.not_after) for one in ours)),
        keys=_kinds(ours),
    )


def _kinds(ours: Sequence[Certificate]) -> str:
    return " and ".join(dict.fromkeys(one.key for one in ours))


def _missing(ours: Sequence[Certificate]) -> str:
    kinds = {one.key for one in ours}
    words = f"certificate ({_kinds(ours)})" if len(kinds) == 1 else f"certificates ({_kinds(ours)})"
    for has, lacks in ((KeyKind.RSA, KeyKind.ECDSA), (KeyKind.ECDSA, KeyKind.RSA)):
        if kinds == {has}:
            words += f": some chargers need {lacks}, add one as second_cert_file"
    return words


@dataclass(frozen=True, slots=True)
class CsmsView:
    """What is known about the CSMS whose handshake failed."""

    url: str
    host: str
    ca_file: str | None
    certificate: Certificate | None
    """What it shows, unverified; None where that could not be found out."""
    shows_ours: bool
    """We have a certificate of our own to show."""


def of_csms(error: ssl.SSLError, view: CsmsView, now: datetime) -> str:
    """Why our handshake with the CSMS failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {view.url} is not trusted: {_verification(error, view, now)}"
    reason = error.reason or ""
    if reason in _NOT_TLS_REASONS:
        return (
            f"{view.url} does not speak TLS on this port: is it the right one? A CSMS without TLS needs ws:// and "
            "security_profile 0 or 1"
        )
    if reason in _VERSION_REASONS:
        return f"{view.url} offers only TLS 1.0 or 1.1, expected 1.2 or newer: the CSMS has to be updated"
    if reason in _CIPHER_REASONS:
        words = f"{view.url} and we have no cipher suite in common"
        return words if view.shows_ours else f"{words}, or it demands a certificate of ours (security_profile = 3)"
    if (
        "ALERT" in reason
        and view.shows_ours
        and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "DENIED"))
    ):
        return f"{view.url} refuses the certificate in cert_file ({in_lower_case(reason)})"
    return f"the TLS handshake with {view.url} failed: {in_lower_case(reason) or str(error)}"


def _verification(error: ssl.SSLCertVerificationError, view: CsmsView, now: datetime) -> str:
    shown_one = view.certificate
    if shown_one is None:
        return f"{error.verify_message}; this machine's clock says {minute(now)}"
    clock = f"this machine's clock says {minute(now)}: if that is wrong, set it"
    where = f"the file of uplink.ca_file ({view.ca_file})" if view.ca_file else "the authorities of this system"
    add = "add it to that file" if view.ca_file else "name a file with it (PEM) in uplink.ca_file"
    match error.verify_code:
        case 9:  # X509_V_ERR_CERT_NOT_YET_VALID
            since = minute(shown_one.not_before) if now < shown_one.not_before else "a time to come (of a signer's)"
            return f"it is valid from {since}; {clock}"
        case 10:  # X509_V_ERR_CERT_HAS_EXPIRED
            if now > shown_one.not_after:
                return f"it expired at {minute(shown_one.not_after)}; {clock}, else the CSMS needs a new one"
            return f"a certificate that signed it, {shown_one.issuer} or one above, has expired; {clock}"
        case 62 | 64:  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
            hosts = ", ".join(shown_one.hosts[:10]) or "no host"
            return f"it is for {hosts}, not for {view.host}: is the host in uplink.url right?"
        case 18:  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
            return (
                f"it is self-signed by {shown_one.issuer} and not in {where}. If the CSMS confirms its SHA-256 "
                f"fingerprint {shown_one.fingerprint}, {add}"
            )
        case 2 | 19 | 20 | 21:  # no issuer here; a root that nobody knows at the end of the chain
            return (
                f"it is signed by {shown_one.issuer}, which leads to no certificate in {where}. Get the root "
                f"certificate from the CSMS's operator and {add}"
            )
        case _:
            return f"{error.verify_message} (its subject is {shown_one.subject}, signed by {shown_one.issuer})"


def in_lower_case(reason: str) -> str:
    """OpenSSL's reason, for where nothing better is known."""
    return shown(reason.lower().replace("_", " "))
