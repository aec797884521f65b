"""Words that chargers use where OCPP 1.6 has others, by member; and how a word is recognised in another spelling."""

from collections.abc import Mapping, Sequence

from edge.domain.peculiarities import Rule
from edge.jsontypes import JsonValue

ENERGY = "Energy.Active.Import.Register"

# Keys are folded (`folded`). Only what can mean nothing else: an alias decides what a figure is.
ALIASES: Mapping[str, tuple[Rule, Mapping[str, str]]] = {
    "unit": (
        Rule.UNIT_ALIAS,
        {
            "hz": "Hertz",
            "%": "Percent",
            "pct": "Percent",
            "°c": "Celsius",
            "degc": "Celsius",
            "°f": "Fahrenheit",
            "watt": "W",
            "watts": "W",
            "kilowatt": "kW",
            "amp": "A",
            "amps": "A",
            "ampere": "A",
            "amperes": "A",
            "volt": "V",
            "volts": "V",
            "watthour": "Wh",
            "watthours": "Wh",
            "kilowatthour": "kWh",
            "kilowatthours": "kWh",
        },
    ),
    "measurand": (
        Rule.MEASURAND_ALIAS,
        {
            "energy": ENERGY,
            "energyactiveimport": ENERGY,
            "energyimport": ENERGY,
            "power": "Power.Active.Import",
            "poweractive": "Power.Active.Import",
            "powerimport": "Power.Active.Import",
            "current": "Current.Import",
            "stateofcharge": "SoC",
        },
    ),
    "context": (
        Rule.CONTEXT_ALIAS,
        {
            "periodic": "Sample.Periodic",
            "sample": "Sample.Periodic",
            "clock": "Sample.Clock",
            "begin": "Transaction.Begin",
            "end": "Transaction.End",
            "triggered": "Trigger",
        },
    ),
    "errorCode": (
        Rule.ERROR_CODE_ALIAS,
        {
            "": "NoError",
            "none": "NoError",
            "ok": "NoError",
            "error": "OtherError",
            "other": "OtherError",
            "groundfault": "GroundFailure",
            "overcurrent": "OverCurrentFailure",
            "overtemperature": "HighTemperature",
        },
    ),
}

UNKNOWN_ERROR_CODE = "OtherError"
"""1.6 §7.6: "Other type of error"."""

REGISTERS = frozenset({"meterStart", "meterStop"})
"""Members whose fraction may be rounded away: an energy register in Wh."""

TOKENS = frozenset({"idTag", "parentIdTag"})
"""Never cut and never retyped: two tokens may become one account (ocpp-rules.md D.3)."""

INDISPENSABLE = frozenset(
    {
        "BootNotification",
        "StatusNotification",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
        "FirmwareStatusNotification",
        "DiagnosticsStatusNotification",
    }
)
"""Without these a charger cannot work, or evidence is lost: a member too many is overlooked. Not in a question that
somebody answers by what it says (Authorize, DataTransfer)."""


def folded(word: str) -> str:
    """A word without case, quotes, blanks and punctuation: by this another spelling is recognised."""
    return word.casefold().translate(_NOTHING)


_NOTHING = dict.fromkeys(map(ord, " \t\"'`.,_-"))


def spelled(word: str, values: Sequence[JsonValue]) -> str | None:
    """The one of these values that the word is another spelling of."""
    wanted = folded(word)
    found = [value for value in values if isinstance(value, str) and folded(value) == wanted]
    return found[0] if len(found) == 1 and wanted else None
