"""Train one round with torch: the method's networks and the task model on the current labels."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from dgaal_cli import events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError
from dgaal_cli.events import AnyEvent, Emit, ReadProgress, RoundStarted
from dgaal_cli.methods.base import Method
from dgaal_cli.rounds.engine import train_round
from dgaal_cli.rounds.folder import prepare, record_events
from dgaal_cli.rounds.on_disk import OnDisk, gather
from dgaal_cli.rounds.out_of_memory import explain
from dgaal_cli.rounds.pool_pixels import sample_reading
from dgaal_cli.rounds.record import finish
from dgaal_cli.rounds.resume_state import (
    ResumeState,
    keep_resume_state,
    newest_resume_state,
    read_resume_state,
    save_resume_state,
)
from dgaal_cli.rounds.round_to_train import close_earlier_query, round_to_train
from dgaal_cli.rounds.train_result import TrainResult, read_result
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.training.budget import SAMPLE_MARGIN, Stopwatch, check_reading
from dgaal_cli.training.compiling import explain_compiler_errors
from dgaal_cli.training.device import useful_threads
from dgaal_cli.training.identity import machine_of, settings_of
from dgaal_cli.training.memory import StepTooLargeError, explain_out_of_memory
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.progress_saver import ProgressSaver
from dgaal_cli.training.runner import Runner
from dgaal_cli.training.runtime import Runtime, divide_batches, start_runtime
from dgaal_cli.training.seeds import seed_of
from dgaal_cli.workspace import Workspace

SMALLER = "lower the sizes in [network], or free memory there and run 'dgaal train' again"
ELSEWHERE = (
    "the training is saved: free memory there and run 'dgaal train' again, or continue with "
    "'dgaal train --device cpu --allow-inexact'"
)
NOT_FINITE_ADVICE = (
    "look at these images, or lower a learning rate in [pretrain], [coevolve], [vaal] or "
    "[classifier], and run 'dgaal train --fresh'"
)


def train_networks(  # noqa: PLR0913 - every option of one training
    workspace: Workspace,
    config: Config,
    *,
    emit: Emit = events.ignore,
    is_fresh: bool = False,
    must_resume: bool = False,
    budget_s: float | None = None,
    began: float | None = None,
    assignments: Sequence[str] = (),
    is_inexact_allowed: bool = False,
    has_event_files: bool = False,
) -> TrainResult:
    """Train a round whose method has networks; see ``train.train``."""
    stopwatch = Stopwatch() if began is None else Stopwatch(began=began)
    earlier = None if is_fresh else newest_resume_state(workspace)
    if budget_s is None and earlier is not None:
        budget_s = earlier.budget_s
    with (
        start_runtime(
            device=config.device,
            precision=config.precision,
            threads=config.threads or (earlier.threads if earlier is not None else 0),
            useful_threads=useful_threads(config),
        ) as runtime,
        workspace.lock("train", doing="training") if runtime.is_main else contextlib.nullcontext(),
        interruption.listening(),
        explain_compiler_errors(),
        open_store(workspace, read_only=not runtime.is_main) as store,
    ):
        number = runtime.from_main(
            round_to_train(workspace, store, is_fresh=is_fresh) if runtime.is_main else 0
        )
        if runtime.is_main:
            prepare(workspace, store, number, is_fresh=is_fresh, must_resume=must_resume)
        runtime.from_main(0)  # the other processes wait until the folder is prepared
        training = _Training(
            workspace=workspace,
            config=config,
            store=store,
            runtime=runtime,
            number=number,
            assignments=tuple(assignments),
            budget_s=budget_s,
            is_inexact_allowed=is_inexact_allowed,
            stopwatch=stopwatch,
        )
        if not runtime.is_main:
            return training.run(events.ignore)
        resume_state = ResumeState(
            watermark=store.watermark(),
            assignments=training.assignments,
            threads=runtime.threads,
            budget_s=budget_s,
            classes={record.uid: record.name for record in store.classes()},
        )
        with (
            keep_resume_state(training.folder, resume_state),
            record_events(training.folder, emit, has_event_files=has_event_files) as record,
        ):
            result = training.run(record)
        close_earlier_query(store, number)
        return result


@dataclass(slots=True, kw_only=True)
class _Training:
    """The training of one round in this process."""

    workspace: Workspace
    config: Config
    """The user's configuration; a workbench has this process's share of each batch."""
    store: Store
    runtime: Runtime
    number: int
    assignments: tuple[str, ...]
    budget_s: float | None
    is_inexact_allowed: bool
    stopwatch: Stopwatch
    resumed_at: str = ""
    id: str = ""

    @property
    def folder(self) -> Path:
        """Folder of the round."""
        return self.workspace.round_path(self.number)

    def run(self, emit: Emit) -> TrainResult:
        """Read the round's data, train, and let process 0 write the result."""
        if self.runtime.is_main and self.budget_s is not None:
            sample_reading(self.workspace, self.config, self.store, self._check_sample)
        bench = self._gather(self._within_budget(emit))
        trained, too_large = None, None
        try:
            with explain_out_of_memory(f"round {self.number}", self.runtime.device, advice=SMALLER):
                trained = train_round(bench, partial(self._start, bench, emit), emit=emit)
        except StepTooLargeError as error:
            too_large = StepTooLargeError(error.phase, error.title, error.batch_key)
        if too_large is not None:  # outside the handler the networks that did not fit are freed
            raise explain(too_large, bench)
        assert trained is not None
        if self.runtime.is_main:
            what = f"measuring round {self.number}"
            with explain_out_of_memory(what, self.runtime.device, advice=ELSEWHERE):
                finish(
                    bench,
                    self.config,
                    trained,
                    training=self.id,
                    resumed_at=self.resumed_at,
                    emit=emit,
                )
        self.runtime.from_main(0)  # the other processes read what process 0 wrote
        return read_result(self.workspace, self.number)

    def _gather(self, emit: Emit) -> OnDisk:
        """Read the round's data; process 0 reads first and caches decoded pixels for the others."""
        runtime, watermark, newest_item = self.runtime, 0, 0
        if runtime.is_main:
            # Answers and images that are added while a round trains belong to the next round.
            earlier = read_resume_state(self.folder)
            watermark = self.store.watermark() if earlier is None else earlier.watermark
            newest_item = 0 if earlier is None else earlier.newest_item
        watermark = runtime.from_main(watermark)
        newest_item = runtime.from_main(newest_item)
        if not runtime.is_main:
            runtime.from_main(0)
        bench = gather(
            self.workspace,
            divide_batches(self.config, world=runtime.world),
            self.store,
            number=self.number,
            device=runtime.device,
            watermark=watermark,
            newest_item=newest_item,
            emit=emit,
        )
        if runtime.is_main:
            runtime.from_main(0)
        else:
            bench.data.seed = seed_of(self.config.seed, *runtime.seed_parts())
        return bench

    def _check_sample(self, event: AnyEvent) -> None:
        """Refuse, before the pool is listed, a budget that is too short even if reading is faster.

        Only the decoding is counted, at more than the measured rate, so that a budget that could be
        kept is not refused here.
        """
        if self.budget_s is not None and isinstance(event, ReadProgress):
            faster = msgspec.structs.replace(event, rate=event.rate * SAMPLE_MARGIN)
            check_reading(faster, self.budget_s, self.stopwatch)

    def _within_budget(self, emit: Emit) -> Emit:
        """Return a listener that stops the reading of the pool if the time budget is too short."""

        def check(event: AnyEvent) -> None:
            emit(event)
            if self.budget_s is not None and isinstance(event, ReadProgress):
                check_reading(event, self.budget_s, self.stopwatch)

        return check

    def _start(
        self,
        bench: OnDisk,
        emit: Emit,
        method: Method,
        phases: list[Phase],
        is_compiled: bool,  # noqa: FBT001
    ) -> Runner:
        """Make the runner, resume, and report that the round has started."""
        data = bench.data
        runner = Runner(
            saver=ProgressSaver(
                folder=self.folder,
                identity={
                    "labels": bench.labels_digest,
                    "pool": bench.dataset_digest,
                    "settings": settings_of(self.config),
                },
                machine=machine_of(self.runtime, is_compiled=is_compiled),
                is_inexact_allowed=self.is_inexact_allowed,
            ),
            modules=method.modules,
            phases=phases,
            seed=self.config.seed,
            number=self.number,
            emit=emit,
            runtime=self.runtime,
            budget_s=self.budget_s,
            stopwatch=self.stopwatch,
            name=lambda item: self.store.item(item).sample_id,
            advice=NOT_FINITE_ADVICE,
            after_stop="this state is saved, and 'dgaal train' continues from there",
        )
        self.resumed_at = runner.resume()
        if self.runtime.is_main:
            self._save_resume_state(bench, runner.budget_s)
        emit(
            RoundStarted(
                round=self.number,
                method=self.config.method,
                labels=len(data.labeled_rows),
                drawn_labels=int(data.synthetic.is_labeled.sum()),
                held_out_labels=int(data.is_held_out.sum()),
                pool=len(data.pixels),
                device=str(data.device),
                resumed_at=self.resumed_at,
            )
        )
        return runner

    def _save_resume_state(self, bench: OnDisk, budget_s: float | None) -> None:
        """Save what a resume needs, after all checks passed."""
        earlier = read_resume_state(self.folder)
        if earlier is None:
            raise CheckpointError(
                "the saved state of this round was of an older dgaal, and damaged; it is set "
                "aside, and 'dgaal train' restarts the round"
            )
        state = replace(
            earlier,
            newest_item=max(bench.data.item_ids),
            assignments=self.assignments,
            threads=self.runtime.threads,
            budget_s=budget_s,
            classes={record.uid: record.name for record in bench.classes},
        )
        save_resume_state(self.folder, state)
        self.id = state.training
