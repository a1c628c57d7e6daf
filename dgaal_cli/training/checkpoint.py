"""Training states on disk: tensors as safetensors, everything else as JSON, a hash over both.

A checkpoint is a folder that gets its name only when it is complete. Nothing is pickled, so loading
a checkpoint cannot run code.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as serialize_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from dgaal_cli.atomic import sync_folder, write_bytes
from dgaal_cli.errors import CheckpointError, StorageError
from dgaal_cli.scratch import scratch
from dgaal_cli.training.checkpoint_folder import (
    COMPLETE_NAME,
    STATE_NAME,
    TENSORS_NAME,
    candidates,
    older_folder,
    read_parts,
)

FORMAT_VERSION = 1

Tensors = dict[str, Tensor]
State = dict[str, Any]


def save(folder: Path, tensors: Mapping[str, Tensor], state: State) -> None:
    """Write tensors by name and JSON values; ``folder`` always holds the complete old or new one.

    Raises:
        StorageError: The disk is full or not writable; the old checkpoint is untouched.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    parts = {
        TENSORS_NAME: serialize_tensors(contiguous),
        STATE_NAME: json.dumps({"version": FORMAT_VERSION, **state}, indent=1).encode(),
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch(folder.parent, is_folder=True) as temporary:
            for name, data in parts.items():
                write_bytes(temporary / name, data)
            write_bytes(temporary / COMPLETE_NAME, json.dumps(hashes).encode())
            _swap(temporary, folder)
    except OSError as error:
        raise StorageError(
            f"cannot write the checkpoint {folder}: {error.strerror or error}; "
            "the previous one is unchanged"
        ) from error


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


def remove(folder: Path) -> None:
    """Delete a checkpoint; if the disk refuses, it stays complete."""
    for each in (folder, older_folder(folder)):
        try:
            (each / COMPLETE_NAME).unlink(missing_ok=True)  # without it the rest is ignored
        except OSError:
            continue
        shutil.rmtree(each, ignore_errors=True)


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


def _swap(temporary: Path, folder: Path) -> None:
    """Rename folders; after a kill between the two renames, ``load`` finds the old one."""
    older = older_folder(folder)
    sync_folder(temporary)
    if folder.exists():
        shutil.rmtree(older, ignore_errors=True)
        os.replace(folder, older)  # noqa: PTH105
    try:
        os.replace(temporary, folder)  # noqa: PTH105
    except OSError:
        if older.exists():
            os.replace(older, folder)  # noqa: PTH105
        raise
    sync_folder(folder.parent)
    shutil.rmtree(older, ignore_errors=True)
