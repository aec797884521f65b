"""Each mechanism that guards a promise is switched off once: a short run must find it out.

A simulation that stays green whatever the daemon does proves nothing. What is switched off, with which faults, and
which rule has to break stands in the table; a few virtual hours of a few seeds are enough.
"""

import asyncio
import dataclasses
import itertools
import sqlite3

import pytest

from edge.chargers import roster, starts, stops
from edge.dialects.v16 import gathering
from edge.domain import reconciliation, registers
from edge.jsontypes import Payload
from edge.store import db, delivery, exchange, repeats
from edge.uplink import commands, composing, configuration, lanes, link, outcomes, sender, station
from edge.uplink.lanes import Lanes
from tests.simulation import cloud, drivers
from tests.simulation.simulate import simulate

HOURS = 5.0
SEEDS = range(1, 7)
"""Of each mutation so many runs at most, until one goes red."""


def answer_before_commit(monkeypatch):
    """What was answered is committed only minutes later."""
    commit_at = 0.0

    def run_group(connection, units):
        nonlocal commit_at
        now = asyncio.get_running_loop().time()
        if connection.in_transaction and now >= commit_at:
            connection.execute("COMMIT")
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
            commit_at = now + 300.0
        return [(unit(connection), None) for unit in units]

    monkeypatch.setattr(db, "_run_group", run_group)


def wait_for_no_disk(monkeypatch):
    """`synchronous=NORMAL`: a commit is told before the disk has it."""
    settings = tuple(
        (name, "NORMAL", 1) if name == "synchronous" else (name, value, found) for name, value, found in db.SETTINGS
    )
    monkeypatch.setattr(db, "SETTINGS", settings)


def believe_a_failed_commit(monkeypatch):
    """A commit that fails is taken for one that has worked."""
    run_group = db._run_group

    def run_all_the_same(connection, units):
        try:
            return run_group(connection, units)
        except sqlite3.OperationalError:
            connection.execute("BEGIN")
            results = [(unit(connection), None) for unit in units]
            connection.execute("ROLLBACK")
            return results

    monkeypatch.setattr(db, "_run_group", run_all_the_same)


def make_each_start_a_session(monkeypatch):
    """A repeated start is not known again."""
    numbers = itertools.count()
    monkeypatch.setattr(starts, "start_key", lambda *_: next(numbers).to_bytes(16, "big"))


def take_repeated_values_for_new(monkeypatch):
    """Values that a charger says again are not known again."""
    monkeypatch.setattr(repeats, "remember", lambda *_: True)


def bind_ids_when_stored(monkeypatch):
    """The id that the charger knows goes up, not the cloud's."""

    def render(message) -> Payload:
        payload = exchange.payload(message.row)
        return {**payload, **({"connectorId": message.upstream_connector} if "connectorId" in payload else {})}

    monkeypatch.setattr(composing, "render", render)


def take_the_newest_id(monkeypatch):
    """A second id for one start takes the place of the first."""

    def learn(connection, tx_no, csms_tx):
        connection.execute("UPDATE tx SET upstream_tx = ? WHERE tx_no = ?", (csms_tx, tx_no))

    def compare(_self, database, sent, answer):
        if sent.action == "StartTransaction":
            learn(database, sent.message.tx_no, str(answer.payload["transactionId"]))

    monkeypatch.setattr(delivery, "learn_csms_tx", learn)
    monkeypatch.setattr(outcomes.Outcomes, "_compare", compare)


def let_starts_and_stops_overtake(monkeypatch):
    """Turns that break a connector's order: a start or a stop goes before the values that wait."""

    def offer(self, connector, message):
        waiting = self[lanes.STATION_LANE if connector is None else self._lane_of[connector]].waiting
        waiting.insert(1 if waiting and message.is_start_or_stop else len(waiting), message)

    monkeypatch.setattr(Lanes, "offer", offer)
    monkeypatch.setattr(delivery, "passed_over", lambda *_: [])


def forget_what_waited(monkeypatch):
    """After a start the lanes are empty."""

    async def load(self):
        numbered, _ = await self._store.write(lambda db: (lanes.connectors.numbered(db), None))
        for one in numbered:
            self._lane_of[one.no] = one.upstream

    monkeypatch.setattr(Lanes, "load", load)
    monkeypatch.setattr(delivery, "passed_over", lambda *_: [])


def lose_one_of_the_values_in_company(monkeypatch):
    """Of several values in one message the last one is missing."""
    together = gathering.together

    def all_but_the_last(payloads):
        payload = together(payloads)
        return {**payload, "meterValue": payload["meterValue"][:-1]} if len(payloads) > 1 else payload

    monkeypatch.setattr(gathering, "together", all_but_the_last)


def park_what_is_refused_for_now(monkeypatch):
    """As if it were refused for good."""
    monkeypatch.setattr(outcomes.actions, "is_permanent", lambda _code: True)


def believe_each_concurrent_tx(monkeypatch):
    """Also when an earlier transaction of the token has not reached the cloud yet."""
    monkeypatch.setattr(delivery, "has_undelivered_before", lambda *_: False)
    monkeypatch.setattr(drivers, "TAGS", 3)  # so that the same ones come again soon


def count_one_watt_hour_more(monkeypatch):
    """Not the daemon, but the books of the cloud: the sums are compared to the last one."""
    stop = cloud.Cloud._stop

    def stop_and_miscount(self, arrival):
        stop(self, arrival)
        known = self.transactions.get(arrival.payload["transactionId"])
        if known is not None:
            known.stops[-1] = {**arrival.payload, "meterStop": arrival.payload["meterStop"] + 1}

    monkeypatch.setattr(cloud.Cloud, "_stop", stop_and_miscount)


def give_up_on_silence(monkeypatch):
    """A message that the cloud does not answer is not sent again."""
    monkeypatch.setattr(outcomes.Outcomes, "failed_for_now", lambda self, sent, *_: self._lanes[sent.lane].advance())
    monkeypatch.setattr(delivery, "passed_over", lambda *_: [])


def say_it_anew_each_time(monkeypatch):
    """A repeat is not what was sent before."""
    numbers, render = itertools.count(), composing.render
    monkeypatch.setattr(delivery, "bind", lambda *_: None)
    monkeypatch.setattr(composing, "render", lambda message: {**render(message), "vendorNumber": next(numbers)})


def tell_no_change_of_status(monkeypatch):
    """The cloud hears of a connector only when the station registers."""
    look = station.Station._look

    async def look_without_news(self):
        wake_at = await look(self)
        if len(self._told) > self.connector_count:
            self._news = {}
        return wake_at

    monkeypatch.setattr(station.Station, "_look", look_without_news)


def write_no_digest(monkeypatch):
    """Rows have a digest of nothing."""
    monkeypatch.setattr(exchange, "digest", lambda seq, before, text: bytes(8))


def log_a_password(monkeypatch):
    """Under a name that the redaction does not know."""
    refuse = sender.Sender._heartbeat

    async def heartbeat(self, interval):
        self._log.warning("heartbeat", sent=f"uplink-{asyncio.get_running_loop().seed:016}")
        return await refuse(self, interval)

    monkeypatch.setattr(sender.Sender, "_heartbeat", heartbeat)


def fail_in_the_open(monkeypatch):
    """A defect of ours that only a supervisor catches."""

    def broken(*_):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(station.Station, "next_news", broken)


def carry_out_each_copy(monkeypatch):
    """A command that comes twice under one message id."""
    monkeypatch.setattr(link, "ANSWERED_AT_MOST", 0)
    monkeypatch.setattr(commands.Commands, "_is_recent", lambda *_: False)


def wait_for_ever(monkeypatch):
    """For answers and pongs on the uplink."""
    monkeypatch.setattr(sender, "ANSWER_WITHIN", 1e6)
    monkeypatch.setitem(configuration._WRITABLE, "WebSocketPingInterval", configuration._Writable("0"))


def leave_tasks_behind(monkeypatch):
    """Of each link that ends."""
    detach = roster.Roster.detach

    def leave(self, ended):
        detach(self, ended)
        for _ in range(20):
            asyncio.get_running_loop().create_task(asyncio.sleep(1e6))

    monkeypatch.setattr(roster.Roster, "detach", leave)


def take_a_pause_for_an_end(monkeypatch):
    """A car that draws nothing counts as one that has left."""
    after_status = reconciliation.after_status

    def after(doubt, status, *when, **how):
        return after_status(doubt, "Available" if status == "SuspendedEV" else status, *when, **how)

    monkeypatch.setattr(reconciliation, "after_status", after)


def never_conclude(monkeypatch):
    """A stop that never comes is waited for."""
    monkeypatch.setattr(reconciliation, "next_step", lambda *_, **__: reconciliation.Step.WAIT)


def send_the_late_stop_too(monkeypatch):
    """The real stop goes up although ours did."""

    def end(connection, said, ended, tx, answer, notes):
        return stops._end(connection, said, ended, tx, answer, notes)

    monkeypatch.setattr(stops, "_further", end)


def bill_more_than_is_known(monkeypatch):
    """A session without a stop gets a kilowatt-hour on top."""
    of_unfinished = registers.of_unfinished

    def more(session, next_register):
        found = of_unfinished(session, next_register)
        return dataclasses.replace(found, energy_wh=found.energy_wh + 1000, stop_wh=found.stop_wh + 1000)

    monkeypatch.setattr(registers, "of_unfinished", more)


BITES = (  # with the plain cloud, where no other is named
    (answer_before_commit, {"controller_crash"}, 10, "I1 acknowledged_is_on_disk"),
    (wait_for_no_disk, {"controller_crash"}, 10, "I1 acknowledged_is_on_disk"),
    (believe_a_failed_commit, {"commit_fails"}, 10, "I1 acknowledged_is_on_disk"),
    (make_each_start_a_session, {"charger_repeats_message"}, 4, "I11 repeated_starts_get_the_same_answer"),
    (take_repeated_values_for_new, {"charger_repeats_message"}, 4, "I3 repeats_have_a_reason"),
    (bind_ids_when_stored, set(), 1, "I5 ids_are_their_own"),
    (take_the_newest_id, {"answer_late"}, 10, "I5 the_first_id_counts"),
    (let_starts_and_stops_overtake, {"uplink_cut_for_minutes"}, 4, "I2 order_of_each_connector"),
    (forget_what_waited, {"uplink_cut_for_minutes", "controller_restart"}, 4, "I1 acknowledged_is_delivered"),
    (give_up_on_silence, {"message_swallowed"}, 4, "I1 acknowledged_is_delivered"),
    (lose_one_of_the_values_in_company, {"uplink_cut_for_minutes"}, 4, "I1 acknowledged_is_delivered"),
    (park_what_is_refused_for_now, {"refused_for_now"}, 20, "I1 parked_was_refused"),
    (believe_each_concurrent_tx, {"uplink_cut_for_minutes"}, 6, "I15 no_false_concurrent_tx", "strict"),
    (count_one_watt_hour_more, set(), 1, "I6 energy_is_conserved"),
    (say_it_anew_each_time, {"answer_lost"}, 4, "I3 repeats_are_equal"),
    (tell_no_change_of_status, {"cloud_restart"}, 1, "I10 statuses_are_true"),
    (wait_for_ever, {"uplink_half_open"}, 4, "I10 comes_to_rest"),
    (carry_out_each_copy, {"command_repeated"}, 3, "I8 commands_are_carried_out_once"),
    (leave_tasks_behind, {"charger_link_reset"}, 10, "I9 bounded"),
    (log_a_password, set(), 1, "I12 no_secret_is_logged"),
    (write_no_digest, set(), 1, "I13 disk_is_whole"),
    (fail_in_the_open, set(), 1, "I14 nothing_fails"),
    (take_a_pause_for_an_end, set(), 1, "I2 nothing_is_invented"),
    (never_conclude, {"stop_lost"}, 1, "I10 comes_to_rest"),
    (send_the_late_stop_too, {"stop_withheld"}, 3, "I16 one_stop_each"),
    (bill_more_than_is_known, {"stop_lost"}, 1, "I16 our_stops_are_provable"),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bite", BITES, ids=[bite[0].__name__ for bite in BITES])
def test_a_run_goes_red_when_a_guard_is_switched_off(monkeypatch, bite):
    mutation, faults, often, rule, *named = bite
    mutation(monkeypatch)
    others = []
    for seed in SEEDS:
        breaches = simulate(seed, HOURS, 3, cloud=(*named, "plain")[0], only=faults, intensity=often).breaches
        if any(breach.startswith(f"{rule}:") for breach in breaches):
            return
        others += breaches
    pytest.fail(f"{mutation.__doc__}: nobody noticed in {len(SEEDS)} runs, but {others}")


def test_the_same_runs_are_green_with_all_guards_in_place():
    faults = set().union(*(faults for _, faults, *_ in BITES))
    assert simulate(SEEDS[0], HOURS, 3, cloud="plain", only=faults, intensity=4.0).breaches == []
