"""After a training: the reason of a failure, images to continue with, exported files."""

import hashlib
import json

import pytest
from label_terminal import Terminal, print_events, script

from dgaal_cli.events import RoundStarted
from dgaal_cli.rounds.state import CHECKPOINT_NAME, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.training.checkpoint_folder import COMPLETE_NAME, STATE_NAME, TENSORS_NAME
from dgaal_cli.tui.screens.dialogs import ConfirmDialog, LogDialog
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.screens.rounds import RoundsScreen
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.widgets.rows import Rows

STARTED = print_events(RoundStarted(round=0, method="dgaal", labels=1, pool=12, device="cpu"))
FAILING = script("[sys.stderr.write(f'line {i}\\n') for i in range(30)]", "sys.exit(2)")


async def dialog_of(t: Terminal) -> TrainingDialog:
    await t.until(lambda: isinstance(t.app.screen, TrainingDialog), "for the dialog")
    t.clock.now += 1
    return t.app.screen


async def fail_training(t: Terminal) -> TrainingDialog:
    """Answer the only image and let the training fail."""
    t.clock.now += 1
    await t.pilot.press("3")
    dialog = await dialog_of(t)
    await t.pilot.press("enter")
    await t.until(lambda: dialog.state and dialog.state.stage == "failed", "for the failure")
    await t.pilot.pause()
    t.clock.now += 1
    return dialog


async def test_labeling_continues_after_a_failed_training(terminal):
    async with terminal(asked=1, train={"train": FAILING}) as t:
        await fail_training(t)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current and t.image, "for another image")
        await t.settle()
        assert t.view.progress.left == 11  # all remaining images of the small pool
        assert "chosen at random, as the round is not trained" in t.text()
        await t.press("4")
        assert len(t.labels()) == 2


async def test_log_of_a_failed_training_can_be_read(terminal):
    async with terminal(asked=1, train={"train": FAILING}) as t:
        await fail_training(t)
        assert "Training failed; you can continue to label" in t.dialog()
        assert "line 29" in t.dialog()
        assert "line 2\n" not in t.dialog()
        await t.pilot.press("l")
        await t.until(lambda: isinstance(t.app.screen, LogDialog))
        assert "line 2\n" in t.dialog()
        await t.pilot.press("escape")
        assert isinstance(t.app.screen, TrainingDialog)


async def test_next_dialog_shows_a_failure_in_the_background(terminal, tmp_path):
    go = tmp_path / "go"
    end = script(
        STARTED,
        "import pathlib",
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)",
        "sys.exit('no labels of two classes')",
    )
    async with terminal(train={"train": end}) as t:
        await t.press("3", "t")
        assert isinstance(t.app.screen, ConfirmDialog)
        await t.pilot.press("enter")
        dialog = await dialog_of(t)
        await t.until(lambda: dialog.state and dialog.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        go.touch()
        await t.until(lambda: "training failed" in t.text(), "for the news")
        await t.press("t")
        await dialog_of(t)
        assert "no labels of two classes" in t.dialog()


async def test_canceled_training_leaves_no_progress_in_the_status_line(terminal):
    slow = script(STARTED, "time.sleep(60)")
    async with terminal(train={"train": slow}) as t:
        await t.press("3", "t")
        await t.pilot.press("enter")
        dialog = await dialog_of(t)
        await t.until(lambda: dialog.state and dialog.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current and "training 0%" in t.text(), "for the progress")
        await t.press("t")
        dialog = await dialog_of(t)
        t.clock.now += 1
        dialog.cancel()
        await t.until(lambda: dialog.state and dialog.state.stage == "canceled", "for the end")
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current)
        assert "training" not in t.screen.query_one("#status", Rows)._rows[0].text


@pytest.fixture
def workspace(make_workspace):
    return make_workspace(asked=1)


def write_checkpoint(workspace, number: int) -> None:
    """Write a complete checkpoint, as a finished training does."""
    folder = workspace.round_path(number) / CHECKPOINT_NAME
    folder.mkdir(parents=True)
    for name in (TENSORS_NAME, STATE_NAME):
        (folder / name).write_bytes(b"")
    digest = hashlib.sha256(b"").hexdigest()
    (folder / COMPLETE_NAME).write_text(json.dumps({TENSORS_NAME: digest, STATE_NAME: digest}))


async def test_failed_query_is_replaced_by_random_images(terminal, workspace):
    steps = {"train": script("sys.exit(0)"), "query": script("sys.exit('no generator')")}
    async with terminal(workspace=workspace, train=steps) as t:
        dialog = await fail_training(t)
        assert "no generator" in dialog.state.reason
        assert "The round is trained, but no images were chosen" in t.dialog()
        write_checkpoint(workspace, 1)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current and t.image, "for an image")
        await t.settle()
        assert (t.view.round, t.view.strategy) == (1, "random")
        assert t.image.reason == "chosen at random, as the method chose none"
        await t.press("4")
    with open_store(workspace.store_path) as store:
        assert len(store.labels()) == 2
        store.close_query(1)
        after = round_state(workspace, store)
        assert (after.step, after.number) == ("train", 2)


@pytest.mark.parametrize("stage", ["offered", "failed"])
async def test_r_in_the_training_dialog_opens_the_review(terminal, stage):
    async with terminal(asked=1, train={"train": FAILING}) as t:
        if stage == "failed":
            await fail_training(t)
        else:
            await t.press("3")
            await dialog_of(t)
        await t.pilot.press("r")
        await t.until(lambda: isinstance(t.app.screen, ReviewScreen), "for the review")
        await t.until(lambda: t.app.screen.answers)
        await t.pilot.press("escape")
        await dialog_of(t)
        assert len(t.labels()) == 1


async def export(t: Terminal) -> None:
    await t.press("h")
    await t.until(lambda: isinstance(t.app.screen, RoundsScreen), "for the rounds")
    await t.pilot.press("e")
    await t.until(lambda: t.screen.is_current)


@pytest.mark.parametrize("learner", [True, False])
async def test_export_runs_and_is_reported_with_and_without_the_learner(
    terminal, tmp_path, learner
):
    done = tmp_path / "done"
    steps = {
        "export": script("import pathlib", f"pathlib.Path({str(done)!r}).touch()"),
        "outlook": script("sys.exit(0)"),
    }
    async with terminal(train=steps, learner=learner) as t:
        await export(t)
        await t.until(lambda: "exported; the files are in" in t.text(), "for the news")
        assert done.exists()


async def test_failed_export_shows_the_reason(terminal):
    steps = {"export": script("sys.exit('nothing is trained')")}
    async with terminal(train=steps) as t:
        await export(t)
        await t.until(lambda: "not exported: nothing is trained" in t.text(), "for the reason")


async def test_second_export_is_refused_with_a_message(terminal, tmp_path):
    go = tmp_path / "go"
    wait = f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)"
    steps = {"export": script("import pathlib", wait), "outlook": script("sys.exit(0)")}
    async with terminal(train=steps) as t:
        await export(t)
        await export(t)
        assert "an export, or the prediction after it, is running" in t.text()
        assert " exporting " in t.text()
        go.touch()
        await t.until(lambda: "exported; the files are in" in t.text(), "for the first")
        assert " exporting " not in t.text()


async def test_older_view_does_not_replace_a_newer_one(terminal):
    async with terminal() as t:
        old = t.view
        await t.press("3")
        t.screen.answers.take_view(old)
        assert t.image.sample_id == "001.png"
