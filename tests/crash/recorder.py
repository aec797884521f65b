"""Tells a story once with strace beside every life of the daemon: `record` gives what there is to replay.

The steps that were seen must lead to the very files that are on the disk in the end; else something was overlooked.
"""

from pathlib import Path

from tests.crash import recording, strace, truth
from tests.crash.cradle import Cradle
from tests.crash.disk import Choice, Disk
from tests.crash.keeper import Observer
from tests.crash.recording import Recording
from tests.crash.replay import Run
from tests.crash.stories import Story, disk_before
from tests.crash.yard import Place, Ports, place, yard

TRIES_AT_MOST = 10


class RunIsWrong(AssertionError):
    """Already without a power cut."""


class NobodyKnows(Exception):
    """Whether a write was done: its process was killed in the midst of it."""


async def record(
    story: Story,
    cradle: Cradle,
    *,
    variant: str | None = None,
    afresh: bool = True,
    failing: str | None = None,
    store_name: str = "edge.db",
) -> Run:
    """`variant`: instead of the story's own. `afresh`: as `python -m edge`, which takes half a second a life more.

    `failing`: what strace lets fail in the first life, such as `fdatasync:error=EIO:when=20`.
    `store_name`: below the disk, perhaps in a folder that the daemon makes.

    Where the story kills the daemon, that may hit a call of which nobody knows whether it was done; then the story is
    told again.
    """
    for _ in range(TRIES_AT_MOST):
        try:
            return await _record(story, cradle, variant, failing, store_name, afresh=afresh)
        except NobodyKnows:
            continue
    raise RunIsWrong(f"{story.name}: a kill hit a write each time, in {TRIES_AT_MOST} tellings")


async def _record(
    story: Story, cradle: Cradle, variant: str | None, failing: str | None, store_name: str, *, afresh: bool
) -> Run:
    ports = Ports()
    disk = await disk_before(story, cradle, ports)
    with place(store_name) as here:
        here.put(disk)

        def trace(life: int) -> Path:
            return here.folder / f"trace-{life}"

        def observe(life: int) -> Observer:
            inject = ("-e", f"inject={failing}") if failing is not None and life == 1 else ()
            return Observer((*strace.OBSERVING, *inject, "-o", str(trace(life))))

        async with yard(
            cradle, here, ports, variant=variant or story.variant, observe=observe, afresh=afresh, thins=story.thins
        ) as site:
            await story.tell(site)
            if site.keeper.is_up:
                await site.keeper.down()
            lives = site.keeper.lives
            complaints = truth.wrong(site)
            if complaints and variant is None:
                raise RunIsWrong(f"{story.name}: {complaints}")
            said = truth.said(site.chargers.values())
        traces = [trace(life) for life in range(1, lives + 1)]
        if any(call.result is None and call.name in strace.CONTENT for one in traces for call in strace.calls(one)):
            raise NobodyKnows
        recorded = recording.read(here.disk, dict(disk), traces)
        _require_all(recorded, here)
    before = site.older.promised()
    return Run(story.name, recorded, {**before, **said}, tuple(before), story.thins, store_name)


def _require_all(recorded: Recording, here: Place) -> None:
    """Raises RunIsWrong unless the steps lead to the very files that the run has left."""
    disk = Disk.of(recorded)
    for step in recorded.steps:
        disk.do(step)
    everything = Choice(dict.fromkeys(disk.written()), frozenset(disk.pending))
    found = {path: bytes(leaf.content()) for path, leaf in disk.image(everything)[0].items()}
    left = here.files()
    different = {path for path in found.keys() | left.keys() if found.get(path) != left.get(path)}
    different = {path for path in different if not recording.IS_NO_MATTER.search(path)}
    if different:
        raise RunIsWrong(f"the recording does not lead to what is on the disk: {sorted(different)}")
