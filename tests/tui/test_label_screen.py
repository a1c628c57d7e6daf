"""The label screen: keys, stored events and the status line."""

import asyncio
import threading
from dataclasses import replace

import pytest
from label_terminal import print_events, script
from textual import events
from textual.app import App
from textual.widgets import Input, Static

from dgaal_cli.errors import StorageError
from dgaal_cli.events import QueryChosen, RoundStarted, RoundTrained, StepDone
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.app import LabelApp
from dgaal_cli.tui.screens.dialogs import ConfirmDialog, UnsavedDialog
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.screens.help import HelpDialog, NewKeysDialog
from dgaal_cli.tui.screens.pick_dialogs import AddClassDialog
from dgaal_cli.tui.screens.training import TrainingDialog
from dgaal_cli.tui.widgets.image_view import ImageView
from dgaal_cli.tui.widgets.rows import Rows


async def test_class_key_saves_one_label_and_shows_the_next_image(terminal):
    async with terminal() as t:
        await t.press("3")
        assert t.labels() == {"000.png": "three"}
        assert t.image.sample_id == "001.png"
        assert "✔ saved" in t.text()
        assert "✔ 3 three  1.00 s" in t.text()
        assert "1/4" in t.text()


async def test_saved_is_shown_after_commit_and_answers_wait_for_it(terminal, monkeypatch):
    async with terminal() as t:
        release, real = threading.Event(), LabelSession.answer

        def slow(self, press):
            release.wait(10)
            return real(self, press)

        monkeypatch.setattr(LabelSession, "answer", slow)
        t.clock.now += 1
        await t.pilot.press("3")
        await t.until(lambda: t.image.sample_id == "001.png", "for the next image")
        assert "… saving" in t.text()
        assert "✔ saved" not in t.text()
        assert t.events() == []
        await t.until(lambda: t.gate.elapsed_ms() is not None)
        t.clock.now += 1
        await t.pilot.press("4")
        await t.pilot.pause()
        assert t.events() == []
        t.clock.now += 1
        await t.pilot.press("5")
        await t.pilot.pause()
        assert "still being saved" in t.text()
        release.set()
        await t.until(lambda: len(t.events()) == 2, "for the answer that waited")
        await t.settle()
        assert t.events() == [("label", "000.png", "three"), ("label", "001.png", "four")]
        assert "✔ saved" in t.text()


async def test_answer_that_waits_is_dropped_if_the_one_before_fails(terminal, monkeypatch):
    async with terminal() as t:
        release = threading.Event()

        def fail(_self, _press):
            release.wait(10)
            raise StorageError("the disk is full")

        monkeypatch.setattr(LabelSession, "answer", fail)
        t.clock.now += 1
        await t.pilot.press("3")
        await t.until(lambda: t.image.sample_id == "001.png", "for the next image")
        await t.until(lambda: t.gate.elapsed_ms() is not None)
        t.clock.now += 1
        await t.pilot.press("4")
        monkeypatch.undo()
        release.set()
        await t.until(lambda: isinstance(t.app.screen, UnsavedDialog), "for the dialog")
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current, "for the label screen")
        await t.settle()
        assert t.events() == [("label", "000.png", "three")]


async def test_burst_of_equal_answers_loses_none(terminal):
    async with terminal() as t:
        for _ in range(4):
            await t.until(lambda: t.gate.elapsed_ms() is not None)
            t.clock.now += 0.2  # faster than a keyboard repeats, slower than a held key
            await t.pilot.press("3")
            await t.pilot.pause()
        await t.until(lambda: len(t.events()) == 4, "for the answers")
        assert t.labels() == {f"00{i}.png": "three" for i in range(4)}


async def test_keys_typed_before_the_first_frame_are_ignored(terminal):
    async with terminal() as t:
        early = events.Key("t", "t")
        early.time = 0.0
        await t.app.on_event(early)
        await t.pilot.pause()
        assert t.app.screen is t.screen
        t.clock.now += 1
        await t.pilot.press("t")
        await t.until(lambda: isinstance(t.app.screen, ConfirmDialog), "for the question")


async def test_skip_cannot_tell_undo_and_redo(terminal):
    async with terminal() as t:
        await t.press("space", "x", "5")
        assert [k for k, _, _ in t.events()] == ["skip", "cannot_tell", "label"]
        await t.press("u")
        assert t.image.sample_id == "002.png"
        assert "taken back: 5 five" in t.text()
        await t.press("backspace")
        assert t.image.sample_id == "001.png"
        await t.press("U", "U", "6")
        assert t.labels() == {"002.png": "five", "003.png": "six"}
        assert t.image.sample_id == "000.png"


async def test_undo_without_answers_shows_a_notice(terminal):
    async with terminal() as t:
        await t.press("u")
        assert "nothing to undo" in t.text()
        assert t.events() == []


async def test_key_burst_labels_one_image(terminal):
    async with terminal() as t:
        t.clock.now += 1
        for key in "1234567890":
            await t.pilot.press(key)
            t.clock.now += 0.03
        await t.settle()
        assert len(t.events()) == 1
        assert t.gate.dropped >= 8


async def test_paste_and_escape_sequences_store_nothing(terminal):
    from textual.events import Paste

    async with terminal() as t:
        t.app.post_message(Paste("3333"))
        t.screen.post_message(Paste("3333"))
        await t.pilot.pause()
        t.clock.now += 1
        await t.pilot.press("escape")
        for key in "[?62;4;22c":
            t.clock.now += 0.1
            await t.pilot.press(key)
        await t.settle()
        assert t.events() == []


async def test_without_hints_no_guess_is_shown_and_enter_does_nothing(terminal):
    async with terminal(guess=3) as t:
        assert "91%" not in t.text()
        await t.press("enter")
        assert t.events() == []
        assert "no guess is shown" in t.text()


async def test_with_hints_enter_accepts_the_guess_and_the_label_records_it(terminal):
    async with terminal(guess=3) as t:
        await t.press("p")
        assert "91%" in t.text()
        assert "▸ three" in t.text()
        await t.press("enter")
        assert t.labels() == {"000.png": "three"}
        await t.press("p", "3")
        with open_store(t.workspace.store_path, read_only=True) as store:
            assert [e.ui for e in store.events()] == ["probs", "hidden"]


async def test_enter_ignores_a_guess_that_is_not_yet_shown(terminal):
    async with terminal(guess=3) as t:
        t.clock.now += 1
        await t.pilot.press("p", "enter")
        await t.pilot.pause()
        assert t.events() == []
        assert "the guess was not yet on the screen" in t.text()
        await t.press("enter")
        assert t.events() == [("label", "000.png", "three")]


async def test_enter_ignores_a_guess_that_has_just_changed(terminal):
    async with terminal(guess=3, hints=True) as t:
        t.clock.now += 1
        view = t.view
        class_eight = view.classes[8].uid
        new_image = replace(view.image, predicted=class_eight, probabilities=((class_eight, 0.9),))
        t.screen.call_later(t.screen.answers.take_guesses, replace(view, image=new_image))
        await t.pilot.press("enter")
        await t.pilot.pause()
        assert t.events() == []
        assert "▸ eight" in t.text()
        await t.press("enter")
        assert t.events() == [("label", "000.png", "eight")]


async def test_class_key_works_while_the_guess_changes(terminal):
    async with terminal(guess=3) as t:
        t.clock.now += 1
        await t.pilot.press("p", "5")
        await t.settle()
        assert t.events() == [("label", "000.png", "five")]


async def test_guess_is_named_if_its_class_is_not_listed(terminal):
    names = [f"class {i:02d}" for i in range(36)]
    async with terminal(classes=names, guess=35, hints=True, size=(40, 12)) as t:
        panel = t.screen.query_one("#panel", Rows)
        assert "⏎ ▸ class 35" in panel._rows[-1].text


async def test_blind_image_is_shown_without_its_guess(terminal):
    async with terminal(guess=3, asked=11, hints=True) as t:
        for _ in range(9):
            await t.press("enter")
        assert t.image.is_blind
        assert "blind" in t.text()
        assert "91%" not in t.text()
        await t.press("enter")
        assert len(t.labels()) == 9
        await t.press("4")
        with open_store(t.workspace.store_path, read_only=True) as store:
            assert [e.ui for e in store.events()][-1] == "hidden"


async def test_unreadable_image_accepts_cannot_tell_but_no_label(terminal):
    async with terminal(names=["broken.png", "fine.png"], asked=2) as t:
        assert "this image cannot be shown" in t.text()
        assert "no image format" in t.text()
        await t.press("3")
        assert t.events() == []
        await t.press("x")
        assert t.events() == [("cannot_tell", "broken.png", None)]


async def test_synthetic_image_is_marked_by_text_and_frame(terminal):
    async with terminal(asked=1, synthetic=1) as t:
        assert "POOL IMAGE" in t.text()
        assert "╔" not in t.text()
        await t.press("1")
        assert "◇ SYNTHETIC IMAGE ◇" in t.text()
        assert "╔" in t.text()


async def test_first_frame_is_drawn_before_any_image_is_opened(terminal, fake_reader):
    frames_at_open: list[bool] = []

    class Reader(fake_reader):
        def __init__(self) -> None:
            super().__init__()
            frames_at_open.append(True)

    frames: list[int] = []
    real = LabelApp.post_display_hook

    def hook(self) -> None:
        frames.append(len(frames_at_open))
        real(self)

    LabelApp.post_display_hook = hook
    try:
        async with terminal(make_reader=Reader) as t:
            assert frames[0] == 0
            assert frames_at_open == [True]
            assert t.screen.shown.scene_view.has_image
    finally:
        LabelApp.post_display_hook = real


async def test_labeling_builds_no_segments_for_images(terminal):
    async with terminal() as t:
        await t.press("3", "4")
        strips = t.screen.query_one(ImageView)._strips
        assert strips
        assert not any(strip.has_segments for strip in strips)


async def test_z_switches_between_smooth_and_crisp(terminal):
    async with terminal() as t:
        assert "66x66 smooth" in t.text()
        await t.press("z")
        assert "crisp x8" in t.text()


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 18)])
async def test_image_alone_fills_the_screen_and_can_be_answered(terminal, size):
    async with terminal(size=size, guess=3, hints=True) as t:
        await t.press("v")
        assert t.screen.query_one(ImageView).size == (size[0], size[1] - 3)
        bar = t.screen.query_one("#keys-bar", Rows)._rows[0].text
        assert "⏎ ▸ three" in bar
        assert "✔ saved" in t.text()
        await t.press("enter", "5")
        assert list(t.labels().values()) == ["three", "five"]
        await t.press("v")
        assert t.screen.query_one(ImageView).size.width < size[0]
        assert t.screen.query_one("#panel", Rows).display


async def test_zoomed_image_must_be_drawn_before_it_is_answered_and_the_next_one_is_whole(terminal):
    async with terminal(size=(80, 24)) as t:
        await t.press("+")
        assert "100 %" in t.text()
        await t.press("right", "]", "I")
        look = t.screen.shown.look
        assert (look.zoom, look.brightness, look.is_inverted) == (1, 1, True)
        await t.press("3")
        look = t.screen.shown.look
        assert (look.zoom, look.brightness, look.is_inverted) == (0, 1, True)
        await t.press("backslash")
        assert t.screen.shown.look.brightness == 0
        assert list(t.labels().values()) == ["three"]


async def test_b_compares_glyphs_and_names_the_setting(terminal):
    async with terminal() as t:
        for expected in ("quadrants", "sextants", "octants", "half"):
            await t.press("b")
            assert t.screen.shown.look.glyphs == expected
            assert f"label.glyphs = '{expected}'" in t.text()


async def test_label_screen_works_after_resizing(terminal):
    async with terminal() as t:
        for size in ((80, 24), (60, 20), (200, 50), (40, 12), (120, 40)):
            await t.pilot.resize_terminal(*size)
            await t.until(lambda: t.screen.shown.scene_view.is_answerable, f"at {size}")
            await t.settle()
            for rows in t.screen.query(Rows):
                assert all(s.cell_length == rows.size.width for s in rows._rows), (size, rows)
        await t.press("3")
        assert len(t.labels()) == 1


async def test_too_small_terminal_accepts_no_answer(terminal):
    async with terminal() as t:
        await t.pilot.resize_terminal(39, 11)
        await t.pilot.pause()
        t.clock.now += 1
        await t.pilot.press("3")
        await t.pilot.pause()
        assert t.events() == []
        assert "too small" in str(t.screen.query_one("#too-small", Static).content)
        await t.pilot.resize_terminal(80, 24)
        await t.until(lambda: not t.screen.has_class("-too-small"))
        await t.press("4")
        assert t.labels() == {"000.png": "four"}


async def test_first_class_can_be_added(terminal):
    async with terminal(classes=[]) as t:
        assert "no classes yet" in t.text()
        await t.press("a")
        assert isinstance(t.app.screen, AddClassDialog)
        t.app.screen.query_one(Input).value = "crab [b]x[/b]"
        await t.pilot.press("enter")
        await t.until(lambda: t.keymap.codes, "for the class")
        await t.press("1")
        assert t.labels() == {"000.png": "crab [b]x[/b]"}
        assert "crab [b]x" in t.text()


async def test_twelve_classes_leave_the_keys_of_commands(terminal):
    names = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex", "jay", "kiwi", "lynx"]
    async with terminal(classes=names) as t:
        await t.press("k", "x", "space", "u")
        assert [(k, c) for k, _, c in t.events()] == [
            ("label", "kiwi"),
            ("cannot_tell", None),
            ("skip", None),
            ("undo", None),
        ]


async def test_forty_classes_need_two_keys(terminal):
    async with terminal(classes=[f"class {i:02d}" for i in range(40)]) as t:
        await t.press("a")
        assert t.events() == []
        assert "a… second key" in t.text()
        await t.press("backspace")
        assert t.screen.prefix == ""
        await t.press("s", "j")
        assert t.labels() == {"000.png": "class 20"}
        await t.press("a", "z")
        assert "no class has the keys az" in t.text()


async def test_four_hundred_classes_are_listed_by_group(terminal):
    names = [f"kind {i:03d}" for i in range(401)]
    async with terminal(classes=names, size=(80, 24)) as t:
        assert "a…  kind 000 … kind 019" in t.text()
        assert "5…  kind 380 … kind 399" in t.text()
        await t.press("d")
        assert "kind 040" in t.text()
        assert "kind 059" in t.text()
        assert "kind 060" not in t.text()
        await t.press("j")
        assert t.labels() == {"000.png": "kind 040"}


async def test_find_labels_with_a_class_by_part_of_its_name(terminal):
    async with terminal() as t:
        await t.press("slash")
        t.app.screen.query_one(Input).value = "eig"
        await t.pilot.pause()
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current and not t.pending)
        assert t.labels() == {"000.png": "eight"}


async def test_help_lists_every_command_and_class(terminal):
    async with terminal() as t:
        await t.press("question_mark")
        assert isinstance(t.app.screen, HelpDialog)
        shown = " ".join(t.dialog().split())  # a long explanation has two lines
        for command in set(t.keymap.commands.values()):
            assert command.explanation in shown
        for name in ("zero", "nine"):
            assert name in shown
        await t.pilot.press("escape")
        await t.press("3")
        assert len(t.labels()) == 1


async def test_hostile_names_are_escaped(terminal):
    hostile = "\x1b]52;c;x\x07[/red]\u202e.png"
    async with terminal(names=[hostile, "b.png"], classes=["[b]ship", "a[/x]"], asked=2) as t:
        await t.press("1", "question_mark")
        text = t.text() + t.dialog()
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[b]ship" in text
        await t.pilot.press("escape")


async def test_flag_is_shown_and_toggled(terminal):
    async with terminal() as t:
        await t.press("f")
        assert "⚑ flagged" in t.text()
        await t.press("f")
        assert "⚑" not in t.text()


NEXT_QUERY = """
from pathlib import Path
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Query, QueryEntry
with open_store(Path({path!r})) as s:
    items = s.items()
    entries = (QueryEntry(item_id=items[7].item_id, rank=1),)
    s.save_query(Query(round=1, strategy='x', model_sha=None, entries=entries))
"""


async def test_end_of_query_offers_training_and_opens_the_next_query(terminal, make_workspace):
    workspace = make_workspace(asked=1)
    path = str(workspace.store_path)
    train = script(
        print_events(RoundStarted(round=0, method="dgaal", labels=1, pool=12, device="cpu")),
        print_events(
            StepDone(phase="fit", step=5, steps=10, rate=3.0, left_s=2.0, losses={"loss": 0.25})
        ),
        print_events(
            RoundTrained(round=0, labels=1, accuracy=0.5, measured_on="test", seconds=1.0)
        ),
    )
    query = script(
        NEXT_QUERY.format(path=path),
        print_events(QueryChosen(round=1, size=1, synthetic=0, strategy="x")),
    )
    async with terminal(workspace=workspace, train={"train": train, "query": query}) as t:
        t.clock.now += 1
        await t.pilot.press("3")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog), "for the dialog")
        dialog = t.app.screen
        assert "Round 0: 1 label, " in t.dialog()
        await t.pilot.press("enter")
        await t.pilot.pause()
        assert dialog.state is None  # a held Enter does not start the training
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: dialog.state and dialog.state.stage == "done", "for the training")
        await t.pilot.pause()
        assert "50.0%" in t.dialog()
        assert "1 new image chosen" in t.dialog()
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current and t.view.round == 1, "for the query")
        await t.press("4")
        assert t.labels() == {"000.png": "three", "007.png": "four"}


async def test_failed_training_shows_the_reason_and_answers_can_be_undone(terminal):
    failing = script("sys.stderr.write('dgaal: only one class has labels\\n'); sys.exit(2)")
    async with terminal(asked=1, train={"train": failing}) as t:
        t.clock.now += 1
        await t.pilot.press("3")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: dialog.state and dialog.state.stage == "failed")
        await t.pilot.pause()
        assert "only one class has labels" in t.dialog()
        await t.pilot.press("u")
        await t.until(lambda: t.screen.is_current and t.image)
        await t.press("4")
        await t.until(lambda: t.labels() == {"000.png": "four"})


async def test_early_training_needs_confirmation_and_can_be_canceled(terminal):
    train = script(
        print_events(RoundStarted(round=0, method="dgaal", labels=1, pool=12, device="cpu")),
        "time.sleep(60)",
    )
    async with terminal(train={"train": train}) as t:
        await t.press("3", "t")
        assert isinstance(t.app.screen, ConfirmDialog)
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await t.until(lambda: dialog.state and dialog.state.round == 0, "for the start")
        await t.pilot.press("enter", "q", "3")
        assert isinstance(t.app.screen, TrainingDialog)
        await t.pilot.press("c")
        await t.until(lambda: dialog.state.stage == "canceled", "for the cancel")
        await t.pilot.pause()
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current and not t.busy)
        await t.press("4")
        assert t.labels() == {"000.png": "three", "001.png": "four"}


async def test_next_round_is_offered_without_a_query(terminal):
    async with terminal(asked=0, train={s: script("sys.exit(0)") for s in ("train", "query")}) as t:
        await t.until(lambda: "No open query." in t.text(), "for the first frame")
        await t.press("enter")
        assert isinstance(t.app.screen, TrainingDialog)
        assert "train, then choose" in t.dialog()
        dialog = t.app.screen
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: dialog.state and dialog.state.stage == "done")


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
async def test_leaving_returns_the_exit_code_and_keeps_answers(terminal, key, code):
    async with terminal() as t:
        await t.press("3")
        await t.pilot.press(key)
        await t.pilot.pause()
        assert t.app.return_value == code
    assert t.labels() == {"000.png": "three"}


async def test_resumed_session_shows_a_notice_and_can_undo(terminal, make_workspace):
    workspace = make_workspace()
    async with terminal(workspace=workspace) as t:
        await t.press("3", "4")
    async with terminal(workspace=workspace) as t:
        assert "resumed after 2 answers" in t.text()
        assert t.image.sample_id == "002.png"
        await t.press("u")
        assert t.image.sample_id == "001.png"
        await asyncio.sleep(0)


async def hold(t, key: str, *, delay: float, repeats: int) -> None:
    """Press and hold a key: it repeats after a delay, then 30 times a second."""
    await t.settle()
    t.clock.now += 1
    await t.pilot.press(key)
    await t.settle()
    t.clock.now += delay
    for _ in range(repeats):
        await t.pilot.press(key)
        t.clock.now += 0.033
    await t.pilot.pause(0.2)
    await t.settle()


@pytest.mark.parametrize("key", ["3", "x", "space"])
async def test_held_key_counts_once(terminal, key):
    async with terminal() as t:
        await hold(t, key, delay=0.5, repeats=6)
        assert [event[1] for event in t.events()] == ["000.png"]
        assert t.image.sample_id == "001.png"
        await t.press("5")
        assert t.labels()["001.png"] == "five"


async def test_same_class_key_twice_within_a_second_is_two_answers(terminal):
    async with terminal() as t:
        await hold(t, "3", delay=0.4, repeats=1)
        assert t.labels() == {"000.png": "three", "001.png": "three"}


async def test_another_key_confirms_that_the_last_key_was_not_held(terminal):
    async with terminal() as t:
        await t.press("3")
        t.clock.now += 0.4
        await t.pilot.press("3")
        assert t.image.sample_id == "002.png"
        t.clock.now += 0.05
        await t.pilot.press("f1")
        await t.until(lambda: not t.pending, "for the store")
        assert t.labels() == {"000.png": "three", "001.png": "three"}


async def test_leaving_stores_an_answer_whose_key_may_be_held(terminal):
    async with terminal() as t:
        await t.press("3")
        t.clock.now += 0.4
        await t.pilot.press("3", "q")
        await t.until(lambda: not t.app.is_running or t.app._exit, "for the end")
    assert t.labels() == {"000.png": "three", "001.png": "three"}


async def test_eleventh_class_takes_a_free_letter_and_no_command_moves(terminal):
    async with terminal() as t:
        before = {name: t.keymap.keys_of(name) for name in ("undo", "train", "quit")}
        await t.press("a")
        t.app.screen.query_one(Input).value = "under"
        await t.pilot.press("enter")
        await t.until(lambda: len(t.view.classes) == 11)
        await t.press("3", "u", "s")
        assert t.labels() == {"000.png": "under"}
        assert {name: t.keymap.keys_of(name) for name in before} == before


async def _add_class_for_two_keys(t) -> None:
    await t.press("a")
    t.app.screen.query_one(Input).value = "one more"
    await t.pilot.press("enter")
    await t.until(lambda: isinstance(t.app.screen, NewKeysDialog), "for the new keys")


async def test_two_key_codes_are_shown_before_use(terminal):
    async with terminal(classes=[f"kind {i:02d}" for i in range(36)]) as t:
        await _add_class_for_two_keys(t)
        await t.pilot.press("3", "enter")  # typed before the dialog opened: ignored
        assert isinstance(t.app.screen, NewKeysDialog)
        assert "then press Enter" in t.dialog().splitlines()[0]
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current)
        await t.press("a", "j")
        assert t.labels() == {"000.png": "kind 00"}
        assert t.keymap.keys_of("train") == ("T",)


async def test_class_added_elsewhere_shows_moved_keys_before_use(terminal):
    async with terminal(classes=[f"kind {i:02d}" for i in range(36)]) as t:
        with open_store(t.workspace.store_path) as store:
            store.add_class("one more")
        await t.press("3")
        await t.until(lambda: isinstance(t.app.screen, NewKeysDialog), "for the new keys")
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current)
        await t.press("a", "j")
        assert t.labels() == {"000.png": "kind 02", "001.png": "kind 00"}


async def test_configured_control_z_replaces_suspend_on_every_screen(terminal, monkeypatch):
    suspended = []
    monkeypatch.setattr(App, "action_suspend_process", lambda _: suspended.append(1))
    async with terminal(keys={"undo": "ctrl+z"}, guess=3) as t:
        await t.press("3", "ctrl+z")
        assert t.labels() == {}
        await t.press("g")
        await t.until(
            lambda: (
                isinstance(t.app.screen, GridScreen) and t.app.screen.gate.elapsed_ms() is not None
            )
        )
        t.clock.now += 1
        await t.pilot.press("ctrl+z")
        await t.pilot.pause()
        assert not suspended
    async with terminal(workspace=t.workspace) as t:
        await t.pilot.press("ctrl+z")
        assert suspended


async def test_replacement_of_a_taken_image_must_be_shown_before_answering(terminal):
    async with terminal() as t:
        with open_store(t.workspace.store_path) as store:
            assert store.next_task("bob", "bob's").item.sample_id == "001.png"
            t.clock.now += 1
            await t.pilot.press("3")
            await t.until(lambda: not t.pending, "for the store")
        await t.settle()
        assert t.image.sample_id == "002.png"
        t.clock.now += 0.3
        await t.pilot.press("4")
        await t.pilot.pause()
        assert "look at it first" in t.text()
        await t.press("5")
        assert t.labels() == {"000.png": "three", "002.png": "five"}
