"""The SSL contexts of both sides: what is offered, what is demanded, and which files are loaded.

Files come in as paths, a context goes out, or `CertificateUnusable` with the file and what is wrong with it. A key
is never asked for its passphrase: the daemon starts unattended.
"""

import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.domain.ports import EdgeError
from edge.tls.x509 import Certificate, UnreadableCertificate, read_pem

# 1.6 security whitepaper A00.FR.317: ECDHE_ECDSA and TLS_RSA, each with AES_128_GCM_SHA256 and AES_256_GCM_SHA384.
# ECDHE comes first: TLS_RSA has no forward secrecy and is left to chargers that know nothing else.
LISTENER_CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384"
)
LARGEST_FILE: Final = 1_000_000
READ_BUFFER: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with what signs it, and its private key."""

    cert_file: Path
    key_file: Path


class CertificateUnusable(EdgeError):
    """A file does not hold what TLS needs of it. `path` is the file at fault."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path.name}: {what}")
        self.path = path
        self.what = what


class _Passphrase(Exception):
    """The key asks for one."""


def listener_context(pairs: Sequence[Pair]) -> ssl.SSLContext:
    """For a listener of security profile 2; `pairs`: one certificate for each kind of key (A00.FR.421).

    Raises CertificateUnusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(LISTENER_CIPHERS)
    for pair in pairs:
        load_pair(context, pair)
    # Each TLS connection of asyncio keeps a buffer of this size for as long as it lives; with the usual 256 KiB,
    # two hundred chargers, or strangers in the middle of a handshake, would hold 50 MB.
    SSLProtocol.max_size = READ_BUFFER
    return context


def uplink_context(ca_file: Path | None, own: Pair | None) -> ssl.SSLContext:
    """For the connection to the CSMS: its certificate is checked against `ca_file`, or the system's authorities,
    and against the host name of the URL. Raises CertificateUnusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if ca_file is None:
        context.load_default_certs()
    else:
        # Whoever is named in the file is trusted, also one that is not a root: an operator may pin the CSMS itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if not read_certificates(ca_file):
            raise CertificateUnusable(ca_file, "holds no certificate in PEM form")
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as failed:
            raise CertificateUnusable(
                ca_file, f"cannot be used as a certificate authority ({_reason(failed)})"
            ) from None
    if own is not None:
        load_pair(context, own)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def load_pair(context: ssl.SSLContext, pair: Pair) -> tuple[Certificate, ...]:
    """The certificates of the pair, the context's own first. Raises CertificateUnusable."""
    certificates = read_certificates(pair.cert_file)
    if not certificates:
        raise CertificateUnusable(pair.cert_file, _what_else(pair.cert_file))
    _read(pair.key_file)
    try:
        context.load_cert_chain(pair.cert_file, pair.key_file, password=_no_passphrase)
    except _Passphrase:
        raise CertificateUnusable(
            pair.key_file, "is encrypted with a passphrase, expected a key without one: the daemon starts unattended"
        ) from None
    except ssl.SSLError as failed:
        raise _unusable(pair, failed) from None
    return certificates


def _no_passphrase() -> str:
    raise _Passphrase


def _unusable(pair: Pair, failed: ssl.SSLError) -> CertificateUnusable:
    match failed.reason:
        case "KEY_VALUES_MISMATCH" | "NO_CERTIFICATE_ASSIGNED" | "KEY_TYPE_MISMATCH":
            return CertificateUnusable(pair.key_file, f"is not the key of the certificate in {pair.cert_file.name}")
        case "EE_KEY_TOO_SMALL":
            return CertificateUnusable(pair.cert_file, "has a key that is too short, expected RSA of 2048 bits or more")
        case "CA_MD_TOO_WEAK" | "EE_MD_TOO_WEAK":
            return CertificateUnusable(
                pair.cert_file, "is signed with a hash that is broken, expected SHA-256 or better"
            )
    if "PRIVATE KEY-----" not in _read(pair.key_file):
        return CertificateUnusable(pair.key_file, "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
    return CertificateUnusable(pair.key_file, f"cannot be used with {pair.cert_file.name} ({_reason(failed)})")


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """Those in a PEM file, in order; none where it has other things. Raises CertificateUnusable."""
    try:
        return read_pem(_read(path))
    except UnreadableCertificate as failed:
        raise CertificateUnusable(path, str(failed)) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as failed:
        raise CertificateUnusable(path, f"cannot be read ({failed.strerror})") from None
    if len(content) > LARGEST_FILE:
        raise CertificateUnusable(path, f"has more than {LARGEST_FILE} bytes")
    return content.decode("latin-1")


def _what_else(path: Path) -> str:
    """What a file is that holds no certificate."""
    text = _read(path)
    expected = "expected a certificate in PEM form (-----BEGIN CERTIFICATE-----)"
    if "PRIVATE KEY-----" in text:
        return f"holds a private key and no certificate, {expected}"
    if "CERTIFICATE REQUEST-----" in text:
        return f"holds a request for a certificate, {expected}"
    if text.startswith("0\x82"):
        return f"is in DER form, {expected}: openssl x509 -inform der -in {path.name} -out {path.stem}.pem"
    return f"holds no certificate, {expected}"


def _reason(failed: ssl.SSLError) -> str:
    return (failed.reason or "OpenSSL cannot read it").lower().replace("_", " ")
