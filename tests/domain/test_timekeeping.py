"""What a CSMS may do to our clock: put it right, and neither throw it away nor push it by and by."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.clock import SiteClock
from edge.domain.timekeeping import EARLIEST, Floor, Trust
from edge.store import boots, exchange
from edge.store.exchange import Kind, Moment, NewExchange
from tests.store.givens import opened

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SECOND, HOUR, DAY, YEAR = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1), timedelta(days=365)


class Machine:
    """Its wall clock begins where it was left."""

    def __init__(self, wall: datetime = NOW) -> None:
        self.wall, self.now = wall, 0.0

    def utc_now(self) -> datetime:
        return self.wall + timedelta(seconds=self.now)

    def monotonic(self) -> float:
        return self.now


class Booted:
    """A machine after its start, and what its CSMS says as time goes by."""

    def __init__(self, machine: Machine, clock: SiteClock) -> None:
        self.machine, self.clock = machine, clock

    def told(self, wall: datetime, *, times: int = 1, every: float = 0.0) -> None:
        """`wall`: as of now; it goes on from there."""
        for _ in range(times):
            begun = self.machine.now
            self.clock.told_by_csms(wall)
            self.machine.now = begun + every
            wall += timedelta(seconds=every)

    def shows(self, wall: datetime, give_or_take: timedelta = SECOND) -> bool:
        return abs(self.clock.utc_now() - wall) <= give_or_take


async def booted(floor: Floor, said: Trust = Trust.FLOOR, wall: datetime = datetime(2000, 1, 1, tzinfo=UTC)) -> Booted:
    async def vouches():
        return said

    machine = Machine(wall)
    clock = SiteClock(machine, vouches)
    await clock.begin(floor)
    return Booted(machine, clock)


@pytest.mark.parametrize("said", [NOW - HOUR, NOW, NOW + YEAR, NOW + 4 * YEAR])
async def test_the_first_word_of_a_csms_is_taken(said):
    boot = await booted(Floor(vouched=NOW))
    boot.told(said)
    assert boot.clock.trust is Trust.CSMS and boot.shows(said)


@pytest.mark.parametrize(
    "said", [NOW - 2 * DAY, NOW + 6 * YEAR, datetime(2099, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
)
async def test_a_time_that_cannot_be_is_never_taken_however_often_it_is_said(said):
    boot = await booted(Floor(vouched=NOW))
    for _ in range(50):
        boot.told(said)
        boot.machine.now += 60
    assert boot.clock.trust is Trust.FLOOR
    assert boot.shows(NOW + timedelta(seconds=3000))


async def test_later_words_move_us_only_by_what_a_crystal_goes_wrong():
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW)
    boot.told(NOW + 3 * SECOND)
    assert boot.shows(NOW + 3 * SECOND, SECOND / 10)
    boot.told(NOW + 30 * DAY)
    boot.told(NOW - HOUR)
    boot.told(NOW + 8000 * SECOND)
    assert boot.shows(NOW + 3 * SECOND, SECOND / 10)
    assert boot.clock.differs_from_csms_by() == pytest.approx(7997)


@pytest.mark.parametrize("step", [4, -4])
async def test_many_small_steps_lead_nowhere(step):
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW)
    for _ in range(3600):
        boot.machine.now += 1
        boot.clock.told_by_csms(boot.clock.utc_now() + timedelta(seconds=step))
    assert boot.shows(NOW + HOUR, 6 * SECOND)


async def test_after_a_month_without_it_the_csms_mends_our_drift_at_once():
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW)
    boot.machine.now = 30 * 86400.0
    boot.told(NOW + 30 * DAY + 200 * SECOND)
    assert boot.shows(NOW + 30 * DAY + 200 * SECOND)


@pytest.mark.parametrize("by", [30 * DAY, -HOUR, YEAR])
async def test_a_csms_that_says_the_same_for_ten_minutes_is_believed_and_a_person_is_told(by):
    boot = await booted(Floor(vouched=NOW - 2 * HOUR))
    boot.told(NOW)
    boot.told(NOW + by, times=10, every=60)
    assert boot.shows(NOW + timedelta(minutes=10))
    assert boot.clock.differs_from_csms_by() is not None
    boot.told(NOW + by + timedelta(minutes=10))
    assert boot.shows(NOW + by + timedelta(minutes=10))
    assert boot.clock.jumped_by == pytest.approx(by.total_seconds())


async def test_two_words_are_not_enough_and_neither_is_one_that_says_something_else_each_time():
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW)
    boot.told(NOW + DAY, times=2, every=900)
    for number in range(20):
        boot.told(NOW + number * DAY, every=60)
    assert boot.shows(NOW + timedelta(minutes=50))


async def test_agreeing_again_ends_the_doubt():
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW)
    for _ in range(20):
        boot.told(NOW + DAY + timedelta(seconds=boot.machine.now), every=60)
        boot.told(NOW + timedelta(seconds=boot.machine.now), every=60)
    assert boot.shows(NOW + timedelta(minutes=40))
    assert boot.clock.differs_from_csms_by() is None


# --- what outlives a restart


async def test_what_only_a_csms_has_told_is_overruled_by_a_battery_backed_clock():
    boot = await booted(Floor(vouched=NOW, told=NOW + 4 * YEAR), Trust.RTC, NOW + HOUR)
    assert boot.clock.trust is Trust.RTC and boot.shows(NOW + HOUR)


async def test_what_a_machine_has_vouched_for_is_not_overruled_by_a_clock_that_has_run_down():
    boot = await booted(Floor(vouched=NOW), Trust.RTC, EARLIEST + DAY)
    assert boot.clock.trust is Trust.FLOOR and boot.shows(NOW)


async def test_what_only_a_csms_has_told_is_overruled_by_the_honest_one():
    boot = await booted(Floor(vouched=NOW - DAY, told=NOW + 4 * YEAR))
    boot.told(NOW, times=10, every=60)
    assert boot.clock.trust is Trust.FLOOR
    boot.told(NOW + timedelta(minutes=10))
    assert boot.clock.trust is Trust.CSMS and boot.shows(NOW + timedelta(minutes=10))


def test_the_store_remembers_who_vouched_for_its_time(tmp_path):
    db = opened(tmp_path / "edge.db")
    assert boots.floor(db) == Floor()
    boots.keep_time(db, NOW, Trust.NTP)
    boots.keep_time(db, NOW + YEAR, Trust.CSMS)
    assert boots.floor(db) == Floor(vouched=NOW, told=NOW + YEAR)
    boots.keep_time(db, NOW + HOUR, Trust.CSMS)
    assert boots.floor(db) == Floor(vouched=NOW, told=NOW + HOUR)
    boots.keep_time(db, NOW + DAY, Trust.RTC)
    assert boots.floor(db) == Floor(vouched=NOW + DAY)
    db.close()


@pytest.mark.parametrize(("trust", "vouched"), [("csms", EARLIEST), ("ntp", NOW), ("floor", EARLIEST)])
def test_a_row_of_a_boot_is_as_good_as_its_clock_was(tmp_path, trust, vouched):
    db = opened(tmp_path / "edge.db")
    boot_no = boots.begin(db, NOW, 0, trust)
    row = NewExchange(Moment(boot_no, NOW, 0), 1, Kind.CHARGER_CALL, '[2,"m","Heartbeat",{}]')
    exchange.append(db, row)
    found = boots.floor(db)
    assert (found.vouched, found.latest) == (vouched, EARLIEST if trust == "floor" else NOW)
    db.close()


# --- whether old things may be removed


@pytest.mark.parametrize("said", [Trust.NTP, Trust.RTC, Trust.SYSTEM])
async def test_a_machine_that_knows_the_time_is_settled(said):
    assert (await booted(Floor(vouched=NOW), said, NOW + YEAR)).clock.is_settled


async def test_after_a_great_jump_the_csms_has_to_agree_with_itself_for_an_hour():
    boot = await booted(Floor(vouched=NOW))
    assert not boot.clock.is_settled
    boot.told(NOW + YEAR, times=60, every=60)
    assert boot.clock.trust is Trust.CSMS and not boot.clock.is_settled
    boot.told(NOW + YEAR + HOUR)
    assert boot.clock.is_settled
    boot.told(NOW + 2 * YEAR, times=11, every=60)
    assert boot.clock.jumped_by is not None and not boot.clock.is_settled


async def test_silence_does_not_vouch_for_a_jump():
    boot = await booted(Floor(vouched=NOW))
    boot.told(NOW + YEAR)
    boot.machine.now += 86_400
    assert not boot.clock.is_settled


async def test_a_boot_that_goes_on_where_the_last_one_ended_is_settled_at_once():
    boot = await booted(Floor(told=NOW))
    boot.told(NOW + HOUR)
    assert boot.clock.is_settled
