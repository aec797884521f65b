"""How things are named to people, and how failures of the world read."""

import pytest

from edge.domain.ids import ChargerId, ConnectorRef, TransactionNo, session_name, transaction_named
from edge.domain.ports import CallTimedOut, ChargerOffline, EdgeError, LinkLost, PeerRefused, UplinkDown, Urgency


def test_people_know_a_transaction_as_s_and_its_number():
    assert session_name(TransactionNo(42)) == "S42"
    assert transaction_named("S42") == transaction_named("s42") == TransactionNo(42)


@pytest.mark.parametrize("name", ["", "S", "42", "T42", "S4x", "S-1", "S\u00b2", "S" + "9" * 19])
def test_what_is_no_name_of_a_session_names_none(name: str) -> None:
    assert transaction_named(name) is None


def test_people_know_a_connector_by_its_charger_and_the_chargers_own_number():
    assert str(ConnectorRef(ChargerId("CP-01"), evse=2, connector=3)) == "CP-01/3"


def test_a_refusal_keeps_the_peers_code_and_words_apart():
    refusal = PeerRefused("NotSupported", "no such thing")
    assert (refusal.code, refusal.description, str(refusal)) == (
        "NotSupported",
        "no such thing",
        "NotSupported: no such thing",
    )
    assert str(PeerRefused("InternalError", "")) == "InternalError"


def test_each_way_in_which_the_world_fails_can_be_caught_as_one_kind():
    failures = (ChargerOffline, CallTimedOut, PeerRefused, LinkLost, UplinkDown)
    assert all(issubclass(failure, EdgeError) for failure in failures)


def test_commands_for_one_charger_go_in_the_order_of_the_architecture():
    # flow (ii) 5: lowered limit, remote stop, raised limit, other commands, configuration
    names = [urgency.name for urgency in sorted(Urgency)]
    assert names == ["LOWER_LIMIT", "REMOTE_STOP", "RAISE_LIMIT", "COMMAND", "CONFIGURATION"]
