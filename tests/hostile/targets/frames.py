"""One WebSocket text of a peer → one event of `RpcPeer`: what is accepted can be held, stored, and said again."""

import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from random import Random

from edge.jsontypes import JsonValue
from edge.ocppj.actions import Sender
from edge.ocppj.frames import CHARGER_LIMITS, CSMS_LIMITS, Limits, encode_json
from edge.ocppj.peer import AnswerReceived, CallReceived, Received, Refused, RpcPeer, SendReceived
from edge.ocppj.repair import NAMES, RESULT_NAMES_ACTION
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.material import made_answers, made_calls, recorded_texts, words
from tests.hostile.mutation import Grammar, damaged

DEEPEST = 32
LONGEST_REPLY = 2000
"""Characters of a CALLERROR: an id of 255, each perhaps six long, and a description."""
ASKED = "asked-1"
VERSIONS = ("1.6", "1.6", "1.6", "1.6", "1.6", "1.6", "2.0.1", "2.1")


class Frames:
    batch = 25_000
    is_fresh_each_time = True

    def __init__(self, name: str, side: Sender, limits: Limits, *, is_mended: bool) -> None:
        """`side`: who says it."""
        self.name = name
        self._side = side
        self._limits = limits
        self._is_mended = is_mended
        self._grammar: Grammar | None = None

    def inputs(self, chance: Random) -> Iterator[bytes]:
        if self._grammar is None:
            self._grammar = Grammar(_seeds(self._side), words())
        while True:
            data = self._grammar.text(chance).encode("utf-8", "surrogatepass")
            number = chance.random()
            if number < 0.06:
                data = damaged(data, chance)
            elif number > 0.9998:
                data = _huge(chance, self._limits.max_characters)
            yield data

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        for data in inputs:
            tally.begin(data)
            tally.end(accepted=self._judge(data))

    def _judge(self, data: bytes) -> bool:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return False  # websockets closes with 1007, and we never see it
        which = zlib.crc32(data)
        repairs: Callable[[], frozenset[str]] | None = None
        if self._is_mended:
            repairs = _all if which & 0x100 else _safe
        peer = RpcPeer(VERSIONS[which & 7], self._side, self._limits, repairs=repairs)
        peer.start_call(ASKED, "GetConfiguration", {}, 0.0, 30.0)
        event = peer.receive(text, 1.0)
        return is_right(event, text)


def is_right(event: Received, text: str) -> bool:
    """Whether something was accepted; raises Escape when that cannot be."""
    match event:
        case CallReceived(frame, violations, repairs):
            if not 1 <= len(frame.message_id) <= 255:
                raise Escape(f"a message id of {len(frame.message_id)} characters")
            _must_be_plain(*map(str, violations[:1]))
        case AnswerReceived(_, _, frame, _, _, repairs) if hasattr(frame, "payload"):
            pass
        case SendReceived(frame, _):
            repairs = ("perhaps",)  # of these it is not told
        case Refused(reason, _, reply, _):
            _must_be_plain(reason)
            if reply is not None:
                _must_be_an_error(reply)
            return False
        case _:
            return False
    if frame.text != text:
        raise Escape("the text that is kept is not the text that came")
    must_be_holdable(frame.payload, 2)
    if not repairs and (json.loads(text)[-1] or {}) != frame.payload:
        raise Escape("another reader reads it differently")
    said = encode_json(frame.payload)
    said.encode()
    if json.loads(said) != frame.payload:
        raise Escape("what is written again is something else")
    return True


def must_be_holdable(value: JsonValue, level: int) -> None:
    """What SQLite and UTF-8 can hold."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Escape(f"a string that cannot be stored: {value[:40]!a}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Escape("a number that is none")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Escape("an integer that cannot be stored")
    elif value is not None:
        if level > DEEPEST:
            raise Escape("deeper than is read anywhere")
        if isinstance(value, dict):
            for key in value:
                must_be_holdable(key, level)
        for below in value.values() if isinstance(value, dict) else value:
            must_be_holdable(below, level + 1)


def _must_be_an_error(reply: str) -> None:
    error = json.loads(reply)
    if len(reply) > LONGEST_REPLY or len(error) != 5 or error[0] != 4 or not 1 <= len(error[1]) <= 255:
        raise Escape(f"no CALLERROR: {reply[:200]!a}")
    _must_be_plain(error[2], error[3])


def _must_be_plain(*said: str) -> None:
    """Our own words, or the peer's in escapes."""
    for words_of_ours in said:
        if len(words_of_ours) > 1000 or not (words_of_ours.replace("…", "").isascii() and words_of_ours.isprintable()):
            raise Escape(f"the peer's characters in our words: {words_of_ours[:80]!a}")


def _all() -> frozenset[str]:
    return frozenset(NAMES)


def _safe() -> frozenset[str]:
    return frozenset({RESULT_NAMES_ACTION})


def _seeds(side: Sender) -> list[str]:
    """Calls and answers, as this side would say them."""
    answers = [
        json.dumps([3, ASKED, json.loads(payload)]) for payload in made_answers()["GetConfiguration"] * 4
    ] + [
        f'[4,"{ASKED}","NotSupported","",{{}}]', f'[3,"{ASKED}",{{"status":"Accepted"}}]', f'[3,"{ASKED}",null]',
        f'[5,"{ASKED}","FormatViolation","",{{}}]', f'[3,"{ASKED}","GetConfiguration",{{}}]',
        '[6,"s-1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-03-01T00:00:00Z","data":[]}]',
    ]  # fmt: skip
    made = [*made_calls(side), *made_calls(side, "2.1")[:60]]
    return [*recorded_texts("up" if side is Sender.STATION else "down"), *made, *answers]


def _huge(chance: Random, most: int) -> bytes:
    """Around the limit, and what makes a careless reader quadratic."""
    length = int(most * chance.choice((0.3, 0.99, 1.0, 1.01)))
    kind = chance.choice(("[", '{"a":', '"', "\\", '"\\"', " ", "1", "[1,", '{"a":1,', "{}", '\\"', "9", "e", ","))
    return b'[2,"huge","StopTransaction",{"x":' + kind.encode() * (length // len(kind))


CHARGER = Frames("frames", Sender.STATION, CHARGER_LIMITS, is_mended=True)
CSMS = Frames("csms-frames", Sender.CSMS, CSMS_LIMITS, is_mended=False)
