"""Keys per correct label on a 2,000-image MNIST pool, with and without grid and learner.

Run: ``python benchmarks/bench_keystrokes.py MNIST.npz``. It creates a workspace, labels 160
images in two rounds with the true labels, trains and exports. Then a simulated operator who knows
all labels answers one query of all other images with the session and grid of the terminal.

``--photographs FOLDER`` takes the first 100 photographs of each class folder instead, with the
features of the packaged encoder: 40 photographs chosen by coverage are answered one by one, then
all others with the guesses of the task model on features. No network is trained. The keys of all
photographs count.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from simulated_operator import label_everything

import dgaal_cli as dgaal
from dgaal_cli.labeling.pool_predictions import write_pool_predictions
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.workspace import Workspace

COUNT = 2000
FIRST = (60, 100)
OF_CLASS = 100
FIRST_PHOTOGRAPHS = 40
CONFIG = """name = "mnist"
method = "margin"
preset = "tiny"
[pool]
source = "pool.npz"
image_size = 16
channels = 1
"""


def build(root: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Label two rounds with true labels, train and export a third, and query all other images."""
    from dgaal_cli.api.export import export
    from dgaal_cli.api.init import InitRequest, init

    np.savez(root / "pool.npz", x=pixels)
    workspace = init(
        InitRequest(
            root=root / "work",
            pool=str(root / "pool.npz"),
            base=root,
            classes=[str(k) for k in range(10)],
            preset="tiny",
        )
    ).workspace
    values = ("method=margin", "pool.image_size=16")
    config = dgaal.configuration(workspace, *values)
    for count in (*FIRST, COUNT - sum(FIRST)):
        dgaal.train(workspace, config)
        query = dgaal.query(workspace, config, count=count)
        ids = [item.sample_id for item in query.items]
        if count in FIRST:
            answer(workspace, query, {each: str(labels[row_of(each)]) for each in ids})
    export(workspace, config, formats=["onnx"])
    write_pool_predictions(workspace, config)


def answer(workspace: Workspace, query, truth: dict[str, str]) -> None:
    with open_store(workspace.store_path) as store:
        uids = {record.name: record.uid for record in store.classes()}
        store.submit_many(
            [
                Answer(
                    op_id=f"{query.round}-{item.item_id}",
                    kind="label",
                    item_id=item.item_id,
                    label=class_label(uids[truth[item.sample_id]]),
                )
                for item in query.items
            ],
            annotator="truth",
            session="bench",
            provenance="simulated",
        )


def build_photographs(root: Path, folder: Path) -> dict[str, str]:
    """Make a workspace of photographs with labels of the first query; return the true classes."""
    from dgaal_cli.api.init import InitRequest, init

    pool = root / "pool"
    classes = sorted(each.name for each in folder.iterdir() if each.is_dir())
    for name in classes:
        (pool / name).mkdir(parents=True)
        for file in sorted((folder / name).iterdir())[:OF_CLASS]:
            shutil.copy(file, pool / name)
    workspace = init(
        InitRequest(
            root=root / "work",
            pool=str(pool),
            base=root,
            classes=classes,
            encoder="package:efficientnet-lite0",
        )
    ).workspace
    config = dgaal.configuration(workspace)
    query = dgaal.query(workspace, config, count=FIRST_PHOTOGRAPHS)
    truth = {str(file.relative_to(pool)): file.parent.name for file in pool.glob("*/*")}
    answer(workspace, query, truth)
    dgaal.query(workspace, config, count=len(truth) - FIRST_PHOTOGRAPHS)
    return truth


def row_of(sample_id: str) -> int:
    return int(sample_id.rpartition("/")[2])


def measure(
    root: Path, truth: dict[str, str], *, uses_grid: bool, uses_learner: bool, **habits: int
) -> dict:
    """Return the effort of one simulated operator on a copy of the workspace."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "work"
        shutil.copytree(root, copy)
        workspace = Workspace(copy)
        config = dgaal.configuration(workspace, f"label.learner={str(uses_learner).lower()}")
        store = open_store(workspace.store_path)
        session = LabelSession(store, config=config, workspace=workspace, annotator="op")
        session.open()
        view = session.load_learner()
        assert view.learner == ("on" if uses_learner else "off"), view.learner
        names = {record.name: record.uid for record in view.classes}
        known = {name: names[label] for name, label in truth.items()}
        times: list[float] = []
        if uses_learner:
            time_updates(session, times)
        began = time.perf_counter()
        effort = label_everything(session, known, uses_grid=uses_grid, **habits)
        session.close()
    row = {
        "grid": uses_grid,
        "learner": uses_learner,
        "labels": effort.labels,
        "keys": effort.keys,
        "keys_per_correct_label": round(effort.keys_per_correct_label, 3),
        "guess_accuracy": round(effort.guess_accuracy, 4),
        "by_page": effort.by_page,
        "seconds": round(time.perf_counter() - began, 1),
    }
    if times:
        row["update_ms_median"] = round(1e3 * statistics.median(times), 3)
        row["update_ms_p95"] = round(1e3 * statistics.quantiles(times, n=20)[-1], 3)
    return row


def time_updates(session: LabelSession, times: list[float]) -> None:
    """Time the learner's part of every answer: one update, and predictions for all other images."""
    learner, queue = session._round.learner.guesses, session._round.queue
    assert learner is not None
    learn, rank = learner.set_label, queue.rank

    def timed_learn(*arguments) -> None:
        began = time.perf_counter()
        learn(*arguments)
        times.append(time.perf_counter() - began)

    def timed_rank() -> None:
        began = time.perf_counter()
        rank()
        if times:
            times[-1] += time.perf_counter() - began

    learner.set_label = timed_learn  # type: ignore[method-assign]
    queue.rank = timed_rank  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mnist", type=Path, nargs="?")
    parser.add_argument("--photographs", type=Path, help="Folder with a folder for each class.")
    parser.add_argument(
        "--workspace", type=Path, help="Use this workspace instead of creating one."
    )
    parsed = parser.parse_args()
    if parsed.photographs is not None:
        measure_photographs(parsed.photographs)
        return
    with np.load(parsed.mnist) as file:
        pixels, labels = file["x_train"][:COUNT], file["y_train"][:COUNT]
    with tempfile.TemporaryDirectory() as folder:
        root = parsed.workspace
        if root is None:
            build(Path(folder), pixels, labels)
            root = Path(folder) / "work"
        with open_store(Workspace(root).store_path) as store:
            truth = {item.sample_id: str(labels[row_of(item.sample_id)]) for item in store.items()}
        for uses_grid, uses_learner in ((False, False), (False, True), (True, False), (True, True)):
            row = measure(root, truth, uses_grid=uses_grid, uses_learner=uses_learner)
            print(json.dumps(row), flush=True)


def measure_photographs(photographs: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        truth = build_photographs(Path(folder), photographs)
        for uses_grid in (False, True):
            row = measure(
                Path(folder) / "work",
                truth,
                uses_grid=uses_grid,
                uses_learner=False,
                singly_first=0,
                singly_between=1,
            )
            row["labels"] += FIRST_PHOTOGRAPHS
            row["keys"] += FIRST_PHOTOGRAPHS  # one each
            row["keys_per_correct_label"] = round(row["keys"] / len(truth), 3)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
