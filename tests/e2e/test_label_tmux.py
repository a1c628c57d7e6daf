"""``dgaal label`` inside tmux: the tests check the content of the pane."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_terminal import ENVIRONMENT, dgaal, events, make_workspace, shows_image

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
SIZES = [(120, 40), (80, 24), (60, 20)]


class Pane:
    """One pane of a separate tmux server without a user configuration."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        self.socket = folder / "tmux"
        self.workspace = workspace

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={**environment, "LC_ALL": "C.UTF-8"},
        )
        return done.stdout

    def start(self, size: tuple[int, int], *options: str, **environment: str) -> None:
        """Run the terminal; ``exec`` makes the program the process of the pane."""
        full_environment = {**ENVIRONMENT, "TERM": "tmux-256color", **environment}
        assignments = [f"{name}={value}" for name, value in full_environment.items() if value]
        program = ["env", "-i", *assignments, dgaal(), "-C", str(self.workspace), "label"]
        program += ["--annotator", "ann", *options]
        command = " ".join(f"'{argument}'" for argument in program)
        columns, rows = map(str, size)
        self.tmux("new-session", "-d", "-s", "x", "-x", columns, "-y", rows, f"exec {command}")
        self.tmux("set-option", "-g", "remain-on-exit", "on")

    def text(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "x")

    def styled(self) -> str:
        return self.tmux("capture-pane", "-e", "-p", "-t", "x")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "x", *keys)

    def resize(self, size: tuple[int, int]) -> None:
        self.tmux("resize-window", "-t", "x", "-x", str(size[0]), "-y", str(size[1]))

    def until(self, condition: Callable[[str], object], seconds: float = 40.0) -> str:
        end = time.monotonic() + seconds
        text = ""
        while time.monotonic() < end:
            text = self.text()
            if condition(text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"timed out; the pane shows:\n{text}")

    def until_image(self) -> str:
        text = self.until(shows_image)
        time.sleep(0.2)  # the gate opens 80 ms after the paint
        return text

    def process(self) -> int:
        return int(self.tmux("display-message", "-p", "-t", "x", "#{pane_pid}"))

    def end(self) -> None:
        subprocess.run(
            ["tmux", "-S", str(self.socket), "kill-server"], capture_output=True, check=False
        )


@pytest.fixture
def pane(tmp_path: Path) -> Iterator[Pane]:
    folder = tmp_path / "w"
    folder.mkdir()
    pane = Pane(tmp_path, make_workspace(folder))
    yield pane
    pane.end()


def wait_for_end(process: int) -> None:
    """Wait until a process has ended; its parent may not have read its exit code yet."""
    status = Path(f"/proc/{process}/stat")
    end = time.monotonic() + 40.0
    while time.monotonic() < end:
        try:
            state = status.read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        time.sleep(0.02)
    raise AssertionError(f"process {process} outlived its kill")


def check_layout(text: str, size: tuple[int, int]) -> None:
    """Check that no widget overflows or overlaps another: every edge is at its position."""
    columns, rows = size
    lines = text.rstrip("\n").split("\n")
    assert len(lines) == rows
    assert all(len(line) <= columns for line in lines)
    assert lines[0].rstrip().endswith("✔ saved")
    assert "Label" in lines[-1]
    assert lines[-1].rstrip().endswith(("Quit", "Rounds", "Review", "Find", "…"))
    if rows < 30:  # sides without a border, to give the image the space
        right = lines[1].index("│", 1)
        assert all((line[0], line[right]) == ("│", "│") for line in lines[1 : rows - 3])
        return
    top = lines[1]
    left, right = top.index("╭─ POOL IMAGE"), top.index("╮")
    assert (left, top.index("╭", right), top.rindex("╮")) == (0, right + 1, columns - 1)
    bottom = next(y for y, line in enumerate(lines) if line.startswith("╰"))
    assert lines[bottom][right] == "╯"
    for line in lines[2:bottom]:
        assert (line[0], line[right]) == ("│", "│")
    end_of_panel = max(y for y, line in enumerate(lines) if line.rstrip().endswith("╯"))
    for line in lines[1 : end_of_panel + 1]:
        if len(line) > right + 1 and line[right + 1] != " ":
            assert line[right + 1] in "│╭╰"
            assert line[columns - 1] in "│╮╯"


@pytest.mark.parametrize("size", SIZES)
def test_layout_is_correct_before_and_after_resizing(pane, size):
    pane.start(size)
    check_layout(pane.until_image(), size)
    for other in (*[s for s in SIZES if s != size], size):
        pane.resize(other)
        pane.until(lambda text, other=other: len(text.rstrip("\n").split("\n")) == other[1])
        if other[1] >= 30:
            pane.until(lambda text: "66x66" in text)
        pane.until_image()
        check_layout(pane.text(), other)
    pane.press("3")
    pane.until(lambda text: "✔ 3 three" in text and "1/12" in text)
    assert events(pane.workspace) == [("label", "000.png", "three")]


def test_key_burst_is_one_answer_and_survives_a_kill(pane):
    pane.start((80, 24))
    pane.until_image()
    pane.press("1", "2", "3", "4", "5", "6", "7", "8", "9", "0")
    pane.until(lambda text: "1/12" in text)
    time.sleep(0.5)
    stored = events(pane.workspace)
    assert len(stored) == 1
    pane.until_image()
    process = pane.process()
    os.kill(process, 9)
    wait_for_end(process)  # tmux does not always notice the end
    pane.tmux("kill-session", "-t", "x")
    assert events(pane.workspace) == stored
    pane.start((80, 24))
    pane.until(lambda text: "resumed after 1 answer" in text)
    pane.until_image()
    pane.press("u")
    pane.until(lambda text: "taken back" in text and "0/12" in text)


@pytest.mark.parametrize("term", ["tmux-256color", "screen-256color"])
def test_without_colorterm_only_palette_colors_are_used(pane, term):
    pane.start((80, 24), COLORTERM="", TERM=term)
    pane.until(lambda text: "256 colors; more: set COLORTERM" in text)
    pane.until_image()
    image = [line for line in pane.styled().split("\n") if any(g in line for g in "▀▌▖▗▘▝")]
    assert re.search(r"[34]8;5;\d+", "\n".join(image))
    cells = re.findall(r"\x1b\[([\d;]*)m[▀▌▖▗▘▝]", "\n".join(image))
    assert cells
    assert not any("8;2;" in cell for cell in cells)


def test_no_color_shows_grays_and_all_text(pane):
    pane.start((80, 24), NO_COLOR="1")
    text = pane.until_image()
    check_layout(text, (80, 24))
    colors = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", pane.styled())
    assert colors
    assert all(r == g == b for r, g, b in colors)


def test_kitty_data_bypasses_tmux_and_keeps_the_layout(pane):
    pane.start((80, 24), "--images", "kitty", TMUX="/tmp/tmux,1,0")
    text = pane.until(lambda text: text.count("\U0010eeee") == 60 * 20 and "Quit" in text)
    assert "Ga=T" not in text
    bare = re.sub("\U0010eeee[^\\s\U0010eeee│]*", "§", text)
    shown = [line for line in bare.split("\n") if "§" in line]
    assert {line.index("│", 1) for line in shown} == {61}
    assert max(len(line) for line in shown) <= 80
