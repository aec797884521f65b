"""Payloads for these tests: any JSON, what OCPP 1.6's schemas allow, that with things wrong, and what was recorded."""

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from edge.ocppj.actions import VERSIONS, Sender, sender
from tests.ocppj.corpus import mutated, recorded, schema_names, valid

assert "1.6" in VERSIONS
REQUESTS = [name for name in schema_names("1.6") if not name.endswith("Response")]
RESPONSES = [name for name in schema_names("1.6") if name.endswith("Response")]
FROM_CHARGER = [name for name in REQUESTS if sender("1.6", name) in (Sender.STATION, Sender.BOTH)]
FROM_CSMS = [name for name in REQUESTS if sender("1.6", name) in (Sender.CSMS, Sender.BOTH)]
FOLLOWED = [
    "Authorize",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "MeterValues",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
]
"""Actions of which `observe` tells what happened."""

INTERESTING_KEYS = [
    "connectorId", "transactionId", "idTag", "meterStart", "meterStop", "timestamp", "meterValue", "sampledValue",
    "value", "unit", "measurand", "phase", "format", "location", "status", "errorCode", "reason", "chargePointVendor",
    "chargePointModel", "chargePointSerialNumber", "chargeBoxSerialNumber", "firmwareVersion", "idTagInfo",
    "expiryDate", "parentIdTag", "interval", "currentTime", "configurationKey", "key", "readonly", "unknownKey",
]  # fmt: skip
INTERESTING_TEXTS = [
    "", "0", "-1", "7", "1.5", "1e400", "-1e400", "NaN", "nan", "Infinity", "9223372036854775807", "0x10", "1_0", " 7 ",
    "Energy.Active.Import.Register", "Wh", "kWh", "L1", "Raw", "SignedData", "Outlet", "Inlet", "Accepted",
    "2026-11-21T09:00:00Z", "2026-11-21", "garbage", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, 10**400])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(INTERESTING_TEXTS)
)
keys = st.sampled_from(INTERESTING_KEYS) | st.text(max_size=5)
any_json = st.recursive(
    scalars, lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=5), max_leaves=15
)
"""Also what the parser of frames would have refused: NaN, integers of any length."""
any_payload = st.dictionaries(keys, any_json, max_size=8)


instants = st.datetimes(
    datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("8999-01-01"), timezones=st.just(UTC)
)


def valid_payload(name: str):
    """What the schema allows, members coming and going."""
    return st.randoms(use_true_random=False).map(lambda random: valid("1.6", name, random))


def flawed_payload(name: str):
    """The same with one to six things wrong, or by chance not wrong."""
    return st.builds(
        lambda random, times: mutated(valid("1.6", name, random), random, times),
        st.randoms(use_true_random=False),
        st.integers(1, 6),
    )


def recorded_calls(direction: str):
    """(Action, payload) of each CALL that real chargers and a real CSMS exchanged."""
    frames = [json.loads(text) for way, text in recorded("*_16_*.jsonl") if way == direction]
    return [(frame[2], frame[3]) for frame in frames if frame[0] == 2]
