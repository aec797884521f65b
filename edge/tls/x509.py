"""What a certificate says: whose it is, who signed it, for which names and from when until when.

Reads DER (X.690) as far as RFC 5280 needs it for these fields, because the standard library shows them only of a
certificate that it has verified, and people need them most of one that it has not. Nothing here decides whether a
certificate is trusted: OpenSSL does. The bytes may be a stranger's: whatever they are, the result is a `Certificate`
or `UnreadableCertificate`, and its texts are printable and short.
"""

import binascii
import hashlib
import ipaddress
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from edge.domain.ports import EdgeError

LONGEST_TEXT = 120
NAMES_AT_MOST = 100

_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE, _SET, _BOOLEAN = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31, 0x01
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ENCODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be", 0x12: "ascii"}

_ORGANIZATION = bytes.fromhex("55040a")
_COMMON_NAME = bytes.fromhex("550403")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_RSA = bytes.fromhex("2a864886f70d010101")
_ELLIPTIC = bytes.fromhex("2a8648ce3d0201")

_PEM = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END (?:X509 |TRUSTED )?CERTIFICATE-----", re.DOTALL
)


class UnreadableCertificate(EdgeError):
    """These bytes are no certificate."""


class KeyKind(StrEnum):
    RSA = "RSA"
    ECDSA = "ECDSA"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Name:
    common_name: str | None
    organization: str | None
    encoded: bytes
    """As it stands in the certificate, to compare."""

    def __str__(self) -> str:
        if self.common_name is not None:
            return f'"{self.common_name}"'
        return f'"{self.organization}"' if self.organization is not None else "somebody without a name"


@dataclass(frozen=True, slots=True)
class Certificate:
    subject: Name
    issuer: Name
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    """Host names and addresses of subjectAltName."""
    key: KeyKind
    fingerprint: str
    """SHA-256, hex."""

    @property
    def is_self_issued(self) -> bool:
        return self.subject.encoded == self.issuer.encoded

    @property
    def hosts(self) -> tuple[str, ...]:
        """For which hosts it stands; clients that see a subjectAltName ignore the common name (RFC 6125)."""
        if self.names or self.subject.common_name is None:
            return self.names
        return (self.subject.common_name,)


def read_pem(text: str) -> tuple[Certificate, ...]:
    """All certificates of a PEM text, in order; other blocks are passed over. Raises UnreadableCertificate."""
    return tuple(read_der(_decoded(block[1])) for block in _PEM.finditer(text))


def _decoded(base64: str) -> bytes:
    try:
        return b64decode("".join(base64.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableCertificate("what stands between BEGIN CERTIFICATE and END CERTIFICATE is not base64") from None


def read_der(der: bytes) -> Certificate:
    """One certificate. Raises UnreadableCertificate."""
    try:
        return _certificate(der)
    except (IndexError, ValueError, OverflowError):
        raise UnreadableCertificate("this is no X.509 certificate, or a damaged one") from None


def _certificate(der: bytes) -> Certificate:
    (_, outer), *_ = _elements(_only(der, _SEQUENCE))
    fields = [(tag, content) for tag, content in _elements(outer) if tag != _VERSION]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, then the optional ones
    (_, issuer), (_, validity), (_, subject), (_, key_info), *optional = fields[2:]
    not_before, not_after = (_instant(tag, content) for tag, content in _elements(validity))
    extensions = next((content for tag, content in optional if tag == _EXTENSIONS), b"")
    return Certificate(
        subject=_name(subject),
        issuer=_name(issuer),
        not_before=not_before,
        not_after=not_after,
        names=tuple(_alternative_names(extensions)),
        key=_key_kind(key_info),
        fingerprint=hashlib.sha256(der).hexdigest(),
    )


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element that stands in a constructed one."""
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("length of a form that DER does not have")
            length, at = int.from_bytes(content[at : at + count], "big"), at + count
        if at + length > len(content):
            raise ValueError("an element ends outside the one that holds it")
        yield tag, content[at : at + length]
        at += length


def _only(content: bytes, wanted: int) -> bytes:
    (tag, inner), *_ = _elements(content)
    if tag != wanted:
        raise ValueError(f"tag {tag:#x} where {wanted:#x} was expected")
    return inner


def _name(content: bytes) -> Name:
    texts: dict[bytes, str] = {}
    for _, relative in _elements(content):
        for _, attribute in _elements(relative):
            (_, kind), (encoding, value) = _elements(attribute)
            if kind in {_COMMON_NAME, _ORGANIZATION} and encoding in _ENCODINGS:
                texts[kind] = shown(value.decode(_ENCODINGS[encoding], errors="replace"))
    return Name(texts.get(_COMMON_NAME), texts.get(_ORGANIZATION), content)


def _instant(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # RFC 5280 §4.1.2.5.1: years of two digits, from 1950
        text = ("19" if text >= "5" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _key_kind(key_info: bytes) -> KeyKind:
    algorithm = _only(_only(key_info, _SEQUENCE), _OID)
    return {_RSA: KeyKind.RSA, _ELLIPTIC: KeyKind.ECDSA}.get(algorithm, KeyKind.OTHER)


def _alternative_names(extensions: bytes) -> Iterator[str]:
    for _, extension in _elements(_only(extensions, _SEQUENCE) if extensions else b""):
        (_, kind), *_, (_, value) = _elements(extension)
        if kind != _ALTERNATIVE_NAMES:
            continue
        for tag, name in list(_elements(_only(value, _SEQUENCE)))[:NAMES_AT_MOST]:
            if tag == _DNS_NAME:
                yield shown(name.decode("ascii", errors="replace"))
            elif tag == _IP_ADDRESS:
                yield str(ipaddress.ip_address(name))


def shown(text: str) -> str:
    """A stranger's text, on one line and not longer than it helps."""
    short = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in short)
