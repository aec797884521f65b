"""The manufacturer's server on the internet, from which new firmware comes: a stock HTTP server with one file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from simulators.updating import image

OLD_VERSION, NEW_VERSION = "1.0", "1.1"
FILE = f"evb-{NEW_VERSION}.bin"


class Manufacturer:
    def __init__(self) -> None:
        self.content = image(NEW_VERSION)
        self.asked = 0
        """So often for the file."""
        self._port = 0

    @property
    def source(self) -> str:
        """As the bridge's configuration allows it."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.source}/{FILE}"

    @asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        application = web.Application()
        application.add_routes([web.get(f"/{FILE}", self._answer)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._port = runner.addresses[0][1]
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.content)
