"""Who may charge: the table of ocpp-rules.md F.5 for a start, under each `[authorization] offline`."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.authorization import (
    Decision,
    OfflinePolicy,
    Source,
    TokenEntry,
    UplinkState,
    Verdict,
    decide,
    from_verdict,
    is_cacheable,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
GOOD = TokenEntry("Accepted", NOW + timedelta(seconds=1))
WITHOUT_END = TokenEntry("Accepted")
BLOCKED = TokenEntry("Blocked")
EXPIRED = TokenEntry("Accepted", NOW)

UP, DOWN, SILENT = UplinkState.UP, UplinkState.DOWN, UplinkState.SILENT
LIST, LIST_AND_CACHE = OfflinePolicy.LIST, OfflinePolicy.LIST_AND_CACHE
EVERYONE, NOBODY = OfflinePolicy.EVERYONE, OfflinePolicy.NOBODY

ASK = Decision(Verdict.ASK, "Invalid", Source.CSMS)
BY_LIST = Decision(Verdict.ACCEPT, "Accepted", Source.LIST)
BY_CACHE = Decision(Verdict.ACCEPT, "Accepted", Source.CACHE)
BY_POLICY = Decision(Verdict.ACCEPT, "Accepted", Source.POLICY)
NOT_BY_POLICY = Decision(Verdict.REFUSE, "Invalid", Source.POLICY)


def refused(status: str, source: Source) -> Decision:
    return Decision(Verdict.REFUSE, status, source)


@pytest.mark.parametrize("policy", OfflinePolicy)
@pytest.mark.parametrize(
    ("listed", "cached", "expected"),
    [
        (GOOD, None, BY_LIST),
        (WITHOUT_END, None, BY_LIST),
        (BLOCKED, None, ASK),
        (EXPIRED, None, ASK),
        (None, GOOD, BY_CACHE),
        (None, WITHOUT_END, BY_CACHE),
        (None, EXPIRED, ASK),
        (None, BLOCKED, ASK),
        (None, None, ASK),
        (GOOD, BLOCKED, BY_LIST),
        (BLOCKED, GOOD, ASK),
        (EXPIRED, GOOD, ASK),
    ],
)
def test_with_the_uplink_up_whoever_is_known_as_accepted_charges_at_once_and_the_csms_is_asked_about_all_others(
    listed, cached, policy, expected
):
    assert decide(listed, cached, policy, UP, NOW) == expected


@pytest.mark.parametrize("uplink", [DOWN, SILENT])
@pytest.mark.parametrize(
    ("listed", "cached", "by_policy"),
    [
        # listed, cached, {policy: what is decided}
        (GOOD, None, {LIST: BY_LIST, LIST_AND_CACHE: BY_LIST, EVERYONE: BY_LIST}),
        (WITHOUT_END, None, {LIST: BY_LIST, LIST_AND_CACHE: BY_LIST, EVERYONE: BY_LIST}),
        (BLOCKED, None, dict.fromkeys((LIST, LIST_AND_CACHE, EVERYONE), refused("Blocked", Source.LIST))),
        (EXPIRED, None, dict.fromkeys((LIST, LIST_AND_CACHE, EVERYONE), refused("Expired", Source.LIST))),
        (None, GOOD, {LIST: NOT_BY_POLICY, LIST_AND_CACHE: BY_CACHE, EVERYONE: BY_CACHE}),
        (None, WITHOUT_END, {LIST: NOT_BY_POLICY, LIST_AND_CACHE: BY_CACHE, EVERYONE: BY_CACHE}),
        (
            None,
            EXPIRED,  # once valid, over by time: MUST be refused, also under `everyone` (1.6 §3.5.4)
            {
                LIST: NOT_BY_POLICY,
                LIST_AND_CACHE: refused("Expired", Source.CACHE),
                EVERYONE: refused("Expired", Source.CACHE),
            },
        ),
        (
            None,
            BLOCKED,
            {
                LIST: NOT_BY_POLICY,
                LIST_AND_CACHE: refused("Blocked", Source.CACHE),
                EVERYONE: refused("Blocked", Source.CACHE),
            },
        ),
        (None, None, {LIST: NOT_BY_POLICY, LIST_AND_CACHE: NOT_BY_POLICY, EVERYONE: BY_POLICY}),
        (GOOD, BLOCKED, {LIST: BY_LIST, LIST_AND_CACHE: BY_LIST, EVERYONE: BY_LIST}),
        (BLOCKED, GOOD, dict.fromkeys((LIST, LIST_AND_CACHE, EVERYONE), refused("Blocked", Source.LIST))),
    ],
)
@pytest.mark.parametrize("policy", OfflinePolicy)
def test_without_an_answer_of_the_csms_the_policy_decides_and_a_silent_csms_is_as_good_as_none(
    listed, cached, by_policy, policy, uplink
):
    expected = NOT_BY_POLICY if policy is NOBODY else by_policy[policy]
    assert decide(listed, cached, policy, uplink, NOW) == expected


entries = st.none() | st.builds(
    TokenEntry,
    st.sampled_from(["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx", "nonsense", ""]),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)


@settings(deadline=None)
@given(entries, entries, st.sampled_from(OfflinePolicy), st.sampled_from([DOWN, SILENT]))
def test_nobody_is_asked_when_nobody_can_answer(listed, cached, policy, uplink):
    assert decide(listed, cached, policy, uplink, NOW).verdict is not Verdict.ASK


@settings(deadline=None)
@given(entries, entries, st.sampled_from(OfflinePolicy), st.sampled_from(UplinkState))
def test_nobody_charges_whose_known_entry_says_otherwise(listed, cached, policy, uplink):
    known = cached if listed is None else listed
    if known is not None and (known.status != "Accepted" or (known.expires_at or NOW + timedelta(1)) <= NOW):
        assert decide(listed, cached, policy, uplink, NOW).verdict is not Verdict.ACCEPT


@settings(deadline=None)
@given(entries, entries, st.sampled_from(OfflinePolicy), st.sampled_from(UplinkState))
def test_what_the_charger_is_told_says_accepted_exactly_when_the_driver_may_charge(listed, cached, policy, uplink):
    decision = decide(listed, cached, policy, uplink, NOW)
    assert (decision.status == "Accepted") == (decision.verdict is Verdict.ACCEPT)


@settings(deadline=None)
@given(entries, entries, entries, st.sampled_from(OfflinePolicy), st.sampled_from(UplinkState))
def test_the_cache_does_not_matter_for_a_token_of_the_list(listed, cached, other, policy, uplink):
    if listed is not None:
        assert decide(listed, cached, policy, uplink, NOW) == decide(listed, other, policy, uplink, NOW)


@settings(deadline=None)
@given(entries, entries, st.sampled_from([DOWN, SILENT]))
def test_a_wider_policy_never_refuses_whom_a_narrower_one_lets_charge(listed, cached, uplink):
    accepts = [
        decide(listed, cached, policy, uplink, NOW).verdict is Verdict.ACCEPT
        for policy in (NOBODY, LIST, LIST_AND_CACHE, EVERYONE)
    ]
    assert accepts == sorted(accepts)


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (None, "Accepted"),
        (NOW + timedelta(microseconds=1), "Accepted"),
        (NOW, "Expired"),
        (NOW - timedelta(microseconds=1), "Expired"),
        (NOW.astimezone(timezone(timedelta(hours=5))), "Expired"),
    ],
)
def test_an_entry_is_expired_from_the_instant_that_it_names(expires_at, expected):
    assert TokenEntry("Accepted", expires_at).status_at(NOW) == expected


def test_what_the_csms_answers_is_what_the_driver_gets():
    assert from_verdict("Accepted") == Decision(Verdict.ACCEPT, "Accepted", Source.CSMS)
    assert from_verdict("Blocked") == refused("Blocked", Source.CSMS)
    assert from_verdict("ConcurrentTx") == refused("ConcurrentTx", Source.CSMS)


def test_only_a_verdict_on_the_running_transaction_is_not_remembered():
    statuses = ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
    assert [status for status in statuses if not is_cacheable(status)] == ["ConcurrentTx"]


def test_policies_are_spelled_as_in_the_configuration_file():
    assert [str(policy) for policy in OfflinePolicy] == ["list", "list-and-cache", "everyone", "nobody"]


def test_who_decided_and_what_is_spelled_as_the_interface_and_the_journal_have_it():
    assert [str(source) for source in Source] == ["list", "cache", "csms", "policy", "operator"]
    assert [str(verdict) for verdict in Verdict] == ["accept", "refuse", "ask"]
