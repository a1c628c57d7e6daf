"""Labeling by lines: every line in answers, every answer confirmed, no escape sequence out."""

import io

import pytest
from class_labels import name_of

from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.plain import run_plain


@pytest.fixture
def talk(make_workspace, config, clock):
    def talk_(*lines: str, **kwargs) -> tuple[int, str, list[tuple[str, str]]]:
        workspace = make_workspace(**kwargs)

        def opener() -> LabelSession:
            store = open_store(workspace.store_path)
            return LabelSession(
                store, config=config, workspace=workspace, annotator="ann", clock=clock
            )

        sink = io.StringIO()
        code = run_plain(
            opener, io.StringIO("".join(f"{line}\n" for line in lines)), sink, clock=clock
        )
        with open_store(workspace.store_path, read_only=True) as store:
            labels = [(r.sample_id, name_of(store, r)) for r in store.labels()]
        return code, sink.getvalue(), labels

    return talk_


def test_names_and_numbers_answer(talk):
    code, said, labels = talk("three", "1", "FIVE", "x")
    assert code == 0
    assert labels == [("000.png", "three"), ("001.png", "zero"), ("002.png", "five")]
    assert "saved: three. 1 of 4." in said
    assert "the round is answered" in said


def test_a_name_that_is_a_number_wins_over_a_place(talk):
    _, _, labels = talk("1", classes=["2", "1"], asked=1)
    assert labels == [("000.png", "1")]


def test_undo_skip_and_quit(talk):
    code, said, labels = talk("three", "u", "s", "two", "q")
    assert code == 0
    assert labels == [("001.png", "two")]
    assert "taken back." in said
    assert "everything is saved; 3 of 4 images left." in said


def test_a_wrong_word_changes_nothing_and_says_what_works(talk):
    _, said, labels = talk("zebra", "", "11")
    assert labels == []
    assert "no class 'zebra'" in said


def test_the_end_of_the_input_ends_the_session(talk):
    assert talk()[0] == 0


def test_a_class_is_added_on_the_way(talk):
    _, _, labels = talk("+crab", "crab", classes=[], asked=1)
    assert labels == [("000.png", "crab")]


def test_hostile_names_reach_the_output_spelled_out(talk):
    hostile = "\x1b]52;c;ZXZpbA==\x07[/red]\u202e\udcff.png"
    _, said, _ = talk("q", names=[hostile], asked=1)
    assert "\x1b" not in said
    assert "\u202e" not in said
    said.encode()  # no lone surrogate
    assert "\\u{1b}]52" in said


def test_no_query_says_what_to_run(talk):
    assert "dgaal query" in talk(asked=0)[1]


def test_a_class_comes_before_the_command_of_its_name(talk):
    code, said, labels = talk("x", "s", "u", "q", classes=["s", "u", "x", "q"])
    assert code == 0
    assert [name for _, name in labels] == ["x", "s", "u", "q"]
    assert "f flag, +NAME add a class, ? this help, :q quit." in said
    assert "class (or :x can't tell, :s skip, :u undo, :q quit)?" in said


def test_a_mark_makes_a_command_of_every_word(talk):
    said, labels = talk(":x", ":s", "X", ":u", "u", ": quit", "s", classes=["s", "u", "x"])[1:]
    assert labels == [("002.png", "u")]
    assert "saved: can't tell. 1 of 4." in said
    assert "everything is saved; 2 of 4 images left." in said


def test_a_mark_before_a_command_that_needs_none_is_heard_too(talk):
    assert talk(":?", ":help", "help", ":x")[1].count("this help") == 4


def test_the_mark_is_one_that_no_class_begins_with(talk):
    _, said, labels = talk(":x", "+x", "::x", ":: +y", "y", classes=[":x", "+x"])
    assert [name for _, name in labels] == [":x", "+x", "y"]
    assert "::+NAME add a class" in said
