"""Training states on disk: tensors as safetensors, everything else as JSON, a hash over both.

Nothing is pickled, so loading a checkpoint cannot run code; see ``checkpoint_folder``.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from dgaal_cli.errors import CheckpointError
from dgaal_cli.training.checkpoint_folder import (
    FORMAT_VERSION,
    STATE_NAME,
    TENSORS_NAME,
    candidates,
    read_parts,
    write,
)

Tensors = dict[str, Tensor]
State = dict[str, Any]


def save(folder: Path, tensors: Mapping[str, Tensor], state: State) -> None:
    """Write tensors by name and JSON values; ``folder`` always holds the complete old or new one.

    Raises:
        StorageError: The disk is full or not writable; the old checkpoint is untouched.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(folder, serialize_tensors(contiguous), state)


def load(folder: Path) -> tuple[Tensors, State]:
    """Read a checkpoint and check its hashes.

    Falls back to the older copy that an interrupted ``save`` may have left.

    Raises:
        CheckpointError: The checkpoint is missing, damaged, or of a newer version.
    """
    found = candidates(folder)
    if not found:
        raise CheckpointError(f"no complete checkpoint at {folder}; run 'dgaal train'")
    for candidate in found[:-1]:
        with contextlib.suppress(CheckpointError):
            return _read(candidate)
    return _read(found[-1])


def weights_digest(folder: Path) -> bytes:
    """Return the SHA-256 of the tensors file that ``load`` reads.

    Raises:
        CheckpointError: As ``load``.
    """
    for candidate in candidates(folder):
        with contextlib.suppress(CheckpointError):
            return hashlib.sha256(read_parts(candidate)[TENSORS_NAME]).digest()
    raise CheckpointError(f"the checkpoint {folder} is missing or damaged")


def exists(folder: Path) -> bool:
    """Return whether a checkpoint is at ``folder``; only ``load`` checks its hashes."""
    return bool(candidates(folder))


def module_tensors(modules: Mapping[str, nn.Module]) -> Tensors:
    """Collect the weights and buffers of named modules."""
    return {
        f"module.{name}.{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def restore_modules(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load saved weights into modules.

    Raises:
        CheckpointError: Names or shapes do not match; another architecture or config wrote them.
    """
    for name, module in modules.items():
        prefix = f"module.{name}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(
                f"the checkpoint's network '{name}' does not fit this configuration "
                f"({str(error).splitlines()[-1].strip()}); "
                "undo the change of [network] or pool size, or train from scratch with --fresh"
            ) from error


def optimizer_tensors(optimizers: Mapping[str, Optimizer]) -> tuple[Tensors, State]:
    """Split optimizers' states into tensors and JSON values."""
    tensors: Tensors = {}
    scalars: State = {}
    for name, optimizer in optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                path = f"optimizer.{name}.{index}.{key}"
                if isinstance(value, Tensor):
                    tensors[path] = value
                else:
                    scalars[path] = value
    return tensors, scalars


def restore_optimizers(
    optimizers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor], scalars: State
) -> None:
    """Load saved moments; learning rates are functions of the step and are not saved."""
    for name, optimizer in optimizers.items():
        prefix = f"optimizer.{name}."
        state: dict[int, dict[str, Any]] = {}
        for path, value in (*tensors.items(), *scalars.items()):
            if path.startswith(prefix):
                index, key = path.removeprefix(prefix).split(".", 1)
                state.setdefault(int(index), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        _lay_out_moments(optimizer)


def _lay_out_moments(optimizer: Optimizer) -> None:
    """Give moments the memory format of their parameter, as fused steps need it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            moments = optimizer.state.get(parameter, {})
            for key, value in moments.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    moments[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _read(folder: Path) -> tuple[Tensors, State]:
    parts = read_parts(folder)
    try:
        state: Any = json.loads(parts[STATE_NAME])
        if not isinstance(state, dict):
            raise ValueError("the state is not an object")  # noqa: TRY301, TRY004
        tensors = parse_tensors(parts[TENSORS_NAME])
    except (ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointError(
            f"the checkpoint {folder} was not written by dgaal; train the round again with --fresh"
        ) from error
    found = cast("State", state)
    if found.get("version") != FORMAT_VERSION:
        raise CheckpointError(
            f"the checkpoint {folder} has version {found.get('version')}, "
            f"this dgaal reads {FORMAT_VERSION}; upgrade dgaal"
        )
    return tensors, found
