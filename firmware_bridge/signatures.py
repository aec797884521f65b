"""Signed firmware: a manufacturer that the site trusts certifies who signed it, and the signature is of this file.

The certificate is judged before anything is fetched (2.x L01.FR.23; 1.6 security, SignedUpdateFirmware), the signature
over the file's SHA-256 afterwards. Whether a certificate has been revoked is not asked: that needs the manufacturer's
server, and an expired list must not stop a site without internet.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from firmware_bridge.disk import utc_now
from firmware_bridge.errors import Refused, Unusable


class InvalidCertificate(Refused):
    """The certificate is none, or nobody trusted vouches for it."""

    code = "invalid_certificate"


class WrongSignature(Unusable):
    """The file is not what was signed."""

    code = "invalid_signature"


@dataclass(frozen=True, slots=True)
class Signature:
    value: str
    """Base64."""
    certificate: str
    """PEM of the signer, and of those between it and a root, if any."""


class Trust:
    """The manufacturers' root certificates."""

    def __init__(self, roots_file: Path | None) -> None:
        """Raises ValueError for a file that holds no certificates."""
        self._roots: list[x509.Certificate] = []
        if roots_file is None:
            return
        try:
            self._roots = x509.load_pem_x509_certificates(roots_file.read_bytes())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no certificate (PEM)"
            raise ValueError(f"manufacturers_file {roots_file}: {why}") from error

    def signer(self, signature: Signature, now: datetime | None = None) -> x509.Certificate:
        """Whose signature it is. Raises InvalidCertificate."""
        try:
            chain = x509.load_pem_x509_certificates(signature.certificate.encode())
        except ValueError as error:
            raise InvalidCertificate(f"The signing certificate cannot be read: {error}.") from error
        if not self._roots:
            raise InvalidCertificate(
                "No manufacturer is trusted: firmware_bridge.manufacturers_file names no root certificate."
            )
        signer = chain[0]
        at = utc_now() if now is None else now
        if not signer.not_valid_before_utc <= at <= signer.not_valid_after_utc:
            raise InvalidCertificate(
                f"The signing certificate of {_name(signer)} is valid from {signer.not_valid_before_utc:%Y-%m-%d} to "
                f"{signer.not_valid_after_utc:%Y-%m-%d} only."
            )
        if signer in self._roots:
            return signer
        anyone = ExtensionPolicy.permit_all()  # code signing has no names of servers
        verifier = (
            PolicyBuilder()
            .store(Store(self._roots))
            .time(at)
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=anyone)
            .build_client_verifier()
        )
        try:
            verifier.verify(signer, chain[1:])
        except VerificationError as error:
            raise InvalidCertificate(
                f"Nobody of firmware_bridge.manufacturers_file vouches for the signing certificate of {_name(signer)}: "
                f"{error}."
            ) from error
        return signer

    def verify(self, signature: Signature, sha256: str) -> str:
        """The signer's name, if it is the signature of a file with this digest. Raises Refused or Unusable."""
        signer = self.signer(signature)
        digest = bytes.fromhex(sha256)
        try:
            value = base64.b64decode(signature.value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise WrongSignature("The signature is no Base64.") from error
        if not _is_signed(signer, value, digest):
            raise WrongSignature(f"The file is not the one that {_name(signer)} signed: its signature does not fit.")
        return _name(signer)


def _is_signed(signer: x509.Certificate, value: bytes, digest: bytes) -> bool:
    key, hashed = signer.public_key(), Prehashed(SHA256())
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, digest, ec.ECDSA(hashed))
            return True
        if not isinstance(key, rsa.RSAPublicKey):
            return False
    except InvalidSignature:
        return False
    # OCPP asks for PSS; much firmware in the field is signed as openssl does by default, which is no weaker here.
    for scheme in (padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO), padding.PKCS1v15()):
        try:
            key.verify(value, digest, scheme, hashed)
        except InvalidSignature:
            continue
        return True
    return False


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number:x}"
