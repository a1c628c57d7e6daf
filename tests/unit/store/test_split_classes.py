"""``dgaal labels classes --split``: only the images of a class are asked again; can be undone."""

import json

import pytest
from class_labels import name_of, submit_class
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.errors import UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.sqlite.store import SqliteStore

SPLIT = ("labels", "classes", "--split", "dog", "--into", "poodle,terrier")


def run(root, *arguments):
    return CliRunner().invoke(app, ["-C", str(root), *arguments], catch_exceptions=False)


@pytest.fixture
def root(tmp_path):
    """Return a workspace whose open query asks 6 images, 4 of them answered, image 3 decided."""
    names = [f"{number}.png" for number in range(1, 7)]
    made = make_workspace(tmp_path, names, classes=("cat", "dog"))
    with open_store(made / "labels.db") as store:
        for item, name in ((1, "cat"), (2, "dog"), (3, "cat"), (4, "dog")):
            submit_class(store, "ann", item, name)
        submit_class(store, "bob", 3, "dog", "adjudicate")
    return made


def labels(root):
    with open_store(root / "labels.db", read_only=True) as store:
        return {record.item_id: name_of(store, record) for record in store.labels()}


def classes(root):
    return [each["name"] for each in json.loads(run(root, "--json", "labels", "classes").stdout)]


def asked(root):
    """Return the images that the open query still asks, in order."""
    with open_store(root / "labels.db", read_only=True) as store:
        return [each.item.item_id for each in store.upcoming("ann", 10)]


def test_only_images_of_the_class_are_asked_again_in_the_open_query(root):
    assert asked(root) == [5, 6]
    done = run(root, *SPLIT)
    assert done.exit_code == 0
    assert "3 images are asked again" in done.stderr
    assert labels(root) == {1: "cat"}
    assert classes(root) == ["cat", "poodle", "terrier"]
    # Ann's answer of image 3 was overruled, so it must not become the label.
    assert asked(root) == [2, 3, 4, 5, 6]


def test_images_of_a_closed_query_are_a_query_of_their_own(root):
    with open_store(root / "labels.db") as store:
        store.close_query(0)
    run(root, *SPLIT)
    with open_store(root / "labels.db", read_only=True) as store:
        query = store.open_query()
        assert query.strategy == "split"
        assert [entry.item_id for entry in query.entries] == [2, 3, 4]
        assert store.check() == []


def test_the_class_may_be_one_of_the_finer_ones(root):
    run(root, "labels", "classes", "--split", "dog", "--into", "dog,puppy")
    assert classes(root) == ["cat", "dog", "puppy"]
    assert labels(root) == {1: "cat"}


def test_history_keeps_the_withdrawn_answers(root):
    before = json.loads(run(root, "--json", "labels", "log", "--all").stdout)
    run(root, *SPLIT)
    after = json.loads(run(root, "--json", "labels", "log", "--all").stdout)
    ids = {event["event_id"] for event in before}
    kept = [event for event in after if event["event_id"] in ids]
    assert [event["class_uid"] for event in kept] == [event["class_uid"] for event in before]
    added = [event for event in after if event["event_id"] not in ids]
    assert {event["note"] for event in added} == {"class dog was split into poodle, terrier"}


def test_undone_split_restores_what_nobody_replaced(root):
    before = labels(root)
    run(root, *SPLIT)
    with open_store(root / "labels.db") as store:
        submit_class(store, "ann", 2, "poodle")
    done = run(root, "labels", "classes", "--undo-split", "dog")
    assert "3 answers are restored" in done.stderr
    assert labels(root) == {**before, 2: "poodle"}
    assert sorted(classes(root)) == ["cat", "dog", "poodle", "terrier"]
    run(root, *SPLIT)
    run(root, "labels", "classes", "--undo-split", "dog")
    assert labels(root) == {**before, 2: "poodle"}
    with open_store(root / "labels.db", read_only=True) as store:
        assert store.check() == []


def test_undone_split_restores_the_answer_that_counted_and_not_one_that_was_undone(root):
    with open_store(root / "labels.db") as store:
        submit_class(store, "ann", 5, "dog")
        submit_class(store, "ann", 5, "cat")
        assert store.undo("ann", "ann") is not None
    before = labels(root)
    assert before[5] == "dog"
    run(root, *SPLIT)
    assert 5 not in labels(root)
    run(root, "labels", "classes", "--undo-split", "dog")
    assert labels(root) == before


def test_overruled_answer_of_the_class_is_withdrawn_and_the_label_stays(root):
    with open_store(root / "labels.db") as store:
        submit_class(store, "bob", 1, "dog")
    run(root, *SPLIT)
    assert labels(root) == {1: "cat"}
    assert 1 not in asked(root)


def test_interrupted_split_is_completed_by_the_same_command(root, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    with open_store(root / "labels.db") as store:
        store.close_query(0)
    for name in ("save_query", "retire_class"):
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, name, stop)
            CliRunner().invoke(app, ["-C", str(root), *SPLIT])
        assert "dog" in classes(root)
    run(root, *SPLIT)
    assert classes(root) == ["cat", "poodle", "terrier"]
    assert asked(root) == [2, 3, 4]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--split", "dog", "--into", "poodle"),
        ("--split", "dog", "--into", "poodle,poodle"),
        ("--split", "dog", "--into", "poodle, "),
        ("--split", "cow", "--into", "a,b"),
        ("--split", "dog"),
        ("--into", "a,b"),
        ("--undo-split", "cat"),
        ("--split", "dog", "--into", "a,b", "--add", "c"),
    ],
)
def test_wrong_names_are_refused_and_nothing_changes(root, arguments):
    before = labels(root), classes(root), asked(root)
    with pytest.raises(UsageError):
        run(root, "labels", "classes", *arguments)
    assert (labels(root), classes(root), asked(root)) == before
