"""A certificate authority of the tests, by the `openssl` command: the certificates are as real as those in the field."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.tls.contexts import Pair

NOW = datetime.now(UTC)  # noqa: TID251 - openssl dates by the machine's clock, too
SAMPLE = """\
-----BEGIN CERTIFICATE-----
MIIB1zCCAXygAwIBAgIUFQZ5jdhI1ZbHt/yQ1ejI3MGACo0wCgYIKoZIzj0EAwIw
JTEOMAwGA1UECgwFVGVzdHMxEzARBgNVBAMMCmd3LmV4YW1wbGUwIBcNMjYxMTIx
MTQyNDM4WhgPMjEyNjEwMjgxNDI0MzhaMCUxDjAMBgNVBAoMBVRlc3RzMRMwEQYD
VQQDDApndy5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKqp7op88
lK6GbSnVefHzuVDP4j8O5bg/5oZJlZOqlYA3SzaX4P2eySeUg+kXA7sFRzowjIad
iAP78JFrdczOH6OBhzCBhDAdBgNVHQ4EFgQUMcii8zi4vmW/XrNW1w6qCnAkqB8w
HwYDVR0jBBgwFoAUMcii8zi4vmW/XrNW1w6qCnAkqB8wDwYDVR0TAQH/BAUwAwEB
/zAxBgNVHREEKjAoggpndy5leGFtcGxlggJnd4cEwAACB4cQIAENuAAAAAAAAAAA
AAAAATAKBggqhkjOPQQDAgNJADBGAiEA+swJ/ZDJGG2ggbPiN0k4C6+4NyRmdSnR
uQe6A38YBiQCIQCyt5cVHpf55GFfzuunc5+7eHpUKjibOpwE76wWtIwVkA==
-----END CERTIFICATE-----
"""
"""A certificate for where no openssl is needed; valid until 2126."""

YEAR = timedelta(days=365)

_CONFIG = """\
[ca]
default_ca = tests
[tests]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = anything
unique_subject = no
copy_extensions = copy
[anything]
commonName = optional
organizationName = optional
"""


def openssl(*words: object, text: str | None = None) -> str:
    """What the command prints; skips the test where it does not exist."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    done = subprocess.run(["openssl", *map(str, words)], input=text, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """Signs certificates; its own is `certificate`."""

    def __init__(self, folder: Path, name: str = "Test Root") -> None:
        self.folder = folder
        self.name = name
        folder.mkdir()
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        openssl("req", "-x509", *_new_key("ec"), "-nodes", "-days", "3650", "-subj", f"/O=Tests/CN={name}",
                "-keyout", self._key, "-out", self.certificate)  # fmt: skip

    def issue(
        self,
        name: str,
        *hosts: str,
        key: str = "ec",
        common_name: str | None = "",
        since: datetime = NOW - timedelta(days=1),
        until: datetime = NOW + YEAR,
    ) -> Pair:
        """A certificate for these hosts (`DNS:…`, `IP:…`), and its key."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request = self.folder / f"{name}.csr"
        subject = "/O=Tests" if common_name is None else f"/O=Tests/CN={common_name or name}"
        names = ["-addext", f"subjectAltName={','.join(hosts)}"] if hosts else []
        openssl("req", "-new", *_new_key(key), "-nodes", "-subj", subject, *names,
                "-keyout", pair.key_file, "-out", request)  # fmt: skip
        openssl("ca", "-batch", "-config", self.folder / "ca.cnf", "-notext", "-startdate", _time(since),
                "-enddate", _time(until), "-in", request, "-out", pair.cert_file)  # fmt: skip
        pair.key_file.chmod(0o600)
        return pair


def self_signed(folder: Path, name: str, key: str = "ec", host: str = "localhost") -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    openssl("req", "-x509", *_new_key(key), "-nodes", "-days", "365", "-subj", f"/CN={host}",
            "-addext", f"subjectAltName=DNS:{host}", "-keyout", pair.key_file, "-out", pair.cert_file)  # fmt: skip
    pair.key_file.chmod(0o600)
    return pair


def _new_key(kind: str) -> list[str]:
    if kind == "ec":
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    return ["-newkey", f"rsa:{kind.removeprefix('rsa') or 2048}"]


def _time(instant: datetime) -> str:
    return f"{instant:%Y%m%d%H%M%SZ}"
