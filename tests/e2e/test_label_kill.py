"""SIGKILL at fifty random moments: every answer that the screen shows as saved is stored."""

import random
import re
import signal
import time
from pathlib import Path

import pytest
from pty_terminal import Terminal, events, make_workspace

KILLS = 50
COUNT = 400


def saved_count(text: str) -> int:
    """Return the number of answers shown as saved; 0 while an answer is being saved."""
    found = re.search(rf"(\d+)/{COUNT}", text)
    return int(found[1]) if found and "✔ saved" in text else 0


@pytest.mark.deep
def test_answer_shown_as_saved_survives_a_kill_at_any_moment(tmp_path: Path):
    workspace = make_workspace(tmp_path, COUNT)
    rng = random.Random(7)
    shown = 0
    kills_with_answers = 0
    for _ in range(KILLS):
        terminal = Terminal(workspace, (80, 24))
        terminal.until_image()
        before = saved_count(terminal.text())
        assert before >= shown
        end = time.monotonic() + rng.uniform(0.0, 2.0)
        seen = before
        while time.monotonic() < end:
            terminal.press(rng.choice("1234567890x"))
            terminal.pump(rng.uniform(0.002, 0.15))
            seen = max(seen, saved_count(terminal.text()))
        terminal.child.kill(signal.SIGKILL)
        terminal.child.wait()
        terminal.child.close()
        stored = len(events(workspace))
        # At most one answer may be stored and not yet shown.
        assert seen <= stored, f"{seen} are shown as saved, {stored} are in the store"
        shown = seen
        kills_with_answers += seen > before
    assert kills_with_answers > KILLS // 3
