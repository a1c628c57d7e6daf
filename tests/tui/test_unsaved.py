"""An answer that cannot be saved stays on the screen and is never dropped silently."""

import threading

import pytest
from label_terminal import Terminal

from dgaal_cli.errors import StorageError
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.tui.screens.dialogs import UnsavedDialog
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.review import ReviewScreen


class FullDisk:
    """Makes writes of the store wait for ``release`` and fail until ``has_room`` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has_room = False
        self.release = threading.Event()
        self.attempts = 0
        for name in ("submit", "submit_many"):
            monkeypatch.setattr(SqliteStore, name, self._wrap(getattr(SqliteStore, name)))

    def _wrap(self, real):
        def write(store, given, **kwargs):
            self.attempts += 1
            self.release.wait(60)
            if not self.has_room:
                raise StorageError("the disk is full")
            return real(store, given, **kwargs)

        return write


@pytest.fixture
def disk(monkeypatch):
    full = FullDisk(monkeypatch)
    yield full
    full.release.set()


async def answer(t: Terminal) -> None:
    """Give the answer 3 on the label screen."""
    t.clock.now += 1
    await t.pilot.press("3")
    t.clock.now += 1


async def confirm_page(t: Terminal) -> None:
    """Confirm a page of guesses in the grid."""
    await t.press("g")
    await t.until(lambda: isinstance(t.app.screen, GridScreen), "for the grid")
    grid = t.app.screen
    await t.until(lambda: grid.model.cells and grid.gate.elapsed_ms() is not None)
    t.clock.now += 1
    await t.pilot.press("enter")
    t.clock.now += 1


async def change_in_review(t: Terminal) -> None:
    """Change an answer in the review."""
    await t.press("r")
    await t.until(lambda: isinstance(t.app.screen, ReviewScreen), "for the review")
    review = t.app.screen
    await t.until(lambda: review.answers and review.gate.elapsed_ms() is not None, "for the list")
    t.clock.now += 1
    await t.pilot.press("4")
    t.clock.now += 1


WRITERS = pytest.mark.parametrize("write", [answer, confirm_page, change_in_review])


async def start_write(t: Terminal, disk: FullDisk, write) -> None:
    """Save one answer while the disk has room, so that the review has an entry; then write."""
    disk.has_room = True
    disk.release.set()
    await t.press("5")
    disk.has_room = False
    disk.release.clear()
    disk.attempts = 0
    await write(t)
    await t.until(lambda: disk.attempts == 1, "for the write")


async def dialog_of(t: Terminal) -> UnsavedDialog:
    await t.until(lambda: isinstance(t.app.screen, UnsavedDialog), "for the dialog")
    return t.app.screen


async def test_failed_save_keeps_the_answer_and_retries(terminal, monkeypatch):
    async with terminal() as t:
        presses, real = [], SqliteStore.submit

        def full(self, answer, **kwargs):
            presses.append(answer)
            if len(presses) < 3:
                raise StorageError("the disk is full")
            return real(self, answer, **kwargs)

        monkeypatch.setattr(SqliteStore, "submit", full)
        t.clock.now += 1
        await t.pilot.press("3")
        await t.until(lambda: isinstance(t.app.screen, UnsavedDialog), "for the dialog")
        assert "NOT SAVED" in t.text()
        assert t.image.sample_id == "000.png"
        assert "the disk is full" in t.dialog()
        assert "3 three" in t.dialog()
        await t.pilot.press("4")
        assert isinstance(t.app.screen, UnsavedDialog)
        await t.pilot.press("enter")
        await t.until(lambda: len(presses) == 2 and isinstance(t.app.screen, UnsavedDialog))
        await t.pilot.press("enter")
        await t.until(lambda: not t.pending)
        await t.settle()
        assert len({a.op_id for a in presses}) == 1
        assert t.labels() == {"000.png": "three"}
        assert "✔ saved" in t.text()


async def test_q_waits_for_the_answer_in_flight(terminal, disk):
    async with terminal() as t:
        disk.has_room = True
        await answer(t)
        await t.pilot.press("q")
        await t.pilot.pause(0.1)
        assert t.app.return_value is None
        disk.release.set()
        await t.until(lambda: t.app.return_value is not None, "for the end")
        assert t.app.return_value == 0
    assert t.labels() == {"000.png": "three"}


async def test_q_before_a_failed_save_keeps_the_answer(terminal, disk):
    async with terminal() as t:
        await answer(t)
        await t.pilot.press("q")
        disk.release.set()
        await dialog_of(t)
        await t.pilot.pause(0.05)
        assert t.app.return_value is None
        disk.has_room = True
        await t.pilot.press("enter")
        await t.settle()
        assert t.labels() == {"000.png": "three"}


@WRITERS
@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+c"])
async def test_leaving_during_a_failing_save_warns_or_exits_with_8(terminal, disk, write, key):
    async with terminal(guess=3, asked=6) as t:
        await start_write(t, disk, write)
        await t.pilot.press(key)
        await t.pilot.pause(0.05)
        disk.release.set()
        if key == "ctrl+c":
            await t.until(lambda: t.app.return_value is not None, "for the end")
            assert t.app.return_value == 8
            return
        await dialog_of(t)
        assert t.app.return_value is None
        disk.has_room = True
        await t.pilot.press("enter")
        await t.until(lambda: len(t.labels()) > 1 or t.labels()["000.png"] != "five")


@WRITERS
async def test_leaving_from_the_unsaved_dialog_exits_with_8(terminal, disk, write):
    async with terminal(guess=3, asked=6) as t:
        await start_write(t, disk, write)
        disk.release.set()
        await dialog_of(t)
        await t.pilot.press("ctrl+q")
        await t.until(lambda: t.app.return_value is not None, "for the end")
        assert t.app.return_value == 8


async def test_early_and_held_keys_neither_drop_the_answer_nor_leave(terminal, disk):
    async with terminal(classes=list("abcdefghijklmnopqrst")) as t:
        disk.release.set()
        t.clock.now += 1
        await t.pilot.press("c")
        await dialog_of(t)
        for key in ("q", "q", "r"):
            await t.pilot.press(key)
        t.clock.now += 1
        await t.pilot.press("q")  # one key press is not sufficient
        for key in ("q", "q"):
            await t.pilot.press(key)  # a held key is not sufficient
        assert "again: drop it and leave" in t.dialog()
        assert isinstance(t.app.screen, UnsavedDialog)
        assert t.app.return_value is None
        disk.has_room = True
        await t.pilot.press("enter")
        await t.settle()
        assert t.labels() == {"000.png": "c"}


async def test_second_q_drops_the_answer_and_exits_with_8(terminal, disk):
    async with terminal() as t:
        disk.release.set()
        await answer(t)
        await dialog_of(t)
        for _ in range(2):
            t.clock.now += 1
            await t.pilot.press("q")
        await t.pilot.pause()
        assert t.app.return_value == 8
