"""What the terminal prints after it has closed, and messages that name the next step."""

import dataclasses
from contextlib import closing

import pytest

from dgaal_cli.api.label import open_session
from dgaal_cli.errors import BusyError
from dgaal_cli.tui.widgets.farewell import farewell


async def test_farewell_counts_new_labels_and_names_what_is_left(terminal):
    async with terminal() as t:
        before = t.view
        await t.press("3", "5")
        assert farewell(before, t.view, "dgaal -C here") == [
            "2 labels more, 2 in all; 2 of 4 images are left in round 0, about 2s at your pace",
            "next: dgaal -C here label",
        ]
        unchanged = farewell(t.view, t.view, "dgaal")[0]
        assert unchanged.startswith("2 labels; 2 of 4 images")
        answered = dataclasses.replace(
            t.view, progress=dataclasses.replace(t.view.progress, left=0), state="answered"
        )
        assert farewell(before, answered, "dgaal")[1] == "next: dgaal train"


def test_second_terminal_of_one_annotator_is_told_how_to_label_too(make_workspace, config):
    workspace = make_workspace()
    with (
        open_session(workspace, config, annotator="ann"),
        pytest.raises(BusyError, match=r"--annotator NAME"),
        open_session(workspace, config, annotator="ann"),
    ):
        pass


def test_session_says_that_a_training_is_unfinished_unless_it_runs(make_workspace, config):
    workspace = make_workspace()
    (workspace.root / "pool").mkdir()
    for number in range(12):
        name = f"{number:03d}.png"
        (workspace.root / "pool" / name).write_text(name)  # the content that its item has

    def note() -> str:
        with open_session(workspace, config, annotator="ann") as opener, closing(opener()) as it:
            return it.open(is_hurried=True).note

    assert "interrupted" not in note()
    folder = workspace.round_path(1)
    folder.mkdir(parents=True)
    (folder / "start.json").write_text('{"watermark": 1, "training": "x"}')
    assert "the training of round 1 was interrupted; train to resume it" in note()
    with workspace.lock("train", doing="training"):
        assert "interrupted" not in note()


async def test_restored_answer_states_no_time(terminal):
    async with terminal() as t:
        await t.press("3", "u", "U")
        assert "✔ 3 three" in t.text()
        assert "0.00 s" not in t.text()
