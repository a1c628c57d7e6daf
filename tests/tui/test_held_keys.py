"""A key that is held over dialogs, screens and stalls answers, undoes and leaves once."""

import asyncio
import os
import threading
import time

import pytest
from label_terminal import starter
from textual import events
from textual.widgets import Input

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.help import NewKeysDialog
from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

LATEST = 0.66
"""The longest that a keyboard waits before it repeats, if nobody tuned it."""


async def repeat(t, key: str, *, delay: float, count: int) -> None:
    """Let the keyboard repeat a key that was pressed just now."""
    t.clock.now += delay
    for _ in range(count):
        await t.pilot.press(key)
        await t.pilot.pause()
        t.clock.now += 0.033
    await t.pilot.pause(0.2)


async def open_grid(t) -> GridScreen:
    t.clock.now += 1
    await t.pilot.press("g")
    await t.until(lambda: isinstance(t.app.screen, GridScreen))
    grid = t.app.screen
    await t.until(lambda: not grid.is_busy and grid.gate.elapsed_ms() is not None)
    t.clock.now += 2
    return grid


async def find(t, text: str) -> None:
    await t.pilot.press("slash")
    await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
    t.app.screen.query_one(Input).value = text
    await t.pilot.pause()
    t.clock.now += 1
    await t.pilot.press("enter")


async def test_enter_that_found_a_class_accepts_no_guess(terminal):
    async with terminal(guess=3, hints=True, asked=6) as t:
        await find(t, "five")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        await repeat(t, "enter", delay=0.5, count=6)
        await t.settle()
        assert t.labels() == {"000.png": "five"}


async def test_enter_that_found_a_class_confirms_no_page(terminal):
    async with terminal(guess=3, asked=6, size=(60, 20)) as t:
        grid = await open_grid(t)
        await find(t, "five")
        await t.until(lambda: t.app.screen is grid)
        await repeat(t, "enter", delay=0.5, count=4)
        assert t.labels() == {}


async def test_enter_that_confirmed_the_last_page_accepts_no_guess(terminal):
    async with terminal(guess=3, hints=True, asked=6, size=(60, 20)) as t:
        await open_grid(t)
        await t.pilot.press("space")
        await t.pilot.pause()
        t.clock.now += 2
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current, "for the label screen")
        await t.settle()
        stored = t.labels()
        assert "000.png" not in stored  # marked wrong: its guess is the last thing to store
        await repeat(t, "enter", delay=LATEST, count=4)
        assert t.labels() == stored


async def test_escape_that_asked_about_corrections_drops_none(terminal):
    async with terminal(guess=3, asked=6, size=(60, 20)) as t:
        grid = await open_grid(t)
        await t.pilot.press("5")
        t.clock.now += 2
        await t.pilot.press("escape")
        await repeat(t, "escape", delay=LATEST, count=20)
        assert t.app.screen is grid
        assert grid.model.unconfirmed == 1


async def test_enter_that_brought_moved_keys_does_not_say_they_were_seen(terminal):
    async with terminal(guess=3, hints=True) as t:
        with open_store(t.workspace.store_path) as store:
            store.add_class("ten")
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, NewKeysDialog))
        await repeat(t, "enter", delay=LATEST, count=12)
        assert isinstance(t.app.screen, NewKeysDialog)
        assert len(t.labels()) == 1


async def test_undo_takes_one_answer_back(terminal):
    async with terminal() as t:
        await t.press("1", "2", "3")
        t.clock.now += 1
        await t.pilot.press("u")
        await t.settle()
        await repeat(t, "u", delay=0.5, count=5)
        await t.settle()
        assert set(t.labels()) == {"000.png", "001.png"}


async def test_undo_again_and_again_takes_one_answer_each(terminal):
    async with terminal() as t:
        await t.press("1", "2", "3")
        for _ in range(2):
            t.clock.now += 0.3
            await t.pilot.press("u")
            await t.pilot.pause(0.2)
            await t.settle()
        assert set(t.labels()) == {"000.png"}


async def test_a_correction_after_an_undo_that_found_another_round_has_to_look_first(terminal):
    async with terminal() as t:
        await t.press("1", "2")
        with open_store(t.workspace.store_path) as store:
            ids = {item.sample_id: item.item_id for item in store.items()}
            store.close_query(0)
            names = [f"{number:03d}.png" for number in range(6, 10)]
            entries = [
                QueryEntry(item_id=ids[name], rank=rank, reason="r")
                for rank, name in enumerate(names, start=1)
            ]
            query = Query(round=1, strategy="x", model_sha=None, entries=tuple(entries))
            store.save_query(query)
        t.clock.now += 1
        await t.pilot.press("u")
        await t.settle()
        t.clock.now += 0.2
        await t.pilot.press("7")  # the right class, for the image that undo should have brought
        await t.settle()
        assert t.labels() == {"000.png": "one", "001.png": "two"}


@pytest.mark.parametrize("way", ["hang up", "suspend"])
async def test_what_waits_to_see_whether_its_key_is_held_is_sent_before_the_program_stops(
    terminal, monkeypatch, way
):
    monkeypatch.setattr(os, "_exit", lambda code: None)
    monkeypatch.setattr("textual.app.App.action_suspend_process", lambda self: None)
    async with terminal() as t:
        await t.press("3")
        t.clock.now += 0.4
        await t.pilot.press("3")
        assert t.pending is not None
        if way == "hang up":
            t.app._hang_up()
        else:
            t.app.action_suspend_process()
            t.app._bridge.close()
        assert t.labels() == {"000.png": "three", "001.png": "three"}


class WallClock:
    now = 0.0

    def __call__(self) -> float:
        return time.monotonic()


@pytest.mark.deep  # by the wall clock
@pytest.mark.parametrize("stall_s", [0.0, 0.2])
async def test_repetitions_that_are_heard_late_are_repetitions(
    make_workspace, config, fake_reader, stall_s
):
    async with starter(make_workspace, config, WallClock(), fake_reader)(asked=10) as t:
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()

        def send() -> None:
            event = events.Key("3", "3")
            event.set_sender(t.app)
            loop.call_soon_threadsafe(t.app.post_message, event)

        def hold() -> None:
            send()
            time.sleep(0.5)
            for _ in range(30):
                send()
                time.sleep(0.033)

        keyboard = threading.Thread(target=hold)
        keyboard.start()
        await asyncio.sleep(0.52)
        for _ in range(4):
            time.sleep(stall_s)
            await asyncio.sleep(0.12)
        while keyboard.is_alive():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.4)
        assert len(t.labels()) == 1
