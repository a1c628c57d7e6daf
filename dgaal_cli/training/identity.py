"""Whether a saved training can be resumed: labels, settings and machine must agree."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeGuard, cast

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError
from dgaal_cli.escaping import show
from dgaal_cli.training.device import processor_name
from dgaal_cli.training.runtime import Runtime

WITHOUT_EFFECT = (
    "version",
    "name",
    "store",
    "label",
    "query",
    "device",
    "threads",
    "precision",
    "compile",
)
"""Settings that change no training, or that ``machine_of`` compares; see ``settings_of``."""


def settings_of(config: Config) -> dict[str, Any]:
    """Return every setting that changes what a training computes, by its dotted key."""
    tree = {key: value for key, value in asdict(config).items() if key not in WITHOUT_EFFECT}
    # Schedules depend on the progress of labeling, hence on the budget and the query size.
    tree["query"] = {"budget": config.query.budget}
    if config.query.budget:
        tree["query"]["size"] = config.query.size
    return _flat(tree)


def machine_of(runtime: Runtime, *, is_compiled: bool) -> dict[str, Any]:
    """Return what must agree, besides labels and settings, for bitwise equal training.

    Libraries choose kernels by the processor; other kernels add in another order.
    """
    machine: dict[str, Any] = {
        "CPU": f"{processor_name()} ({torch.backends.cpu.get_cpu_capability()})",
        "CPU threads": runtime.threads,
        "device": runtime.device.type,
        "precision": runtime.precision,
        "processes": runtime.world,
        "compiled": is_compiled,
        "torch": torch.__version__,
    }
    if runtime.device.type == "cuda":
        machine["GPU"] = torch.cuda.get_device_name(runtime.device)
        machine["CUDA"] = torch.version.cuda
        machine["cuDNN"] = torch.backends.cudnn.version()
    return machine


def check_same(
    state: Mapping[str, Any],
    *,
    identity: Mapping[str, Any],
    machine: Mapping[str, Any],
    number: int,
    is_inexact_allowed: bool,
) -> list[str]:
    """Check that a training can be resumed from a saved state.

    Args:
        state: Saved training with its ``identity`` and ``machine``.
        identity: Current labels, pool and settings.
        machine: Current machine.
        number: Round number.
        is_inexact_allowed: Whether the machine may differ.

    Returns:
        Differences of the machines since the round started, in words.

    Raises:
        CheckpointError: The state belongs to other labels, settings or another machine.
    """
    changed = differences(state["identity"], identity)
    if changed:
        raise CheckpointError(
            f"round {number} stopped midway and cannot be resumed: {'; '.join(changed)}; "
            "undo the change, or restart the round with --fresh"
        )
    inexact = [*state["inexact"], *differences(state["machine"], machine)]
    if len(inexact) > len(state["inexact"]) and not is_inexact_allowed:
        raise CheckpointError(
            f"round {number} stopped midway, and resuming it here would not give the same "
            f"bits: {'; '.join(inexact)}; resume it on the same machine, accept the difference "
            "with --allow-inexact, or restart the round with --fresh"
        )
    return inexact


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe each difference: settings with both values, digests by name only."""
    found: list[str] = []
    for key in sorted(saved.keys() | now.keys()):
        before, after = saved.get(key), now.get(key)
        if before == after:
            continue
        if _is_table(before) and _is_table(after):
            found += differences(before, after)
        elif _is_digest(before) or _is_digest(after) or key == "labels":
            found.append(f"{key} changed since")
        else:
            found.append(f"{key} was {_value_text(before)}, is {_value_text(after)}")
    return found


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{path}{key}.")
        else:  # saved as JSON, which has no tuples
            flat[path + key] = [*cast("tuple[Any]", value)] if isinstance(value, tuple) else value
    return flat


def _is_table(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def _value_text(value: object) -> str:
    if value is None:
        return "not there"
    return show(str(value).lower() if isinstance(value, bool) else str(value)) or "empty"
