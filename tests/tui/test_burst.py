"""One answer for the frames of a group: what is stored, what one undo takes back, what is left."""

import pytest

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.labeling.bursts import MAX_FRAMES
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import PoolChange
from dgaal_cli.tui.screens.burst import BurstScreen
from dgaal_cli.tui.widgets.rows import Rows

SIZES = [
    pytest.param((60, 18), marks=pytest.mark.slow),
    (80, 24),
    (120, 40),
    pytest.param((200, 60), marks=pytest.mark.slow),
]


def group(workspace, names: list[str]) -> dict[str, ItemId]:
    """Put images into one group; return the numbers of all images by name."""
    with open_store(workspace.store_path) as store:
        items = {item.sample_id: item.item_id for item in store.items()}
        change = PoolChange(groups={items[SampleId(name)]: "burst 7" for name in names})
        store.change_pool(change)
        return items


def frames(count: int) -> list[str]:
    return [f"{i:03d}.png" for i in range(count)]


async def open_burst(t) -> BurstScreen:
    await t.press("tab")
    await t.until(lambda: isinstance(t.app.screen, BurstScreen), "for the burst")
    screen = t.app.screen
    await t.until(lambda: not screen.is_busy)
    return screen


async def press_on(t, screen, *keys: str) -> None:
    for key in keys:
        await t.until(lambda: screen.gate.elapsed_ms() is not None or not screen.model.cells)
        t.clock.now += 1
        await t.pilot.press(key)
        await t.pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_one_answer_labels_all_frames_and_one_undo_takes_it_back(
    make_workspace, terminal, size
):
    workspace = make_workspace(guess=5, asked=8)
    names = [*frames(4), "010.png", "011.png"]  # the last two are not in the query
    group(workspace, names)
    async with terminal(workspace=workspace, size=size, hints=True) as t:
        await t.press("4")
        screen = await open_burst(t)
        shown = [image.sample_id for image in screen.model.cells]
        assert shown == names[1 : 1 + len(shown)]
        assert screen.model.selected == len(shown)
        await press_on(t, screen, "4", "enter")
        await t.until(lambda: len(t.labels()) == 1 + len(shown), "for the labels")
        assert set(t.labels().values()) == {"four"}
        with open_store(workspace.store_path, read_only=True) as store:
            assert [e.note for e in store.events()][1:] == ["screen=burst"] * len(shown)
            assert {e.ui for e in store.events()} <= {"hidden", None, "probs"}
        if len(shown) < 5:
            await press_on(t, screen, "escape")
        await t.until(lambda: t.app.screen is t.screen, "for the label screen")
        await t.press("u")
        assert t.labels() == {"000.png": "four"}
        await t.press("u")
        assert t.labels() == {}


async def test_frames_that_are_not_selected_are_not_answered(make_workspace, terminal):
    workspace = make_workspace()
    group(workspace, frames(4))
    async with terminal(workspace=workspace) as t:
        screen = await open_burst(t)
        assert screen.model.marked.sample_id == "000.png"
        await press_on(t, screen, "s", "4", "enter")  # not the first one
        await t.until(lambda: len(t.labels()) == 3)
        assert "000.png" not in t.labels()
        assert [image.sample_id for image in screen.model.cells] == ["000.png"]


async def test_answered_frames_are_not_offered_and_keep_their_answer(make_workspace, terminal):
    workspace = make_workspace()
    group(workspace, frames(3))
    async with terminal(workspace=workspace) as t:
        await t.press("2", "x")
        screen = await open_burst(t)
        assert [image.sample_id for image in screen.model.cells] == ["002.png"]
        await press_on(t, screen, "4", "enter")
        await t.until(lambda: len(t.labels()) == 2)
        assert t.labels() == {"000.png": "two", "002.png": "four"}


async def test_burst_without_a_group_says_how_groups_are_made(terminal):
    async with terminal() as t:
        screen = await open_burst(t)
        rows = [strip.text for widget in screen.query(Rows) for strip in widget._rows]
        rows += [strip.text for strip in screen.query_one("#grid")._rows]
        assert "pool duplicates" in "\n".join(rows)
        await press_on(t, screen, "u", "escape")
        await t.until(lambda: t.app.screen is t.screen)
        assert t.events() == []


async def test_last_frame_of_a_group_says_that_no_other_waits(make_workspace, terminal):
    workspace = make_workspace()
    group(workspace, frames(1))
    async with terminal(workspace=workspace) as t:
        screen = await open_burst(t)
        assert "no other frame" in screen.note


async def test_undo_in_a_burst_takes_back_no_earlier_answer(make_workspace, terminal):
    workspace = make_workspace()
    group(workspace, frames(3))
    async with terminal(workspace=workspace) as t:
        await t.press("2")
        screen = await open_burst(t)
        await press_on(t, screen, "u")
        assert "nothing is stored here yet" in screen.note
        assert t.labels() == {"000.png": "two"}


async def test_large_group_offers_the_frames_around_the_image(make_workspace, terminal):
    names = frames(3 * MAX_FRAMES)
    workspace = make_workspace(names=names, asked=len(names))
    group(workspace, names)
    async with terminal(workspace=workspace) as t:
        middle = workspace_item(workspace, names[len(names) // 2])
        offered = []
        t.screen.answers.bridge.call(lambda session: session.burst(middle), offered.append)
        await t.until(lambda: offered)
        first = len(names) // 2 - MAX_FRAMES // 2
        shown = [image.sample_id for image in offered[0]]
        assert shown == names[first : first + MAX_FRAMES]


def workspace_item(workspace, name: str) -> ItemId:
    with open_store(workspace.store_path, read_only=True) as store:
        return next(item.item_id for item in store.items() if item.sample_id == name)
