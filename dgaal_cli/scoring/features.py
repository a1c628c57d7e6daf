"""Write the encoder's features of all scored images to one ``.npz`` or ``.parquet`` file."""

import contextlib
import importlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import numpy as np

from dgaal_cli import atomic
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import spell
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.rows import FloatArray
from dgaal_cli.scoring.writers import require_pyarrow

_BLOCK_ROWS = 8_192


class FeatureFile:
    """Collects rows in temporary files and writes the output file at the end.

    A ``.npz`` file contains ``features``, float32 (n, Z), and ``ids``, (n,) UTF-8 bytes. A
    ``.parquet`` file has the columns ``id``, escaped as in the score table, and ``features``,
    float32 lists of length Z. Rows are in the order of the source.
    """

    def __init__(self, path: Path, *, folder: Path | None = None) -> None:
        """Start without rows; temporary files are in ``folder``, else in that of ``path``.

        Raises:
            UsageError: The name ends in neither ``.npz`` nor ``.parquet``.
            MissingExtraError: Parquet is requested and pyarrow is not installed.
        """
        if path.suffix.lower() not in (".npz", ".parquet"):
            raise UsageError(
                f"cannot write features as {path.name}; give a name that ends in .npz or .parquet"
            )
        if path.suffix.lower() == ".parquet":
            require_pyarrow("writing features as .parquet")
        self._path = path
        self._parent = folder or path.parent
        self._count = 0
        self._width = 0
        self._longest = 1

    def __enter__(self) -> Self:
        """Open the temporary files. They have no names, so a killed process leaves none behind."""
        self._rows = cast("BinaryIO", tempfile.TemporaryFile(dir=self._parent))
        self._ids = cast("BinaryIO", tempfile.TemporaryFile(dir=self._parent))
        return self

    def __exit__(self, *_raised: object) -> None:
        """Remove the temporary files."""
        for file in (self._rows, self._ids):
            with contextlib.suppress(OSError):  # closing flushes, which fails on a full disk
                file.close()

    def add(self, ids: Sequence[SampleId], features: FloatArray) -> None:
        """Add the features (n, Z) of n images."""
        if not ids:
            return
        self._count += len(ids)
        self._width = features.shape[1]
        self._rows.write(np.ascontiguousarray(features, np.float32).tobytes())
        for name in ids:
            data = name.encode("utf-8", "surrogateescape")
            self._longest = max(self._longest, len(data))
            self._ids.write(data + b"\0")

    def write(self) -> None:
        """Write the output file atomically."""
        with atomic.replacing(self._path) as stream:
            self._rows.seek(0)
            if self._path.suffix.lower() == ".parquet":
                self._write_parquet(stream)
            else:
                self._write_npz(stream)

    def _write_npz(self, stream: BinaryIO) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            shape = (self._count, self._width)
            with archive.open(zipfile.ZipInfo("features.npy"), "w", force_zip64=True) as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                shutil.copyfileobj(self._rows, member, 2**20)
            with archive.open(zipfile.ZipInfo("ids.npy"), "w", force_zip64=True) as member:
                kind = f"|S{self._longest}"
                header = {"descr": kind, "fortran_order": False, "shape": (self._count,)}
                np.lib.format.write_array_header_1_0(member, header)
                for block in self._id_blocks():
                    member.write(np.array(block, kind).tobytes())

    def _write_parquet(self, stream: BinaryIO) -> None:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        vector = arrow.list_(arrow.float32(), max(1, self._width))
        schema = arrow.schema([("id", arrow.string()), ("features", vector)])
        with parquet.ParquetWriter(stream, schema) as table:
            for block in self._id_blocks():
                names = [spell(name.decode("utf-8", "surrogateescape")) for name in block]
                data = self._rows.read(len(block) * self._width * 4)
                flat = arrow.array(np.frombuffer(data, np.float32))
                vectors = arrow.FixedSizeListArray.from_arrays(flat, self._width)
                columns = [arrow.array(names, arrow.string()), vectors]
                table.write_table(arrow.Table.from_arrays(columns, schema=schema))

    def _id_blocks(self) -> Iterator[list[bytes]]:
        self._ids.seek(0)
        block: list[bytes] = []
        rest = b""
        while data := self._ids.read(2**16):
            *names, rest = (rest + data).split(b"\0")
            block += names
            if len(block) >= _BLOCK_ROWS:
                yield block
                block = []
        if block:
            yield block


def check_folder(path: Path) -> None:
    """Check, before the work starts, that a file can be written at ``path``.

    Raises:
        UsageError: The folder does not exist or cannot be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist; create it first")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"the folder {folder} is not writable; choose another")
