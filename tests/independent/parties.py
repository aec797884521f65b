"""The programs of this folder as a test sees them: started, told what to do, listened to, ended.

What passes through: commands to `charger.mjs` and `csms.mjs`, and each frame that they sent or received, as it was on
the wire. What is guaranteed: a program ends with its `async with` block whatever happens (its stdin is closed, then it
is killed), no wait is without a deadline, and whatever the stack found wrong fails the test at the end of the block.
"""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Self, TypeVar

from simulators.wire import Bell

from tests.independent.runtime import HERE, Stack

Fact = TypeVar("Fact")
TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")
START_WITHIN_S = 20.0


class CommandFailed(Exception):
    """The program could not do it; `code` is that of the CALLERROR, when there was one."""

    def __init__(self, command: str, code: str | None, message: str) -> None:
        super().__init__(f"{command}: {code or 'no code'}: {message}")
        self.code = code
        self.message = message


@dataclass(eq=False)
class Call:
    """A CALL seen by a program, and what it was answered: the whole message, or None so far."""

    direction: str
    message_id: str
    action: str
    payload: dict
    answer: list | None = None

    @property
    def result(self) -> dict:
        assert self.answer is not None, f"{self.action} was not answered"
        assert self.answer[0] == 3, f"{self.action} was answered {self.answer}"
        return self.answer[2]


@dataclass
class Conversation:
    """What was said on one connection after the other, between the program and one identity."""

    calls: list[Call] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    """Texts that are neither a CALL nor the answer to one."""
    _open: dict[tuple[str, str], Call] = field(default_factory=dict)

    def add(self, direction: str, text: str) -> None:
        asker = "out" if direction == "in" else "in"
        match json.loads(text):
            case [2, message_id, action, payload]:
                call = self._open[direction, message_id] = Call(direction, message_id, action, payload)
                self.calls.append(call)
            case [3 | 4, message_id, *_] as answer if (asker, message_id) in self._open:
                self._open.pop((asker, message_id)).answer = answer
            case _:
                self.stray.append(text)

    def of(self, direction: str, *actions: str) -> list[Call]:
        """The CALLs sent (`out`) or received (`in`) by the program, of these actions or of all."""
        chosen = [call for call in self.calls if call.direction == direction]
        return [call for call in chosen if call.action in actions] if actions else chosen


class _Pipes(asyncio.SubprocessProtocol):
    """Lines of stdout, text of stderr, and the end of the process."""

    def __init__(self, on_line: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._on_line = on_line
        self._on_end = on_end
        self._rest = b""
        self.stderr = b""
        self.has_ended = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.stderr += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode())

    def connection_lost(self, exc: Exception | None) -> None:  # the process is gone and all its pipes are read
        self.has_ended = True
        self._on_end()


class Program:
    """One process of node."""

    end_within_s = 5.0
    """From the end of its stdin to SIGKILL."""

    def __init__(self, stack: Stack, file: str, identity: str, options: dict) -> None:
        self.identity = identity
        """Of the charger that it is, or of the station that it expects."""
        self._arguments = (stack.node, str(HERE / file), json.dumps(options))
        self._file = file
        self._bell = Bell()
        self._pipes = _Pipes(self._hear, self._bell.ring)
        self._transport: asyncio.SubprocessTransport | None = None
        self._asked = 0
        self._outcomes: dict[int, dict] = {}
        self.conversations: dict[str, Conversation] = {}
        self.events: list[dict] = []
        """All but frames, violations and outcomes of commands."""
        self.violations: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """For the length of a block; then it must have found nothing wrong."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.subprocess_exec(lambda: self._pipes, *self._arguments, cwd=HERE)
        try:
            await self.wait_for(lambda: self.told("ready"), START_WITHIN_S, "ready")
            yield self
            assert not self._pipes.has_ended, f"{self._file} has ended by itself\n{self._last_words()}"
            assert self.violations == [], f"{self._file} found: {self.violations}"
        finally:
            await self._end()

    async def _end(self) -> None:
        transport = self._transport
        assert transport is not None
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        stdin.close()
        try:
            await self._bell.wait_for(lambda: self._pipes.has_ended, self.end_within_s)
        except TimeoutError:
            transport.kill()
            await self._bell.wait_for(lambda: self._pipes.has_ended, self.end_within_s)
        finally:
            transport.close()

    def signal(self, name: str) -> None:
        assert self._transport is not None
        self._transport.send_signal(signal.Signals[name])

    @property
    def code(self) -> int | None:
        """How it ended; negative: by that signal."""
        assert self._transport is not None
        return self._transport.get_returncode()

    def _hear(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # a package has printed something
            said = {"event": "violation", "message": f"printed: {line}"}
        match said.pop("event"):
            case "frame":
                self.conversation(said["identity"]).add(said["direction"], said["text"])
            case "violation":
                self.violations.append(said["message"])
            case "done" | "failed" as outcome:
                self._outcomes[said.pop("number")] = {"outcome": outcome, **said}
            case event:
                self.events.append({"event": event, **said})
        self._bell.ring()

    def conversation(self, identity: str) -> Conversation:
        return self.conversations.setdefault(identity, Conversation())

    @property
    def talk(self) -> Conversation:
        return self.conversation(self.identity)

    def told(self, event: str) -> list[dict]:
        return [one for one in self.events if one["event"] == event]

    async def wait_for(self, predicate: Callable[[], Fact], within_s: float = 10.0, what: str = "") -> Fact:
        """What `predicate` returns once it is truthy; AssertionError when it never is, or when the program has ended."""
        try:
            fact = await self._bell.wait_for(lambda: predicate() or self._pipes.has_ended, within_s)
        except TimeoutError:
            raise AssertionError(f"not within {within_s:g} s: {what or predicate}\n{self._last_words()}") from None
        if self._pipes.has_ended and not (fact := predicate()):
            raise AssertionError(f"{self._file} has ended\n{self._last_words()}")
        return fact  # type: ignore[return-value]

    def _last_words(self) -> str:
        calls = [f"  {identity} {call}" for identity, one in self.conversations.items() for call in one.calls[-6:]]
        return "\n".join([*calls, *self.violations, self._pipes.stderr.decode(errors="replace")])

    async def do(self, command: str, within_s: float = 15.0, **given: object) -> object:
        """What the command gave back; raises CommandFailed."""
        assert self._transport is not None
        self._asked += 1
        number = self._asked
        stdin = self._transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        line = {"number": number, "command": command, "identity": self.identity, **given}
        stdin.write(json.dumps(line).encode() + b"\n")
        outcome = await self.wait_for(lambda: self._outcomes.pop(number, None), within_s, f"{command} {given}")
        if outcome["outcome"] == "failed":
            raise CommandFailed(command, outcome["code"], outcome["message"])
        return outcome["result"]

    async def ask_raw(self, message_id: str, text: str) -> list:
        """The answer to a text that the stack itself would not send."""
        await self.do("raw", messageId=message_id, text=text)
        answers = await self.wait_for(
            lambda: [call.answer for call in self.talk.of("out") if call.message_id == message_id and call.answer],
            what=f"the answer to {text}",
        )
        return answers[0]


class NodeCharger(Program):
    """What the driver can do stands at the end of `charger.mjs`."""

    def __init__(self, stack: Stack, identity: str, url: str, **options: object) -> None:
        super().__init__(stack, "charger.mjs", identity, {"identity": identity, "url": url, **options})

    @property
    def sent(self) -> list[Call]:
        """Its transaction messages, in order."""
        return self.talk.of("out", *TRANSACTION)


class NodeCsms(Program):
    def __init__(self, stack: Stack, identity: str, **options: object) -> None:
        super().__init__(stack, "csms.mjs", identity, options)

    @property
    def url(self) -> str:
        return self.told("ready")[0]["url"]

    def received(self, *actions: str) -> list[Call]:
        """CALLs of the station, in order."""
        return self.talk.of("in", *actions)

    async def until_answered(self, action: str, count: int = 1, within_s: float = 10.0) -> list[Call]:
        """So many of the station's CALLs have come and been answered; all of them."""
        await self.wait_for(
            lambda: len([call for call in self.received(action) if call.answer]) >= count,
            within_s,
            f"{count} answered {action}",
        )
        return self.received(action)

    async def until_told_statuses(self, count: int) -> None:
        """The station is registered and has told of this many connectors, 0 among them."""

        def told() -> bool:
            answered = [call for call in self.received("StatusNotification") if call.answer]
            return {call.payload["connectorId"] for call in answered} == set(range(count))

        await self.wait_for(told, what=f"the status of connectors 0 to {count - 1}")

    async def call(self, action: str, payload: dict) -> dict:
        """The station's answer, valid by the schema; raises CommandFailed with the code of a CALLERROR."""
        answer = await self.do("call", 30.0, action=action, payload=payload)
        assert isinstance(answer, dict)
        return answer
