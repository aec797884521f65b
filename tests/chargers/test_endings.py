"""A session that gets its stop from us: what people were told of it, the CSMS is told too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.chargers import endings
from edge.domain import plausibility
from edge.domain.clocks import Clock
from edge.domain.ids import TransactionNo
from edge.domain.reconciliation import Evidence, after
from edge.store import chains, charger_clocks, exchange
from edge.store import endings as store_endings
from edge.store.charger_clocks import UNKNOWN, KnownClock
from tests.chargers.test_records import Speaker, charger_id, speaker
from tests.store.givens import in_one_commit, moment, opened

AHEAD = KnownClock(Clock.WRONG, 6 * 3_600_000)
TX = TransactionNo(1)


def register(minute: int, wh: int) -> dict[str, object]:
    return {"timestamp": f"2026-03-01T17:{minute}:00Z", "sampledValue": [{"value": str(wh)}]}


@pytest.fixture
def charger(tmp_path: Path) -> Iterator[Speaker]:
    found = speaker(tmp_path / "edge.db", opened(tmp_path / "edge.db"), "cp-01", 1)
    yield found
    found.db.close()


@pytest.fixture
def concluded(charger: Speaker) -> Speaker:
    """A session out of a queue, said within milliseconds; it has been concluded by the charger's own clock."""
    charger_clocks.keep(charger.db, charger.no, AHEAD)
    number = charger_id(charger.start(timestamp="2026-03-01T17:30:00Z", meterStart=0))
    for minute, wh in ((40, 400), (41, 900), (42, 1400)):
        charger.values(number, meterValue=[register(minute, wh)])
    doubt = after(None, Evidence.FOLLOWED, chains.last_seq(charger.db), moment(10).wall_ms)
    store_endings.set_doubt(charger.db, TX, doubt)
    assert in_one_commit(charger.db, lambda db: endings.conclude(db, TX, doubt, moment(20), plausibility.MOST_WATTS))
    return charger


def sent(speaker: Speaker) -> tuple[int, str]:
    """(Register, time) of the stop that the CSMS gets."""
    doubt = store_endings.doubt(speaker.db, TX)
    assert doubt is not None
    in_one_commit(speaker.db, lambda db: endings.send(db, TX, doubt, moment(30), plausibility.MOST_WATTS))
    stop = exchange.load(speaker.db, chains.last_seq(speaker.db))
    assert stop is not None
    payload = json.loads(stop.text)[3]
    return payload["meterStop"], payload["timestamp"]


def told(speaker: Speaker) -> int:
    end = store_endings.announced(speaker.db, TX)
    assert end is not None
    return end.register_wh


def test_a_clock_that_is_not_known_any_more_changes_nothing(concluded: Speaker) -> None:
    """Ours was set between the two: then the charger's has to be measured anew."""
    assert told(concluded) == 1400
    charger_clocks.keep(concluded.db, concluded.no, UNKNOWN)
    assert sent(concluded)[0] == 1400


def test_what_has_come_since_counts(concluded: Speaker) -> None:
    number = int(concluded.db.execute("SELECT charger_tx FROM tx WHERE tx_no = 1").fetchone()[0])
    concluded.values(number, meterValue=[register(45, 1500)])
    assert sent(concluded)[0] == 1500


def test_other_evidence_is_looked_at_anew(concluded: Speaker) -> None:
    doubt = store_endings.doubt(concluded.db, TX)
    assert doubt is not None
    store_endings.set_doubt(concluded.db, TX, replace(doubt, seq=doubt.seq + 1))
    charger_clocks.keep(concluded.db, concluded.no, UNKNOWN)
    assert sent(concluded)[0] != 1400
