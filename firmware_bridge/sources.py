"""URLs from which something may be fetched, or to which it may be sent, and the addresses that may be asked for them.

A URL comes from the cloud or from a technician. It must not lead into the machine or the site's network
(reliability.md S12): the host is looked up once, what it leads to is judged here, and only the judged addresses are
connected to (`http_session.py`, `ftp_session.py`, `sftp_source.py`).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, unquote, urlsplit

from firmware_bridge.errors import Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = {"https": 443, "http": 80, "ftps": 990, "ftp": 21, "sftp": 22}
SECURE = frozenset({"https", "ftps", "sftp"})
LONGEST_URL = 2000
LONGEST_NAME = 100
"""Of a file. Chargers take locations of at most 512 characters, some fewer (ocpp-rules.md H.5)."""
UNICAST = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Source:
    """A URL, taken apart."""

    scheme: str
    host: str
    """A name in lower case, or an address without brackets."""
    port: int
    path: str
    """With its query, as it was written."""
    user: str | None = None
    password: str | None = None

    @property
    def name(self) -> str:
        """What the file is called, without anything that a file system, a charger or a terminal could trip over."""
        return clean_name(unquote(self.path.partition("?")[0]).rpartition("/")[2])

    @property
    def shown(self) -> str:
        """For people and logs: without user, password and query, which may be a key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path.partition('?')[0]}"


def clean_name(written: str) -> str:
    """A file name of letters, digits and `._+-`; the ending stays, as vendors check it (ocpp-rules.md H.5)."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", written).lstrip("._-")
    if len(name) > LONGEST_NAME:
        name = name[: LONGEST_NAME - 20] + name[-20:]
    return name or "file"


def file_path(path: str, name: str) -> str:
    """Where a file goes that is sent to this path: into a folder, when it ends in / or the last part has no dot."""
    if path.endswith("/") or not path:
        return path + name
    return path if "." in path.rpartition("/")[2] else f"{path}/{name}"


def parse(url: str) -> Source:
    """Raises Refused when it is no URL of a kind that can be fetched or sent to."""
    if len(url) > LONGEST_URL:
        raise Refused(f"The URL has {len(url)} characters; at most {LONGEST_URL} are taken.")
    if not url.isascii() or not url.isprintable() or set(url) & set(" \\<>\"'`{}|^"):
        raise Refused("The URL has characters that no URL may have unescaped.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose words hold what stands where a port should: a password, before an unescaped slash
        raise Refused(
            "This is no URL: a port, or an address in brackets, is none. In a password / # and ? are %2F, %23 and %3F."
        ) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Refused(f"Nothing goes by {scheme or 'a URL without a scheme'}; it must be {', '.join(PORTS)}.")
    host = _host(parts)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if port == 0:
        raise Refused("Port 0 of a URL leads nowhere.")
    return Source(scheme, host, port or PORTS[scheme], path, _unescaped(parts.username), _unescaped(parts.password))


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise Refused("The URL names no host.")
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise Refused(f"{host} is no address.") from None
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise Refused("The host of the URL is neither a name nor an address.")
    return host


def _unescaped(written: str | None) -> str | None:
    if written is None:
        return None
    text = unquote(written)
    if not text.isprintable():
        raise Refused("User or password of the URL have characters that cannot be sent.")
    return text


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of `firmware_bridge.sources`: what may be asked beyond public addresses by a secure protocol."""

    scheme: str
    host: str | None
    """A name, or `*.` and a domain; None: the network says it."""
    network: Network | None
    port: int | None
    """None: any."""


_ENTRY = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>\[[^]]+\](?:/\d+)?|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")


def allowed(written: str) -> Allowed:
    """`https://host`, `ftp://192.0.2.0/24`, `http://*.example.com:8080`. Raises ValueError, with what is wrong."""
    found = _ENTRY.fullmatch(written)
    if found is None or found["scheme"] not in PORTS:
        raise ValueError(f"expected {', '.join(f'{one}://HOST' for one in PORTS)}")
    scheme, host, port = found["scheme"], found["host"], None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port < 65_536:
        raise ValueError("the port must be 1 to 65535")
    bare = host.replace("[", "").replace("]", "")
    try:
        return Allowed(scheme, None, ipaddress.ip_network(bare, strict=False), port)
    except ValueError:
        pass
    if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise ValueError(
            "the host must be a name in lower case, *.DOMAIN, an address or a network such as 192.0.2.0/24"
        )
    return Allowed(scheme, host, None, port)


def objection(source: Source, address: Address, entries: Sequence[Allowed]) -> str | None:
    """Why this address is not asked for that URL; None: it may be.

    Without entries: public addresses by a secure protocol. With entries, only what they list; a listed name may be in
    the site's own network, but this machine and its links are reached only by an entry that is a network.
    """
    for real in _really(address):
        if (why := _objection(source, real, entries)) is not None:
            return why
    return None


def _objection(source: Source, address: Address, entries: Sequence[Allowed]) -> str | None:
    if address.is_multicast or address.is_unspecified:
        return f"{address} is no address of a server"
    fitting = [one for one in entries if one.scheme == source.scheme and one.port in {None, source.port}]
    if any(one.network is not None and address in one.network for one in fitting):
        return None
    is_here = address.is_loopback or address.is_link_local
    if any(one.host is not None and is_named(one.host, source.host) for one in fitting):
        return f"{source.host} leads to {address}, which is this machine or its own link" if is_here else None
    if entries:
        return f"{source.scheme}://{source.host} is not among firmware_bridge.sources"
    if source.scheme not in SECURE:
        return f"{source.scheme} is not secure; firmware_bridge.sources can allow {source.scheme}://{source.host}"
    if not _is_public(address):
        return f"{source.host} leads to {address}, which is not public; firmware_bridge.sources can allow it"
    return None


def _is_public(address: Address) -> bool:
    """Of IPv6 only what is given out to networks of the world: beside it are old and local ways into a site."""
    is_one = isinstance(address, IPv4Address) or address in UNICAST or address in NAT64
    return is_one and address.is_global


def is_named(entry: str, host: str) -> bool:
    """Whether an entry names this host."""
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry


def _really(address: Address) -> list[Address]:
    """An address, and the one of IPv4 that it leads to, where it only wraps it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner = address.sixtofour
    if address in NAT64:
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return [address] if inner is None else [address, inner]
