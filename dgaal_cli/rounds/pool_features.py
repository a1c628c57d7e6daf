"""The features of a pool for a round, from the cache; missing ones are computed first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.data.decode_stream import image_digest
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.pool import ChangedPoolError, find_changed, find_entries, unreadable
from dgaal_cli.data.sources import Source
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.encoders.base import Encoder, FloatArray
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.events import Emit
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests, cache_folder
from dgaal_cli.features.compute import space_of
from dgaal_cli.features.fill import FillResult
from dgaal_cli.features.fill_cache import fill_cache
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.ids import SampleId
from dgaal_cli.rounds.pool_pixels import sound_images
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord
from dgaal_cli.workspace import Workspace

_REFUSED = "the encoder cannot take it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReader:
    """Reads the features of a workspace's images."""

    workspace: Workspace
    config: Config
    encoder: Encoder
    space: FeatureSpace
    folder: Path
    """Folder of the cache."""
    emit: Emit

    def sound(self, store: Store, newest_item: int) -> tuple[list[ItemRecord], CachedRows]:
        """Return the pool's unchanged images with their features, row by row.

        Images without features are encoded. See ``pool_pixels.sound_images``.
        """
        return sound_images(self.workspace, self.config, store, self._load, self.emit, newest_item)

    def of_entries(self, entries: Sequence[Entry]) -> tuple[CachedRows, dict[SampleId, str]]:
        """Return the features of test images in their order, and why others have none."""
        lost: dict[SampleId, str] = {}
        found: list[Entry] = []
        digests: list[bytes] = []
        for entry in entries:
            try:
                digests.append(image_digest(entry.read()))
                found.append(entry)
            except UnreadableImageError as error:
                lost[entry.id] = str(error)
        missing = self._missing(digests)
        if missing.any():
            filled = self._fill([entry for entry, own in zip(found, missing, strict=True) if own])
            reasons = dict(filled.unreadable_first)
            missing = self._missing(digests)
            names = [entry.id for entry, own in zip(found, missing, strict=True) if own]
            lost |= {name: reasons.get(name, _REFUSED) for name in names}
        kept = [digest for digest, own in zip(digests, missing, strict=True) if not own]
        return CachedRows(self.folder, self.space, kept), lost

    def of_pixels(self, images: Pixels) -> FloatArray:
        """Encode images ``(M, S, S, C)`` that are in no source, such as synthetic ones."""
        side = self.encoder.input_size
        squares = [self.encoder.fit(image) for image in images]
        return self.encoder.encode(np.array(squares, np.uint8).reshape(-1, side, side, 3))

    def _load(self, source: Source, items: Sequence[ItemRecord]) -> CachedRows:
        names, digests = [item.sample_id for item in items], [item.sha256 for item in items]
        changed = find_changed(source, names, digests, cache=self.workspace.cache_path)
        if changed:
            raise ChangedPoolError(changed)
        missing = self._missing(digests)
        if missing.any():
            found, _ = find_entries(source, [names[row] for row in np.flatnonzero(missing)])
            filled = self._fill([*found.values()])
            reasons = dict(filled.unreadable_first)
            rows = np.flatnonzero(self._missing(digests))
            if len(rows):
                refused = [unreadable(names[r], reasons.get(names[r], _REFUSED)) for r in rows]
                raise ChangedPoolError(refused)
        return CachedRows(self.folder, self.space, digests)

    def _missing(self, digests: Sequence[bytes]) -> np.ndarray:
        return FeatureCache(self.folder, self.space).find(as_digests(digests)) < 0

    def _fill(self, entries: Sequence[Entry]) -> FillResult:
        return fill_cache(
            self.folder,
            entries,
            self.encoder,
            self.space,
            total=len(entries),
            workers=self.config.threads,
            waits=True,
            emit=self.emit,
        ).fill


def feature_reader(workspace: Workspace, config: Config, emit: Emit) -> FeatureReader | None:
    """Load the configured encoder; None if networks learn from the pixels.

    Raises:
        UsageError, ArtifactError: See ``encoders.registry.load_encoder``.
    """
    if config.encoder.source == "pixels":
        return None
    encoder = load_encoder(
        config.encoder, image_size=config.pool.image_size, channels=config.pool.channels
    )
    return FeatureReader(
        workspace=workspace,
        config=config,
        encoder=encoder,
        space=space_of(encoder, config),
        folder=cache_folder(workspace, config.features),
        emit=emit,
    )
