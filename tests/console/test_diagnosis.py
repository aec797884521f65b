"""What `edge diagnose` says of given rows of a real store."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.console import views_diagnosis
from edge.console.errors import CommandError, exit_code
from edge.console.live import ChargerNow
from edge.console.views_diagnosis import DiagnosisViews
from edge.ocppj.frames import call_text, encode_json
from edge.store import connectors, delivery, exchange, orders, transactions
from edge.store.db import Store
from edge.store.exchange import Kind, NewExchange
from tests.store.givens import NOON, StoredSite, moment, running
from tests.store.history import History, ms

HOUR = 3600.0
START, STOP = "RemoteStartTransaction", "RemoteStopTransaction"
YES, NO = '[3,"m",{"status":"Accepted"}]', '[3,"m",{"status":"Rejected"}]'


class Told(History):
    """Rows as the parts of the daemon write them."""

    def boot(self, at: float, charger: int, firmware: str) -> int:
        payload = {"chargePointVendor": "Acme", "chargePointModel": "Duo", "firmwareVersion": firmware}
        event = SimpleNamespace(vendor="Acme", model="Duo", serial=None, firmware=firmware)
        connectors.booted(self.db, charger, event, "1.6", ms(at))  # type: ignore[arg-type]
        return self.row(at, charger, "BootNotification", payload, answer=YES)

    def link(self, at: float, charger: int, event: str, detail: str = "code 1006") -> int:
        text = encode_json({"connection": event, "detail": detail})
        return exchange.append(self.db, NewExchange(moment(at), charger, Kind.LINK, text))

    def noted(self, at: float, charger: int, rule: str, **more: Any) -> int:
        notes = encode_json([{"rule": rule, "message": "because"}])
        return self.row(at, charger, "MeterValues", notes=notes, **more)

    def csms(self, at: float, peer: int, action: str, answer: str | None = None, **payload: Any) -> int:
        return self.row(at, peer, action, payload, kind=Kind.CSMS_CALL, answer=answer)

    def sent(self, at: float, peer: int, action: str, cause: int | None, answer: str | None, **more: Any) -> int:
        payload = more.pop("payload", None)
        return self.row(at, peer, action, payload, kind=Kind.OUR_CALL, cause_seq=cause, answer=answer, **more)

    def late(self, at: float, peer: int, asked: int, action: str, answer: str) -> None:
        asked_row = NewExchange(moment(at), peer, Kind.CSMS_CALL, "", action=action, message_id="x", answer=answer)
        exchange.append(self.db, exchange.late_answer(moment(at), peer, asked, asked_row))

    def started(self, at: float, place: tuple[Any, Any], token: str = "TAG", conn: int = 1) -> int:
        tx_no = self.begin(at, place)
        text = call_text("s", "StartTransaction", {"connectorId": conn, "idTag": token})
        self.db.execute("UPDATE exchange SET text = ? WHERE tx_no = ?", (text, tx_no))
        return tx_no


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with running(tmp_path / "edge.db") as found:
        yield found


async def happens(store: Store, story: Callable[[Told], Any]) -> Any:
    return await store.write(lambda db: story(Told(StoredSite(db))))


def there(name: str, *, is_online: bool = True, **findings: int) -> ChargerNow:
    seen = NOON + timedelta(hours=1)
    return ChargerNow(name, is_online, False, "1.6", None, seen, None, None, None, None, None, {}, {}, findings)


async def ask(store: Store, subject: str | None = None, *now_there: ChargerNow, at: float = HOUR, **args: Any) -> Any:
    now: datetime = NOON + timedelta(seconds=at)
    live = SimpleNamespace(now=lambda: now, chargers=lambda: list(now_there or [there("A"), there("B")]))
    found = await DiagnosisViews(store, live).diagnose({"subject": subject, **args})  # type: ignore[arg-type]
    return json.loads(json.dumps(found))


def rules(document: Any) -> list[str]:
    return [one["rule"] for one in document["findings"]]


def only(document: Any) -> Any:
    (found,) = document["findings"]
    return found


async def test_a_site_without_faults_is_told_to_be_sound(store):
    await happens(store, lambda site: site.session(0, (site.charger("A")[0], 1)))
    for subject in (None, "A", "S1", "s1"):
        document = await ask(store, subject)
        assert (document["findings"], document["truncated"]) == ([], False)
        assert document["answers"]["when_it_failed"] is None
    assert "the charger's stop came" in " ".join((await ask(store, "S1"))["answers"]["what_happened"])


@pytest.mark.parametrize("name", ["S9", "B", "", "S", "S1234567890123456789", "S²", "a"])
async def test_what_is_not_known_is_no_such_subject(store, name):
    await happens(store, lambda site: site.charger("A"))
    with pytest.raises(CommandError) as error:
        await ask(store, name)
    assert exit_code(error.value.code) == 4


async def test_a_charger_may_be_named_like_a_session(store):
    await happens(store, lambda site: site.charger("S7"))
    assert (await ask(store, "S7"))["subject"]["charger"] == "S7"


async def test_a_note_of_a_row_is_a_finding_with_its_frame_and_a_harmless_one_is_none(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        tx_no = site.begin(0, (charger, connector))
        site.noted(5, charger, "null_member", tx_no=tx_no)
        return site.noted(9, charger, "values_after_stop", tx_no=tx_no)

    seq = await happens(store, story)
    found = only(await ask(store, "S1"))
    assert (found["rule"], found["entries"], found["sessions"]) == ("values_after_stop", [str(seq)], ["S1"])
    assert found["what"] == "Meter values after the stop: kept, not sent to the cloud (because)."
    assert (found["first_at"], found["times"]) == ("2026-03-01T12:00:09.000Z", 1)


async def test_a_refused_call_is_one_finding_whether_a_rule_says_why_or_not(store):
    error = '[4,"m","FormationViolation","no idTag",{}]'

    def story(site):
        charger, _ = site.charger("A")
        named = site.noted(1, charger, "message_refused", answer=error)
        return named, site.row(2, charger, "Authorize", answer=error)

    named, bare = await happens(store, story)
    found = {one["rule"]: one for one in (await ask(store, "A"))["findings"]}
    assert set(found) == {"message_refused", "call_refused"}
    assert found["message_refused"]["entries"] == [str(named), f"{named}a"]
    assert found["call_refused"]["entries"] == [str(bare), f"{bare}a"]
    assert "Authorize (FormationViolation: no idTag)" in found["call_refused"]["what"]


async def test_a_refusal_of_the_cloud_is_told_and_a_parked_message_has_it_in_its_evidence(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        found = []
        for number in range(2):
            tx_no = site.begin(number, (charger, connector))
            (start,) = site.of(tx_no)
            refused = '[4,"m","PropertyConstraintViolation","idTag",{}]'
            new = NewExchange(moment(9), charger, Kind.CSMS_ANSWER, refused, action="StartTransaction", tx_no=tx_no,
                              cause_seq=start, notes='{"sent_ms":1}')  # fmt: skip
            found.append((start, exchange.append(site.db, new)))
        delivery.park(site.db, start, tx_no, "PropertyConstraintViolation", "idTag", 3, ms(9))
        return found

    (first, refused_first), (second, refused_second) = await happens(store, story)
    parked, refused = (await ask(store, "A"))["findings"]
    assert (parked["rule"], parked["entries"]) == ("message_parked", [str(second), f"{refused_second}a"])
    assert (refused["rule"], refused["entries"]) == ("csms_refused_message", [str(first), f"{refused_first}a"])
    assert rules(await ask(store, "S1")) == ["csms_refused_message"]
    document = await ask(store, "S2")
    assert rules(document) == ["message_parked"]
    assert "parked since" in document["answers"]["what_happened"][-1]


async def test_a_stop_that_belongs_to_nothing_is_found_once(store):
    def story(site):
        charger, _ = site.charger("A")
        new = transactions.NewTransaction(transactions.ORPHAN, charger, None, exchange.peek_seq(site.db))
        notes = '[{"rule":"orphan_stop","message":"transaction as sent: 7"}]'
        row = NewExchange(moment(5), charger, Kind.CHARGER_CALL, call_text("m", "StopTransaction", {}),
                          action="StopTransaction", relay=True, notes=notes)  # fmt: skip
        delivery.park_orphan(site.db, new, row, "orphan_stop", "no transaction matches")

    await happens(store, story)
    for subject in ("A", None):
        found = only(await ask(store, subject))
        assert (found["rule"], found["times"], found["sessions"]) == ("orphan_stop", 1, [])


async def test_a_session_failed_when_it_was_first_seen_and_a_charger_when_it_was_last_seen(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        tx_no = site.begin(0, (charger, connector))
        for at in (10, 70):
            site.noted(at, charger, "register_jumped", tx_no=tx_no)

    await happens(store, story)
    failed = [(await ask(store, subject))["answers"]["when_it_failed"] for subject in ("S1", "A", None)]
    assert [each[11:19] for each in failed] == ["12:00:10", "12:01:10", "12:01:10"]


async def test_a_verdict_of_the_cloud_that_is_not_what_the_driver_was_told(store):
    def story(site):
        tx_no = site.session(0, (site.charger("A")[0], 1))
        transactions.decided(site.db, tx_no, "Accepted", "policy", ms(0))
        transactions.csms_said(site.db, tx_no, "Blocked", ms(70))

    await happens(store, story)
    for subject in ("S1", "A", None):
        found = only(await ask(store, subject))
        assert (found["rule"], found["first_at"]) == ("verdict_differs", "2026-03-01T12:01:10.000Z")
        assert "told Accepted by policy, the cloud said Blocked" in found["what"]


async def test_an_open_session_of_a_charger_that_is_away(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        site.link(0, charger, "opened")
        tx_no = site.begin(10, (charger, connector))
        return site.of(tx_no)[0], site.link(20, charger, "closed", "code 1001")

    start, closed = await happens(store, story)
    assert (await ask(store, "S1"))["findings"] == []
    document = await ask(store, "S1", there("A", is_online=False))
    assert (rules(document), only(document)["entries"]) == (["open_and_offline"], [str(start), str(closed)])
    assert "A is not connected" in document["answers"]["what_happened"]


async def test_a_connection_that_breaks_is_told_with_how_long_and_one_that_is_closed_is_not(store):
    def story(site):
        charger, _ = site.charger("A")
        site.link(0, charger, "opened")
        lost, back = site.link(10, charger, "closed"), site.link(52, charger, "opened")
        site.link(60, charger, "closed", "code 1000")
        return [str(lost), str(back)]

    evidence = await happens(store, story)
    found = only(await ask(store, "A"))
    assert (found["rule"], found["entries"]) == ("connection_lost", evidence)
    assert "code 1006, back after 42 s" in found["what"]


# --- commands


async def test_a_remote_start_that_was_accepted_and_not_done(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        asked = site.csms(0, charger, START, connectorId=1, idTag="TAG")
        sent = site.sent(1, charger, START, asked, YES, payload={"connectorId": 1, "idTag": "TAG"})
        site.late(1, charger, asked, START, YES)
        done = site.csms(600, charger, START)
        site.sent(601, charger, START, done, YES, payload={"connectorId": 1, "idTag": "tag"})
        site.late(601, charger, done, START, YES)
        site.started(660, (charger, connector))
        return [str(asked), str(sent), f"{sent}a"]

    entries = await happens(store, story)
    (command,) = (await ask(store, "A"))["answers"]["commands"]
    assert command == {
        "action": START, "at": "2026-03-01T12:00:00.000Z", "outcome": "not_obeyed", "session": None,
        "why": "accepted, but no session began within 2 minutes", "entries": entries,
    }  # fmt: skip
    assert only(await ask(store, "A"))["weight"] == 80
    assert (await ask(store, "S1"))["answers"]["commands"] == []  # ten minutes before it
    assert (await ask(store, "A", at=100))["findings"] == []  # it has time yet


async def test_a_remote_stop_that_was_accepted_and_not_done_belongs_to_its_session(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        tx_no = site.begin(0, (charger, connector))
        asked = site.csms(60, charger, STOP)
        site.sent(61, charger, STOP, asked, YES, tx_no=tx_no)
        site.late(61, charger, asked, STOP, YES)

    await happens(store, story)
    (command,) = (await ask(store, "S1"))["answers"]["commands"]
    assert (command["outcome"], command["session"]) == ("not_obeyed", "S1")


async def test_commands_that_were_refused_unanswered_and_never_sent(store):
    def story(site):
        charger, _ = site.charger("A")
        site.link(0, charger, "opened")
        refused = site.csms(1, charger, "UnlockConnector")
        site.sent(2, charger, "UnlockConnector", refused, '[3,"m",{"status":"UnlockFailed"}]')
        site.late(2, charger, refused, "UnlockConnector", '[3,"m",{"status":"UnlockFailed"}]')
        silent = orders.given(site.db, moment(10), charger, "reset")
        site.sent(40, charger, "Reset", silent, None)
        site.link(41, charger, "closed")
        site.csms(50, charger, START, NO)
        orders.given(site.db, moment(55), charger, "availability", to="Inoperative")  # kept until it is back

    await happens(store, story)
    commands = (await ask(store, "A"))["answers"]["commands"]
    assert [(one["action"], one["outcome"], one["why"]) for one in commands] == [
        ("UnlockConnector", "refused", "the charger answered UnlockFailed"),
        ("Reset", "unanswered", "the connection ended before an answer came"),
        (START, "not_sent", "the charger was not connected; the cloud was told Rejected"),
    ]
    assert commands[1]["at"] == "2026-03-01T12:00:10.000Z"


async def test_what_the_cloud_was_told_later_tells_what_became_of_a_command_that_was_never_sent(store):
    def story(site):
        charger, _ = site.charger("A")
        for at, answer in ((0, NO), (10, YES)):  # Accepted: it charged already
            asked = site.csms(at, charger, START)
            site.late(at + 1, charger, asked, START, answer)

    await happens(store, story)
    (command,) = (await ask(store, "A"))["answers"]["commands"]
    assert (command["outcome"], command["at"]) == ("not_sent", "2026-03-01T12:00:00.000Z")
    assert command["why"] == "it was never sent to the charger; the cloud was told Rejected"


async def test_what_the_station_declines_is_told_of_the_site_alone(store):
    def story(site):
        site.charger("A")
        site.csms(1, 0, "ReserveNow", '[4,"m","NotSupported","x",{}]')
        site.csms(2, 0, "GetConfiguration", '[3,"m",{"configurationKey":[]}]')

    await happens(store, story)
    found = only(await ask(store))
    assert (found["rule"], found["cause"], found["chargers"]) == ("command_declined", "integration", [])
    assert (await ask(store, "A"))["findings"] == []


async def test_a_session_has_what_its_charger_did_meanwhile_and_not_what_it_did_before_after_or_beside(store):
    def story(site):
        charger, (one, two) = site.charger("A", 2)
        site.link(0, charger, "opened")
        for at in (10, 510, 700):
            site.link(at, charger, "closed")
            site.link(at + 5, charger, "opened")
            site.sent(at + 6, charger, START, None, NO, payload={"connectorId": 2, "idTag": "x"})
            site.sent(at + 7, charger, "Reset", None, NO)
            if at == 10:
                tx_no = site.begin(500, (charger, one))
                beside = site.begin(505, (charger, two))
            elif at == 510:
                site.noted(520, charger, "values_after_stop", tx_no=beside)
                site.end(tx_no, 600)
                site.end(beside, 1200)

    await happens(store, story)
    document = await ask(store, "S1")
    assert sorted(rules(document)) == ["command_refused", "connection_lost"]
    assert [one["action"] for one in document["answers"]["commands"]] == ["Reset"]
    assert {one["times"] for one in document["findings"]} == {1}
    assert {one["recurring"]["times"] for one in document["findings"]} == {3}
    assert "values_after_stop" in rules(await ask(store, "S2"))


# --- makes


async def test_what_was_seen_before_an_update_belongs_to_the_firmware_of_that_time(store):
    def story(site):
        for name in ("A", "B"):
            charger, _ = site.charger(name)
            site.boot(0, charger, "1.8")
            site.noted(10, charger, "orphan_stop")
            site.boot(1000, charger, "1.9")

    await happens(store, story)
    document = await ask(store)
    tied = only(document)["tied_to"]
    assert (tied["kind"], tied["firmware"], tied["seen_on"], tied["of"], tied["others"]) == ("firmware", "1.8", 2, 2, 2)
    assert [(one["firmware"], one["affected"]) for one in document["makes"]] == [("1.8", 2)]
    assert (await ask(store, "A"))["subject"]["firmware"] == "1.9"


# --- bounds


async def test_only_the_last_seven_days_count_unless_it_is_asked_for_more(store):
    await happens(store, lambda site: site.noted(0, site.charger("A")[0], "orphan_stop"))
    later = 8 * 24 * HOUR
    assert (await ask(store, "A", at=later))["findings"] == []
    assert rules(await ask(store, "A", at=later, since="2026-03-01T00:00:00Z")) == ["orphan_stop"]


async def test_a_session_older_than_that_is_shown_with_its_findings(store):
    def story(site):
        charger, (connector,) = site.charger("A")
        tx_no = site.begin(0, (charger, connector))
        site.noted(1, charger, "orphan_stop", tx_no=tx_no)
        site.end(tx_no, 5)

    await happens(store, story)
    document = await ask(store, "S1", at=30 * 24 * HOUR)
    assert (rules(document), only(document)["recurring"]) == (["orphan_stop"], None)


async def test_what_was_not_looked_at_is_said(store, monkeypatch):
    monkeypatch.setattr(views_diagnosis, "ROWS_OF_SUBJECT", 5)
    monkeypatch.setattr(views_diagnosis, "LEAST_ROWS", 5)
    monkeypatch.setattr(views_diagnosis, "ROWS_OF_OTHERS", 5)

    def story(site):
        charger, _ = site.charger("A")
        site.noted(0, charger, "orphan_stop")
        for at in range(1, 10):
            site.noted(at, charger, "values_after_stop")
        site.charger("B")

    await happens(store, story)
    for subject in ("A", None):
        document = await ask(store, subject)
        assert (document["truncated"], rules(document)) == (True, ["values_after_stop"])
    assert (await ask(store, "B"))["truncated"] is False


async def test_what_is_only_counted_is_told_beside_the_findings(store):
    await happens(store, lambda site: site.charger("A"))
    away = there("A", commands_unanswered=2, null_member=7, orphan_stop=1)
    document = await ask(store, "A", away, there("B", answer_late=1))
    (one,) = document["counted"]
    assert (one["charger"], one["rule"], one["times"], one["weight"]) == ("A", "commands_unanswered", 2, 80)
    assert "edge reset A" in one["advice"]
    assert len((await ask(store, None, away, there("B", answer_late=1)))["counted"]) == 2
