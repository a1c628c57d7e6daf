"""Loads the last trained round: its networks, and the current pool."""

from dataclasses import dataclass

from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit, ignore
from dgaal_cli.methods.base import Method
from dgaal_cli.methods.registry import load_method
from dgaal_cli.rounds.last_round import last_round
from dgaal_cli.rounds.on_disk import OnDisk, gather
from dgaal_cli.rounds.state import CHECKPOINT_NAME
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
    last = last_round(workspace, config, emit)
    number, folder = last.number, last.folder
    tensors, _ = checkpoint.load(folder / CHECKPOINT_NAME)
    use_threads(config.threads, useful=useful_threads(config))
    device = pick_device(config.device)
    bench = gather(workspace, config, store, number=number, device=device, emit=emit)
    last.check_classes(bench.classes)
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
