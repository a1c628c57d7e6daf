"""G10: ENOSPC and EIO at every call that changes a file, of every command that saves.

Afterwards the old or the new state is complete; the command ends with exit code 8 and one sentence;
no temporary file is left.
"""

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from class_labels import as_label
from failure_checks import json_job
from label_workspaces import DGAAL, make_workspace
from onnx_models import image_model
from tracing import needs_strace

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer

Drive = Callable[..., Any]
pytestmark = [pytest.mark.slow, needs_strace]

CORE = ["dgaal_cli.cli", "numpy", "PIL.Image"]
TRAIN = [*CORE, "dgaal_cli.api.train_networks", "dgaal_cli.api.query", "sklearn.datasets"]
SMALL = [
    *("--set", "pretrain.min_steps=4", "--set", "pretrain.epochs=0", "--set", "coevolve.steps=6"),
    *("--set", "classifier.steps=6", "--device", "cpu", "--threads", "1", "-q"),
]


def check_failures(drive: Drive, tmp_path: Path, max_calls: int, **job: Any) -> None:
    is_training = job.get("imports", CORE)[: len(TRAIN)] == TRAIN
    limits = {"max_similar": 6 if is_training else 0}  # each run of a training takes seconds
    job = {"imports": CORE, "pristine": str(tmp_path / "pristine"), **limits, **job}
    path = json_job(tmp_path / "job.json", **job)
    report = drive("fail_disk", path, max_calls, timeout=3600)  # an export takes half an hour
    # Writes at fixed times (progress of a training) shift the calls after them.
    assert report["reached"] > 0.3 * report["tried"]
    assert report["wrong"] == []


def dgaal(folder: Path, *arguments: str) -> None:
    subprocess.run([*DGAAL, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    """Return a workspace with some labels, and a file with more labels to import."""
    root = make_workspace(tmp_path / "pristine", [f"{n:02d}.png" for n in range(12)])
    with open_store(root / "labels.db") as store:
        for item in store.items()[:3]:
            line = f"{item.sample_id},cat\n"
            with (root / "more.csv").open("a") as stream:
                stream.write(line if stream.tell() else "file_name,label\n" + line)
    dgaal(root, "labels", "import", "more.csv", "--annotator", "ann")
    return root


FEW_AND_ALL = pytest.mark.parametrize("max_calls", [2, pytest.param(0, marks=pytest.mark.deep)])
DEEP = pytest.mark.parametrize("max_calls", [pytest.param(0, marks=pytest.mark.deep)])


@FEW_AND_ALL
def test_init(drive: Drive, tmp_path: Path, max_calls: int):
    pool = tmp_path / "pristine"
    make_workspace(pool / "other", ["cat.png", "dog.png", "owl.png"])
    check_failures(
        drive,
        tmp_path,
        max_calls,
        command=["init", "w", "--pool", "other/pool", "--classes", "cat,dog", "-q"],
        verify="initialized",
        counts=[3, 0],
    )


@FEW_AND_ALL
def test_labels_import(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    command = ["labels", "import", "more.csv", "--annotator", "bob"]
    check_failures(drive, tmp_path, max_calls, command=command, verify="imported", events=[3, 6])


def earlier_export(root: Path, command: list[str]) -> str:
    """Export before another label is given, and return what was written."""
    dgaal(root, *command)
    dgaal(root, "labels", "adjudicate", "09.png", "dog", "--annotator", "ann")
    return (root / command[-1]).read_text()


FILES = (
    "jsonl",
    "csv",
    *(pytest.param(n, marks=pytest.mark.deep) for n in ("coco", "labelstudio")),
)


@FEW_AND_ALL
@pytest.mark.parametrize("name", FILES)
def test_labels_export(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int, name: str):
    command = ["labels", "export", "-q", "-f", name, "-o", "out"]
    old = earlier_export(pristine, command)
    check_failures(
        drive,
        tmp_path,
        max_calls,
        command=command,
        verify="written",
        output="out",
        old=old,
        new="09.png",
    )


@FEW_AND_ALL
def test_labels_backup(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    check_failures(
        drive, tmp_path, max_calls, command=["labels", "backup"], verify="backed_up", events=3
    )


def back_up_and_answer(pristine: Path, item: int) -> None:
    """Back up, then answer another image."""
    dgaal(pristine, "labels", "backup")
    with open_store(pristine / "labels.db") as store:
        answer = Answer(
            op_id=f"later {item}",
            kind="label",
            item_id=store.items()[item].item_id,
            label=as_label(store.classes()[0].uid),
        )
        store.submit(answer, annotator="ann", session="s")


@FEW_AND_ALL
def test_labels_backup_that_continues_another(
    drive: Drive, tmp_path: Path, pristine: Path, max_calls: int
):
    back_up_and_answer(pristine, 5)
    check_failures(
        drive, tmp_path, max_calls, command=["labels", "backup"], verify="backed_up", events=4
    )


FOLDERS = (
    ("imagefolder", "copy"),
    pytest.param("imagefolder", "symlink", marks=pytest.mark.deep),
    pytest.param("imagefolder", "hardlink", marks=pytest.mark.deep),
    pytest.param("hf", "symlink", marks=pytest.mark.deep),
    pytest.param("fiftyone", "symlink", marks=pytest.mark.deep),
)


@FEW_AND_ALL
@pytest.mark.parametrize(("name", "link"), FOLDERS)
def test_labels_export_to_folder(
    drive: Drive, tmp_path: Path, pristine: Path, max_calls: int, name: str, link: str
):
    command = ["labels", "export", "-q", "-f", name, "--link", link, "-o", "out"]
    names = ["00.png", "01.png", "02.png"]
    check_failures(drive, tmp_path, max_calls, command=command, verify="linked", names=names)


@FEW_AND_ALL
def test_features(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    (pristine / "model.onnx").write_bytes(image_model())
    with (pristine / "dgaal.toml").open("a") as stream:
        stream.write('[encoder]\nsource = "model.onnx"\n')
    imports = [*CORE, "dgaal_cli.api.features", "onnxruntime"]
    command = ["features", "--workers", "1", "-q"]
    check_failures(
        drive, tmp_path, max_calls, command=command, verify="encoded", count=12, imports=imports
    )


@DEEP
def test_labels_adjudicate(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    command = ["labels", "adjudicate", "01.png", "dog", "--annotator", "eve", "-q"]
    expected = {"image": "01.png", "old": "cat", "new": "dog"}
    check_failures(drive, tmp_path, max_calls, command=command, verify="adjudicated", **expected)


@DEEP
def test_labels_check_mend(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    with contextlib.closing(sqlite3.connect(pristine / "labels.db")) as connection, connection:
        connection.execute("DELETE FROM verdict")
    check_failures(
        drive, tmp_path, max_calls, command=["labels", "check", "--mend"], verify="mended"
    )


@FEW_AND_ALL
def test_labels_restore(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    back_up_and_answer(pristine, 5)
    back_up_and_answer(pristine, 4)
    command = ["labels", "restore", "-q"]
    check_failures(drive, tmp_path, max_calls, command=command, verify="restored", events=[5, 4])


@FEW_AND_ALL
def test_label(drive: Drive, tmp_path: Path, pristine: Path, max_calls: int):
    check_failures(
        drive,
        tmp_path,
        max_calls,
        command=["label", "--plain", "--annotator", "sam"],
        typed="cat\nx\nu\ndog\nq\n",
        verify="labeled",
        events=3,
        imports=[*CORE, "dgaal_cli.api.label", "dgaal_cli.tui.start", "dgaal_cli.tui.plain"],
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace of scikit-learn's digits with 60 labels, a trained round and an export."""
    from sklearn.datasets import load_digits

    root = tmp_path_factory.mktemp("digits") / "w"
    dgaal(
        root.parent,
        *("init", "w", "--pool", "builtin:digits#test", "--preset", "tiny", "--query-size", "8"),
        *("--classes", "0,1,2,3,4,5,6,7,8,9", "-q"),
    )
    truth = load_digits().target[1297:]
    lines = [f"test/{number:06d},{truth[number]}\n" for number in range(60)]
    (root / "some.csv").write_text("file_name,label\n" + "".join(lines))
    dgaal(root, "labels", "import", "some.csv", "-q")
    dgaal(root, "train", *SMALL)
    dgaal(root, "export", "--onnx", "-q")
    return root


@pytest.fixture
def trained(digits: Path, tmp_path: Path) -> Path:
    """Return a copy of the digits workspace that a test may damage."""
    shutil.copytree(digits, tmp_path / "pristine")
    return tmp_path / "pristine"


@pytest.mark.deep
@pytest.mark.parametrize("max_calls", [1, 0])
def test_train(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    command = ["train", "--fresh", *SMALL]
    check_failures(
        drive, tmp_path, max_calls, command=command, verify="trained", rounds=[0], imports=TRAIN
    )


@DEEP
def test_query(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    check_failures(
        drive, tmp_path, max_calls, command=["query", "-q"], verify="asked", imports=TRAIN
    )


@DEEP
def test_generate(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    command = ["generate", "-n", "5", "-o", "drawn", "--device", "cpu", "-q"]
    imports = [*CORE, "dgaal_cli.api.generate", "onnxruntime", "sklearn.datasets"]
    check_failures(
        drive, tmp_path, max_calls, command=command, verify="drawn", count=5, imports=imports
    )


@DEEP
def test_report(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    imports = [*TRAIN, "dgaal_cli.api.report", "matplotlib.pyplot"]
    check_failures(
        drive, tmp_path, max_calls, command=["report", "-q"], verify="reported", imports=imports
    )


@DEEP
def test_simulate(drive: Drive, tmp_path: Path, max_calls: int):
    (tmp_path / "pristine").mkdir()
    command = [
        *("simulate", "builtin:digits#test", "--methods", "random", "--seeds", "1", "-o", "sim"),
        *("--rounds", "1", "--initial", "20", "-n", "5", "--pool-size", "60", "--test-size", "40"),
        *("--set", "classifier.steps=6", "-q"),
    ]
    imports = [*TRAIN, "dgaal_cli.api.simulate"]
    check_failures(drive, tmp_path, max_calls, command=command, verify="simulated", imports=imports)


@DEEP
def test_score(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    (trained / "scores.csv").write_text("old")
    check_failures(
        drive,
        tmp_path,
        max_calls,
        command=["score", "builtin:digits#test", "-o", "scores.csv", "-q"],
        verify="scored",
        old="old",
        lines=501,
        imports=[*CORE, "dgaal_cli.api.score", "onnxruntime", "sklearn.datasets"],
    )


@DEEP
def test_export(drive: Drive, tmp_path: Path, trained: Path, max_calls: int):
    check_failures(
        drive,
        tmp_path,
        max_calls,
        command=["export", "--onnx", "-q"],
        verify="exported",
        artifacts=["sampler.onnx", "generator.onnx", "classifier.onnx"],
        is_second=True,
        imports=[*TRAIN, "dgaal_cli.api.export", "onnxruntime", "onnxscript", "torch.onnx"],
    )


def test_control_writing_in_place_is_caught(drive: Drive, tmp_path: Path, pristine: Path):
    command = ["labels", "export", "-q", "-o", "out.jsonl"]
    old = earlier_export(pristine, command)
    path = json_job(
        tmp_path / "job.json",
        imports=[*CORE, "naive_writes"],
        pristine=str(pristine),
        command=command,
        verify="written",
        output="out.jsonl",
        old=old,
        new="09.png",
    )
    report = drive("fail_disk", path, 0)
    assert any("neither the old file nor the new one" in problem for problem in report["wrong"])
