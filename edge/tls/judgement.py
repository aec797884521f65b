"""What is wrong, or will soon be, with the certificate files that the configuration names: the words of `edge check`.

Whether the name in a listener's certificate is the right one cannot be seen here: it is compared by the chargers,
with the host that stands in their URL.
"""

import ssl
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from edge.tls.contexts import CertificateUnusable, Pair, load_pair, read_certificates
from edge.tls.x509 import Certificate

EXPIRES_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Remark:
    path: Path
    """The file that it is about."""
    message: str
    is_error: bool = False
    """It cannot be used as it is. What is only a matter of dates can: the clock may be wrong."""


def judge_pair(pair: Pair, now: datetime | None) -> tuple[list[Remark], tuple[Certificate, ...]]:
    """Remarks on a certificate with its key, and what the file holds; without `now`, dates are not judged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # its own: a second pair must not hide what the first lacks
    try:
        certificates = load_pair(context, pair)
    except CertificateUnusable as failed:
        return [Remark(failed.path, failed.what, is_error=True)], ()
    remarks = list(_dates(pair.cert_file, certificates, now))
    for signed, signer in pairwise(certificates):
        if signed.issuer.encoded != signer.subject.encoded:
            message = (
                f"the certificate of {signed.subject} is followed by that of {signer.subject}, "
                f"expected the one that signed it: {signed.issuer}"
            )
            remarks.append(Remark(pair.cert_file, message))
    if pair.key_file.stat().st_mode & stat.S_IROTH:
        message = "every user can read the private key, expected mode 0640 or stricter (chmod o-r)"
        remarks.append(Remark(pair.key_file, message))
    return remarks, certificates


def judge_listener(pairs: Sequence[Pair], now: datetime | None) -> list[Remark]:
    """Remarks on the one or two certificates of a listener."""
    remarks: list[Remark] = []
    first: Certificate | None = None
    for pair in pairs:
        found, certificates = judge_pair(pair, now)
        remarks += found
        if not certificates:
            continue
        own = certificates[0]
        if own.subject.common_name is None or not own.hosts:
            message = "has no common name, which chargers of OCPP 1.6 compare with the host of their URL"
            remarks.append(Remark(pair.cert_file, message))
        if first is not None and own.key is first.key:
            message = f"has a key of the same kind as the first one ({own.key}), expected RSA beside ECDSA"
            remarks.append(Remark(pair.cert_file, message, is_error=True))
        first = first or own
    return remarks


def judge_authorities(ca_file: Path, now: datetime | None) -> list[Remark]:
    """Remarks on the certificates that a peer's is checked against."""
    try:
        certificates = read_certificates(ca_file)
    except CertificateUnusable as failed:
        return [Remark(failed.path, failed.what, is_error=True)]
    if not certificates:
        return [Remark(ca_file, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", is_error=True)]
    return list(_dates(ca_file, certificates, now))


def _dates(path: Path, certificates: Sequence[Certificate], now: datetime | None) -> Iterator[Remark]:
    if now is not None:
        for certificate in certificates:
            words = date_words(certificate, now)
            if words is not None:
                yield Remark(path, words)


def date_words(certificate: Certificate, now: datetime) -> str | None:
    """Of a certificate that is not valid now, or will not be in 30 days; None of all others."""
    whose = f"the certificate of {certificate.subject}"
    if now < certificate.not_before:
        return f"{whose} is not valid before {minute(certificate.not_before)}; this machine's clock says {minute(now)}"
    if now > certificate.not_after:
        return f"{whose} expired at {minute(certificate.not_after)}; this machine's clock says {minute(now)}"
    if now > certificate.not_after - EXPIRES_SOON:
        return f"{whose} expires at {minute(certificate.not_after)}, in {days(certificate.not_after - now)}"
    return None


def minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def days(span: timedelta) -> str:
    return "less than a day" if span < timedelta(days=1) else "1 day" if span.days == 1 else f"{span.days} days"
