"""Features of a simulation's images, computed once for all trials and seeds."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dgaal_cli.config.schema import Config
from dgaal_cli.data.decode_stream import image_digest
from dgaal_cli.data.pool import find_entries
from dgaal_cli.data.sources.base import Source
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.events import ignore
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.compute import space_of
from dgaal_cli.features.fill_cache import fill_cache
from dgaal_cli.features.shard import Rows
from dgaal_cli.features.standardized import Index, StandardizedRows
from dgaal_cli.ids import SampleId


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFeatures:
    """Rows of features of the pool and of the test images."""

    encoder: Encoder
    pool: Rows
    """(N, D)."""
    test: Rows
    """(T, D)."""

    def of_seed(self, kept: Index, test: Index | None) -> tuple[StandardizedRows, StandardizedRows]:
        """Return the features of the rows of a seed, and of the test images, standardized alike.

        ``test`` are rows of the pool to measure on; None measures on the test images.
        """
        own = StandardizedRows.of_pool(self.pool[kept])
        return own, own.like_pool(self.test if test is None else self.pool[test])


def encode_pool(
    config: Config,
    pool: tuple[Source, Sequence[SampleId]],
    test: tuple[Source, Sequence[SampleId]],
    *,
    cache: Path | None,
) -> PoolFeatures | None:
    """Compute the features that the folder ``cache`` does not have; None for encoder ``pixels``.

    Without a folder nothing is kept.

    Raises:
        InputDataError: An image cannot be encoded.
    """
    if config.encoder.source == "pixels":
        return None
    encoder = load_encoder(
        config.encoder, image_size=config.pool.image_size, channels=config.pool.channels
    )

    def rows(folder: Path, source: Source, ids: Sequence[SampleId]) -> Rows:
        found, _ = find_entries(source, ids)
        entries = [found[name] for name in ids]
        space = space_of(encoder, config)
        filled = fill_cache(
            folder, entries, encoder, space, total=len(entries), waits=True, emit=ignore
        ).fill
        for name, reason in filled.unreadable_first:
            raise InputDataError(
                f"the image {show(name)} cannot be encoded: {show(reason)}; remove it from the "
                "source"
            )
        digests = [image_digest(entry.read()) for entry in entries]
        return CachedRows(folder, space, digests)[:]

    with ExitStack() as stack:
        folder = cache or Path(stack.enter_context(TemporaryDirectory()))
        return PoolFeatures(encoder=encoder, pool=rows(folder, *pool), test=rows(folder, *test))
