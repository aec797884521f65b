"""What the end of a session's trace says of it."""

from dataclasses import replace

import pytest

from edge.console.verdict import verdict
from edge.domain.ids import ChargerNo, ConnectorNo, TransactionNo
from edge.domain.reconciliation import Doubt, Evidence
from edge.store.report import Session

OPEN = Session(
    TransactionNo(42), ChargerNo(1), ConnectorNo(1), "open", "CP-01", 1, 1, 7, "TAG", "42", "31", False, 1000, None, 1000, None,
    None, False, "Accepted", "list", 1000, None, None, 3, 3, 20, None, 20, 10, None, 0, 0, None, None, None, None, None,
    False, None, None,
)  # fmt: skip
DOUBT = Doubt(Evidence.AVAILABLE, 17, 5000)
ENDED = replace(OPEN, state="ended", ended_wall_ms=9000, meter_stop_wh=3500, end_reason="Local")
OURS = replace(ENDED, end_rule="available", doubt=replace(DOUBT, concluded_ms=8000), end_reason="EVDisconnected")
PUT_RIGHT = '{"certain": true, "rules": ["meter_stop_unknown"], "said_stop_wh": -1, "is_put_right": true}'
UNSURE = '{"certain": false, "why_not": "no stop came", "rules": []}'


ENERGY = "Energy 2.50 kWh (register 1000 to 3500 Wh)."
ALL, SO_FAR = "The cloud has all of it.", "The cloud has all of it so far."
OURS_GOT = "It ended without a stop of the charger: its connector is free (17); the cloud got ours (EVDisconnected)."
HELD = replace(
    OPEN, doubt=replace(DOUBT, concluded_ms=8000), ended_wall_ms=9000, meter_stop_wh=3500, end_reason="EVDisconnected"
)


@pytest.mark.parametrize(
    ("session", "sentences"),
    [
        (OPEN, ["It is open; nothing says that it has ended.", SO_FAR]),
        (replace(OPEN, doubt=DOUBT), ["It is open, and may have ended: its connector is free (17).", SO_FAR]),
        (
            HELD,
            [
                (
                    "It ended without a stop so far: its connector is free (17); the cloud gets ours (EVDisconnected) if the "
                    "charger's own does not come soon."
                ),
                ENERGY,
                SO_FAR,
            ],
        ),
        (ENDED, ["It ended by the charger's own stop (Local).", ENERGY, ALL]),
        (
            replace(OURS, figures=UNSURE, rows=4),
            [
                "It ended without a stop of the charger: its connector is free (17); the cloud gets ours (EVDisconnected).",
                "Energy 2.50 kWh (register 1000 to 3500 Wh), not certain: no stop came.",
                "The cloud has not answered 1 message of it yet.",
            ],
        ),
        (
            replace(OURS, late_stop_seq=30),
            [
                OURS_GOT,
                "The charger's own stop came after that, in 30, and says the same: it was not sent.",
                ENERGY,
                ALL,
            ],
        ),
        (
            replace(OURS, late_stop_seq=30, is_contradicted=True),
            [
                OURS_GOT,
                (
                    "The charger's own stop came after that, in 30, and says something else: it was not sent, and the bill "
                    "has to be corrected."
                ),
                ENERGY,
                ALL,
            ],
        ),
        (
            replace(OURS, doubt=None, goes_on_as=43),
            [
                "It ended without a stop of the charger; the cloud got ours (EVDisconnected).",
                "It went on after that, as S43.",
                ENERGY,
                ALL,
            ],
        ),
        (
            replace(ENDED, figures=PUT_RIGHT),
            [
                "It ended by the charger's own stop (Local).",
                "Energy 2.50 kWh (register 1000 to 3500 Wh, put right by meter_stop_unknown).",
                ALL,
            ],
        ),
        (
            replace(ENDED, parked_seq=19, rows=5),
            [
                "It ended by the charger's own stop (Local).",
                ENERGY,
                "The cloud lacks 2 messages of it: parked since 19.",
            ],
        ),
        (
            replace(ENDED, dropped_rows=1),
            [
                "It ended by the charger's own stop (Local).",
                ENERGY,
                "The operator has dropped messages of it: the cloud does not get them.",
            ],
        ),
    ],
)
def test_a_verdict_says_how_it_ended_how_much_it_was_and_what_the_cloud_has(session, sentences):
    assert list(verdict(session)) == sentences
