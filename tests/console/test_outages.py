"""What `edge outages` answers, from a store whose rows are given."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from edge.console.live import UplinkNow
from edge.console.views_outages import SHOWN_AT_MOST, OutageViews
from edge.domain.ids import TransactionNo
from edge.ocppj.frames import call_text, encode_json
from edge.store import chains, delivery, exchange, outages, transactions
from edge.store.exchange import Kind, Moment, NewExchange
from tests.store.givens import NOON, StoredSite, opened

LINK = UplinkNow(
    "accepted", NOON, "depot-7", None, "1.6", None, None, None, None, None, None, "fair", None, None,
)  # fmt: skip


class Life:
    """The console's view of a running daemon, an hour after noon; nothing else of it is asked here."""

    def __init__(self) -> None:
        self.link = LINK

    def now(self):
        return NOON + timedelta(hours=1)

    def uplink(self) -> UplinkNow:
        return self.link


class Reader:
    """A store whose one connection is the test's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    async def read(self, query):
        chains.settle(self.db)
        return query(self.db)


class Night:
    """A site whose uplink comes and goes; a second passes with each row."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.site = StoredSite(db)
        self.life = Life()
        self.seconds = 0
        self.charger, self.places = self.site.charger("CP-01", 9)
        db.execute("INSERT INTO boot (started_wall_ms, started_mono_ms, trust) VALUES (0, 0, 'system')")

    def at(self) -> Moment:
        self.seconds += 1
        return Moment(1, NOON + timedelta(seconds=self.seconds), self.seconds * 1000)

    @property
    def now_text(self) -> str:
        return f"2026-03-01T12:{self.seconds // 60:02d}:{self.seconds % 60:02d}.000Z"

    def uplink(self, state: str, why: str | None = None) -> str:
        outages.note(self.db, self.at(), state, why)
        return self.now_text

    def start(self, meter_wh: int | None = 0, token: str = "TAG", **decided: str) -> TransactionNo:
        place = self.places[self.site.charger_tx - 1000]
        tx_no, _ = self.site.begin(self.charger, place, token, meter_start_wh=meter_wh)
        if decided:
            transactions.decided(self.db, tx_no, decided.get("status", "Accepted"), decided["source"], 0)
        return tx_no

    def values(self, tx_no: TransactionNo, register_wh: int | None, measurand: str = "Energy.Active.Import.Register"):
        if register_wh is None:
            measurand, register_wh = "SoC", 50
        sampled = [{"measurand": measurand, "value": str(register_wh)}]
        said = {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": sampled}]}
        return self.row(tx_no, Kind.CHARGER_CALL, call_text("m", "MeterValues", said), action="MeterValues", relay=True)

    def row(self, tx_no: TransactionNo, kind: Kind, text: str, **more) -> int:
        return exchange.append(
            self.db, NewExchange(self.at(), self.charger, kind, text, tx_no=tx_no, version="1.6", **more)
        )

    def stop(self, tx_no: TransactionNo, meter_wh: int | None) -> int:
        seq = self.row(
            tx_no, Kind.CHARGER_CALL, call_text("m", "StopTransaction", {}), action="StopTransaction", relay=True
        )
        transactions.end(self.db, tx_no, NOON, meter_wh, "Local", seq)
        return seq

    def answered(self, tx_no: TransactionNo, seq: int) -> str:
        delivery.acknowledge(self.db, seq, tx_no, 1)
        self.row(tx_no, Kind.CSMS_ANSWER, '[3,"1",{}]', cause_seq=seq, notes=encode_json({"sent_ms": 1}))
        return self.now_text

    async def document(self, rows_at_most: int = 10_000, **args):
        return await OutageViews(Reader(self.db), self.life, rows_at_most).outages(args)

    async def told(self, **args):
        return (await self.document(**args))["outages"]


@pytest.fixture
def night(tmp_path):
    db = opened(tmp_path / "edge.db")
    night = Night(db)
    outages.begin(db, night.at())
    night.uplink("accepted")
    yield night
    db.close()


async def test_that_a_new_controller_was_not_there_yet_is_no_outage(night):
    document = await night.document()
    assert document == {
        "v": 1,
        "at": "2026-03-01T13:00:00.000Z",
        "since": "2026-03-01T12:00:01.000Z",
        "outages": [],
    }
    assert (await night.document(since="2026-03-01T12:30:00Z"))["since"] == "2026-03-01T12:30:00.000Z"


async def test_but_it_is_when_something_was_served_before_the_first_acceptance(tmp_path):
    night = Night(opened(tmp_path / "edge.db"))
    outages.begin(night.db, night.at())
    night.start(source="policy")
    night.uplink("accepted")
    (one,) = await night.told()
    assert (one["why"], one["sessions_started"], one["messages"]) == (outages.STARTED, 1, 1)


async def test_an_outage_has_all_its_members_and_the_newest_is_the_first(night):
    lost, back = night.uplink("offline", "code 1006"), night.uplink("accepted", "HTTP 503")
    later = night.uplink("offline", "code 1006")
    goes_on, one = await night.told()
    assert one == {
        "from": lost,
        "until": back,
        "lasted_s": 1.0,
        "why": "code 1006",
        "last_error": "HTTP 503",
        "sessions_started": 0,
        "sessions_ended": 0,
        "sessions_served": 0,
        "energy_wh": 0,
        "tokens": [],
        "messages": 0,
        "acknowledged": 0,
        "waiting": 0,
        "parked": 0,
        "dropped": 0,
        "counts_equal": True,
        "replay_s": 0.0,
        "replayed_at": back,
    }
    assert list(goes_on) == list(one)
    assert (goes_on["from"], goes_on["until"], goes_on["replay_s"]) == (later, None, None)
    assert goes_on["lasted_s"] == 3600.0 - night.seconds


async def test_what_goes_on_says_what_is_in_the_way_now(night):
    night.uplink("offline", "code 1006")
    night.life.link = replace(LINK, state="offline", last_error="nobody listens there")
    assert (await night.told())[0]["last_error"] == "nobody listens there"
    night.life.link = replace(LINK, state="offline", last_error="code 1006")
    assert (await night.told())[0]["last_error"] is None


async def test_an_end_of_which_a_full_store_took_no_row_is_known_from_the_uplink_itself(night):
    night.uplink("offline")
    night.life.link = replace(LINK, since=NOON + timedelta(minutes=30))
    assert (await night.told())[0]["until"] == "2026-03-01T12:30:00.000Z"


async def test_energy_is_that_between_the_last_registers_known_at_both_borders(night):
    goes_through = night.start(0)
    for register_wh in (1000, None, 1700):
        night.values(goes_through, register_wh)
    night.uplink("offline")
    begins = night.start(50_000)
    for register_wh in (2000, 4600):
        night.values(goes_through, register_wh)
    night.values(goes_through, None)
    night.values(begins, 50_300)
    night.uplink("accepted")
    night.values(goes_through, 9000)
    first = (await night.told())[0]
    assert first["energy_wh"] == (4600 - 1700) + 300
    night.uplink("offline")
    night.stop(goes_through, 9100)
    night.values(begins, 50_900)
    night.uplink("accepted")
    second, first = await night.told()
    assert (second["energy_wh"], first["energy_wh"]) == (100 + 600, 2900 + 300)
    assert (second["sessions_ended"], second["sessions_served"], second["sessions_started"]) == (1, 2, 0)


@pytest.mark.parametrize(
    ("start_wh", "registers", "stop_wh", "expected"),
    [
        (100, [], 900, 800),
        (100, [400], None, 300),
        (100, [], None, 0),
        (None, [], None, None),
        (None, [400], 900, None),  # nobody knows where it began
        (900, [400], None, None),  # it ran backwards
        (100, [None], None, 0),
    ],
)
async def test_energy_of_a_session_that_began_in_it(start_wh, registers, stop_wh, expected, night):
    night.uplink("offline")
    tx_no = night.start(start_wh)
    for one in registers:
        night.values(tx_no, one)
    if stop_wh is not None:
        night.stop(tx_no, stop_wh)
    night.uplink("accepted")
    assert (await night.told())[0]["energy_wh"] == expected


async def test_a_session_that_said_nothing_in_it_drew_nothing_that_is_known(night):
    night.values(night.start(0), 1000)
    night.uplink("offline")
    night.uplink("accepted")
    (one,) = await night.told()
    assert (one["sessions_served"], one["energy_wh"]) == (1, 0)


async def test_tokens_are_those_that_we_let_in_alone_with_what_the_cloud_said(night):
    night.start(token="BEFORE", source="cache")
    transactions.csms_said(night.db, TransactionNo(1), "Accepted", 1)
    silent = night.start(token="SILENT", source="policy")  # the CSMS did not answer any more
    night.start(token="UNANSWERED", source="policy")
    night.uplink("offline")
    for source in ("policy", "list", "cache", "csms", "operator"):
        night.start(token=source.upper(), source=source)
    night.start(token="REFUSED", source="policy", status="Invalid")
    night.uplink("accepted")
    transactions.csms_said(night.db, silent, "Blocked", night.at().wall_ms)
    blocked_at = night.now_text
    night.uplink("offline")
    night.uplink("accepted")
    again, one = await night.told()
    assert again["tokens"] == []
    assert [(each["session"], each["id_token"], each["source"]) for each in one["tokens"]] == [
        ("S2", "SILENT", "policy"),
        ("S3", "UNANSWERED", "policy"),
        ("S4", "POLICY", "policy"),
        ("S5", "LIST", "list"),
        ("S6", "CACHE", "cache"),
    ]
    verdicts = [(each["csms_verdict"], each["csms_verdict_at"]) for each in one["tokens"]]
    assert verdicts == [("Blocked", blocked_at), *[(None, None)] * 4]


async def test_the_counts_are_equal_when_the_cloud_has_answered_all_that_was_stored(night):
    tx_no = night.start()
    night.uplink("offline")
    first, last = (night.values(tx_no, 5) for _ in range(2))
    back = night.uplink("accepted")
    night.answered(tx_no, first)
    (one,) = await night.told()
    assert (one["messages"], one["acknowledged"], one["waiting"], one["counts_equal"]) == (2, 1, 1, False)
    assert (one["replayed_at"], one["replay_s"]) == (None, None)
    done = night.answered(tx_no, last)
    (one,) = await night.told()
    assert (one["messages"], one["acknowledged"], one["waiting"], one["counts_equal"]) == (2, 2, 0, True)
    assert (one["until"], one["replayed_at"], one["replay_s"]) == (back, done, 2.0)


async def test_what_is_parked_is_missing_but_keeps_no_replay_going(night):
    tx_no = night.start()
    night.uplink("offline")
    first, last = (night.values(tx_no, 5) for _ in range(2))
    night.uplink("accepted")
    done = night.answered(tx_no, first)
    delivery.park(night.db, last, tx_no, "X", "x", 5, 0)
    (one,) = await night.told()
    assert (one["acknowledged"], one["parked"], one["counts_equal"]) == (1, 1, False)
    assert one["replayed_at"] == done


async def test_an_acknowledgement_without_an_answer_in_the_journal_leaves_the_time_unknown(night):
    tx_no = night.start()
    night.uplink("offline")
    seq = night.values(tx_no, 5)
    night.uplink("accepted")
    delivery.acknowledge(night.db, seq, tx_no, 1)
    (one,) = await night.told()
    assert (one["counts_equal"], one["replayed_at"], one["replay_s"]) == (True, None, None)


async def test_no_more_rows_are_looked_at_than_allowed_and_the_rest_is_not_known(night):
    tx_no = night.start()
    night.uplink("offline")
    for _ in range(50):
        night.values(tx_no, 5)
    night.uplink("accepted")
    night.uplink("offline")
    night.values(tx_no, 7)
    night.uplink("accepted")
    newest, oldest = await night.told(rows_at_most=20)
    assert (newest["messages"], newest["energy_wh"]) == (1, 2)
    unknown = ("messages", "acknowledged", "waiting", "parked", "dropped", "counts_equal", "energy_wh", "replay_s")
    assert [oldest[name] for name in (*unknown, "replayed_at")] == [None] * 9
    assert oldest["sessions_served"] == 1


async def test_no_more_than_a_hundred_are_told_and_since_when_these_are_all(night):
    for _ in range(SHOWN_AT_MOST + 5):
        night.uplink("offline")
        night.uplink("accepted")
    document = await night.document()
    assert len(document["outages"]) == SHOWN_AT_MOST
    assert document["since"] == document["outages"][-1]["from"]
