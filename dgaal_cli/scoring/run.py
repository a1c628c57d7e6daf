"""One scoring run: score a source, then write the table, the features and the contact sheet."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from dgaal_cli import atomic, interruption
from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.data.sources.base import Source
from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.events import Emit, ScoreProgress, Warned, ignore
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.drift import DriftMeter
from dgaal_cli.scoring.features import FeatureFile
from dgaal_cli.scoring.journal import Journal, remove_temporary_files, text_digest
from dgaal_cli.scoring.options import DEFAULT_BATCH, ScoreOptions, ScoreResult, sheet_path
from dgaal_cli.scoring.pipeline import score_entries
from dgaal_cli.scoring.ranking import BestThenUnreadable, FullRanking, Ranking, TopRanking
from dgaal_cli.scoring.rows import FloatArray, Row, Rows
from dgaal_cli.scoring.writers import WriteTable, write_csv

_MAX_LISTED = 10
"""Unreadable images that a result lists; the table contains all of them."""
_PROGRESS_S = 0.2


@dataclass(slots=True)
class _Tally:
    scored: int = 0
    unreadable: int = 0
    first: list[tuple[SampleId, str]] = field(default_factory=list[tuple[SampleId, str]])

    def add(self, rows: Rows, readable: Rows) -> None:
        self.scored += len(readable)
        if len(readable) == len(rows):
            return
        refused = rows.unreadable()
        self.unreadable += len(refused)
        reasons = zip(refused.ids, refused.errors, strict=True)
        self.first.extend(islice(reasons, _MAX_LISTED - len(self.first)))


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
        self._source = source
        self._artifact = artifact
        self._output = output
        self._options = options
        self._emit = emit
        self._tally = _Tally()
        self._drift = DriftMeter(artifact.manifest.score_quantiles)
        self._resumed = 0
        self._device = ""
        self._threads = options.threads or usable_cpus()
        self._batch = options.batch or DEFAULT_BATCH
        self._best: list[Row] = []
        self._total = source.count()
        self._is_over = False
        self._started = time.perf_counter()
        self._reported = self._started

    def run(self, write: WriteTable | None) -> ScoreResult:
        """Score, rank and write.

        Args:
            write: Writes a table to a file; None if the output is not a file.
        """
        with ExitStack() as stack:
            stack.callback(self._end)
            if self._total is None and self._emit is not ignore:
                threading.Thread(target=self._count, name="dgaal-count", daemon=True).start()
            journal = None
            if isinstance(self._output, Path):
                journal = stack.enter_context(Journal(self._output, self._identity()))
                sheet = self._sheet_path() if self._options.contact_sheet else None
                for path in (self._output, self._options.features, sheet):
                    remove_temporary_files(path)
            features = None
            if self._options.features is not None:
                folder = journal.folder if journal else None
                features = stack.enter_context(FeatureFile(self._options.features, folder=folder))
            ranking = self._ranking(stack, journal)
            if journal is not None:
                self._resume(journal, ranking, features)
            self._score(journal, ranking, features)
            if features is not None:
                features.write()
            rows = self._finish(write, ranking)
        return self._result(rows)

    def _end(self) -> None:
        self._is_over = True

    def _count(self) -> None:
        """Count the entries of a source without a known length, for the progress report."""
        count = 0
        with contextlib.suppress(DgaalError):  # scoring reads the source and raises it, too
            for _ in self._source.entries():
                count += 1
                if self._is_over:
                    return
        self._total = count

    def _identity(self) -> dict[str, str]:
        keeps = "kept" if self._keeps_features else ""
        return {
            "artifact": self._artifact.sha256.hex(),
            "source": text_digest(self._source.spec),
            "size or time of change of the source": text_digest(self._source.stamp()),
            "--batch": str(self._batch),
            "--device": self._options.device,
            "choice of --features or --diverse": keeps,
            "choice of --reduced-jpeg": str(self._options.reduced_jpeg),
        }

    @property
    def _keeps_features(self) -> bool:
        return self._options.features is not None or self._options.diverse

    def _ranking(self, stack: ExitStack, journal: Journal | None) -> Ranking:
        rows = stack.enter_context(FullRanking(journal.folder if journal else None))
        if self._options.top is None:
            return rows
        best: Ranking = TopRanking(self._options.top)
        if self._options.diverse:
            from dgaal_cli.scoring.diverse import DiverseRanking  # few runs need it

            best = DiverseRanking(self._options.top)
        return BestThenUnreadable(best, rows)

    def _resume(self, journal: Journal, ranking: Ranking, features: FeatureFile | None) -> None:
        if not self._options.resume:
            if discarded := journal.clear():
                lost = f"the results of a stopped run are discarded ({discarded:,} images)"
                self._emit(Warned(message=f"{lost}; --resume keeps them"))
            return
        for shard in journal.resume(self._source):
            self._add(shard.rows, shard.features, ranking, features)
        self._resumed = journal.done
        if journal.mismatch:
            reason = f"the stopped run had {journal.mismatch}"
            self._emit(Warned(message=f"--resume starts from scratch: {reason}"))

    def _score(
        self, journal: Journal | None, ranking: Ranking, features: FeatureFile | None
    ) -> None:
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
            self._add(scored.rows, scored.features, ranking, features)
            if journal is not None:
                journal.add(scored)
            self._report()
            if interruption.is_asked():
                batches.close()
                interruption.check(self._stop_message(journal))
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

    def _add(
        self, rows: Rows, features: FloatArray | None, ranking: Ranking, file: FeatureFile | None
    ) -> None:
        readable = rows.readable()
        self._tally.add(rows, readable)
        self._drift.add(readable.scores)
        ranking.add(rows, features)
        if file is not None and features is not None:
            file.add(readable.ids, features)

    def _finish(self, write: WriteTable | None, ranking: Ranking) -> tuple[Row, ...]:
        ranked = ranking.ranked()
        if self._options.contact_sheet:
            ranked = self._keep_best(ranked)
        rows: tuple[Row, ...] = ()
        if isinstance(self._output, Path) and write is not None:
            with atomic.replacing(self._output) as stream:
                write(stream, ranked)
        elif self._output is not None and not isinstance(self._output, Path):
            write_csv(self._output, ranked)
        else:
            rows = tuple(row for block in ranked for row in block)
        if self._best:
            from dgaal_cli.scoring.contact_sheet import write_contact_sheet  # few runs need it

            write_contact_sheet(self._sheet_path(), self._source, self._best)
        return rows

    def _keep_best(self, ranked: Iterator[Rows]) -> Iterator[Rows]:
        for rows in ranked:
            room = self._options.contact_sheet - len(self._best)
            self._best.extend(islice(rows.readable(), room))
            yield rows

    def _sheet_path(self) -> Path:
        if not isinstance(self._output, Path):
            raise UsageError("a contact sheet is written next to the table; name one with -o")
        return sheet_path(self._output)

    def _report(self, *, is_last: bool = False) -> None:
        now = time.perf_counter()
        if not is_last and now - self._reported < _PROGRESS_S:
            return
        self._reported = now
        done = self._tally.scored + self._tally.unreadable
        self._emit(
            ScoreProgress(
                done=done,
                total=done if is_last else self._total,
                rate=(done - self._resumed) / max(now - self._started, 1e-9),
                unreadable=self._tally.unreadable,
            )
        )

    def _stop_message(self, journal: Journal | None) -> str:
        done = self._tally.scored + self._tally.unreadable
        if journal is None:
            return f"stopped after {done} images; nothing was written"
        return (
            f"stopped after {done} images, which are kept; the same command with --resume continues"
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
            threads=self._threads,
            batch=self._batch,
            drift=self._drift.result(),
            output=self._output if isinstance(self._output, Path) else None,
            contact_sheet=self._sheet_path() if self._best else None,
            rows=rows,
        )
