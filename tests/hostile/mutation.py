"""Damage by design: texts and bytes that are almost right, as seeds and chance have it.

`Grammar` knows JSON token by token, so that most of what it makes passes the first check and fails, or does not, a
later one: a value of another kind, a key that stands twice, a number beyond every type, brackets by the thousand, half
a surrogate pair, a piece of another message. `damaged` knows nothing and spoils bytes. Same chance, same result.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from random import Random

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{},:]|[^\s"\[\]{},:]+|\s+')
_CLOSES = {"{": "}", "[": "]"}

ODD_VALUES = (
    "null", "true", "false", "0", "-0", "1", "-1", "2", "16", "99", "100", "1.5", "-2.5", "1e2", "0.1e1", "1E400",
    "-1e999", "1e-999", "NaN", "Infinity", "-Infinity", "00", "01", "+1", "0x10", ".5", "5.", "1e", "--1", "1_0",
    "2147483647", "2147483648", "-2147483649", "4294967296", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" + "0" * 30, "9" * 4301, "0." + "3" * 400,
    '""', '" "', '"x"', '"0"', '"1"', '"-1"', '"007"', '"1.0"', '"1,5"', '"1e3"', '"NaN"', '"inf"', '"true"', '"null"',
    '"None"', '"{}"', r'"\u0000"', r'"a\u0000b"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\uFFFF"',
    r'"\u202eabc"', r'"\u001b[2J"', r'"\n\r\t"', r'"\x41"', r'"\u12"', '"\\', '"', "'x'", "undefined", "nul", "truee",
    '"' + "x" * 21 + '"', '"' + "x" * 51 + '"', '"' + "x" * 256 + '"', '"' + "y" * 501 + '"', '"' + "z" * 5000 + '"',
    '"' + "\u00e9" * 300 + '"', '"\U0001f50c"', '"\u2028"', "\ufeff", "{}", "[]", "[[]]", "[{}]", '{"a":1}',
    '{"a":1,"a":2}', '{"":{}}', '[1,"x",{}]', "[null]", "/*c*/1", "//\n1", "1,", ",1", ":", "",
    '"2026-11-21T10:00:00Z"', '"2026-11-21 10:00"', '"222222017-01-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59.999999999-23:59"', '"1970-01-01T00:00:00Z"', '"2026-02-30T25:61:61Z"', '"20261121"',
    '"-1-1-1"', '"2026-11-21T10:00:00.' + "1" * 60 + 'Z"', '"Accepted"', '"Wh"', '"kWh"', '"L1-N"', '"SoC"',
    '"Power.Active.Import"', '"Energy.Active.Import.Register"', '"Transaction.End"', '"Signeddata"', '"Available"',
    '"../../etc/passwd"', '"%s%n%x"', "\"'; DROP TABLE tx; --\"", '"${jndi:ldap://x}"', '"http://169.254.169.254/"',
)  # fmt: skip
"""Value tokens, right and wrong, with which no reader may be surprised."""

_STRUCTURE = ("[", "]", "{", "}", ",", ":", '"', "\\", " ", "\n", "\x00", "\x1f", "\u00a0", "[[", "]]", "{{", ",,")
_BYTES = (0x00, 0x01, 0x09, 0x0A, 0x0D, 0x1B, 0x20, 0x22, 0x2C, 0x5B, 0x5C, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xC0, 0xED, 0xFE, 0xFF)  # fmt: skip
_BLANKS = (" ", "\n\t ", " " * 40, "\ufeff", "\u00a0")
_DEEP = (1, 2, 3, 28, 29, 30, 31, 32, 33, 40, 200)


class Message:
    """One text in tokens, and where its values and members begin and end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        self.values: list[tuple[int, int]] = []
        """Each value: its first token and the one after its last."""
        self.keys: list[int] = []
        opened: list[int] = []
        for at, token in enumerate(self.tokens):
            if token in _CLOSES:
                opened.append(at)
            elif token in {"]", "}"} and opened:
                self.values.append((opened.pop(), at + 1))
            elif token[0] not in ",:]} \n\t\r":
                if self.tokens[at + 1 : at + 2] == [":"]:
                    self.keys.append(at)
                else:
                    self.values.append((at, at + 1))


@cache
def message(text: str) -> Message:
    return Message(text)


class Grammar:
    """Mutates JSON texts that are made of these seeds."""

    def __init__(self, seeds: Sequence[str], words: Sequence[str] = ()) -> None:
        """`words`: names and values that mean something to the reader, beside those of the seeds."""
        self._seeds = [message(seed) for seed in seeds]
        known = dict.fromkeys(seed.tokens[at] for seed in self._seeds for at in seed.keys)
        self._keys = [*known, *(json.dumps(word) for word in words)]

    def text(self, chance: Random) -> str:
        """A seed as it is, once in a while; else with one to four things changed."""
        return self.changed(self._seeds[int(chance.random() * len(self._seeds))], chance)

    def changed(self, seed: Message, chance: Random) -> str:
        tokens = list(seed.tokens)
        shifts = False
        for _ in range(_how_many(chance)):
            # What moves the tokens makes the places of the seed wrong: it is the last thing that is done.
            shifts = self._change(seed, tokens, chance)
            if shifts:
                break
        text = "".join(tokens)
        return text if chance.random() < 0.9 else broken(text, chance)

    def _change(self, seed: Message, tokens: list[str], chance: Random) -> bool:
        """One thing; whether the places of the seed's values no longer fit."""
        if not seed.values:
            return False
        kind = int(chance.random() * 16)
        if kind < 6:
            tokens[self._scalar(seed, chance)] = _pick(ODD_VALUES, chance)
        elif kind < 9 and seed.keys:
            self._change_key(seed, tokens, chance)
        elif kind < 13:
            return self._change_value(seed, tokens, chance)
        elif kind == 13:
            tokens[int(chance.random() * len(tokens))] = _pick(_STRUCTURE, chance) if chance.random() < 0.5 else ""
        elif kind == 14:
            tokens[int(chance.random() * len(tokens))] += _pick(_BLANKS, chance)
        else:
            del tokens[int(chance.random() * len(tokens)) :]
            return True
        return False

    def _change_key(self, seed: Message, tokens: list[str], chance: Random) -> None:
        """Another name, the name of a neighbour, or one member more before it."""
        key, kind = _pick(seed.keys, chance), chance.random()
        if kind < 0.3:
            tokens[key] = _pick(self._keys, chance)
        elif kind < 0.6:
            tokens[key] = seed.tokens[_pick(seed.keys, chance)]
        else:
            tokens[key] = f"{_pick(self._keys, chance)}:{_pick(ODD_VALUES, chance)},{tokens[key]}"

    def _change_value(self, seed: Message, tokens: list[str], chance: Random) -> bool:
        """A whole value goes, comes several times, deeper, or from another message."""
        first, end = _pick(seed.values, chance)
        kind = chance.random()
        if kind < 0.25:
            other = _pick(self._seeds, chance)
            if other.values:
                begin, stop = _pick(other.values, chance)
                tokens[first:end] = other.tokens[begin:stop]
                return end - first != stop - begin
        elif kind < 0.5:
            tokens[first:end] = [""] * (end - first)
        elif kind < 0.75:
            times = 2 if chance.random() < 0.9 else int(chance.random() * 60)
            tokens[end - 1] += ("," + "".join(seed.tokens[first:end])) * times
        else:
            deep = _pick(_DEEP, chance)
            opening, closing = ("[", "]") if chance.random() < 0.5 else ('{"a":', "}")
            tokens[first] = opening * deep + tokens[first]
            tokens[end - 1] += closing * (deep if chance.random() < 0.9 else deep - 1)
        return False

    def _scalar(self, seed: Message, chance: Random) -> int:
        """Where one stands, mostly; else where some value begins."""
        for _ in range(4):
            first, end = _pick(seed.values, chance)
            if end == first + 1:
                break
        return first


def _pick(some: Sequence, chance: Random):
    return some[int(chance.random() * len(some))]


def _how_many(chance: Random) -> int:
    """0: as it is."""
    number = chance.random()
    return 0 if number < 0.04 else 1 if number < 0.6 else 2 if number < 0.85 else 4


def broken(text: str, chance: Random) -> str:
    """Characters go, come twice, or change places."""
    if not text:
        return text
    at = int(chance.random() * len(text))
    length = 1 + int(chance.random() * (3 if chance.random() < 0.8 else 30))
    kind = int(chance.random() * 5)
    if kind == 0:
        return text[:at] + text[at + length :]
    if kind == 1:
        return text[:at] + text[at : at + length] * 2 + text[at + length :]
    if kind == 2:
        return text[:at] + chr(int(chance.random() * 0x250)) + text[at + 1 :]
    if kind == 3:
        return text[:at]
    return text[at:] + text[:at]


def damaged(data: bytes, chance: Random) -> bytes:
    """Bits flip, bytes go, come, or are others; anything may be cut off."""
    spoilt = bytearray(data)
    for _ in range(1 + int(chance.random() * 3)):
        if not spoilt:
            return bytes(spoilt)
        at = int(chance.random() * len(spoilt))
        kind = int(chance.random() * 6)
        if kind == 0:
            spoilt[at] ^= 1 << int(chance.random() * 8)
        elif kind == 1:
            spoilt[at] = _pick(_BYTES, chance) if chance.random() < 0.5 else int(chance.random() * 256)
        elif kind == 2:
            del spoilt[at : at + 1 + int(chance.random() * 4)]
        elif kind == 3:
            spoilt[at:at] = bytes(_pick(_BYTES, chance) for _ in range(1 + int(chance.random() * 4)))
        elif kind == 4:
            spoilt[at:at] = spoilt[at : at + 1 + int(chance.random() * 16)]
        else:
            del spoilt[at:]
    return bytes(spoilt)
