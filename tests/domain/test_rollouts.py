"""Rollouts of firmware: what a charger's words mean, and whom to ask next."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain.rollouts import (
    FETCHES,
    LONGEST_DOWNLOAD_MS,
    MOST_REQUESTS,
    PATIENCE_MS,
    SIGN_EVERY_MS,
    Member,
    Policy,
    Progress,
    Step,
    Window,
    Wish,
    after_boot,
    after_look,
    after_silence,
    after_status,
    after_taking,
    as_json,
    combined,
    from_json,
    has_stopped,
    is_over,
    next_to_ask,
    parsed_window,
)

UNDER_WAY = [step for step in Step if step.is_under_way]
STATUSES = ["Idle", "Downloading", "Downloaded", "Installing", "Installed", "DownloadFailed", "InstallationFailed", "?"]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(step: Step, **others) -> Progress:
    return Progress(step, 1000, **{"requests": 1, "version_before": "1.0", **others})


def member(step: Step = Step.WAITING, name: str = "CP", *, is_online: bool = True, is_idle: bool = True) -> Member:
    return Member(name, step, is_online, is_idle)


@pytest.mark.parametrize(
    ("step", "status", "after"),
    [
        (Step.ASKED, "Downloading", Step.DOWNLOADING),
        (Step.ASKED, "Installing", Step.INSTALLING),
        (Step.DOWNLOADING, "Downloading", Step.DOWNLOADING),
        (Step.DOWNLOADED, "Downloading", Step.DOWNLOADED),
        (Step.INSTALLING, "Downloaded", Step.INSTALLING),
        (Step.INSTALLING, "Installed", Step.INSTALLING),
        (Step.ASKED, "Idle", Step.ASKED),
        (Step.ASKED, "Nonsense", Step.ASKED),
        (Step.INSTALLING, "InstallationFailed", Step.FAILED),
        (Step.DOWNLOADING, "DownloadFailed", Step.WAITING),
        (Step.INSTALLING, "DownloadFailed", Step.FAILED),
        (Step.WAITING, "Installed", Step.WAITING),
        (Step.INSTALLED, "InstallationFailed", Step.INSTALLED),
        (Step.FAILED, "Downloading", Step.FAILED),
        (Step.SKIPPED, "Downloading", Step.SKIPPED),
    ],
)
def test_a_status_moves_a_charger_on_and_never_back(step, status, after):
    assert after_status(at(step), status, 2000).step is after


@pytest.mark.parametrize(
    ("step", "version", "wanted", "after"),
    [
        (Step.INSTALLING, "1.1", "1.1", Step.INSTALLED),
        (Step.ASKED, "1.1", "1.1", Step.INSTALLED),
        (Step.INSTALLING, "1.1", None, Step.INSTALLED),
        (Step.INSTALLING, "1.2", "1.1", Step.FAILED),
        (Step.INSTALLING, "1.0", "1.1", Step.INSTALLING),
        (Step.INSTALLING, "1.0", None, Step.INSTALLING),
        (Step.DOWNLOADING, "1.0", "1.1", Step.RESTARTED),
        (Step.ASKED, "1.0", None, Step.RESTARTED),
        (Step.INSTALLING, None, "1.1", Step.INSTALLING),
        (Step.WAITING, "1.1", "1.1", Step.WAITING),
        (Step.FAILED, "1.1", "1.1", Step.FAILED),
    ],
)
def test_only_a_boot_with_the_version_proves_it(step, version, wanted, after):
    now = after_boot(at(step), version, wanted, 2000)
    assert now.step is after
    assert (now.version is not None) is (after is Step.INSTALLED or version == "1.2")


def test_where_no_version_is_known_nothing_is_proven():
    now = Progress(Step.INSTALLING, 1000, 1, None)
    assert after_boot(now, "1.1", None, 2000).step is Step.INSTALLING


@pytest.mark.parametrize("step", UNDER_WAY)
def test_who_is_asked_without_a_known_version_is_not_asked_again_because_it_says_one(step):
    assert after_boot(Progress(step, 1000, 1, None), "1.0", None, 2000).step is step


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (Step.ASKED, "DownloadScheduled"),
        (Step.DOWNLOADED, "InstallScheduled"),
        (Step.INSTALLING, "Installing"),
        (Step.INSTALLING, "Installed"),
    ],
)
def test_who_says_the_same_for_ever_is_not_waited_for_as_long(step, status):
    now = at(step)
    for at_ms in range(1000, 1000 + PATIENCE_MS[step], 60_000):
        now = after_boot(after_status(now, status, at_ms), None if step is Step.ASKED else "1.0", "1.1", at_ms)
    assert after_silence(now, now.since_ms, 1000 + PATIENCE_MS[step], 1000).step is Step.FAILED


def test_a_download_may_take_long_as_long_as_it_goes_on():
    assert after_status(at(Step.DOWNLOADING), "Downloading", 5000).since_ms == 5000


def test_a_download_does_not_go_on_for_ever():
    now = at(Step.DOWNLOADING, asked_ms=1000)
    for at_ms in range(2000, 1000 + LONGEST_DOWNLOAD_MS, 60_000):
        now = after_status(now, "Downloading", at_ms)
        assert after_silence(now, now.since_ms, at_ms, now.asked_ms) == now
    given_up = after_silence(now, now.since_ms, 1000 + LONGEST_DOWNLOAD_MS, now.asked_ms)
    assert given_up.step is Step.FAILED and "6 hours" in str(given_up.why)


@pytest.mark.parametrize("step", [Step.ASKED, Step.RESTARTED, Step.DOWNLOADING])
def test_who_has_taken_the_whole_file_may_be_flashing_whatever_it_says(step):
    now = after_taking(at(step), 2000, is_whole=True, is_more=False)
    assert (now.step, now.since_ms) == (Step.DOWNLOADED, 2000)
    again = after_boot(now, "1.0", "1.1", 3000)
    assert after_silence(again, again.since_ms, 2000 + PATIENCE_MS[Step.DOWNLOADED], 1000).step is Step.FAILED


def test_who_takes_it_in_silence_is_downloading():
    for step in (Step.ASKED, Step.RESTARTED):
        assert after_taking(at(step), 2000, is_whole=False, is_more=True).step is Step.DOWNLOADING
        assert after_taking(at(step), 2000, is_whole=False, is_more=False) == at(step)
    now = at(Step.DOWNLOADING)
    assert after_taking(now, 2000, is_whole=False, is_more=True) == now  # noted a second ago
    assert after_taking(now, 1000 + SIGN_EVERY_MS, is_whole=False, is_more=True).since_ms == 1000 + SIGN_EVERY_MS


@pytest.mark.parametrize("step", [step for step in Step if step not in FETCHES])
def test_what_was_taken_changes_nothing_for_others(step):
    assert after_taking(at(step), 2000, is_whole=True, is_more=True) == at(step)


def test_a_charger_gets_a_second_chance_and_no_third():
    later = 2000 + PATIENCE_MS[Step.RESTARTED]
    first = after_boot(at(Step.DOWNLOADING, requests=1), "1.0", "1.1", 2000)
    last = after_boot(at(Step.DOWNLOADING, requests=MOST_REQUESTS), "1.0", "1.1", 2000)
    assert after_silence(first, 2000, later - 1, 1000).step is Step.RESTARTED
    assert after_silence(first, 2000, later, 1000).step is Step.WAITING
    assert after_silence(last, 2000, later, 1000).step is Step.FAILED
    assert "restarted" in str(after_silence(last, 2000, later, 1000).why)


@pytest.mark.parametrize("status", ["Downloading", "Downloaded", "Installing"])
def test_a_boot_that_was_only_a_new_connection_costs_nothing(status):
    """Many chargers send a BootNotification whenever they connect, and their download goes on."""
    now = after_status(after_boot(at(Step.DOWNLOADING), "1.0", "1.1", 2000), status, 3000)
    assert now.step.value == status.lower()
    assert after_silence(now, 3000, 3000 + PATIENCE_MS[Step.RESTARTED], 1000).step is now.step


@pytest.mark.parametrize(
    ("before", "version", "wanted", "after"),
    [
        (None, "1.1", "1.1", Step.INSTALLED),
        ("1.0", "1.1", "1.1", Step.INSTALLED),
        ("1.0", "1.1", None, Step.INSTALLED),
        ("1.0", "1.0", None, Step.WAITING),
        (None, "1.0", "1.1", Step.WAITING),
        (None, "1.0", None, Step.WAITING),
        ("1.0", None, "1.1", Step.WAITING),
    ],
)
def test_who_runs_it_already_need_not_be_asked(before, version, wanted, after):
    now = after_look(Progress(Step.WAITING, 1000, 0, before), version, wanted, 2000)
    assert (now.step, now.version) == (after, version if after is Step.INSTALLED else None)


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.WAITING])
def test_looking_changes_nothing_for_those_who_do_not_wait(step):
    assert after_look(at(step), "1.1", "1.1", 2000) == at(step)


@pytest.mark.parametrize("step", [step for step in UNDER_WAY if step is not Step.RESTARTED])
def test_silence_is_a_failure_after_a_while(step):
    patience = PATIENCE_MS[step]
    assert after_silence(at(step), 1000, 1000 + patience - 1, 1000).step is step
    given_up = after_silence(at(step), 1000, 1000 + patience, 1000)
    assert given_up.step is Step.FAILED and "may still" in str(given_up.why)


@pytest.mark.parametrize("step", [step for step in Step if not step.is_under_way])
def test_who_is_not_at_it_may_be_silent(step):
    assert after_silence(at(step), 1000, 10**12, 1000).step is step


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("status"), st.sampled_from(STATUSES)),
            st.tuples(st.just("boot"), st.sampled_from(["1.0", "1.1", "2.0", None])),
            st.tuples(st.just("silence"), st.none()),
        ),
        max_size=30,
    )
)
def test_who_may_be_flashing_is_not_asked_again(heard):
    """Whatever comes in whatever order: back to waiting only by DownloadFailed, or by a boot before the download."""
    now = at(Step.ASKED)
    for number, (kind, what) in enumerate(heard):
        before, at_ms = now, 2000 + number
        if kind == "status":
            now = after_status(before, str(what), at_ms)
        elif kind == "boot":
            now = after_boot(before, what, "1.1", at_ms)
        else:
            now = after_silence(before, before.since_ms, at_ms + 10**9, 1000)
        if now.step is Step.WAITING and before.step is not Step.WAITING:
            is_refused = kind == "status" and what == "DownloadFailed"
            assert is_refused or (kind == "silence" and before.step is Step.RESTARTED)
        if before.step.is_final:
            assert now == before


# --- whom to ask


def test_the_canary_goes_alone_and_the_wave_follows():
    policy = Policy(canary=1, wave=3)
    crowd = [member(name=f"CP-{number}") for number in range(6)]
    assert next_to_ask(crowd, policy, NOON) == ["CP-0"]
    crowd[0] = member(Step.INSTALLING, "CP-0")
    assert next_to_ask(crowd, policy, NOON) == []
    crowd[0] = member(Step.INSTALLED, "CP-0")
    assert next_to_ask(crowd, policy, NOON) == ["CP-1", "CP-2", "CP-3"]
    crowd[1] = member(Step.DOWNLOADING, "CP-1")
    assert next_to_ask(crowd, policy, NOON) == ["CP-2", "CP-3"]


def test_nobody_is_asked_who_charges_or_is_away():
    crowd = [member(name="A", is_idle=False), member(name="B", is_online=False), member(name="C")]
    assert next_to_ask(crowd, Policy(canary=0, wave=9), NOON) == ["C"]


def test_a_failure_stops_the_rest_and_ends_it_when_nobody_is_at_it():
    crowd = [member(Step.FAILED), member(Step.INSTALLING), member()]
    assert has_stopped(crowd, Policy()) and next_to_ask(crowd, Policy(), NOON) == []
    assert not is_over(crowd, Policy())
    assert is_over([member(Step.FAILED), member(Step.INSTALLED), member()], Policy())
    assert not is_over([member(Step.FAILED), member()], Policy(stop_after=2))


@pytest.mark.parametrize(
    ("window", "hour", "holds"),
    [("01:00-04:00", 2, True), ("01:00-04:00", 4, False), ("22:00-04:00", 23, True), ("22:00-04:00", 3, True),
     ("22:00-04:00", 12, False)],
)  # fmt: skip
def test_a_window_may_reach_over_midnight(window, hour, holds):
    local = NOON.replace(hour=hour)
    assert parsed_window(window).holds(local) is holds
    asked = next_to_ask([member(name="A")], Policy(window=parsed_window(window)), local)
    assert asked == (["A"] if holds else [])


def test_more_first_ones_than_may_be_at_it_take_turns():
    assert next_to_ask([member(Step.ASKED), member(name="B"), member(name="C")], Policy(canary=3, wave=1), NOON) == []


@given(st.lists(st.builds(Member, st.text(), st.sampled_from(Step), st.booleans(), st.booleans())), st.builds(
    Policy, st.integers(0, 5), st.integers(1, 9), st.integers(1, 9)
))  # fmt: skip
def test_never_more_at_a_time_than_the_policy_says(members, policy):
    asked = next_to_ask(members, policy, NOON)
    under_way = sum(one.step.is_under_way for one in members)
    assert len(asked) <= max(0, policy.wave - under_way)
    if sum(one.step is Step.INSTALLED for one in members) < policy.canary:
        assert len(asked) + under_way <= max(policy.canary, under_way)
    if is_over(members, policy):
        assert asked == []


@pytest.mark.parametrize(
    ("steps", "one"),
    [
        ([Step.INSTALLED, Step.INSTALLED], Step.INSTALLED),
        ([Step.INSTALLED, Step.FAILED], Step.FAILED),
        ([Step.INSTALLED, Step.DOWNLOADING, Step.FAILED], Step.DOWNLOADING),
        ([Step.INSTALLING, Step.WAITING], Step.WAITING),
        ([Step.INSTALLED, Step.SKIPPED], Step.INSTALLED),
        ([Step.SKIPPED, Step.SKIPPED], Step.FAILED),
        ([], Step.FAILED),
    ],
)
def test_one_step_for_all_is_the_least_advanced(steps, one):
    assert combined(steps) is one


def test_a_wish_is_the_same_after_it_was_stored():
    wish = Wish("https://a.example/x", "1.1", "ab" * 32, 77, 66, Policy(2, 7, 3, Window(time(22), time(4, 30))))
    assert from_json(as_json(wish)) == wish
    assert from_json({"location": "https://a.example/x"}) == Wish("https://a.example/x")


@pytest.mark.parametrize(
    "asked",
    [{}, {"location": 7}, {"location": "x", "wave": 0}, {"location": "x", "canary": -1}, {"location": "x", "wave": True},
     {"location": "x", "window": "late"}, {"location": "x", "version": 1}, {"location": "x", "window": "01:00-01:00"},
     {"location": "x", "sha256": "ab"}, {"location": "x", "window": "01:00+02:00-04:00"}, {"location": "x", "window": "25:00-04:00"}],
)  # fmt: skip
def test_a_wish_that_is_none_is_said(asked):
    with pytest.raises(ValueError, match=r"\w"):
        from_json(asked)
