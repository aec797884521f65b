"""What a charger and a cloud say to the running daemon (`tests/hostile/site.py`): stored or refused, and answered once."""

import json
import re
from collections.abc import Iterable, Iterator
from random import Random

from edge.ocppj.actions import Sender
from tests.hostile.fuzzing import Tally
from tests.hostile.material import made_answers, made_calls, recorded_texts, words
from tests.hostile.mutation import Grammar
from tests.hostile.peers import ASKED, UNIQUE
from tests.hostile.site import live

OF_CHARGER = (
    "GetConfiguration", "ChangeConfiguration", "RemoteStartTransaction", "RemoteStopTransaction", "UnlockConnector",
    "ChangeAvailability", "TriggerMessage", "Reset", "ClearCache",
)  # fmt: skip
"""CALLs that a charger answers."""
OF_CLOUD = (
    "BootNotification", "Heartbeat", "StartTransaction", "StopTransaction", "MeterValues", "StatusNotification", "Authorize",
)  # fmt: skip
RESETS = '"Reset"'
"""Ends the daemon's life, in good order: not what is looked for here."""


class Messages:
    batch = 1_500
    is_fresh_each_time = False

    def __init__(self, name: str, *, of_cloud: float) -> None:
        """`of_cloud`: the part of the texts that the cloud says."""
        self.name = name
        self._of_cloud = of_cloud
        self._made: tuple[dict[bytes, Grammar], dict[bytes, dict[str, Grammar]]] | None = None

    def inputs(self, chance: Random) -> Iterator[bytes]:
        if self._made is None:
            self._made = _calls(), _answers()
        calls, answers = self._made
        while True:
            side = b"<" if chance.random() < self._of_cloud else b">"
            if chance.random() < 0.75:
                text = calls[side].text(chance)
                if RESETS in text:
                    continue
            else:
                action = chance.choice(list(answers[side]))
                text = answers[side][action].text(chance)
                text = f"{action} {text}" if chance.random() < 0.9 else text
            yield side + text.encode("utf-8", "surrogatepass")

    def feed(self, inputs: Iterable[bytes], tally: Tally) -> None:
        live(inputs, tally)


def _calls() -> dict[bytes, Grammar]:
    """Chargers mostly speak of transactions."""
    up = [text for text in recorded_texts("up") if text.startswith("[2")]
    made = [*made_calls(Sender.STATION), *up]
    billing = [text for text in made if any(name in text for name in ("tTransaction", "pTransaction", "MeterValues"))]
    down = [text for text in recorded_texts("down") if text.startswith("[2")]
    return {
        b">": Grammar(with_own_ids([*made, *billing * 2]), words()),
        b"<": Grammar(with_own_ids([*made_calls(Sender.CSMS), *down]), words()),
    }


def with_own_ids(texts: list[str]) -> list[str]:
    """So that it is known which answer is for which text."""
    return [re.sub(r'^(\[2, ?)"[^"]*"', rf'\1"{UNIQUE}"', text) for text in texts]


def _answers() -> dict[bytes, dict[str, Grammar]]:
    def grammars(actions: Iterable[str]) -> dict[str, Grammar]:
        return {
            action: Grammar(
                [
                    *(json.dumps([3, ASKED, json.loads(payload)]) for payload in made_answers()[action]),
                    f'[4,"{ASKED}","GenericError","no",{{}}]',
                    f'[4,"{ASKED}","SecurityError","",{{}}]',
                    f'[3,"{ASKED}",{{}}]',
                ],
                words(),
            )
            for action in actions
        }

    return {b">": grammars(OF_CHARGER), b"<": grammars(OF_CLOUD)}


CHARGER = Messages("charger-messages", of_cloud=0.1)
CSMS = Messages("csms-messages", of_cloud=0.8)
