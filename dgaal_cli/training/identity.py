"""What a saved training must agree with to be continued, and what differs, in words."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeGuard, cast

import torch

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError
from dgaal_cli.escaping import show
from dgaal_cli.training.device import processor_name
from dgaal_cli.training.runtime import Runtime

WITHOUT_EFFECT = ("version", "name", "label", "query", "device", "threads", "precision", "compile")
"""Settings that change no training, or that ``Runtime`` answers for; but see ``settings_of``."""


def settings_of(config: Config) -> dict[str, Any]:
    """Return every setting that changes what a training computes, by its dotted key."""
    tree = {key: value for key, value in asdict(config).items() if key not in WITHOUT_EFFECT}
    # How far the labeling is, which schedules go by, follows from a budget and the queries' size.
    tree["query"] = {"budget": config.query.budget}
    if config.query.budget:
        tree["query"]["size"] = config.query.size
    return _flat(tree)


def machine_of(runtime: Runtime, *, is_compiled: bool) -> dict[str, Any]:
    """Return what must agree, besides labels and settings, for a training to lead to the same bits.

    Libraries pick their kernels by the processor: the same program on another one adds in another
    order.
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
    """Compare a saved state with what wants to go on from it.

    Args:
        state: Of the saved training, with its own ``identity`` and ``machine``.
        identity: The current labels, pool and settings.
        machine: Of now.
        number: The round.
        is_inexact_allowed: The machine may differ.

    Returns:
        How machines differed since the round began, in words.

    Raises:
        CheckpointError: It belongs to other labels or settings, or to another machine.
    """
    changed = differences(state["identity"], identity)
    if changed:
        raise CheckpointError(
            f"round {number} stopped midway and cannot go on: {'; '.join(changed)}; "
            "put it back, or start the round again with --fresh"
        )
    inexact = [*state["inexact"], *differences(state["machine"], machine)]
    if len(inexact) > len(state["inexact"]) and not is_inexact_allowed:
        raise CheckpointError(
            f"round {number} stopped midway, and going on here would not lead to the same "
            f"bits: {'; '.join(inexact)}; go on as it began, accept that with "
            "--allow-inexact, or start the round again with --fresh"
        )
    return inexact


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs: settings with both values, digests by their name alone."""
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
            found.append(f"{key} was {_said(before)}, is {_said(after)}")
    return found


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{path}{key}.")
        else:
            flat[path + key] = value
    return flat


def _is_table(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def _said(value: object) -> str:
    if value is None:
        return "not there"
    return show(str(value).lower() if isinstance(value, bool) else str(value)) or "empty"
