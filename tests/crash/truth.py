"""What was promised, and what the cloud has to have: the chargers' own records against the journal and the cloud.

A *promise* is an answer that went to a charger: to a start, a stop, or meter values of a session. A session is known
in the cloud by its start, which no other session of a yard equals.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.charger import Charger
from simulators.station import Rule
from simulators.wire import Direction, MessageType

if TYPE_CHECKING:
    from simulators.csms import Csms
    from simulators.ledger import Transaction

    from tests.crash.yard import Yard

OURS = "stop of ours"
PROMISED = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})


@dataclass(frozen=True, slots=True)
class Said:
    """A charger's CALL."""

    charger: str
    message_id: str
    action: str
    text: str

    @property
    def content(self) -> tuple[str, str, str]:
        """Equal for a repetition under another message id."""
        return self.charger, self.action, json.dumps(json.loads(self.text)[3], sort_keys=True)


def said(chargers: Iterable[Charger]) -> dict[str, Said]:
    """What may become a promise, by its message id."""
    return {
        frame.message_id: Said(charger.identity, frame.message_id, frame.message[2], frame.text)
        for charger in chargers
        for frame in charger.frames
        if frame.direction is Direction.OUT and frame.type == MessageType.CALL and frame.message[2] in PROMISED
    }


def answers(chargers: Iterable[Charger]) -> dict[str, dict[str, Any]]:
    """What chargers have got: the payloads of CALLRESULTs, by message id."""
    return {
        frame.message_id: frame.message[2]
        for charger in chargers
        for frame in charger.frames
        if frame.direction is Direction.IN and frame.type == MessageType.CALLRESULT
    }


# --- the cloud

Messages = list[tuple[str, dict[str, Any]]]


def is_complete(yard: Yard) -> bool:
    """Whether the cloud has, and has answered, all that was said so far."""
    if not yard.thins:  # a quick look first: this is asked at each frame
        wanted = sum(_entries(one.payload) for charger in yard.chargers.values() for one in charger.sent)
        answered = (call for call in yard.csms.received if call.is_answered and call.action in PROMISED)
        if sum(_entries(call.payload) for call in answered) < wanted:
            return False
    return not any(wrong for wrong in _sessions_wrong(yard))


def wrong(yard: Yard) -> list[str]:
    """What the cloud lacks, has in different words, in a false order, or from nobody; and who complains of what."""
    csms, chargers = yard.csms, list(yard.chargers.values())
    found = list(_sessions_wrong(yard))
    old = [_plain(json.loads(one.text)[3]) for one in yard.older.said.values()]
    found += [
        f"the cloud complains: {one.rule} {one.message}"
        for one in csms.violations
        if one.rule is not Rule.SCHEMA or _plain(json.loads(one.text)[3]) not in old  # a charger may have said it so
    ]
    found += [f"of no transaction: {one.line()}" for one in csms.orphans]
    found += [f"{charger.identity} complains: {one}" for charger in chargers for one in charger.violations]
    found += [f"{charger.identity} was refused: {one}" for charger in chargers for one in charger.refusals]
    given = Counter(
        one.answer["transactionId"]
        for charger in chargers
        for one in charger.sent
        if one.action == "StartTransaction" and one.answer
    )
    found += [f"transaction id {number} was given {times} times" for number, times in given.items() if times > 1]
    starts = [_plain(messages[0][1]) for _, messages in _expected(yard)]
    found += [
        f"nobody started this: {call.line()}"
        for call in csms.calls("StartTransaction")
        if _plain(call.payload) not in starts
    ]
    return found


def _expected(yard: Yard) -> Iterator[tuple[int | None, Messages]]:
    """Of each session: its id in the cloud, if it had one before, and what was said of it, in order."""
    for session in yard.older.sessions:
        yield session.csms_tx, list(session.messages)
    for charger in yard.chargers.values():
        by_session: dict[int, Messages] = {}
        sessions = {id(sent.session): sent.session for sent in charger.sent if sent.session is not None}
        for sent in charger.sent:
            if sent.session is not None:
                by_session.setdefault(id(sent.session), []).append((sent.action, sent.payload))
        for key, messages in by_session.items():
            if sessions[key].is_stop_lost:
                messages.append(("StopTransaction", {OURS: sessions[key].meter_stop}))
        yield from ((None, messages) for messages in by_session.values())


def _sessions_wrong(yard: Yard) -> Iterator[str]:
    for csms_tx, messages in _expected(yard):
        complaint = _session_wrong(yard, csms_tx, messages)
        if complaint is not None:
            yield complaint


def _session_wrong(yard: Yard, csms_tx: int | None, messages: Messages) -> str | None:
    csms = yard.csms
    transaction = csms.transactions.get(csms_tx) if csms_tx is not None else _started(csms, messages[0][1])
    if transaction is None:
        return f"the cloud knows nothing of {messages[0]}"
    got = [call for call in transaction.messages if call.is_answered]
    expected = [one for action, payload in messages for one in _one_by_one(action, payload)]
    found: Messages = []
    for one in (one for call in got for one in _one_by_one(call.action, call.payload)):
        if one not in found:  # what comes twice comes in equal words
            found.append(one)
    if expected[-1][1].keys() == {OURS}:
        # Its time and its reason are the controller's business; the register is the session's last.
        found = [
            (action, {OURS: one.get("meterStop")}) if action == "StopTransaction" else (action, one)
            for action, one in found
        ]
    if yard.thins:
        expected = [one for one in expected if one[0] != "MeterValues" or one in found]
    if expected != found:
        return f"transaction {transaction.id}: the cloud has {found}, said was {expected}"
    if len({call.payload["connectorId"] for call in got if "connectorId" in call.payload}) > 1:
        return f"transaction {transaction.id}: on several connectors"
    return None


def _entries(payload: dict[str, Any]) -> int:
    """Of meter values that share a message: upstream several may."""
    return len(payload.get("meterValue", [None]))


def _one_by_one(action: str, payload: dict[str, Any]) -> Messages:
    """A message as several with one entry of meter values each."""
    plain = _plain(payload)
    if action != "MeterValues":
        return [(action, plain)]
    return [(action, {**plain, "meterValue": [entry]}) for entry in plain["meterValue"]]


def _started(csms: Csms, start: dict[str, Any]) -> Transaction | None:
    equal = (call for call in csms.calls("StartTransaction") if _plain(call.payload) == _plain(start))
    return next((call.transaction for call in equal if call.transaction is not None), None)


def _plain(payload: dict[str, Any]) -> dict[str, Any]:
    """Without the numbers that are different upstream."""
    return {key: value for key, value in payload.items() if key not in {"connectorId", "transactionId"}}
