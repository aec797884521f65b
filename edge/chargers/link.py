"""One charger's connection: reader, worker and commands around an `RpcConnection`.

The reader (in `edge/connection.py`) hands each CALL to this link's one worker, which lets `intake.py` store it and
answers after the commit. Authorize waits for nobody: it has a task of its own, one at a time, because its answer may
have to come from the CSMS while the worker goes on.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from websockets.asyncio.server import ServerConnection

from edge.chargers import commissioning
from edge.chargers.commands import CommandQueue
from edge.chargers.commands import Said as SaidToCharger
from edge.chargers.intake import Intake, Parts, pending_reply
from edge.connection import Refusal, Reply, RpcConnection
from edge.dialects.v16 import observe
from edge.domain.events import ChargerBooted
from edge.domain.ids import ChargerId, ChargerNo
from edge.domain.ports import Clock, Ids
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, encode_json
from edge.ocppj.peer import CallReceived, RpcPeer
from edge.store import exchange
from edge.store.db import CommitFailed
from edge.store.exchange import Kind, NewExchange

AUTHORIZE = "Authorize"


class Tally(Protocol):
    """Where a link counts what is odd about its charger; it outlives the link (`roster.Presence`)."""

    refused_messages: Counter[str]
    tolerances: Counter[str]


class ChargerLink:
    """The connection of one charger. A pending one (no `charger_no`) is answered and not stored."""

    def __init__(
        self,
        socket: ServerConnection,
        charger: ChargerId,
        charger_no: ChargerNo | None,
        version: str,
        parts: Parts,
        clock: Clock,
        ids: Ids,
        tally: Tally,
    ) -> None:
        self.charger = charger
        self.charger_no = charger_no
        self.version = version
        self.address = _address(socket)
        self.connected_at = clock.utc_now()
        self.said_boot: ChargerBooted | None = None
        """Of a pending charger, for whoever is to adopt it."""
        self.knocked_with: bytes | None = None
        """The password that a pending charger showed; kept when it is adopted."""
        self.connection = RpcConnection(
            socket,
            RpcPeer(version, Sender.STATION, CHARGER_LIMITS),
            clock,
            ids,
            on_call=self._received,
            bad_input=tally.refused_messages,
        )
        self.commands = CommandQueue(self.connection, clock, ids, self._journal)
        self.booted = asyncio.Event()
        self.ended = asyncio.Event()
        self._parts = parts
        self._tally = tally
        self._clock = clock
        self._calls: asyncio.Queue[CallReceived] = asyncio.Queue()
        self._authorizes: asyncio.Queue[CallReceived] = asyncio.Queue()
        self._intake = None if charger_no is None else Intake(charger, charger_no, version, parts, tally.tolerances)
        self._log = structlog.get_logger("edge.chargers").bind(charger=charger, ocpp=version)

    def last_seen(self) -> datetime:
        """When it last said something."""
        return self._clock.utc_now() - timedelta(seconds=self._clock.monotonic() - self.connection.last_received)

    @property
    def intake(self) -> Intake | None:
        return self._intake

    @property
    def is_pending(self) -> bool:
        return self._intake is None

    def adopt(self, charger_no: ChargerNo) -> None:
        """A pending charger is known from now on; it says BootNotification again by itself."""
        self.charger_no = charger_no
        self._intake = Intake(self.charger, charger_no, self.version, self._parts, self._tally.tolerances)

    def _received(self, received: CallReceived) -> None:
        queue = self._authorizes if received.call.action == AUTHORIZE else self._calls
        queue.put_nowait(received)

    async def run(self) -> None:
        """Until the connection ends. A commit that failed closes it: the charger keeps its message and repeats it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._work(self._calls)),
                    tasks.create_task(self._work(self._authorizes)),
                    tasks.create_task(self.commands.run()),
                    tasks.create_task(commissioning.commission(self, self._parts, self._clock)),
                ]
                await self.connection.run()
                for helper in helpers:
                    helper.cancel()
        except* CommitFailed as failures:
            self._log.error("link_closed_after_failed_commit", error=str(failures.exceptions[0]))
            await self.connection.close(1011, "the message could not be stored")
        except* Exception:  # noqa: BLE001 - the supervisor of this link (style 16)
            self._log.exception("link_failed")
            await self.connection.close(1011, "internal error")
        finally:
            self.ended.set()

    async def _work(self, calls: "asyncio.Queue[CallReceived]") -> None:
        while True:
            received = await calls.get()
            call = received.call
            if self._parts.is_control_only and call.action in observe.TRANSACTION_ACTIONS:
                self._log.warning("not_answered", action=call.action, why="control-only mode: nothing can be stored")
                continue  # the charger keeps it and says it again
            reply = await self._reply(received)
            if isinstance(reply, Refusal):
                self._log.warning("call_refused", action=call.action, code=reply.code, why=reply.description)
            self.connection.reply(call.message_id, reply)
            if call.action == "BootNotification" and self._intake is not None and not isinstance(reply, Refusal):
                self.booted.set()

    async def _reply(self, received: CallReceived) -> Reply:
        if self._intake is not None:
            return await self._intake.reply(received)
        event = observe.observe(received.call.action, received.call.payload)
        if isinstance(event, ChargerBooted):
            self.said_boot = event
        return pending_reply(received, self._parts.moment())

    def note(self, event: str, detail: str) -> None:
        """Put into the journal that the connection came or went."""
        self._append(Kind.LINK, encode_json({"connection": event, "detail": detail}))

    def _journal(self, said: SaidToCharger) -> None:
        self._append(
            Kind.OUR_CALL,
            said.text,
            action=said.action,
            message_id=said.message_id,
            version=self.version,
            tx_no=said.transaction,
            answer=said.answer,
        )

    def _append(self, kind: Kind, text: str, **columns: Any) -> None:
        if self.charger_no is None:
            return  # nothing of a pending charger is stored
        row = NewExchange(self._parts.moment(), self.charger_no, kind, text, **columns)
        self._parts.store.defer(lambda db: exchange.append(db, row))

    async def close(self, code: int, reason: str) -> None:
        await self.connection.close(code, reason)


def _address(socket: ServerConnection) -> str:
    peer = socket.remote_address
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
