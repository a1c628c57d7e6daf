"""``dgaal labels classes --merge``: labels of one class become labels of another."""

import json

import pytest
from class_labels import name_of, submit_class
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Query, QueryEntry


def run(root, *arguments):
    return CliRunner().invoke(app, ["-C", str(root), *arguments], catch_exceptions=False)


@pytest.fixture
def root(tmp_path):
    """Return a workspace: a dispute, an agreement, a decision, an undone answer, an open image."""
    names = [f"{number}.png" for number in range(1, 6)]
    made = make_workspace(tmp_path, names, classes=("cat", "kitten", "dog"))
    with open_store(made / "labels.db") as store:
        store.close_query(0)
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, 6))
        store.save_query(Query(round=1, strategy="x", model_sha=None, entries=entries), overlap=2)
        for item, ann, bob in ((1, "cat", "kitten"), (2, "dog", "dog"), (3, "dog", "cat")):
            submit_class(store, "ann", item, ann)
            submit_class(store, "bob", item, bob)
        submit_class(store, "eve", 3, "kitten", "adjudicate")
        submit_class(store, "ann", 4, "kitten")
        assert store.undo("ann", "ann") is not None
    return made


def labels(root):
    with open_store(root / "labels.db", read_only=True) as store:
        return {record.item_id: name_of(store, record) for record in store.labels()}


def test_every_answer_of_the_class_names_the_other_one(root):
    assert labels(root) == {1: "cat", 2: "dog", 3: "kitten"}
    done = run(root, "--json", "labels", "classes", "--merge", "kitten", "cat")
    assert [(each["name"], each["labels"]) for each in json.loads(done.stdout)] == [
        ("cat", 2),
        ("dog", 1),
    ]
    assert labels(root) == {1: "cat", 2: "dog", 3: "cat"}
    with open_store(root / "labels.db", read_only=True) as store:
        assert store.disputed_ids() == set()
        assert {answer.annotator for answer in store.iter_answers() if answer.item_id == 1} == {
            "ann",
            "bob",
        }
        assert store.check() == []


def test_history_keeps_the_former_answers(root):
    before = json.loads(run(root, "--json", "labels", "log", "--all").stdout)
    run(root, "labels", "classes", "--merge", "kitten", "cat")
    after = json.loads(run(root, "--json", "labels", "log", "--all").stdout)
    assert len(after) == len(before) + 2
    ids = {event["event_id"] for event in before}
    kept = [event for event in after if event["event_id"] in ids]
    assert [event["class_uid"] for event in kept] == [event["class_uid"] for event in before]
    added = [event for event in after if event["event_id"] not in ids]
    assert {event["note"] for event in added} == {"class kitten was merged into cat"}


def test_undone_and_open_images_stay_open(root):
    with open_store(root / "labels.db", read_only=True) as store:
        before = store.unanswered()
    run(root, "labels", "classes", "--merge", "kitten", "cat")
    with open_store(root / "labels.db", read_only=True) as store:
        assert store.unanswered() == before
        assert ItemId(4) in before


def test_interrupted_merge_is_completed_by_the_same_command(root, monkeypatch):
    from dgaal_cli.store.sqlite.store import SqliteStore

    def stop(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "retire_class", stop)
        run_interrupted(root)
    assert labels(root)[3] == "cat"
    run(root, "labels", "classes", "--merge", "kitten", "cat")
    names = [each["name"] for each in json.loads(run(root, "--json", "labels", "classes").stdout)]
    assert names == ["cat", "dog"]


def run_interrupted(root):
    from dgaal_cli.api.labels import merge_classes
    from dgaal_cli.workspace import Workspace

    with pytest.raises(KeyboardInterrupt):
        merge_classes(Workspace(root), "kitten", "cat")


@pytest.mark.parametrize(("old", "into"), [("cat", "cat"), ("cat", "cow"), ("cow", "cat")])
def test_wrong_names_are_refused_and_nothing_changes(root, old, into):
    before = labels(root)
    with pytest.raises(UsageError):
        run(root, "labels", "classes", "--merge", old, into)
    assert labels(root) == before
