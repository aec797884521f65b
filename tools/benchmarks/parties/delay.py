"""A long line: what comes in on one side leaves on the other so many seconds later, each way.

Threads that sleep, because an event loop wakes up to a millisecond late and that would be measured too.
"""

import asyncio
import contextlib
import queue
import socket
import sys
import threading
import time

from benchmarks.parties.asked import answer_all


def pump(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """One direction of one connection: one thread reads, this one sleeps and writes."""
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                waiting.put((time.perf_counter() + seconds, data))
        waiting.put((0.0, b""))

    threading.Thread(target=read, daemon=True).start()
    with contextlib.suppress(OSError):
        while True:
            due, data = waiting.get()
            if not data:
                break
            time.sleep(max(0.0, due - time.perf_counter()))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(near, far, seconds), daemon=True).start()
        threading.Thread(target=pump, args=(far, near, seconds), daemon=True).start()


async def main() -> None:
    port, round_trip = int(sys.argv[1]), float(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, port, round_trip / 2), daemon=True).start()

    async def tell_port() -> dict[str, int]:
        return {"port": listener.getsockname()[1]}

    await answer_all({"port": tell_port})


if __name__ == "__main__":
    asyncio.run(main())
