"""Check packages, devices, terminal and workspace, and name the commands that fix problems."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from itertools import takewhile
from pathlib import Path
from typing import cast

from dgaal_cli.data.decoders.launch import usable_cpus
from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.features.cache import cache_folder, open_shards
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.runtime.devices import count_cuda_devices
from dgaal_cli.scratch import earlier_litter, sweep
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import StoreLocation
from dgaal_cli.version import __version__
from dgaal_cli.workspace import Workspace

Level = str
"""``ok``, ``missing``, ``old`` or ``risk``."""

FLOORS = {
    "numpy": (2, 0),
    "pillow": (13, 0),
    "textual": (8, 2),
    "onnxruntime": (1, 24),
    "safetensors": (0, 5),
    "torch": (2, 11),
    "torchvision": (0, 26),
    "onnx": (1, 21),
    "onnxscript": (0, 5, 4),
    "scikit-learn": (1, 6),
    "matplotlib": (3, 10),
    "pyarrow": (18,),
}
"""Minimum version of each package; older versions have known faults."""
_TRAIN = ("torch", "torchvision", "onnx", "onnxscript", "scikit-learn", "matplotlib")
EXTRAS = {**dict.fromkeys(_TRAIN, "train"), "pyarrow": "parquet"}
_ALIASES = {"onnxruntime": ("onnxruntime-gpu", "onnxruntime")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    level: Level = "ok"
    found: str
    remedy: str = ""
    """The command that fixes the problem; empty without a problem."""


def doctor(environment: Mapping[str, str], workspace: Workspace | None = None) -> list[Finding]:
    """Check versions, devices and the terminal; imports torch and onnxruntime if installed.

    Args:
        environment: Environment variables of the process.
        workspace: Workspace whose file system and backups are checked too.
    """
    location = store_location(workspace or "labels.db")
    engine, version = location.engine()
    term, color = environment.get("TERM", "unset"), environment.get("COLORTERM", "unset")
    return [
        Finding(name="dgaal", found=__version__),
        Finding(name="python", found=f"{platform.python_version()} at {sys.executable}"),
        *(_package(name) for name in FLOORS),
        Finding(name=engine, found=version),
        _torch_devices(),
        _onnx_devices(),
        _onnx_cuda(),
        Finding(name="cpu threads", found=str(usable_cpus())),
        Finding(name="terminal", found=f"TERM={term}, COLORTERM={color}"),
        *([] if workspace is None else _workspace(workspace, location)),
    ]


def _workspace(workspace: Workspace, location: StoreLocation) -> list[Finding]:
    folders = [workspace.root]
    for name in ("backups", "rounds", "artifacts", "cache", "report"):
        folders += [Path(inside) for inside, _, _ in os.walk(workspace.root / name)]
    removed = f"{sum(map(sweep, folders))} of killed commands were removed"
    litter = Finding(name="temporary files", found=removed)
    found = [_file_system(workspace, location), _backups(location), litter]
    if earlier := [path for folder in folders for path in earlier_litter(folder)]:
        found.append(
            Finding(
                name="earlier temporary files",
                found=f"{len(earlier)} of an earlier dgaal; remove them if it does not run here",
                remedy=f"rm -r {shlex.join(map(str, earlier))}",
            )
        )
    try:
        config = configuration(workspace)
    except UsageError as error:
        return [*found, Finding(name="dgaal.toml", level="risk", found=str(error))]
    cache = cache_folder(workspace, config.features)
    return [*found, _features(cache)] if cache.is_dir() else found


def _features(cache: Path) -> Finding:
    """Read all features and compare them with their digests."""
    rows, damaged = 0, 0
    for folder in sorted(cache.iterdir()):
        shards, refused = open_shards(folder, None, max_checked=sys.maxsize)
        rows += sum(map(len, shards))
        damaged += len(refused)
    if not damaged:
        return Finding(name="features", found=f"{rows:,} rows in {cache}, all as written")
    return Finding(
        name="features",
        level="risk",
        found=f"{damaged} damaged files in {cache}, beside {rows:,} rows",
        remedy="dgaal features --check",
    )


def _package(name: str) -> Finding:
    version = _version(name)
    extra = EXTRAS.get(name)
    install = f"python -m pip install 'dgaal[{extra}]'" if extra else "python -m pip install dgaal"
    if version is None:
        return Finding(name=name, level="missing", found="not installed", remedy=install)
    if _numbers(version) < FLOORS[name]:
        floor = ".".join(map(str, FLOORS[name]))
        upgrade = f"python -m pip install --upgrade '{name}>={floor}'"
        return Finding(name=name, level="old", found=version, remedy=upgrade)
    return Finding(name=name, found=version)


def _version(name: str) -> str | None:
    for distribution in _ALIASES.get(name, (name,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+", 1)[0].split(".")
    return tuple(int(part) for part in takewhile(str.isdigit, parts))


def _file_system(workspace: Workspace, location: StoreLocation) -> Finding:
    kind = location.network_filesystem()
    if kind is None:
        return Finding(name="file system", found="local")
    return Finding(
        name="file system",
        level="risk",
        found=f"{kind}, over a network: one person on one host only",
        remedy=f"cp -a {shlex.quote(str(workspace.root))} LOCAL_FOLDER",
    )


def _backups(location: StoreLocation) -> Finding:
    try:
        with location.open(read_only=True, checks_all=True) as store:
            events, problems = store.watermark(), store.check()
    except DgaalError as error:
        return Finding(name="labels", level="risk", found=str(error), remedy="dgaal labels restore")
    if problems:
        found, remedy = "; ".join(problems), "dgaal labels check --mend"
        return Finding(name="labels", level="risk", found=found, remedy=remedy)
    missing = location.overdue(events)
    if missing is None:
        count = len(location.backups())
        return Finding(name="backups", found=f"{count} of {events} events")
    return Finding(
        name="backups",
        level="risk",
        found=f"the last automatic backup failed: {missing} events are in no backup",
        remedy="dgaal labels backup",
    )


def _torch_devices() -> Finding:
    if util.find_spec("torch") is None:
        return Finding(name="torch devices", found="torch is not installed")
    import torch

    count = torch.cuda.device_count()
    names = [torch.cuda.get_device_name(i) for i in range(count)]
    if torch.backends.mps.is_available():
        names.append("mps")
    return Finding(name="torch devices", found=", ".join(["cpu", *names]))


def _onnx_devices() -> Finding:
    if util.find_spec("onnxruntime") is None:
        return Finding(name="onnx providers", found="onnxruntime is not installed")
    import onnxruntime

    providers = cast("list[str]", onnxruntime.get_available_providers())
    short = [name.removesuffix("ExecutionProvider") for name in providers]
    return Finding(name="onnx providers", found=", ".join(short))


def _onnx_cuda() -> Finding:
    """Check whether the NVIDIA GPUs can run artifacts."""
    name = "onnx on cuda"
    count = count_cuda_devices()
    if not count:
        return Finding(name=name, found="the driver shows no CUDA device")
    remedy = "python -m pip install 'dgaal[cuda]'"
    if util.find_spec("onnxruntime") is None:
        return Finding(name=name, level="missing", found="no onnxruntime", remedy=remedy)
    from dgaal_cli.runtime.onnx_session import has_cuda, preload_cuda

    found = f"{count} CUDA devices"
    if not has_cuda():
        problem = f"{found}, but this onnxruntime has no CUDA"
    elif missing := preload_cuda():
        problem = f"{found}, libraries are missing: {missing}"
    else:
        return Finding(name=name, found=found)
    return Finding(name=name, level="missing", found=problem, remedy=remedy)
