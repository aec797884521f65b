from pathlib import Path

import pytest
from simulators.charger import Charger
from simulators.csms import Csms

WIRE = Path(__file__).parent.parent / "wire"


@pytest.fixture
async def csms():
    async with Csms(first_transaction_id=100) as csms:
        yield csms


@pytest.fixture
def build_charger(csms):
    """A charger that is not yet running, impatient enough for tests."""

    def build(identity="CP-01", url=None, **options):
        impatient = {"meter_interval_s": 0, "reconnect_s": (0.01, 0.05), "retry_interval_s": 0.01}
        return Charger(identity, url or csms.url, **(impatient | options))

    return build


@pytest.fixture
async def charger(build_charger):
    """A charger that is connected and registered."""
    charger = build_charger()
    async with charger.running():
        await charger.connect()
        yield charger


@pytest.fixture
def recording():
    def path(name):
        return WIRE / f"{name}.jsonl"

    return path
