"""A manufacturer that signs firmware: its root, certificates for those who sign, and signatures; all made anew."""

import base64
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


@dataclass
class Signer:
    """Somebody with a key and a certificate."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def signature(self, content: bytes, *, is_pss: bool = True) -> str:
        if isinstance(self.key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
            value = self.key.sign(content, pss if is_pss else padding.PKCS1v15(), hashes.SHA256())
        else:
            value = self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(value).decode()


class Manufacturer:
    """Its root vouches for the signers that it makes."""

    def __init__(self, name: str = "EVB") -> None:
        self.root = _signer(f"{name} Root", None, -30 * DAY, 30 * DAY, ec.generate_private_key(ec.SECP256R1()))

    def roots_file(self, folder: Path) -> Path:
        path = folder / "manufacturers.pem"
        path.write_text(self.root.pem)
        return path

    def signer(self, begins: dt.timedelta = -DAY, ends: dt.timedelta = DAY, *, is_rsa: bool = False) -> Signer:
        key = rsa.generate_private_key(65_537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        return _signer("EVB Firmware", self.root, begins, ends, key)


def _signer(name, issuer, begins, ends, key):
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the machine's clock
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    root_key = key if issuer is None else issuer.key
    may = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only", "digital_signature", "key_cert_sign", "crl_sign"), False,
    )  # fmt: skip
    may |= {"key_cert_sign": True, "crl_sign": True} if issuer is None else {"digital_signature": True}
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**may), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("firmware.example.com")]), critical=False)
    )
    return Signer(key, made.sign(root_key, hashes.SHA256()))
