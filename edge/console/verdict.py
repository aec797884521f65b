"""What became of a session, in a few sentences: the end of its trace, and of `edge diagnose`."""

from collections.abc import Iterator

from edge.console import lineage
from edge.console.units import counted, energy
from edge.domain.ids import TransactionNo, session_name
from edge.store.report import Session


def verdict(one: Session) -> Iterator[str]:
    """One sentence each: how it ended, how much it was, what the cloud knows."""
    yield _end(one)
    if one.late_stop_seq is not None:
        came = f"The charger's own stop came after that, in {one.late_stop_seq}"
        if one.is_contradicted:
            yield f"{came}, and says something else: it was not sent, and the bill has to be corrected."
        else:
            yield f"{came}, and says the same: it was not sent."
    if one.goes_on_as is not None:
        yield f"It went on after that, as {session_name(TransactionNo(one.goes_on_as))}."
    yield from _energy(one)
    yield f"{delivery(one).capitalize()}."


def _end(one: Session) -> str:
    reason = one.end_reason or "no reason given"
    doubt = one.doubt
    if one.end_rule is not None:
        why = "" if doubt is None else f": {doubt.evidence.words} ({doubt.seq})"
        gets = "got" if one.rows == one.acked_rows else "gets"
        return f"It ended without a stop of the charger{why}; the cloud {gets} ours ({reason})."
    if one.state == "ended":
        return f"It ended by the charger's own stop ({reason})."
    if doubt is None:
        return "It is open; nothing says that it has ended."
    if doubt.is_concluded:
        return (
            f"It ended without a stop so far: {doubt.evidence.words} ({doubt.seq}); the cloud gets ours ({reason}) if "
            "the charger's own does not come soon."
        )
    return f"It is open, and may have ended: {doubt.evidence.words} ({doubt.seq})."


def _energy(one: Session) -> Iterator[str]:
    if one.meter_start_wh is None or one.meter_stop_wh is None:
        return
    how = lineage.energy(one)
    why_not = how["why_not"]
    sure = "" if how["certain"] else f", not certain: {why_not}" if why_not else ", not certain"
    registers = f"{one.meter_start_wh} to {one.meter_stop_wh} Wh"
    registers += f", put right by {how['rule']}" if how["said_stop_wh"] is not None else ""
    yield f"Energy {energy(one.meter_stop_wh - one.meter_start_wh)} (register {registers}){sure}."


def delivery(one: Session) -> str:
    """What the cloud knows of it; no sentence of its own."""
    waiting = one.rows - one.acked_rows
    if one.parked_seq is not None:
        return f"the cloud lacks {counted(waiting, 'message')} of it: parked since {one.parked_seq}"
    if one.dropped_seq is not None or one.dropped_rows:
        return "the operator has dropped messages of it: the cloud does not get them"
    if waiting:
        return f"the cloud has not answered {counted(waiting, 'message')} of it yet"
    return "the cloud has all of it" if one.state == "ended" else "the cloud has all of it so far"
