"""What an archive of logs says of itself: whose logs it holds, and why those of others are absent."""

from collections.abc import Sequence
from datetime import UTC, datetime

from edge import __version__
from edge.dialects import timestamps
from edge.domain.collecting import Step, from_json
from edge.jsontypes import JsonValue, Payload
from edge.store import Connection, charger_clocks, connectors
from edge.store.collecting import Collection, Part


def of_collection(db: Connection, one: Collection, site: str, parts: Sequence[Part]) -> Payload:
    """Once all of them are done with. The bridge adds the list of the files."""
    wish = from_json(one.wish)
    return {
        "site": site,
        "controller": f"ocpp-edge {__version__}",
        "collection": one.name,
        "asked_at": _time(one.begun_wall_ms),
        "log": wish.kind,
        "from": _time(wish.since_ms),
        "to": _time(wish.until_ms),
        "own_log": one.own_log,
        "chargers": [_charger(db, part) for part in parts],
    }


def _charger(db: Connection, part: Part) -> JsonValue:
    box = connectors.charger_by_no(db, part.charger_no)
    ahead_ms = charger_clocks.of_charger(db, part.charger_no).ahead_ms
    return {
        "charger": part.charger,
        "vendor": None if box is None else box.vendor,
        "model": None if box is None else box.model,
        "serial": None if box is None else box.serial,
        "firmware": None if box is None else box.firmware,
        "clock_ahead_s": None if ahead_ms is None else ahead_ms / 1000,
        "step": part.progress.step,
        "why_absent": None if part.progress.step is Step.UPLOADED else part.progress.why,
    }


def _time(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else timestamps.text(datetime.fromtimestamp(wall_ms / 1000, UTC))
