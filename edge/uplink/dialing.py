"""Opens the connection to the CSMS, or says in words why there is none.

TLS is checked here and nowhere else: certificate, host name, version. Where the CSMS's certificate is refused, it is
fetched once more without trusting it, only to be able to say whose it is; nothing is sent on that connection.
"""

import asyncio
import contextlib
import socket
import ssl
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from edge.config import Uplink
from edge.domain.ports import Clock, UplinkDown
from edge.ocppj.frames import CSMS_LIMITS
from edge.tls.contexts import CertificateUnusable, Pair, read_certificates, uplink_context
from edge.tls.expiry import Shown
from edge.tls.failures import CsmsView, of_csms
from edge.tls.x509 import Certificate, UnreadableCertificate, read_der

CONNECT_WITHIN = 30.0
LOOK_WITHIN = 10.0
HTTPS_PORT = 443

Stamp = tuple[Path | None, int, int]


class Dialer:
    """Remembers the SSL context for as long as its files stay the same, and the certificates that were shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._stamps: tuple[Stamp, ...] = ()
        self._ours: Certificate | None = None
        self._theirs: Certificate | None = None

    def certificates(self) -> list[Shown]:
        """Of the last connection: ours, if the CSMS asks for one, and the CSMS's."""
        shown = (("uplink", self._ours), ("CSMS", self._theirs))
        return [Shown(by, certificate) for by, certificate in shown if certificate is not None]

    async def dial(self, settings: Uplink, ping_interval: float | None) -> ClientConnection:
        """Raises UplinkDown with the reason."""
        headers = {}
        if settings.password is not None:
            credentials = settings.identity.encode() + b":" + settings.password
            headers["Authorization"] = "Basic " + b64encode(credentials).decode()
        try:
            connection = await connect(
                f"{settings.url.rstrip('/')}/{settings.identity}",
                subprotocols=[Subprotocol("ocpp1.6")],
                additional_headers=headers,
                ssl=self._tls(settings) if _is_tls(settings.url) else None,
                compression=None,
                max_size=CSMS_LIMITS.max_characters,
                open_timeout=CONNECT_WITHIN,
                ping_interval=ping_interval,
                ping_timeout=20.0,
                close_timeout=5.0,
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            raise UplinkDown(await self._in_words(error, settings)) from error
        except CertificateUnusable as error:
            raise UplinkDown(f"the certificate files of the uplink cannot be used: {error}") from error
        self._theirs = _shown_by(connection.transport)
        if connection.subprotocol != "ocpp1.6":
            await connection.close(1002, "no common OCPP version")
            raise UplinkDown("the CSMS does not speak ocpp1.6 at this address")
        return connection

    def _tls(self, settings: Uplink) -> ssl.SSLContext:
        """Made anew when a file has changed; the system's authorities alone take a Pi a tenth of a second."""
        stamps = tuple(_stamp(path) for path in (settings.ca_file, settings.cert_file, settings.key_file))
        if self._context is None or stamps != self._stamps:
            own = None
            if settings.cert_file is not None and settings.key_file is not None:
                own = Pair(settings.cert_file, settings.key_file)
            self._context = uplink_context(settings.ca_file, own)
            self._ours = None if own is None else read_certificates(own.cert_file)[0]
            self._stamps = stamps
        return self._context

    async def _in_words(self, error: Exception, settings: Uplink) -> str:
        url = settings.url
        match error:
            case ssl.SSLError():
                return of_csms(error, await self._view(error, settings), self._clock.utc_now())
            case InvalidStatus():
                return _http_status(error, url)
            case TimeoutError():
                return f"{url} did not answer within {CONNECT_WITHIN:g} s"
            case ConnectionRefusedError():
                return f"nobody listens at {url}"
            case _ if _is_tls(url) and _hung_up(error):
                # Some say nothing to what they dislike; a certificate that they miss comes after TLS 1.3's handshake.
                return (
                    f"{url} closed the connection during the TLS handshake or right after it: it may have no TLS on "
                    "this port, not like our version of it, or demand a certificate of ours (security_profile = 3)"
                )
            case socket.gaierror():
                return f"the host of {url} is not found: {error.strerror}. Is the name right, and does DNS work here?"
            case InvalidHandshake() | InvalidURI():
                if not _is_tls(url) and await self._look(url) is not None:
                    return f"{url} speaks TLS on this port: use wss:// and security_profile 2"
                return f"{url} is no OCPP endpoint: {error}"
            case _:
                return f"{url} cannot be reached: {error or type(error).__name__}"

    async def _view(self, error: ssl.SSLError, settings: Uplink) -> CsmsView:
        certificate = None
        if isinstance(error, ssl.SSLCertVerificationError):
            certificate = await self._look(settings.url)
        return CsmsView(
            url=settings.url,
            host=urlsplit(settings.url).hostname or "",
            ca_file=None if settings.ca_file is None else str(settings.ca_file),
            certificate=certificate,
            shows_ours=settings.cert_file is not None,
        )

    async def _look(self, url: str) -> Certificate | None:
        """The certificate that is shown there, whoever shows it."""
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        place = urlsplit(url)
        try:
            async with asyncio.timeout_at(self._clock.monotonic() + LOOK_WITHIN):
                _, writer = await asyncio.open_connection(
                    place.hostname, place.port or HTTPS_PORT, ssl=trusting, server_hostname=place.hostname
                )
        except (OSError, TimeoutError):
            return None
        try:
            return _shown_by(writer.transport)
        finally:
            writer.transport.abort()


def _http_status(error: InvalidStatus, url: str) -> str:
    code, body = error.response.status_code, bytes(error.response.body or b"")
    if code == 400 and b"HTTPS port" in body:  # as nginx and its kin say it
        return f"{url} speaks TLS on this port: use wss:// and security_profile 2"
    hint = {401: ": wrong password", 403: ": wrong password", 404: ": identity not known there"}.get(code, "")
    return f"the CSMS refused the connection with HTTP {code}{hint}"


def _shown_by(transport: asyncio.BaseTransport) -> Certificate | None:
    secured = transport.get_extra_info("ssl_object")
    der = None if secured is None else secured.getpeercert(binary_form=True)
    with contextlib.suppress(UnreadableCertificate):
        return None if der is None else read_der(der)
    return None


def _is_tls(url: str) -> bool:
    return url.lower().startswith("wss:")


def _hung_up(error: Exception) -> bool:
    """Whoever is there has closed the connection and said nothing."""
    silence = (ConnectionResetError, ConnectionAbortedError, EOFError)
    return isinstance(error, silence) or isinstance(error.__cause__, silence)


def _stamp(path: Path | None) -> Stamp:
    """By which a changed file is known; a missing one is told when it is read."""
    with contextlib.suppress(OSError):
        if path is not None:
            found = path.stat()
            return path, found.st_mtime_ns, found.st_size
    return path, 0, 0
