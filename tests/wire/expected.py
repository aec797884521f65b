"""What the recorded chargers of 1.6 did, written down by hand from their frames: it is not computed from them.

A row is a session in the order of the starts. `values` are the MeterValues that are the session's by the rules
(ocpp-rules.md E.2); `unnamed` of them name no transaction and go to the CSMS as they came. `after` are those that came
when the session had ended. A session without a stop stays open: only reconciliation could close it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    connector: int
    token: str
    started_at: str
    meter_start_wh: int
    ended_at: str | None = None
    meter_stop_wh: int | None = None
    reason: str | None = None
    """As the CSMS reads it: none means Local (1.6 §6.49)."""
    values: int = 0
    unnamed: int = 0
    after: int = 0
    is_ours: bool = False
    """Its stop never came: the next start has ended it."""


@dataclass(frozen=True)
class Recorded:
    identity: str
    sha256: str
    calls: int
    """That the charger made; each gets one answer."""
    refused: tuple[str, ...] = ()
    """Actions that get a CALLERROR."""
    connectors: tuple[int, ...] = (1, 1)
    sessions: tuple[Session, ...] = ()
    outside: int = 0
    """MeterValues of no session that go to the CSMS all the same."""
    peculiar: tuple[str, ...] = ()
    speed: float = 30


DAY = "2026-11-21T"
RECORDINGS = {
    "shiv3_16_session": Recorded(
        "SH16",
        "08f1e35118858c931cb7a3575dd0e250ed5d746775691e08013ad980aaead46f",
        calls=33,
        sessions=(
            Session(1, "TAG1", f"{DAY}08:25:11.914Z", 0, f"{DAY}08:25:20.879Z", 2500, "Local", values=3),
            Session(2, "REMOTE-TAG-0001", f"{DAY}08:25:26.416Z", 0, f"{DAY}08:25:32.234Z", 750, "Remote", values=1),
        ),
        outside=1,  # triggered between the two, without transactionId
        peculiar=("register_jumped", "stop_without_reason"),
    ),
    "shiv3_16_outage": Recorded(
        "SH16O",
        "ce085b7fa3276ce43e70452a33ea5a7627216fad72f05bfaeefdc76d8736a6bb",
        calls=22,
        sessions=(
            Session(1, "TAG1", f"{DAY}08:33:43.822Z", 0, f"{DAY}08:33:58.538Z", 2500, "Local", values=3),
            Session(2, "TAG2", f"{DAY}08:34:02.639Z", 300, f"{DAY}08:34:26.880Z", 300, "Local"),
        ),
        outside=1,  # of the second session, but before its start and without transactionId
        peculiar=(
            "available_while_open", "boot_while_open", "finishing_skipped", "register_jumped", "stop_without_reason",
            "values_before_start",
        ),
    ),
    "openocpp_16_two_connectors": Recorded(
        "OOCP16",
        "cfc22a6c1b33493dc73f66419c38fc5dba2a30875dbafeb2ff567a5a28f85b63",
        calls=14,
        sessions=(
            Session(1, "TAG9", f"{DAY}08:28:46.000Z", 100, f"{DAY}08:29:16.000Z", 200, "Local"),
            Session(2, "TAG9", f"{DAY}08:29:28.000Z", 300, f"{DAY}08:29:58.000Z", 400, "Local"),
        ),
        peculiar=("finishing_skipped", "preparing_skipped"),
    ),
    "openocpp_16_remote": Recorded(
        "OOCP16R",
        "f2e1d2f481791659322d04a042a7a48035966c29426869f6773e132043a7b2d7",
        calls=20,
        sessions=(
            Session(1, "REMOTE1", f"{DAY}08:33:43.000Z", 0, f"{DAY}08:34:01.000Z", 53, "Remote", values=3),
            Session(2, "REMOTE2", f"{DAY}08:34:07.000Z", 0, f"{DAY}08:34:19.000Z", 54, "Remote", values=3, unnamed=1),
        ),
        peculiar=(
            "energy_without_unit", "finishing_skipped", "preparing_skipped", "stop_without_token",
            "values_attached_by_connector",
        ),
    ),
    "solidstudio_16_ocmf": Recorded(
        "SO16",
        "910d9f52c0875abf1665edcf99b4778ec8ec7fff73dfb9ed5103f29ee7ddf343",
        calls=14,
        sessions=(
            Session(1, "TAG7", f"{DAY}08:30:15.619Z", 0, f"{DAY}08:30:47.633Z", 320, "Local", values=2),
            Session(1, "TAG7", f"{DAY}08:30:49.000Z", 0, f"{DAY}08:30:53.000Z", 40, "Local"),
        ),
        peculiar=(
            "calls_in_parallel", "finishing_skipped", "preparing_skipped", "register_restarted", "signed_values",
            "stop_without_reason", "stop_without_token", "value_over_500_characters",
        ),
    ),
    "sap_16_atg": Recorded(
        "CS-BASIC-00001",
        "529af983cf54187ab417856c99350196b483b2b9cc363001844d155dcdf6c00f",
        calls=57,
        connectors=(1, 1, 1),
        sessions=(
            Session(1, "UNDEFINED", f"{DAY}08:33:51.404Z", 0, f"{DAY}08:34:18.424Z", 84, "Local", values=2),
            Session(2, "BB2TBR09", f"{DAY}08:33:51.409Z", 0, f"{DAY}08:34:16.427Z", 45, "Local", values=2),
            Session(3, "UNDEFINED", f"{DAY}08:33:54.385Z", 0, f"{DAY}08:34:18.396Z", 33, "Local", values=2),
            Session(3, "BB2TBR09", f"{DAY}08:34:25.401Z", 0, f"{DAY}08:34:38.633Z", 20, "Local", values=1),
            # Stopped twice, a millisecond apart: the first one counts.
            Session(1, "UNDEFINED", f"{DAY}08:34:25.429Z", 0, f"{DAY}08:34:38.632Z", 50, "Local", values=1),
            Session(2, "BB2TBR09", f"{DAY}08:34:26.445Z", 0, f"{DAY}08:34:38.633Z", 12, "Local", values=1),
        ),
        peculiar=(
            "calls_in_parallel", "duplicate_stop", "fraction_of_wh", "register_restarted", "soc_fell",
            "stop_without_reason",
        ),
    ),
    "fuzzer_16_valid": Recorded(
        "FUZZ1",
        "0b8ce812431949e9b59b2be9e84c5ba2abb8cb0dfd10660eb3b4c72f8a15d3c1",
        calls=60,
        connectors=(1,),
        sessions=(
            # All six stops name the first one.
            Session(
                1, "5EvamQlgAVwxDPegkM", f"{DAY}08:31:18.000Z", 1, f"{DAY}08:31:19.000Z", 1, "PowerLoss",
                values=1, after=3,
            ),
            # The next start ends each of the others but the last.
            Session(1, "lGJ", f"{DAY}08:31:20.000Z", 1, is_ours=True),
            Session(1, "DmwjxkiF", f"{DAY}08:31:22.000Z", 1, values=1, unnamed=1, is_ours=True),
            Session(1, "zxhAQT84sV6JiP", f"{DAY}08:31:23.000Z", 1, is_ours=True),
            Session(1, "rfee88gVua", f"{DAY}08:31:25.000Z", 1, is_ours=True),
            Session(1, "Jr34v9x2J", f"{DAY}08:31:26.000Z", 1, values=1, unnamed=1),
        ),
        peculiar=(
            "available_while_open", "boot_while_open", "duplicate_stop", "finishing_skipped",
            "phase_of_other_measurand", "preparing_skipped", "start_while_open", "stop_never_came", "stop_without_reason",
            "stop_without_token", "unit_of_other_measurand", "value_not_a_number", "values_after_stop",
            "values_attached_by_connector",
        ),
        speed=3,
    ),
    "fuzzer_16_wrong_direction": Recorded(
        "FUZZ1",
        "2a2716d917cf495250b3d1b3b19df4bb7d9c85b100701ccbca37c845e3a7a6b3",
        calls=6,
        refused=(
            "Reset", "GetConfiguration", "RemoteStartTransaction", "SetChargingProfile", "ReserveNow", "UpdateFirmware",
        ),
        connectors=(1,),
        peculiar=("action_of_csms", "answer_nobody_asked_for"),
        speed=3,
    ),
    "testocpp_16_boot": Recorded(
        "TESTOCPP", "145ea2423a79cdf8140c0ddf0f29cdf2d10ef58a2b6993311bb262810983eb64", calls=2, speed=1
    ),
}  # fmt: skip
