"""SIGKILL at fifty random moments: every answer that showed "saved" is in the store."""

import random
import re
import signal
import time
from pathlib import Path

import pytest
from pty_terminal import Terminal, events, make_workspace

MOMENTS = 50
COUNT = 400


def answered(text: str) -> int:
    """Answers that the screen shows as saved; 0 while one is on its way."""
    found = re.search(rf"(\d+)/{COUNT}", text)
    return int(found[1]) if found and "✔ saved" in text else 0


@pytest.mark.deep
def test_what_showed_saved_is_there_after_a_kill_at_any_moment(tmp_path: Path):
    workspace = make_workspace(tmp_path, COUNT)
    rng = random.Random(7)
    shown = 0
    kills_with_answers = 0
    for _ in range(MOMENTS):
        terminal = Terminal(workspace, (80, 24))
        terminal.until_image()
        before = answered(terminal.text())
        assert before >= shown
        end = time.monotonic() + rng.uniform(0.0, 2.0)
        seen = before
        while time.monotonic() < end:
            terminal.press(rng.choice("1234567890x"))
            terminal.pump(rng.uniform(0.002, 0.15))
            seen = max(seen, answered(terminal.text()))
        terminal.child.kill(signal.SIGKILL)
        terminal.child.wait()
        terminal.child.close()
        stored = len(events(workspace))
        # At most one answer was in flight: stored perhaps, and not yet shown.
        assert seen <= stored, f"{seen} showed as saved, {stored} are in the store"
        shown = seen
        kills_with_answers += seen > before
    assert kills_with_answers > MOMENTS // 3
