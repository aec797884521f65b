"""The classes of faults that a simulated site suffers, and how often; each that strikes is counted by its name.

Two sorts. A *slip* concerns one message and is decided by whoever handles it (`Faults.strikes`): its frequency is a
probability. A *blow* concerns a machine or a road and is dealt by `misfortune.py`: its frequency is the mean time
between two of them.
"""

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Slip:
    probability: float


@dataclass(frozen=True, slots=True)
class Blow:
    every_s: float
    """Mean time between two, while no other of this class is in force."""


SLIPS: dict[str, Slip] = {
    # The cloud, for each CALL that it gets.
    "answer_lost": Slip(0.02),
    "answer_late": Slip(0.008),
    "answer_slow": Slip(0.05),
    "answer_duplicated": Slip(0.08),
    "message_swallowed": Slip(0.008),
    "refused_for_now": Slip(0.03),
    "refused_for_good": Slip(0.008),
    "refused_for_ever": Slip(0.008),
    "token_blocked": Slip(0.06),
    "command_repeated": Slip(0.3),
    # A charger, for each CALL that it makes.
    "charger_repeats_message": Slip(0.15),
    "charger_sends_frame_twice": Slip(0.07),
    "charger_sends_garbage": Slip(0.03),
    # A charger, for each session that ends.
    "stop_lost": Slip(0.25),
    "stop_withheld": Slip(0.25),
}

BLOWS: dict[str, Blow] = {
    "uplink_cut_for_seconds": Blow(0.5 * HOUR),
    "uplink_cut_for_minutes": Blow(1.6 * HOUR),
    "uplink_cut_for_hours": Blow(24 * HOUR),
    "uplink_half_open": Blow(1.2 * HOUR),
    "uplink_stalled": Blow(0.7 * HOUR),
    "cloud_restart": Blow(1.2 * HOUR),
    "cloud_slow": Blow(1.2 * HOUR),
    "cloud_refuses_connections": Blow(1.5 * HOUR),
    "charger_road_cut": Blow(0.5 * HOUR),
    "charger_link_half_open": Blow(0.8 * HOUR),
    "charger_link_stalled": Blow(0.8 * HOUR),
    "charger_link_reset": Blow(0.5 * HOUR),
    "charger_hangs_up": Blow(1.0 * HOUR),
    "charger_connects_twice": Blow(1.0 * HOUR),
    "charger_reboot": Blow(0.7 * HOUR),
    "charger_power_loss": Blow(0.8 * HOUR),
    "charger_clock_step": Blow(0.8 * HOUR),
    "charger_clock_skew": Blow(1.0 * HOUR),
    "controller_clock_step": Blow(1.2 * HOUR),
    "controller_clock_drift": Blow(1.0 * HOUR),
    "controller_crash": Blow(1.5 * HOUR),
    "controller_restart": Blow(1.5 * HOUR),
    "disk_slow": Blow(1.0 * HOUR),
    "commit_fails": Blow(0.7 * HOUR),
    "disk_full": Blow(1.5 * HOUR),
    "meter_frozen": Blow(1.5 * HOUR),
    "meter_lies": Blow(1.5 * HOUR),
    "meter_silent": Blow(1.5 * HOUR),
    "meter_away": Blow(1.5 * HOUR),
    "connection_flood": Blow(1.5 * HOUR),
    "order_shuffled": Blow(0.7 * HOUR),
}

DAYS = "uplink_cut_for_days"
"""Once in a run that is long enough for 72 hours without a cloud."""
WITHOUT_TIME = "controller_wakes_without_time"
"""After some crashes: a clock that has no battery."""
EVERYTHING = (*SLIPS, *BLOWS, DAYS, WITHOUT_TIME)


class Faults:
    """Whether a fault strikes now, and how many have."""

    def __init__(self, seed: int, only: Collection[str] = EVERYTHING, intensity: float = 1.0) -> None:
        """`only` these classes occur, so many times as often as the tables say."""
        unknown = set(only) - set(EVERYTHING)
        assert not unknown, f"no such faults: {sorted(unknown)}"
        self.counts: Counter[str] = Counter()
        self.is_over = False
        """Everything is healed: nothing strikes any more."""
        self._only = frozenset(only)
        self._intensity = intensity
        self._chance = random.Random(f"{seed}/slips")

    def may(self, name: str) -> bool:
        return name in self._only and not self.is_over

    def pause_s(self, blow: str, chance: random.Random) -> float:
        """Until the next one."""
        return chance.expovariate(self._intensity / BLOWS[blow].every_s)

    def strikes(self, slip: str) -> bool:
        """Whether this message suffers it."""
        # Drawn in any case: a class that is switched off leaves the others where they were.
        if self._chance.random() >= self._intensity * SLIPS[slip].probability or not self.may(slip):
            return False
        self.counts[slip] += 1
        return True
