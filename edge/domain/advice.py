"""What a technician makes of each thing that is found: whose fault it mostly is, how much it matters, what to do next.

`judgement` is asked by `edge/domain/diagnosis.py`. A new `Rule` needs a line in `JUDGED`, or a place in `HARMLESS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from edge.domain.field_guide import DESCRIBED
from edge.domain.peculiarities import Rule


class Cause(StrEnum):
    CHARGER = "charger"
    """The box: its hardware, its firmware, its power, its place in the network."""
    PROTOCOL = "protocol"
    """It says what OCPP does not allow, or says it in the wrong order."""
    CONFIGURATION = "configuration"
    """A setting of the charger, of this site or of the cloud."""
    INTEGRATION = "integration"
    """Cloud, controller and charger do not agree with each other."""


class Weight(IntEnum):
    """How much depends on it; findings are ranked by this first."""

    BILL = 100
    """Energy may be billed wrongly, or not at all."""
    SERVICE = 80
    """A driver could not begin, end or unplug."""
    DATA = 60
    """The cloud is told something else than the charger said, or later."""
    FAULT = 40
    """Something is broken, but nothing was lost by it."""
    REMARK = 20


class Sign(StrEnum):
    """What is found beside the rules of the field guide."""

    COMMAND_NOT_SENT = "command_not_sent"
    COMMAND_UNANSWERED = "command_unanswered"
    COMMAND_REFUSED = "command_refused"
    COMMAND_NOT_OBEYED = "command_not_obeyed"
    COMMAND_DECLINED = "command_declined"
    CALL_REFUSED = "call_refused"
    CSMS_REFUSED = "csms_refused_message"
    MESSAGE_PARKED = "message_parked"
    VERDICT_DIFFERS = "verdict_differs"
    OPEN_AND_OFFLINE = "open_and_offline"
    SESSION_IN_DOUBT = "session_in_doubt"
    CONNECTION_LOST = "connection_lost"
    VALUES_THINNED = "values_thinned"
    SALVAGED_UNPROVEN = "salvaged_unproven"


ABOUT_COMMANDS = frozenset(
    {Sign.COMMAND_NOT_SENT, Sign.COMMAND_UNANSWERED, Sign.COMMAND_REFUSED, Sign.COMMAND_NOT_OBEYED}
)
"""Signs that only a charger can show that was asked for the same."""
URGENT = frozenset({"RemoteStartTransaction", "RemoteStopTransaction", "UnlockConnector"})
"""Commands for which a driver waits."""
MAINTENANCE = frozenset({"ChangeAvailability", "Reset"})

MEANT: Mapping[Sign, str] = {
    Sign.COMMAND_NOT_SENT: "A command was not sent to the charger.",
    Sign.COMMAND_UNANSWERED: "The charger did not answer a command.",
    Sign.COMMAND_REFUSED: "The charger refused a command.",
    Sign.COMMAND_NOT_OBEYED: "The charger accepted a command and did not do it.",
    Sign.COMMAND_DECLINED: "This controller could not carry out a command of the cloud.",
    Sign.CALL_REFUSED: "A message of the charger was refused.",
    Sign.CSMS_REFUSED: "The cloud refused a message.",
    Sign.MESSAGE_PARKED: "A message is parked: the cloud does not get it, nor the later ones of its session.",
    Sign.VERDICT_DIFFERS: "The driver was told something else than the cloud says of the token.",
    Sign.OPEN_AND_OFFLINE: "A session is open, and its charger is not connected.",
    Sign.SESSION_IN_DOUBT: "A session is open, and may have ended.",
    Sign.CONNECTION_LOST: "The connection to the charger broke.",
    Sign.VALUES_THINNED: "Meter values were left out because the store was filling.",
    Sign.SALVAGED_UNPROVEN: "A row came back from a damaged store and cannot be proven to be what was stored.",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    cause: Cause
    weight: Weight
    advice: str
    """What to do next, in one sentence."""


def _charger(weight: Weight, advice: str) -> Judgement:
    return Judgement(Cause.CHARGER, weight, advice)


def _protocol(weight: Weight, advice: str) -> Judgement:
    return Judgement(Cause.PROTOCOL, weight, advice)


def _configuration(weight: Weight, advice: str) -> Judgement:
    return Judgement(Cause.CONFIGURATION, weight, advice)


def _integration(weight: Weight, advice: str) -> Judgement:
    return Judgement(Cause.INTEGRATION, weight, advice)


_REPORT = "Send the evidence to the maker of the charger and ask for a firmware that keeps to OCPP 1.6."
_METER = "Compare the register on the charger's display with the last value, and have its meter looked at."
_CLOCK = "Switch off manual time and time zones in the charger, then: edge trigger CHARGER Heartbeat."
_TWO_SESSIONS = "Compare both sessions with the charger's own log: a stop was lost, and one of them lacks its end."

JUDGED: Mapping[Rule, Judgement] = {
    Rule.SUBPROTOCOL_MISSING: _configuration(Weight.REMARK, "Choose OCPP 1.6 JSON in the charger's own settings."),
    Rule.JSON_CONTROL_CHARACTERS: _protocol(Weight.FAULT, _REPORT),
    Rule.JSON_MISSING_VALUE: _protocol(Weight.FAULT, _REPORT),
    Rule.JSON_EXTRA_COMMA: _protocol(Weight.FAULT, _REPORT),
    Rule.JSON_MISSING_BRACKET: _protocol(Weight.FAULT, _REPORT),
    Rule.JSON_DUPLICATE_KEY: _protocol(Weight.FAULT, _REPORT),
    Rule.JSON_HALF_SURROGATE: _protocol(Weight.REMARK, _REPORT),
    Rule.SCHEMA_VIOLATED: _protocol(Weight.DATA, _REPORT),
    Rule.START_ON_CONNECTOR_0: _protocol(
        Weight.DATA, "Write evses of this charger into the file, so that its connector is certain, and tell the maker."
    ),
    Rule.VALUES_ATTACHED_BY_CONNECTOR: _protocol(
        Weight.FAULT, "Nothing is lost; send the evidence to the maker: its values must name the transaction."
    ),
    Rule.STOP_ATTACHED_TO_ONLY_TRANSACTION: _protocol(Weight.FAULT, _REPORT),
    Rule.STOP_ATTACHED_BY_TOKEN: _protocol(
        Weight.DATA, "Look whether the stop belongs to this session: its charger named a transaction that nobody knows."
    ),
    Rule.STOP_ATTACHED_BY_METER: _protocol(
        Weight.DATA, "Look whether the stop belongs to this session: it was found by its register alone."
    ),
    Rule.VALUES_AFTER_STOP: _protocol(Weight.REMARK, _REPORT),
    Rule.VALUES_OF_UNKNOWN_TRANSACTION: _protocol(
        Weight.DATA, "Look for a start that the charger never told of: edge trace CHARGER; then restart it."
    ),
    Rule.DUPLICATE_STOP: _protocol(
        Weight.FAULT, "Compare the two stops in the trace: only the first went to the cloud."
    ),
    Rule.ORPHAN_STOP: _protocol(
        Weight.BILL, "Look in the charger's own log for the session that this stop ends, and bill it by hand."
    ),
    Rule.START_WHILE_OPEN: _charger(Weight.BILL, _TWO_SESSIONS),
    Rule.START_REUSES_KEY: _charger(Weight.FAULT, _CLOCK),
    Rule.START_SAID_OTHERWISE: _protocol(
        Weight.DATA, "Compare the two starts in the trace: only the first went to the cloud."
    ),
    Rule.BOOT_WHILE_OPEN: _charger(
        Weight.DATA, "Find out why it restarted while charging: its supply, a residual current device, or a reset."
    ),
    Rule.AVAILABLE_WHILE_OPEN: _charger(
        Weight.DATA,
        "Nothing to do: if no stop comes, the controller ends the session; edge trace shows when.",
    ),
    Rule.REGISTER_JUMPED: _charger(Weight.BILL, _METER),
    Rule.REGISTER_FELL: _charger(Weight.BILL, _METER),
    Rule.REGISTER_RESTARTED: _charger(Weight.REMARK, _METER),
    Rule.POWER_BEYOND_PHYSICS: _configuration(
        Weight.FAULT, "Check max_current of this charger in the file; if it is right, the charger's meter is wrong."
    ),
    Rule.ENERGY_POWER_DISAGREE: _configuration(
        Weight.BILL, "Check in the charger whether its meter is set to Wh or kWh, and compare with its display."
    ),
    Rule.ENERGY_WITHOUT_UNIT: _protocol(
        Weight.REMARK, "Make sure that its registers are Wh: compare one with the charger's display."
    ),
    Rule.UNIT_OF_OTHER_MEASURAND: _protocol(Weight.FAULT, _REPORT),
    Rule.VALUE_NOT_A_NUMBER: _protocol(Weight.FAULT, _REPORT),
    Rule.TIMESTAMP_UNREADABLE: _protocol(Weight.DATA, _REPORT),
    Rule.TIMESTAMP_WITHOUT_ZONE: _protocol(Weight.FAULT, _CLOCK),
    Rule.CLOCK_NOT_SET: _configuration(Weight.DATA, _CLOCK),
    Rule.MESSAGE_ID_REPEATED: _protocol(Weight.REMARK, _REPORT),
    Rule.STATUS_NEVER_CAME: _charger(Weight.FAULT, "Restart the charger when it is free: edge reset CHARGER."),
    Rule.COMMANDS_UNANSWERED: _charger(
        Weight.SERVICE, "Restart the charger when it is free (edge reset CHARGER), and look for a newer firmware."
    ),
    Rule.ANSWER_LATE: _charger(
        Weight.FAULT, "Look at the charger's connection: a weak radio or modem answers too late."
    ),
    Rule.ANSWER_NOBODY_ASKED_FOR: _protocol(Weight.REMARK, _REPORT),
    Rule.ANSWER_MALFORMED: _protocol(Weight.FAULT, _REPORT),
    Rule.ANSWER_VIOLATES_SCHEMA: _protocol(Weight.REMARK, _REPORT),
    Rule.MESSAGE_MALFORMED: _protocol(
        Weight.DATA, "Send the text (edge trace --raw) to the maker: nobody can read it."
    ),
    Rule.MESSAGE_REFUSED: _protocol(Weight.DATA, _REPORT),
    Rule.TEXT_TOO_LONG: _protocol(Weight.FAULT, _REPORT),
    Rule.TEXT_NOT_UTF8: _protocol(Weight.FAULT, _REPORT),
    Rule.ACTION_UNKNOWN: _protocol(Weight.REMARK, "Switch off the vendor's own messages in the charger, if it can."),
    Rule.ACTION_OF_CSMS: _protocol(Weight.FAULT, _REPORT),
    Rule.SERIAL_CHANGED: _configuration(
        Weight.FAULT, "If the box was exchanged: edge adopt CHARGER; if not, two devices share one identity."
    ),
    Rule.CLOCK_IS_OFF: _configuration(Weight.DATA, _CLOCK),
    Rule.STOP_NEVER_CAME: _charger(
        Weight.BILL,
        "Compare the energy with the charger's own log: the end was concluded, the charger never told of it.",
    ),
    Rule.STOP_CAME_LATE: _charger(
        Weight.REMARK, "Look why the charger kept its stop so long: its trace shows the gaps."
    ),
    Rule.STOP_CONTRADICTS: _charger(
        Weight.BILL, "Correct the bill by hand: the real stop, which the cloud has not got, stands in the trace."
    ),
    Rule.SESSION_WENT_ON: _charger(
        Weight.BILL, "Bill both sessions as one, and ask the maker why it resumes without telling."
    ),
    Rule.START_OUT_OF_ORDER: _charger(Weight.FAULT, "Wait until its queue is empty; then compare with its own log."),
    Rule.METER_START_UNKNOWN: _charger(Weight.DATA, _METER),
    Rule.START_REGISTER_PLACEHOLDER: _charger(Weight.DATA, _METER),
    Rule.METER_STOP_UNKNOWN: _charger(Weight.BILL, _METER),
    Rule.REGISTER_RESET: _charger(Weight.DATA, _METER),
    Rule.REGISTER_JUMP_LEFT_OUT: _charger(Weight.BILL, _METER),
    Rule.LOCAL_TIME_SENT: _configuration(Weight.DATA, _CLOCK),
    Rule.TIME_OF_UNSET_CLOCK: _configuration(Weight.DATA, _CLOCK),
    Rule.ALLOWANCE_EXCEEDED: _charger(
        Weight.BILL, "Find out what the charger repeats (edge trace CHARGER): what is too much is not taken from it."
    ),
    Rule.SHARE_EXCEEDED: _configuration(
        Weight.BILL, "Make room: the store is all but full, and this charger holds most of it."
    ),
}

HARMLESS = frozenset(
    {
        # Understood all the same; nothing is in doubt.
        Rule.RESULT_NAMES_ACTION, Rule.NULL_MEMBER, Rule.EMPTY_STRING, Rule.OBJECT_FOR_LIST, Rule.NUMBER_FOR_STRING,
        Rule.STRING_FOR_NUMBER, Rule.STRING_FOR_BOOLEAN, Rule.FRACTION_FOR_INTEGER, Rule.MEMBER_SPELLING,
        Rule.VALUE_SPELLING, Rule.UNIT_ALIAS, Rule.MEASURAND_ALIAS, Rule.CONTEXT_ALIAS, Rule.ERROR_CODE_ALIAS,
        Rule.UNKNOWN_ERROR_CODE, Rule.LONG_STRING, Rule.UNKNOWN_VALUE, Rule.UNKNOWN_MEMBER,
        Rule.REPEATED_WHILE_PENDING, Rule.FRACTION_OF_WH, Rule.PHASE_OF_OTHER_MEASURAND, Rule.SIGNED_VALUES,
        Rule.VALUE_OVER_500_CHARACTERS, Rule.TEXT_PADDED,
        # Usual in the field, and without a consequence.
        Rule.VALUES_BEFORE_START, Rule.STOP_WITHOUT_REASON, Rule.STOP_WITHOUT_TOKEN, Rule.PREPARING_SKIPPED,
        Rule.FINISHING_SKIPPED, Rule.SOC_FELL, Rule.CALLS_IN_PARALLEL, Rule.EFFECT_BEFORE_ANSWER,
    }
)  # fmt: skip
"""Rules that are no findings: they stay in the journal and in the counters of `edge chargers ID`."""

ONLY_COUNTED = frozenset(
    {
        Rule.SUBPROTOCOL_MISSING, Rule.STATUS_NEVER_CAME, Rule.COMMANDS_UNANSWERED, Rule.ANSWER_LATE,
        Rule.ANSWER_NOBODY_ASKED_FOR, Rule.ANSWER_MALFORMED, Rule.ANSWER_VIOLATES_SCHEMA, Rule.TEXT_TOO_LONG,
        Rule.TEXT_NOT_UTF8, Rule.ALLOWANCE_EXCEEDED, Rule.SHARE_EXCEEDED,
    }
)  # fmt: skip
"""Rules that leave no note in the journal: there are counters, but no time and no evidence."""

SIGNS: Mapping[Sign, Judgement] = {
    Sign.COMMAND_NOT_SENT: _integration(
        Weight.SERVICE, "Look whether the charger was connected then, and give the command again."
    ),
    Sign.COMMAND_UNANSWERED: _charger(
        Weight.SERVICE, "Try it by hand (edge trigger CHARGER Heartbeat); if it stays silent, restart the charger."
    ),
    Sign.COMMAND_REFUSED: _charger(
        Weight.SERVICE, "Look at the connector's status at that time: the charger says why only there."
    ),
    Sign.COMMAND_NOT_OBEYED: _charger(
        Weight.SERVICE, "Look whether a car was plugged in and its cable locked; if so, send the evidence to the maker."
    ),
    Sign.COMMAND_DECLINED: _integration(
        Weight.FAULT, "Ask the operator of the cloud which connector or transaction it meant."
    ),
    Sign.CALL_REFUSED: _protocol(Weight.DATA, _REPORT),
    Sign.CSMS_REFUSED: _integration(Weight.FAULT, "Show the answer (edge trace --raw) to the operator of the cloud."),
    Sign.MESSAGE_PARKED: _integration(
        Weight.BILL, "Show it to the operator of the cloud (edge queue show), then: edge queue retry."
    ),
    Sign.VERDICT_DIFFERS: _configuration(
        Weight.BILL, "Compare the local list with the cloud's, and see whether [authorization] offline is meant so."
    ),
    Sign.OPEN_AND_OFFLINE: _charger(
        Weight.SERVICE,
        "Look after its power and network; without evidence of an end the session stays open until it is back.",
    ),
    Sign.SESSION_IN_DOUBT: _charger(
        Weight.BILL,
        "Look at the connector: if no car charges there, have the charger tell its status (edge reset CHARGER).",
    ),
    Sign.CONNECTION_LOST: _charger(Weight.FAULT, "Look at cable, radio and power of the charger, and at the switch."),
    Sign.VALUES_THINNED: _configuration(
        Weight.DATA, "Give the store more room ([store] max_size_mb), or the uplink back."
    ),
    Sign.SALVAGED_UNPROVEN: _configuration(Weight.DATA, "Compare this session with the charger's own log."),
}
_NEW = _protocol(Weight.REMARK, "A newer version has stored this: its field guide explains it.")


def judgement(rule: str, about: str = "") -> Judgement | None:
    """None: harmless. `about`: the command that it concerns; who waits for one gives it its weight."""
    if rule in HARMLESS:
        return None
    if rule in SIGNS:
        found = SIGNS[Sign(rule)]
        if rule in ABOUT_COMMANDS and about not in URGENT:
            return Judgement(found.cause, Weight.FAULT if about in MAINTENANCE else Weight.REMARK, found.advice)
        return found
    return JUDGED[Rule(rule)] if rule in JUDGED else _NEW


def meaning(rule: str) -> str:
    """What it is, in one sentence."""
    if rule in MEANT:
        return MEANT[Sign(rule)]
    return DESCRIBED[Rule(rule)].does if rule in JUDGED else rule
