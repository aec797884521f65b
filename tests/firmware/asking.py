"""What tests ask of a bridge or of one of its protocols, and wait for."""

import asyncio

from firmware_bridge.api import Bridge, BridgeRefused


async def ended(client: Bridge, fetch: str, within: float = 20.0):
    async with asyncio.timeout(within):
        while not (now := await client.fetched(fetch)).has_ended:
            await asyncio.sleep(0.02)
    return now


async def refused(client: Bridge, url: str, **checks) -> str:
    """Why it is not fetched, said at once or after looking."""
    try:
        now = await ended(client, (await client.fetch(url, **checks)).id)
    except BridgeRefused as error:
        return f"{error.code}: {error}"
    assert now.state == "failed"
    return f"{now.code}: {now.error}"


async def fetched(asked, url):
    """The SHA-256 of what is kept of it."""
    now = await ended(asked, (await asked.fetch(url)).id)
    assert now.state == "stored", now
    return now.sha256


async def hindered(asked, url):
    """Why it is tried again later."""
    now = await asked.fetch(url)
    async with asyncio.timeout(10):
        while (now := await asked.fetched(now.id)).error is None:
            await asyncio.sleep(0.02)
    assert not now.has_ended, now
    return f"{now.code}: {now.error}"


async def taken(opening):
    """(Where it starts, its validator, all that comes) of a file that a protocol opens."""
    async with opening as opened:
        return opened.starts_at, opened.validator, b"".join([chunk async for chunk in opened.chunks])
