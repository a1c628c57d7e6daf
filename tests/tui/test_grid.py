"""Confirming pages of guesses: stored answers, refused pages and images that were not seen."""

import dataclasses
import threading

import pytest
from class_labels import name_of
from textual.drivers.headless_driver import HeadlessDriver

from dgaal_cli.errors import StorageError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.tui.bridge import QueryImage
from dgaal_cli.tui.grid import CANNOT_TELL, GUESS, WRONG, GridMemory, GridModel
from dgaal_cli.tui.mouse import CLICKS_OFF, CLICKS_ON
from dgaal_cli.tui.screens.dialogs import UnsavedDialog
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.widgets.grid_view import GridView, shape_for
from dgaal_cli.tui.widgets.image_view import ImageView
from dgaal_cli.tui.widgets.rows import Rows


def image(number: int, *, share: float = 0.9, guess: str = "a") -> QueryImage:
    return QueryImage(
        item_id=ItemId(number),
        sample_id=SampleId(f"{number}.png"),
        is_synthetic=False,
        rank=number,
        predicted=ClassUid(guess),
        probabilities=((ClassUid(guess), share), (ClassUid("z"), 1 - share)),
    )


def model(count: int = 10, columns: int = 3, rows: int = 2) -> GridModel:
    grid = GridModel()
    grid.offer([image(i, share=0.95 - 0.01 * i) for i in range(count)])
    grid.resize(columns, rows)
    return grid


def stored_presses(grid: GridModel) -> list[tuple[int, str, str | None]]:
    return [(p.item_id, p.kind, p.label.classes[0] if p.label else None) for p in grid.presses(900)]


def test_unmarked_page_stores_its_guesses_and_divides_the_time():
    grid = model()
    assert stored_presses(grid) == [(i, "label", "a") for i in range(6)]
    assert {p.elapsed_ms for p in grid.presses(900)} == {150}
    assert {p.ui for p in grid.presses(None)} == {"prefilled"}


def test_marks_change_what_is_stored():
    grid = model()
    grid.toggle(WRONG)
    grid.move(1, 0)
    grid.relabel(ClassUid("b"))
    grid.toggle(CANNOT_TELL)
    grid.move(0, 1)
    grid.toggle(WRONG)
    grid.toggle(WRONG)
    assert stored_presses(grid) == [
        (1, "label", "b"),
        (2, "cannot_tell", None),
        (3, "label", "a"),
        (4, "label", "a"),
        (5, "label", "a"),
    ]
    assert grid.corrected == 3
    grid.at = 1
    grid.relabel(ClassUid("a"))
    assert grid.corrected == 2


def confirm(grid: GridModel, left: list[int]) -> None:
    """Confirm the page; of ten images, ``left`` are still unanswered."""
    grid.put_aside()
    grid.offer([image(i) for i in left])


def marks(grid: GridModel) -> dict[int, str]:
    found = {s.item_id: grid.mark_of(s.item_id) for s in grid.listed}
    return {item: mark.class_uid or mark.kind for item, mark in found.items() if mark != GUESS}


def test_wrong_images_are_not_offered_again():
    grid = model()
    grid.toggle_all()
    assert stored_presses(grid) == []
    assert grid.put_aside() == 6
    assert grid.unconfirmed == 0
    assert [s.item_id for s in grid.cells] == [6, 7, 8, 9]


def test_undone_page_is_restored_with_its_marks():
    grid = model()
    grid.toggle(WRONG)
    grid.move(1, 0)
    grid.relabel(ClassUid("b"))
    grid.toggle(CANNOT_TELL)
    before = stored_presses(grid)
    confirm(grid, [0, 6, 7, 8, 9])
    assert [s.item_id for s in grid.listed] == [6, 7, 8, 9]
    grid.bring_back([image(i) for i in range(10)])
    assert marks(grid) == {0: "wrong", 1: "b", 2: "cannot_tell"}
    assert stored_presses(grid) == before
    assert grid.unconfirmed == 3


def test_undo_restores_one_page_and_no_wrong_images_of_others():
    grid = model()
    grid.toggle(WRONG)
    confirm(grid, [0, 6, 7, 8, 9])
    grid.relabel(ClassUid("b"))
    grid.toggle(WRONG)
    confirm(grid, [0, 7])
    assert grid.listed == []
    grid.bring_back([image(i) for i in (0, 6, 7, 8, 9)])
    assert marks(grid) == {6: "b", 7: "wrong"}
    assert [s.item_id for s in grid.listed] == [6, 7, 8, 9]


def test_undo_of_a_page_restores_later_pages_without_answers():
    grid = model()
    confirm(grid, [6, 7, 8, 9])
    grid.toggle_all()
    confirm(grid, [6, 7, 8, 9])
    assert grid.listed == []
    grid.bring_back([image(i) for i in range(10)])
    assert marks(grid) == dict.fromkeys([6, 7, 8, 9], "wrong")


def test_memory_keeps_marks_for_the_next_grid_of_the_round():
    memory = GridMemory()
    memory.begin(3)
    first = GridModel(memory)
    first.offer([image(i) for i in range(6)])
    first.resize(3, 2)
    first.toggle(WRONG)
    first.move(1, 0)
    first.relabel(ClassUid("b"))
    confirm(first, [0])
    memory.begin(3)
    again = GridModel(memory)
    again.resize(3, 2)
    again.offer([image(0), image(1), image(5)])  # two answers were undone one by one
    assert marks(again) == {1: "b"}
    assert [s.item_id for s in again.listed] == [1, 5]
    memory.begin(4)
    other = GridModel(memory)
    other.resize(3, 2)
    other.offer([image(0), image(1)])
    assert marks(other) == {}
    assert len(other.listed) == 2


def test_image_confirmed_as_guessed_has_no_mark_after_undo():
    grid = model(6)
    grid.relabel(ClassUid("b"))
    confirm(grid, [])
    grid.bring_back([image(i) for i in range(6)])
    grid.relabel(ClassUid("a"))
    confirm(grid, [])
    grid.bring_back([image(i) for i in range(6)])
    assert marks(grid) == {}


def test_doubtful_guesses_are_offered_only_on_request():
    grid = GridModel()
    grid.offer([image(1, share=0.59), image(2, share=0.61)])
    grid.resize(4, 4)
    assert [s.item_id for s in grid.cells] == [2]
    assert grid.left_out == 1
    grid.toggle_doubtful()
    assert [s.item_id for s in grid.cells] == [1, 2]
    assert grid.left_out == 0


def test_guess_below_the_floor_is_never_stored_but_its_image_can_be_labeled():
    grid = GridModel(floor=0.8)
    grid.offer([image(1, share=0.9), image(2, share=0.79), image(3, share=0.5)])
    grid.resize(4, 4)
    assert stored_presses(grid) == [(1, "label", "a")]
    grid.toggle_doubtful()
    assert stored_presses(grid) == [(1, "label", "a")]
    grid.move(1, 0)
    grid.relabel(ClassUid("a"))  # also if it is the hidden guess
    assert stored_presses(grid) == [(1, "label", "a"), (2, "label", "a")]
    assert [p.ui for p in grid.presses(None)] == ["prefilled", "hidden"]
    grid.put_aside()
    assert grid.mark_of(ItemId(3)).kind == "none"


def test_images_without_any_guess_are_shown_at_once():
    grid = GridModel()
    grid.offer([dataclasses.replace(image(i), predicted=None, probabilities=()) for i in range(3)])
    grid.resize(4, 4)
    assert len(grid.cells) == 3
    assert stored_presses(grid) == []


def test_class_key_labels_all_selected_images_once():
    grid = model()
    for _ in range(3):
        grid.select()
    grid.relabel(ClassUid("b"))
    assert [c for _, _, c in stored_presses(grid)] == ["b", "b", "b", "a", "a", "a"]
    grid.relabel(ClassUid("c"))  # nothing is selected: only the image under the cursor
    assert [c for _, _, c in stored_presses(grid)] == ["b", "b", "b", "c", "a", "a"]
    grid.select_all()
    grid.turn(1)
    assert grid.selected == 0


def test_marking_all_as_wrong_keeps_corrections():
    grid = model()
    grid.relabel(ClassUid("b"))
    grid.toggle(CANNOT_TELL)
    grid.toggle_all()
    assert stored_presses(grid) == [(0, "label", "b"), (1, "cannot_tell", None)]
    grid.toggle_all()
    assert stored_presses(grid)[:3] == [
        (0, "label", "b"),
        (1, "cannot_tell", None),
        (2, "label", "a"),
    ]


def test_marking_all_as_wrong_twice_keeps_what_was_marked_one_by_one():
    grid = model()
    grid.toggle(WRONG)
    before = stored_presses(grid)
    grid.toggle_all()
    assert stored_presses(grid) == []
    grid.toggle_all()
    assert stored_presses(grid) == before


async def test_selected_images_of_a_grid_without_guesses_get_a_class(terminal):
    async with terminal() as t:
        grid = await open_grid(t)
        await press(t, grid, "s", "right", "s", "4")
        t.clock.now += 1
        await press(t, grid, "enter")
        await t.until(lambda: len(stored(t)) == 2)
    assert [(kind, name, ui) for kind, _, name, ui, _ in stored(t)] == [
        ("label", "four", "hidden")
    ] * 2


async def test_long_class_name_does_not_hide_the_confidence(terminal):
    names = ["a class with a very long name", "another"]
    async with terminal(classes=names, guess=0, size=(80, 24)) as t:
        grid = await open_grid(t)
        shown = "".join(row.text for row in grid.query_one(GridView)._rows)
        assert "a class" in shown
        assert "91%" in shown


async def test_preview_shows_the_image_under_the_cursor(terminal):
    async with terminal(guess=0) as t:
        grid = await open_grid(t)
        await press(t, grid, "v")
        preview = grid.query_one("#preview", ImageView)
        await t.until(lambda: preview.has_image, "for the preview")
        assert preview.size.width > 40


def test_to_doubt_moves_to_the_least_certain_then_the_next():
    grid = model()
    grid.to_doubt()
    assert grid.at == 5
    grid.to_doubt()
    assert grid.at == 4


def test_cursor_stays_on_the_page_and_its_image_after_a_resize():
    grid = model(8)
    for _ in range(9):
        grid.move(1, 0)
    assert grid.at == 5
    grid.move(0, 1)
    assert grid.at == 5
    grid.turn(1)
    grid.move(1, 0)
    grid.move(0, 1)
    assert (grid.page, grid.at) == (1, 1)
    grid.resize(2, 1)
    assert grid.marked.item_id == 7
    grid.resize(100, 100)
    assert grid.size == 100
    assert grid.marked.item_id == 7
    grid.offer([])
    assert grid.marked is None
    grid.move(1, 0)
    grid.toggle(WRONG)
    grid.to_doubt()
    assert stored_presses(grid) == []


@pytest.mark.parametrize(
    ("width", "height", "side", "cells"),
    [(120, 38, 18, 18), (80, 22, 14, 10), (60, 18, 10, 10), (200, 48, 24, 21), (40, 10, 6, 5)],
)
def test_cells_have_the_largest_size_that_fits(width, height, side, cells):
    shape = shape_for(width, height)
    columns, rows = shape.count(width, height)
    assert (shape.side, columns * rows) == (side, cells)
    assert shape_for(width, height, zoom=-99).side == 6
    assert shape_for(5, 5) is None


@pytest.mark.parametrize(
    ("width", "height", "images", "side"),
    [(120, 38, 5, 32), (80, 22, 2, 32), (60, 16, 3, 18), (200, 58, 5, 48), (120, 38, 40, 18)],
)
def test_few_images_are_shown_as_large_as_one_page_allows(width, height, images, side):
    shape = shape_for(width, height, images=images)
    columns, rows = shape.count(width, height)
    assert shape.side == side
    assert columns * rows >= min(images, 18)
    larger = shape_for(width, height, images=images, zoom=1)
    more_columns, more_rows = larger.count(width, height)
    assert larger == shape or more_columns * more_rows < images


async def open_grid(t) -> GridScreen:
    await t.press("g")
    await t.until(lambda: isinstance(t.app.screen, GridScreen), "for the grid")
    grid = t.app.screen
    await t.until(
        lambda: not grid.is_busy and grid._is_complete() and grid.gate.elapsed_ms() is not None
    )
    t.clock.now += 1
    return grid


async def press(t, grid: GridScreen, *keys: str) -> None:
    for key in keys:
        await t.pilot.press(key)
        t.clock.now += 0.5
        await t.pilot.pause()


def stored(t) -> list[tuple[str, str, str | None, str | None, str]]:
    with open_store(t.workspace.store_path, read_only=True) as store:
        return [(e.kind, e.sample_id, name_of(store, e), e.ui, e.note) for e in store.events()]


async def test_page_is_stored_with_labels_marked_as_prefilled(terminal):
    async with terminal(guess=3, asked=6) as t:
        grid = await open_grid(t)
        await press(t, grid, "right", "5", "space", "enter")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen), "for the label screen")
        assert stored(t) == [
            ("label", "000.png", "three", "prefilled", "screen=grid"),
            ("label", "001.png", "five", "prefilled", "screen=grid"),
            ("label", "003.png", "three", "prefilled", "screen=grid"),
            ("label", "004.png", "three", "prefilled", "screen=grid"),
            ("label", "005.png", "three", "prefilled", "screen=grid"),
        ]
        await t.until(lambda: t.image.sample_id == "002.png", "for the image that is left")
        assert t.view.progress.left == 1
        await t.press("7")
        assert t.labels()["002.png"] == "seven"


async def test_grid_uses_configured_keys(terminal):
    own_keys = {"grid.confirm": "f5", "grid.wrong": "w"}
    async with terminal(guess=3, asked=6, keys=own_keys) as t:
        grid = await open_grid(t)
        shown = grid.query_one("#keys-bar", Rows)._rows[0].text
        assert "f5 Confirm page" in shown
        assert "w Wrong" in shown
        await press(t, grid, "enter", "right", "w")
        assert stored(t) == []
        await press(t, grid, "f5")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen), "for the label screen")
        assert [event[1] for event in stored(t)] == [f"00{i}.png" for i in (0, 2, 3, 4, 5)]


async def test_page_that_was_just_drawn_cannot_be_confirmed(terminal):
    async with terminal(guess=3, asked=6) as t:
        await t.press("g")
        await t.until(lambda: isinstance(t.app.screen, GridScreen))
        grid = t.app.screen
        await t.pilot.press("enter")
        await t.until(lambda: grid.gate.elapsed_ms() is not None)
        await t.pilot.press("enter")
        await t.pilot.pause()
        assert "look at the page first" in grid.note
        assert stored(t) == []


async def test_resized_page_must_be_shown_before_it_is_confirmed(terminal):
    names = [f"{i:03d}.png" for i in range(60)]
    async with terminal(names=names, guess=3, asked=60) as t:
        grid = await open_grid(t)
        before = {image.item_id for image in grid.model.cells}
        await t.until(lambda: all(grid._picture(s) for s in grid.model.next_cells))
        await t.pilot.resize_terminal(140, 40)
        await t.until(lambda: {image.item_id for image in grid.model.cells} != before)
        await t.pilot.press("enter")
        await t.pilot.pause()
        assert stored(t) == []
        assert "look at the page first" in grid.note
        await t.until(lambda: grid.gate.elapsed_ms() is not None)
        shown = len(grid.model.cells)
        t.clock.now += 1
        await press(t, grid, "enter")
        await t.until(lambda: not grid.pending)
        assert len(stored(t)) == shown


async def test_page_is_shown_as_saved_only_after_commit(terminal, monkeypatch):
    async with terminal(guess=3, asked=8) as t:
        grid = await open_grid(t)
        release, real = threading.Event(), SqliteStore.submit_many

        def slow(self, given, **kwargs):
            release.wait(60)
            return real(self, given, **kwargs)

        monkeypatch.setattr(SqliteStore, "submit_many", slow)
        try:
            await press(t, grid, "space", "enter")
            status = grid.query_one("#status", Rows)
            assert "… saving" in status._rows[0].text
            assert "7 saved" not in status._rows[0].text
        finally:
            release.set()
        await t.until(lambda: not isinstance(t.app.screen, GridScreen))
        assert grid.note == "✔ 7 saved, 1 left for the label screen"


async def test_image_that_cannot_be_shown_is_not_confirmed(terminal):
    names = ["broken.png", "one.png", "two.png"]
    async with terminal(names=names, guess=3, asked=3) as t:
        grid = await open_grid(t)
        await press(t, grid, "enter")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen))
        assert set(t.labels()) == {"one.png", "two.png"}


async def test_page_that_cannot_be_saved_is_retried_and_stored_once(terminal, monkeypatch):
    async with terminal(guess=3, asked=6) as t:
        grid = await open_grid(t)
        attempts, real = [], SqliteStore.submit_many

        def full(self, given, **kwargs):
            attempts.append([answer.op_id for answer in given])
            if len(attempts) < 3:
                raise StorageError("the disk is full")
            return real(self, given, **kwargs)

        monkeypatch.setattr(SqliteStore, "submit_many", full)
        await press(t, grid, "enter")
        await t.until(lambda: isinstance(t.app.screen, UnsavedDialog))
        assert "a page of 6 answers" in t.dialog()
        await t.pilot.press("enter")
        await t.until(lambda: len(attempts) == 2 and isinstance(t.app.screen, UnsavedDialog))
        await t.pilot.press("enter")
        await t.until(lambda: not isinstance(t.app.screen, UnsavedDialog | GridScreen))
        assert len(set(map(tuple, attempts))) == 1
        assert len(t.labels()) == 6


async def test_undo_removes_the_answers_of_the_page(terminal):
    async with terminal(guess=3, asked=8) as t:
        grid = await open_grid(t)
        await press(t, grid, "space", "enter")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen))
        assert len(t.labels()) == 7
        await t.press("g")
        await t.until(lambda: isinstance(t.app.screen, GridScreen) and not t.app.screen.is_busy)
        grid = t.app.screen
        assert grid.model.listed == []  # images marked as wrong are asked one by one
        await press(t, grid, "u")
        await t.until(lambda: not grid.is_busy and len(grid.model.listed) == 8)
        assert t.labels() == {}
        assert "took 7 answers back" in grid.note


CORRECTED = ("space", "right", "5", "x")
"""Keys for: wrong; class five; can't tell."""


async def test_undone_page_is_stored_again_with_its_corrections(terminal):
    names = [f"{i:03d}.png" for i in range(60)]
    async with terminal(names=names, guess=3, asked=60) as t:
        grid = await open_grid(t)
        shown = [s.sample_id for s in grid.model.cells]
        await press(t, grid, *CORRECTED, "enter")
        await t.until(lambda: not grid.is_busy)
        given = t.labels()
        assert (shown[0] in given, given[shown[1]], shown[2] in given) == (False, "five", False)
        await press(t, grid, "u")
        await t.until(lambda: not grid.is_busy and grid.model.cells[0].sample_id == shown[0])
        assert t.labels() == {}
        assert "3 not stored" in grid.query_one("#status", Rows)._rows[0].text
        await t.until(lambda: grid._is_complete() and grid.gate.elapsed_ms() is not None)
        t.clock.now += 1
        await press(t, grid, "enter")
        await t.until(lambda: not grid.is_busy)
        assert t.labels() == given
        assert [kind for kind, *_ in stored(t)].count("cannot_tell") == 2


async def test_answers_undone_on_the_label_screen_keep_grid_corrections(terminal):
    async with terminal(guess=3, asked=6) as t:
        grid = await open_grid(t)
        await press(t, grid, *CORRECTED, "enter")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen))
        await t.press("u", "u", "u", "u", "u")
        grid = await open_grid(t)
        assert [s.sample_id for s in grid.model.cells] == [f"00{i}.png" for i in range(1, 6)]
        await press(t, grid, "enter")
        await t.until(lambda: not isinstance(t.app.screen, GridScreen))
        assert t.labels()["001.png"] == "five"
        assert t.labels().keys() == {"001.png", "003.png", "004.png", "005.png"}


def status_of(grid: GridScreen) -> str:
    return grid.query_one("#status", Rows)._rows[0].text


@pytest.mark.parametrize("key", ["escape", "q"])
async def test_leaving_with_corrections_needs_a_second_deliberate_key(terminal, key):
    async with terminal(guess=3, asked=6, size=(60, 20)) as t:
        grid = await open_grid(t)
        assert "✔ saved" in status_of(grid)
        await press(t, grid, *CORRECTED)
        assert "3 not stored" in status_of(grid)
        assert "saved" not in status_of(grid)
        asked = " 3 not stored: ⏎ stores the page, Esc again drops them "
        for _ in range(9):  # a held key, or a key pressed repeatedly
            await t.pilot.press(key)
            t.clock.now += 0.66  # the longest delay before a keyboard repeats a key
            await t.pilot.pause()
            assert status_of(grid).strip() == asked.strip()
        await press(t, grid, "left")  # another key cancels leaving
        assert "GRID" in status_of(grid)
        await press(t, grid, key)
        assert t.app.screen is grid
        t.clock.now += 0.5
        await press(t, grid, key)
        await t.until(lambda: t.screen.is_current)
        assert stored(t) == []
        grid = await open_grid(t)
        assert grid.model.unconfirmed == 0


async def test_corrections_can_be_stored_after_the_leave_warning(terminal):
    async with terminal(guess=3, asked=6) as t:
        grid = await open_grid(t)
        await press(t, grid, "5", "escape")
        assert "1 correction not stored: ⏎ stores the page, Esc again drops it" in status_of(grid)
        await press(t, grid, "enter")
        await t.until(lambda: t.screen.is_current)
        assert t.labels()["000.png"] == "five"
        assert len(t.labels()) == 6


async def test_leaving_without_corrections_needs_one_key(terminal):
    async with terminal(guess=3, asked=6) as t:
        grid = await open_grid(t)
        await press(t, grid, "space", "space", "5", "left", "3", "escape")
        await t.until(lambda: t.screen.is_current)
        assert stored(t) == []


async def test_grid_without_guesses_stores_nothing_and_can_be_left(terminal):
    async with terminal() as t:
        await t.press("g")
        await t.until(lambda: isinstance(t.app.screen, GridScreen) and not t.app.screen.is_busy)
        await t.pilot.press("enter")
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current)
        assert stored(t) == []


async def test_clicks_select_tiles_and_store_nothing(terminal, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "write", lambda _self, data: sent.append(data))
    async with terminal(guess=3, asked=6, size=(80, 24)) as t:
        grid = await open_grid(t)
        await t.until(lambda: CLICKS_ON in sent, "for the request for clicks")
        shape = grid._shape
        for at in (2, 0, 2):
            offset = (at * shape.width + 3, shape.height // 2)
            await t.pilot.click("#grid", offset=offset)
            await t.pilot.pause()
            assert grid.model.at == at
        cells = grid.model.cells
        assert [grid.model.is_selected(cell.item_id) for cell in cells[:3]] == [True, False, False]
        t.clock.now += 1
        await t.pilot.press("5")
        await t.pilot.pause()
        assert grid.model.mark_of(cells[0].item_id).kind == "label"
        assert t.labels() == {}
        await t.pilot.press("escape")
        t.clock.now += 1
        await t.pilot.press("escape")
        await t.until(lambda: t.app.screen is t.screen, "for the label screen")
        await t.until(lambda: CLICKS_OFF in sent, "for the end of clicks")
