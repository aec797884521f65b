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
KEPT = 4
"""Characters of a token that stay."""
HIDDEN = "[redacted]"

_SECRETS = ("password", "passphrase", "secret", "authorization", "authorizationkey", "credentials", "privatekey")
_TOKENS = ("token", "idtoken", "idtag", "parentidtag", "groupidtoken", "tag")
_Q = r"\\*[\"']"
"""A quotation mark of JSON, of JSON inside JSON, or of a Python value."""

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_HEADER = re.compile(r"\b(Basic|Bearer)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)
_USER_IN_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/\"'<>]*@")
_SECRET_KEY = re.compile(r"AuthorizationKey|\w*Password|\w*Passphrase", re.IGNORECASE)
"""A configuration key or variable whose value is secret."""
_VALUE = re.compile(rf"({_Q}(?:attribute)?value{_Q}\s*[:=]\s*)({_Q})(?:(?!\2).)*", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(
    rf"\b(\w*(?:password|passphrase|secret|authorization|authorizationkey|id_?tag|id_?token|token)\w*{_Q}?\s*[:=]\s*b?)"
    rf"({_Q})((?:(?!\2).)*)",
    re.IGNORECASE | re.DOTALL,
)


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
            return plain(redacted(value))
        case bytes() | bytearray():
            return f"[{len(value)} bytes]"
        case Mapping():
            members = {str(key): member for key, member in value.items()}
            return {plain(redacted(key)): told(key, member) for key, member in without_secret_values(members).items()}
        case Sequence() | AbstractSet():
            return [told(name, item) for item in value]
        case _:
            return plain(redacted(str(value)))


def without_secret_values(members: Mapping[str, object]) -> dict[str, object]:
    """Of a configuration key that is secret, whatever else is told of it."""
    key = members.get("key")
    if not isinstance(key, str) or _SECRET_KEY.fullmatch(key) is None:
        return dict(members)
    about = ("value", "before", "wanted")
    return {name: HIDDEN if name in about and value is not None else value for name, value in members.items()}


def masked(token: str) -> str:
    """A token of a driver: enough to find a person's sessions, not enough to charge in his name."""
    return f"…{token[-KEPT:]}" if len(token) > KEPT else "…"


def redacted(text: str, longest: int = LOOKED_AT) -> str:
    """A text without the secrets and tokens that can be recognised in it."""
    text = text if len(text) <= longest else f"{text[:longest]}…"
    text = _PRIVATE_KEY.sub("[private key]", text)
    text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    text = _USER_IN_URL.sub(rf"\1{HIDDEN}@", text)
    if _SECRET_KEY.search(text):
        text = _VALUE.sub(rf"\1\2{HIDDEN}", text)
    return _MEMBER.sub(_member, text)


def _member(found: re.Match[str]) -> str:
    before, quote, value = found.groups()
    name = before.casefold().replace("_", "")
    is_secret = any(word in name for word in _SECRETS)
    return f"{before}{quote}{HIDDEN if is_secret else masked(value)}"


def plain(text: str, longest: int = LONGEST) -> str:
    """On one line, without what could steer a terminal, and not longer than it helps."""
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def traceback(text: str) -> str:
    """The lines of a traceback, each of them plain."""
    return "\n".join(plain(line, LONGEST_TRACEBACK) for line in redacted(text, LONGEST_TRACEBACK).split("\n"))
