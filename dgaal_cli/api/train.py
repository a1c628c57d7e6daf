"""Train one round: the task model, and the method's networks if it has some."""

import os
from collections.abc import Sequence

from dgaal_cli import events
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit
from dgaal_cli.methods.registry import trains_no_network
from dgaal_cli.rounds.train_result import TrainResult
from dgaal_cli.training.launch import world_of
from dgaal_cli.workspace import Workspace


def train(  # noqa: PLR0913 - every option of one training
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
    """Train the next round, or resume an interrupted one.

    If no network is trained (``registry.trains_no_network``), the task model is fitted to features,
    in seconds and without torch; then ``budget_s``, ``began``, ``assignments`` and
    ``is_inexact_allowed`` have no effect.

    An open query is closed only after the new round is trained. Until then its unanswered images
    can still be labeled. Under ``torchrun`` every process calls this function with the same
    arguments; process 0 writes, and all processes return the same result.

    Args:
        workspace: Workspace to train in.
        config: Configuration.
        emit: Listener for progress; called by process 0 only.
        is_fresh: Discard an interrupted training of this round and start from scratch.
        must_resume: Raise an error if there is no interrupted training to resume.
        budget_s: Time limit of the round in seconds, which includes reading the pool and
            interrupted runs; steps are skipped to keep it. None: that of an interrupted run, if
            there is one.
        began: ``time.perf_counter()`` when the time of this run began; None for now.
        assignments: Values of ``config`` that were set on the command line, in this run or in
            interrupted runs of this round; saved for the next resume.
        is_inexact_allowed: Resume with another processor, thread count, precision or versions than
            the round started with; the result may then differ in bits.
        has_event_files: Also write losses and metrics as TensorBoard event files.

    Raises:
        UsageError: Nothing changed since the last round was trained, there is no training to
            resume, a batch does not fit into memory, reading the pool or one pass does not fit into
            the time, torch's compiler fails, or event files of losses are requested although no
            network is trained.
        CheckpointError: An interrupted training belongs to other labels, settings or machine.
        InterruptedRunError: A signal stopped the training; the state is saved.
        CheckFailedError: A loss became infinite or NaN.
        BusyError: Another process trains in this workspace.
    """
    if not trains_no_network(config):
        from dgaal_cli.api.train_networks import train_networks

        return train_networks(
            workspace,
            config,
            emit=emit,
            is_fresh=is_fresh,
            must_resume=must_resume,
            budget_s=budget_s,
            began=began,
            assignments=assignments,
            is_inexact_allowed=is_inexact_allowed,
            has_event_files=has_event_files,
        )
    from dgaal_cli.rounds.head_training import train_heads

    if has_event_files:
        raise UsageError(
            f"--tensorboard writes the losses of networks, but '{config.method}' on features has "
            "none; leave it out"
        )
    if world_of(os.environ) > 1:
        raise UsageError(
            f"'{config.method}' on features has no networks to train in several processes; run "
            "'dgaal train' without torchrun"
        )
    return train_heads(workspace, config, is_fresh=is_fresh, must_resume=must_resume, emit=emit)
