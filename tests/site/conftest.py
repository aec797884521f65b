from collections.abc import AsyncIterator

import pytest
from simulators.meter import MeterSimulator


@pytest.fixture
async def sdm630() -> AsyncIterator[MeterSimulator]:
    meter = MeterSimulator()
    await meter.start()
    meter.set(power_w=(3680.0, 2415.0, -150.0), voltage_v=(230.5, 231.25, 229.75))
    yield meter
    await meter.stop()
