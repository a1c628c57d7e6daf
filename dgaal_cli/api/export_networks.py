"""The networks of the last trained round as export jobs, with their manifests."""

from typing import cast

import numpy as np
import torch

from dgaal_cli.api.network_score import NetworkScore
from dgaal_cli.artifacts.feature_head import Standardization
from dgaal_cli.artifacts.verify_artifact import INT8_ROLE, ExportJob
from dgaal_cli.config.schema import Config
from dgaal_cli.data.images import RESIZE_RULE
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.methods.registry import why_no_sampler
from dgaal_cli.networks.deploy import Deployed, Input, Output, Sampler
from dgaal_cli.rounds.load_round import LoadedRound, load_round
from dgaal_cli.rounds.state import METRICS_NAME, read_record
from dgaal_cli.store.protocol import Store
from dgaal_cli.training.modes import evaluating
from dgaal_cli.workspace import Workspace
from exporters.manifest import Manifest, TensorInfo
from exporters.spec import ExportSpec

QUANTILES = 101
MAX_SAMPLE = 20_000
"""Maximum number of evenly spaced pool images for the reference quantiles of the scores."""
COMPARED_IMAGES = 64
"""Pool images for the parity check."""
SCORED_AT_ONCE = 512


def network_jobs(
    workspace: Workspace, config: Config, store: Store, *, is_quantized: bool, emit: Emit
) -> tuple[list[ExportJob], int]:
    """Return the export jobs of the last trained round, and its number.

    Raises:
        UsageError: Nothing is trained, there is nothing to export, or int8 is requested without a
            sampler.
    """
    trained = load_round(workspace, config, store, emit=emit)
    jobs = export_jobs(workspace, config, trained)
    why = why_no_sampler(config.method)
    if not jobs:
        raise UsageError(
            "nothing to export yet: the task model needs labels of two classes; label a query, "
            "then run 'dgaal train'"
        )
    if is_quantized and all(job.role != INT8_ROLE for job in jobs):
        raise UsageError(f"{why or 'there is no sampler yet'}; leave --int8 out")
    if why:
        emit(Warned(message=f"{why}; 'dgaal score' needs a sampler of another method"))
    return jobs, trained.number


def network_score(
    workspace: Workspace,
    config: Config,
    store: Store,
    standardization: Standardization,
    *,
    emit: Emit,
) -> NetworkScore | None:
    """Return the score of the last trained round's sampler on features; None if it has none.

    Raises:
        UsageError: Nothing is trained.
    """
    trained = load_round(workspace, config, store, emit=emit)
    modules = trained.method.deploy(trained.bench.data)
    found = (module for module in modules if isinstance(module, Sampler))
    return next((NetworkScore(standardization, module) for module in found), None)


def export_jobs(workspace: Workspace, config: Config, trained: LoadedRound) -> list[ExportJob]:
    """Return an export job for each module of the round that can be exported."""
    data = trained.bench.data
    modules = trained.method.deploy(data)
    if not data.can_learn:  # the task model is not trained
        modules = [module for module in modules if module.role == "generator"]
    step = max(1, len(data.pixels) // COMPARED_IMAGES)
    images = np.ascontiguousarray(data.pixels[::step][:COMPARED_IMAGES])
    return [
        ExportJob(
            module=module.cpu().eval(),
            spec=ExportSpec(manifest=_manifest(workspace, config, trained, module), images=images),
            pool=data.pixels,
        )
        for module in modules
    ]


def _manifest(
    workspace: Workspace, config: Config, trained: LoadedRound, module: Deployed
) -> Manifest:
    bench = trained.bench
    metrics = read_record(workspace.round_path(trained.number) / METRICS_NAME)
    has_classes = module.role != "generator"
    samples = rendering_of(config.pool).value_range
    inputs, outputs = _tensors(bench.data.pixels[:2], module)
    return Manifest(
        role=module.role,
        method=config.method,
        input_size=config.pool.image_size,
        channels=config.pool.channels,
        inputs=inputs,
        outputs=outputs,
        resize_rule=RESIZE_RULE,
        classes=tuple(r.name for r in bench.classes) if has_classes else (),
        class_uids=tuple(r.uid for r in bench.classes) if has_classes else (),
        score_quantiles=_quantiles(trained, module) if module.role == "sampler" else (),
        dataset_digest=bench.dataset_digest,
        seed=config.seed,
        round=trained.number,
        labels=metrics["labels"],
        accuracy=metrics["accuracy"],
        sample_range=samples,
        schema=1 if samples is None else 2,
    )


def _tensors(
    pixels: np.ndarray, module: Deployed
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Describe a module's inputs and outputs, with the shapes and types of one forward pass."""
    example = {
        each.name: torch.full((len(pixels), each.width), each.neutral)
        if each.width
        else torch.from_numpy(np.array(pixels))
        for each in module.inputs
    }
    with evaluating(module):
        result = module.cpu()(*example.values())
    results = cast("tuple[torch.Tensor, ...]", result if isinstance(result, tuple) else (result,))
    return tuple(
        _info(each, tensor) for each, tensor in zip(module.inputs, example.values(), strict=True)
    ), tuple(_info(each, tensor) for each, tensor in zip(module.outputs, results, strict=True))


def _info(declared: Input | Output, tensor: torch.Tensor) -> TensorInfo:
    return TensorInfo(
        name=declared.name,
        shape=("N", *tensor.shape[1:]),
        dtype=str(tensor.dtype).removeprefix("torch."),
        meaning=declared.meaning,
    )


def _quantiles(trained: LoadedRound, sampler: Deployed) -> tuple[float, ...]:
    """Return percentiles of the pool's scores, the reference for measuring drift."""
    pixels = trained.bench.data.pixels
    pixels = pixels[:: max(1, -(-len(pixels) // MAX_SAMPLE))]
    scores: list[np.ndarray] = []
    with evaluating(sampler):
        for start in range(0, len(pixels), SCORED_AT_ONCE):
            chunk = np.array(pixels[start : start + SCORED_AT_ONCE])
            scores.append(sampler.cpu()(torch.from_numpy(chunk))[0].numpy())
    levels = np.linspace(0.0, 1.0, QUANTILES)
    return tuple(float(q) for q in np.quantile(np.concatenate(scores), levels))
