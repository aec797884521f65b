"""What a charger's requests say of how a session's time was spent."""

import pytest

from edge.dialects.v16 import timeline
from edge.domain.intervals import LimitSeen, PowerSeen


def values(**measured):
    sampled = [{"measurand": name.replace("_", "."), "value": value} for name, value in measured.items()]
    return {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": sampled}]}


def seen(**measured):
    return list(timeline.seen("MeterValues", values(**measured), lambda _: 7, "412"))


@pytest.mark.parametrize(
    ("measured", "amperes"),
    [
        ({"Current_Offered": "0"}, 0.0),
        ({"Current_Offered": "5.5"}, 5.5),
        ({"Current_Offered": "16", "Current_Import": "15.8"}, 16.0),
        ({"Current_Offered": "6", "Current_Import": "6.2"}, 6.0),
        ({"Power_Offered": "0"}, 0.0),
        # Charging, and yet nothing is offered: a placeholder.
        ({"Current_Offered": "0", "Current_Import": "15.8"}, None),
        ({"Power_Offered": "0", "Current_Import": "15.8"}, None),
    ],
)
def test_what_the_car_is_offered_is_a_limit(measured, amperes):
    limit, value = seen(**measured)
    assert limit == LimitSeen(7, "412", amperes)
    assert isinstance(value, PowerSeen)


@pytest.mark.parametrize("measured", [{"Current_Import": "0"}, {"Power_Offered": "11000"}, {"Current_Offered": "?"}])
def test_without_an_offer_in_amperes_there_is_no_limit(measured):
    assert not any(isinstance(one, LimitSeen) for one in seen(**measured))
