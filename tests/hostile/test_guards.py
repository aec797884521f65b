"""Each guard is switched off once, and what it guards against happens: so the tests beside this one see it, too."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.chargers import intake, server, threshold
from edge.console import server as console
from edge.ocppj import frames, handshake, repair, schemas
from edge.site import modbus, rtu
from edge.store import repeats
from tests.hostile import attackers, variants
from tests.hostile.fuzzing import Target, fuzz
from tests.hostile.plan import TARGETS
from tests.hostile.test_under_attack import MOST_GROWTH_KB, MOST_LOG_KB
from tests.hostile.under_attack import Attacked, attacked
from tests.scenarios.site import short_folder

HERE = Path(__file__).parent
INPUTS = 12_000
"""Enough for each of these to be found."""


# --- in small: a reader without one of its checks, under mutated input


def no_limit_of_depth(monkeypatch):
    for module in (frames, repair):
        monkeypatch.setattr(module, "exceeds_depth", lambda *_: False)


def any_json_is_held(monkeypatch):
    """NaN, numbers of any length, keys that stand twice: as Python reads it."""
    monkeypatch.setattr(frames, "_DECODER", json.JSONDecoder())


def any_character_is_held(monkeypatch):
    monkeypatch.setattr(frames, "_check_characters", lambda _value: None)


def peers_words_are_repeated(monkeypatch):
    monkeypatch.setattr(schemas, "_shown", str)


def no_checksum(monkeypatch):
    monkeypatch.setattr(rtu, "_whole", lambda *_: None)


def no_transaction_id(monkeypatch):
    """What answers is the answer, to whatever question."""
    ask = modbus.TcpLine._ask

    async def believing(self, *words):
        answer = await ask(self, *words)
        self._transaction_id = answer.transaction_id
        return answer

    monkeypatch.setattr(modbus.TcpLine, "_ask", believing)


def more_than_the_answer(monkeypatch):
    """What stands behind the words does not matter."""
    ask = modbus.TcpLine._ask

    async def believing(self, question, *words):
        answer = await ask(self, question, *words)
        self._packet = bytes(9 + 2 * question.count)
        return answer

    monkeypatch.setattr(modbus.TcpLine, "_ask", believing)


def any_password(monkeypatch):
    monkeypatch.setattr(handshake, "password_matches", lambda *_: True)


def any_identity(monkeypatch):
    monkeypatch.setattr(handshake, "MAX_IDENTITY", 10_000)


def two_passwords_at_once(monkeypatch):
    """Which one counts is for the library to say, and it says so with an exception."""
    first = "Authorization"
    monkeypatch.setattr(server, "_credentials", lambda request: handshake.basic_credentials(request.headers.get(first)))


def answered_and_not_stored(monkeypatch):
    """Values are taken for a repetition."""
    monkeypatch.setattr(repeats, "remember", lambda *_: False)


def refused_with_a_traceback(monkeypatch):
    """What a tolerance cannot read is a defect."""
    monkeypatch.setattr(intake, "refusal", lambda violations: 1 // (len(violations) - len(violations)))


def requests_hold_anything(monkeypatch):
    monkeypatch.setattr(console, "_DECODER", json.JSONDecoder())
    monkeypatch.setattr(console, "encode_json", lambda _request: "")


SMALL: list[tuple[Callable, str]] = [
    (no_limit_of_depth, "frames"),
    (any_json_is_held, "frames"),
    (any_character_is_held, "csms-frames"),
    (peers_words_are_repeated, "frames"),
    (no_checksum, "modbus-rtu"),
    (no_checksum, "modbus-gateway"),
    (no_transaction_id, "modbus-tcp"),
    (more_than_the_answer, "modbus-tcp"),
    (any_password, "handshakes"),
    (any_identity, "handshakes"),
    (two_passwords_at_once, "doors"),
    (answered_and_not_stored, "charger-messages"),
    (refused_with_a_traceback, "charger-messages"),
    (requests_hold_anything, "console-requests"),
]


@pytest.mark.parametrize(("switch_off", "target"), SMALL, ids=lambda one: getattr(one, "__name__", one))
def test_mutated_input_finds_a_guard_that_is_off(switch_off, target, monkeypatch):
    switch_off(monkeypatch)
    monkeypatch.setattr("tests.hostile.fuzzing.REDUCED_BY_AT_MOST", 0)
    result = fuzz(TARGETS[target], 1, INPUTS, keep=False)
    assert result.figures.escaped == 1
    assert f"tools/fuzz {target} --seed 1 --batch" in str(result.findings[0])


def test_what_escapes_is_reduced_to_what_does_it(monkeypatch):
    """Of a whole batch, the few inputs of which one needs the other."""
    fragile = Fragile()
    result = fuzz(fragile, 1, 64, keep=False)
    assert [list(finding.inputs) for finding in result.findings] == [[b"7", b"40"]]


class Fragile(Target):
    """Does harm at 40, when there was a 7 before."""

    name, batch, is_fresh_each_time = "fragile", 64, False

    def inputs(self, _chance):
        return (str(number).encode() for number in range(10**6))

    def feed(self, inputs, tally):
        seen = set()
        for data in inputs:
            tally.begin(data)
            seen.add(data)
            assert not {b"7", b"40"} <= seen
            tally.end(accepted=True)


# --- the real daemon, under attack


async def beyond(site: Attacked, is_beyond: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not is_beyond():
            await asyncio.sleep(0.05)
    assert site.daemon.pid


async def holds_too_much(site: Attacked, resident: int) -> None:
    await beyond(site, lambda: site.peak_kb() - resident > MOST_GROWTH_KB)


async def logs_too_much(site: Attacked, _resident: int) -> None:
    await beyond(site, lambda: site.log_kb() > MOST_LOG_KB)


async def opens_too_much(site: Attacked, _resident: int) -> None:
    await beyond(site, lambda: site.fds() > threshold.ALTOGETHER + 40)


GREAT = [
    (variants.pings_without_end, [attackers.ping_floods], holds_too_much),
    (variants.requests_of_any_length, [attackers.header_bombs], holds_too_much),
    (variants.any_number_of_unanswered_texts, [attackers.big_messages], holds_too_much),
    (variants.texts_of_any_length, [attackers.huge_frames], holds_too_much),
    (variants.every_refusal_is_told, [attackers.deaf_clients], logs_too_much),
    (variants.any_number_of_strangers, [attackers.silent_connections], opens_too_much),
]


@pytest.mark.parametrize(("switch_off", "attack", "happens"), GREAT, ids=lambda one: getattr(one, "__name__", ""))
async def test_an_attack_succeeds_when_its_guard_is_off(switch_off, attack, happens):
    with short_folder() as folder:
        variant = (str(HERE / "variants.py"), switch_off.__name__)
        async with attacked(folder, *variant, "run", "--config", str(folder / "edge.toml")) as site:
            resident = site.resident_kb()
            async with site.attack(*(one.__name__ for one in attack)):
                await happens(site, resident)


async def test_compression_that_is_not_switched_off_is_agreed():
    with short_folder() as folder:
        variant = (str(HERE / "variants.py"), "compression_is_agreed")
        async with attacked(folder, *variant, "run", "--config", str(folder / "edge.toml")) as site:
            async with site.attack("compression_bombs") as bombs:
                await site.daemon.told("charger_connected", len(site.good) + 1)
            assert bombs.counts["compression_bombs"]["compression_agreed"] > 0
