"""Score images offline with an exported sampler: no workspace and, for ONNX, no torch needed."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from dgaal_cli import atomic, interruption
from dgaal_cli.data.decoding import worker_count
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.engines.artifact import CheckedArtifact, read_artifact
from dgaal_cli.engines.base import Engine
from dgaal_cli.engines.load import IsTrusted, start_engine
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ScoreProgress, ignore
from dgaal_cli.harmless import show
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.contact_sheet import write_contact_sheet
from dgaal_cli.scoring.features import FeatureFile, check_folder
from dgaal_cli.scoring.journal import Journal, Shard, run_key
from dgaal_cli.scoring.pipeline import score_entries
from dgaal_cli.scoring.ranking import FullRanking, Ranking, TopRanking
from dgaal_cli.scoring.rows import Row
from dgaal_cli.scoring.writers import WriteTable, table_writer, write_csv
from dgaal_cli.workspace import Workspace
from exporters.registry import SUFFIXES

EngineName = Literal["onnx", "torchscript"]

_LISTED = 10
"""Unreadable images that a result names; the table holds all of them."""
_PROGRESS_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """How to score."""

    top: int | None = None
    """Keep only this many of the best; unreadable images are then counted, not tabled."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads of the engine; 0 takes what the process may use."""
    workers: int = 0
    """Decoder processes; 0 takes one a CPU."""
    batch: int = 64
    """Images the engine sees at once."""
    download: bool = False
    """Whether a source may fetch what it lacks."""
    resume: bool = False
    """Go on where a run with the same table, source and artifact was stopped."""
    features: Path | None = None
    """Also write the encoder's features to this ``.npz`` file."""
    contact_sheet: int = 0
    """Also draw this many of the best images into a PNG beside the table."""
    is_trusted: IsTrusted = False
    """Whether a TorchScript artifact may run; ONNX needs no trust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What was done."""

    scored: int
    unreadable: int
    unreadable_first: tuple[tuple[SampleId, str], ...]
    """Id and reason of the first few, in the order of the source."""
    resumed: int
    """Images whose results an earlier run had left."""
    seconds: float
    rate: float
    """Images a second, start-up included, without resumed ones."""
    device: str
    output: Path | None
    contact_sheet: Path | None
    rows: tuple[Row, ...]
    """The ranked table, where neither a file nor a stream took it."""


def score(
    source: str | Source,
    *,
    artifact: Path,
    base: Path,
    output: Path | BinaryIO | None = None,
    options: ScoreOptions | None = None,
    emit: Emit = ignore,
) -> ScoreResult:
    """Score every image of a source and rank them, highest score = ask first.

    Args:
        source: SOURCE text, or an open source.
        artifact: An exported sampler, ``.onnx`` or ``.ts``.
        base: Folder that a relative SOURCE is relative to.
        output: Table to write, ``.csv``, ``.jsonl`` or ``.parquet``; a stream gets CSV; None
            returns the rows.
        options: How to score.
        emit: Hears of the progress.

    Raises:
        UsageError: A source, file or option that cannot be used as asked.
        ArtifactError: The artifact is damaged, foreign or no sampler.
        TrustError: TorchScript that nobody vouches for.
        StorageError: A result cannot be written.
        InterruptedRunError: A signal asked to stop; with a table to write, ``resume`` goes on.
    """
    options = options or ScoreOptions()
    _check(options, output)
    write: WriteTable | None = None
    if isinstance(output, Path):
        write = table_writer(output)
        check_folder(output)
    checked = read_artifact(artifact, role="sampler")
    if options.features is not None and not _has_features(checked):
        raise UsageError(f"{checked.name} gives no features; leave --features out")
    if isinstance(source, str):
        source = open_source(source, base=base, download=options.download)
    return _Run(source, checked, output, options, emit).run(write)


def default_artifact(workspace: Workspace, engine: EngineName | None) -> Path:
    """Find the sampler that a workspace exported.

    Raises:
        UsageError: It has not exported one in that format.
    """
    wanted = (engine,) if engine else ("onnx", "torchscript")
    for name in wanted:
        path = workspace.artifacts_path / f"sampler{SUFFIXES[name]}"
        if path.is_file():
            return path
    missing = " or ".join(f"artifacts/sampler{SUFFIXES[name]}" for name in wanted)
    raise UsageError(
        f"{show(str(workspace.root))} has no sampler yet ({missing}); "
        "write one with 'dgaal export', or name a file with -a"
    )


def trusted_by(workspace: Workspace) -> Callable[[bytes], bool]:
    """Ask a workspace's label store whether it exported an artifact itself."""

    def knows(sha256: bytes) -> bool:
        from dgaal_cli.store.labels import LabelStore

        if not workspace.store_path.is_file():
            return False
        with LabelStore.open(workspace.store_path, read_only=True) as store:
            return store.knows_artifact(sha256)

    return knows


@dataclass(slots=True)
class _Tally:
    scored: int = 0
    unreadable: int = 0
    first: list[tuple[SampleId, str]] = field(default_factory=list[tuple[SampleId, str]])

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            if not row.is_unreadable:
                self.scored += 1
                continue
            self.unreadable += 1
            if len(self.first) < _LISTED:
                self.first.append((row.id, row.error))


class _Run:
    """One call of ``score``: its sinks and counters."""

    def __init__(
        self,
        source: Source,
        artifact: CheckedArtifact,
        output: Path | BinaryIO | None,
        options: ScoreOptions,
        emit: Emit,
    ) -> None:
        self._source = source
        self._artifact = artifact
        self._output = output
        self._options = options
        self._emit = emit
        self._tally = _Tally()
        self._resumed = 0
        self._device = ""
        self._best: list[Row] = []
        self._started = time.perf_counter()
        self._told = self._started

    def run(self, write: WriteTable | None) -> ScoreResult:
        with ExitStack() as stack:
            journal = None
            if isinstance(self._output, Path):
                journal = stack.enter_context(Journal(self._output, self._key()))
            features = None
            if self._options.features is not None:
                features = stack.enter_context(FeatureFile(self._options.features))
            ranking = self._ranking(stack, journal)
            if journal is not None:
                self._recover(journal, ranking, features)
            self._score(journal, ranking, features)
            if features is not None:
                features.write()
            rows = self._finish(write, ranking)
        return self._result(rows)

    def _key(self) -> bytes:
        return run_key(
            (
                self._artifact.sha256,
                self._source.spec,
                self._source.stamp(),
                f"batch={self._options.batch} features={self._options.features is not None}",
                f"device={self._options.device}",
            )
        )

    def _ranking(self, stack: ExitStack, journal: Journal | None) -> Ranking:
        if self._options.top is not None:
            return TopRanking(self._options.top)
        return stack.enter_context(FullRanking(journal.folder if journal else None))

    def _recover(self, journal: Journal, ranking: Ranking, features: FeatureFile | None) -> None:
        if not self._options.resume:
            journal.clear()
            return
        for shard in journal.resume(self._source):
            self._take(shard.rows, ranking)
            if features is not None and shard.features is not None:
                features.add(_readable(shard), shard.features)
        self._resumed = journal.done

    def _score(
        self, journal: Journal | None, ranking: Ranking, features: FeatureFile | None
    ) -> None:
        batches = score_entries(
            islice(self._source.entries(), self._resumed, None),
            self._artifact.manifest,
            self._start_engine,
            batch=self._options.batch,
            workers=self._options.workers,
            with_features=features is not None,
        )
        for scored in batches:
            self._take(scored.rows, ranking)
            if features is not None and scored.features is not None:
                names = [row.id for row in scored.rows if not row.is_unreadable]
                features.add(names, scored.features)
            if journal is not None:
                journal.add(scored)
            self._tell()
            if interruption.is_asked():
                batches.close()
                interruption.check(self._farewell(journal))
        self._tell(is_last=True)

    def _start_engine(self) -> Engine:
        engine = start_engine(
            self._artifact,
            device=self._options.device,
            threads=self._options.threads,
            calls=self._options.threads or worker_count(0),
            is_trusted=self._options.is_trusted,
        )
        self._device = engine.device
        return engine

    def _take(self, rows: list[Row], ranking: Ranking) -> None:
        self._tally.add(rows)
        ranking.add(rows)

    def _finish(self, write: WriteTable | None, ranking: Ranking) -> tuple[Row, ...]:
        ranked = self._remember_best(ranking.ranked())
        rows: tuple[Row, ...] = ()
        if isinstance(self._output, Path) and write is not None:
            with atomic.replacing(self._output) as stream:
                write(stream, ranked)
        elif self._output is not None and not isinstance(self._output, Path):
            write_csv(self._output, ranked)
        else:
            rows = tuple(ranked)
        if self._best:
            write_contact_sheet(self._sheet_path(), self._source, self._best)
        return rows

    def _remember_best(self, ranked: Iterator[Row]) -> Iterator[Row]:
        for row in ranked:
            if len(self._best) < self._options.contact_sheet and not row.is_unreadable:
                self._best.append(row)
            yield row

    def _sheet_path(self) -> Path:
        if not isinstance(self._output, Path):
            raise UsageError("a contact sheet lies beside the table; name one with -o")
        return self._output.with_suffix(".png")

    def _tell(self, *, is_last: bool = False) -> None:
        now = time.perf_counter()
        if not is_last and now - self._told < _PROGRESS_S:
            return
        self._told = now
        done = self._tally.scored + self._tally.unreadable
        self._emit(
            ScoreProgress(
                done=done,
                total=done if is_last else self._source.count(),
                rate=(done - self._resumed) / max(now - self._started, 1e-9),
                unreadable=self._tally.unreadable,
            )
        )

    def _farewell(self, journal: Journal | None) -> str:
        done = self._tally.scored + self._tally.unreadable
        if journal is None:
            return f"stopped after {done} images; nothing was written"
        return (
            f"stopped after {done} images, which are kept; the same command with --resume goes on"
        )

    def _result(self, rows: tuple[Row, ...]) -> ScoreResult:
        seconds = time.perf_counter() - self._started
        done = self._tally.scored + self._tally.unreadable
        return ScoreResult(
            scored=self._tally.scored,
            unreadable=self._tally.unreadable,
            unreadable_first=tuple(self._tally.first),
            resumed=self._resumed,
            seconds=seconds,
            rate=(done - self._resumed) / max(seconds, 1e-9),
            device=self._device,
            output=self._output if isinstance(self._output, Path) else None,
            contact_sheet=self._sheet_path() if self._best else None,
            rows=rows,
        )


def _check(options: ScoreOptions, output: Path | BinaryIO | None) -> None:
    for name, value, least in (
        ("--top", options.top if options.top is not None else 1, 1),
        ("--batch", options.batch, 1),
        ("--workers", options.workers, 0),
        ("--threads", options.threads, 0),
        ("--contact-sheet", options.contact_sheet, 0),
    ):
        if value < least:
            raise UsageError(f"{name} is {value}; it must be at least {least}")
    if not isinstance(output, Path) and (options.contact_sheet or options.resume):
        what = "--contact-sheet" if options.contact_sheet else "--resume"
        raise UsageError(f"{what} needs a table in a file; name one with -o")
    if options.features is not None:
        check_folder(options.features)


def _has_features(artifact: CheckedArtifact) -> bool:
    return any(output.name == "features" for output in artifact.manifest.outputs)


def _readable(shard: Shard) -> list[SampleId]:
    return [row.id for row in shard.rows if not row.is_unreadable]
