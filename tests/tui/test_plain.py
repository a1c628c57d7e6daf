"""Labeling line by line: each line is an answer, each answer is confirmed, names are escaped."""

import io

import pytest
from class_labels import name_of

from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store
from dgaal_cli.tui.plain import run_plain


@pytest.fixture
def run_lines(make_workspace, config, clock):
    def run(*lines: str, **kwargs) -> tuple[int, str, list[tuple[str, str]]]:
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

    return run


def test_names_and_numbers_label_images(run_lines):
    code, output, labels = run_lines("three", "1", "FIVE", "x")
    assert code == 0
    assert labels == [("000.png", "three"), ("001.png", "zero"), ("002.png", "five")]
    assert "saved: three. 1 of 4." in output
    assert "the round is answered" in output


def test_class_name_takes_precedence_over_its_number(run_lines):
    _, _, labels = run_lines("1", classes=["2", "1"], asked=1)
    assert labels == [("000.png", "1")]


def test_undo_skip_and_quit(run_lines):
    code, output, labels = run_lines("three", "u", "s", "two", "q")
    assert code == 0
    assert labels == [("001.png", "two")]
    assert "taken back." in output
    assert "everything is saved; 3 of 4 images left." in output


def test_unknown_input_stores_nothing_and_is_named(run_lines):
    _, output, labels = run_lines("zebra", "", "11")
    assert labels == []
    assert "no class 'zebra'" in output


def test_end_of_input_ends_the_session(run_lines):
    assert run_lines()[0] == 0


def test_class_is_added_during_the_session(run_lines):
    _, _, labels = run_lines("+crab", "crab", classes=[], asked=1)
    assert labels == [("000.png", "crab")]


def test_hostile_names_are_escaped_in_the_output(run_lines):
    hostile = "\x1b]52;c;ZXZpbA==\x07[/red]\u202e\udcff.png"
    _, output, _ = run_lines("q", names=[hostile], asked=1)
    assert "\x1b" not in output
    assert "\u202e" not in output
    output.encode()  # no lone surrogate
    assert "\\u{1b}]52" in output


def test_without_query_the_command_to_run_is_shown(run_lines):
    assert "dgaal query" in run_lines(asked=0)[1]


def test_class_takes_precedence_over_a_command_of_the_same_name(run_lines):
    code, output, labels = run_lines("x", "s", "u", "q", classes=["s", "u", "x", "q"])
    assert code == 0
    assert [name for _, name in labels] == ["x", "s", "u", "q"]
    assert "f flag, +NAME add a class, ? this help, :q quit." in output
    assert "class (or :x can't tell, :s skip, :u undo, :q quit)?" in output


def test_prefix_turns_input_into_a_command(run_lines):
    lines = (":x", ":s", "X", ":u", "u", ": quit", "s")
    _, output, labels = run_lines(*lines, classes=["s", "u", "x"])
    assert labels == [("002.png", "u")]
    assert "saved: can't tell. 1 of 4." in output
    assert "everything is saved; 2 of 4 images left." in output


def test_prefix_is_accepted_where_it_is_not_needed(run_lines):
    assert run_lines(":?", ":help", "help", ":x")[1].count("this help") == 4


def test_prefix_is_extended_if_a_class_starts_with_it(run_lines):
    _, output, labels = run_lines(":x", "+x", "::x", ":: +y", "y", classes=[":x", "+x"])
    assert [name for _, name in labels] == [":x", "+x", "y"]
    assert "::+NAME add a class" in output
