"""Firmware from HTTPS servers: only from one that proves its name."""

import contextlib
import hashlib
import os
import ssl
from dataclasses import replace

import pytest
from aiohttp import web

from firmware_bridge.api import Bridge
from tests.firmware.asking import fetched, hindered
from tests.firmware.depots import certified
from tests.firmware.yard import bridge, settings, website

CONTENT = os.urandom(200_000)


@contextlib.asynccontextmanager
async def vendor(proof, asked):
    """A server with this certificate. Its URL; `asked` is what it was asked for."""

    async def answer(request):
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=CONTENT)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(proof.server)
    async with website(web.get("/a.bin", answer), tls=context) as url:
        yield url


@contextlib.asynccontextmanager
async def client(folder, root):
    async with bridge(replace(settings(folder), sources=("https://127.0.0.1",), ca_file=root)):
        yield Bridge(folder / "firmware.sock")


async def test_a_server_that_an_authority_of_ours_vouches_for_is_asked(folder, tmp_path):
    proof, asked = certified(tmp_path, "localhost"), []
    async with vendor(proof, asked) as url, client(folder, proof.root) as ours:
        assert await fetched(ours, f"{url}a.bin") == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("host", "days", "is_trusted"), [("other.example", 1, True), ("localhost", -1, True), ("localhost", 1, False)]
)
async def test_one_that_cannot_prove_its_name_gets_no_password(folder, tmp_path, host, days, is_trusted):
    """It is another's certificate, it has expired, or nobody vouches for it."""
    proof, asked = certified(tmp_path, host, days), []
    async with vendor(proof, asked) as url, client(folder, proof.root if is_trusted else None) as ours:
        why = await hindered(ours, f"{url.replace('://', '://user:secret@')}a.bin")
        assert why.startswith("unreachable: ") and "certificate" in why and "secret" not in why
        assert not asked
