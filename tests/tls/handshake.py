"""A TLS handshake between two contexts in memory, as far as it gets."""

import ssl
from dataclasses import dataclass


@dataclass(slots=True)
class Seen:
    client: ssl.SSLObject
    client_error: ssl.SSLError | None = None
    server_error: ssl.SSLError | None = None


def shake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> Seen:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, server_hostname=host)
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    seen = Seen(theirs)
    for _ in range(6):
        if seen.client_error is None:
            seen.client_error = _step(theirs)
        if seen.server_error is None:
            seen.server_error = _step(ours)
    return seen


def _step(side: ssl.SSLObject) -> ssl.SSLError | None:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError as error:
        return error
    return None
