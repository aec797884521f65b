"""The messages that are measured with: what chargers say most, in OCPP 1.6.

Each text differs from the one before, as those of a charger do: a controller that knows repetitions by their content
must not be measured with the same one over and over. Registers and times move as physics would have it.
"""

from datetime import UTC, datetime, timedelta

SECONDS_APART = 10
"""Between two values of one charger, by its own clock."""
WH_A_STEP = 30
"""What flows meanwhile, at 10.8 kW."""
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)

_SAMPLED = (
    ("%(register)d", "Energy.Active.Import.Register", None, "Wh"),
    ("10800.0", "Power.Active.Import", None, "W"),
    ("15.6", "Current.Import", "L1", "A"),
    ("15.7", "Current.Import", "L2", "A"),
    ("15.5", "Current.Import", "L3", "A"),
    ("231.4", "Voltage", "L1-N", "V"),
    ("230.9", "Voltage", "L2-N", "V"),
    ("231.1", "Voltage", "L3-N", "V"),
    ("41.5", "Temperature", None, "Celsius"),
    ("63", "SoC", None, "Percent"),
    ("16.0", "Current.Offered", None, "A"),
    ("10800.0", "Power.Offered", None, "W"),
)
"""Value, measurand, phase and unit, in the order in which they come: MeterValues 5 has the first five."""


def at(number: int) -> str:
    """The charger's time of its message of that number."""
    return (BEGIN + timedelta(seconds=SECONDS_APART * number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sample(value: str, measurand: str, phase: str | None, unit: str) -> str:
    on_phase = "" if phase is None else f'"phase":"{phase}",'
    return (
        f'{{"value":"{value}","context":"Sample.Periodic","format":"Raw","measurand":"{measurand}",{on_phase}'
        f'"location":"Outlet","unit":"{unit}"}}'
    )


class MeterValues:
    """The MeterValues of one transaction: text number n, as often as wanted."""

    def __init__(self, prefix: str, transaction: int, samples: int = 5, connector: int = 1) -> None:
        sampled = ",".join(_sample(*one) for one in _SAMPLED[:samples])
        self._text = (
            f'[2,"{prefix}-%(number)d","MeterValues",{{"connectorId":{connector},"transactionId":{transaction},'
            f'"meterValue":[{{"timestamp":"%(at)s","sampledValue":[{sampled}]}}]}}]'
        )

    def text(self, number: int) -> str:
        return self._text % {"number": number, "at": at(number), "register": 1000 + WH_A_STEP * number}


def boot(message_id: str) -> str:
    return (
        f'[2,"{message_id}","BootNotification",{{"chargePointVendor":"Measured","chargePointModel":"One-Outlet",'
        '"firmwareVersion":"1.0.0"}]'
    )


def status(message_id: str, connector: int, said: str = "Available") -> str:
    return (
        f'[2,"{message_id}","StatusNotification",{{"connectorId":{connector},"errorCode":"NoError","status":"{said}",'
        f'"timestamp":"{at(0)}"}}]'
    )


def start(message_id: str, tag: str, number: int = 0) -> str:
    return (
        f'[2,"{message_id}","StartTransaction",{{"connectorId":1,"idTag":"{tag}","meterStart":1000,'
        f'"timestamp":"{at(number)}"}}]'
    )


def heartbeat(message_id: str) -> str:
    return f'[2,"{message_id}","Heartbeat",{{}}]'
