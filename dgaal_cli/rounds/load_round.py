"""Loads the last trained round: its networks, and the current pool."""

from dataclasses import dataclass

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import Emit, Warned, ignore
from dgaal_cli.methods.base import Method
from dgaal_cli.methods.registry import load_method
from dgaal_cli.rounds.on_disk import OnDisk, gather
from dgaal_cli.rounds.state import (
    CHECKPOINT_NAME,
    RUN_NAME,
    damage_report,
    last_trained,
    read_record,
)
from dgaal_cli.store.protocol import Store
from dgaal_cli.training import checkpoint
from dgaal_cli.training.device import pick_device, use_threads, useful_threads
from dgaal_cli.training.seeding import initializing
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRound:
    """Networks of the last trained round on the device, with the current data."""

    number: int
    method: Method
    bench: OnDisk
    model_digest: bytes
    """SHA-256 of the checkpoint's weights."""


def load_round(
    workspace: Workspace, config: Config, store: Store, *, emit: Emit = ignore
) -> LoadedRound:
    """Load the newest trained round with a sound checkpoint; warn about newer damaged ones.

    Raises:
        UsageError: No round is trained yet, or classes or the method changed since.
        CheckpointError: No checkpoint is sound, or it does not fit the configuration.
    """
    number = last_trained(workspace)
    damage = damage_report(workspace, newest=number)
    if number is None and damage:
        raise CheckpointError(f"{damage}; run 'dgaal train --fresh', which changes no label")
    if number is None:
        raise UsageError("nothing is trained yet; run 'dgaal train' first")
    if damage:
        emit(Warned(message=f"{damage}; 'dgaal train' makes a new one"))
    folder = workspace.round_path(number)
    run = read_record(folder / RUN_NAME)
    if run["method"] != config.method:
        raise UsageError(
            f"round {number} was trained by '{run['method']}' and the method is now "
            f"'{config.method}'; run 'dgaal train --fresh'"
        )
    tensors, _ = checkpoint.load(folder / CHECKPOINT_NAME)
    use_threads(config.threads, useful=useful_threads(config))
    device = pick_device(config.device)
    bench = gather(workspace, config, store, number=number, device=device, emit=emit)
    if [record.uid for record in bench.classes] != run["class_uids"]:
        raise UsageError(
            f"classes changed since round {number} was trained; run 'dgaal train --fresh' first"
        )
    with initializing(config.seed, number, "networks"):
        method = load_method(config, bench.dataset.shape)
    checkpoint.restore_modules(method.modules, tensors)
    for module in method.modules.values():
        module.to(device).eval()
    return LoadedRound(
        number=number,
        method=method,
        bench=bench,
        model_digest=checkpoint.weights_digest(folder / CHECKPOINT_NAME),
    )
