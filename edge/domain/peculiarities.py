"""What is peculiar about chargers in the field, each thing with a name: tolerances that help, findings that are shown.

A name goes into the journal beside the message, into the counters of `edge chargers ID` and into the log. A tolerance
makes something of a message that OCPP forbids; a correction tells the CSMS another register or time than the charger
said; a finding only says that something is odd. `edge/domain/field_guide.py`
says what each does and where it was seen.
"""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    # The handshake.
    SUBPROTOCOL_MISSING = "subprotocol_missing"
    # Text that is no JSON, or JSON that we refuse to hold: only where a model or the configuration asks for it.
    JSON_CONTROL_CHARACTERS = "json_control_characters"
    JSON_MISSING_VALUE = "json_missing_value"
    JSON_EXTRA_COMMA = "json_extra_comma"
    JSON_MISSING_BRACKET = "json_missing_bracket"
    JSON_DUPLICATE_KEY = "json_duplicate_key"
    JSON_HALF_SURROGATE = "json_half_surrogate"
    # Frames and payloads that break the schema.
    RESULT_NAMES_ACTION = "result_names_action"
    NULL_MEMBER = "null_member"
    EMPTY_STRING = "empty_string"
    OBJECT_FOR_LIST = "object_for_list"
    NUMBER_FOR_STRING = "number_for_string"
    STRING_FOR_NUMBER = "string_for_number"
    STRING_FOR_BOOLEAN = "string_for_boolean"
    FRACTION_FOR_INTEGER = "fraction_for_integer"
    MEMBER_SPELLING = "member_spelling"
    VALUE_SPELLING = "value_spelling"
    UNIT_ALIAS = "unit_alias"
    MEASURAND_ALIAS = "measurand_alias"
    CONTEXT_ALIAS = "context_alias"
    ERROR_CODE_ALIAS = "error_code_alias"
    UNKNOWN_ERROR_CODE = "unknown_error_code"
    LONG_STRING = "long_string"
    UNKNOWN_VALUE = "unknown_value"
    UNKNOWN_MEMBER = "unknown_member"
    SCHEMA_VIOLATED = "schema_violated"
    # Whose message it is.
    START_ON_CONNECTOR_0 = "start_on_connector_0"
    VALUES_ATTACHED_BY_CONNECTOR = "values_attached_by_connector"
    STOP_ATTACHED_TO_ONLY_TRANSACTION = "stop_attached_to_only_transaction"
    STOP_ATTACHED_BY_TOKEN = "stop_attached_by_token"  # noqa: S105 - not a password
    STOP_ATTACHED_BY_METER = "stop_attached_by_meter"
    REPEATED_WHILE_PENDING = "repeated_while_pending"
    # Findings: transactions.
    VALUES_AFTER_STOP = "values_after_stop"
    VALUES_OF_UNKNOWN_TRANSACTION = "values_of_unknown_transaction"
    VALUES_BEFORE_START = "values_before_start"
    DUPLICATE_STOP = "duplicate_stop"
    ORPHAN_STOP = "orphan_stop"
    STOP_WITHOUT_REASON = "stop_without_reason"
    STOP_WITHOUT_TOKEN = "stop_without_token"  # noqa: S105 - not a password
    START_WHILE_OPEN = "start_while_open"
    START_REUSES_KEY = "start_reuses_key"
    START_SAID_OTHERWISE = "start_said_otherwise"
    BOOT_WHILE_OPEN = "boot_while_open"
    AVAILABLE_WHILE_OPEN = "available_while_open"
    PREPARING_SKIPPED = "preparing_skipped"
    FINISHING_SKIPPED = "finishing_skipped"
    # Findings: values and units.
    REGISTER_JUMPED = "register_jumped"
    REGISTER_FELL = "register_fell"
    REGISTER_RESTARTED = "register_restarted"
    POWER_BEYOND_PHYSICS = "power_beyond_physics"
    ENERGY_POWER_DISAGREE = "energy_power_disagree"
    SOC_FELL = "soc_fell"
    ENERGY_WITHOUT_UNIT = "energy_without_unit"
    FRACTION_OF_WH = "fraction_of_wh"
    UNIT_OF_OTHER_MEASURAND = "unit_of_other_measurand"
    PHASE_OF_OTHER_MEASURAND = "phase_of_other_measurand"
    VALUE_NOT_A_NUMBER = "value_not_a_number"
    SIGNED_VALUES = "signed_values"
    VALUE_OVER_500_CHARACTERS = "value_over_500_characters"
    TIMESTAMP_UNREADABLE = "timestamp_unreadable"
    TIMESTAMP_WITHOUT_ZONE = "timestamp_without_zone"
    CLOCK_NOT_SET = "clock_not_set"
    # Findings: the conversation.
    CALLS_IN_PARALLEL = "calls_in_parallel"
    EFFECT_BEFORE_ANSWER = "effect_before_answer"
    MESSAGE_ID_REPEATED = "message_id_repeated"
    STATUS_NEVER_CAME = "status_never_came"
    COMMANDS_UNANSWERED = "commands_unanswered"
    ANSWER_LATE = "answer_late"
    ANSWER_NOBODY_ASKED_FOR = "answer_nobody_asked_for"
    ANSWER_MALFORMED = "answer_malformed"
    ANSWER_VIOLATES_SCHEMA = "answer_violates_schema"
    MESSAGE_MALFORMED = "message_malformed"
    MESSAGE_REFUSED = "message_refused"
    TEXT_TOO_LONG = "text_too_long"
    TEXT_NOT_UTF8 = "text_not_utf8"
    ACTION_UNKNOWN = "action_unknown"
    ACTION_OF_CSMS = "action_of_csms"
    SERIAL_CHANGED = "serial_changed"
    CLOCK_IS_OFF = "clock_is_off"
    # Sessions whose stop never came (edge/domain/reconciliation.py).
    STOP_NEVER_CAME = "stop_never_came"
    STOP_CAME_LATE = "stop_came_late"
    STOP_CONTRADICTS = "stop_contradicts"
    SESSION_WENT_ON = "session_went_on"
    START_OUT_OF_ORDER = "start_out_of_order"
    # Corrections: registers (edge/domain/registers.py) and times (edge/domain/clocks.py).
    METER_START_UNKNOWN = "meter_start_unknown"
    START_REGISTER_PLACEHOLDER = "start_register_placeholder"
    METER_STOP_UNKNOWN = "meter_stop_unknown"
    REGISTER_RESET = "register_reset"
    REGISTER_JUMP_LEFT_OUT = "register_jump_left_out"
    LOCAL_TIME_SENT = "local_time_sent"
    TIME_OF_UNSET_CLOCK = "time_of_unset_clock"
    # Findings: more than a charger may store.
    TEXT_PADDED = "text_padded"
    ALLOWANCE_EXCEEDED = "allowance_exceeded"
    SHARE_EXCEEDED = "share_exceeded"


class Kind(StrEnum):
    TOLERANCE = "tolerance"
    """Makes something of a message that would else be refused or lost."""
    CORRECTION = "correction"
    """The CSMS is told another register or time; what the charger said stays beside it."""
    FINDING = "finding"
    """Shows what is odd; changes nothing."""


class Scope(StrEnum):
    EVERYBODY = "everybody"
    NAMED = "named"
    """Only for the models of `edge/dialects/models.toml` and the chargers whose `tolerate` names it."""


@dataclass(frozen=True, slots=True)
class Peculiarity:
    """One rule that concerned a message, and how, in our own words."""

    rule: Rule
    message: str
