"""Findings are ranked by what depends on them, and tied only to what they can be tied to."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.domain.advice import (
    ABOUT_COMMANDS,
    HARMLESS,
    JUDGED,
    MEANT,
    ONLY_COUNTED,
    SIGNS,
    Sign,
    Weight,
    judgement,
    meaning,
)
from edge.domain.diagnosis import CHARGING, EVIDENCE_AT_MOST, Common, Present, Sighting, diagnose, rank_makes
from edge.domain.ids import Make
from edge.domain.peculiarities import Rule

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = Make("Acme", "Duo", "1.8"), Make("Acme", "Duo", "1.9")
OTHER = Make("Volt", "One", "7")
RULE = "values_attached_by_connector"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def seen(charger: str | None, make: Make = OLD, number: int = 1, rule: str = RULE, **more) -> Sighting:
    return Sighting(rule, at(number), charger, (str(number),), make=make, **more)


def there(**makes: Make) -> list[Present]:
    return [Present(charger, make, frozenset({CHARGING, "Reset"})) for charger, make in makes.items()]


# --- the table of advice


def test_each_rule_is_judged_or_said_to_be_harmless():
    assert set(JUDGED) | HARMLESS == set(Rule)
    assert set(JUDGED) & HARMLESS == set()


def test_each_sign_is_judged_and_has_a_meaning():
    assert set(SIGNS) == set(MEANT) == set(Sign)
    assert not {str(sign) for sign in Sign} & {str(rule) for rule in Rule}


@pytest.mark.parametrize("words", [*JUDGED.values(), *SIGNS.values()], ids=[*map(str, JUDGED), *map(str, SIGNS)])
def test_advice_is_one_plain_sentence(words):
    assert words.advice[0].isupper()
    assert words.advice.endswith(".")
    assert words.advice[:-1].count(". ") == 0
    assert len(words.advice) <= 120


def test_what_is_only_counted_is_judged():
    assert set(JUDGED) > ONLY_COUNTED


def test_a_rule_of_a_later_version_is_a_remark():
    judged = judgement("never_heard_of")
    assert judged is not None
    assert (judged.weight, meaning("never_heard_of")) == (Weight.REMARK, "never_heard_of")
    assert judgement("null_member") is None


@pytest.mark.parametrize(
    ("action", "weight"),
    [("RemoteStopTransaction", Weight.SERVICE), ("Reset", Weight.FAULT), ("GetConfiguration", Weight.REMARK)],
)
def test_a_command_weighs_what_hangs_on_it(action, weight):
    for sign in ABOUT_COMMANDS:
        judged = judgement(sign, action)
        assert judged is not None
        assert judged.weight == weight


# --- findings


def test_nothing_seen_is_nothing_found():
    assert diagnose([], [], []) == []
    assert diagnose([seen("A", rule="null_member")], [], []) == []


def test_the_weightiest_comes_first_then_what_a_whole_make_has_then_what_is_on_more_chargers():
    light, grave = seen("A", rule="answer_late", number=9), seen("A", rule="orphan_stop", number=1)
    assert [one.rule for one in diagnose([light, grave], [], [])] == ["orphan_stop", "answer_late"]
    same = [seen("A", rule="answer_late"), *(seen(name, number=number) for number, name in enumerate("BC"))]
    assert [one.rule for one in diagnose(same, [], [])] == [RULE, "answer_late"]
    tied = [seen("A", rule="answer_late", number=1), seen("B", rule="answer_late", number=2)]
    wide = [seen(name, make, number) for number, (name, make) in enumerate([("C", NEW), ("D", OTHER), ("A", OLD)])]
    present = there(A=OLD, B=OLD, C=NEW, D=OTHER, E=NEW)
    assert [one.rule for one in diagnose([*wide, *tied], [], present)] == ["answer_late", RULE]


def test_a_finding_has_its_first_and_its_last_time_its_sessions_and_its_evidence():
    sightings = [
        Sighting(RULE, at(number), "A", (str(number), f"{number}a"), f"S{number % 2}", detail=f"d{number}")
        for number in (3, 1, 2)
    ]
    (found,) = diagnose(sightings, [], [])
    assert (found.first_at, found.last_at, found.times) == (at(1), at(3), 3)
    assert (found.sessions, found.chargers) == (("S1", "S0"), ("A",))
    assert found.evidence == ("1", "1a", "2", "2a", "3", "3a")
    assert found.what.endswith("open on their connector (d3).")


def test_of_many_the_first_and_the_newest_are_the_evidence():
    (found,) = diagnose([seen("A", number=number) for number in range(100)], [], [])
    assert found.times == 100
    assert found.evidence == ("0", *(str(number) for number in range(101 - EVIDENCE_AT_MOST, 100)))


def test_what_was_seen_twice_by_two_looks_counts_once():
    (found,) = diagnose([seen("A")], [seen("A"), seen("A")], [])
    assert found.times == 1
    assert found.recurrence is None
    (again,) = diagnose([seen("A")], [seen("A"), seen("A", number=2)], [])
    assert again.recurrence is not None
    assert again.recurrence.times == 2


def test_the_same_command_to_others_is_the_same_finding_and_another_command_is_not():
    found = diagnose(
        [seen("A", rule=Sign.COMMAND_REFUSED, about=action, number=number)
         for number, action in enumerate(("Reset", "UnlockConnector", "Reset"))], [], [],
    )  # fmt: skip
    assert [(one.about, one.times) for one in found] == [("UnlockConnector", 1), ("Reset", 2)]


# --- again and again


def test_many_messages_of_one_session_are_no_recurrence():
    (found,) = diagnose([seen("A", number=number, session="S1") for number in range(5)], [], [])
    assert not found.is_recurring


def test_another_session_anywhere_is_a_recurrence():
    (found,) = diagnose([seen("A", number=9, session="S9")], [seen("B", number=2, session="S2")], [])
    assert found.recurrence is not None
    assert (found.recurrence.times, found.recurrence.sessions, found.recurrence.chargers) == (2, 2, 2)
    assert found.recurrence.since == at(2)
    assert (found.times, found.chargers) == (1, ("A",))


def test_what_has_no_session_recurs_when_it_is_seen_again():
    (found,) = diagnose([seen("A", number=1), seen("A", number=2)], [], [])
    assert found.recurrence is not None
    assert found.recurrence.sessions == 0


# --- tied to


FIRMWARE = there(A=OLD, B=OLD, C=NEW, D=NEW)


@pytest.mark.parametrize(
    ("showing", "present", "tied"),
    [
        ({"A": OLD, "B": OLD}, FIRMWARE, (Common.FIRMWARE, OLD, 2, 2, 2)),
        ({"A": OLD, "B": OLD}, there(A=OLD, B=OLD, E=OLD, C=NEW, D=NEW), (Common.FIRMWARE, OLD, 2, 3, 2)),
        # two of five with the firmware say little
        ({"A": OLD, "B": OLD}, there(A=OLD, B=OLD, E=OLD, F=OLD, G=OLD, C=NEW, D=NEW), None),
        ({"A": OLD}, FIRMWARE, None),  # one charger
        ({"A": OLD, "B": OLD}, there(A=OLD, B=OLD, C=NEW), None),  # one to compare with
        ({"A": OLD, "B": OLD}, there(A=OLD, B=OLD), None),
        ({"A": OLD, "B": OLD, "C": NEW}, FIRMWARE, None),  # also another firmware, and no other model there
        ({"A": OLD, "B": OLD, "X": OTHER}, there(A=OLD, B=OLD, C=NEW, D=NEW, X=OTHER), None),
        ({"A": OLD, "B": OLD}, there(A=OLD, B=OLD, X=OTHER, Y=OTHER), (Common.MODEL, Make("Acme", "Duo"), 2, 2, 2)),
        ({"A": OLD, "C": NEW}, there(A=OLD, C=NEW, X=OTHER, Y=OTHER), (Common.MODEL, Make("Acme", "Duo"), 2, 2, 2)),
        ({"A": OLD, "C": NEW}, there(A=OLD, C=NEW, X=OTHER), None),
        ({"A": Make(), "B": Make()}, there(A=Make(), B=Make(), C=NEW, D=NEW), None),  # nobody knows what they are
    ],
)  # fmt: skip
def test_tied_to_what_those_have_in_common_who_show_it_if_others_do_not(showing, present, tied):
    sightings = [seen(name, make, number) for number, (name, make) in enumerate(showing.items())]
    (found,) = diagnose(sightings, [], present)
    one = found.tied_to
    assert (None if one is None else (one.common, one.make, one.seen, one.of, one.others)) == tied


def test_tied_to_a_charger_that_shows_it_again_while_others_of_its_model_do_not():
    again = [seen("A", number=1), seen("A", number=2)]
    (found,) = diagnose(again, [], FIRMWARE)
    assert found.tied_to is not None
    assert (found.tied_to.common, found.tied_to.charger, found.tied_to.others) == (Common.CHARGER, "A", 3)
    (once,) = diagnose(again[:1], [], FIRMWARE)
    assert once.tied_to is None
    (alone,) = diagnose(again, [], there(A=OLD, B=OLD, X=OTHER, Y=OTHER))
    assert alone.tied_to is None


def test_a_charger_that_had_no_session_is_not_compared_with_those_that_had():
    idle = [Present("C", NEW), Present("D", NEW)]
    in_session = [seen(name, number=number, session=f"S{number}") for number, name in enumerate("AB")]
    assert diagnose(in_session, [], [*FIRMWARE[:2], *idle])[0].tied_to is None
    assert diagnose(in_session, [], FIRMWARE)[0].tied_to is not None
    outside = [seen(name, number=number) for number, name in enumerate("AB")]
    assert diagnose(outside, [], [*FIRMWARE[:2], *idle])[0].tied_to is not None


def test_a_charger_that_was_not_asked_is_not_compared_with_those_that_were():
    refused = [seen(name, number=n, rule=Sign.COMMAND_REFUSED, about="UnlockConnector") for n, name in enumerate("AB")]
    assert diagnose(refused, [], FIRMWARE)[0].tied_to is None
    asked = [Present(one.charger, one.make, frozenset({"UnlockConnector"})) for one in FIRMWARE]
    assert diagnose(refused, [], asked)[0].tied_to is not None


def test_a_charger_that_was_updated_is_compared_with_itself():
    updated = [*there(A=OLD, B=OLD), *there(A=NEW, B=NEW)]
    (found,) = diagnose([seen("A", number=1), seen("B", number=2)], [], updated)
    assert found.tied_to is not None
    assert (found.tied_to.common, found.tied_to.of, found.tied_to.others) == (Common.FIRMWARE, 2, 2)


def test_what_the_station_shows_is_tied_to_nobody():
    (found,) = diagnose([seen(None, Make(), 1), seen(None, Make(), 2)], [], FIRMWARE)
    assert (found.tied_to, found.makes, found.chargers) == (None, (), ())


def test_the_shares_of_the_makes_are_told_also_when_nothing_can_be_tied():
    (found,) = diagnose([seen("A")], [], there(A=OLD, B=OLD, C=NEW, X=OTHER))
    assert [(one.make, one.seen, one.of) for one in found.makes] == [(OLD, 1, 2), (NEW, 0, 1)]
    assert found.tied_to is None


# --- the fleet


def test_makes_are_ranked_by_the_weight_of_what_they_show_and_how_many_of_them_do():
    sightings = [seen("A", OLD, 1), seen("X", OTHER, 2, "orphan_stop"), seen("X", OTHER, 3)]
    present = there(A=OLD, B=OLD, X=OTHER)
    ranked = rank_makes(diagnose(sightings, [], present), present)
    assert [(one.make, one.chargers, one.affected) for one in ranked] == [(OTHER, 1, 1), (OLD, 2, 1)]
    assert ranked[0].rules == ("orphan_stop", RULE)
