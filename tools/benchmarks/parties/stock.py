"""What one writes with `ocpp` and `websockets` as their documentation shows it: nothing is kept, all is answered.

Listens on any port, which it tells; `ocpp`'s schema validation is on, as it comes.
"""

import asyncio
import logging
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.parties.asked import answer_all

NOW = "2026-01-05T00:00:00Z"


class Central(ChargePoint):  # type: ignore[misc]
    """One charger's connection."""

    transactions = 0

    @on("Heartbeat")  # type: ignore[untyped-decorator]
    def on_heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=NOW)

    @on("BootNotification")  # type: ignore[untyped-decorator]
    def on_boot(self, **_said: object) -> call_result.BootNotification:
        return call_result.BootNotification(NOW, 300, RegistrationStatus.accepted)

    @on("StatusNotification")  # type: ignore[untyped-decorator]
    def on_status(self, **_said: object) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on("StartTransaction")  # type: ignore[untyped-decorator]
    def on_start(self, **_said: object) -> call_result.StartTransaction:
        Central.transactions += 1
        return call_result.StartTransaction(Central.transactions, IdTagInfo(AuthorizationStatus.accepted))

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def on_meter_values(self, **_said: object) -> call_result.MeterValues:
        return call_result.MeterValues()


async def charger(socket: ServerConnection) -> None:
    assert socket.request is not None
    try:
        await Central(socket.request.path.rpartition("/")[2], socket).start()
    except ConnectionClosed:
        return


async def main() -> None:
    logging.disable(logging.INFO)
    async with serve(charger, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None) as server:

        async def port() -> dict[str, Any]:
            return {"port": server.sockets[0].getsockname()[1]}

        await answer_all({"port": port})


if __name__ == "__main__":
    asyncio.run(main())
