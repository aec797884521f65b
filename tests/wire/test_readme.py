"""The page beside the recordings: each thing it says of a 1.6 charger is met by a rule and a test that exist."""

import json
import re
from pathlib import Path

import pytest

from edge.domain.field_guide import DESCRIBED
from edge.domain.peculiarities import Rule
from tests.wire.expected import RECORDINGS

WIRE = Path(__file__).parent
README = (WIRE / "README.md").read_text(encoding="utf-8")
SAID, MET = README.split("## Peculiarities")[1].split("## How the controller meets")
SOURCES = [WIRE.parent / "scenarios" / name for name in ("test_recordings.py", "test_field_chargers.py")]
TESTS = {
    name for source in SOURCES for name in re.findall(r"^(?:async )?def (test_\w+)\(", source.read_text(), re.MULTILINE)
}
ROWS = {
    cells[0]: (cells[1], cells[2])
    for line in MET.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| Peculiarity"))
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
CLAUSES = [
    clause
    for line in SAID.splitlines()
    if line.startswith("- ")
    for clause in re.split(r"(?<=[.;])\s+", line.removeprefix("- "))
]

# How each clause begins → the row that answers it. Clauses of 2.x and of what the recorded CSMS did have none.
ANSWERED = {
    "Several own CALLs open at once": "several own CALLs open at once",
    "Answers come back in order here": "several own CALLs open at once",
    "shiv3 1.6 sends the triggered": "a triggered CALL before the CALLRESULT of its cause",
    "Reset Soft/OnIdle: new BootNotification": "Reset brings a new BootNotification on the same socket",
    "2.x says reason PowerUp": None,
    "solidstudio accepts TriggerMessage": "TriggerMessage accepted, the status never comes",
    "on Reset it cuts the socket": "the socket is cut without a close frame, or closed without a code",
    "open-ocpp demo accepts Reset": "Reset accepted, and nothing happens",
    "shiv3 and open-ocpp report connector 0": "connector 0 is reported, or is not",
    "solidstudio and SAP do not.": "connector 0 is reported, or is not",
    "SAP boots connector 2 as Preparing": "boots as Preparing or Faulted and charges all the same",
    "open-ocpp never sends Preparing": "no Preparing, no Finishing",
    "a triggered status carries": "Charging late with its earlier time; a triggered status with the old one",
    "Second Authorize of the same tag": "Authorize from the charger's cache, or again inside the start",
    "shiv3 authorizes again": "Authorize from the charger's cache, or again inside the start",
    "SAP on shutdown": "StopTransaction twice for one transaction, new message ids",
    "meterStart is 0 at every start": "meterStart 0 at every start",
    "shiv3 1.6 replay: Boot, StatusNotification": "Available while the stop is still queued",
    "Its timestamp is about 7 s": "offline start after values of its own session, its register in meterStart already",
    "Reconnect 1, 2, 4": "boot while a session is open",
    "No Finishing is sent": "no Preparing, no Finishing",
    "shiv3 2.0.1 has no queue": None,
    "the first transaction stays open": None,
    "MeterValues is a separate message": None,
    "seqNo only 0 and 1": None,
    "Occupied is sent after Ended": None,
    "solidstudio 2.x: every": None,
    "a remote start says triggerReason": None,
    "Ended has no idToken": None,
    "1.6 remote StopTransaction has no reason": "stop without reason, also of a remote stop",
    "open-ocpp remote stop has no idTag": "stop without idTag",
    "open-ocpp: MeterValues sent on TriggerMessage": "triggered MeterValues in mid-transaction without transactionId",
    "solidstudio 2.0.1: Updated": None,
    "Ended says 320.21": None,
    "2.1: Updated": None,
    "The OCMF blob says": None,
    "shiv3 2.x mixes": None,
    "1.6 reports 150000 W": "150000 W after a jump of the register",
    "open-ocpp sends no unit at all": "no unit at all",
    "a 10.5 A limit shows as 10 A": "a 10.5 A limit shows as 10 A",
    "OCMF 1.6: JSON text": "OCMF text in a value, far above 500 characters",
    "2.x: signedMeterData": None,
    "Float noise": "float noise",
    "Fuzzer MeterValues have": 'value "string", Fahrenheit or K with Voltage or SoC, any phase',
    "StopTransaction always names transaction 1": "StopTransaction always names transaction 1",
    "1.6 values are strings": "values are strings",
    "SAP: Wh with decimals": "Wh with decimals while meterStop is an integer",
    "SoC falls and rises": "SoC falls and rises",
    "MeterValues with transactionId last": "members in another order, blanks",
    "Blanks:": "members in another order, blanks",
    "the others send compact JSON": "members in another order, blanks",
    "Empty strings:": "empty strings in boot",
    "AuthorizationKey comes without": 'AuthorizationKey without value, `unknownKey: []`, `data: ""`',
    "SAP and solidstudio send `unknownKey": 'AuthorizationKey without value, `unknownKey: []`, `data: ""`',
    "Timestamps: milliseconds": "milliseconds or whole seconds, status without a time",
    "1.6 StatusNotification without timestamp": "milliseconds or whole seconds, status without a time",
    "Message ids: UUIDs": "message ids from a counter that may coincide between chargers",
    "Malformed:": "`[3, id, action, {…}]` for an id never asked",
    "the CSMS ignores it": None,
    "SAP and shiv3 close without a code": "the socket is cut without a close frame, or closed without a code",
}
SEEN_IN_FILES = {
    "values of a transaction that has ended",
    "message ids that come again on a new connection",
    "requests that only a CSMS may send",
}
"""Rows about what the recordings show and the list does not say."""


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause[:40])
def test_each_thing_said_of_a_charger_is_answered_by_a_row(clause):
    answered = [row for begins, row in ANSWERED.items() if clause.startswith(begins)]
    assert len(answered) == 1
    assert answered[0] is None or answered[0] in ROWS


def test_each_answer_and_each_row_is_about_something_that_is_said():
    assert [begins for begins in ANSWERED if not any(clause.startswith(begins) for clause in CLAUSES)] == []
    assert set(ROWS) == {row for row in ANSWERED.values() if row is not None} | SEEN_IN_FILES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[:40])
def test_each_row_names_rules_that_exist_and_a_test_that_exists(row):
    met_by, test = ROWS[row]
    rules = re.findall(r"`([a-z0-9_]+)`", met_by)
    assert rules or met_by == "legal"
    assert all(Rule(rule) in DESCRIBED for rule in rules)
    assert test in TESTS


def test_the_rows_name_all_that_the_recordings_show():
    named = {rule for met_by, _ in ROWS.values() for rule in re.findall(r"`([a-z0-9_]+)`", met_by)}
    assert named >= {rule for expected in RECORDINGS.values() for rule in expected.peculiar}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_has_as_many_frames_as_the_page_says(name):
    (told,) = re.findall(rf"^\| {name} \|.*\| (\d+) \((\d+)\) \|", README, re.MULTILINE)
    frames = [json.loads(line) for line in (WIRE / f"{name}.jsonl").read_text().splitlines()[1:]]
    assert (len(frames), sum(frame["dir"] == "up" for frame in frames)) == tuple(map(int, told))
