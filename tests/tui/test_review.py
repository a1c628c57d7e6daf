"""Review of answers: the list, its filters, and changes that are saved or kept on the screen."""

import pytest
from label_terminal import Terminal
from textual.widgets import Input, Static

from dgaal_cli.errors import StorageError, UsageError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.labeling.standing_answers import StandingAnswer
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite.store import SqliteStore
from dgaal_cli.tui.screens.dialogs import UnsavedDialog
from dgaal_cli.tui.screens.pick_dialogs import WordsDialog
from dgaal_cli.tui.screens.review import ReviewScreen
from dgaal_cli.tui.widgets.review_search import parse_search
from dgaal_cli.tui.widgets.rows import Rows


async def open_review(t: Terminal) -> ReviewScreen:
    await t.press("r")
    await t.until(lambda: isinstance(t.app.screen, ReviewScreen), "for the review")
    review = t.app.screen
    await t.until(lambda: review.answers and review.gate.elapsed_ms() is not None, "for the list")
    return review


def sample_ids(review: ReviewScreen) -> list[str]:
    return [given.sample_id for given in review.shown]


async def test_review_changes_an_answer_as_a_new_event_that_can_be_undone(terminal):
    async with terminal() as t:
        await t.press("3", "x", "5")
        review = await open_review(t)
        assert sample_ids(review) == ["002.png", "001.png", "000.png"]
        await t.pilot.press("down", "down")
        await t.until(lambda: review.gate.elapsed_ms() is not None)
        t.clock.now += 1
        await t.pilot.press("4")
        await t.until(lambda: not review.pending)
        assert t.labels() == {"000.png": "four", "002.png": "five"}
        assert [k for k, _, _ in t.events()] == ["label", "cannot_tell", "label", "label"]
        t.clock.now += 1
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        assert t.image.sample_id == "003.png"
        await t.press("u")
        assert t.labels() == {"000.png": "three", "002.png": "five"}


async def test_review_without_answers_shows_a_notice(terminal):
    async with terminal() as t:
        await t.press("r")
        await t.until(lambda: isinstance(t.app.screen, ReviewScreen), "for the review")
        rows = t.app.screen.query(Rows)
        await t.until(lambda: any("no answer yet" in s.text for r in rows for s in r._rows))


async def test_review_filters_by_class_flag_and_disagreement(terminal):
    async with terminal(guess=3) as t:
        await t.press("3", "f", "4", "4")
        review = await open_review(t)
        assert len(sample_ids(review)) == 3
        for key, expected in (
            ("D", ["002.png", "001.png"]),
            ("F", ["001.png"]),
            ("D", ["001.png"]),
            ("F", ["002.png", "001.png", "000.png"]),
            ("H", []),
            ("H", ["002.png", "001.png", "000.png"]),
            ("C", []),
        ):
            t.clock.now += 1
            await t.pilot.press(key)
            assert sample_ids(review) == expected, key


async def test_review_separates_hinted_answers_from_others(terminal):
    async with terminal(guess=3) as t:
        await t.press("3", "p", "4", "enter")
        review = await open_review(t)
        await t.pilot.press("H")
        assert sample_ids(review) == ["002.png", "001.png"]
        bottom = review.query_one("#list")._rows[-1].text
        assert "as guessed: 1/2 guess shown, 1/1 guesses off" in bottom


async def test_review_separates_blind_answers_from_answers_without_hints(terminal):
    async with terminal(asked=11, guess=3) as t:
        await t.press("3", "p", *["3"] * 8, "4")
        with open_store(t.workspace.store_path, read_only=True) as store:
            notes = [event.note for event in store.events()]
        assert notes == [*[""] * 9, "hints=blind"]
        review = await open_review(t)
        bottom = review.query_one("#list")._rows[-1].text
        assert "8/8 guess shown, 0/1 guess hidden, 1/1 guesses off" in bottom
        assert [given.is_blind for given in review.shown] == [True, *[False] * 9]


async def test_review_accepts_no_answer_for_an_image_not_yet_shown(terminal):
    async with terminal() as t:
        await t.press("3", "5")
        review = await open_review(t)
        for key in ("down", "7"):
            await t.pilot.press(key)
        await t.pilot.pause()
        assert review.pending is None
        assert t.labels() == {"000.png": "three", "001.png": "five"}


async def test_review_keeps_an_unsaved_change_and_retries(terminal, monkeypatch):
    async with terminal() as t:
        await t.press("3")
        review = await open_review(t)

        def full(self, answer, **kwargs):
            raise StorageError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "submit", full)
            t.clock.now += 1
            await t.pilot.press("4")
            await t.until(lambda: isinstance(t.app.screen, UnsavedDialog))
        await t.pilot.press("enter")
        await t.until(lambda: not review.pending)
        assert t.labels() == {"000.png": "four"}


async def test_review_changes_two_answers_to_one_class_in_quick_succession(terminal):
    async with terminal() as t:
        await t.press("1", "2", "4")
        t.clock.now += 2
        await t.pilot.press("r")
        await t.until(lambda: isinstance(t.app.screen, ReviewScreen))
        review = t.app.screen
        await t.until(lambda: review.answers and review.gate.elapsed_ms() is not None)
        t.clock.now += 2
        await t.pilot.press("9")
        await t.until(lambda: not review.pending)
        first = review.marked
        t.clock.now += 0.3
        await t.pilot.press("down")
        await t.until(lambda: review.gate.elapsed_ms() is not None and review.marked != first)
        t.clock.now += 0.3
        await t.pilot.press("9")
        await t.until(lambda: not review.pending)
        await t.until(lambda: list(t.labels().values()).count("nine") == 2)
        t.clock.now += 0.3
        await t.pilot.press("9")  # the key may be held
        await t.pilot.pause()
        assert "key held" in review.note


async def test_review_lists_by_words_and_refuses_unknown_conditions(terminal):
    async with terminal() as t:
        await t.press("3", "4", "5")
        review = await open_review(t)
        await t.pilot.press("N")
        await t.until(lambda: isinstance(t.app.screen, WordsDialog))
        dialog = t.app.screen
        dialog.query_one(Input).value = "01 size:9"
        await t.pilot.press("enter")
        await t.pilot.pause()
        assert t.app.screen is dialog
        assert "'size:9' is no condition" in str(dialog.query_one("#problem", Static).content)
        dialog.query_one(Input).value = "01 by:me"
        await t.pilot.press("enter")
        await t.until(lambda: t.app.screen is review)
        assert sample_ids(review) == ["001.png"]
        assert "01 by:me" in review.query_one("#status", Rows)._rows[0].text
        await t.pilot.press("N")
        await t.until(lambda: isinstance(t.app.screen, WordsDialog))
        assert t.app.screen.query_one(Input).value == "01 by:me"
        t.app.screen.query_one(Input).value = ""
        await t.pilot.press("enter")
        await t.until(lambda: t.app.screen is review)
        assert len(sample_ids(review)) == 3


@pytest.mark.parametrize(
    ("words", "is_kept"),
    [
        ("", True),
        ("CHURCH a1", True),
        ("church b", False),
        ("by:bob", True),
        ("by:me", False),
        ("since:2026-11-30", True),
        ("since:2026-12-01", False),
        ("before:2026-11-30T15", True),
        ("before:2026-11-30", False),
        ("since:2026-11-30T14 before:2026-11-30T15 church by:bob", True),
    ],
)
def test_words_are_parts_of_the_name_annotator_and_time(words, is_kept):
    answer = StandingAnswer(
        event_id=1,
        item_id=ItemId(1),
        sample_id=SampleId("church/a1.jpg"),
        is_synthetic=False,
        kind="label",
        label=None,
        at="2026-11-30T14:05:59.123Z",
        given_by="bob",
    )
    assert parse_search(words).keeps(answer) is is_kept


@pytest.mark.parametrize("words", ["with:x", "by:", ":x"])
def test_words_with_an_unknown_key_or_no_value_are_refused(words):
    with pytest.raises(UsageError, match="is no condition"):
        parse_search(words)
