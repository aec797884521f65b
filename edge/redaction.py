"""What of a value may stand in the log: secrets vanish, tokens keep their last characters, texts are plain and short.

By name, so that no call site can forget it, and by pattern, because a secret may stand in the middle of a text: a
payload, a URL, an exception's message. In doubt more vanishes than must.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

Told: TypeAlias = "str | int | float | bool | list[Told] | dict[str, Told] | None"

LONGEST = 256
"""Characters of a text: what a peer says may be as long as it likes."""
LONGEST_TRACEBACK = 16_000
LOOKED_AT = 4096
"""Characters of a text that are searched for secrets; the rest is left out."""
MARGIN = 256
"""Characters behind those that are shown: where a secret begins in what is shown, so much of it is looked at."""
KEPT = 4
"""Characters of a token that stay."""
SHORTEST_BARE_TOKEN = 8
"""Characters of a token that is told from a word by nothing but its digits."""
LONGEST_WORD = 64
HIDDEN = "[redacted]"

_SECRETS = ("password", "passwd", "passphrase", "secret", "authorization", "credentials", "privatekey")
_TOKENS = ("token", "idtoken", "idtag", "parentidtag", "groupidtoken", "tag")

# Each expression takes a number of steps that grows with the text and no faster, whatever a peer has made of it: it
# begins at fixed letters, never at "any word", and what is repeated is bounded or ends where the next one may begin.
# No possessive groups: the Python of Debian 12 mistakes them (`tests/test_architecture.py`).
_Q = r"\\{0,7}[\"']"
"""A quotation mark of JSON, of JSON inside JSON (three times over), or of a Python value."""
_QUOTED = rf"(?P<quote>{_Q})(?P<quoted>.*?)(?=(?<!\\)(?P=quote)|\Z)"
"""A value in quotation marks; where the text ends before it does, all of the rest."""

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_HEADER = re.compile(r"\b(Basic|Bearer)\s++(?:[A-Za-z0-9+/=._~-]{8,}|[A-Za-z0-9+/=._~-]+\Z)", re.IGNORECASE)
_NO_PORT = r"(?![0-9]{1,5}(?:[^A-Za-z0-9_@%+~-]|\Z)|\s)"
_USER_IN_URL = re.compile(
    rf"://(?:[^\s/:@\[\"'<>]{{0,64}}:{_NO_PORT}[^@\"'<>\r\n]{{1,128}}@(?:[^\s@\"'<>]{{0,128}}@)*|[^\s/\"'<>]*@)"
)
"""First what is no URL any more: a password with a slash or a blank in it."""
_CUT_URL = re.compile(rf"://(?:[^\s/:@\[\"'<>]{{0,64}}:{_NO_PORT}[^@\"'<>\r\n]{{1,128}}|[^\s/\"'<>]*)\Z")
"""Where a text was cut before it said whether a user or a host stands here."""
_SECRET_KEY = ("authorizationkey", "password", "passphrase")
"""How the name of a configuration key or variable ends whose value is secret."""
_NAMES_SECRET_KEY = re.compile("|".join(_SECRET_KEY), re.IGNORECASE)
_NOTHING = r"(?!(?:null|none|true|false)\b)"
_VALUE = re.compile(
    rf"(?P<before>\b(?:(?:attribute_?)?value|before|wanted){_Q}?\s*+[:=]\s*+b?)(?:{_QUOTED}|{_NOTHING}[^\s,;&\"'<>{{\[(\]}})]++)",
    re.IGNORECASE | re.DOTALL,
)
_MEMBER = re.compile(
    r"(?P<name>(?:password|passwd|passphrase|secret|authorization|credentials|private_?key|id_?tag|id_?token|token)\w{0,40})"
    rf"(?P<named>{_Q})?\s*+(?P<sign>[:=])(?P<blank>\s*+)(?:b?{_QUOTED}|{_NOTHING}(?P<bare>[^\s&\"'<>{{\[(]))",
    re.IGNORECASE | re.DOTALL,
)
_BARE_SECRET = re.compile(r"[^\s&\"'<>]*+")
_BARE_TOKEN = re.compile(r"[^\s&\"'<>,;()\[\]{}]*+")
_DIGIT = re.compile(r"[0-9]")


def told(name: str, value: object) -> Told:
    """A named value as the log may have it."""
    folded = name.replace("_", "").casefold()
    if value is not None and any(word in folded for word in _SECRETS):
        return HIDDEN
    if folded in _TOKENS and isinstance(value, str):
        return plain(masked(value))
    match value:
        case bool() | int() | float() | None:
            return value
        case str():
            return plain(redacted(value, LONGEST + MARGIN))
        case bytes() | bytearray():
            return f"[{len(value)} bytes]"
        case Mapping():
            members = {str(key): member for key, member in value.items()}
            return {
                plain(redacted(key, LONGEST + MARGIN)): told(key, member)
                for key, member in without_secret_values(members).items()
            }
        case Sequence() | AbstractSet():
            return [told(name, item) for item in value]
        case _:
            return plain(redacted(str(value), LONGEST + MARGIN))


def without_secret_values(members: Mapping[str, object]) -> dict[str, object]:
    """Of a configuration key that is secret, whatever else is told of it."""
    key = members.get("key")
    if not isinstance(key, str) or not key.casefold().endswith(_SECRET_KEY):
        return dict(members)
    about = ("value", "before", "wanted")
    return {name: HIDDEN if name in about and value is not None else value for name, value in members.items()}


def masked(token: str) -> str:
    """A token of a driver: enough to find a person's sessions, not enough to charge in his name."""
    return f"…{token[-KEPT:]}" if len(token) > KEPT else "…"


def redacted(text: str, longest: int = LOOKED_AT) -> str:
    """A text without the secrets and tokens that can be recognised in it.

    What is longer is cut first. A secret that the cut goes through vanishes too, and one whose name stands behind
    the cut still does.
    """
    names_secret_key = _NAMES_SECRET_KEY.search(text, 0, LOOKED_AT) is not None
    is_cut = len(text) > longest
    text = text[:longest]
    text = _PRIVATE_KEY.sub("[private key]", text)
    text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    text = _USER_IN_URL.sub(f"://{HIDDEN}@", text)
    if is_cut:
        text = _CUT_URL.sub(f"://{HIDDEN}", text)
    if names_secret_key:
        text = _VALUE.sub(_value, text)
    text = _without_members(text)
    return f"{text}…" if is_cut else text


def _value(found: re.Match[str]) -> str:
    return f"{found['before']}{found['quote'] or ''}{HIDDEN}"


def _without_members(text: str) -> str:
    """By the names before a sign: `"idTag":"…"`, `password=…`."""
    parts, at = [], 0
    while (found := _MEMBER.search(text, at)) is not None:
        name = found["name"].casefold().replace("_", "")
        is_secret = any(word in name for word in _SECRETS)
        if found["quote"] is not None:
            parts += [text[at : found.start("quoted")], HIDDEN if is_secret else masked(found["quoted"])]
            at = found.end()
            continue
        begin = found.start("bare")
        parts.append(text[at:begin])
        at = begin
        if _is_bare_value(found, name, is_secret=is_secret):
            value = (_BARE_SECRET if is_secret else _BARE_TOKEN).match(text, begin)
            assert value is not None  # it may be empty
            if is_secret or not text.startswith("(", value.end()):  # the name of a class: `id_token=IdToken(…)`
                parts.append(HIDDEN if is_secret else masked(value[0]))
                at = value.end()
    return "".join([*parts, text[at:]])


def _is_bare_value(found: re.Match[str], name: str, *, is_secret: bool) -> bool:
    """Without quotation marks it may be a sentence: "password_file: no such file", "idTag: expected at most …"."""
    if name.endswith("file"):
        return False
    if found["named"] is not None or (found["sign"] == "=" and (is_secret or not found["blank"])):
        return True
    begin = found.start("bare")
    word = _BARE_TOKEN.match(found.string, begin, begin + LONGEST_WORD)
    assert word is not None  # it may be empty
    return _DIGIT.search(word[0]) is not None and (is_secret or len(word[0]) >= SHORTEST_BARE_TOKEN)


def plain(text: str, longest: int = LONGEST) -> str:
    """On one line, without what could steer a terminal, and not longer than it helps."""
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def traceback(text: str) -> str:
    """The lines of a traceback, each of them plain."""
    return "\n".join(plain(line, LONGEST_TRACEBACK) for line in redacted(text, LONGEST_TRACEBACK).split("\n"))
