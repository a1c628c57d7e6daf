"""A key held across dialogs, screens and delays answers, undoes or leaves only once."""

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

MAX_DELAY_S = 0.66
"""The longest default delay before a keyboard repeats a key, in seconds."""


async def repeat(t, key: str, *, delay: float, count: int) -> None:
    """Repeat a key that was just pressed, as a held key does."""
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


async def find_class(t, text: str) -> None:
    await t.pilot.press("slash")
    await t.until(lambda: isinstance(t.app.screen, FindClassDialog))
    t.app.screen.query_one(Input).value = text
    await t.pilot.pause()
    t.clock.now += 1
    await t.pilot.press("enter")


async def test_held_enter_of_find_accepts_no_guess(terminal):
    async with terminal(guess=3, hints=True, asked=6) as t:
        await find_class(t, "five")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        await repeat(t, "enter", delay=0.5, count=6)
        await t.settle()
        assert t.labels() == {"000.png": "five"}


async def test_held_enter_of_find_confirms_no_page(terminal):
    async with terminal(guess=3, asked=6, size=(60, 20)) as t:
        grid = await open_grid(t)
        await find_class(t, "five")
        await t.until(lambda: t.app.screen is grid)
        await repeat(t, "enter", delay=0.5, count=4)
        assert t.labels() == {}


async def test_held_enter_of_the_last_page_accepts_no_guess(terminal):
    async with terminal(guess=3, hints=True, asked=6, size=(60, 20)) as t:
        await open_grid(t)
        await t.pilot.press("space")
        await t.pilot.pause()
        t.clock.now += 2
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current, "for the label screen")
        await t.settle()
        labels = t.labels()
        assert "000.png" not in labels  # marked wrong: its guess must not be stored
        await repeat(t, "enter", delay=MAX_DELAY_S, count=4)
        assert t.labels() == labels


async def test_held_escape_drops_no_corrections(terminal):
    async with terminal(guess=3, asked=6, size=(60, 20)) as t:
        grid = await open_grid(t)
        await t.pilot.press("5")
        t.clock.now += 2
        await t.pilot.press("escape")
        await repeat(t, "escape", delay=MAX_DELAY_S, count=20)
        assert t.app.screen is grid
        assert grid.model.unconfirmed == 1


async def test_held_enter_does_not_close_the_new_keys_dialog(terminal):
    async with terminal(guess=3, hints=True) as t:
        with open_store(t.workspace.store_path) as store:
            store.retire_class(store.class_by_name("nine").uid)
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, NewKeysDialog))
        await repeat(t, "enter", delay=MAX_DELAY_S, count=12)
        assert isinstance(t.app.screen, NewKeysDialog)
        assert len(t.labels()) == 1


async def test_held_undo_key_undoes_one_answer(terminal):
    async with terminal() as t:
        await t.press("1", "2", "3")
        t.clock.now += 1
        await t.pilot.press("u")
        await t.settle()
        await repeat(t, "u", delay=0.5, count=5)
        await t.settle()
        assert set(t.labels()) == {"000.png", "001.png"}


async def test_repeated_undo_presses_undo_one_answer_each(terminal):
    async with terminal() as t:
        await t.press("1", "2", "3")
        for _ in range(2):
            t.clock.now += 0.3
            await t.pilot.press("u")
            await t.pilot.pause(0.2)
            await t.settle()
        assert set(t.labels()) == {"000.png"}


async def test_key_after_an_undo_that_opens_another_round_is_ignored(terminal):
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
        await t.pilot.press("7")  # meant for the image that undo should have shown
        await t.settle()
        assert t.labels() == {"000.png": "one", "001.png": "two"}


@pytest.mark.parametrize("stop", ["hang up", "suspend"])
async def test_pending_answer_is_stored_before_the_program_stops(terminal, monkeypatch, stop):
    monkeypatch.setattr(os, "_exit", lambda code: None)
    monkeypatch.setattr("textual.app.App.action_suspend_process", lambda self: None)
    async with terminal() as t:
        await t.press("3")
        t.clock.now += 0.4
        await t.pilot.press("3")
        assert t.pending is not None
        if stop == "hang up":
            t.app._hang_up()
        else:
            t.app.action_suspend_process()
            t.app._bridge.close()
        assert t.labels() == {"000.png": "three", "001.png": "three"}


class WallClock:
    now = 0.0

    def __call__(self) -> float:
        return time.monotonic()


@pytest.mark.deep  # uses the wall clock
@pytest.mark.parametrize("stall_s", [0.0, 0.2])
async def test_delayed_repetitions_are_recognized(make_workspace, config, fake_reader, stall_s):
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
