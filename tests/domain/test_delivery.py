"""Whose turn it is upstream, and what becomes of a message that the CSMS refuses."""

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.domain.delivery import (
    TOGETHER_AT_MOST,
    AfterFailure,
    Company,
    Consequence,
    Head,
    Order,
    RetrySettings,
    Turns,
    after_refusal,
    back_off,
)

NOW = 1000.0


def value(seq: int, ready_at: float = 0.0) -> Head:
    return Head(seq, is_start_or_stop=False, ready_at=ready_at)


def stop(seq: int, ready_at: float = 0.0) -> Head:
    return Head(seq, is_start_or_stop=True, ready_at=ready_at)


def served(turns: Turns, heads: dict[int, Head], count: int) -> list[int | None]:
    """The lanes of the next turns while nothing changes: each served head is followed by an equal one."""
    return [turns.choose(heads, NOW) for _ in range(count)]


# --- fair


def test_in_a_round_starts_and_stops_go_first_and_then_the_oldest():
    heads = {1: value(10), 2: stop(40), 3: value(5), 4: stop(30), 0: value(20)}
    assert served(Turns(), heads, 5) == [4, 2, 3, 1, 0]


def test_a_new_round_begins_when_each_lane_had_its_turn():
    heads = {1: value(10), 2: stop(40), 3: value(5)}
    assert served(Turns(), heads, 7) == [2, 3, 1, 2, 3, 1, 2]


def test_a_lane_with_endless_stops_does_not_hold_up_another_ones_meter_values():
    assert served(Turns(), {1: stop(1), 2: value(1_000_000)}, 6) == [1, 2, 1, 2, 1, 2]


def test_a_lane_alone_is_served_again_and_again():
    assert served(Turns(), {7: value(3)}, 3) == [7, 7, 7]


def test_the_lane_of_the_station_itself_is_one_taker_of_turns_among_others():
    assert served(Turns(), {0: value(1), 1: value(2)}, 4) == [0, 1, 0, 1]


def test_there_is_no_turn_without_a_message():
    assert Turns().choose({}, NOW) is None
    assert Turns(Order.CHRONOLOGICAL).choose({}, NOW) is None


@pytest.mark.parametrize("order", Order)
def test_a_message_may_be_sent_from_the_instant_on_for_which_it_waits(order):
    turns = Turns(order)
    assert turns.choose({1: value(1, NOW + 0.001)}, NOW) is None
    assert turns.choose({1: value(1, NOW)}, NOW) == 1


def test_a_lane_that_backs_off_does_not_hold_up_the_others():
    assert served(Turns(), {1: stop(1, NOW + 60), 2: value(9), 3: value(8)}, 4) == [3, 2, 3, 2]


def test_a_start_that_arrives_in_mid_round_goes_before_the_meter_values_of_that_round():
    turns = Turns()
    heads = {1: value(1), 2: value(2), 3: value(3)}
    assert served(turns, heads, 1) == [1]
    assert served(turns, heads | {4: stop(50)}, 3) == [4, 2, 3]


def test_a_lane_that_had_its_turn_waits_for_the_others_of_the_round_even_with_a_stop():
    turns = Turns()
    heads = {1: value(1), 2: value(2), 3: value(3)}
    assert served(turns, heads, 1) == [1]
    assert served(turns, heads | {1: stop(50)}, 3) == [2, 3, 1]


def test_having_nothing_to_send_for_a_while_is_not_made_up_for():
    turns = Turns()
    assert served(turns, {1: value(1)}, 5) == [1] * 5
    assert served(turns, {1: value(6), 2: value(7)}, 6).count(2) == 3


lanes = st.integers(0, 12)
heads_of = st.dictionaries(
    lanes,
    st.builds(Head, st.integers(1, 10**6), st.booleans(), st.sampled_from([0.0, NOW, NOW + 0.1, NOW + 300])),
    max_size=8,
)


def ready(heads: dict[int, Head]) -> set[int]:
    return {lane for lane, head in heads.items() if head.ready_at <= NOW}


@settings(deadline=None)
@given(st.lists(heads_of, max_size=30))
def test_the_turn_goes_to_a_lane_that_is_ready_whenever_there_is_one(situations):
    turns = Turns()
    for heads in situations:
        chosen = turns.choose(heads, NOW)
        assert chosen in ready(heads) if ready(heads) else chosen is None


@settings(deadline=None)
@given(st.lists(heads_of, max_size=30))
def test_no_lane_gets_a_third_turn_before_one_that_was_ready_all_the_time(situations):
    turns = Turns()
    turns_since: dict[int, Counter[int]] = {}
    """Of each lane that is ready: the others' turns since it last had one, or became ready."""
    for heads in situations:
        turns_since = {lane: turns_since.get(lane, Counter()) for lane in ready(heads)}
        chosen = turns.choose(heads, NOW)
        if chosen is None:
            continue
        turns_since[chosen] = Counter()
        for lane, others in turns_since.items():
            if lane != chosen:
                others[chosen] += 1
                assert max(others.values()) <= 2


@settings(deadline=None)
@given(st.lists(heads_of, max_size=20), st.lists(st.tuples(lanes, st.booleans()), max_size=8), lanes)
def test_a_lane_that_becomes_ready_late_is_served_within_one_round(before, others, late):
    turns = Turns()
    for heads in before:
        if late in heads:
            del heads[late]
        turns.choose(heads, NOW)
    heads = {lane: Head(100 + lane, is_first, 0.0) for lane, is_first in others} | {late: value(10**7)}
    assert late in served(turns, heads, len(heads))


@settings(deadline=None)
@given(st.dictionaries(lanes, st.lists(st.booleans(), min_size=1, max_size=6), max_size=6))
def test_a_backlog_drains_completely_each_lane_in_its_order_and_none_more_than_one_turn_ahead(backlog):
    """As the sender does it: the caller shows the head of each lane, and takes it away when it is sent."""
    seqs = iter(range(10**6))
    queues = {lane: deque(Head(next(seqs), is_first, 0.0) for is_first in kinds) for lane, kinds in backlog.items()}
    turns, sent = Turns(), Counter()
    for _ in range(sum(map(len, backlog.values()))):
        heads = {lane: queue[0] for lane, queue in queues.items() if queue}
        chosen = turns.choose(heads, NOW)
        assert chosen is not None
        queues[chosen].popleft()
        sent[chosen] += 1
        waiting = [sent[lane] for lane in heads]
        assert max(waiting) - min(waiting) <= 1
    assert turns.choose({}, NOW) is None
    assert sent == {lane: len(kinds) for lane, kinds in backlog.items()}


@settings(deadline=None)
@given(heads_of)
def test_choosing_changes_nothing_of_what_it_was_shown(heads):
    before = dict(heads)
    Turns().choose(heads, NOW)
    assert heads == before


def test_the_next_time_to_look_is_when_the_first_lane_may_be_served():
    assert Turns().next_ready({1: value(1, 50.0), 2: stop(2, 40.0), 3: value(3, 60.0)}) == 40.0
    assert [Turns(order).next_ready({}) for order in Order] == [None, None]


# --- chronological


def test_chronological_serves_by_age_alone():
    heads = {1: stop(10), 2: value(5), 3: stop(7)}
    assert served(Turns(Order.CHRONOLOGICAL), heads, 3) == [2, 2, 2]
    assert served(Turns(Order.CHRONOLOGICAL), {1: stop(10), 3: stop(7)}, 1) == [3]


@settings(deadline=None)
@given(heads_of)
def test_chronological_holds_everything_behind_the_oldest(heads):
    oldest = min(heads, key=lambda lane: heads[lane].seq, default=None)
    chosen = Turns(Order.CHRONOLOGICAL).choose(heads, NOW)
    if oldest is None or heads[oldest].ready_at > NOW:
        assert chosen is None
    else:
        assert chosen is not None
        assert heads[chosen].seq == heads[oldest].seq


def test_chronological_looks_again_when_the_oldest_may_be_served():
    heads = {1: value(1, NOW + 300.0), 2: value(2, 0.0)}
    turns = Turns(Order.CHRONOLOGICAL)
    assert turns.choose(heads, NOW) is None
    assert turns.next_ready(heads) == NOW + 300.0


@settings(deadline=None)
@given(heads_of)
def test_after_nothing_could_be_chosen_fair_does_not_look_again_at_once(heads):
    turns = Turns()
    if heads and turns.choose(heads, NOW) is None:
        next_ready = turns.next_ready(heads)
        assert next_ready is not None
        assert next_ready > NOW
        assert turns.choose(heads, next_ready) is not None


# --- refusals

SETTINGS = RetrySettings(attempts=3, interval=60.0)


@pytest.mark.parametrize(
    ("attempts", "is_repairable", "was_repaired", "expected"),
    [
        # 1.6 §3.7.1: send, 60 s, send, 120 s, send, and we park where it would drop
        (1, False, False, AfterFailure(Consequence.RETRY, 60.0)),
        (2, False, False, AfterFailure(Consequence.RETRY, 120.0)),
        (3, False, False, AfterFailure(Consequence.PARK)),
        (4, False, False, AfterFailure(Consequence.PARK)),
        # decided.md: once more without what the schema forbids, then parked
        (1, True, False, AfterFailure(Consequence.SEND_WITHOUT_FORBIDDEN)),
        (3, True, False, AfterFailure(Consequence.SEND_WITHOUT_FORBIDDEN)),
        (9, True, False, AfterFailure(Consequence.SEND_WITHOUT_FORBIDDEN)),
        (2, False, True, AfterFailure(Consequence.PARK)),
        (2, True, True, AfterFailure(Consequence.PARK)),
        (1, True, True, AfterFailure(Consequence.PARK)),
    ],
)
def test_a_refused_message_is_repeated_repaired_or_parked(attempts, is_repairable, was_repaired, expected):
    after = after_refusal(attempts, is_repairable=is_repairable, was_repaired=was_repaired, settings=SETTINGS)
    assert after == expected


@settings(deadline=None)
@given(st.integers(1, 50), st.floats(0, 1e6), st.booleans())
def test_a_message_that_is_always_refused_is_parked_after_a_bounded_number_of_attempts(most, interval, is_repairable):
    keys, was_repaired = RetrySettings(most, interval), False
    for attempt in range(1, most + 3):
        after = after_refusal(attempt, is_repairable=is_repairable, was_repaired=was_repaired, settings=keys)
        if after.consequence is Consequence.PARK:
            break
        was_repaired = was_repaired or after.consequence is Consequence.SEND_WITHOUT_FORBIDDEN
    assert after == AfterFailure(Consequence.PARK)
    assert attempt == (2 if is_repairable else most)


def test_attempts_and_interval_are_those_of_ocpp_rules_e6_unless_the_csms_says_otherwise():
    assert RetrySettings() == RetrySettings(attempts=5, interval=60.0)


def test_what_is_repaired_or_parked_waits_for_nothing():
    for was_repaired in (False, True):
        assert after_refusal(1, is_repairable=True, was_repaired=was_repaired, settings=SETTINGS).wait == 0.0


def test_orders_are_spelled_as_in_the_configuration_file():
    assert [str(order) for order in Order] == ["fair", "chronological"]


def test_back_off_doubles_from_five_seconds_to_five_minutes():
    assert [back_off(failures) for failures in range(1, 10)] == [5, 10, 20, 40, 80, 160, 300, 300, 300]


@settings(deadline=None)
@given(st.integers(1, 10**18))
def test_back_off_goes_on_for_ever_and_never_gets_shorter(failures):
    assert 5.0 <= back_off(failures) <= back_off(failures + 1) <= 300.0


# --- company


def test_a_refused_message_is_halved_and_after_another_refusal_values_go_alone():
    company = Company()
    assert company.most == TOGETHER_AT_MOST == 20
    company.refused(20)
    assert company.most == 10
    company.refused(10)
    assert company.most == 1


def test_a_cloud_that_takes_half_of_them_goes_on_getting_half():
    company = Company()
    company.refused(20)
    company.taken()
    assert company.most == 10
    company.refused(10)
    assert company.most == 5


def test_a_value_that_is_refused_alone_too_clears_its_company():
    company = Company()
    company.refused(20)
    company.refused(10)
    company.cleared()
    assert company.most == 20
    company.refused(20)
    assert company.most == 10


def test_one_message_without_an_answer_proves_nothing_and_the_second_in_a_row_halves():
    company = Company()
    company.unanswered(20)
    assert company.most == 20
    company.taken()
    company.unanswered(20)
    assert company.most == 20
    company.unanswered(20)
    assert company.most == 10
    for entries in (10, 5, 2, 1):
        company.unanswered(entries)
    assert company.most == 1


def test_a_new_connection_tries_again_what_was_refused_but_not_what_had_ended_the_last_one():
    refused, hung_up = Company(), Company()
    refused.refused(20)
    refused.begin()
    assert refused.most == 20
    for _ in range(2):
        hung_up.begin()
        hung_up.unanswered(20)
    hung_up.begin()
    assert hung_up.most == 10
    hung_up.taken()
    assert hung_up.most == 10
    hung_up.begin()
    assert hung_up.most == 20  # the connection that had taken some ended for another reason


def test_values_that_had_to_go_alone_get_company_again_little_by_little():
    company = Company()
    for _ in range(2):
        company.begin()
        company.unanswered(2)
    company.begin()
    assert company.most == 1  # nothing was taken yet
    company.taken_alone()
    assert company.most == 1
    company.begin()
    assert company.most == 2
    company.taken()
    company.begin()
    assert company.most == 20


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["refused", "unanswered", "taken", "cleared", "begin"]), st.integers(1, 20))))
def test_company_is_always_between_alone_and_twenty_and_refusals_without_an_end_lead_to_alone(events):
    company = Company()
    for name, entries in events:
        getattr(company, name)(*([entries] if name in {"refused", "unanswered"} else []))
        assert 1 <= company.most <= TOGETHER_AT_MOST
    for _ in range(2):
        company.refused(company.most)
    assert company.most == 1


# --- what comes next


@settings(deadline=None)
@given(st.lists(heads_of, max_size=10), heads_of, st.sampled_from(list(Order)))
def test_what_is_said_to_come_first_is_what_is_chosen(before, heads, order):
    turns = Turns(order)
    for earlier in before:
        turns.choose(earlier, NOW)
    to_come = [lane for lane in turns.to_come(heads) if heads[lane].ready_at <= NOW]
    chosen = turns.choose(heads, NOW)
    if order is Order.FAIR:
        assert chosen == (to_come[0] if to_come else None)
        assert sorted(to_come) == sorted(ready(heads))
    elif to_come:
        assert heads[to_come[0]].seq == heads[chosen].seq
