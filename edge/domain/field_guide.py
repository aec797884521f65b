"""What each peculiarity does, and where it was seen: the one place, from which `docs/field-guide.md` is written.

`edge/domain/peculiarities.py` has their names, `tools/field_guide` writes the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.domain.peculiarities import Kind, Rule, Scope


@dataclass(frozen=True, slots=True)
class Description:
    kind: Kind
    does: str
    seen: str
    """Vendors, models or stacks in which it was seen."""
    scope: Scope = Scope.EVERYBODY


def _tolerance(does: str, seen: str) -> Description:
    return Description(Kind.TOLERANCE, does, seen)


def _named(does: str, seen: str) -> Description:
    return Description(Kind.TOLERANCE, does, seen, Scope.NAMED)


def _correction(does: str, seen: str) -> Description:
    return Description(Kind.CORRECTION, does, seen)


def _finding(does: str, seen: str) -> Description:
    return Description(Kind.FINDING, does, seen)


DESCRIBED: Mapping[Rule, Description] = {
    Rule.SUBPROTOCOL_MISSING: _named(
        "A handshake that offers no subprotocol at all is one of OCPP 1.6.", "Grizzl-E Smart 05.6"
    ),
    Rule.JSON_CONTROL_CHARACTERS: _named(
        "NUL is left out; other control characters inside strings are taken as they are.", "C strings sent whole"
    ),
    Rule.JSON_MISSING_VALUE: _named('`"key":,` is read as `"key":null`.', "AEFA Home"),
    Rule.JSON_EXTRA_COMMA: _named("A comma with nothing before or after it is left out.", "ZJ Beny"),
    Rule.JSON_MISSING_BRACKET: _named(
        "Closing brackets that are missing are put in, unless the text ends in the middle of a value.",
        "Grizzl-E 05.43",
    ),
    Rule.JSON_DUPLICATE_KEY: _named("Of a key that stands twice in one object the last value counts.", "rare"),
    Rule.JSON_HALF_SURROGATE: _named(
        "Half a surrogate pair in a string is read as the replacement character.", "cut-off UTF-16"
    ),
    Rule.RESULT_NAMES_ACTION: _tolerance(
        "`[3, id, action, {…}]` is read as the answer that it is meant to be.", "OCPP-fuzzer"
    ),
    Rule.NULL_MEMBER: _tolerance("A member or list item that is `null` counts as absent.", "AEFA Home"),
    Rule.EMPTY_STRING: _tolerance(
        "An empty string where the schema allows none counts as absent, if the member may be.", "Heidelberg"
    ),
    Rule.OBJECT_FOR_LIST: _tolerance("A single object is read as a list of one.", "Huawei"),
    Rule.NUMBER_FOR_STRING: _tolerance("A number is read as the text of it; not for a token.", "OpenEVSE"),
    Rule.STRING_FOR_NUMBER: _tolerance("A text of digits is read as the number.", "various"),
    Rule.STRING_FOR_BOOLEAN: _tolerance('`"true"`, `"false"`, 1 and 0 are read as what they mean.', "various"),
    Rule.FRACTION_FOR_INTEGER: _tolerance(
        "5.0 is read as 5; a register with a fraction of a Wh is rounded.", "Fronius, various"
    ),
    Rule.MEMBER_SPELLING: _tolerance("A member's name is recognised in any case.", "various"),
    Rule.VALUE_SPELLING: _tolerance(
        "A value of a fixed list is recognised in any case, with blanks, quotes, dots, hyphens or underscores "
        "too many or too few.",
        "Ocular, various",
    ),
    Rule.UNIT_ALIAS: _tolerance("`Hz`, `%`, `°C` and their like are read as the units that they are.", "ChargeAmps"),
    Rule.MEASURAND_ALIAS: _tolerance("`Power`, `Current`, `Energy` and their like get their full names.", "various"),
    Rule.CONTEXT_ALIAS: _tolerance("`Periodic`, `Clock`, `Begin`, `End` get their full names.", "Alfen"),
    Rule.ERROR_CODE_ALIAS: _tolerance("`Error` is read as OtherError, an empty code as NoError.", "Legrand Green'up"),
    Rule.UNKNOWN_ERROR_CODE: _tolerance(
        "A fault for which the standard has no name is read as OtherError; the status counts.", "various"
    ),
    Rule.LONG_STRING: _tolerance(
        "A text longer than the schema allows is kept whole; not a token.", "Schneider, Siemens EVlink"
    ),
    Rule.UNKNOWN_VALUE: _tolerance(
        "A value that no list has is kept, as long as the member may be absent.", "`Request.Energy` as a measurand"
    ),
    Rule.UNKNOWN_MEMBER: _tolerance(
        "A member that a boot, a status or a transaction's message does not have is kept.", "various"
    ),
    Rule.SCHEMA_VIOLATED: _tolerance(
        "A start, a stop or meter values that break the schema are kept and flagged if they can be understood.",
        "various",
    ),
    Rule.START_ON_CONNECTOR_0: _tolerance(
        "A start on connector 0 is taken for the charger's only connector; with several it is refused and kept.",
        "single-outlet chargers",
    ),
    Rule.VALUES_ATTACHED_BY_CONNECTOR: _tolerance(
        "Meter values that name no transaction that we know belong to the one that is open on their connector.",
        "Alfen 5.8 (2^63-1), many (0, -1, none), open-ocpp (on a trigger)",
    ),
    Rule.STOP_ATTACHED_TO_ONLY_TRANSACTION: _tolerance(
        "A stop with 0, -1 or no transaction ends the charger's only open one.", "go-e V4, TKT EV, libocpp stations"
    ),
    Rule.STOP_ATTACHED_BY_TOKEN: _tolerance(
        "A stop of a transaction that we do not know ends the one with its token and a register that fits.",
        "Etrel Inch",
    ),
    Rule.STOP_ATTACHED_BY_METER: _tolerance(
        "A stop without a token, of a transaction that we do not know, ends the only one that its register continues.",
        "Etrel Inch, Growatt",
    ),
    Rule.REPEATED_WHILE_PENDING: _tolerance(
        "The same message once more before it was answered: done once, answered as often as it was asked.",
        "ArduinoOcpp, early MicroOcpp",
    ),
    Rule.VALUES_AFTER_STOP: _finding("Meter values after the stop: kept, not sent to the cloud.", "Ocular"),
    Rule.VALUES_OF_UNKNOWN_TRANSACTION: _finding(
        "Meter values name a transaction that we do not know, and none is open on their connector.",
        "Simpson & Partners, fuzzers",
    ),
    Rule.VALUES_BEFORE_START: _finding(
        "A replayed start comes after values of its own session: they are not part of it.", "shiv3"
    ),
    Rule.DUPLICATE_STOP: _finding(
        "A second, different stop of one transaction: answered, kept, not sent.", "SAP simulator at its shutdown"
    ),
    Rule.ORPHAN_STOP: _finding("A stop that fits no open transaction: answered, kept, shown.", "Growatt, fuzzers"),
    Rule.STOP_WITHOUT_REASON: _finding(
        "No reason means Local, also when the stop was remote.", "solidstudio (remote stop), shiv3"
    ),
    Rule.STOP_WITHOUT_TOKEN: _finding("Nobody knows who stopped.", "open-ocpp and solidstudio (remote stop)"),
    Rule.START_WHILE_OPEN: _finding(
        "A start on a connector whose session has not ended: that one gets a stop from us first.",
        "chargers that lost a stop, fuzzers",
    ),
    Rule.START_REUSES_KEY: _finding(
        "A start equal to one whose session ended more than a day ago is a new session.", "clocks that stand still"
    ),
    Rule.START_SAID_OTHERWISE: _finding(
        "A start repeated with its key (connector, token, time, register) and something else changed: the first one "
        "counts, the other is kept.",
        "fuzzers",
    ),
    Rule.BOOT_WHILE_OPEN: _finding(
        "A boot while a session is open: it is in doubt until its connector says more.", "Grizzl-E, any power cut"
    ),
    Rule.AVAILABLE_WHILE_OPEN: _finding(
        "The connector says Available while its session is open.", "shiv3 (its stop is still queued), Hager, EVBox"
    ),
    Rule.PREPARING_SKIPPED: _finding("A start on a connector that said Available last.", "open-ocpp, solidstudio"),
    Rule.FINISHING_SKIPPED: _finding("From charging to Available without Finishing.", "open-ocpp, solidstudio"),
    Rule.REGISTER_JUMPED: _finding(
        "More energy since the value before than the connector can deliver.", "shiv3, Zaptec Go 2, Iocharger"
    ),
    Rule.REGISTER_FELL: _finding("The energy register fell within a session.", "meters that restart at a reboot"),
    Rule.REGISTER_RESTARTED: _finding(
        "A session begins below the register that its connector had before.", "SAP simulator (0 at each start)"
    ),
    Rule.POWER_BEYOND_PHYSICS: _finding("More power than the connector can deliver.", "shiv3 (150 kW on AC)"),
    Rule.ENERGY_POWER_DISAGREE: _finding(
        "Over ten minutes register and power differ by more than a hundred times: kWh where Wh are said, or a register "
        "that stands still.",
        "solidstudio, various",
    ),
    Rule.SOC_FELL: _finding("The battery's state of charge fell within a session.", "SAP simulator"),
    Rule.ENERGY_WITHOUT_UNIT: _finding("An energy register without a unit is read as Wh.", "open-ocpp"),
    Rule.FRACTION_OF_WH: _finding("A register in Wh with decimals is rounded for display.", "SAP simulator"),
    Rule.UNIT_OF_OTHER_MEASURAND: _finding("A unit that does not fit its measurand.", "OCPP-fuzzer, Heidelberg"),
    Rule.PHASE_OF_OTHER_MEASURAND: _finding("A phase where the measurand has none.", "OCPP-fuzzer"),
    Rule.VALUE_NOT_A_NUMBER: _finding("A raw value that is no number.", "OCPP-fuzzer"),
    Rule.SIGNED_VALUES: _finding(
        "The charger signs its values: nothing of them is ever corrected.", "solidstudio (OCMF), Eichrecht chargers"
    ),
    Rule.VALUE_OVER_500_CHARACTERS: _finding("A value longer than 500 characters travels whole.", "solidstudio (OCMF)"),
    Rule.TIMESTAMP_UNREADABLE: _finding("A time that cannot be read: that of the reception counts.", "various"),
    Rule.TIMESTAMP_WITHOUT_ZONE: _finding("A time without a zone is read as UTC.", "AEFA Home, Growatt THOR"),
    Rule.CLOCK_NOT_SET: _finding("A time before 2020: the clock was not set.", "MicroOcpp (1970), EN+"),
    Rule.CALLS_IN_PARALLEL: _finding(
        "Another request before the one before was answered.", "SAP simulator (4), shiv3, solidstudio (2)"
    ),
    Rule.EFFECT_BEFORE_ANSWER: _finding("What a command causes comes before the answer to the command.", "shiv3"),
    Rule.MESSAGE_ID_REPEATED: _finding(
        "A message id used before, for something else: ids are kept apart by connection.", "open-ocpp (counter)"
    ),
    Rule.STATUS_NEVER_CAME: _finding(
        "A status that was triggered and promised never came.", "solidstudio, EVBox Elvi, Mennekes"
    ),
    Rule.COMMANDS_UNANSWERED: _tolerance(
        "Three commands in a row without an answer, from a charger that used to answer: the connection is closed, so "
        "that it comes back afresh.",
        "an AC charger, after a day",
    ),
    Rule.ANSWER_LATE: _finding("An answer after its time: recognised, too late to use.", "slow modems"),
    Rule.ANSWER_NOBODY_ASKED_FOR: _finding("An answer to nothing that we asked: ignored.", "OCPP-fuzzer"),
    Rule.ANSWER_MALFORMED: _finding("An answer that is no OCPP-J message: ignored.", "OCPP-fuzzer, Grizzl-E"),
    Rule.ANSWER_VIOLATES_SCHEMA: _finding("An answer that breaks its schema: read as far as possible.", "ABB Terra AC"),
    Rule.MESSAGE_MALFORMED: _finding(
        "A text that is no OCPP-J message: refused, and kept in the journal.", "ZJ Beny, AEFA, Grizzl-E"
    ),
    Rule.MESSAGE_REFUSED: _finding(
        "A request that breaks its schema so that no tolerance helps: refused, and kept in the journal.", "various"
    ),
    Rule.TEXT_TOO_LONG: _finding(
        "A text of more than 256 KiB: the connection is closed, and nothing of it is kept; its charger may say it "
        "again and again.",
        "none so far",
    ),
    Rule.TEXT_NOT_UTF8: _finding(
        "Bytes that are no UTF-8: the connection is closed, and nothing of them is kept.", "cut-off Latin-1"
    ),
    Rule.ACTION_UNKNOWN: _finding("A request that OCPP does not have: refused, and kept in the journal.", "various"),
    Rule.ACTION_OF_CSMS: _finding(
        "A request that only a CSMS may send: refused, and kept in the journal.", "OCPP-fuzzer"
    ),
    Rule.SERIAL_CHANGED: _finding(
        "Another serial than before under the same identity: an exchanged box, or two devices with one identity.",
        "exchanged and cloned chargers",
    ),
    Rule.CLOCK_IS_OFF: _finding(
        "The charger's clock differs from ours by more than five seconds, and not by the site's time zone.", "various"
    ),
    Rule.STOP_NEVER_CAME: _finding(
        "The session ended without a stop: it was concluded on evidence, and the CSMS was told so.",
        "Fronius Wattpilot, Hager Witty, Grizzl-E, EVBox",
    ),
    Rule.STOP_CAME_LATE: _finding(
        "The real stop came after the concluded one had been sent, and agrees with it: kept, not sent.", "various"
    ),
    Rule.STOP_CONTRADICTS: _finding(
        "The real stop came after the concluded one had been sent, and says another energy or time: kept, not sent; a "
        "person has to look at the bill.",
        "various",
    ),
    Rule.SESSION_WENT_ON: _finding(
        "A session that had been concluded, and whose stop had been sent, went on: the rest is a session of its own.",
        "OpenEVSE (resumes after a power cut)",
    ),
    Rule.START_OUT_OF_ORDER: _finding(
        "A start that is older than the session that is open on its connector: it ends nothing.",
        "chargers that replay their queue after a new session has begun",
    ),
    Rule.METER_START_UNKNOWN: _correction(
        "A start with a negative register, or with the largest that a number holds: the connector's last register "
        "counts instead, else 0.",
        "Zaptec Go 2 (2147483647)",
    ),
    Rule.START_REGISTER_PLACEHOLDER: _correction(
        "A start of 0 whose next register is a whole odometer: the energy counts from the connector's last register, "
        "or from that first one; the stop says the start plus the energy.",
        "Iocharger",
    ),
    Rule.METER_STOP_UNKNOWN: _correction(
        "A stop with a register that is negative, or 0 where energy has flowed: the last one of the session counts.",
        "some (-1, 0)",
    ),
    Rule.REGISTER_RESET: _correction(
        "The register began anew within the session, or counts from 0 in each: the stop says the start plus the energy "
        "of all parts.",
        "meters that restart at a reboot, SAP simulator",
    ),
    Rule.REGISTER_JUMP_LEFT_OUT: _correction(
        "More energy between two registers than the connector can deliver, by 20 kWh and more: the jump is not part of "
        "the session.",
        "shiv3, Zaptec Go 2",
    ),
    Rule.LOCAL_TIME_SENT: _correction(
        "Local time where UTC is said, or without a zone: the CSMS gets UTC.", "Chago, openWB, AEFA Home, Growatt THOR"
    ),
    Rule.TIME_OF_UNSET_CLOCK: _correction(
        "A time before 2020, by a clock that was not set: the CSMS gets the time by ours.", "MicroOcpp (1970), EN+"
    ),
    Rule.TEXT_PADDED: _finding(
        "A text most of which is blanks between its tokens: it is stored without them.", "none so far"
    ),
    Rule.ALLOWANCE_EXCEEDED: _finding(
        "More stops that belong to nothing, further stops, or starts where a session is open than a charger may "
        "store in an hour: not answered, the connection is closed, so that it keeps them.",
        "none so far",
    ),
    Rule.SHARE_EXCEEDED: _finding(
        "The store is all but full, and this charger holds more than its part of it: nothing more of it is stored or "
        "answered until there is room.",
        "none so far",
    ),
}

TOLERANCES = tuple(rule for rule, described in DESCRIBED.items() if described.kind is Kind.TOLERANCE)
NAMED_ONLY = frozenset(rule for rule, described in DESCRIBED.items() if described.scope is Scope.NAMED)


def kind_of(rule: str) -> Kind:
    """Whether a counted rule helped or only shows something."""
    return DESCRIBED[Rule(rule)].kind
