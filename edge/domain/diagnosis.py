"""What was found where → ranked findings: whose fault, how often, again and again or once, tied to whom.

`edge/console/sightings.py` makes sightings of rows of the journal; `edge/domain/advice.py` judges each rule. A tie to a
firmware, a model or a charger is only claimed with somebody to compare with; the numbers are handed on in any case.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from edge.domain.advice import ABOUT_COMMANDS, Cause, judgement, meaning
from edge.domain.ids import Make

EVIDENCE_AT_MOST = 12
"""Of one finding: its first, and the newest."""
ENOUGH = 2
"""So many chargers must show it, and so many others must not, before it is tied to what they have in common."""
CHARGING = "charging"
"""What a charger must have done to be able to show what is seen in a session."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A rule that concerned something, once."""

    rule: str
    at: datetime
    charger: str | None
    """None: it concerns the station itself."""
    evidence: tuple[str, ...]
    """Entries of `edge trace`."""
    session: str | None = None
    about: str = ""
    """The command that it concerns, or the message: kept apart from the same rule about others."""
    detail: str = ""
    make: Make = field(default_factory=Make)
    """What its charger was at that time."""

    @property
    def occasion(self) -> str:
        """Sightings of one session are one occasion."""
        return self.session or self.evidence[0]

    @property
    def takes(self) -> str | None:
        """What a charger has to have done to be able to show it."""
        if self.rule in ABOUT_COMMANDS:
            return self.about
        return None if self.session is None else CHARGING


@dataclass(frozen=True, slots=True)
class Present:
    """A charger that was looked at, as one make; it has two lines when its firmware has changed meanwhile."""

    charger: str
    make: Make
    did: frozenset[str] = frozenset()
    """`CHARGING`, and the commands that it was asked to do."""


class Common(StrEnum):
    """What those have in common that show something."""

    FIRMWARE = "firmware"
    MODEL = "model"
    CHARGER = "charger"


@dataclass(frozen=True, slots=True)
class Tie:
    """Seen on `seen` of `of` chargers that have it in common, and on none of `others`."""

    common: Common
    make: Make
    charger: str | None
    seen: int
    of: int
    others: int


@dataclass(frozen=True, slots=True)
class Share:
    """Of the chargers of one make, how many show it; only those count that could have."""

    make: Make
    seen: int
    of: int


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How often it was seen anywhere at the site."""

    times: int
    occasions: int
    """Sessions, and what was seen outside of one."""
    sessions: int
    chargers: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    about: str
    cause: Cause
    weight: int
    what: str
    advice: str
    first_at: datetime
    last_at: datetime
    times: int
    sessions: tuple[str, ...]
    chargers: tuple[str, ...]
    evidence: tuple[str, ...]
    makes: tuple[Share, ...]
    """Where it was seen, and the other firmware of the same models."""
    recurrence: Recurrence | None
    """None: once, as far as was looked."""
    tied_to: Tie | None

    @property
    def is_recurring(self) -> bool:
        return self.recurrence is not None


@dataclass(frozen=True, slots=True)
class MakeRank:
    """A make of charger, by how much was found on it."""

    make: Make
    chargers: int
    affected: int
    rules: tuple[str, ...]
    score: float
    """Weights of its findings, each times the part of its chargers that show it."""


def diagnose(subject: Iterable[Sighting], everywhere: Iterable[Sighting], present: Sequence[Present]) -> list[Finding]:
    """The findings about the subject, the weightiest first; `everywhere` tells whether they recur, and on whom."""
    mine = _grouped(subject)
    fleet = _grouped([*(one for group in mine.values() for one in group), *everywhere])
    found = [_finding(group, fleet[key], present) for key, group in mine.items()]
    return sorted((one for one in found if one is not None), key=_rank)


def _rank(one: Finding) -> tuple[int, bool, int, int, str, str]:
    """Weight; then what a whole make has; then where, and how often."""
    is_of_make = one.tied_to is not None and one.tied_to.common is not Common.CHARGER
    return (-one.weight, not is_of_make, -len(one.chargers), -one.times, one.rule, one.about)


def _grouped(sightings: Iterable[Sighting]) -> dict[tuple[str, str], list[Sighting]]:
    """By rule and what it is about, oldest first, each once."""
    groups: dict[tuple[str, str], dict[tuple[str, ...], Sighting]] = {}
    for one in sorted(sightings, key=lambda each: (each.at, each.evidence)):
        groups.setdefault((one.rule, one.about), {}).setdefault(one.evidence, one)
    return {key: list(group.values()) for key, group in groups.items()}


def _finding(mine: Sequence[Sighting], fleet: Sequence[Sighting], present: Sequence[Present]) -> Finding | None:
    newest = mine[-1]
    judged = judgement(newest.rule, newest.about)
    if judged is None:
        return None
    shown = mine if len(mine) <= EVIDENCE_AT_MOST else [mine[0], *mine[1 - EVIDENCE_AT_MOST :]]
    evidence = dict.fromkeys(entry for one in shown for entry in one.evidence)
    comparable = _comparable(fleet, present)
    return Finding(
        rule=newest.rule,
        about=newest.about,
        cause=judged.cause,
        weight=int(judged.weight),
        what=in_words(newest),
        advice=judged.advice,
        first_at=mine[0].at,
        last_at=newest.at,
        times=len(mine),
        sessions=_names(one.session for one in mine),
        chargers=_names(one.charger for one in mine),
        evidence=tuple(list(evidence)[: 2 * EVIDENCE_AT_MOST]),
        makes=_shares(fleet, comparable),
        recurrence=_recurrence(fleet),
        tied_to=_tie(fleet, comparable),
    )


def in_words(one: Sighting) -> str:
    """One sentence: what the rule means, about what, and what was said in this case."""
    about = f": {one.about}" if one.about else ""
    detail = f" ({one.detail})" if one.detail else ""
    return f"{meaning(one.rule).removesuffix('.')}{about}{detail}."


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _recurrence(fleet: Sequence[Sighting]) -> Recurrence | None:
    occasions = {(one.charger, one.occasion) for one in fleet}
    if len(occasions) < 2:
        return None
    return Recurrence(
        times=len(fleet),
        occasions=len(occasions),
        sessions=len(_names(one.session for one in fleet)),
        chargers=len(_names(one.charger for one in fleet)),
        since=fleet[0].at,
    )


def _comparable(fleet: Sequence[Sighting], present: Sequence[Present]) -> dict[Make, set[str]]:
    """By make, the chargers that could have shown it; those that did among them."""
    takes = {one.takes for one in fleet}
    needed = next(iter(takes)) if len(takes) == 1 else None
    by_make: dict[Make, set[str]] = {}
    for one in present:
        if needed is None or needed in one.did:
            by_make.setdefault(one.make, set()).add(one.charger)
    for seen in fleet:
        if seen.charger is not None:
            by_make.setdefault(seen.make, set()).add(seen.charger)
    return by_make


def _seen(fleet: Sequence[Sighting]) -> dict[Make, set[str]]:
    by_make: dict[Make, set[str]] = {}
    for one in fleet:
        if one.charger is not None:
            by_make.setdefault(one.make, set()).add(one.charger)
    return by_make


def _shares(fleet: Sequence[Sighting], comparable: dict[Make, set[str]]) -> tuple[Share, ...]:
    seen = _seen(fleet)
    models = {(make.vendor, make.model) for make in seen}
    shares = [
        Share(make, len(seen.get(make, ())), len(chargers))
        for make, chargers in comparable.items()
        if (make.vendor, make.model) in models
    ]
    return tuple(sorted(shares, key=lambda one: (-one.seen / one.of, -one.of, _words(one.make))))


def _words(make: Make) -> tuple[str, ...]:
    return tuple(word or "" for word in (make.vendor, make.model, make.firmware))


def _tie(fleet: Sequence[Sighting], comparable: dict[Make, set[str]]) -> Tie | None:
    """To the narrowest thing that all who show it have in common, if enough others could have shown it and do not."""
    seen = _seen(fleet)
    if not seen or any(one.charger is None for one in fleet):
        return None
    make, *other_makes = seen
    if not other_makes:
        is_firmware_known = make.model is not None and make.firmware is not None
        others = _chargers(comparable, lambda one: _is_same_model(one, make) and one.firmware != make.firmware)
        firmware = Tie(Common.FIRMWARE, make, None, len(seen[make]), len(comparable[make]), len(others))
        if is_firmware_known and _is_shown_by_most(firmware):
            return firmware
    if make.model is not None and all(_is_same_model(one, make) for one in other_makes):
        showing = set().union(*seen.values())
        model = Make(make.vendor, make.model)
        of_model = _chargers(comparable, lambda one: _is_same_model(one, make))
        others = _chargers(comparable, lambda one: not _is_same_model(one, make)) - of_model
        tie = Tie(Common.MODEL, model, None, len(showing), len(of_model), len(others))
        if _is_shown_by_most(tie):
            return tie
        return _tie_to_charger(fleet, showing, make, of_model - showing)
    return None


def _is_shown_by_most(tie: Tie) -> bool:
    return tie.seen >= ENOUGH and tie.others >= ENOUGH and 2 * tie.seen >= tie.of


def _tie_to_charger(fleet: Sequence[Sighting], showing: set[str], make: Make, others: set[str]) -> Tie | None:
    """One that shows it more than once, while others of its model do not."""
    if len(showing) != 1 or len(others) < ENOUGH or _recurrence(fleet) is None:
        return None
    return Tie(Common.CHARGER, make, next(iter(showing)), 1, 1, len(others))


def _is_same_model(one: Make, other: Make) -> bool:
    return (one.vendor, one.model) == (other.vendor, other.model)


def _chargers(by_make: dict[Make, set[str]], fits: Callable[[Make], bool]) -> set[str]:
    return set().union(*(chargers for make, chargers in by_make.items() if fits(make)))


def rank_makes(findings: Iterable[Finding], present: Sequence[Present]) -> list[MakeRank]:
    """Models and firmware, the one with the most trouble first; those without any are left out."""
    of: dict[Make, set[str]] = {}
    for one in present:
        of.setdefault(one.make, set()).add(one.charger)
    scores: dict[Make, float] = {}
    rules: dict[Make, dict[str, None]] = {}
    affected: dict[Make, int] = {}
    for finding in findings:
        for share in finding.makes:
            if share.seen:
                make = share.make
                scores[make] = scores.get(make, 0.0) + finding.weight * share.seen / share.of
                rules.setdefault(make, {})[finding.rule] = None
                affected[make] = max(affected.get(make, 0), share.seen)
    ranked = [
        MakeRank(make, len(of.get(make, ())), affected[make], tuple(rules[make]), round(score, 1))
        for make, score in scores.items()
    ]
    return sorted(ranked, key=lambda one: (-one.score, _words(one.make)))
