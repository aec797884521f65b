"""What became of a command is told from what was stored around it."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain.obedience import Asked, Began, Fate, Linked, Outcome, Reply, Seen, Sent, fates

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
YES, NO = Reply(is_accepted=True, words="Accepted"), Reply(is_accepted=False, words="Rejected")
START, STOP = "RemoteStartTransaction", "RemoteStopTransaction"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


LATER = at(3600)


def asked(seq: int = 1, seconds: float = 0, action: str = START, **more) -> Asked:
    return Asked(seq, at(seconds), action, "the cloud", **more)


def sent(seq: int = 2, seconds: float = 1, action: str = START, cause: int | None = 1, **more) -> Sent:
    return Sent(seq, at(seconds), action, cause, **{"reply": YES, **more})


def only(seen: Seen, now: datetime = LATER) -> Fate:
    (fate,) = fates(seen, now)
    return fate


def test_a_command_that_was_done_is_no_finding():
    began = [Began(at(30), 1, "a")]
    assert fates(Seen([asked(reply=YES)], [sent(token="A", connector=2)], began), LATER) == []
    assert fates(Seen([asked(action=STOP)], [sent(action=STOP, session="S1")], stopped={"S1": at(40)}), LATER) == []
    assert fates(Seen([asked(action="Reset")], [sent(action="Reset")]), LATER) == []
    assert fates(Seen([asked(reply=YES)]), LATER) == []  # it charged already


def test_what_was_refused_and_never_sent_was_not_sent():
    fate = only(Seen([asked(reply=NO)], links=[Linked(at(-60), is_open=True), Linked(at(-5), is_open=False)]))
    assert (fate.outcome, fate.at, fate.entries) == (Outcome.NOT_SENT, NOON, ("1", "1a"))
    assert fate.why == "the charger was not connected; the cloud was told Rejected"
    connected = only(Seen([asked(reply=NO)], links=[Linked(at(-60), is_open=True)]))
    assert connected.why == "it was never sent to the charger; the cloud was told Rejected"


def test_before_the_first_connection_that_is_known_it_was_not_connected():
    assert "not connected" in only(Seen([asked(reply=NO)], links=[Linked(at(9), is_open=True)])).why
    assert "never sent" in only(Seen([asked(reply=NO)], links=[Linked(at(9), is_open=False)])).why


def test_a_command_without_any_answer_may_still_be_under_way():
    assert fates(Seen([asked()]), at(30)) == []
    fate = only(Seen([asked()]))
    assert (fate.outcome, fate.entries, fate.why) == (Outcome.NOT_SENT, ("1",), "it was never sent to the charger")


def test_what_the_station_could_not_do_is_its_own_refusal():
    fate = only(Seen([asked(reply=NO, is_for_charger=False)]))
    assert (fate.outcome, fate.is_declined) == (Outcome.REFUSED, True)
    assert fates(Seen([asked(reply=YES, is_for_charger=False)]), LATER) == []


def test_no_answer_is_told_with_its_cause():
    fate = only(Seen([asked()], [sent(seconds=20, reply=None)]))
    assert (fate.outcome, fate.at, fate.entries) == (Outcome.UNANSWERED, NOON, ("1", "2"))
    assert fate.why == "no answer came in time"
    cut = only(Seen([asked()], [sent(seconds=20, reply=None)], links=[Linked(at(21), is_open=False)]))
    assert cut.why == "the connection ended before an answer came"


def test_a_refusal_is_told_with_the_chargers_words():
    fate = only(Seen([asked()], [sent(reply=NO)]))
    assert (fate.outcome, fate.why, fate.entries) == (
        Outcome.REFUSED,
        "the charger answered Rejected",
        ("1", "2", "2a"),
    )


def test_a_command_of_our_own_has_the_time_of_its_answer():
    fate = only(Seen(sent=[sent(cause=None, seconds=7, reply=NO)]))
    assert (fate.at, fate.entries) == (at(7), ("2", "2a"))


@pytest.mark.parametrize(
    ("began", "why"),
    [
        ([], "accepted, but no session began within 2 minutes"),
        ([Began(at(30), 2, "B")], "accepted, but no session began within 2 minutes"),
        ([Began(at(-3600), 1, "A")], "accepted, but no session began within 2 minutes"),
        ([Began(at(201), 1, "A")], "accepted, but no session began within 2 minutes: only after 200 s"),
    ],
)
def test_an_accepted_start_that_no_session_follows_was_not_obeyed(began, why):
    seen = Seen([asked()], [sent(token="A", connector=1)], began)
    assert (only(seen).outcome, only(seen).why) == (Outcome.NOT_OBEYED, why)


def test_a_late_start_is_that_of_the_command_before_it():
    twice = [sent(token="A"), sent(4, 600, cause=3, token="A")]
    fate = only(Seen([asked(), asked(3, 599)], twice, [Began(at(660), 1, "A")]))
    assert (fate.entries[0], fate.why) == ("1", "accepted, but no session began within 2 minutes")
    soon = [sent(token="A"), sent(4, 30, cause=3, token="A")]
    assert fates(Seen([asked(), asked(3, 29)], soon, [Began(at(60), 1, "A")]), LATER) == []


def test_an_accepted_start_has_two_minutes():
    seen = Seen([asked()], [sent(token="A", connector=1)])
    assert fates(seen, at(1 + 120)) == []
    assert fates(seen, at(1 + 121)) != []


@pytest.mark.parametrize("began", [Began(at(0.5), 1, "A"), Began(at(121), 1, "other"), Began(at(9), None, "a")])
def test_a_start_of_the_token_or_on_the_connector_obeys_also_shortly_before_the_answer(began):
    assert fates(Seen([asked()], [sent(token="A", connector=1)], [began]), LATER) == []


def test_an_accepted_stop_has_three_minutes():
    seen = Seen([asked(action=STOP)], [sent(action=STOP, session="S1")])
    assert fates(seen, at(1 + 180)) == []
    fate = only(seen)
    assert (fate.outcome, fate.session) == (Outcome.NOT_OBEYED, "S1")
    late = Seen([asked(action=STOP)], [sent(action=STOP, session="S1")], stopped={"S1": at(300)})
    assert only(late).why == "accepted, but the session did not end within 3 minutes: only after 299 s"


def test_fates_are_told_in_the_order_in_which_they_were_asked_for():
    seen = Seen([asked(9, 50, reply=NO), asked(3, 10, reply=NO)], [sent(5, 30, cause=None, reply=NO)])
    assert [one.entries[0] for one in fates(seen, LATER)] == ["3", "5", "9"]
