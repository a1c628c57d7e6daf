"""Fill the feature cache from a source by the configured encoder."""

from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.config.schema import (
    Config,
    Crop,
    EncoderConfig,
    FeatureType,
    PoolConfig,
)
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.registry import load_encoder, located
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.features.cache import cache_folder
from dgaal_cli.features.fill import FeatureEncoder, FillResult
from dgaal_cli.features.fill_cache import fill_cache
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesResult:
    """What ``dgaal features`` did, and what the cache holds now."""

    encoder: str
    digest: str
    """Of the encoder, hexadecimal."""
    crop: Crop
    dtype: FeatureType
    dimension: int
    cache: Path
    rows: int
    """Images with features of this encoder, of all sources that share the cache."""
    fill: FillResult
    damaged: tuple[Path, ...]
    """Damaged files that were removed; their images have new features if the source has them."""


def compute_features(  # noqa: PLR0913 - every option of one run
    workspace: Workspace,
    config: Config,
    *,
    source: str | Source = "",
    base: Path | None = None,
    encoder: str = "",
    checks_all: bool = False,
    workers: int = 0,
    waits: bool = False,
    emit: Emit = ignore,
) -> FeaturesResult:
    """Compute the features that the cache does not have yet.

    Args:
        workspace: Workspace whose cache is filled.
        config: Its configuration.
        source: SOURCE text or an open source; empty: the pool of the workspace.
        base: Folder that a relative SOURCE or encoder file is relative to; None: the workspace.
        encoder: Encoder to use instead of the configured one, with default settings.
        checks_all: Whether to read the whole cache and compare it with its digests first.
        workers: Decoder processes; 0 starts one per CPU.
        waits: Whether to wait while another process fills the cache for the same encoder, such as
            that of a label session.
        emit: Listener for progress.

    Raises:
        UsageError: The source or the encoder cannot be used.
        BusyError: Another process fills the cache for the same encoder.
        StorageError: The cache cannot be written; what was saved is kept.
        InterruptedRunError: A signal stopped the run; the same command continues.
    """
    base = base or workspace.root
    settings = located(EncoderConfig(source=encoder), base) if encoder else config.encoder
    if not source:
        source, base = config.pool.source, workspace.root
    opened = open_source(source, base=base) if isinstance(source, str) else source
    loaded = _pretrained(settings, config.pool)
    space = space_of(loaded, config)
    folder = cache_folder(workspace, config.features)
    filled = fill_cache(
        folder,
        opened.entries(),
        loaded,
        space,
        total=opened.count(),
        checks_all=checks_all,
        workers=workers,
        waits=waits,
        emit=emit,
    )
    return FeaturesResult(
        encoder=loaded.name,
        digest=loaded.digest,
        crop=space.crop,
        dtype=space.dtype,
        dimension=space.dimension,
        cache=folder,
        rows=filled.rows,
        fill=filled.fill,
        damaged=tuple(shard.path for shard in filled.refused if not shard.is_foreign),
    )


def space_of(encoder: FeatureEncoder, config: Config) -> FeatureSpace:
    """Return the space of an encoder's features under the settings of a workspace."""
    return FeatureSpace(
        encoder=encoder.digest,
        crop=config.features.crop,
        dtype=config.features.dtype,
        dimension=encoder.dimension,
        range=rendering_of(config.pool).value_range,
    )


def configured_space(config: Config) -> FeatureSpace:
    """Return the space of the features that ``compute_features`` computes by default.

    Raises:
        DgaalError: The encoder does not work here.
    """
    return space_of(_pretrained(config.encoder, config.pool), config)


def _pretrained(settings: EncoderConfig, pool: PoolConfig) -> Encoder:
    if settings.source == "pixels":
        raise UsageError(
            "the encoder is 'pixels', whose networks learn from the images themselves; name a "
            "pretrained one with --encoder, or set encoder.source in dgaal.toml"
        )
    return load_encoder(settings, image_size=pool.image_size, channels=pool.channels)
