"""What happens at a site while its controller is recorded, killed, or its disk fails.

A story begins with a disk (`before`, a story of its own that is told once) and says what the chargers, the cloud and
the technician do. It never waits for a particular life of the daemon, so that it comes to the same end whatever is
killed on the way; then the cloud has everything.
"""

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from simulators.charger import Charger

from edge.store.migration import schema_files
from edge.store.pages import PAGE_BYTES
from tests.crash.cradle import Cradle
from tests.crash.keeper import StoryFailed
from tests.crash.older import point_to
from tests.crash.yard import CHARGERS, Place, Ports, Yard, place, yard
from tests.databases.dump import load

VALUES = 30
"""Of a long session."""
Tell = Callable[[Yard], Awaitable[None]]
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Story:
    name: str
    tell: Tell
    before: Tell | None = None
    """What happened at the same site before; its disk is what this begins with."""
    spoil: Callable[[Place], None] | None = None
    """Damages what is on the disk when it begins; nothing of it is lost by that alone."""
    prepare: Callable[[Place, str], None] | None = None
    """Puts something on the disk first; the CSMS's address."""
    variant: str = "brisk"
    thins: bool = False
    """Meter values may be left out, and delivered history goes before its time."""


async def disk_before(story: Story, cradle: Cradle, ports: Ports) -> Files:
    """What a story begins with."""
    with place() as here:
        if story.prepare is not None:
            story.prepare(here, f"ws://127.0.0.1:{ports.csms}/ocpp")
        if story.before is not None:
            async with yard(cradle, here, ports) as site:
                site.keeper.up()
                await story.before(site)
                await site.keeper.down()
        return here.files()


async def three(site: Yard) -> list[Charger]:
    return [await site.charger(f"CP-0{number}") for number in (1, 2, 3)]


async def all_at_once(*what: Awaitable[None]) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for one in what:
                tasks.create_task(one)  # type: ignore[arg-type]
    except* StoryFailed as failures:
        raise failures.exceptions[0] from None


# --- the stories


async def first_start(site: Yard) -> None:
    """Nothing is there yet: the store is made, two chargers appear and charge, the daemon ends as it should."""
    site.keeper.up()
    one, other, _ = await three(site)
    await all_at_once(site.session(one, values=1), site.session(other, 2, values=1))
    await site.delivered()
    await site.keeper.down()


async def charging(site: Yard) -> None:
    """Three sessions side by side while the cloud answers, and another one after an orderly restart."""
    site.keeper.up()
    chargers = await three(site)
    await all_at_once(*(site.session(charger, values=3) for charger in chargers))
    await site.delivered()
    await site.keeper.restart()
    await site.session(chargers[0], 2, values=1)
    await site.delivered()
    await site.keeper.down()


async def known_site(site: Yard) -> None:
    """A day of a site that everybody knows: one session of each charger, delivered."""
    for charger in await three(site):
        await site.session(charger, values=1)
    await site.delivered()


async def outage(site: Yard) -> None:
    """The uplink breaks in the middle of sessions; some end, some begin; then it is back, and all is delivered."""
    site.keeper.up()
    one, other, third = await three(site)
    site.begin(one)
    site.begin(other, 2)
    site.values(other, 2)
    await site.answered(one, other)
    site.csms.refuse_connections(True)
    site.csms.cut()
    site.values(one)
    site.end(one)
    await site.answered(one)
    await site.session(third, values=2)
    site.values(other, 2)
    await site.answered()
    site.csms.refuse_connections(False)
    site.end(other, 2)
    await site.delivered()
    await site.keeper.down(signal.SIGKILL)


async def long_outage(site: Yard) -> None:
    """The cloud is away; two sessions end and one goes on."""
    site.csms.refuse_connections(True)
    one, other, third = await three(site)
    await all_at_once(site.session(one, values=2), site.session(other, values=2))
    site.begin(third)
    site.values(third)
    await site.answered()


async def backlog(site: Yard) -> None:
    """The daemon starts with what an outage has left, and delivers it while a charger charges."""
    site.keeper.up()
    one, *_ = await three(site)
    await site.session(one, 2, values=2)
    await site.delivered()
    await site.keeper.down()


async def lost_stop(site: Yard) -> None:
    """A charger loses the stop of a session: the next one on the connector proves its end, and the cloud gets a stop."""
    site.keeper.up()
    one, other, _ = await three(site)
    site.begin(one)
    site.values(one, wh=40)  # if the full disk refuses them, the next start still proves the energy
    await site.answered(one)
    site.end(one, is_stop_lost=True)
    await all_at_once(site.session(one, values=1), site.session(other, 2, values=1))
    await site.delivered()
    await site.keeper.down()


def lose_first_page(here: Place) -> None:
    """On which SQLite keeps where everything is, and the store none of its rows."""
    whole = here.store.read_bytes()
    here.store.write_bytes(bytes(PAGE_BYTES) + whole[PAGE_BYTES:])


async def damaged(site: Yard) -> None:
    """The store is put aside; from another one a charger is served, and what was left is brought back and delivered."""
    site.keeper.up()
    one, *_ = await three(site)
    await site.session(one, 2, values=2)
    await site.shown("status", has_salvaged)
    await site.delivered()
    await site.session(one, 1, values=1)
    await site.delivered()
    await site.keeper.down()


def has_salvaged(status: dict) -> bool:
    return any("Salvaged:" in alarm["message"] for alarm in status["alarms"])


async def upgraded(site: Yard) -> None:
    """A store of an earlier schema: migrated, what waited is delivered, a charger charges."""
    site.csms.refuses_malformed = False  # there is something in these stores that is
    site.keeper.up()
    one = await site.charger("CP-03")
    await site.session(one, 1, values=1)
    await site.delivered()
    await site.keeper.down()


async def put_back(site: Yard) -> None:
    """A backup while a session goes on; later it is put back, and the site goes on from there."""
    site.keeper.up()
    one, other, _ = await three(site)
    site.begin(one)
    site.values(one)
    await site.answered()
    await site.delivered()
    copy = site.place.folder / "backup.db"
    await site.backup(copy)
    site.values(one)
    site.end(one)
    await site.session(other, values=1)
    await site.delivered()
    await site.keeper.down()
    await site.keeper.command("restore", str(copy), "--yes", "--force", "--config", str(site.place.config))
    site.keeper.up()
    await site.session(other, 2, values=1)
    await site.delivered()
    await site.keeper.down()


async def fleet(site: Yard) -> None:
    """A charger that nobody listed is adopted and charges; another takes its place; a third one is retired."""
    site.keeper.up()
    new, newer, third = await site.charger("CP-08"), await site.charger("CP-09"), await site.charger("CP-03")
    await site.order("adopt", charger="CP-08")
    await site.ready(new)
    await site.session(new, values=1)
    await site.order("replace", old="CP-08", new="CP-09", force=True, done="has no upstream numbers")
    await site.leave(new)
    await site.ready(newer)
    await site.session(newer, values=1)
    await site.session(third, values=1)
    await site.delivered()
    await site.leave(third)
    await site.order("forget", charger="CP-09", force=True)
    await site.keeper.down()


async def longer_list(site: Yard) -> None:
    """Another charger is listed while one charges: the configuration is read again, and it charges as well."""
    site.keeper.up()
    one = await site.charger("CP-01")
    site.begin(one)
    site.values(one)
    await site.answered()
    site.list_chargers(CHARGERS + 1)
    newcomer = await site.charger(f"CP-0{CHARGERS + 1}")
    await site.reloaded(newcomer)
    await site.session(newcomer, values=1)
    site.end(one)
    await site.delivered()
    await site.keeper.down()


async def housekeeping(site: Yard) -> None:
    """A store that is filling: delivered history is removed, what waits is thinned, pages are given back."""
    site.csms.refuse_connections(True)
    site.keeper.up()
    one, *_ = await three(site)
    await site.session(one, 2, values=2)
    await site.shown("status", has_made_room)
    site.csms.refuse_connections(False)
    await site.delivered()
    await site.keeper.down()


def has_made_room(status: dict) -> bool:
    store = status["store"]
    return store is not None and (store["thinned"] > VALUES // 2 or store["level"] in {"green", "yellow"})


async def many_values(site: Yard) -> None:
    """Some delivered history; then the cloud is away, and two long sessions wait."""
    await known_site(site)
    site.csms.refuse_connections(True)
    site.csms.cut()
    _, other, third = await three(site)

    async def charge(charger: Charger) -> None:
        site.begin(charger)
        for _ in range(VALUES):
            site.values(charger)
            await site.answered(charger)
        site.end(charger)
        await site.answered(charger)

    await all_at_once(charge(other), charge(third))


def earlier_store(schema: int) -> Callable[[Place, str], None]:
    """The store of `tests/databases`, whose cloud this is."""

    def prepare(here: Place, csms_url: str) -> None:
        text = (Path(__file__).parent.parent / "databases" / f"schema-{schema}.sql").read_text()
        load(text, here.store)
        point_to(here.store, csms_url)
        with closing(sqlite3.connect(here.store, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    return prepare


NEWEST = schema_files()[-1][0]
STORIES = {
    story.name: story
    for story in (
        Story("first start", first_start),
        Story("charging", charging, before=known_site),
        Story("outage and drain", outage, before=known_site),
        Story("restart with a backlog", backlog, before=long_outage),
        Story("a lost stop", lost_stop, before=known_site),
        Story("a damaged store", damaged, before=long_outage, spoil=lose_first_page),
        Story("backup and restore", put_back, before=known_site),
        Story("adopt, replace, forget", fleet, before=known_site),
        Story("reload", longer_list, before=known_site),
        Story("a store that is filling", housekeeping, before=many_values, variant="cramped", thins=True),
        *(
            Story(f"migration from schema {number}", upgraded, prepare=earlier_store(number))
            for number in (1, NEWEST - 1)  # one transaction, however many schemas it passes
        ),
    )
}
