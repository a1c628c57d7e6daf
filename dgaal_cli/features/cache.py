"""The sealed shards of one space: which images have features, and their rows.

A cache is a folder with one folder per space, named by the space's digest. Rows are found by the
SHA-256 of an image's bytes, so workspaces over the same images can share a cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import FeaturesConfig
from dgaal_cli.errors import BusyError, InputDataError
from dgaal_cli.features.shard import (
    DIGEST_BYTES,
    SUFFIX,
    DamagedShardError,
    Digests,
    ForeignShardError,
    Rows,
    Shard,
    open_shard,
)
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.workspace import Workspace

_MAX_LISTINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedShard:
    """A file of the cache that is not used."""

    path: Path
    reason: str
    """In a few words."""
    is_foreign: bool
    """Whether the file is intact, but holds features of another space."""


class FeatureCache:
    """The features of one space, as they were when it was opened. Needs 48 bytes per image."""

    def __init__(self, folder: Path, space: FeatureSpace, *, max_checked: int = 0) -> None:
        """Open the cache in ``folder``, which may not exist yet.

        Args:
            folder: Folder of the cache, for all spaces.
            space: Space of the features.
            max_checked: Shards of at most this many rows are read and compared with their digests
                as a whole; of others only header and list of images are checked.
        """
        self.space = space
        self.folder = space_folder(folder, space)
        self.shards, self.refused = open_shards(self.folder, space, max_checked=max_checked)
        lengths = [0, *map(len, self.shards)]
        self._starts: npt.NDArray[np.int64] = np.cumsum(lengths, dtype=np.int64)
        parts = [shard.digests for shard in self.shards]
        self._digests = np.concatenate([np.empty((0, DIGEST_BYTES), np.uint8), *parts])
        keys = _keys(self._digests)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def __len__(self) -> int:
        """Return the number of stored rows."""
        return len(self._digests)

    def find(self, digests: Digests) -> npt.NDArray[np.int64]:
        """Return the number of each image's row, -1 where the cache has none."""
        found = np.full(len(digests), -1, np.int64)
        wanted = _keys(digests)
        at = np.searchsorted(self._keys, wanted)
        open_ = np.arange(len(digests))
        while len(open_):  # more than once only if two digests begin with the same 8 bytes
            open_ = open_[at[open_] < len(self._keys)]
            open_ = open_[self._keys[at[open_]] == wanted[open_]]
            rows = self._order[at[open_]]
            is_same = (self._digests[rows] == digests[open_]).all(axis=1)
            found[open_[is_same]] = rows[is_same]
            open_ = open_[~is_same]
            at[open_] += 1
        return found

    def numbers(self, shard: Shard) -> npt.NDArray[np.int64]:
        """Return the numbers of all rows of one of the shards."""
        at = self.shards.index(shard)
        start, stop = int(self._starts[at]), int(self._starts[at + 1])
        return np.arange(start, stop, dtype=np.int64)

    def read(self, numbers: npt.NDArray[np.int64]) -> Rows:
        """Copy rows (n, D) by number; maps one shard at a time.

        Raises:
            FileNotFoundError: Another process has merged a shard into a larger one.
        """
        result = np.empty((len(numbers), self.space.dimension), self.space.numpy_dtype)
        owners = np.searchsorted(self._starts, numbers, "right") - 1
        present: list[int] = np.unique(owners).tolist()
        for owner in present:
            positions = np.flatnonzero(owners == owner)
            mapped = self.shards[owner].rows()
            result[positions] = mapped[numbers[positions] - self._starts[owner]]
        return result


class CachedRows:
    """Features of chosen images, read block by block: ``len(rows)``, ``rows[start:stop]``."""

    def __init__(self, folder: Path, space: FeatureSpace, digests: Sequence[bytes]) -> None:
        """Find the rows of images, in their order; see ``FeatureCache`` for folder and space.

        Raises:
            InputDataError: The cache has no features of some of them.
        """
        self.folder, self.space = folder, space
        self.digests = as_digests(digests)
        self._find()
        self.shape = (len(digests), space.dimension)

    def __len__(self) -> int:
        """Return the number of images."""
        return self.shape[0]

    def __getitem__(self, which: "slice | npt.NDArray[np.int64]") -> Rows:
        """Return a block of rows (n, D), copied."""
        for _ in range(_MAX_LISTINGS):
            try:
                return self._cache.read(self._numbers[which])
            except FileNotFoundError:
                self._find()
        raise _restless(self.folder)

    def _find(self) -> None:
        self._cache = FeatureCache(self.folder, self.space)
        self._numbers = self._cache.find(self.digests)
        missing = int((self._numbers < 0).sum())
        if missing:
            raise InputDataError(
                f"{missing:,} of {len(self.digests):,} images have no features yet; "
                "compute them with 'dgaal features'"
            )


def cache_folder(workspace: Workspace, settings: FeaturesConfig) -> Path:
    """Return the folder of the cache that a workspace uses."""
    return workspace.root / settings.cache if settings.cache else workspace.cache_path / "features"


def space_folder(folder: Path, space: FeatureSpace) -> Path:
    """Return the folder of one space in a cache."""
    return folder / space.digest[:32]


def open_shards(
    folder: Path, space: FeatureSpace | None, *, max_checked: int = 0
) -> tuple[list[Shard], tuple[RefusedShard, ...]]:
    """Open the shards in the folder of a space.

    Returns:
        The shards, the largest first, and the files that are not used.
    """
    for _ in range(_MAX_LISTINGS):
        shards: list[Shard] = []
        refused: list[RefusedShard] = []
        try:
            for path in _shard_paths(folder):
                try:
                    shard = open_shard(path, space)
                    if len(shard) <= max_checked:
                        shard.check()
                    shards.append(shard)
                except (DamagedShardError, ForeignShardError) as error:
                    is_foreign = isinstance(error, ForeignShardError)
                    refused.append(
                        RefusedShard(path=path, reason=str(error), is_foreign=is_foreign)
                    )
        except FileNotFoundError:
            continue  # merged into a larger shard since the folder was listed
        # Of two rows of an image, that in the larger shard is used; see ``writer``.
        return sorted(shards, key=lambda shard: (-len(shard), shard.path)), tuple(refused)
    raise _restless(folder)


def as_digests(digests: Sequence[bytes]) -> Digests:
    """Return digests as an array (N, 32)."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def _shard_paths(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else [])


def _keys(digests: Digests) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view("<u8")[:, 0]


def _restless(folder: Path) -> BusyError:
    return BusyError(f"another process changes the feature cache {folder} all the time; try later")
