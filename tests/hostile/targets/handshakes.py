"""The bytes of an HTTP request → who it is and whether it may enter, as the listener reads them.

Between the bytes and us stands websockets' own reader; then come the path, the Authorization header and the
subprotocols. Whoever gets in must have shown the password of exactly the charger under whose name it gets in: checked
here by a second, simple-minded reading of the same bytes. `doors.py` asks the listener itself.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from random import Random
from urllib.parse import unquote_to_bytes

from websockets.http11 import Request
from websockets.server import ServerProtocol

from edge.ocppj import handshake
from tests.hostile.fuzzing import Escape, Tally
from tests.hostile.mutation import damaged

KEY = b"0123456789abcdef0123"
HEX_KEY = b"00112233445566778899aabbccddeeff"
PASSWORDS = {"CP-01": KEY, "CP-02": HEX_KEY, "Lade säule/3": b"\x00\xff: pass"}
OPEN = "CP-OPEN"
"""Needs none."""
PREFIX = "/ocpp"
VERSIONS = ("1.6",)

_NAMES = ("CP-01", "CP-02", "CP-OPEN", "CP%2D01", "cp-01", "CP-01%00", "CP-01/", "/CP-01", "CP-01?x=1", "CP-01#", "%",
          "%zz", "%C3", "Lade%20s%C3%A4ule%2F3", "..", ".", "%2e%2e", "CP-01%0a", "CP-01%20", "a" * 48, "a" * 49, "",
          "CP-01%E2%80%AE", "CP%3A01", "*", "CP-01;x", "CP-01&", "%252D", "CP-01%", "CP-99", "NEW", "x" * 9000)  # fmt: skip
_PREFIXES = ("/ocpp/", "/ocpp//", "//ocpp/", "/", "/OCPP/", "/ocpp/../ocpp/", "/ocpp/a/b/", "ocpp/", "/ocpp%2F", "",
             "http://x/ocpp/", "*", "/ocpp/CP-02/", "/ocpp?/")  # fmt: skip
_PROTOCOLS = ("ocpp1.6", "ocpp1.6, ocpp2.0.1", "ocpp2.0.1", "ocpp1.5", "OCPP1.6", "", ",", "ocpp1.6,,", "a b", "\xff",
              "ocpp1.6;q=1", '"ocpp1.6"', "x" * 4000, ",".join(["t"] * 900))  # fmt: skip
_HEADERS = (
    b"Host: 127.0.0.1", b"Upgrade: websocket", b"Upgrade: h2c, websocket", b"Connection: Upgrade",
    b"Connection: keep-alive, Upgrade", b"Connection: close", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8", b"Sec-WebSocket-Extensions: ;;;,\x00",
    b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Content-Length: -1", b"Origin: http://evil.example",
    b"Authorization", b": x", b"A b: c", b" folded", b"X: \xff\xfe", b"X: a\x00b", b"Cookie: " + b"y" * 9000, b"",
    b"Expect: 100-continue", b"X-" + b"n" * 200 + b": 1",
)  # fmt: skip


class Handshakes:
    name = "handshakes"
    batch = 25_000
    is_fresh_each_time = True

    def inputs(self, chance: Random) -> Iterator[bytes]:
        while True:
            yield request(chance)

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        for data in inputs:
            tally.begin(data)
            tally.end(accepted=_judge(data))


def request(chance: Random) -> bytes:
    """Almost what a charger sends."""
    name = "CP-01" if chance.random() < 0.5 else chance.choice(_NAMES)
    prefix = "/ocpp/" if chance.random() < 0.8 else chance.choice(_PREFIXES)
    method = "GET" if chance.random() < 0.96 else chance.choice(("POST", "get", "", "G E T", "\x16\x03\x01", "PRI"))
    version = "HTTP/1.1" if chance.random() < 0.96 else chance.choice(("HTTP/1.0", "HTTP/2", "", "HTTP/1.1 x"))
    lines = [
        f"{method} {prefix}{name} {version}".encode("latin-1"),
        b"Host: 127.0.0.1",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    ]
    protocol = "ocpp1.6" if chance.random() < 0.8 else chance.choice(_PROTOCOLS)
    lines.append(b"Sec-WebSocket-Protocol: " + protocol.encode("latin-1"))
    if chance.random() < 0.9:
        lines.append(b"Authorization: " + _authorization(unquote_to_bytes(name), chance))
    number = chance.random()
    if number < 0.5:
        for _ in range(1 + int(chance.random() * 3)):
            at = 1 + int(chance.random() * len(lines))
            kind = chance.random()
            if kind < 0.4:
                lines.insert(at, chance.choice(_HEADERS))
            elif kind < 0.7 and at < len(lines):
                del lines[at]
            elif at < len(lines):
                lines.insert(at, lines[int(chance.random() * len(lines))])
    elif number < 0.503:
        lines += [
            b"X-%d: %s" % (bomb, b"b" * chance.choice((1, 100, 8000))) for bomb in range(chance.choice((100, 200)))
        ]
    ending = b"\r\n" if chance.random() < 0.97 else chance.choice((b"\n", b"\r", b"\r\r\n"))
    data = ending.join(lines) + ending * 2
    return data if chance.random() < 0.85 else damaged(data, chance)


def _authorization(name: bytes, chance: Random) -> bytes:
    password = KEY if chance.random() < 0.6 else chance.choice((HEX_KEY, bytes.fromhex(HEX_KEY.decode()), b"", b"\x00" * 20, KEY + b"x", KEY[:-1], b":", b"\xff" * 16, KEY.upper()))  # fmt: skip
    user = name if chance.random() < 0.8 else chance.choice((b"CP-01", b"CP-02", b"", b"cp-01", b"\xff", b"CP-01:"))
    encoded = base64.b64encode(user + b":" + password)
    kind = int(chance.random() * 14)
    return {
        0: b"Basic" + encoded,
        1: b"basic  " + encoded + b"  ",
        2: b"BASIC\t" + encoded,
        3: b"Bearer " + encoded,
        4: b"Basic " + encoded.rstrip(b"="),
        5: b"Basic " + encoded.replace(b"A", b"-"),
        6: b"Basic " + base64.b64encode(user + password),
        7: b"Basic " + encoded + b"====",
        8: b"Basic " + encoded[:-1],
    }.get(kind, b"Basic " + encoded)


@cache
def secrets(name: str) -> tuple[bytes, ...]:
    """The records of what a charger may show, as the roster keeps them."""
    forms = handshake.accepted_forms(PASSWORDS[name])
    return tuple(handshake.hash_password(form, b"salt" * 4) for form in forms)


def _judge(data: bytes) -> bool:
    protocol = ServerProtocol(subprotocols=["ocpp1.6"])
    protocol.receive_data(data)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        return False
    read = events[0]
    response = protocol.accept(read)
    name = handshake.identity_from_path(read.path, PREFIX)
    headers = read.headers.get_all("Authorization")
    credentials = handshake.basic_credentials(headers[0] if len(headers) == 1 else None)
    offered: Sequence[str] = read.headers.get_all("Sec-WebSocket-Protocol")
    chosen = handshake.choose_subprotocol([one.strip() for line in offered for one in line.split(",")], VERSIONS)
    if chosen is not None and chosen.encode() not in data:
        raise Escape(f"{chosen} was not offered")
    if name is None:
        return False
    must_be_an_identity(name)
    if name == OPEN:
        return response.status_code == 101
    user, password = credentials or (b"", b"")
    known = secrets(name) if name in PASSWORDS else (None,)
    matches = any(handshake.password_matches(record, password) for record in known) and user == name.encode()
    if matches and not shows_password(data, name):
        raise Escape(f"{name!a} gets in without its password")
    return matches and response.status_code == 101


def must_be_an_identity(name: str) -> None:
    if not 1 <= len(name) <= 48 or ":" in name or not name.isprintable() or name in {".", ".."}:
        raise Escape(f"no identity: {name!a}")


_BASIC = re.compile(rb"authorization:[ \t]*basic[ \t]+([A-Za-z0-9+/]+={0,2})[ \t]*\r?\n", re.IGNORECASE)


def shows_password(data: bytes, name: str) -> bool:
    """Whether one of the request's headers has name and password, by a reading that is not the one under test."""
    wanted = {name.encode() + b":" + form for form in handshake.accepted_forms(PASSWORDS[name])} if name in PASSWORDS else set()  # fmt: skip
    for encoded in _BASIC.findall(data):
        try:
            if base64.b64decode(encoded + b"=" * (-len(encoded) % 4)) in wanted:
                return True
        except ValueError:
            continue
    return False


HANDSHAKES = Handshakes()
