"""Each command of the pages is carried out, in the order of the page, and prints what the page shows."""

import pytest

from tests.docs.depot import Depot
from tests.docs.happenings import happens
from tests.docs.pages import WIDTH, WRITTEN, Block, Scene, Then, scenes
from tests.docs.programs import carried_out, require_syntax, words_of
from tests.docs.shape import differs
from tests.scenarios.site import short_folder

PAGES = ("README.md", *WRITTEN)
PLAYED = [scene for page in PAGES for scene in scenes(page) if scene.name]


@pytest.mark.parametrize("scene", PLAYED, ids=[f"{scene.page}: {scene.heading}" for scene in PLAYED])
async def test_what_the_page_tells_to_do_works_and_shows_what_the_page_shows(scene: Scene):
    with short_folder() as folder:
        async with Depot(folder) as depot:
            await happens(scene.name, depot)
            for step in scene.steps:
                if isinstance(step, Then):
                    await happens(step.what, depot)
                else:
                    await read(scene, step, depot)


async def read(scene: Scene, block: Block, depot: Depot) -> None:
    if path := block.note("file") or block.note("added to"):
        depot.write(path, block.text, at_end=block.note("file") is None)
    elif block.kind in ("console", "sh"):
        await follow(scene, block, depot)


async def follow(scene: Scene, block: Block, depot: Depot) -> None:
    """Type the commands of a block."""
    for command in block.commands:
        require_syntax(command.line)
    if block.note("not run") is not None:
        return
    meant = {written: str(await happens(what, depot)) for written, what in block.lets}
    commands = block.commands
    for command in commands:
        where = f"{scene.page}:{block.at}: {command.line}"
        line = " ".join(meant.get(word, word) for word in command.line.split(" "))
        printed = await carried_out(command, line, depot, block.note("typed"))
        if printed is None:
            continue
        text = depot.led_back(printed.text)
        is_last = command is commands[-1]
        expected = int(block.note("exit") or 0) if is_last else 0
        assert printed.code == expected, f"{where}\nexit code {printed.code}\n{text}"
        if command.shown:
            wrong = differs(command.shown, text)
            assert wrong is None, f"{where}\n{wrong}\n\nprinted:\n{text}"
        if words_of(command.line)[0][0] == "edge" and "--raw" not in line and "--json" not in line:
            too_wide = [one for one in printed.text.splitlines() if len(one) > WIDTH and str(depot.root) not in one]
            assert too_wide == [], f"{where}\nwider than {WIDTH} columns: {too_wide}"
