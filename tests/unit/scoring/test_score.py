"""Scoring runs: tables, features, contact sheets, resuming, and refused options."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_sampler import FakeSampler, manifest, score_of
from onnx import helper
from sample_images import encoded, pixels, png

from dgaal_cli import atomic, interruption
from dgaal_cli.api import score as workflow
from dgaal_cli.api.score import ScoreOptions, ScoreResult, default_artifact, score
from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.cli import _with_notes
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.images import decode, resize
from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import (
    ArtifactError,
    BusyError,
    InterruptedRunError,
    StorageError,
    TrustError,
    UsageError,
)
from dgaal_cli.escaping import unspell
from dgaal_cli.events import AnyEvent, ScoreProgress, Warned
from dgaal_cli.scoring import run as run_module
from dgaal_cli.scoring.journal import Journal
from dgaal_cli.scoring.options import DEFAULT_BATCH
from dgaal_cli.scoring.pipeline import score_entries
from dgaal_cli.workspace import Workspace

COUNT = 60
EMPTY_MODEL = helper.make_model(helper.make_graph([], "empty", [], [])).SerializeToString()


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number:03d}.png").write_bytes(png(number))
    (folder / "013.png").write_bytes(b"text")
    (folder / "027.png").write_bytes(b"")
    return folder


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSampler]:
    """Let the real workflow use a sampler that computes a formula."""
    fake = FakeSampler()
    checked = CheckedArtifact(
        name="fake", format="onnx", data=EMPTY_MODEL, manifest=fake.manifest, sha256=bytes(32)
    )
    monkeypatch.setattr(workflow, "read_artifact", lambda path, role: checked)
    monkeypatch.setattr(run_module, "start_engine", lambda *_, **__: fake)
    return fake


def run(pool: Path, output: Any = None, **options: Any) -> ScoreResult:
    options = {"batch": 4, "workers": 1, **options}
    return score(
        pool.name,
        artifact=Path("fake.onnx"),
        base=pool.parent,
        output=output,
        options=ScoreOptions(**options),
    )


@pytest.mark.usefixtures("engine")
def test_table_is_complete_and_unreadable_files_are_reported(pool: Path) -> None:
    output = pool.parent / "scores.csv"
    result = run(pool, output)
    lines = output.read_text().splitlines()
    assert len(lines) == COUNT + 1
    assert [line.split(",")[0] for line in lines[1:]] == [*map(str, range(1, COUNT - 1)), "", ""]
    scores = [float(line.split(",")[3]) for line in lines[1:-2]]
    assert scores == sorted(scores, reverse=True)
    assert (result.scored, result.unreadable) == (COUNT - 2, 2)
    assert result.unreadable_first == (
        ("013.png", not_an_image().reason),
        ("027.png", "empty file"),
    )
    assert sorted(path.name for path in pool.parent.iterdir()) == ["pool", "scores.csv"]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("options", [{"batch": 7}, {"batch": 64}, {"workers": 3}])
def test_tables_are_byte_identical_for_any_batch_and_workers(
    pool: Path, options: dict[str, int]
) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    run(pool, first)
    run(pool, second, **options)
    assert first.getvalue() == second.getvalue()


@pytest.mark.usefixtures("engine")
def test_top_table_is_the_head_of_the_full_table_plus_unreadable_files(pool: Path) -> None:
    whole, best = io.BytesIO(), io.BytesIO()
    run(pool, whole)
    result = run(pool, best, top=5)
    lines = whole.getvalue().splitlines()
    assert best.getvalue().splitlines() == lines[:6] + lines[-2:]
    assert (result.scored, result.unreadable) == (COUNT - 2, 2)


@pytest.mark.usefixtures("engine")
def test_rows_are_returned_without_output(pool: Path) -> None:
    result = run(pool, top=3)
    assert [row.id for row in result.rows[3:]] == ["013.png", "027.png"]
    assert result.rows[0].score >= result.rows[1].score >= result.rows[2].score


@pytest.mark.usefixtures("engine")
def test_features_and_contact_sheet_match_the_table(pool: Path) -> None:
    from PIL import Image

    output = pool.parent / "scores.jsonl"
    result = run(pool, output, features=pool.parent / "f.npz", contact_sheet=3)
    with np.load(pool.parent / "f.npz", allow_pickle=False) as stored:
        found = dict(stored)
    table = {row["id"]: row["score"] for row in map(json.loads, output.read_text().splitlines())}
    names = [name.decode() for name in found["ids"]]
    assert names == sorted(name for name in table if table[name] is not None)
    expected = np.array([table[name] for name in names], np.float32)
    np.testing.assert_array_equal(found["features"], np.stack([expected, -expected], axis=1))
    assert result.contact_sheet == pool.parent / "scores.png"
    with Image.open(result.contact_sheet) as sheet:
        best = json.loads(output.read_text().splitlines()[0])["id"]
        tile = np.asarray(sheet)[8:104, 8:104]
        source = np.asarray(Image.open(pool / best).resize((96, 96), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(tile, source)


@pytest.mark.usefixtures("engine")
def test_parquet_features_equal_npz_features(pool: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (pool / os.fsdecode(b"\xff.png")).write_bytes(png(99))
    run(pool, features=pool.parent / "f.npz")
    run(pool, features=pool.parent / "f.parquet")
    with np.load(pool.parent / "f.npz", allow_pickle=False) as stored:
        expected = dict(stored)
    table = parquet.read_table(pool.parent / "f.parquet")
    names = [unspell(name).encode("utf-8", "surrogateescape") for name in table["id"].to_pylist()]
    assert names == expected["ids"].tolist()
    assert str(table.schema.field("features").type) == "fixed_size_list<element: float>[2]"
    found = np.array(table["features"].to_pylist(), np.float32)
    np.testing.assert_array_equal(found, expected["features"])


@pytest.mark.usefixtures("engine")
def test_features_without_readable_image_are_an_empty_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.png").write_bytes(b"text")
    run(tmp_path / "pool", features=tmp_path / "f.parquet")
    assert parquet.read_table(tmp_path / "f.parquet").num_rows == 0


@pytest.mark.usefixtures("engine")
def test_diverse_selection_is_among_the_best_and_equal_after_resume(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the one-dimensional features are all close
    monkeypatch.setattr("dgaal_cli.scoring.diverse.NEAR", 0.0)
    output = pool.parent / "scores.csv"
    result = run(pool, top=5, diverse=True)
    assert len({row.id for row in result.rows}) == 5 + 2
    assert [row.is_unreadable for row in result.rows] == [False] * 5 + [True] * 2
    assert list(result.rows) == sorted(result.rows)
    assert set(result.rows) <= set(run(pool, top=25).rows)
    assert result.rows[0] == run(pool, top=1).rows[0]
    run(pool, output, top=5, diverse=True)
    expected = output.read_bytes()
    run(pool, output, top=5, diverse=True, resume=True)
    assert output.read_bytes() == expected


def test_drift_is_measured_against_the_percentiles_of_the_artifact(
    pool: Path, engine: FakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(pool).drift is None
    scores = [row.score for row in run(pool).rows if not row.is_unreadable]
    for shift, level in ((0.0, "none"), (1.0, "strong")):
        bounds = np.quantile(scores, np.linspace(0, 1, 101)) + shift
        checked = CheckedArtifact(
            name="fake",
            format="onnx",
            data=EMPTY_MODEL,
            manifest=manifest(score_quantiles=tuple(bounds.tolist())),
            sha256=bytes(32),
        )
        monkeypatch.setattr(workflow, "read_artifact", lambda path, role, found=checked: found)
        drift = run(pool).drift
        assert drift is not None
        assert (drift.level, drift.images) == (level, COUNT - 2)


@pytest.mark.usefixtures("engine")
def test_default_settings_are_fixed(pool: Path) -> None:
    result = run(pool, batch=0)
    assert (result.threads, result.batch) == (usable_cpus(), DEFAULT_BATCH)


@pytest.mark.usefixtures("engine")
def test_jpeg_is_decoded_at_full_size_by_default(tmp_path: Path) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(4):
        y, x = np.mgrid[0:480, 0:640]
        image = np.stack([(x * 3 + number * 40) % 256, y % 256, (x * y) % 256], axis=2)
        (folder / f"{number}.jpg").write_bytes(encoded(image.astype(np.uint8), "JPEG", quality=90))
    whole = {row.id: row.score for row in run(folder).rows}
    reduced = {row.id: row.score for row in run(folder, reduced_jpeg=True).rows}
    for path in sorted(folder.iterdir()):
        image = resize(decode(path.read_bytes()), size=8, channels=3)
        assert np.float32(whole[path.name]) == score_of(image)
    assert whole != reduced
    assert max(abs(whole[name] - reduced[name]) for name in whole) < 0.02


class Stopper:
    """An engine that sends SIGINT, as Ctrl-C does, at a given batch."""

    def __init__(self, engine: FakeSampler, after: int) -> None:
        self._run = engine.run
        self._left = after

    def __call__(self, inputs: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return self._run(inputs)


@pytest.mark.parametrize("after", [1, 4, 9, 15])
def test_stopped_run_resumes_to_the_same_bytes(
    pool: Path, engine: FakeSampler, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgaal_cli.scoring.journal.FLUSH_S", 0.0)
    whole = pool.parent / "whole.csv"
    run(pool, whole, features=pool.parent / "whole.npz")
    output = pool.parent / "scores.csv"
    original = engine.run
    monkeypatch.setattr(engine, "run", Stopper(engine, after))
    with interruption.listening(), pytest.raises(InterruptedRunError, match="--resume continues"):
        run(pool, output, features=pool.parent / "f.npz")
    monkeypatch.setattr(engine, "run", original)
    assert not output.exists()
    engine.batches.clear()
    result = run(pool, output, resume=True, features=pool.parent / "f.npz")
    # The engine runs a few batches ahead of what is recorded when the signal comes.
    assert result.resumed in {4 * batches for batches in range(max(0, after - 5), after + 5)}
    assert len(engine.batches) == COUNT // 4 - result.resumed // 4
    assert output.read_bytes() == whole.read_bytes()
    assert (pool.parent / "f.npz").read_bytes() == (pool.parent / "whole.npz").read_bytes()
    assert not list(pool.parent.glob(".*"))


@pytest.mark.parametrize("batch", [4, 5])
def test_new_run_warns_about_the_discarded_stopped_run(
    pool: Path, engine: FakeSampler, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgaal_cli.scoring.journal.FLUSH_S", 0.0)
    original = engine.run
    monkeypatch.setattr(engine, "run", Stopper(engine, 9))
    with interruption.listening(), pytest.raises(InterruptedRunError):
        run(pool, pool.parent / "s.csv")
    monkeypatch.setattr(engine, "run", original)
    events: list[AnyEvent] = []
    score(
        pool.name,
        artifact=Path("x"),
        base=pool.parent,
        output=pool.parent / "s.csv",
        options=ScoreOptions(batch=batch, workers=1),
        emit=events.append,
    )
    messages = [event.message for event in events if isinstance(event, Warned)]
    # --resume cannot continue with another batch size.
    assert len(messages) == (batch == 4)
    assert all(re.search(r"discarded \(\d+ images\); --resume keeps them", m) for m in messages)


@pytest.fixture
def journal(pool: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Return the journal of a run that was stopped after 5 shards of 4 images."""
    monkeypatch.setattr("dgaal_cli.scoring.journal.FLUSH_S", 0.0)
    fake = FakeSampler()
    entries = list(open_source(str(pool), base=pool).entries())[:20]
    journal = Journal(pool.parent / "s.csv", {"--batch": "4", "artifact": "ab"})
    with contextlib.suppress(KeyboardInterrupt), journal:
        for batch in score_entries(entries, fake.manifest, lambda: fake, batch=4, workers=1):
            journal.add(batch)
        raise KeyboardInterrupt
    return Journal(pool.parent / "s.csv", {"--batch": "4", "artifact": "ab"})


def recovered_count(journal: Journal, pool: Path) -> int:
    with journal:
        rows = [
            r for shard in journal.resume(open_source(str(pool), base=pool)) for r in shard.rows
        ]
        assert len(rows) == journal.done
        assert [row.id for row in rows] == [f"{number:03d}.png" for number in range(len(rows))]
        return journal.done


def test_intact_journal_is_used_completely(pool: Path, journal: Journal) -> None:
    assert recovered_count(journal, pool) == 20


@pytest.mark.parametrize("shard", range(5))
def test_damaged_shard_and_all_later_shards_are_scored_again(
    pool: Path, journal: Journal, shard: int
) -> None:
    path = journal.folder / f"{shard:08d}.shard"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert recovered_count(journal, pool) == 4 * shard


@pytest.mark.parametrize("number", [0, 5, 13, 19])
def test_shards_from_a_changed_file_on_are_scored_again(
    pool: Path, journal: Journal, number: int
) -> None:
    (pool / f"{number:03d}.png").write_bytes(png(200) + b"x")
    assert recovered_count(journal, pool) == number // 4 * 4


def test_shards_from_a_new_file_on_are_scored_again(pool: Path, journal: Journal) -> None:
    (pool / "006b.png").write_bytes(png(1))
    assert recovered_count(journal, pool) == 4


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("identity", "other"),
    [
        ({"--batch": "8", "artifact": "ab"}, "--batch 4"),
        ({"--batch": "4", "artifact": "cd"}, "another artifact"),
        ({"--batch": "8", "artifact": "cd"}, "--batch 4, another artifact"),
    ],
)
def test_journal_of_another_run_is_not_used(
    pool: Path, identity: dict[str, str], other: str
) -> None:
    journal = Journal(pool.parent / "s.csv", identity)
    assert recovered_count(journal, pool) == 0
    assert journal.mismatch == other


def test_mismatch_reports_changed_images_at_the_start(pool: Path, journal: Journal) -> None:
    (pool / "000.png").write_bytes(png(200) + b"x")
    assert recovered_count(journal, pool) == 0
    assert journal.mismatch == "other images at its start"


def test_second_run_for_the_same_table_is_refused(pool: Path) -> None:
    with Journal(pool.parent / "s.csv", {}), pytest.raises(BusyError, match="give another name"):
        Journal(pool.parent / "s.csv", {}).__enter__()


@pytest.mark.usefixtures("engine")
def test_failed_run_keeps_the_old_table_and_leaves_no_other_file(
    pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = pool.parent / "scores.csv"
    output.write_text("old")
    broken = FakeSampler(is_broken=True)
    monkeypatch.setattr(run_module, "start_engine", lambda *_, **__: broken)
    with pytest.raises(ArtifactError):
        run(pool, output)
    assert output.read_text() == "old"
    assert sorted(path.name for path in pool.parent.iterdir()) == ["pool", "scores.csv"]


class FailingRun:
    """An engine that raises an error after some batches."""

    def __init__(self, engine: FakeSampler, error: Exception, after: int) -> None:
        self._run, self._error, self._left = engine.run, error, after

    def __call__(self, inputs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return self._run(inputs)


@pytest.mark.parametrize("where", ["engine", "table"])
def test_results_of_a_failed_run_are_kept_for_resume(
    pool: Path, engine: FakeSampler, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whole, output = pool.parent / "whole.csv", pool.parent / "scores.csv"
    run(pool, whole)
    with monkeypatch.context() as patched:
        if where == "engine":
            broken = FailingRun(engine, StorageError("no room"), 8)
            patched.setattr(engine, "run", broken)
        else:
            failing_write = FailingRun(engine, OSError(errno.ENOSPC, "no room"), 0)
            patched.setattr(run_module, "table_writer", lambda _: lambda *_: failing_write(None))
        with pytest.raises(StorageError, match="no room") as caught:
            run(pool, output)
    kept = "results up to the last save are kept for --resume"
    assert _with_notes("no room", caught.value) == f"no room; {kept}"
    assert sorted(path.name for path in pool.parent.iterdir()) == [
        ".scores.csv.dgaal-score",
        "pool",
        "whole.csv",
    ]
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "start_engine", refuse_trust)
        with pytest.raises(TrustError):
            run(pool, output, resume=True)
    result = run(pool, output, resume=True)
    assert result.resumed == (COUNT if where == "table" else 32)
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in pool.parent.iterdir()) == [
        "pool",
        "scores.csv",
        "whole.csv",
    ]


def refuse_trust(*_: object, **__: object) -> None:
    raise TrustError("foreign")


@pytest.mark.usefixtures("engine")
def test_resume_that_starts_from_scratch_reports_the_reason(
    pool: Path, engine: FakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = pool.parent / "scores.csv"
    with monkeypatch.context() as patched:
        patched.setattr(engine, "run", FailingRun(engine, StorageError("no room"), 8))
        with pytest.raises(StorageError):
            run(pool, output)
    events: list[AnyEvent] = []
    options = ScoreOptions(batch=8, workers=1, resume=True)
    result = score(
        pool.name,
        artifact=Path("x"),
        base=pool.parent,
        output=output,
        options=options,
        emit=events.append,
    )
    assert result.resumed == 0
    sentence = "--resume starts from scratch: the stopped run had --batch 4"
    assert events[0] == Warned(message=sentence)


@pytest.mark.usefixtures("engine")
def test_temporary_files_of_a_killed_run_are_deleted(pool: Path) -> None:
    folder = pool.parent
    stale = [folder / f".dgaal-0123456789a{number}.tmp" for number in range(3)]
    kept = [folder / ".scores.csv.tmp", folder / ".other.csv.0123456789ab.tmp"]
    for path in (*stale, *kept):
        path.touch()
    run(pool, folder / "scores.csv", features=folder / "f.npz", contact_sheet=1)
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


@pytest.mark.usefixtures("engine")
def test_tables_with_equal_long_name_prefixes_are_independent(pool: Path) -> None:
    """Journal, lock and temporary file of the two tables have different names."""
    one, two = (pool.parent / f"{'x' * 60}-{number}.csv" for number in range(2))
    with Journal(one, {}), atomic.replacing(one) as stream:
        stream.write(b"one")
        run(pool, two)
    assert one.read_text() == "one"
    assert len(two.read_text().splitlines()) == COUNT + 1


@pytest.mark.usefixtures("engine")
def test_contact_sheet_replaces_only_an_earlier_contact_sheet(pool: Path) -> None:
    output, sheet = pool.parent / "scores.csv", pool.parent / "scores.png"
    run(pool, output, contact_sheet=3)
    first = sheet.read_bytes()
    run(pool, output, contact_sheet=4)
    assert sheet.read_bytes() != first
    sheet.write_bytes(png(1))
    with pytest.raises(UsageError, match=r"would replace .*scores\.png, which dgaal did not write"):
        run(pool, output, contact_sheet=3)
    assert sheet.read_bytes() == png(1)
    run(pool, output)


@pytest.mark.usefixtures("engine")
def test_contact_sheet_of_a_container_does_not_call_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from dgaal_cli.data.sources.arrays import ArraySource

    images = np.stack([np.full((8, 8, 3), 10 * n, np.uint8) for n in range(20)])
    np.savez(tmp_path / "p.npz", x=images)
    monkeypatch.setattr(ArraySource, "get", None)  # `get` loads the whole array
    run(tmp_path / "p.npz", tmp_path / "scores.csv", contact_sheet=3)
    with Image.open(tmp_path / "scores.png") as sheet:
        found = [sheet.getpixel((8 + place * 104 + 48, 8 + 48)) for place in range(3)]
    assert found == [(190,) * 3, (180,) * 3, (170,) * 3]


@pytest.mark.usefixtures("engine")
def test_features_and_table_require_different_names(pool: Path) -> None:
    with pytest.raises(UsageError, match="different names"):
        run(pool, pool.parent / "a.parquet", features=pool.parent / "a.parquet")


@pytest.mark.usefixtures("engine")
def test_last_progress_event_has_the_total(pool: Path) -> None:
    events: list[AnyEvent] = []
    score(
        pool.name,
        artifact=Path("x"),
        base=pool.parent,
        emit=events.append,
    )
    assert isinstance(events[-1], ScoreProgress)
    assert (events[-1].done, events[-1].total, events[-1].unreadable) == (COUNT, COUNT, 2)


@pytest.mark.usefixtures("engine")
def test_files_of_a_folder_are_counted_during_the_run(
    pool: Path, engine: FakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[AnyEvent] = []
    original = engine.run

    def slow_run(inputs: Any) -> Any:
        time.sleep(0.05)
        return original(inputs)

    monkeypatch.setattr(engine, "run", slow_run)
    monkeypatch.setattr(run_module, "_PROGRESS_S", 0.0)
    score(
        pool.name,
        artifact=Path("x"),
        base=pool.parent,
        options=ScoreOptions(batch=4, workers=1),
        emit=events.append,
    )
    totals = [event.total for event in events if isinstance(event, ScoreProgress)]
    assert set(totals[len(totals) // 2 :]) == {COUNT}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        (None, {"top": 0}, "--top is 0"),
        (None, {"batch": -1}, "--batch is -1"),
        (None, {"threads": 5000}, "--threads is 5000; it must be at most 1024"),
        (None, {"diverse": True}, "--diverse selects among the best"),
        (None, {"resume": True}, "--resume needs a table"),
        (None, {"contact_sheet": 4}, "--contact-sheet needs a table"),
        ("scores.txt", {}, "cannot write a score table as scores.txt"),
        ("missing/scores.csv", {}, "does not exist; create it first"),
        ("pool", {}, "cannot write a score table"),
    ],
)
def test_invalid_options_are_refused(
    pool: Path, output: str | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(pool, pool.parent / output if output else None, **options)


def test_default_artifact_is_the_exported_sampler(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.artifacts_path.mkdir()
    (workspace.artifacts_path / "classifier.onnx").touch()
    with pytest.raises(UsageError, match=r"has no sampler yet .*dgaal export"):
        default_artifact(workspace, None)
    (workspace.artifacts_path / "manifest.json").touch()
    with pytest.raises(UsageError, match=r"the last 'dgaal export' wrote no sampler: .*label and"):
        default_artifact(workspace, None)
    listed = {"artifacts": [{"manifest": {"method": "typiclust"}}]}
    (workspace.artifacts_path / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(
        UsageError, match=r"'typiclust' does not score single images, so it has no sampler; "
    ):
        default_artifact(workspace, None)
    listed["artifacts"][0]["manifest"]["method"] = "margin"
    (workspace.artifacts_path / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(UsageError, match=r"wrote no sampler: .*label and"):
        default_artifact(workspace, None)
    (workspace.artifacts_path / "sampler.ts").touch()
    assert default_artifact(workspace, None).name == "sampler.ts"
    (workspace.artifacts_path / "sampler.onnx").touch()
    assert default_artifact(workspace, None).name == "sampler.onnx"
    assert default_artifact(workspace, "torchscript").name == "sampler.ts"


@cache
def sealed_artifact(role: str, format_: str) -> bytes:
    pytest.importorskip("torch")
    from sealed_artifacts import sealed

    return sealed(role, format_)


def cli(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dgaal_cli", "score", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120, **options)


@pytest.mark.slow
def test_score_command_runs_a_real_artifact_without_torch(pool: Path) -> None:
    artifact = pool.parent / "sampler.onnx"
    artifact.write_bytes(sealed_artifact("sampler", "onnx"))
    (pool / "=x\x1b[2J.png").write_bytes(png(3))
    table = cli(pool, "-a", artifact, "--device", "cpu", "-q")
    assert table.returncode == 3
    assert b"2 unreadable" in table.stderr
    assert b"\x1b" not in table.stdout + table.stderr
    assert len(table.stdout.splitlines()) == COUNT + 2
    assert b"'=x\\u{1b}[2J.png" in table.stdout
    for number in range(12):
        (pool / f"bad-{number:02d}").write_bytes(b"text")
    few = cli(pool, "-a", artifact, "--device", "cpu", "--top", 1)
    assert few.stdout.count(b",unreadable,") == 14
    assert b"... 4 more, all at the end of the table" in few.stderr
    for path in pool.glob("bad-*"):
        path.unlink()
    for number in (13, 27):
        (pool / f"{number:03d}.png").write_bytes(png(number))
    again = cli(pool, "-a", artifact, "--device", "cpu", "--batch", 5, "--workers", 1)
    assert again.returncode == 0
    assert b"scored 61 images" in again.stderr
    listing = "\0".join(str(path) for path in sorted(pool.iterdir())).encode()
    streamed = cli("-", "-a", artifact, "--device", "cpu", "--top", 3, "--json", input=listing)
    document = json.loads(streamed.stdout)
    assert document["scored"] == 61
    assert len(document["table"]) == 3
    code = (
        "import sys; from pathlib import Path; from dgaal_cli.api.score import score\n"
        f"r = score({str(pool)!r}, artifact=Path({str(artifact)!r}), base=Path('/'))\n"
        "print(r.scored, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["61", "False"]


@pytest.mark.slow
def test_other_roles_and_untrusted_torchscript_are_refused(pool: Path) -> None:
    for role, format_, error in (
        ("classifier", "onnx", ArtifactError),
        ("generator", "onnx", ArtifactError),
        ("sampler", "torchscript", TrustError),
    ):
        path = pool.parent / f"{role}{'.onnx' if format_ == 'onnx' else '.ts'}"
        path.write_bytes(sealed_artifact(role, format_))
        with pytest.raises(error):
            score(str(pool), artifact=path, base=pool)


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_bytes(pool: Path) -> None:
    """A real process is killed repeatedly; the journal is written at every batch."""
    artifact = pool.parent / "sampler.onnx"
    artifact.write_bytes(sealed_artifact("sampler", "onnx"))
    np.savez(pool.parent / "p.npz", x=np.stack([pixels(n % 250) for n in range(3000)]))
    output, whole = pool.parent / "scores.csv", pool.parent / "whole.csv"
    code = (
        "import sys; from pathlib import Path; import dgaal_cli.scoring.journal as j\n"
        "j.FLUSH_S = 0.0\n"
        "from dgaal_cli.api.score import score, ScoreOptions\n"
        f"score('p.npz', artifact=Path('sampler.onnx'), base=Path({str(pool.parent)!r}),"
        " output=Path(sys.argv[1]), options=ScoreOptions(batch=8, device='cpu', resume=True))"
    )
    command = [sys.executable, "-c", code]
    subprocess.run([*command, str(whole)], check=True, cwd=pool.parent)
    generator = np.random.default_rng(0)
    folder = pool.parent / ".scores.csv.dgaal-score"
    kills = 0
    while not output.exists():
        before = len(list(folder.glob("*.shard")))
        target = before + int(generator.integers(1, 60))
        process = subprocess.Popen([*command, str(output)], cwd=pool.parent)
        while process.poll() is None and not (folder / f"{target:08d}.shard").exists():
            time.sleep(0.001)
        kills += process.poll() is None
        process.kill()
        process.wait()
    assert output.read_bytes() == whole.read_bytes()
    assert kills >= 3
    assert not folder.exists()
