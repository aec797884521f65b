"""Tells one story again and again, each time from the same disk, and judges how it ended.

Then every message that was answered is in the journal, as it came and as it was answered, the store is sound, and the
cloud has all of it in order, what came twice in equal words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.crash import journal, truth
from tests.crash.cradle import Cradle
from tests.crash.figures import Figures
from tests.crash.keeper import NOBODY, Observer, StoryFailed
from tests.crash.stories import Files, Story, disk_before
from tests.crash.yard import PATIENCE, Place, Ports, Yard, place, yard

Observe = Callable[[int, Place], Observer]
Look = Callable[[Yard], None]


def nobody(_life: int, _here: Place) -> Observer:
    return NOBODY


@dataclass
class Teller:
    story: Story
    cradle: Cradle
    variant: str | None = None
    """Instead of the story's own."""
    command_may_fail: bool = False
    """`edge restore` may say that it could not, as long as it can be done again."""
    patience: float = PATIENCE
    ports: Ports = field(default_factory=Ports)
    before: Files | None = None

    async def tell(
        self,
        figures: Figures,
        what: object,
        observe: Observe = nobody,
        look: Look | None = None,
        *,
        afresh: bool = False,
        leaves_out_values: bool = False,
    ) -> None:
        """`what` is the matter with this telling; `look` sees the yard at the end, whatever became of it.

        `leaves_out_values`: the disk will be full, and what room there is belongs to starts and stops.
        """
        where = f"{self.story.name}, {what}"
        if self.before is None:
            self.before = await disk_before(self.story, self.cradle, self.ports)
        with place() as here:
            here.put(dict(self.before))
            async with yard(
                self.cradle,
                here,
                self.ports,
                variant=self.variant or self.story.variant,
                observe=lambda life: observe(life, here),
                afresh=afresh,
                command_may_fail=self.command_may_fail,
                thins=self.story.thins or leaves_out_values,
                patience=self.patience,
            ) as site:
                if self.story.spoil is not None:
                    self.story.spoil(here)
                try:
                    await self.story.tell(site)
                    if site.keeper.is_up:
                        await site.keeper.down()
                    complaints = truth.wrong(site)
                    if complaints:
                        figures.complain("the cloud is not content", f"{where}: {complaints[0]}")
                except StoryFailed as failure:
                    figures.complain("it did not come to its end", f"{where}: {failure}")
                if site.keeper.is_up:
                    await site.keeper.down()
                if look is not None:
                    look(site)
            await judge_store(site, where, figures, self.story)


async def judge_store(site: Yard, where: str, figures: Figures, story: Story) -> None:
    """With nobody using it. Where delivered history is removed before its time, the cloud has answered for it."""
    chargers = site.chargers.values()
    said, answers = truth.said(chargers), truth.answers(chargers)
    try:
        with await journal.opened(site.place.store) as connection:
            damage = journal.is_whole(connection)
            contents = journal.look(connection)
    except journal.UNUSABLE as error:
        figures.complain("cannot be opened", f"{where}: {error}")
        return
    if damage is not None or contents.unsound is not None:
        figures.complain(
            "is damaged" if damage is not None else "contradicts itself", f"{where}: {damage or contents.unsound}"
        )
    why = journal.why_put_aside(site.place.disk)
    if why is not None and story.spoil is None:
        figures.complain("was put aside", f"{why}: {where}")
    aside = [journal.of_copy(path) for path in site.place.disk.glob("*.before-restore-*")]
    places = [contents, *(one for one in aside if isinstance(one, journal.Contents))]
    promised = [(said[one], answers[one]) for one in said.keys() & answers.keys()]
    promised += [(one, None) for one in site.older.promised().values()]
    if story.thins:
        promised = []
    elif site.thins:
        promised = [(one, answer) for one, answer in promised if one.action != "MeterValues"]
    gone = [lacks[0] for one, answer in promised if all(lacks := [each.lacks(one, answer) for each in places])]
    figures.promises += len(promised)
    figures.acknowledged += len(said.keys() & answers.keys())
    if gone:
        figures.lose(len(gone), f"{where}: {gone[0]}")
