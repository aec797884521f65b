"""Each charger is given a URL by which it can fetch: what it lists, and where that is not known one after the other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from simulators.charger import Charger
from simulators.obedience16 import Setting
from simulators.updating import Habits, image

from edge.domain.ports import CallTimedOut, ChargerOffline, PeerRefused
from edge.domain.rollouts import PATIENCE_MS, Step
from edge.jobs.locations import KEY, location
from firmware_bridge.api import TicketNow
from tests.firmware.yard import THREE, Internet, over, requests, yard

FTP_ONLY, HTTP_ONLY = Habits(protocols=("ftp",)), Habits(protocols=("http",))
URLS = {"http": "http://127.0.0.1:1/a", "ftp": "ftp://u:p@127.0.0.1:2/a"}


def schemes(box: Charger) -> list[str]:
    """Of the URLs that it was given."""
    return [url.partition(":")[0] for url in box.updating.locations]


def lists(boxes: Iterable[Charger], *values: str) -> None:
    for box, value in zip(boxes, values, strict=True):
        box.configuration[KEY] = Setting(value, is_readonly=True, is_number=False)


async def test_a_charger_gets_the_protocol_that_it_lists(folder):
    internet = Internet({"new.bin": image("1.1")})
    habits = {"CP-01": FTP_ONLY, "CP-02": HTTP_ONLY}
    async with yard(folder, internet, habits=habits) as (site, boxes):
        lists(boxes, "FTP", "HTTP,HTTPS", "SFTP,FTPS")
        await site.ask("firmware_rollout", location=internet.url("new.bin"), model="Two-Outlet", version="1.1")
        ended = await over(site)
        assert (ended["state"], ended["installed"]) == ("done", 3)
        assert [schemes(box) for box in boxes] == [["ftp"], ["http"], ["ftp"]]
        assert all(box.updating.downloads == [image("1.1")] for box in boxes)
        asked = [payload for action, payload in boxes[0].requests if action == "GetConfiguration" and payload]
        assert {"key": [KEY]} in asked


async def test_who_lists_none_gets_http_and_the_second_time_ftp(folder, monkeypatch):
    monkeypatch.setitem(PATIENCE_MS, Step.RESTARTED, 500)
    internet = Internet({"new.bin": image("1.1")})
    habits = {"CP-01": FTP_ONLY, "CP-02": Habits(restarts_midway=1)}
    async with yard(folder, internet, chargers=THREE[:2], habits=habits) as (site, boxes):
        await site.ask("firmware_rollout", location=internet.url("new.bin"), model="Two-Outlet", version="1.1")
        ended = await over(site)
        assert (ended["state"], ended["installed"]) == ("done", 2)
        assert [schemes(box) for box in boxes] == [["http", "ftp"]] * 2
        assert [one["requests"] for one in ended["chargers"]] == [2, 2]


async def test_who_can_neither_is_not_asked_a_third_time(folder):
    internet = Internet({"new.bin": image("1.1")})
    async with yard(folder, internet, chargers=THREE[:1], habits={"CP-01": Habits(protocols=())}) as (site, (box,)):
        await site.ask("firmware_rollout", location=internet.url("new.bin"), chargers=["CP-01"])
        ended = await over(site)
        assert (ended["state"], ended["failed"]) == ("failed", 1)
        assert requests(box).count("UpdateFirmware") == 2


@dataclass
class Answering:
    """A charger as the roster shows it."""

    answer: dict | Exception
    asked: list[str] = field(default_factory=list)

    def is_online(self, _):
        return True

    def away_for(self, _):
        return 0.0

    async def call(self, charger, action, payload, *, within, **_):
        self.asked.append(action)
        assert within == 10 and payload == {"key": [KEY]}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ticket(**urls: str) -> TicketNow:
    return TicketNow("0" * 32, urls, "2026-11-23T00:00:00+00:00", 0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        PeerRefused("NotSupported", ""), CallTimedOut("silent"), {}, {"unknownKey": [KEY]},
        {"configurationKey": [{"key": KEY, "readonly": True}]}, {"configurationKey": "FTP"},
        {"configurationKey": [{"key": "Other", "value": "FTP"}]},
    ],
    ids=str,
)  # fmt: skip
async def test_what_it_does_not_tell_is_not_known(answer):
    there = Answering(answer)
    assert await location(ticket(**URLS), there, "CP-01", 0) == URLS["http"]
    assert await location(ticket(**URLS), there, "CP-01", 1) == URLS["ftp"]


async def test_its_key_may_be_spelled_in_any_way():
    there = Answering({"configurationKey": [{"key": KEY.lower(), "value": "ftp"}]})
    assert await location(ticket(**URLS), there, "CP-01", 0) == URLS["ftp"]


async def test_where_there_is_no_choice_nobody_is_asked():
    there = Answering({})
    assert await location(ticket(http=URLS["http"]), there, "CP-01", 1) == URLS["http"]
    assert there.asked == []


async def test_who_is_gone_gets_none():
    with pytest.raises(ChargerOffline):
        await location(ticket(**URLS), Answering(ChargerOffline("gone")), "CP-01", 0)
