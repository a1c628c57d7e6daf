"""Queries with several annotators: assignment, the counted label, and adjudication."""

import json
from pathlib import Path

import pytest
from class_labels import as_label, name_of
from label_workspaces import make_store, make_workspace
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.disputes import disputes
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, NewItem, Query, QueryEntry
from dgaal_cli.workspace import Workspace

HOSTILE = "x\x1b]0;\x07\udcff.png"


def run(root: Path, *arguments: str):
    return CliRunner().invoke(app, ["-C", str(root), *arguments], catch_exceptions=True)


def submit_answer(store: Store, annotator: str, item: int, name: str | None) -> None:
    answer = Answer(
        op_id=f"{annotator}{item}{name}",
        kind="cannot_tell" if name is None else "label",
        item_id=ItemId(item),
        label=as_label(None if name is None else store.class_by_name(name).uid),
    )
    assert store.submit(answer, annotator=annotator, session=annotator, take_next=False).is_counted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_workspace(tmp_path, [HOSTILE.encode("utf-8", "surrogateescape"), "2.png", "3.png"])
    with open_store(made / "labels.db") as store:
        store.close_query(0)
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in (1, 2, 3))
        store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries), overlap=3)
        for item, names in ((1, "cat dog dog"), (2, "cat - cat"), (3, "dog dog dog")):
            for annotator, name in zip(("ann", "bob", "eve"), names.split(), strict=True):
                submit_answer(store, annotator, item, None if name == "-" else name)
    return made


def test_disputes_lists_answers_by_annotator_and_the_counted_label(root: Path):
    first, second = disputes(Workspace(root))
    assert first.answers == (("ann", "cat"), ("bob", "dog"), ("eve", "dog"))
    assert (first.sample_id, first.current) == (HOSTILE, "dog")
    assert second.answers == (("ann", "cat"), ("bob", None), ("eve", "cat"))
    done = run(root, "labels", "disputes")
    assert done.stdout.splitlines() == [
        "x\\u{1b}]0;\\u{7}\\xff.png  ann: cat; bob: dog; eve: dog  (counts: dog)",
        "2.png  ann: cat; bob: cannot tell; eve: cat  (counts: cat)",
    ]
    assert "2 disputed; decide one with" in done.stderr


def test_adjudication_counts_and_keeps_all_answers(root: Path):
    listed = json.loads(run(root, "--json", "labels", "disputes").stdout)
    name = listed[0]["sample_id"]
    done = run(root, "labels", "adjudicate", name, "cat", "--annotator", "rev", "--note", "ears")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{name} is cat, decided by rev\n"
    with open_store(root / "labels.db") as store:
        assert [name_of(store, label) for label in store.labels()] == ["cat", "cat", "dog"]
        (event,) = store.latest_events(1)
        assert (event.kind, event.annotator, event.note) == ("adjudicate", "rev", "ears")
        assert sum(answer.kind == "label" for answer in store.answers()) == 8
        assert store.check() == []
    assert len(disputes(Workspace(root))) == 1
    assert json.loads(run(root, "--json", "labels", "stats").stdout)["disagreements"] == 1
    later = run(root, "--json", "labels", "adjudicate", name, "dog", "--annotator", "rev2")
    assert json.loads(later.stdout) == {
        "sample_id": name,
        "class_name": "dog",
        "annotator": "rev2",
        "settled": False,
        "left": 1,
    }
    with open_store(root / "labels.db") as store:
        assert name_of(store, store.labels()[0]) == "dog"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.png", "cat"), "no image no.png"),
        (("2.png", "cta"), "did you mean 'cat'"),
        (("2.png", "cat", "--annotator", "a/b"), "annotator's name"),
    ],
)
def test_adjudicate_with_invalid_argument_stores_nothing(root: Path, arguments, message: str):
    with open_store(root / "labels.db") as store:
        before = store.watermark()
    done = run(root, "labels", "adjudicate", *arguments)
    assert done.exit_code == 1  # the runner sees the exception; the program exits with 2
    assert message in str(done.exception)
    with open_store(root / "labels.db") as store:
        assert store.watermark() == before


def test_image_added_to_a_query_gets_the_same_overlap(tmp_path: Path):
    make_store(tmp_path / "labels.db", 3, overlap=2)
    with open_store(tmp_path / "labels.db") as store:
        store.add_items(
            [NewItem(sample_id="more.png", sha256=b"m" * 32, size_bytes=1, width=8, height=8)]
        )
        assert store.extend_query([QueryEntry(item_id=ItemId(4), rank=1)]) == 1
        for item in (1, 2, 3, 4):
            submit_answer(store, "ann", item, "cat")
        assert store.next_task("ann", "s") is None
        assert store.query_progress(0).left == 4
        for item in (1, 2, 3):
            submit_answer(store, "bob", item, "cat")
        assert store.next_task("bob", "s").item.sample_id == "more.png"
        submit_answer(store, "bob", 4, "cat")
        assert store.query_progress(0).left == 0
        assert store.next_task("eve", "s") is None
