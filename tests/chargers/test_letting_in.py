"""A decision about one connection must not let another one in, however close together they come."""

import asyncio
from datetime import UTC, datetime

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from edge.chargers.roster import Enrolment, Roster
from edge.chargers.server import ChargerServer
from edge.config import Config, Listener, Site
from edge.domain.ids import ChargerId, ChargerNo
from edge.fleet import Fleet
from edge.ocppj.handshake import hash_password
from edge.store import boots
from tests.scenarios import site as scenario
from tests.store.givens import moment, running

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
CHARGER = ChargerId("CP-9")


class StandingClock:
    def utc_now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 100.0


class CountingIds:
    def number(self, low: int, high: int) -> int:
        return low + 7


class Knocking:
    """A connection that waits to be adopted."""

    charger = CHARGER
    charger_no = None

    def __init__(self, port: int, password: bytes | None) -> None:
        self.address = f"10.0.0.7:{port}"
        self.knocked_with = password
        self.is_pending = True
        self.closed_with: int | None = None
        self.ended = asyncio.Event()

    def adopt(self, charger_no: object) -> None:
        self.is_pending = False

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = code
        self.ended.set()


class Meanwhile:
    """A store in which something happens while the second unit is being written: the one that adopts."""

    def __init__(self, store, happens) -> None:
        self._store, self._happens, self._units = store, happens, 0

    async def write(self, unit):
        result = await self._store.write(unit)
        self._units += 1
        if self._units == 2:
            await self._happens()
        return result


@pytest.fixture
async def roster() -> Roster:
    return Roster(StandingClock(), lambda _no: None)


def fleet(store, roster: Roster, *profiles: int) -> Fleet:
    config = Config(
        site=Site(id="depot"), listeners=tuple(Listener("127.0.0.1", 0, "/ocpp", each) for each in profiles)
    )
    return Fleet(lambda: config, store, CountingIds(), roster, moment, lambda: None, lambda _moved: None, None)


@pytest.mark.parametrize("password", [b"password-of-sixteen", None])
async def test_only_the_connection_that_was_there_when_it_was_decided_is_adopted(tmp_path, roster, password):
    looked_at, other = Knocking(1, password), Knocking(2, password)
    await roster.attach(looked_at)

    async def another_comes():
        await roster.attach(other)

    async with running(tmp_path / "edge.db") as store:
        await store.write(lambda db: boots.begin(db, NOW, 1, "ntp"))
        done = await fleet(Meanwhile(store, another_comes), roster, 0).adopt(CHARGER, None)
    assert not done.is_online
    assert (looked_at.closed_with, other.closed_with, other.is_pending) == (1000, 1012, True)


@pytest.mark.parametrize(("profiles", "is_served"), [((0,), True), ((0, 1), False)])
async def test_without_any_password_it_is_served_at_once_only_where_no_listener_asks_for_one(
    tmp_path, roster, profiles, is_served
):
    knocking = Knocking(1, None)
    await roster.attach(knocking)
    async with running(tmp_path / "edge.db") as store:
        await store.write(lambda db: boots.begin(db, NOW, 1, "ntp"))
        done = await fleet(store, roster, *profiles).adopt(CHARGER, None)
    assert (done.is_online, knocking.closed_with) == ((True, None) if is_served else (False, 1012))


async def test_nothing_is_remembered_of_strangers_who_have_gone(roster):
    first, second = Knocking(1, b"one"), Knocking(2, b"two")
    await roster.attach(first)
    await roster.attach(second)
    assert (second.closed_with, roster.link(CHARGER)) == (1008, first)
    assert roster.rival(CHARGER) is not None
    roster.detach(first)
    roster.detach(second)
    assert roster._presence == {}


async def test_who_is_adopted_during_another_handshake_under_its_name_has_to_show_its_password_there(monkeypatch):
    select = ChargerServer._select

    def adopted_meanwhile(server, connection, offered):
        secrets = (hash_password(b"a secret of one of them", b"salt"),)
        server._roster.enrol(CHARGER, Enrolment(ChargerNo(1), secrets))
        return select(server, connection, offered)

    monkeypatch.setattr(ChargerServer, "_select", adopted_meanwhile)
    with scenario.short_folder() as folder:
        async with (
            scenario.Site(scenario.configuration(folder)).running() as site,
            connect(f"{site.url}/{CHARGER}", subprotocols=["ocpp1.6"]) as stranger,
        ):
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(5):
                    await stranger.recv()
            assert closed.value.rcvd.code == 1012
