"""The installed ``dgaal label`` in a pseudo-terminal: keys, screen, kill and resume."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pty_terminal import ENVIRONMENT, Terminal, dgaal, events, make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


@pytest.fixture
def start(workspace: Path) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start_(size: tuple[int, int] = (80, 24), *options: str, **environment: str) -> Terminal:
        terminals.append(Terminal(workspace, size, *options, **environment))
        return terminals[-1]

    yield start_
    for terminal in terminals:
        if terminal.child.isalive():
            terminal.child.kill(signal.SIGKILL)  # tests wait for regular ends themselves
            terminal.child.wait()
        terminal.child.close()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_label_kill_and_resume(start, workspace, size):
    terminal = start(size)
    terminal.until_image()
    assert "0/12" in terminal.text()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text and "✔ saved" in text)
    terminal.until_image()
    terminal.press("x")
    terminal.until(lambda text: "✔ can't tell" in text and "2/12" in text)
    terminal.until_image()
    terminal.press("1234567890")
    terminal.until(lambda text: "3/12" in text)
    terminal.pump(0.5)
    stored = events(workspace)
    assert stored[:2] == [("label", "000.png", "three"), ("cannot_tell", "001.png", None)]
    assert len(stored) == 3  # ten keys in one burst answer one image

    maps = Path(f"/proc/{terminal.child.pid}/maps")
    if maps.exists():
        mapped = maps.read_text()
        assert not re.search(r"libtorch|onnxruntime|sklearn", mapped)
    terminal.child.kill(signal.SIGKILL)
    terminal.exit_code()
    assert events(workspace) == stored

    again = start(size)
    again.until(lambda text: "resumed after 3 answers" in text)
    again.until_image()
    assert "3/12" in again.text()
    again.press("u")
    again.until(lambda text: "taken back" in text and "2/12" in text)
    again.until_image()
    again.press("5")
    again.until(lambda text: "✔ 5 five" in text)
    again.press("q")
    assert again.exit_code() == 0
    assert b"\x1b[?1049l" in again.output[-4000:]  # the screen of the shell is restored
    kinds = [kind for kind, _, _ in events(workspace)]
    assert kinds == ["label", "cannot_tell", "label", "undo", "label"]


def test_label_screen_shows_every_color_of_the_image(start, workspace):
    terminal = start((120, 40), "--images", "half")
    terminal.until_image()
    terminal.press("z")
    terminal.until(lambda text: "crisp x8" in text)
    pixels = np.asarray(Image.open(workspace / "pool" / "000.png"))
    colors = {
        getattr(cell, side)
        for line in terminal.screen.buffer.values()
        for cell in line.values()
        for side in ("fg", "bg")
    }
    expected = {"".join(f"{value:02x}" for value in pixel) for pixel in pixels.reshape(-1, 3)}
    assert len(expected - colors) == 0


def test_kitty_images_are_sent_before_they_are_shown(start, workspace):
    terminal = start((80, 24), "--images", "kitty", TERM="xterm-kitty")

    def shown() -> list[int]:
        colors = re.findall(rb"\x1b\[0;38;2;(\d+);(\d+);(\d+)m\xf4\x8e\xbb\xae", terminal.output)
        return [(int(r) << 16) + (int(g) << 8) + int(b) for r, g, b in colors]

    def sent() -> list[int]:
        return [int(number) for number in re.findall(rb"a=T[^;]*,i=(\d+)", terminal.output)]

    terminal.until(lambda _: shown() and len(set(sent())) >= 4)  # this image and the next three
    terminal.pump(0.3)
    before, first = set(sent()), shown()[-1]
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)
    assert shown()[-1] != first
    assert shown()[-1] in before
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert {int(n) for n in re.findall(rb"a=d,d=I,i=(\d+)", terminal.output)} == set(sent())
    assert events(workspace) == [("label", "000.png", "three")]


def test_no_color_shows_only_grays(start):
    terminal = start((80, 24), NO_COLOR="1")
    terminal.until_image()
    found = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)m", terminal.output)
    assert found
    assert all(r == g == b for r, g, b in found)


def test_resizing_keeps_the_session(start):
    terminal = start((120, 40))
    terminal.until_image()
    for columns, rows in ((80, 24), (30, 8), (60, 20)):
        terminal.screen.resize(rows, columns)
        terminal.child.setwinsize(rows, columns)
        if columns < 40:
            terminal.until(lambda text: "too small" in text)
        else:
            terminal.until(lambda text: re.search(r"^│.*│ class", text, re.MULTILINE))
    terminal.until_image()
    terminal.press("4")
    terminal.until(lambda text: "✔ 4 four" in text)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_the_session_and_keeps_saved_answers(start, workspace, number, code):
    terminal = start()
    terminal.until_image()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)
    terminal.child.kill(number)
    assert terminal.exit_code() == code
    assert events(workspace) == [("label", "000.png", "three")]


def test_control_c_exits_with_130(start):
    terminal = start()
    terminal.until_image()
    terminal.press("\x03")
    assert terminal.exit_code() == 130


def test_second_terminal_of_one_annotator_is_refused(start, workspace):
    first = start()
    first.until_image()
    second = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", "--annotator", "ann", "--plain"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert second.returncode == 6
    assert str(first.child.pid) in second.stderr


def test_label_without_terminal_suggests_plain(workspace):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    assert done.returncode == 2
    assert "--plain" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("by", ["option", "terminal"])
def test_plain_labeling_stores_answers_and_undo(workspace, by):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", *(["--plain"] if by == "option" else [])],
        input="three\nx\nu\nq\n",
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT if by == "option" else {**ENVIRONMENT, "TERM": "dumb"},
    )
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "saved: three. 1 of 12." in done.stdout
    assert [kind for kind, _, _ in events(workspace)] == ["label", "cannot_tell", "undo"]


def test_unknown_image_mode_lists_the_valid_ones(workspace):
    done = subprocess.run(
        [dgaal(), "-C", str(workspace), "label", "--images", "sixel"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "half256" in done.stderr


def test_terminal_shrunk_to_one_cell_recovers(start, workspace):
    terminal = start((120, 40))
    terminal.until_image()
    for columns, rows in ((1, 1), (2, 50), (200, 1), (80, 24)):
        terminal.screen.resize(rows, columns)
        terminal.child.setwinsize(rows, columns)
        terminal.pump(0.6)
        if columns < 40 or rows < 12:
            terminal.press("5")
            terminal.pump(0.3)
    assert events(workspace) == []
    terminal.until_image()
    terminal.press("4")
    terminal.until(lambda text: "✔ 4 four" in text)


@pytest.mark.parametrize("kibibytes", [64, pytest.param(1024, marks=pytest.mark.deep)])
def test_long_paste_stores_nothing(start, workspace, kibibytes):
    terminal = start()
    terminal.until_image()
    block = b"3" * 4096
    terminal.child.send(b"\x1b[200~")
    for _ in range(kibibytes // 4):
        terminal.child.send(block)
        terminal.pump(0.01)
    terminal.child.send(b"\x1b[201~")
    terminal.until(lambda text: "pasted text is ignored" in text, seconds=60)
    assert events(workspace) == []
    terminal.pump(2.0)
    terminal.until_image()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)


def test_missing_images_are_skipped_until_they_return(start, workspace):
    kept = {path: path.read_bytes() for path in (workspace / "pool").glob("00[01].png")}
    for path in kept:
        path.unlink()
    terminal = start()
    terminal.until(lambda text: "002.png" in text)
    terminal.until_image()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text and "3/12" in text)
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert events(workspace) == [("label", "002.png", "three")]
    for path, data in kept.items():
        path.write_bytes(data)
    terminal = start()
    terminal.until(lambda text: "000.png" in text)


REPLY = b"\x1b[?62;4;22c"


def test_split_terminal_reply_is_not_an_answer(start, workspace):
    terminal = start()
    terminal.until_image()
    for cut in range(1, len(REPLY)):
        terminal.child.send(REPLY[:cut])
        terminal.pump(0.15)  # longer than Textual waits for the rest of a sequence
        terminal.child.send(REPLY[cut:])
        terminal.pump(0.4)
    assert events(workspace) == []
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)
    assert len(events(workspace)) == 1


@pytest.mark.parametrize(
    "noise",
    [
        b"\xe9",
        b"\xff\xfe\xc3\x28\x80\x00\x00",
        b"\x1b[1114112u\x1b[99999999999999999999u\x1b[55296u",
        b"\x1b[<0;5;5M\x1b[200~3\x1b[201~\x1bOP\x1b]52;c;MzMz\x07\x1bP1$r0m\x1b\\\x1b_Gi=1;OK\x1b\\",
    ],
    ids=["latin1", "bytes", "keycodes", "replies"],
)
def test_invalid_input_neither_answers_nor_ends_the_session(start, workspace, noise):
    terminal = start()
    terminal.until_image()
    terminal.child.send(noise)
    terminal.pump(1.0)
    assert terminal.child.isalive()
    assert events(workspace) == []
    terminal.press("\x1b")  # close a dialog that the noise may have opened, such as help
    terminal.pump(0.7)
    terminal.until_image()
    terminal.press("3")
    terminal.until(lambda text: "✔ 3 three" in text)
    terminal.pump(0.3)
    terminal.press("q")
    assert terminal.exit_code() == 0
    assert events(workspace) == [("label", "000.png", "three")]
