"""One scoring run: score a source, then write the table, the features and the contact sheet."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from dgaal_cli import atomic, interruption
from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.data.reading import counting
from dgaal_cli.data.sources.base import Source
from dgaal_cli.events import Emit, ScoreProgress, Warned
from dgaal_cli.scoring.drift import DriftMeter
from dgaal_cli.scoring.features import FeatureFile
from dgaal_cli.scoring.journal import Journal, text_digest
from dgaal_cli.scoring.options import DEFAULT_BATCH, ScoreOptions, ScoreResult, sheet_path
from dgaal_cli.scoring.pipeline import score_entries
from dgaal_cli.scoring.ranking import BestThenUnreadable, FullRanking, Ranking, TopRanking
from dgaal_cli.scoring.rows import FloatArray, Row, Rows
from dgaal_cli.scoring.writers import table_writer, write_csv

_MAX_LISTED = 10
"""Unreadable images that a result lists; the table contains all of them."""
_PROGRESS_S = 0.2


class ScoringRun:
    """Outputs and counters of one run; ``run`` may be called once."""

    def __init__(
        self,
        source: Source,
        artifact: CheckedArtifact,
        output: Path | BinaryIO | None,
        options: ScoreOptions,
        emit: Emit,
    ) -> None:
        self._source, self._artifact, self._output = source, artifact, output
        self._options, self._emit = options, emit
        self._table = output if isinstance(output, Path) else None
        self._sheet = sheet_path(self._table) if self._table and options.contact_sheet else None
        self._journal: Journal | None = None
        self._features: FeatureFile | None = None
        self._ranking: Ranking
        self._scored = self._unreadable = self._resumed = 0
        self._refused: list[Row] = []
        self._drift = DriftMeter(artifact.manifest.score_quantiles)
        self._device = ""
        self._threads = options.threads or usable_cpus()
        self._batch = options.batch or DEFAULT_BATCH
        self._best: list[Row] = []
        self._total: Callable[[], int | None] = source.count
        self._started = self._reported = time.perf_counter()

    def run(self) -> ScoreResult:
        """Score, rank and write."""
        options = self._options
        with ExitStack() as stack:
            self._total = stack.enter_context(counting(self._source, self._emit))
            if self._table is not None:
                self._journal = stack.enter_context(Journal(self._table, self._identity()))
            folder = self._journal.folder if self._journal else None
            if options.features is not None:
                self._features = stack.enter_context(FeatureFile(options.features, folder=folder))
            self._ranking = self._choose_ranking(stack.enter_context(FullRanking(folder)))
            if self._journal is not None:
                self._resume(self._journal)
            self._score()
            if self._features is not None:
                self._features.write()
            rows = self._write()
        return self._result(rows)

    @property
    def _done(self) -> int:
        return self._scored + self._unreadable

    @property
    def _keeps_features(self) -> bool:
        return self._options.features is not None or self._options.diverse

    def _identity(self) -> dict[str, str]:
        return {
            "artifact": self._artifact.sha256.hex(),
            "source": text_digest(self._source.spec),
            "size or time of change of the source": text_digest(self._source.stamp()),
            "--batch": str(self._batch),
            "--device": self._options.device,
            "choice of --features or --diverse": "kept" if self._keeps_features else "",
            "choice of --reduced-jpeg": str(self._options.reduced_jpeg),
        }

    def _choose_ranking(self, rows: FullRanking) -> Ranking:
        if self._options.top is None:
            return rows
        if self._options.diverse:
            return BestThenUnreadable(self._diverse_ranking(self._options.top), rows)
        return BestThenUnreadable(TopRanking(self._options.top), rows)

    def _diverse_ranking(self, count: int) -> Ranking:
        """Choose as the sampler's rule does if it compares features, else far apart."""
        from dgaal_cli.artifacts.feature_head import read_coverage  # few runs need these

        if self._artifact.format == "onnx":
            coverage = read_coverage(self._artifact.data)
            if coverage is not None:
                from dgaal_cli.scoring.refitted import RefittedRanking

                return RefittedRanking(count, coverage)
        from dgaal_cli.scoring.diverse import DiverseRanking

        return DiverseRanking(count)

    def _resume(self, journal: Journal) -> None:
        if not self._options.resume:
            if discarded := journal.clear():
                lost = f"the results of a stopped run are discarded ({discarded:,} images)"
                self._emit(Warned(message=f"{lost}; --resume keeps them"))
            return
        for shard in journal.resume(self._source):
            self._add(shard.rows, shard.features)
        self._resumed = journal.done
        if journal.mismatch:
            reason = f"the stopped run had {journal.mismatch}"
            self._emit(Warned(message=f"--resume starts from scratch: {reason}"))

    def _score(self) -> None:
        batches = score_entries(
            islice(self._source.entries(), self._resumed, None),
            self._artifact.manifest,
            self._start_engine,
            batch=self._batch,
            workers=self._options.workers,
            with_features=self._keeps_features,
            reduces=self._options.reduced_jpeg,
        )
        for scored in batches:
            self._add(scored.rows, scored.features)
            if self._journal is not None:
                self._journal.add(scored)
            self._report()
            if interruption.is_asked():
                batches.close()
                interruption.check(self._stop_message())
        self._report(is_last=True)

    def _start_engine(self) -> Engine:
        engine = start_engine(
            self._artifact,
            device=self._options.device,
            threads=self._threads,
            calls=self._threads,
            is_trusted=self._options.is_trusted,
        )
        self._device = engine.device
        return engine

    def _add(self, rows: Rows, features: FloatArray | None) -> None:
        readable = rows.readable()
        self._scored += len(readable)
        if len(readable) < len(rows):
            refused = rows.unreadable()
            self._unreadable += len(refused)
            self._refused += islice(refused, _MAX_LISTED - len(self._refused))
        self._drift.add(readable.scores)
        self._ranking.add(rows, features)
        if self._features is not None and features is not None:
            self._features.add(readable.ids, features)

    def _write(self) -> tuple[Row, ...]:
        """Write the table and the sheet, or return the rows if there is no output."""
        ranked = self._ranking.ranked()
        if self._sheet is not None:
            ranked = self._keep_best(ranked)
        rows: tuple[Row, ...] = ()
        if isinstance(self._output, Path):
            with atomic.replacing(self._output) as stream:
                table_writer(self._output)(stream, ranked)
        elif self._output is not None:
            write_csv(self._output, ranked)
        else:
            rows = tuple(row for block in ranked for row in block)
        if self._sheet is not None and self._best:
            from dgaal_cli.scoring.contact_sheet import write_contact_sheet  # few runs need it

            rendering = Rendering(self._artifact.manifest.sample_range)
            write_contact_sheet(self._sheet, self._source, self._best, rendering)
        return rows

    def _keep_best(self, ranked: Iterator[Rows]) -> Iterator[Rows]:
        for rows in ranked:
            room = self._options.contact_sheet - len(self._best)
            self._best.extend(islice(rows.readable(), room))
            yield rows

    def _report(self, *, is_last: bool = False) -> None:
        now = time.perf_counter()
        if not is_last and now - self._reported < _PROGRESS_S:
            return
        self._reported = now
        self._emit(
            ScoreProgress(
                done=self._done,
                total=self._done if is_last else self._total(),
                rate=self._rate(now - self._started),
                unreadable=self._unreadable,
            )
        )

    def _rate(self, seconds: float) -> float:
        return (self._done - self._resumed) / max(seconds, 1e-9)

    def _stop_message(self) -> str:
        if self._journal is None:
            return f"stopped after {self._done} images; nothing was written"
        kept = f"stopped after {self._done} images, which are kept"
        return f"{kept}; the same command with --resume continues"

    def _result(self, rows: tuple[Row, ...]) -> ScoreResult:
        seconds = time.perf_counter() - self._started
        return ScoreResult(
            scored=self._scored,
            unreadable=self._unreadable,
            unreadable_first=tuple((row.id, row.error) for row in self._refused),
            resumed=self._resumed,
            seconds=seconds,
            rate=self._rate(seconds),
            device=self._device,
            threads=self._threads,
            batch=self._batch,
            drift=self._drift.result(),
            output=self._table,
            contact_sheet=self._sheet if self._best else None,
            rows=rows,
        )
