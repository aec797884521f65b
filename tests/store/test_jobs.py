"""Rollouts and collections: the store keeps those that are not over, and the newest of the others."""

import pytest

from edge.domain.collecting import Wish as LogWish
from edge.domain.collecting import as_json as logs_as_json
from edge.domain.rollouts import Wish, as_json
from edge.store import collecting, rollouts


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(rollouts, "MOST_KEPT", 3)
    monkeypatch.setattr(collecting, "MOST_KEPT", 3)


def numbers(db, table):
    (column,) = {"rollout": ("rollout_no",), "collection": ("collection_no",)}[table]
    return [
        [row[0] for row in db.execute(f"SELECT DISTINCT {column} FROM {name} ORDER BY 1")]
        for name in (table, f"{table}_charger")
    ]


def test_of_rollouts_that_are_over_the_newest_stay(db):
    for number in range(1, 11):
        no = rollouts.begin(db, rollouts.CSMS, as_json(Wish("https://a.example/x")), [1, 2], 1000)
        assert no == number
        if number != 2:
            rollouts.end(db, no, rollouts.DONE, None, 2000)
    assert numbers(db, "rollout") == [[2, 8, 9, 10]] * 2


def test_of_collections_those_stay_too_of_which_something_lies_at_the_bridge(db):
    for number in range(1, 11):
        no = collecting.begin(db, collecting.CSMS, logs_as_json(LogWish()), [1, 2], 1000)
        if number == 3:
            collecting.set_ticket(db, no, 1, "token")
        if number == 4:
            collecting.set_forward(db, no, "forward")
        if number != 2:
            collecting.end(db, no, collecting.DONE, None, 2000)
    assert numbers(db, "collection") == [[2, 3, 4, 8, 9, 10]] * 2
