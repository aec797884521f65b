"""A real daemon under attack: what it holds stays bounded, and good chargers are answered all the while."""

import pytest

from tests.hostile.attackers import ATTACKS, BEFORE_LOGIN, IN_FRAMES, IN_MESSAGES
from tests.hostile.under_attack import attacked, p99
from tests.scenarios.site import short_folder

MOST_GROWTH_KB = 60 * 1024
"""Of one kind of attack; without its guard more (`test_guards.py`)."""
MOST_KB = 200 * 1024
"""Of the whole daemon, with all of them at once."""
MOST_LOG_KB = 400
FACTS = {
    "silent_connections": "opened", "slow_handshakes": "opened", "header_bombs": "sent", "compression_bombs": "opened",
    "endless_fragments": "fragments", "huge_frames": "opened", "ping_floods": "pings", "many_strangers": "names",
    "message_floods": "messages", "big_messages": "messages", "deaf_clients": "messages",
}  # fmt: skip
"""What shows that an attack took place."""


def is_generous(took: list[float], unloaded: list[float]) -> bool:
    """A machine that is busy with other things as well is slow, too; a daemon that starves its chargers is slower."""
    return p99(took) < max(3.0, 60 * p99(unloaded))


@pytest.mark.parametrize("kind", [BEFORE_LOGIN, IN_FRAMES, IN_MESSAGES], ids=["before login", "frames", "messages"])
async def test_an_attack_costs_little_and_no_good_charger_notices_much(kind):
    await attack([one.__name__ for one in kind], 2.0, growth_kb=MOST_GROWTH_KB)


async def test_all_attacks_together_stay_within_the_memory_and_let_good_chargers_work():
    await attack(list(ATTACKS), 6.0)


async def attack(names: list[str], for_s: float, growth_kb: int = MOST_KB) -> None:
    with short_folder() as folder:
        async with attacked(folder) as site:
            unloaded = await site.latencies(0.4)
            resident, fds = site.resident_kb(), site.fds()
            async with site.attack(*names) as attackers:
                await site.has_begun()
                took = await site.latencies(for_s)
            assert all(attackers.counts[name].get(FACTS[name], 0) > 0 for name in names), attackers.counts
            assert not any(count.get("compression_agreed") for count in attackers.counts.values())
            assert site.peak_kb() < min(MOST_KB, resident + growth_kb)
            assert len(took) >= 2 * len(site.good)
            assert is_generous(took, unloaded), (p99(took), p99(unloaded))
            assert site.log_kb() < MOST_LOG_KB
            assert not site.bad_events()
            await site.until_fds(fds)
