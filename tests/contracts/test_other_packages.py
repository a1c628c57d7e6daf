"""Exports are read by the packages of other tools, and what these write is imported.

The packages need other versions of Pillow and NumPy than dgaal, so they are installed in an
environment of their own, whose interpreter the variable ``PACKAGES_PYTHON`` names; see
``.ci/run``. Without it these tests are skipped.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from class_labels import as_label, name_of
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.api.labels import export_labels, import_labels
from dgaal_cli.cli import app
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.workspace import Workspace

PYTHON = os.environ.get("PACKAGES_PYTHON", "")
SUPPORT = Path(__file__).parents[1] / "support"
PLAIN = {"a.png": "cat", "b.png": "dog", "c.png": "dog"}
AWKWARD = {
    "test_tubes/a.png": "cat",
    "test_1.png": "b/ow s%",
    "train.png": "train",
    "val/b.png": "cat",
    "deep/er/c.png": "b/ow s%",
    "c.png": "train",
    "caf\u00e9 1.png": "cat",
    "0001.png": "b/ow s%",
}
pytestmark = [
    pytest.mark.packages,
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="PACKAGES_PYTHON names no interpreter"),
]


def run_there(script: str, name: str, path: Path) -> str:
    """Run a function of a script in the environment of the packages; return what it printed."""
    done = subprocess.run(
        [PYTHON, str(SUPPORT / script), name, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def workspace_of(root: Path, labels: dict[str, str], *, is_labeled: bool = True) -> Workspace:
    make_workspace(root, list(labels), classes=sorted(set(labels.values())))
    workspace = Workspace(root)
    with open_store(workspace) as store:
        if is_labeled:
            uids = {record.name: record.uid for record in store.classes()}
            store.import_labels(
                ImportedLabel(sample_id=name, label=as_label(uids[label]), annotator="ann")
                for name, label in labels.items()
            )
    return workspace


def labels_of(workspace: Workspace) -> dict[str, str | None]:
    with open_store(workspace, read_only=True) as store:
        return {label.sample_id: name_of(store, label) for label in store.labels()}


@pytest.mark.parametrize(
    ("reader", "format_name", "labels"),
    [
        ("pycocotools", "coco", AWKWARD),
        ("datumaro_coco", "coco", AWKWARD),
        ("datumaro_imagenet", "imagefolder", PLAIN),
        ("datasets_imagefolder", "hf", AWKWARD),
        ("datasets_folder", "hf", AWKWARD),
        ("fiftyone", "fiftyone", AWKWARD),
        ("label_studio", "labelstudio", AWKWARD),
    ],
)
def test_other_packages_read_the_labels_of_an_export(reader, format_name, labels, tmp_path):
    workspace, target = workspace_of(tmp_path / "w", labels), tmp_path / "labels"
    export_labels(
        workspace, configuration(workspace), format=format_name, target=target, link="copy"
    )
    if reader == "datumaro_imagenet":  # finds no data set beside a file that is no image
        (target / ".dgaal-labels.jsonl").unlink()
    printed = run_there("package_readers.py", reader, target)
    assert json.loads(printed.splitlines()[-1]) == labels


def test_control_labels_that_a_reader_loses_are_noticed(tmp_path):
    """Files in class folders named like splits: without its column of ids, names are lost."""
    workspace, target = workspace_of(tmp_path / "w", AWKWARD), tmp_path / "labels"
    export_labels(workspace, configuration(workspace), format="hf", target=target, link="copy")
    metadata = target / "metadata.jsonl"
    metadata.write_text("".join(metadata.read_text().splitlines(keepends=True)[:-1]))
    printed = run_there("package_readers.py", "datasets_folder", target)
    assert json.loads(printed.splitlines()[-1]) != AWKWARD


@pytest.mark.parametrize(
    ("writer", "written", "options"),
    [
        ("datumaro_coco_labels", "annotations/labels_default.json", {"format": "coco"}),
        ("datumaro_imagenet", ".", {"format": "imagefolder"}),
        (
            "label_studio_csv",
            "result.csv",
            {"format": "csv", "reading": {"control": "choice", "image_key": "image"}},
        ),
        ("label_studio_tasks", "result.json", {"format": "labelstudio"}),
        ("datasets_imagefolder", ".", {"format": "hf"}),
    ],
)
def test_labels_that_other_packages_write_are_imported(writer, written, options, tmp_path):
    workspace = workspace_of(tmp_path / "w", PLAIN, is_labeled=False)
    (tmp_path / "written").mkdir()
    (tmp_path / "written" / "labels.in").write_text(json.dumps(PLAIN))
    run_there("package_writers.py", writer, tmp_path / "written")
    (tmp_path / "written" / "labels.in").unlink()
    import_labels(workspace, tmp_path / "written" / written, **options)
    assert labels_of(workspace) == PLAIN


def test_parquet_of_hugging_face_is_a_pool_with_labels_but_none_for_minus_one(tmp_path):
    run_there("package_writers.py", "datasets_parquet", tmp_path)
    arguments = ["init", str(tmp_path / "w"), "--pool", str(tmp_path / "pool.parquet")]
    done = CliRunner().invoke(
        app, [*arguments, "--labels-from-source", "--preset", "tiny", "--method", "random"]
    )
    assert done.exit_code == 0, done.output
    assert sorted(labels_of(Workspace(tmp_path / "w")).values()) == ["cat", "dog", "dog"]
