"""How a party is asked: one JSON object a line on standard input, one answer a line on standard output."""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Answers = Mapping[str, Callable[..., Awaitable[dict[str, Any] | None]]]


async def answer_all(answers: Answers) -> None:
    """Answer each question until nobody asks any more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1_000_000)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asked = json.loads(line)
        try:
            said = await answers[asked.pop("do")](**asked) or {}
        except Exception as error:  # noqa: BLE001 - whoever asked is told, and ends us
            traceback.print_exc()
            said = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
