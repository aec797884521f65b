"""An in-memory network: who listens where, how long a byte takes, and all the ways in which links fail.

Faults are laid on a server's address, for every client or for one machine (`client="cp-03"`):

- `cut`: a black hole. Bytes vanish both ways and nobody is told; a connection that lost a byte stays lost after
  `heal`, as behind a router that forgot it, because a stream never has a gap. Connecting hangs and fails after 127 s.
- `stall`: bytes are kept and delivered, in order, after `heal`: a radio link that comes back.
- `reset`: both ends of every connection get ConnectionResetError now.
- `refuse`: new connections are refused.
"""

import asyncio
import contextvars
import enum
import errno
import itertools
import os
import random
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.simulation.incarnation import INCARNATION, machine_of
from tests.simulation.server import EVERYWHERE, HERE, Address, Link, SimServer, shown, target_address
from tests.simulation.transport import Item, Signal, SimSocket, SimTransport, connection_reset

if TYPE_CHECKING:
    from tests.simulation.loop import SimLoop

SYN_RETRIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds between a kernel's attempts to connect into silence; 127 s in all, as Linux."""

FIRST_SERVER_PORT = 20_000
FIRST_CLIENT_PORT = 49_152


class Fault(enum.Enum):
    CUT = "cut"
    STALLED = "stalled"


class SimNetwork:
    """All connections of one run."""

    def __init__(self, loop: "SimLoop", chance: random.Random) -> None:
        self.latency = 0.001
        """Seconds one way, where `set_latency` says nothing else."""
        self.jitter = 0.0005
        """At most so many seconds more, drawn for each chunk; order is kept."""
        self.fragmentation = 0.0
        """Probability that a written chunk arrives in two pieces."""
        self._loop = loop
        self._chance = chance
        self._serials = itertools.count(1)
        self._listening: dict[Address, SimServer] = {}
        self._links: dict[int, Link] = {}
        self._faults: dict[tuple[Address, str | None], Fault] = {}
        self._refusing: set[tuple[Address, str | None]] = set()
        self._latencies: dict[tuple[Address, str | None], tuple[float, float]] = {}
        self._hosts: dict[str, str] = {}
        self._next_server_port = FIRST_SERVER_PORT
        self._next_client_port = FIRST_CLIENT_PORT

    # ── what a test does to the network ─────────────────────────────────────────

    def place(self, machine: str, host: str) -> None:
        """The address from which this machine's connections come; 127.0.0.1 where nothing is said."""
        self._hosts[machine] = host

    def set_latency(self, address: Address, seconds: float, *, jitter: float = 0.0, client: str | None = None) -> None:
        self._latencies[target_address(address), client] = (seconds, jitter)

    def cut(self, address: Address, *, client: str | None = None) -> None:
        self._faults[target_address(address), client] = Fault.CUT

    def stall(self, address: Address, *, client: str | None = None) -> None:
        self._faults[target_address(address), client] = Fault.STALLED

    def heal(self, address: Address, *, client: str | None = None) -> None:
        self._faults.pop((target_address(address), client), None)
        for link in self._links.values():
            if self._fault(link.target, link.client) is None:
                for end in link.ends:
                    self._let_the_late_come(end)

    def refuse(self, address: Address, refused: bool = True, *, client: str | None = None) -> None:
        if refused:
            self._refusing.add((target_address(address), client))
        else:
            self._refusing.discard((target_address(address), client))

    def reset(self, address: Address, *, client: str | None = None) -> None:
        for link in self.links(address, client=client):
            for end in link.ends:
                end.lose(connection_reset())

    def links(self, address: Address | None = None, *, client: str | None = None) -> list[Link]:
        """The connections that at least one side still has."""
        target = None if address is None else target_address(address)
        return [
            link
            for link in self._links.values()
            if (target is None or link.target == target) and (client is None or link.client == client)
        ]

    # ── listening and connecting ────────────────────────────────────────────────

    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        addresses: list[Address],
        *,
        start_serving: bool,
        owned: Any = None,
    ) -> SimServer:
        addresses = [self._with_port(address) for address in addresses]
        for address in addresses:
            if address in self._listening:
                raise OSError(errno.EADDRINUSE, f"error while attempting to bind on address {shown(address)}")
        for address in addresses:
            if isinstance(address, str) and owned is None:
                _make_socket_file(address)
        server = SimServer(self._loop, factory, addresses, owned=owned)
        for address in addresses:
            self._listening[address] = server
        if start_serving:
            await server.start_serving()
        return server

    def stop_listening(self, server: SimServer) -> None:
        for address in server.addresses:
            if self._listening.get(address) is server:
                del self._listening[address]

    async def connect(
        self, factory: Callable[[], asyncio.BaseProtocol], address: Address
    ) -> tuple[SimTransport, asyncio.BaseProtocol]:
        target = target_address(address)
        client = machine_of(INCARNATION.get())
        await self._reach(target, client)
        server = self._server_at(target)
        if server is None or not server.is_serving() or self._concerns(self._refusing, target, client):
            await asyncio.sleep(self._delay(target, client))
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {target!r}")
        link = self._link(server, target, client)
        near, far = link.ends
        self._loop.call_soon(server.accept, far, context=far.context)
        try:
            await asyncio.sleep(self._delay(target, client))
        except asyncio.CancelledError:
            self.carry(near, Signal.RESET)
            near.lose(None)
            raise
        if near.is_lost:
            raise connection_reset()
        protocol = factory()
        near.begin(protocol)
        return near, protocol

    async def _reach(self, target: Address, client: str) -> None:
        """The way there; into a hole, as long as a kernel tries."""
        for pause in SYN_RETRIES:
            if self._fault(target, client) is None:
                await asyncio.sleep(self._delay(target, client))
                if self._fault(target, client) is None:
                    return
            await asyncio.sleep(pause)
        raise TimeoutError(errno.ETIMEDOUT, f"Connect call failed {target!r}")

    def _link(self, server: SimServer, target: Address, client: str) -> Link:
        link = Link(next(self._serials), client, target, server)
        if isinstance(target, str):
            near_name, far_name, own = f"{client}@{link.serial}", os.path.basename(target), ""  # noqa: PTH119
        else:
            own = (self._hosts.get(client, HERE), self._next_client_port)
            self._next_client_port = max(FIRST_CLIENT_PORT, (self._next_client_port + 1) % 65_536)
            near_name, far_name = shown(own), shown(target)
        is_unix = isinstance(target, str)
        near = SimTransport(
            self._loop, link, near_name, SimSocket(own, target, is_unix=is_unix), contextvars.copy_context()
        )
        far = SimTransport(self._loop, link, far_name, SimSocket(target, own, is_unix=is_unix), server.context.copy())
        near.peer, far.peer = far, near
        link.ends = [near, far]
        self._links[link.serial] = link
        server.attach(link)
        return link

    def _server_at(self, target: Address) -> SimServer | None:
        if isinstance(target, str):
            return self._listening.get(target)
        return self._listening.get(target) or self._listening.get((EVERYWHERE, target[1]))

    def _with_port(self, address: Address) -> Address:
        if isinstance(address, str) or address[1] != 0:
            return address
        while any(taken[1] == self._next_server_port for taken in self._listening if not isinstance(taken, str)):
            self._next_server_port += 1
        self._next_server_port += 1
        return (address[0], self._next_server_port - 1)

    # ── bytes on their way ──────────────────────────────────────────────────────

    def carry_bytes(self, sender: SimTransport, chunk: bytes) -> None:
        if self.fragmentation and len(chunk) > 1 and self._chance.random() < self.fragmentation:
            at = self._chance.randrange(1, len(chunk))
            self.carry(sender, chunk[:at])
            self.carry(sender, chunk[at:])
        else:
            self.carry(sender, chunk)

    def carry(self, sender: SimTransport, item: Item) -> None:
        link = sender.link
        if link.is_lost:
            return
        if self._faults and self._fault(link.target, link.client) is Fault.CUT:
            link.is_lost = True
            return
        if self._loop.is_dead(sender.peer.incarnation):
            if isinstance(item, bytes):
                self.bounce(sender)
            return
        self._send(sender, sender.peer, item, self._delay(link.target, link.client))

    def bounce(self, sender: SimTransport) -> None:
        """Nobody has the other end any more: a reset comes back."""
        link = sender.link
        if not sender.is_lost and not link.is_lost:
            self._send(sender.peer, sender, Signal.RESET, 2 * self._delay(link.target, link.client))

    def lets_in(self, receiver: SimTransport) -> bool:
        """Whether what arrives there now does; if not, it is lost for good or kept back."""
        link = receiver.link
        fault = self._fault(link.target, link.client) if self._faults else None
        if fault is Fault.CUT:
            link.is_lost = True
        if link.is_lost:
            receiver.in_flight.clear()
            return False
        if fault is Fault.STALLED:
            receiver.late += 1
            return False
        return bool(receiver.in_flight)

    def forget(self, end: SimTransport) -> None:
        if all(each.is_lost for each in end.link.ends):
            self._links.pop(end.link.serial, None)

    def kill(self, tag: str) -> None:
        """The process of this incarnation is gone: its listeners vanish, its peers get a reset after the latency."""
        for server in dict.fromkeys(self._listening.values()):
            if server.incarnation == tag:
                self.stop_listening(server)
        for link in list(self._links.values()):
            for end in link.ends:
                if end.incarnation == tag and not end.is_lost:
                    self.carry(end, Signal.RESET)
                    end.die()

    def _send(self, sender: SimTransport, receiver: SimTransport, item: Item, delay: float) -> None:
        at = max(self._loop.time() + delay, sender.next_arrival)
        sender.next_arrival = at
        receiver.in_flight.append(item)
        self._loop.call_at(at, receiver.arrive, context=receiver.context)

    def _let_the_late_come(self, end: SimTransport) -> None:
        late, end.late = end.late, 0
        for _ in range(late):
            self._loop.call_later(self._delay(end.link.target, end.link.client), end.arrive, context=end.context)

    def _delay(self, target: Address, client: str) -> float:
        seconds, jitter = self.latency, self.jitter
        if self._latencies:
            for_all = self._latencies.get((target, None), (seconds, jitter))
            seconds, jitter = self._latencies.get((target, client), for_all)
        return seconds + jitter * self._chance.random() if jitter else seconds

    def _fault(self, target: Address, client: str) -> Fault | None:
        return self._faults.get((target, client)) or self._faults.get((target, None))

    def _concerns(self, keys: set[tuple[Address, str | None]], target: Address, client: str) -> bool:
        return (target, client) in keys or (target, None) in keys

    def everyone(self) -> Iterator[SimTransport]:
        for link in list(self._links.values()):
            yield from link.ends


def _make_socket_file(path: str) -> None:
    """A node of the file system without anyone behind it, so that owner and mode can be set as on a real one."""
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH110, PTH116
        os.unlink(path)  # noqa: PTH108
    try:
        os.mknod(path, stat.S_IFSOCK | 0o777)
    except FileExistsError:
        raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
