"""Run the exported sampler on all images of the workspace while a person labels.

This runs without torch in a separate process: ``python -m dgaal_cli.labeling.pool_predictions
FOLDER``. The terminal's learner uses the result to learn within the round and to rank images while
the next round trains. The result is a cache: labeling continues without it.
"""

import os
import sys
from pathlib import Path

import numpy as np

from dgaal_cli import interruption
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import start_engine
from dgaal_cli.config.schema import Config
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.pool import load_pixels
from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import ArtifactError, DgaalError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.parent import end_with_parent
from dgaal_cli.scoring.prediction_file import (
    FILE_NAME,
    OF_FEATURES,
    PoolPredictions,
    load_pool_predictions,
)
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace, open_workspace

SAMPLER = "sampler.onnx"
_BATCH = 256


def write_pool_predictions(workspace: Workspace, config: Config, *, threads: int = 1) -> int:
    """Write ``cache/outlook.npz`` for the sampler in ``artifacts``, unless it is up to date.

    Args:
        workspace: Workspace to read and write.
        config: Its configuration.
        threads: CPU threads; few, so that the label terminal stays fast.

    Returns:
        Number of images in the file.

    Raises:
        UsageError: No sampler has been exported.
        ArtifactError: The sampler is damaged, or lacks probabilities or features.
    """
    artifact = read_artifact(workspace.artifacts_path / SAMPLER, role="sampler")
    path = workspace.cache_path / FILE_NAME
    with open_store(workspace, read_only=True) as store:
        pool = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
    known = load_pool_predictions(path)
    if known is not None and known.sampler_sha == artifact.sha256.hex():
        return len(known.items)
    is_of_features = known is not None and known.sampler_sha == OF_FEATURES
    if known is not None and is_of_features and known.round > artifact.manifest.round:
        return len(known.items)  # the sampler is older
    if artifact.manifest.encoder is not None:  # a query by features brings predictions
        return 0 if known is None else len(known.items)
    outputs = {info.name for info in artifact.manifest.outputs}
    if not {"score", "probabilities", "features"} <= outputs:
        raise ArtifactError(f"{artifact.name} does not return features and probabilities")
    # The same call as in training, so that its pixel cache is used.
    pixels = load_pixels(
        open_source(config.pool.source, base=workspace.root),
        [item.sample_id for item in pool],
        size=artifact.manifest.input_size,
        channels=artifact.manifest.channels,
        cache=workspace.cache_path,
        workers=threads,
        sha256=[item.sha256 for item in pool],
        rendering=Rendering(artifact.manifest.sample_range),
    )
    engine = start_engine(artifact, device="cpu", threads=threads)
    parts = [_run(engine, pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)]
    scores, probabilities, features = (
        np.concatenate([part[i] for part in parts]).astype(np.float32) for i in range(3)
    )
    items = np.array([item.item_id for item in pool], np.int64)
    order = np.argsort(items)
    PoolPredictions(
        items=items[order],
        scores=scores.reshape(-1)[order],
        probabilities=probabilities[order],
        features=features[order],
        class_uids=tuple(artifact.manifest.class_uids),
        sampler_sha=artifact.sha256.hex(),
        round=artifact.manifest.round,
    ).save(path)
    return len(items)


def _run(engine: Engine, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    interruption.check("stopped; nothing was written")
    out = engine.run({"images": np.ascontiguousarray(pixels)})
    return out["score"], out["probabilities"], out["features"]


def main(arguments: list[str]) -> int:
    """Write the predictions of the workspace in the folder given; return the exit code."""
    end_with_parent()
    try:
        os.nice(10)
        workspace = open_workspace(Path(arguments[0]))
        write_pool_predictions(workspace, configuration(workspace))
    except DgaalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
