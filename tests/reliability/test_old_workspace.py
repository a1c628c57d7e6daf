"""A workspace of commit 018bf93 still opens, trains, queries, labels, exports and scores.

``tests/data/workspace_018bf93/make.py`` made it with that commit's own code: three rounds of
``dgaal`` on digits, answers of two people with an undo, a redo, skips, flags and can't-tell, an
adjudication, an import, labeled synthetic images, a renamed, a removed and an added class, and a
query that is half answered. ``recorded.json`` has the output of that commit's commands.
"""

import contextlib
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dgaal_cli.data.decoders.registry import format_names

FIXTURE = Path(__file__).parents[1] / "data" / "workspace_018bf93"
RECORDED = json.loads((FIXTURE / "recorded.json").read_text())
KEPT = ("meta", "class", "class_event", "item", "path", "unreadable", "query", "query_entry",
        "shown", "event", "artifact")  # fmt: skip
"""Tables with recorded history; the other tables are derived from them, or are leases."""
HOLDS_A_CLASS = {("event", "class_uid"), ("item", "inherited"), ("query_entry", "predicted"),
                 ("shown", "predicted")}  # fmt: skip
"""Columns whose form a migration may change; their meaning is checked by the commands' output."""


def unpack(folder: Path, name: str) -> Path:
    with tarfile.open(FIXTURE / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / name


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return unpack(tmp_path, "workspace")


def dgaal(folder: Path, *arguments: str, code: int = 0, text_in: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dgaal_cli", "-C", str(folder), *arguments],
        input=text_in,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
    )
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def report(folder: Path, *arguments: str) -> Any:
    return json.loads(dgaal(folder, "--json", *arguments))


def exported_labels(folder: Path) -> list[dict[str, Any]]:
    lines = dgaal(folder, "labels", "export", "-f", "jsonl", "--include-synthetic").splitlines()
    return [json.loads(line) for line in lines]


def contains(new: Any, old: Any) -> bool:
    """Return whether a document has every value of an older one; it may have more keys."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(k in new and contains(new[k], old[k]) for k in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(new) == len(old) and all(map(contains, new, old))
    return new == old


def rows(store: Path) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Return columns and rows of every kept table, read without dgaal."""
    found: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {}
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        for table in KEPT:
            cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            found[table] = [column[0] for column in cursor.description], cursor.fetchall()
    return found


def differences(before: Path, after: Path) -> list[str]:
    """Return descriptions of rows, columns and values that a store has lost."""
    complaints: list[str] = []
    new = rows(after)
    for table, (columns, old_rows) in rows(before).items():
        new_columns, new_rows = new[table]
        if len(new_rows) != len(old_rows):
            complaints.append(f"{table}: {len(old_rows)} rows became {len(new_rows)}")
            continue
        for old_position, column in enumerate(columns):
            if (table, column) in HOLDS_A_CLASS:
                continue
            if column not in new_columns:
                complaints.append(f"{table}.{column} is gone")
                continue
            new_position = new_columns.index(column)
            if [row[old_position] for row in old_rows] != [row[new_position] for row in new_rows]:
                complaints.append(f"{table}.{column} changed")
    return complaints


def test_old_workspace_has_every_kind_of_event():
    kinds = {event["kind"] for event in RECORDED["log --all"]}
    assert kinds == {"label", "cannot_tell", "skip", "flag", "unflag", "undo", "redo", "adjudicate",
                     "import", "inherit"}  # fmt: skip
    assert {"ann", "bob", "cleo", "dan"} <= {event["annotator"] for event in RECORDED["log --all"]}
    assert RECORDED["status"]["query"]["left"] > 0
    assert RECORDED["disputes"]


def test_old_workspace_keeps_events_and_labels(old: Path):
    for name in ("log --all", "classes", "stats", "disputes"):
        assert contains(report(old, "labels", *name.split()), RECORDED[name]), name
    assert contains(exported_labels(old), RECORDED["export"])
    assert report(old, "labels", "check")["problems"] == []


def test_status_of_old_workspace_is_unchanged(old: Path):
    assert contains(report(old, "status"), RECORDED["status"])


def test_opening_old_workspace_drops_no_row_or_column(old: Path, tmp_path: Path):
    before = tmp_path / "before.db"
    shutil.copyfile(old / "labels.db", before)
    dgaal(old, "labels", "check")
    pool = unpack(tmp_path, "scored")
    dgaal(tmp_path, "init", str(tmp_path / "new"), "--pool", str(pool), code=3)
    assert version_of(old / "labels.db") == version_of(tmp_path / "new" / "labels.db")
    assert differences(before, old / "labels.db") == []


def version_of(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event WHERE event_id = 5",
        "UPDATE event SET note = '' WHERE note <> ''",
        "UPDATE event SET elapsed_ms = NULL",
        "DELETE FROM class_event WHERE kind = 'rename'",
        "DELETE FROM query_entry WHERE rank = 1",
        "ALTER TABLE shown DROP COLUMN model_sha",
    ],
)
def test_control_migration_that_drops_data_is_caught(old: Path, tmp_path: Path, statement: str):
    before = tmp_path / "before.db"
    shutil.copyfile(old / "labels.db", before)
    with contextlib.closing(sqlite3.connect(old / "labels.db")) as connection:
        for name in ("event", "class_event"):
            connection.execute(f"DROP TRIGGER {name}_no_delete")
            connection.execute(f"DROP TRIGGER {name}_no_update")
        connection.execute(statement)
        connection.commit()
    assert differences(before, old / "labels.db") != []


@pytest.mark.slow
def test_old_workspace_finishes_its_query_and_runs_the_next_round(old: Path):
    left = RECORDED["status"]["query"]["left"]
    for annotator in ("ann", "bob"):
        dgaal(old, "label", "--plain", "--annotator", annotator, text_in="two\n" * left)
    assert report(old, "status")["query"] is None  # every image of the query is answered
    again = {(row["file_name"], row["annotator"], row["at"]) for row in exported_labels(old)}
    assert {(row["file_name"], row["annotator"], row["at"]) for row in RECORDED["export"]} <= again

    last = RECORDED["status"]["round"]
    dgaal(old, "train")
    dgaal(old, "query", "--synthetic", "1", "--set", "label.min_r2=0")
    state = report(old, "status")
    assert (state["round"], state["step"]) == (last + 1, "label")
    assert len(state["rounds"]) == last + 2
    dgaal(old, "label", "--plain", "--annotator", "ann", text_in="no digit\nq\n")
    assert report(old, "labels", "log")[0]["class_name"] == "no digit"

    exported = {path.name for path in (old / "artifacts").iterdir()}
    shutil.rmtree(old / "artifacts")
    dgaal(old, "export")
    assert {path.name for path in (old / "artifacts").iterdir()} == exported


@pytest.mark.slow
def test_round_of_old_commit_exports(old: Path):
    """The old checkpoint is sufficient; no network is trained again."""
    shutil.rmtree(old / "artifacts")
    dgaal(old, "export", "--onnx")
    assert (old / "artifacts" / "sampler.onnx").exists()


@pytest.mark.parametrize("suffix", ["onnx", "ts"])
def test_artifact_of_old_commit_gives_the_same_scores(tmp_path: Path, suffix: str):
    """Scores are equal to the byte on the recorded kind of CPU and versions, else within 1e-4.

    Engines choose their kernels by the CPU, so the last bits of a float differ between kinds.
    """
    old, pool = unpack(tmp_path, "workspace"), unpack(tmp_path, "scored")
    table = tmp_path / "scores.csv"
    dgaal(
        old, "score", str(pool), "-a", str(old / "artifacts" / f"sampler.{suffix}"),
        "-o", str(table), "--workers", "1", "--threads", "1", code=3,
    )  # fmt: skip
    recorded = (FIXTURE / f"scores-{suffix}.csv").read_text()
    new = table.read_text().replace(str(pool), "{scored}")
    new = new.replace(format_names(), "JPEG, PNG, WEBP, BMP, TIFF or GIF")  # it reads more now
    if engine() == RECORDED["engine"]:
        assert new == recorded
    assert is_close(new, recorded)


def test_control_changed_score_is_caught():
    recorded = (FIXTURE / "scores-onnx.csv").read_text()
    first = recorded.splitlines()[1].split(",")[3]
    assert is_close(recorded, recorded)
    assert not is_close(recorded.replace(first, str(float(first) + 0.01)), recorded)
    assert not is_close(recorded.replace("broken.png", "0600.png"), recorded)


FLOATS = ("score", "p_unlabeled", "confidence")


def is_close(new: str, old: str) -> bool:
    """Return whether two tables have the same images and scores within 1e-4, in any order."""
    new_rows, old_rows = by_id(new), by_id(old)
    return new_rows.keys() == old_rows.keys() and all(
        number(new_rows[name][key]) == pytest.approx(number(value), abs=1e-4)
        if key in FLOATS
        else key == "rank" or new_rows[name][key] == value
        for name, row in old_rows.items()
        for key, value in row.items()
    )


def by_id(table: str) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in csv.DictReader(io.StringIO(table))}


def number(text: str) -> float:
    return float(text) if text else 0.0


def engine() -> dict[str, str]:
    """Return the instruction set and versions that determine an engine's kernels."""
    import onnxruntime
    import torch

    return {
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }
