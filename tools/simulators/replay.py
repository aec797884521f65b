#!/usr/bin/env python3
"""A charger that plays a recording of a real one against the daemon, or against any CSMS.

    .venv/bin/python tools/simulators/replay.py tests/wire/shiv3_16_session.jsonl \
        --url ws://127.0.0.1:8887/ocpp --speed 10

Each CALL is sent with the recorded text, at the recorded time (divided by `speed`), on connections that open
and end as recorded (code 1006: cut without a close frame). Only the number in `transactionId` is replaced,
by the id that the daemon really gave for that start. What the recorded charger had heard before it sent a
CALL is waited for here too, so cause and effect stay in order at any speed; a connection that is lost against
the recording is opened again, and an unanswered transaction message is repeated on it. CALLs of the daemon
are answered as the recorded charger answered the same or a similar one, else by the defaults below.

A test reads the `ReplayReport`: what was sent, what was answered, which ids were given.
Recordings: `recording.py`. Frames: `wire.py`.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from simulators.recording import RecordedCall, RecordedCommand, RecordedConnection, Recording
from simulators.wire import Bell, Frame, JsonValue, LinkLost, MessageType, Payload, Wire, dial, encode

_TRANSACTION_MESSAGES = ("StartTransaction", "MeterValues", "StopTransaction")

# What a charger says to a command that the recorded one never got.
_DEFAULT_ANSWERS: dict[str, Payload] = {
    "CancelReservation": {"status": "Rejected"},
    "ChangeAvailability": {"status": "Accepted"},
    "ChangeConfiguration": {"status": "Accepted"},
    "ClearCache": {"status": "Accepted"},
    "ClearChargingProfile": {"status": "Unknown"},
    "DataTransfer": {"status": "UnknownVendorId"},
    "GetCompositeSchedule": {"status": "Rejected"},
    "GetDiagnostics": {},
    "GetLocalListVersion": {"listVersion": -1},
    "RemoteStartTransaction": {"status": "Rejected"},
    "RemoteStopTransaction": {"status": "Rejected"},
    "ReserveNow": {"status": "Rejected"},
    "Reset": {"status": "Rejected"},
    "SendLocalList": {"status": "NotSupported"},
    "SetChargingProfile": {"status": "Accepted"},
    "TriggerMessage": {"status": "NotImplemented"},
    "UnlockConnector": {"status": "NotSupported"},
    "UpdateFirmware": {},
}


@dataclass(slots=True, eq=False)
class Played:
    """One CALL of the recording and what became of it. `text` is None while it was not sent."""

    recorded: RecordedCall
    text: str | None = None
    attempts: int = 0
    answer: Payload | None = None
    error_code: str | None = None
    error_description: str | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def action(self) -> str:
        return self.recorded.action

    @property
    def is_answered(self) -> bool:
        return self.answer is not None or self.error_code is not None


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A CALL of the daemon and the answer it got."""

    action: str
    payload: Payload
    answer: list[JsonValue]


@dataclass(slots=True)
class ReplayReport:
    calls: list[Played] = field(default_factory=list)
    requests: list[Obeyed] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    transaction_ids: dict[JsonValue, JsonValue] = field(default_factory=dict)  # recorded → given
    connections_failed: int = 0

    @property
    def answers(self) -> list[tuple[str, Payload]]:
        return [(played.action, played.answer) for played in self.calls if played.answer is not None]

    @property
    def errors(self) -> list[tuple[str, str, str]]:
        """CALLERRORs: action, code, description."""
        return [
            (played.action, played.error_code, played.error_description or "")
            for played in self.calls
            if played.error_code is not None
        ]

    @property
    def unanswered(self) -> list[Played]:
        return [played for played in self.calls if played.text is not None and not played.is_answered]

    @property
    def unsent(self) -> list[Played]:
        """No connection, or their transaction id was never given."""
        return [played for played in self.calls if played.text is None]

    @property
    def is_complete(self) -> bool:
        return not (self.errors or self.unanswered or self.unsent)


@dataclass(slots=True, eq=False)
class _Window:
    """A recorded connection while it is played; `wire` is None while there is none."""

    recorded: RecordedConnection
    wire: Wire | None = None
    is_over: bool = False


class Replay:
    def __init__(
        self,
        recording: Path | Recording,
        url: str,
        *,
        identity: str | None = None,
        password: bytes | None = None,
        speed: float = 1.0,
        answer_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        reconnect_s: float = 0.1,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.recording = recording if isinstance(recording, Recording) else Recording.load(recording)
        self.identity = identity or self.recording.identity
        self.url = url
        self.report = ReplayReport()
        self._password = password
        self._speed = speed
        self._answer_timeout_s = answer_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._reconnect_s = reconnect_s
        self._tell = tell
        self._bell = Bell()
        self._started_at = 0.0
        self._played = {call: Played(call) for connection in self.recording.connections for call in connection.calls}
        self._settings = _settings(self.recording.commands)

    async def run(self) -> ReplayReport:
        self._started_at = asyncio.get_running_loop().time()
        self.report.calls.extend(self._played.values())
        for connection in self.recording.connections:
            await self._until(connection.opened)
            await self._play(_Window(connection))
        return self.report

    # ── one connection ────────────────────────────────────────────────────────────────────────────────

    async def _play(self, window: _Window) -> None:
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self._keep_connected(window))
            for call in window.recorded.calls:
                played = self._played[call]
                await self._until(call.t)
                for earlier in call.after:
                    await self._played[earlier].settled.wait()
                if not await self._has_wire(window) or not self._render(played):
                    self._settle(played)
                    continue
                written = asyncio.Event()
                tasks.create_task(self._say(window, played, written))
                await written.wait()
            for t, text in window.recorded.strays:
                await self._until(t)
                if await self._has_wire(window):
                    await window.wire.send(text)
            for call in window.recorded.calls:
                if call in self.recording.answered:
                    await self._played[call].settled.wait()
            await self._until(window.recorded.closed)
            window.is_over = True
            if window.wire is not None:
                if window.recorded.is_cut:
                    window.wire.abort()
                elif window.recorded.says_no_code:
                    await window.wire.close_without_code()
                else:
                    await window.wire.close()
            keeper.cancel()

    async def _keep_connected(self, window: _Window) -> None:
        while not window.is_over:
            try:
                async with dial(self.url, self.identity, self._password, self.recording.subprotocols) as socket:
                    await self._listen(window, socket)
            except (OSError, WebSocketException) as error:
                self.report.connections_failed += 1
                self._print(f"not connected: {error}")
            if not window.is_over:
                await asyncio.sleep(self._reconnect_s)

    async def _listen(self, window: _Window, socket: ClientConnection) -> None:
        wire = window.wire = Wire(socket, self.identity, self.report.frames.append)
        self._bell.ring()
        try:
            while True:
                frame = await wire.recv()
                if frame.message is not None:
                    text = self._answer(*frame.message[1:])
                    await wire.send(text)
        except ConnectionClosed:
            return
        finally:
            wire.lose()
            window.wire = None

    async def _has_wire(self, window: _Window) -> bool:
        try:
            await self._bell.wait_for(lambda: window.wire is not None, self._connect_timeout_s)
        except TimeoutError:
            return False
        return True

    # ── what the charger says ─────────────────────────────────────────────────────────────────────────

    def _render(self, played: Played) -> bool:
        """The text to send; False if it names a transaction whose id was never given."""
        call = played.recorded
        if call.start is None:
            played.text = call.text
            return True
        answer = self._played[call.start].answer
        if answer is None:
            return False
        played.text = call.text_with(answer["transactionId"])
        return True

    async def _say(self, window: _Window, played: Played, written: asyncio.Event) -> None:
        call = played.recorded
        try:
            while not window.is_over and await self._has_wire(window):
                played.attempts += 1
                asking = window.wire.ask_text(
                    played.text,
                    self._answer_timeout_s,
                    call.message_id,
                    lambda answer: self._take_answer(played, answer),
                )
                asyncio.get_running_loop().call_soon(written.set)  # ask_text writes before it first waits
                try:
                    message = await asking
                    if message[0] == MessageType.CALLERROR:
                        played.error_code, played.error_description = message[2], message[3]
                except LinkLost:
                    if call.action in _TRANSACTION_MESSAGES:
                        continue
                break
        except TimeoutError:
            pass  # no answer in time: the report says so
        finally:
            written.set()
            self._settle(played)

    def _take_answer(self, played: Played, answer: Payload) -> None:
        """At the very moment it is read: the next frame may be a command that names the new id."""
        played.answer = answer
        recorded_id = self.recording.transaction_ids.get(played.recorded)
        if recorded_id is not None:
            self.report.transaction_ids[recorded_id] = answer.get("transactionId")

    def _settle(self, played: Played) -> None:
        played.settled.set()
        if played.text is None:
            outcome = "NOT SENT"
        elif played.error_code is not None:
            outcome = f"CALLERROR {played.error_code} {played.error_description}"
        else:
            outcome = "NOT ANSWERED" if played.answer is None else encode(played.answer)[1:-1]
        self._print(f"{played.recorded.t:8.3f} {played.action} -> {outcome}")

    # ── what the charger answers ──────────────────────────────────────────────────────────────────────

    def _answer(self, message_id: str, action: str, payload: Payload) -> str:
        command = self._similar(action, payload)
        if command is not None:
            text, answer = command.text_for(message_id), command.answer
        elif action == "GetConfiguration":
            answer = [MessageType.CALLRESULT, message_id, self._configuration(payload.get("key"))]
            text = encode(*answer)
        elif action in _DEFAULT_ANSWERS:
            answer = [MessageType.CALLRESULT, message_id, _DEFAULT_ANSWERS[action]]
            text = encode(*answer)
        else:
            answer = [MessageType.CALLERROR, message_id, "NotImplemented", f"{action} is not in the recording", {}]
            text = encode(*answer)
        if action == "ChangeConfiguration" and answer[2] == {"status": "Accepted"}:
            key = payload["key"]
            self._settings[key] = (
                {"readonly": False} | self._settings.get(key, {"key": key}) | {"value": payload["value"]}
            )
        self.report.requests.append(Obeyed(action, payload, answer))
        self._print(f"         {action} {encode(payload)[1:-1]} <- {encode(*answer[2:])[1:-1]}")
        return text

    def _similar(self, action: str, payload: Payload) -> RecordedCommand | None:
        """The recorded command that is most like this one: the same, else one that shares a member."""
        wanted = self._as_recorded(payload)
        candidates = [command for command in self.recording.commands if command.action == action]
        same = next((command for command in candidates if command.payload == wanted), None)
        if same is not None or action in ("GetConfiguration", "RemoteStopTransaction"):
            return same
        likeness = [sum(wanted.get(name) == value for name, value in each.payload.items()) for each in candidates]
        best = max(likeness, default=0)
        return candidates[likeness.index(best)] if best > 0 else None

    def _as_recorded(self, payload: Payload) -> Payload:
        for recorded_id, given_id in self.report.transaction_ids.items():
            if "transactionId" in payload and payload["transactionId"] == given_id:
                return payload | {"transactionId": recorded_id}
        return payload

    def _configuration(self, keys: list[str] | None) -> Payload:
        wanted = keys or list(self._settings)
        unknown = [key for key in wanted if key not in self._settings]
        known = [self._settings[key] for key in wanted if key in self._settings]
        return {"configurationKey": known} | ({"unknownKey": unknown} if unknown else {})

    # ── small things ──────────────────────────────────────────────────────────────────────────────────

    async def _until(self, t: float) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._started_at + t / self._speed - now))

    def _print(self, line: str) -> None:
        if self._tell is not None:
            self._tell(line)


def _settings(commands: list[RecordedCommand]) -> dict[str, Payload]:
    """The configuration of the recorded charger, as far as it was asked."""
    settings: dict[str, Payload] = {}
    for command in commands:
        if command.action == "GetConfiguration" and command.answer[0] == MessageType.CALLRESULT:
            settings |= {entry["key"]: entry for entry in command.answer[2].get("configurationKey", [])}
    return settings


# ── program ───────────────────────────────────────────────────────────────────────────────────────────


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plays a recording of a real charger.")
    parser.add_argument("recording", type=Path, help="a file of tests/wire")
    parser.add_argument("--url", required=True, help="ws://HOST:PORT/PATH; the identity is appended")
    parser.add_argument("--id", help="identity (default: that of the recording)")
    parser.add_argument("--password-file", type=Path, help="file with the charger's password")
    parser.add_argument("--speed", type=float, default=1.0, help="times faster than recorded (default: %(default)s)")
    return parser.parse_args()


async def _main() -> int:
    arguments = _arguments()
    replay = Replay(
        arguments.recording,
        arguments.url,
        identity=arguments.id,
        password=arguments.password_file and arguments.password_file.read_bytes().strip(),
        speed=arguments.speed,
        tell=lambda line: print(line, flush=True),
    )
    print(f"{replay.identity}: {replay.recording.what}", flush=True)
    report = await replay.run()
    print(
        f"{len(report.answers)} answered, {len(report.errors)} refused, {len(report.unanswered)} not answered,"
        f" {len(report.unsent)} not sent; transaction ids {report.transaction_ids}"
    )
    return 0 if report.is_complete else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except KeyboardInterrupt:
        sys.exit(130)
