"""What fails a rollout's service costs a turn of one charger or of one rollout, never the service."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from edge.config import Config, FirmwareBridge
from edge.config import Site as SiteSettings
from edge.domain.ids import ChargerId
from edge.domain.ports import ChargerOffline, PeerRefused
from edge.domain.rollouts import PATIENCE_MS, Progress, Step, parsed_window
from edge.jobs import rollouts as jobs
from edge.store import connectors, fleet, rollouts
from tests.firmware.hindered import (
    ALL_AT_ONCE,
    COMING,
    DONE,
    ONE_BY_ONE,
    STORED,
    TICKET,
    VANISHES,
    Chargers,
    Link,
    Scripted,
    SetClock,
    Watched,
    Yard,
    no,
)
from tests.store.givens import StoredSite, moment, running


@pytest.fixture
async def watched(folder):
    async with running(folder / "edge.db") as store:
        await store.write(
            lambda db: db.execute("INSERT INTO boot (started_wall_ms, started_mono_ms, trust) VALUES (0, 0, 'host')")
        )
        yield Watched(store)


@pytest.fixture
async def yard(folder, watched, monkeypatch):
    monkeypatch.setattr(jobs, "EVERY", 0.1)
    bridge = Scripted({"fetch": STORED, "fetched": STORED, "serve": TICKET, "served": TICKET})
    config = Config(
        site=SiteSettings(id="s", name="S", timezone="Europe/Berlin"),
        listeners=(),
        firmware_bridge=FirmwareBridge(socket=folder / "b.sock"),
    )
    chargers, clock = Chargers(), SetClock()
    service = jobs.Rollouts(watched, chargers, lambda _: Link(), lambda: config, clock, lambda: None)
    async with bridge.listening(folder / "b.sock"), asyncio.TaskGroup() as tasks:
        life = tasks.create_task(service.run())
        yield Yard(watched.store, clock, bridge, chargers, service)
        assert not life.done(), "the service ended"
        life.cancel()


async def test_a_bridge_that_vanishes_while_a_ticket_is_taken_back_holds_up_nobody(yard):
    async def abort_first(_):
        await yard.store.write(lambda db: rollouts.abort(db, 1, 0))
        return TICKET

    yard.bridge.answers |= {"serve": abort_first, "withdraw": VANISHES}
    await yard.begin("CP-01", "CP-02")
    assert (await yard.ended()).state == "aborted"
    assert "withdraw" in yard.bridge.asked and yard.chargers.asked == []
    yard.bridge.answers |= {"serve": TICKET, "withdraw": DONE}
    second = await yard.begin("CP-03")
    await yard.reaches("asked", name=second)


async def test_a_session_that_begins_before_it_is_asked_comes_first(yard):
    async def a_car_comes(_):
        def begin(db):
            charger = connectors.charger(db, ChargerId("CP-01"))
            StoredSite(db).begin(charger.no, connectors.connectors_of(db, charger.no)[0].no)

        yard.bridge.answers["serve"] = TICKET
        await yard.store.write(begin)
        return TICKET

    yard.bridge.answers |= {"serve": a_car_comes, "withdraw": VANISHES}
    await yard.begin("CP-01", "CP-02")
    await yard.reaches("waiting", "asked")
    assert yard.chargers.asked == ["CP-02"]


async def test_a_connector_that_says_that_it_charges_is_not_idle(yard):
    """Also where nothing is known of a session: the charger may have kept its start to itself."""

    def says(db, status):
        (outlet,) = connectors.connectors_of(db, connectors.chargers(db)[0].no)
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status}
        connectors.set_status(db, outlet.no, json.dumps(payload), 0)

    yard.bridge.answers |= {"fetch": COMING, "fetched": COMING}
    await yard.begin("CP-01", "CP-02")
    await yard.store.write(lambda db: says(db, "SuspendedEV"))
    yard.bridge.answers |= {"fetch": STORED, "fetched": STORED}
    await yard.reaches("waiting", "asked")
    assert yard.chargers.asked == ["CP-02"]
    await yard.store.write(lambda db: says(db, "Finishing"))
    await yard.reaches("asked", "asked")


async def test_a_commit_that_fails_for_one_charger_costs_that_one_a_turn(yard, watched):
    failures = ["CP-01"]

    def fails(unit):
        return "_order" in getattr(unit, "__qualname__", "") and bool(failures and failures.pop())

    watched.fails = fails
    await yard.begin("CP-01", "CP-02")
    await yard.reaches("asked", "asked")
    assert sorted(yard.chargers.asked) == ["CP-01", "CP-02"]
    assert yard.bridge.asked.count("withdraw") == 1


async def test_while_nothing_can_be_stored_nobody_is_asked_and_then_it_goes_on(yard, watched):
    watched.fails = lambda _: True
    await yard.begin("CP-01")
    await asyncio.sleep(0.3)  # some turns
    assert yard.chargers.asked == []
    watched.fails = lambda _: False
    yard.service.wake()
    await yard.reaches("asked")


async def test_who_goes_away_before_it_is_asked_is_asked_later(yard, monkeypatch):
    both = TICKET["done"] | {"locations": {"http": "http://h/a", "ftp": "ftp://h/a"}}
    yard.bridge.answers["serve"] = {"done": both}
    there, calls = [False], yard.chargers.call

    async def call(charger, action, payload, **others):
        if not there[0]:
            raise ChargerOffline("gone")
        return await calls(charger, action, payload, **others)

    monkeypatch.setattr(yard.chargers, "call", call)
    await yard.begin("CP-01")
    await yard.hears("withdraw")
    assert [one.requests for one in await yard.progress()] == [0]
    there[0] = True
    await yard.reaches("asked")


async def test_a_refusal_is_a_failure(yard):
    yard.chargers.answers = {"CP-01": PeerRefused("NotSupported", "")}
    await yard.begin("CP-01", "CP-02")
    await yard.reaches("failed", "asked")


async def test_who_refuses_and_does_it_nevertheless_is_at_it(yard, monkeypatch):
    async def call(charger, action, payload, **others):
        await yard.set("F1", Step.DOWNLOADING)
        raise PeerRefused("InternalError", "")

    monkeypatch.setattr(yard.chargers, "call", call)
    await yard.begin("CP-01")
    await yard.reaches("downloading")
    await asyncio.sleep(0.3)  # some turns
    assert await yard.steps() == ["downloading"]


async def test_a_bridge_that_has_lost_what_it_knew_and_will_not_fetch_it_again_ends_the_rollout(yard):
    yard.bridge.answers |= {"fetch": COMING, "fetched": no("unknown")}
    await yard.begin("CP-01")
    await yard.hears("fetch")
    yard.bridge.answers["fetch"] = no("refused")
    ended = await yard.ended()
    assert (ended.state, ended.why) == ("failed", "It says refused.")


@pytest.mark.parametrize("code", ["no_room", "failed", "unreachable"])
async def test_what_may_pass_is_waited_for(yard, code):
    yard.bridge.answers["fetch"] = no(code)
    await yard.begin("CP-01")
    await yard.waits(f"It says {code}.")
    yard.bridge.answers["fetch"] = STORED
    await yard.reaches("asked")
    assert (await yard.now()).why is None


async def test_what_it_waited_for_is_not_told_when_that_is_over(yard):
    yard.bridge.answers["serve"] = no("no_room")
    await yard.begin("CP-01")
    await yard.waits("no_room")
    yard.bridge.answers["serve"] = TICKET
    await yard.reaches("asked")
    await yard.waits_for_nothing()


async def test_an_abort_in_the_midst_of_a_question_for_the_file_holds(yard):
    async def abort_first(_):
        await yard.store.write(lambda db: rollouts.abort(db, 1, 0))
        return STORED

    yard.bridge.answers["fetch"] = abort_first
    await yard.begin("CP-01")
    ended = await yard.ended()
    assert (ended.state, await yard.steps()) == ("aborted", ["skipped"])


async def test_who_is_at_it_is_waited_for_when_the_file_is_lost_for_good(yard):
    await yard.begin("CP-01", "CP-02", policy=ONE_BY_ONE)
    await yard.reaches("asked", "waiting")
    yard.bridge.answers |= {"serve": no("unknown"), "fetch": no("refused"), "fetched": no("unknown")}
    await yard.store.write(lambda db: rollouts.forget_file(db, 1))
    yard.service.wake()
    await yard.waits("refused")
    assert (await yard.now()).ended_wall_ms is None
    await yard.set("F1", Step.INSTALLED)
    assert (await yard.ended()).state == "failed"


async def test_an_answer_that_is_none_of_ours_costs_one_rollout_its_turn(yard):
    async def nonsense(request):
        return {"done": {"what": 1}} if request["url"].endswith("a.bin") else STORED

    yard.bridge.answers["fetch"] = nonsense
    await yard.begin("CP-01")
    await yard.hears("fetch", 3)
    yard.bridge.answers["fetch"] = STORED
    await yard.reaches("asked")


async def test_who_is_not_served_here_any_more_is_not_waited_for(yard):
    await yard.begin("CP-01", "CP-02", policy=ONE_BY_ONE)
    await yard.reaches("asked", "waiting")

    def retire(db):
        fleet.retire(db, connectors.charger(db, ChargerId("CP-02")).no)

    await yard.store.write(retire)
    await yard.store.write(
        lambda db: rollouts.set_progress(db, 1, rollouts.parts(db, 1)[0].charger_no, Progress(Step.INSTALLED, 0, 1))
    )
    yard.service.wake()
    assert (await yard.ended()).state == "done"
    assert await yard.steps() == ["installed", "skipped"]


async def test_a_ticket_is_taken_back_before_the_next_one_is_given(yard):
    await yard.begin("CP-01")
    await yard.reaches("asked")
    await yard.set("F1", Step.WAITING)
    await yard.hears("serve", 2)
    assert [one for one in yard.bridge.asked if one in {"serve", "withdraw"}] == ["serve", "withdraw", "serve"]


async def test_nobody_is_asked_before_its_time_which_is_the_sites(yard):
    at_noon = moment().wall_ms
    await yard.begin("CP-01", policy=replace(ALL_AT_ONCE, window=parsed_window("12:00-13:00")))
    await yard.begin("CP-02", begins_ms=at_noon + 1)
    await yard.begin("CP-03", policy=replace(ALL_AT_ONCE, window=parsed_window("13:00-14:00")), begins_ms=at_noon)
    await yard.reaches("asked", name="F3")
    assert [await yard.steps(name) for name in ("F1", "F2")] == [["waiting"], ["waiting"]]
    assert yard.chargers.asked == ["CP-03"]


@pytest.mark.parametrize("ahead", [timedelta(days=2000), timedelta(days=-2000)], ids=str)
async def test_a_clock_that_is_set_makes_nobody_silent_and_silence_counts_from_then(yard, ahead):
    await yard.begin("CP-01")
    await yard.reaches("asked")
    yard.clock.ahead = ahead
    second = await yard.begin("CP-02")
    await yard.reaches("asked", name=second)
    assert await yard.steps() == ["asked"]
    yard.clock.seconds = PATIENCE_MS[Step.ASKED] / 1000
    yard.service.wake()
    await yard.reaches("failed")
