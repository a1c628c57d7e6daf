"""Common behavior of grid, review, rounds and training dialog: keys, help and layout."""

import pytest
from label_terminal import Terminal, script, text_of
from textual.widgets import Input, Static

from dgaal_cli.tui.palette import LabelCommands
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.help import HelpDialog
from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog, NumberDialog
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.screens.rounds import RoundsScreen
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.trainer import TrainingState
from dgaal_cli.tui.widgets.image_view import ImageView
from dgaal_cli.tui.widgets.rows import Rows

FORTY = [f"class {i:02d}" for i in range(40)]
EIGHTY = [f"class {i:02d}" for i in range(80)]
KEY_OF = {GridScreen: "g", ReviewScreen: "r", RoundsScreen: "h"}
SIZES = pytest.mark.parametrize("size", [(80, 24), (60, 20)])
SCREENS = pytest.mark.parametrize("kind", list(KEY_OF))


async def open_screen(t: Terminal, kind: type):
    """Open a screen with its key on the label screen."""
    command = {GridScreen: "grid", ReviewScreen: "review", RoundsScreen: "rounds"}[kind]
    await t.press(t.keymap.keys_of(command)[0])
    await t.until(lambda: isinstance(t.app.screen, kind), "for the screen")
    screen = t.app.screen
    if kind is not RoundsScreen:
        await t.until(lambda: screen.gate.elapsed_ms() is not None, "for its images")
    await t.until(lambda: screen.query_one("#keys-bar", Rows)._rows)
    t.clock.now += 1
    return screen


async def press_keys(t: Terminal, *names: str) -> None:
    for name in names:
        t.clock.now += 0.5
        await t.pilot.press(name)
        await t.pilot.pause()


def screen_text(t: Terminal) -> str:
    return "\n".join(strip.text for rows in t.app.screen.query(Rows) for strip in rows._rows)


async def test_two_key_class_relabels_in_the_grid(terminal):
    async with terminal(classes=FORTY, guess=3, asked=4) as t:
        grid = await open_screen(t, GridScreen)
        code = grid.keymap.code_of[grid.view.classes[17].uid]
        await press_keys(t, code[0])
        assert f"{code[0]}… second key" in screen_text(t)
        await press_keys(t, code[1])
        assert grid.model.corrected == 1
        await press_keys(t, code[0], "backspace", code[1])  # backspace cancels the first key
        assert grid.model.corrected == 1
        t.clock.now += 1
        await press_keys(t, "enter")
        await t.until(lambda: len(t.labels()) == 4)
        assert t.labels()["000.png"] == "class 17"
        assert t.labels()["001.png"] == "class 03"


async def test_find_relabels_in_the_grid(terminal):
    async with terminal(classes=FORTY, guess=3, asked=4) as t:
        grid = await open_screen(t, GridScreen)
        await press_keys(t, "/")
        assert isinstance(t.app.screen, FindClassDialog)
        await press_keys(t, *"29", "enter")
        await t.until(lambda: grid.is_current)
        assert grid.model.corrected == 1
        assert "class 29" in screen_text(t)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("where", ["label", "review"])
async def test_find_dialog_does_not_cover_the_image(terminal, size, where):
    async with terminal(size=size) as t:
        await t.press("3")
        screen = t.screen if where == "label" else await open_screen(t, ReviewScreen)
        await press_keys(t, "/")
        await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
        dialog = t.app.screen
        box = dialog.query_one("#box").region
        assert box.area
        assert box.bottom <= size[1]
        assert not box.overlaps(screen.query_one(ImageView).region)
        assert dialog.styles.background.a == 0  # the image is not dimmed either


async def test_find_dialog_does_not_cover_the_marked_cell(terminal):
    names = [f"{i:03d}.png" for i in range(12)]
    async with terminal(names=names, guess=3, asked=12, size=(80, 24)) as t:
        grid = await open_screen(t, GridScreen)
        width = grid._shape.width
        for column in (0, grid.model.columns - 1):
            grid.model.at = column
            await press_keys(t, "/")
            await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
            box = t.app.screen.query_one("#box").region
            assert not set(range(box.x, box.right)) & set(
                range(column * width, (column + 1) * width)
            )
            await press_keys(t, "escape")
            await t.until(lambda: grid.is_current)


async def test_review_changes_an_answer_by_two_keys_and_by_name(terminal):
    async with terminal(classes=FORTY) as t:
        code = t.keymap.code_of[t.view.classes[5].uid]
        await t.press(code[0])
        await t.press(code[1])
        assert t.labels() == {"000.png": "class 05"}
        review = await open_screen(t, ReviewScreen)
        other = review.keymap.code_of[review.view.classes[30].uid]
        await press_keys(t, other[0])
        assert f"{other[0]}… second key" in screen_text(t)
        assert review.pending is None
        await press_keys(t, other[1])
        await t.until(lambda: t.labels() == {"000.png": "class 30"})
        await t.until(lambda: not review.pending and review.gate.elapsed_ms() is not None)
        await press_keys(t, "/")
        await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
        await press_keys(t, *"12", "enter")
        await t.until(lambda: t.labels() == {"000.png": "class 12"})


async def test_review_filters_by_a_class_chosen_by_name(terminal):
    async with terminal(classes=FORTY) as t:
        for number in (5, 30):
            for key in t.keymap.code_of[t.view.classes[number].uid]:
                await t.press(key)
        review = await open_screen(t, ReviewScreen)
        await t.until(lambda: len(review.shown) == 2)
        await press_keys(t, "C")
        await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
        assert "list only ▸" in t.dialog()
        await press_keys(t, *"30", "enter")
        await t.until(lambda: review.is_current)
        assert "class class 30" in screen_text(t)
        assert [given.sample_id for given in review.shown] == ["001.png"]
        await press_keys(t, "C")
        assert review.is_current
        assert len(review.shown) == 2
        await press_keys(t, "C", "escape")
        await t.until(lambda: review.is_current)
        assert len(review.shown) == 2
        assert len(t.events()) == 2


@pytest.mark.parametrize(
    ("classes", "first", "key"), [(["one", "two"], "1", "f"), (EIGHTY, "aj", "*")]
)
async def test_review_toggles_the_flag(terminal, classes, first, key):
    async with terminal(classes=classes) as t:
        await t.press(*first)
        review = await open_screen(t, ReviewScreen)
        assert f"{key} Flag" in review.query_one("#keys-bar", Rows)._rows[0].text
        for expected in (True, False):
            await press_keys(t, key)
            await t.until(
                lambda flagged=expected: review.marked and review.marked.is_flagged is flagged
            )
        await press_keys(t, "escape")
        await t.until(lambda: t.screen.is_current)
    assert [kind for kind, _, _ in t.events()] == ["label", "flag", "unflag"]


@SCREENS
async def test_every_screen_has_help_for_its_own_keys(terminal, kind):
    async with terminal(guess=3) as t:
        await t.press("3")
        screen = await open_screen(t, kind)
        bar = screen.query_one("#keys-bar", Rows)._rows[0].text
        await press_keys(t, "?")
        await t.until(lambda: isinstance(t.app.screen, HelpDialog), "for the help")
        page = "\n".join(str(part.content) for part in t.app.screen.query(Static))
        for title in ("Help", "Back"):
            assert title in bar
            assert title in page
        if kind is GridScreen:
            assert "Confirm page label the unmarked" in page  # the longest title
            assert "] pagedown Next" in page  # the longest keys
        assert ("Doubtful" in page) == (kind is GridScreen)
        assert ("Synthesize" in page) == (kind is RoundsScreen)
        await press_keys(t, "escape")
        await t.until(lambda: screen.is_current)


async def test_palette_of_the_grid_offers_commands_but_no_answers(terminal):
    async with terminal(guess=3, asked=4) as t:
        grid = await open_screen(t, GridScreen)
        offered = [command.name for command in LabelCommands(grid)._commands()]
        assert "doubt" in offered
        assert not {"confirm", "cannot_tell"} & set(offered)
        LabelCommands(grid)._run("all")
        assert grid.model.corrected == 4


@SIZES
@SCREENS
async def test_screens_fit_and_show_the_keys_for_help_and_back(terminal, kind, size):
    async with terminal(guess=3, asked=12, size=size) as t:
        await t.press("3")
        screen = await open_screen(t, kind)
        for rows in screen.query(Rows):
            assert rows.region.right <= size[0]
            assert rows.region.bottom <= size[1]
            assert all(strip.cell_length == rows.size.width for strip in rows._rows if rows.display)
        bar = screen.query_one("#keys-bar", Rows)._rows[0].text
        assert "? Help" in bar
        assert "Back" in bar
        assert "saved" in screen.query_one("#status", Rows)._rows[0].text


@SIZES
async def test_training_dialog_shows_its_keys_in_a_small_terminal(terminal, size):
    failing = script("[sys.stderr.write('x' * 300 + '\\n') for _ in range(9)]", "sys.exit(2)")
    async with terminal(asked=1, train={"train": failing}, size=size) as t:
        await t.press("3")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await press_keys(t, "enter")
        await t.until(lambda: dialog.state and dialog.state.stage == "failed")
        await t.pilot.pause()
        box = dialog.query_one("#box")
        assert box.region.right <= size[0]
        assert box.region.bottom <= size[1]
        assert dialog.query_one("#keys").region.bottom < box.region.bottom
        losses = dict.fromkeys(("encoder", "generator", "critic", "total"), 0.5)
        dialog._state = TrainingState(
            round=4,
            labels=12,
            device="cpu",
            title="co-evolution",
            position=2,
            count=4,
            losses=losses,
            trails=dict.fromkeys(losses, (0.1, 0.5, 0.3)),
            metrics={"reconstruction_r2": 0.85, "discriminator_auc": 0.64},
            warning="something is odd",
        )
        dialog._draw()
        await t.pilot.pause()
        assert dialog.query_one("#keys").region.bottom < box.region.bottom


@pytest.mark.parametrize("typed", ["0", "1001", "-5"])
async def test_number_dialog_shows_the_valid_range(terminal, typed):
    async with terminal() as t:
        results = []
        t.app.push_screen(NumberDialog("size", "how many?", value=5, maximum=1000), results.append)
        await t.until(lambda: isinstance(t.app.screen, NumberDialog) and t.app.screen.query(Input))
        assert "from 1 to" not in t.dialog()
        await press_keys(t, *typed, "enter")
        await t.until(lambda: "from 1 to 1,000" in t.dialog())
        assert results == []


@pytest.mark.parametrize("size", [(80, 24), (60, 18)])
async def test_help_scrolls_to_its_last_line_and_its_keys_stay_visible(terminal, size):
    async with terminal(size=size) as t:
        await t.press("question_mark")
        seen = text_of(t.app)
        assert "Esc" in seen
        assert "Palette" not in seen
        for key in ("pagedown", "pagedown", "pagedown", "end"):
            await t.pilot.press(key)
            await t.pilot.pause()
        last = text_of(t.app)
        assert "Palette" in last
        assert "Esc" in last
        await t.pilot.press("home")
        await t.pilot.pause()
        assert text_of(t.app) == seen


@pytest.mark.parametrize("width", [40, 60, 80])
async def test_key_bar_keeps_undo_and_says_that_keys_are_left_out(terminal, width):
    async with terminal(size=(width, 20), guess=3, hints=True) as t:
        bar = t.screen.query_one("#keys-bar", Rows)._rows[0].text
        assert "u Undo" in bar
        assert "? Help" in bar
        assert bar.rstrip().endswith("…")
