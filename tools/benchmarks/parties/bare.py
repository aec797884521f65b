"""`websockets` and nothing else: each CALL is answered with an empty result, unread but for its message id."""

import asyncio
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from benchmarks.parties.asked import answer_all


async def charger(socket: ServerConnection) -> None:
    try:
        async for text in socket:
            message_id = str(text).split('"', 2)[1]
            await socket.send(f'[3,"{message_id}",{{"transactionId":1}}]')
    except ConnectionClosed:
        return


async def main() -> None:
    async with serve(
        charger, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None
    ) as server:

        async def port() -> dict[str, Any]:
            return {"port": server.sockets[0].getsockname()[1]}

        await answer_all({"port": port})


if __name__ == "__main__":
    asyncio.run(main())
