"""Who listens in the in-memory network: addresses, the server that `create_server` returns, one link per connection."""

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.simulation.incarnation import INCARNATION
from tests.simulation.transport import Signal, SimSocket, SimTransport

if TYPE_CHECKING:
    from tests.simulation.loop import SimLoop

Address: TypeAlias = tuple[str, int] | str
"""Host and port, or the path of a UNIX socket."""

EVERYWHERE = "0.0.0.0"  # noqa: S104
HERE = "127.0.0.1"


def listening_address(host: str | None, port: int | str | None) -> Address:
    host = {None: EVERYWHERE, "": EVERYWHERE, "::": EVERYWHERE, "localhost": HERE, "::1": HERE}.get(host, host)
    return (str(host), int(port or 0))


def target_address(address: Address) -> Address:
    """The address by which faults and latencies know a server, however a client spells it."""
    if isinstance(address, str):
        return address
    host, port = address
    return ({EVERYWHERE: HERE, "": HERE, "localhost": HERE, "::1": HERE}.get(host, host), int(port))


def shown(address: Address) -> str:
    return address if isinstance(address, str) else f"{address[0]}:{address[1]}"


@dataclass(eq=False, slots=True)
class Link:
    """One connection."""

    serial: int
    client: str
    target: Address
    server: "SimServer"
    is_lost: bool = False  # a byte vanished: nothing will ever arrive again
    ends: list[SimTransport] = field(default_factory=list)

    def ended(self, end: SimTransport) -> None:
        if end is self.ends[1]:
            self.server.detach(self)


class SimServer(asyncio.AbstractServer):
    """What `create_server` returns. `wait_closed` waits for the connections too, as Python 3.12 and later do."""

    def __init__(
        self, loop: "SimLoop", factory: Callable[[], asyncio.BaseProtocol], addresses: list[Address], *, owned: Any
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._owned = owned  # a real socket that the caller had bound; closed with the server
        self._links: dict[int, Link] = {}
        self._closed: asyncio.Future[None] = loop.create_future()
        self._forever: asyncio.Future[None] | None = None
        self._is_closed = False
        self._is_serving = False
        self.addresses = addresses
        self.context = contextvars.copy_context()
        self.incarnation = INCARNATION.get()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._is_serving

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        if self._is_closed:
            return ()
        return tuple(SimSocket(address, None, is_unix=isinstance(address, str)) for address in self.addresses)

    async def start_serving(self) -> None:
        if self._is_closed:
            raise RuntimeError(f"server {self!r} is closed")
        self._is_serving = True
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        await self.start_serving()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        if self._is_closed:
            return
        self._loop.network.stop_listening(self)
        self._is_closed = True
        self._is_serving = False
        if self._owned is not None:
            self._owned.close()
        if self._forever is not None:
            self._forever.cancel()
        self._wake()

    def close_clients(self) -> None:
        for link in list(self._links.values()):
            link.ends[1].close()

    def abort_clients(self) -> None:
        for link in list(self._links.values()):
            link.ends[1].abort()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._closed)

    def attach(self, link: Link) -> None:
        self._links[link.serial] = link

    def detach(self, link: Link) -> None:
        self._links.pop(link.serial, None)
        self._wake()

    def accept(self, end: SimTransport) -> None:
        """Runs in the context in which the server was made."""
        if end.is_lost:
            return
        if self._is_closed:
            self._loop.network.carry(end, Signal.RESET)
            end.lose(None)
            return
        try:
            end.begin(self._factory())
        except Exception as error:  # noqa: BLE001  # as asyncio does: this connection pays, the server goes on
            self._loop.call_exception_handler({"message": "accepting failed", "exception": error, "transport": end})
            end.abort()

    def _wake(self) -> None:
        if self._is_closed and not self._links and not self._closed.done():
            self._closed.set_result(None)
