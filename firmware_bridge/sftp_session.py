"""Connections to SFTP servers, each of which has to show a host key that the configuration knows.

What counts is the key of the URL's host, whatever address that leads to. AsyncSSH, which is not installed with
everything, is only imported where it is used. How a file comes: `sftp_source.py`; how it goes: `sftp_target.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from firmware_bridge.disk import on_disk
from firmware_bridge.errors import Refused, Unreachable
from firmware_bridge.reach import SILENT_SECONDS, Reach, connected, first
from firmware_bridge.sources import PORTS, Source

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection
    from asyncssh.known_hosts import KnownHostsArg


@asynccontextmanager
async def connection(source: Source, reach: Reach) -> AsyncIterator["SSHClientConnection"]:
    """Logged in by user and password, with nothing that lies about in this user's home."""
    import asyncssh

    if source.user is None:
        raise Refused(f"{source.shown} needs a user: sftp://USER:PASSWORD@HOST/FILE.")
    keys = await on_disk(lambda: _host_keys(source, reach.known_hosts))
    addresses = await reach.addresses(source)
    with ours(source):
        carrier = await first(addresses, lambda address: connected(address, source.port))
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                made = await asyncssh.connect(
                    source.host,
                    source.port,
                    sock=carrier,
                    known_hosts=keys,
                    username=source.user,
                    password=source.password or "",
                    preferred_auth="password,keyboard-interactive",
                    config=None,
                    client_keys=None,
                    gss_host=None,
                    x509_trusted_certs=None,
                    x509_trusted_cert_paths=[],
                )
        except BaseException:
            carrier.close()
            raise
    try:
        yield made
    finally:
        made.abort()
        await made.wait_closed()


def _host_keys(source: Source, known_hosts: Path | None) -> "KnownHostsArg":
    """Those that the host may show. The file is read each time, so that a new key needs no restart. Raises Refused."""
    import asyncssh

    if known_hosts is None:
        raise Refused(
            f"{source.shown}: no host key is known of any server. firmware_bridge.known_hosts_file names a file with "
            "them, as OpenSSH has it."
        )
    try:
        known = asyncssh.read_known_hosts(str(known_hosts))
    except (OSError, ValueError) as error:
        raise Refused(f"{known_hosts} of firmware_bridge.known_hosts_file cannot be read: {error}") from error
    # Without an address: what counts is the name that was asked for, not where a name server says it is.
    found = known.match(source.host, "", None if source.port == PORTS["sftp"] else source.port)
    host_keys, authorities, *_ = found
    if not host_keys and not authorities:
        raise Refused(
            f"{source.shown}: {known_hosts} of firmware_bridge.known_hosts_file has no key of {source.host}; add the "
            "line of ssh-keyscan, once the key's fingerprint has been compared."
        )
    return found


def path_of(source: Source) -> bytes:
    """From the server's root on. Raises Refused."""
    path = unquote_to_bytes(source.path)
    if set(path) & set(b"\r\n\0"):
        raise Refused(f"{source.shown}: the name has characters that no file's name should have.")
    return path


@contextmanager
def ours(source: Source) -> Iterator[None]:
    """What goes wrong is Refused or Unreachable, without words that may repeat the user."""
    import asyncssh

    try:
        yield
    except asyncssh.KeyExchangeFailed:
        raise Refused(
            f"{source.shown}: the server has no cipher that is still safe, or no host key of the kinds that "
            f"firmware_bridge.known_hosts_file has of {source.host}."
        ) from None
    except asyncssh.HostKeyNotVerifiable:
        raise Refused(
            f"{source.shown}: the server does not show the key that firmware_bridge.known_hosts_file has of "
            f"{source.host}. Somebody may stand between; if its key is a new one, put that into the file."
        ) from None
    except asyncssh.PermissionDenied:
        raise Refused(f"{source.shown}: the server takes neither user nor password.") from None
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPPermissionDenied):
        raise Refused(f"{source.shown}: there is no such file or folder, or no right to it.") from None
    except TimeoutError:
        raise Unreachable(f"{source.shown}: no answer in time.") from None
    except (OSError, ValueError, asyncssh.Error) as error:
        raise Unreachable(f"{source.shown}: the connection broke off ({type(error).__name__}).") from None
