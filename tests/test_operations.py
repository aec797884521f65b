"""Orders to a charger that does not answer as it should, or not at all: over a real store, without waiting."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.console.actions import Actions
from edge.console.actions_keys import KeyActions
from edge.console.errors import CommandError, exit_code
from edge.domain.ids import ChargerId
from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused
from edge.operations import Operations
from edge.settings import Settings
from edge.store import connectors, exchange, report
from edge.store.db import CommitFailed
from edge.uplink.availability import Availability
from tests.store.givens import Disk, moment, running


class Chargers:
    """A `ChargerPort` to chargers that are there and fail as the test wants."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked: list[tuple[str, dict, int | None]] = []

    def is_online(self, _charger: ChargerId) -> bool:
        return True

    def away_for(self, _charger: ChargerId) -> float:
        return 0.0

    async def call(self, _charger, action, payload, *, within, urgency=None, transaction=None, cause=None):
        self.asked.append((action, payload, cause))
        if self.failure is not None:
            raise self.failure
        return {"status": "Accepted"}

    def presence(self, _charger):
        return SimpleNamespace(written={})


@pytest.fixture
def chargers() -> Chargers:
    return Chargers()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator:
    async with running(tmp_path / "edge.db") as store:

        def unit(db):
            no = connectors.enrol(db, ChargerId("CP-01"), connectors.KNOWN, "file")
            return connectors.count(db, no, 2)

        await store.write(unit)
        yield store


@pytest.fixture
def commands(store, chargers) -> dict:
    availability = Availability(store, chargers, SimpleNamespace(changed=lambda: None))
    actions = Actions(Operations(store, None, chargers, None, availability, moment))
    keys = KeyActions(Settings(store, chargers, None, None, moment))
    return {
        "reset": lambda: actions.reset({"charger": "CP-01"}),
        "unlock": lambda: actions.unlock({"charger": "CP-01", "evse": 1}),
        "trigger": lambda: actions.trigger({"charger": "CP-01", "message": "heartbeat"}),
        "availability": lambda: actions.availability({"charger": "CP-01", "evse": 2, "on": False}),
        "get": lambda: keys.get({"charger": "CP-01", "keys": []}),
        "set": lambda: keys.set({"charger": "CP-01", "key": "K", "value": "1"}),
    }


COMMANDS = ["reset", "unlock", "trigger", "availability", "get", "set"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (CallTimedOut("Reset: no answer within 20 s"), 5),
        (PeerRefused("InternalError", "no idea"), 1),
        (ChargerOffline("the connection ended before the answer came"), 1),
    ],
)
async def test_a_failure_has_its_exit_code_a_sentence_and_what_to_do(commands, chargers, command, failure, code):
    chargers.failure = failure
    if command == "availability" and isinstance(failure, ChargerOffline):
        assert (await commands[command]())["status"] == "Kept"  # it went away this moment
        return
    with pytest.raises(CommandError) as told:
        await commands[command]()
    assert exit_code(told.value.code) == code
    assert told.value.message.endswith(".") and told.value.hint


@pytest.mark.parametrize("failure", [CallTimedOut("no answer"), ChargerOffline("gone")])
async def test_the_wish_of_a_charger_that_did_not_answer_is_kept(commands, chargers, store, failure):
    chargers.failure = failure
    try:
        await commands["availability"]()
    except CommandError as error:
        assert error.code == "timed_out" and "kept" in error.hint
    no = (await store.write(lambda db: connectors.charger(db, ChargerId("CP-01")))).no
    assert [one.wish for one in await store.write(lambda db: connectors.connectors_of(db, no))] == [None, "Inoperative"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_the_order_is_stored_before_the_charger_is_asked(commands, chargers, store, command):
    chargers.failure = CallTimedOut("no answer")
    with pytest.raises(CommandError):
        await commands[command]()
    ((_, _, cause),) = chargers.asked
    row = await store.write(lambda db: exchange.load(db, cause))
    assert row.kind is exchange.Kind.DECISION
    assert f'"operator":"{command}"' in row.text
    rows = await store.read(lambda db: report.rows_of_charger(db, "CP-01", 10))
    assert [one.seq for one in rows] == [cause]


@pytest.mark.parametrize(("command", "commits_before"), [("reset", 2), ("unlock", 1), ("trigger", 1)])
async def test_a_dead_disk_does_not_keep_a_person_from_his_charger(tmp_path, chargers, command, commits_before):
    disk = Disk()
    async with running(tmp_path / "edge.db", disk.open_database) as store:
        await store.write(lambda db: connectors.count(db, connectors.enrol(db, ChargerId("CP-01"), "known", "file"), 1))
        fails_at = disk.attempts + commits_before + 1

        def fail_the_order() -> None:
            disk.failures = int(disk.attempts == fails_at)

        disk.before_commit = fail_the_order
        actions = Actions(Operations(store, None, chargers, None, None, moment))
        args = {"charger": "CP-01", "message": "heartbeat", "evse": None if command == "reset" else 1}
        with contextlib.suppress(CommandError):  # "Accepted" is no answer to an unlock
            await getattr(actions, command)(args)
    assert [cause for _, _, cause in chargers.asked] == [None]
    assert store.failed_commits == 1


async def test_what_cannot_be_stored_is_told_as_such(chargers):
    class Dead:
        async def write(self, _unit):
            raise CommitFailed("nothing of this was stored: database or disk is full")

    actions = Actions(Operations(Dead(), None, chargers, None, None, moment))
    with pytest.raises(CommandError, match="could not be stored") as told:
        await actions.reset({"charger": "CP-01"})
    assert exit_code(told.value.code) == 1
