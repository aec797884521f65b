"""The package `ocpp-csms` as a library, as its documentation shows it; runs in the environment of `peers.py`."""

import asyncio
import logging
from typing import Any

from ocpp_csms import CentralSystem

from benchmarks.parties.asked import answer_all


async def main() -> None:
    logging.disable(logging.INFO)
    async with CentralSystem(host="127.0.0.1", port=0) as central_system:

        async def port() -> dict[str, Any]:
            return {"port": central_system.port}

        await answer_all({"port": port})


if __name__ == "__main__":
    asyncio.run(main())
