"""Train one round: networks and task model on the current labels, and everything a query needs."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgaal_cli import events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import Emit, RoundStarted
from dgaal_cli.methods.base import Method
from dgaal_cli.rounds.engine import train_round
from dgaal_cli.rounds.folder import prepare, recording
from dgaal_cli.rounds.on_disk import Gathered, OnDisk, gather
from dgaal_cli.rounds.out_of_memory import explain
from dgaal_cli.rounds.record import TrainResult, finish, read_result
from dgaal_cli.rounds.resume_state import (
    Terms,
    beginning,
    begun_terms,
    named_classes,
    newest_terms,
    save_terms,
)
from dgaal_cli.rounds.state import RUN_NAME, is_unfinished, read_record, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.training.budget import Stopwatch
from dgaal_cli.training.compiling import explain_compiler_errors
from dgaal_cli.training.device import useful_threads
from dgaal_cli.training.identity import machine_of, settings_of
from dgaal_cli.training.memory import StepTooLargeError, explain_out_of_memory
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.progress_saver import ProgressSaver
from dgaal_cli.training.runner import Runner
from dgaal_cli.training.runtime import Runtime, divide_batches, start_runtime
from dgaal_cli.training.seeding import seed_of
from dgaal_cli.workspace import Workspace

SMALLER = "lower the sizes in [network], or free memory there and run 'dgaal train' again"
ELSEWHERE = (
    "what it learned is saved: free memory there and run 'dgaal train' again, or go on with "
    "'dgaal train --device cpu --allow-inexact'"
)
NOT_FINITE_ADVICE = (
    "look at these images, or lower a learning rate in [pretrain], [coevolve], [vaal] or "
    "[classifier], and run 'dgaal train --fresh'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the user asked of this run, besides the configuration."""

    assignments: tuple[str, ...]
    budget_s: float | None
    is_inexact_allowed: bool
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


def train(  # noqa: PLR0913 - all that a person may say of one training
    workspace: Workspace,
    config: Config,
    *,
    emit: Emit = events.ignore,
    is_fresh: bool = False,
    must_resume: bool = False,
    budget_s: float | None = None,
    assignments: Sequence[str] = (),
    is_inexact_allowed: bool = False,
    has_event_files: bool = False,
) -> TrainResult:
    """Train the next round, or go on with one that was interrupted.

    An open query is closed once the new round is trained: until then its unanswered images can
    still be labeled, however the training ends. Under ``torchrun`` every process calls this with
    the same arguments; process 0 writes, and all return the same.

    Args:
        workspace: Where.
        config: How.
        emit: Listener for progress; told by process 0 alone.
        is_fresh: Forget an interrupted training of this round and begin it anew.
        must_resume: There must be an interrupted training to go on with.
        budget_s: Seconds that the round may take, those of interrupted runs counted; steps are left
            out to keep it. None: what the round began with, at first no limit.
        assignments: What of ``config`` the command line gave, interrupted runs of this round
            included; kept for whoever goes on.
        is_inexact_allowed: Go on with another processor, other threads, precision or versions than
            the round began with, though the result may differ in bits.
        has_event_files: Write losses and metrics as TensorBoard event files too.

    Raises:
        UsageError: Nothing has changed since the last round was trained, there is nothing to go on
            with, a batch does not fit into memory, one pass not into the time, or torch's compiler
            fails.
        CheckpointError: An interrupted training belongs to other labels, settings or machine.
        InterruptedRunError: A signal asked to stop; the state is saved.
        CheckFailedError: A loss became infinite or NaN.
        BusyError: Another process trains here.
    """
    before = None if is_fresh else newest_terms(workspace)
    asked = _Asked(
        assignments=tuple(assignments),
        budget_s=before.budget_s if budget_s is None and before is not None else budget_s,
        is_inexact_allowed=is_inexact_allowed,
    )
    with (
        start_runtime(
            device=config.device,
            precision=config.precision,
            threads=config.threads or (before.threads if before is not None else 0),
            useful_threads=useful_threads(config),
        ) as runtime,
        workspace.lock("train", doing="training") if runtime.is_main else contextlib.nullcontext(),
        interruption.listening(),
        explain_compiler_errors(),
        open_store(workspace.store_path, read_only=not runtime.is_main) as store,
    ):
        number = runtime.from_main(
            _next_round(workspace, store, is_fresh=is_fresh) if runtime.is_main else 0
        )
        folder = workspace.round_path(number)
        if runtime.is_main:
            prepare(workspace, store, number, is_fresh=is_fresh, must_resume=must_resume)
        runtime.from_main(0)  # the others go on when the folder is as it shall be
        if not runtime.is_main:
            _train_round(
                workspace, config, store, runtime, asked, number=number, emit=events.ignore
            )
            return read_result(workspace, number)
        terms = Terms(
            watermark=store.watermark(),
            assignments=asked.assignments,
            threads=runtime.threads,
            budget_s=asked.budget_s,
            classes=named_classes(store.classes()),
        )
        with (
            beginning(folder, terms),
            recording(folder, emit, has_event_files=has_event_files) as tell,
        ):
            result = _train_round(
                workspace, config, store, runtime, asked, number=number, emit=tell
            )
        query = store.open_query()
        if query is not None and query.round < number:
            store.close_query(query.round)
        return result


def _next_round(workspace: Workspace, store: Store, *, is_fresh: bool) -> int:
    state = round_state(workspace, store)
    folder = workspace.round_path(state.to_train)
    if is_fresh or is_unfinished(folder):
        return state.to_train
    if state.trained is None and state.damage:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', no label is lost")
    if state.step == "query":
        run = read_record(folder / RUN_NAME)
        if store.watermark() == run["watermark"]:
            raise UsageError(
                f"round {state.number} is trained on all {run['labels']} labels there are; "
                "choose the next images with 'dgaal query', or train it again with --fresh"
            )
    return state.to_train


def _train_round(
    workspace: Workspace,
    config: Config,
    store: Store,
    runtime: Runtime,
    asked: _Asked,
    *,
    number: int,
    emit: Emit,
) -> TrainResult:
    gathered = _gather(workspace, config, store, runtime, number=number, emit=emit)
    own = divide_batches(config, world=runtime.world)
    bench = OnDisk(workspace=workspace, config=own, store=store, gathered=gathered)
    begin = _Begin(config=config, bench=bench, runtime=runtime, asked=asked, emit=emit)
    trained, too_large = None, None
    try:
        with explain_out_of_memory(f"round {number}", runtime.device, advice=SMALLER):
            trained = train_round(bench, begin.runner, emit=emit)
    except StepTooLargeError as error:
        too_large = StepTooLargeError(error.phase, error.title, error.batch_key)
    if too_large is not None:  # here, nothing holds on to the networks that did not fit
        raise explain(too_large, own, gathered)
    assert trained is not None
    facts = {
        "watermark": gathered.watermark,
        "training": begin.training,
        "synthesized": trained.copies,
        "resumed_at": begin.resumed_at,
        "compiled": trained.is_compiled,
        "seconds": trained.runner.stopwatch.seconds,
    }
    if runtime.is_main:
        with explain_out_of_memory(f"measuring round {number}", runtime.device, advice=ELSEWHERE):
            finish(
                workspace,
                config,
                gathered,
                trained.method,
                runner=trained.runner,
                facts=facts,
                emit=emit,
            )
    runtime.from_main(0)  # the others read what process 0 wrote
    return read_result(workspace, number)


def _gather(
    workspace: Workspace,
    config: Config,
    store: Store,
    runtime: Runtime,
    *,
    number: int,
    emit: Emit,
) -> Gathered:
    """Read the round's data; process 0 first, which leaves decoded pixels for the others."""
    watermark = runtime.from_main(_labels_up_to(workspace, store, number) if runtime.is_main else 0)
    if not runtime.is_main:
        runtime.from_main(0)
    gathered = gather(
        workspace,
        config,
        store,
        number=number,
        device=runtime.device,
        watermark=watermark,
        emit=emit,
    )
    if runtime.is_main:
        runtime.from_main(0)
    else:
        gathered.data.seed = seed_of(config.seed, *runtime.seed_parts())
    return gathered


@dataclass(slots=True, kw_only=True)
class _Begin:
    """Begins a training, or resumes an interrupted one, once its method is built."""

    config: Config
    """The user's; that of ``bench`` is this process's share of it."""
    bench: OnDisk
    runtime: Runtime
    asked: _Asked
    emit: Emit
    resumed_at: str = ""
    training: str = ""
    """Name of the training."""

    def runner(self, method: Method, phases: list[Phase], is_compiled: bool) -> Runner:  # noqa: FBT001
        """Make the runner, resume, and report that the round has started."""
        gathered, data, store = self.bench.gathered, self.bench.gathered.data, self.bench.store
        folder = self.bench.workspace.round_path(data.number)
        runner = Runner(
            saver=ProgressSaver(
                folder=folder,
                identity={
                    "labels": gathered.labels_digest,
                    "pool": gathered.dataset_digest,
                    "settings": settings_of(self.config),
                },
                machine=machine_of(self.runtime, is_compiled=is_compiled),
                is_inexact_allowed=self.asked.is_inexact_allowed,
            ),
            modules=method.modules,
            phases=phases,
            seed=self.config.seed,
            number=data.number,
            emit=self.emit,
            runtime=self.runtime,
            budget_s=self.asked.budget_s,
            stopwatch=self.asked.stopwatch,
            name=lambda item: store.item(item).sample_id,
            advice=NOT_FINITE_ADVICE,
            after_stop="everything is saved, 'dgaal train' goes on from there",
        )
        self.resumed_at = runner.resume()
        if self.runtime.is_main:
            self.training = self._keep_terms(folder, runner.budget_s)
        self.emit(
            RoundStarted(
                round=data.number,
                method=self.config.method,
                labels=len(data.labeled_rows),
                drawn_labels=int(data.synthetic.is_labeled.sum()),
                pool=len(data.pixels),
                device=str(data.device),
                resumed_at=self.resumed_at,
            )
        )
        return runner

    def _keep_terms(self, folder: Path, budget_s: float | None) -> str:
        """Write down what resuming needs, now that nothing contradicts it; return its name."""
        begun, gathered = begun_terms(folder), self.bench.gathered
        if begun is None:
            raise CheckpointError(
                "the saved state of this round was an older dgaal's, and damaged; it is set aside, "
                "and 'dgaal train' begins the round again"
            )
        assert gathered.watermark is not None
        terms = Terms(
            watermark=gathered.watermark,
            assignments=self.asked.assignments,
            threads=self.runtime.threads,
            budget_s=budget_s,
            classes=named_classes(gathered.classes),
            training=begun.training,
        )
        save_terms(folder, terms)
        return terms.training


def _labels_up_to(workspace: Workspace, store: Store, number: int) -> int:
    """Which labels the round learns: the current ones, or those an interrupted one began with.

    People may go on labeling while a round trains; their answers belong to the next round.
    """
    before = begun_terms(workspace.round_path(number))
    return store.watermark() if before is None else before.watermark
