"""What the terminal prints after it has closed, and messages that name the next step."""

import dataclasses

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
