"""Labels of doccano, Prodigy and Hugging Face's metadata, and names relative to another folder."""

import json
from pathlib import Path

import pytest
from class_labels import name_of
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.api.labels import ImportedLabels, import_labels
from dgaal_cli.cli import app
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "w", ["a.png", "b/c.png", "b/d.png"]))


def take(workspace: Workspace, text: str, name: str = "in.jsonl", **options) -> ImportedLabels:
    path = workspace.root.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return import_labels(workspace, path, **options)


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def labels(workspace: Workspace) -> dict[str, str]:
    with open_store(workspace, read_only=True) as store:
        return {r.sample_id: name_of(store, r) for r in store.labels()}


def answers(workspace: Workspace) -> dict[tuple[str, str], str]:
    with open_store(workspace, read_only=True) as store:
        return {(a.sample_id, a.annotator): name_of(store, a) for a in store.iter_answers()}


def test_doccano_lines_are_read(workspace):
    text = lines(
        {"id": 7, "filename": "a.png", "label": ["cat"], "Comments": []},
        {"id": 8, "filename": "b/c.png", "label": []},
        {"id": 9, "filename": "4b1c.png", "upload_name": "d.png", "label": ["dog"]},
    )
    assert take(workspace, text, format="doccano", annotator="ann").added == 2
    assert answers(workspace) == {("a.png", "ann"): "cat", ("b/d.png", "ann"): "dog"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"label": ["cat"]}, "line 1, field filename"),
        ({"filename": "a.png", "label": ["cat", "dog"]}, "2 labels; an image has one class"),
        ({"filename": "a.png", "label": [[0, 1, "cat"]]}, "must be the name of a class"),
    ],
)
def test_doccano_lines_that_are_no_classification_are_refused(workspace, line, message):
    with pytest.raises(InputDataError, match=message):
        take(workspace, lines(line), format="doccano")
    assert labels(workspace) == {}


def test_prodigy_answers_of_several_people_are_read_with_their_times(workspace):
    options = [{"id": 1, "text": "cat"}, {"id": 2, "text": "dog"}]
    choice = {"image": "data:image/png;base64,AA==", "path": "pool/a.png", "options": options}
    text = lines(
        {**choice, "accept": [1], "answer": "accept", "_session_id": "s-ann", "_timestamp": 1e9},
        {**choice, "accept": [2], "answer": "accept", "_annotator_id": "bob"},
        {**choice, "accept": [2], "answer": "accept", "_session_id": "s-ann", "_timestamp": 2e9},
        {"image": "b/c.png", "label": "dog", "answer": "accept"},
        {"image": "b/d.png", "label": "dog", "answer": "reject"},
        {"image": "b/d.png", "label": "dog", "answer": "ignore"},
        {"image": "b/d.png", "options": options, "accept": [], "answer": "accept"},
    )
    done = take(workspace, text, format="prodigy", annotator="me")
    assert done.added == 3
    assert answers(workspace) == {
        ("a.png", "s-ann"): "dog",
        ("a.png", "bob"): "dog",
        ("b/c.png", "me"): "dog",
    }
    assert done.passed_over == {
        "older answers of the same annotator": 1,
        "rejected answers": 1,
        "ignored answers": 1,
        "answers without a choice": 1,
    }
    with open_store(workspace, read_only=True) as store:
        times = {a.annotator: a.at for a in store.iter_answers()}
    assert times["s-ann"].startswith("2033-05-18T03:33:20")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"image": "data:,", "label": "cat"}, "field image"),
        ({"image": "a.png", "accept": ["cat", "dog"]}, "2 choices; an image has one"),
        ({"image": "a.png", "label": "cat", "_timestamp": 1e300}, "is not a time"),
    ],
)
def test_prodigy_tasks_that_cannot_be_used_are_refused(workspace, task, message):
    with pytest.raises(InputDataError, match=message):
        take(workspace, lines(task), format="prodigy")
    assert labels(workspace) == {}


@pytest.mark.parametrize("is_folder", [False, True])
def test_metadata_csv_of_hugging_face_is_read(workspace, is_folder):
    text = "file_name,label\na.png,cat\nb/c.png,\nb/d.png,dog\n"
    done = take(workspace, text, "hf/metadata.csv")
    if is_folder:
        done = import_labels(workspace, workspace.root.parent / "hf")
        assert (done.added, done.unchanged) == (0, 2)
    assert done.format == "hf"
    assert labels(workspace) == {"a.png": "cat", "b/d.png": "dog"}


def test_names_may_be_relative_to_another_folder(workspace):
    pool = workspace.root / "pool"
    text = lines(
        {"file_name": "c.png", "label": "cat"},
        {"file_name": "./x/../d.png", "label": "dog"},
        {"file_name": str(pool / "a.png"), "label": "dog"},
    )
    path = workspace.root.parent / "in.jsonl"
    path.write_text(text)
    command = ("-C", str(workspace.root), "labels", "import", str(path), "--root", str(pool / "b"))
    assert CliRunner().invoke(app, command).exit_code == 0
    assert labels(workspace) == {"a.png": "dog", "b/c.png": "cat", "b/d.png": "dog"}


def test_names_outside_the_pool_are_unknown_although_they_end_like_an_image(workspace):
    text = lines({"file_name": "c.png", "label": "cat"}, {"file_name": "x\0.png", "label": "cat"})
    root = workspace.root.parent
    done = take(workspace, text, root=root, skips_unknown=True)
    assert (done.added, len(done.unknown)) == (0, 2)
    assert take(workspace, text, skips_unknown=True).added == 1  # without a root, the end is enough


def test_root_needs_a_pool_of_files(workspace):
    config = workspace.config_path.read_text().replace('"pool"', '"builtin:digits"')
    workspace.config_path.write_text(config)
    with pytest.raises(UsageError, match="leave --root out"):
        take(workspace, lines({"file_name": "a.png", "label": "cat"}), root=workspace.root)
