"""Servers on the internet that speak FTP, with certificates that prove their names: all on loopback."""

import contextlib
import datetime as dt
import errno
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, on which it stands, is leaving the library
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

USER, PASSWORD = "vendor", "geheim-é"


@dataclass
class Certified:
    """A server's certificate and key in one file, and the root that vouches for it."""

    server: Path
    root: Path


def certified(folder: Path, host: str, days: int = 1) -> Certified:
    """One for this host name. `days`: until it expires; the day before yesterday it was valid."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Root")])
    root = _certificate(root_name, root_key, root_name, root_key, host=None, days=1)
    server = _certificate(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, root_name, root_key, host=host, days=days
    )
    found = Certified(folder / f"{host}.pem", folder / f"{host}-root.pem")
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.server.write_bytes(_pem(server) + key.private_bytes(serialization.Encoding.PEM, *plain))
    found.root.write_bytes(_pem(root))
    return found


def _certificate(name, key, issuer, issuer_key, host, days):
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - OpenSSL judges by the machine's clock
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=3))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if host is None:
        may = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                             "digital_signature", "encipher_only", "decipher_only"), False)  # fmt: skip
        made = made.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **may), critical=True)
    else:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Depot:
    """An FTP server with the files of a folder: pyftpdlib, in a thread of its own."""

    folder: Path
    certificate: Path | None = None
    """With it, by AUTH TLS and not without."""
    knows_not: frozenset[str] = frozenset()
    """Commands that it answers with 500."""
    tells_address: str | None = None
    """In answers to PASV, instead of its own."""
    breaks_after: list[int] = field(default_factory=list)
    """Bytes of the file after which each next transfer breaks off, in whichever direction."""
    when_broken: Callable[[], None] = lambda: None
    ignores_rest: bool = False
    takes_files: bool = False
    most_clients: int = 20
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def url(self, name: str, login: str = "vendor:geheim-%C3%A9@", host: str = "127.0.0.1") -> str:
        return f"{'ftp' if self.certificate is None else 'ftps'}://{login}{host}:{self.port}/{name}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Depot"]:
        server = FTPServer(("127.0.0.1", 0), self._handler(), ioloop=IOLoop())
        self.port = server.address[1]
        server.max_cons = self.most_clients
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                server.ioloop.loop(timeout=0.01, blocking=False)
            server.close_all()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield self
        finally:
            is_over.set()
            thread.join()

    def _handler(self) -> type[FTPHandler]:
        depot = self
        logins = DummyAuthorizer()
        logins.add_user(USER, PASSWORD, str(self.folder), perm="elrw" if self.takes_files else "elr")
        logins.add_anonymous(str(self.folder))

        class Shelves(AbstractedFS):
            def open(self, filename, mode):
                file = super().open(filename, mode)
                return Breaking(file, depot.breaks_after.pop(0), depot.when_broken) if depot.breaks_after else file

        class Counter(FTPHandler if self.certificate is None else TLS_FTPHandler):  # type: ignore[misc]
            authorizer = logins
            abstracted_fs = Shelves
            use_sendfile = False
            masquerade_address = self.tells_address
            auth_failed_timeout = 0
            proto_cmds = {  # noqa: RUF012
                name: details
                for name, details in (FTPHandler if self.certificate is None else TLS_FTPHandler).proto_cmds.items()
                if name not in self.knows_not
            }
            certfile = None if self.certificate is None else str(self.certificate)
            tls_control_required = tls_data_required = True

            def pre_process_command(self, line, cmd, arg):
                depot.asked.append(f"{cmd} {arg}".strip())
                super().pre_process_command(line, cmd, arg)

            def ftp_REST(self, line):
                super().ftp_REST(line)
                if depot.ignores_rest:
                    self._restart_position = 0

        return Counter


@dataclass
class Breaking:
    """A file of which only so much can be read or written."""

    file: BinaryIO
    rest: int
    when_broken: Callable[[], None]

    def read(self, size: int) -> bytes:
        piece = self.file.read(min(size, self.rest))
        self.rest -= len(piece)
        if not piece:
            self.when_broken()
            raise OSError(errno.EIO, "the disk has an error")
        return piece

    def write(self, piece: bytes) -> int:
        self.rest -= len(piece)
        if self.rest < 0:
            self.when_broken()
            raise OSError(errno.ENOSPC, "the disk is full")
        return self.file.write(piece)

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)
