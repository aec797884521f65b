"""The other side of TLS as most devices have it: OpenSSL on a blocking socket, which says with an alert what it dislikes.

asyncio, on which the simulators run, only closes the connection.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator


async def knock(port: int, context: ssl.SSLContext, host: str = "localhost") -> ssl.SSLError | None:
    """What the client makes of the handshake."""

    def attempt() -> ssl.SSLError | None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            try:
                context.wrap_socket(plain, server_hostname=host).close()
            except ssl.SSLError as error:
                return error
        return None

    return await asyncio.get_running_loop().run_in_executor(None, attempt)


@contextlib.contextmanager
def shaking_hands(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that does the TLS handshake with whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with plain, contextlib.suppress(OSError):
                    plain.settimeout(5)
                    with context.wrap_socket(plain, server_side=True) as secured:
                        secured.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
