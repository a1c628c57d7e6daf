"""Device, threads and precision of a training, and the processes that share the work.

Under ``torchrun`` every process trains the same networks on its own batches; before an optimizer
steps, the gradients are averaged. Only process 0 locks, writes and prints.
"""

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import ConfigError, InterruptedRunError
from dgaal_cli.training.device import pick_device, use_threads
from dgaal_cli.training.launch import world_of
from dgaal_cli.training.precision import Precision, pick_precision

PATIENCE = timedelta(minutes=30)
"""Maximum wait for another process, which may be decoding a large pool."""
TERMINATED = 15
"""Signal that ``torchrun`` sends the other processes when one process ends."""
SHARED_SECTIONS = ("pretrain", "coevolve", "classifier", "vaal", "gaal")
"""Sections of the configuration whose batches the processes share."""


class ProcessLostError(InterruptedRunError):
    """Another process of the same training ended; the last saved state is complete."""

    def __init__(self, message: str = "another process of this training ended") -> None:
        super().__init__(message, signal_number=TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Hardware of one process, and its rank among ``world`` processes."""

    device: torch.device
    precision: Precision = "fp32"
    threads: int = 1
    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def seed_parts(self) -> tuple[int | str, ...]:
        """Return seed parts that make the draws of each process differ; none for process 0."""
        return () if self.rank == 0 else ("process", self.rank)

    def share_gradients(self, optimizers: Iterable[Optimizer]) -> None:
        """Average gradients over all processes before each step of ``optimizers``.

        One sum over the concatenated gradients of an optimizer: the networks are small, and a
        wrapper around each does not allow several forward passes before a backward one
        (pytorch#175024), as games need. Equal weights stay bitwise equal.
        """
        if self.world == 1:
            return
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(self._average)

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite weights and buffers with those of process 0."""
        if self.world == 1:
            return
        with _detect_lost_process(), torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def agree(self, request: int) -> int:
        """Return the maximum of all processes' requests, so that all do the same."""
        if self.world == 1:
            return request
        shared = torch.tensor([request], device=self.device)
        with _detect_lost_process():
            dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared.item())

    def from_main(self, value: int) -> int:
        """Return process 0's value, below 2^63, in every process."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.int64, device=self.device)
        self.copy_from_main([shared])
        return int(shared.item())

    def _average(self, optimizer: Optimizer, _args: object, _options: object) -> None:
        parameters: list[Tensor] = [p for g in optimizer.param_groups for p in g["params"]]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with _detect_lost_process():
            dist.all_reduce(flat)
        flat /= self.world
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()


@contextmanager
def start_runtime(
    *,
    device: str,
    precision: str,
    threads: int,
    useful_threads: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Generator[Runtime]:
    """Select the hardware and, under ``torchrun``, connect to the other processes.

    Args:
        device: auto, cpu, cuda, cuda:N or mps; each process of a host uses its own GPU.
        precision: auto, fp32 or bf16.
        threads: CPU threads of this process; 0 uses its part of the host's threads, at most
            ``useful_threads``.
        useful_threads: Number above which threads do not help; None sets no limit.
        environment: Environment variables of ``torchrun``.

    Raises:
        UsageError: The host does not have the device or the precision.
    """
    world = world_of(environment)
    rank, local = (int(environment.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    chosen = pick_device(device)
    if world > 1 and chosen.type == "cuda":
        chosen = pick_device(f"cuda:{local}")
        torch.cuda.set_device(chosen)
    local_world = int(environment.get("LOCAL_WORLD_SIZE", str(world))) if world > 1 else 1
    runtime = Runtime(
        device=chosen,
        precision=pick_precision(precision, chosen),
        threads=use_threads(threads, useful=useful_threads, processes=local_world),
        rank=rank if world > 1 else 0,
        world=world,
    )
    if world == 1:
        yield runtime
        return
    # Imported before the group exists: its functions keep the group of their import as a default,
    # whose threads could then abort the interpreter's exit.
    import_module("torch.distributed.nn")
    options: dict[str, Any] = {"device_id": chosen} if chosen.type == "cuda" else {}
    with _detect_lost_process():
        dist.init_process_group(
            "nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE, **options
        )
    try:
        yield runtime
    finally:
        dist.destroy_process_group()


def divide_batches(config: Config, *, world: int) -> Config:
    """Divide batches and passes by ``world``, so that all processes do the work of one.

    Each process gets its part of a batch, in as many steps; learning rates stay the same.

    Raises:
        ConfigError: A batch cannot be divided equally.
    """
    changed: dict[str, Any] = {}
    for name in SHARED_SECTIONS if world > 1 else ():
        section = getattr(config, name)
        if section.batch % world:
            raise ConfigError(
                f"'{name}.batch' is {section.batch}, which {world} processes cannot share equally; "
                "make it a multiple, or start fewer"
            )
        own: dict[str, Any] = {"batch": section.batch // world}
        if hasattr(section, "epochs"):
            own["epochs"] = section.epochs / world
        changed[name] = replace(section, **own)
    return replace(config, **changed)


@contextmanager
def _detect_lost_process() -> Generator[None]:
    """Turn torch's ``RuntimeError`` for a broken connection into ``ProcessLostError``.

    The block holds only one collective call.
    """
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError from error
