"""What an OCPP-J opening handshake says: who is calling, in which version, with which credentials.

What passes through: the path and headers of a charger's HTTP request, and the subprotocols offered by either side.
What is guaranteed: nothing here raises on a peer's input, passwords are octets that are never decoded, and a
password is compared in the same time and with the same work whether its owner exists or not.
Next: `edge/chargers/server.py`, which decides what to answer.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

MAX_IDENTITY = 48
"""2.x identifierString; 1.6 gives no length."""

_SUBPROTOCOLS = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}
_RECORD_KIND = b"hmac-sha256"
# As long as a real record, and no password makes it: its digest is not hexadecimal.
_NOBODY = b"$".join((_RECORD_KIND, b"00" * 16, b"-" * 64))
_HEX_KEY = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")


def identity_from_path(path: str, prefix: str) -> str | None:
    """The charger's identity: the last segment of the request's path under the listener's path, percent-decoded.

    Repeated and trailing slashes and a query are tolerated. None when there is no identity that we could use.
    """
    if "#" in path:
        return None  # no part of a request target (RFC 9112 §3.2): two readers could understand it differently
    segments = [segment for segment in path.partition("?")[0].split("/") if segment]
    ours = [segment for segment in prefix.split("/") if segment]
    if len(segments) <= len(ours) or segments[: len(ours)] != ours:
        return None
    try:
        identity = unquote_to_bytes(segments[-1]).decode()
    except UnicodeError:
        return None
    # The colon separates user and password in Basic authentication. Characters that cannot be printed
    # (controls, bidirectional marks) would let one identity look like another.
    if len(identity) > MAX_IDENTITY or ":" in identity or not identity.isprintable() or identity in {".", ".."}:
        return None
    return identity


def choose_subprotocol(offered: Sequence[str], enabled: Sequence[str]) -> str | None:
    """The subprotocol of the first enabled version that the client offers: our order of preference counts."""
    for version in enabled:
        name = f"ocpp{version}"
        if name in offered and name in _SUBPROTOCOLS:
            return name
    return None


def version_of(subprotocol: str) -> str | None:
    """`ocpp1.6` → `1.6`; None for what we do not speak."""
    return _SUBPROTOCOLS.get(subprotocol)


def basic_credentials(header: str | None) -> tuple[bytes, bytes] | None:
    """User and password of an `Authorization: Basic …` header, as octets: a 1.6 AuthorizationKey is any 20 bytes."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def hash_password(password: bytes, salt: bytes) -> bytes:
    """The record to store: kind, salt and salted digest. The passwords are random keys, so one round is enough."""
    digest = hmac.digest(salt, password, hashlib.sha256)
    return b"$".join((_RECORD_KIND, salt.hex().encode(), digest.hex().encode()))


def password_matches(record: bytes | None, password: bytes) -> bool:
    """Whether this password made this record. Without a record the same work is done, and the answer is no."""
    expected = record if record is not None else _NOBODY
    try:
        salt = bytes.fromhex(expected.split(b"$")[1].decode())
    except (IndexError, ValueError):
        salt = b""
    return hmac.compare_digest(expected, hash_password(password, salt))


def accepted_forms(secret: bytes) -> tuple[bytes, ...]:
    """The octets a charger may present for a configured secret, the proper form first.

    A 1.6 AuthorizationKey is written as 32 to 40 hexadecimal digits and presented as the bytes they stand for
    (1.6J §6.2.2); some chargers present the digits themselves.
    """
    if _HEX_KEY.fullmatch(secret) is None:
        return (secret,)
    return (bytes.fromhex(secret.decode()), secret)
