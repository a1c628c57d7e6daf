"""One file of features: a header, the digests of the images, and one row for each.

The header is sealed by its own SHA-256, and holds those of the digests and of the rows. Opening a
shard checks header and digests, whose size is bounded; ``check`` reads the rows too. A file is made
as a whole and renamed to its name, so a shard is complete or does not exist.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dgaal_cli import atomic
from dgaal_cli.features.space import FeatureSpace

SUFFIX = ".features"
DIGEST_BYTES = 32
"""Bytes of an image's SHA-256."""
_MAGIC = b"dgaal features 1"
_START = len(_MAGIC) + DIGEST_BYTES + 4
_ALIGNMENT = 64
_MAX_HEADER = 4096

Digests = npt.NDArray[np.uint8]
"""(N, 32): SHA-256 of the encoded bytes of each image."""
Rows = npt.NDArray[np.floating[Any]]
"""(N, D): features."""


class DamagedShardError(Exception):
    """A file is no intact shard; the message is a short reason."""


class ForeignShardError(Exception):
    """An intact shard has another space; the message is a short reason."""


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    space: FeatureSpace
    count: int
    digests_sha256: str
    rows_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shard:
    """An open shard."""

    path: Path
    space: FeatureSpace
    digests: Digests
    _start: int
    _rows_sha256: str

    def __len__(self) -> int:
        return len(self.digests)

    def rows(self) -> Rows:
        """Map the rows (N, D) into memory; dropping the array frees the memory."""
        shape = (len(self), self.space.dimension)
        mapped: Rows = np.memmap(self.path, self.space.numpy_dtype, "r", self._start, shape)
        return mapped

    def check(self) -> None:
        """Compare all rows with their digest.

        Raises:
            FileNotFoundError: Another process has merged it into a larger one.
            DamagedShardError: They differ, or cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._start)
                while block := stream.read(2**20):
                    digest.update(block)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedShardError(f"it cannot be read ({error.strerror})") from error
        if digest.hexdigest() != self._rows_sha256:
            raise DamagedShardError("its rows do not match their digest")


def open_shard(path: Path, space: FeatureSpace | None = None) -> Shard:
    """Open a shard; checks everything but the rows.

    Args:
        path: File to open.
        space: Expected space; None accepts every space.

    Raises:
        FileNotFoundError: Another process has merged it into a larger one.
        DamagedShardError: The file is damaged.
        ForeignShardError: The file holds features of another space.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            header, after_header = _read_header(stream.read(_START + _MAX_HEADER))
            stream.seek(after_header)
            raw = stream.read(header.count * DIGEST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedShardError(f"it cannot be read ({error.strerror})") from error
    start = _aligned(after_header + header.count * DIGEST_BYTES)
    if size != start + header.count * header.space.row_bytes:
        raise DamagedShardError("its length is wrong")
    if hashlib.sha256(raw).hexdigest() != header.digests_sha256:
        raise DamagedShardError("its list of images does not match its digest")
    if space is not None and header.space != space:
        raise ForeignShardError(space.difference(header.space))
    return Shard(
        path=path,
        space=header.space,
        digests=np.frombuffer(raw, np.uint8).reshape(-1, DIGEST_BYTES),
        _start=start,
        _rows_sha256=header.rows_sha256,
    )


def write_shard(
    folder: Path, space: FeatureSpace, digests: Digests, blocks: Sequence[Rows]
) -> Path:
    """Write a shard, durably; its name follows from the images, so equal shards have one name.

    Args:
        folder: Existing folder.
        space: Space of the rows.
        digests: The images, (N, 32).
        blocks: Arrays (n, D) in the space's type, N rows in all.

    Raises:
        StorageError: The disk is full or the folder is not writable; no shard was made.
    """
    blocks = [np.ascontiguousarray(block, space.numpy_dtype) for block in blocks]
    rows_sha256 = hashlib.sha256()
    for block in blocks:
        rows_sha256.update(block.data)
    raw = np.ascontiguousarray(digests).tobytes()
    header = _Header(
        space=space,
        count=len(digests),
        digests_sha256=hashlib.sha256(raw).hexdigest(),
        rows_sha256=rows_sha256.hexdigest(),
    )
    text = msgspec.json.encode(header)
    head = _MAGIC + hashlib.sha256(text).digest() + len(text).to_bytes(4, "little") + text + raw
    path = folder / f"{header.digests_sha256[:24]}{SUFFIX}"
    with atomic.replacing(path) as stream:
        stream.write(head.ljust(_aligned(len(head)), b"\0"))
        for block in blocks:
            stream.write(block.data)
    return path


def _read_header(start: bytes) -> tuple[_Header, int]:
    """Return the header and the offset of its end."""
    if start[: len(_MAGIC)] != _MAGIC:
        raise DamagedShardError("it is no file of features of this version")
    seal = start[len(_MAGIC) : len(_MAGIC) + DIGEST_BYTES]
    end = _START + int.from_bytes(start[_START - 4 : _START], "little")
    text = start[_START:end]
    if hashlib.sha256(text).digest() != seal:
        raise DamagedShardError("its header does not match its digest")
    try:
        return msgspec.json.decode(text, type=_Header), end
    except msgspec.DecodeError:
        raise DamagedShardError("its header is of another version") from None


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
