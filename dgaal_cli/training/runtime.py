"""Where a training runs: device, threads, precision, and the processes that share the work.

One process is the plain case and costs nothing. Started by ``torchrun``, every process trains the
same networks on its own batches; before an optimizer steps, the gradients are averaged. Process 0
alone locks, writes and speaks.
"""

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from dgaal_cli.errors import InterruptedRunError
from dgaal_cli.training.device import pick_device, use_threads
from dgaal_cli.training.precision import Precision, pick_precision

PATIENCE = timedelta(minutes=30)
"""How long a process waits for another one, which may be decoding a large pool."""
TERMINATED = 15
"""Number of the signal that ``torchrun`` sends the others when one process dies."""


class ProcessLostError(InterruptedRunError):
    """Another process of the same training ended; what was saved last is whole."""

    def __init__(self, message: str = "another process of this training ended") -> None:
        super().__init__(message, signal_number=TERMINATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The hardware of one process, and its place among ``world`` of them."""

    device: torch.device
    precision: Precision = "fp32"
    threads: int = 1
    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def seed_parts(self) -> tuple[int | str, ...]:
        """Parts that keep this process's draws apart from the others'; none for process 0."""
        return () if self.rank == 0 else ("process", self.rank)

    def share_gradients(self, optimizers: Iterable[Optimizer]) -> None:
        """Average gradients over all processes before each step of ``optimizers``.

        One sum over all gradients of an optimizer, laid end to end: the networks are small, and a
        wrapper around each would forbid the games' several passes before a backward one
        (pytorch#175024). Weights that begin equal stay equal to the bit.
        """
        if self.world == 1:
            return
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(self._average)

    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite weights and buffers with those of process 0."""
        if self.world == 1:
            return
        with _listening_to_others(), torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def agree(self, wish: int) -> int:
        """Return the largest of all processes' wishes: what one is asked to do, all do."""
        if self.world == 1:
            return wish
        shared = torch.tensor([wish], device=self.device)
        with _listening_to_others():
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
        with _listening_to_others():
            dist.all_reduce(flat)
        flat /= self.world
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()


@contextmanager
def starting(
    *,
    device: str,
    precision: str,
    threads: int,
    useful_threads: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Generator[Runtime]:
    """Pick the hardware and, where ``torchrun`` started this process, meet the others.

    Args:
        device: auto, cpu, cuda, cuda:N or mps; each process of a host takes a GPU of its own.
        precision: auto, fp32 or bf16.
        threads: CPU threads of this process; 0 takes its part of what the host offers, as far as
            they are of use.
        useful_threads: How many are; None: all.
        environment: Where ``torchrun`` says who this process is.

    Raises:
        UsageError: The host lacks the device or the precision.
    """
    world = world_of(environment)
    rank, local = (int(environment.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    chosen = pick_device(device)
    if world > 1 and chosen.type == "cuda":
        chosen = pick_device(f"cuda:{local}")
        torch.cuda.set_device(chosen)
    here = int(environment.get("LOCAL_WORLD_SIZE", str(world))) if world > 1 else 1
    runtime = Runtime(
        device=chosen,
        precision=pick_precision(precision, chosen),
        threads=use_threads(threads, useful=useful_threads, processes=here),
        rank=rank if world > 1 else 0,
        world=world,
    )
    if world == 1:
        yield runtime
        return
    # Its functions take the group of the moment of their import as a default and would keep it
    # alive, threads and all, into the interpreter's end, which such a thread can abort.
    import_module("torch.distributed.nn")
    options: dict[str, Any] = {"device_id": chosen} if chosen.type == "cuda" else {}
    with _listening_to_others():
        dist.init_process_group(
            "nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE, **options
        )
    try:
        yield runtime
    finally:
        dist.destroy_process_group()


def world_of(environment: Mapping[str, str]) -> int:
    """Return how many processes train together, 1 unless ``torchrun`` says otherwise."""
    if not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return 1
    return int(environment.get("WORLD_SIZE", "1"))


def is_first_process(environment: Mapping[str, str]) -> bool:
    """Tell whether this process is the one of a training that speaks."""
    return world_of(environment) == 1 or environment.get("RANK") == "0"


@contextmanager
def _listening_to_others() -> Generator[None]:
    """Turn a broken connection, which torch reports as a plain ``RuntimeError``, into a sentence.

    The block holds nothing but one collective call.
    """
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError from error
