"""Read single images for the label terminal: torch-free, thread-safe, robust to bad files."""

import re
import threading
from pathlib import Path

import numpy as np

from dgaal_cli.data.decoders.base import AS_STATED, Rendering
from dgaal_cli.data.decoders.process import DecoderDiedError, DecoderProcess
from dgaal_cli.data.images import Pixels, decode
from dgaal_cli.data.presence import folder_of, is_gone
from dgaal_cli.data.sources import Entry, FileBytes, Source, open_source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

MAX_PIXELS = 4_000_000
"""Larger images are shrunk to about this many pixels, which is more than a terminal can show."""

_SYNTHETIC = re.compile(r"synthetic/(\d{3,})/([A-Za-z0-9_-]{1,64}\.png)")


class ImageReader:
    """Reads images of a workspace's pool, and synthetic images of its rounds."""

    def __init__(self, root: Path, source_spec: str, rendering: Rendering = AS_STATED) -> None:
        """Configure the reader; nothing is opened yet.

        Args:
            root: Folder of the workspace.
            source_spec: SOURCE of its pool; a relative path is relative to ``root``.
            rendering: How samples of more than 8 bits become levels.
        """
        self._root = root
        self._spec = source_spec
        self._rendering = rendering
        self._source: Source | None = None
        self._decoder = DecoderProcess()
        self._opening = threading.Lock()
        self._decoding = threading.Lock()

    def read(self, sample_id: SampleId, *, is_synthetic: bool = False) -> Pixels:
        """Return the upright pixels of one image.

        Returns:
            uint8 (H, W, C), C in 1, 3, at original size up to ``MAX_PIXELS``.

        Raises:
            UnreadableImageError: The image cannot be decoded.
            InputDataError: The pool does not contain the image.
        """
        entry = self._synthetic(sample_id) if is_synthetic else self._open().get(sample_id)
        payload: bytes | Path
        if isinstance(entry.read, FileBytes):
            payload = Path(entry.read.path)
        else:
            data = entry.read()
            if isinstance(data, np.ndarray):
                return decode(data)
            payload = data
        with self._decoding:
            try:
                return self._decoder.decode(
                    payload, max_pixels=MAX_PIXELS, rendering=self._rendering
                )
            except DecoderDiedError as error:
                raise UnreadableImageError(str(error)) from None

    def file_of(self, sample_id: SampleId, *, is_synthetic: bool = False) -> str:
        """Return the absolute path of the image's file, even if deleted; empty if it has no file.

        Raises:
            UnreadableImageError: The id is not that of a synthetic image.
            InputDataError: The pool does not contain the image.
        """
        try:
            entry = self._synthetic(sample_id) if is_synthetic else self._open().get(sample_id)
        except InputDataError:
            folder = None if is_synthetic else folder_of(self._root, self._spec)
            if folder is None or not is_gone(folder / sample_id, beside=folder):
                raise
            return str((folder / sample_id).absolute())
        return str(Path(entry.read.path).absolute()) if isinstance(entry.read, FileBytes) else ""

    def close(self) -> None:
        """Stop the decoder process."""
        with self._decoding:
            self._decoder.close()

    def _open(self) -> Source:
        with self._opening:
            if self._source is None:
                self._source = open_source(self._spec, base=self._root)
            return self._source

    def _synthetic(self, sample_id: SampleId) -> Entry:
        match = _SYNTHETIC.fullmatch(sample_id)
        if match is None:
            raise UnreadableImageError("not the id of a synthetic image")
        path = self._root / "rounds" / match[1] / "synthetic" / match[2]
        return Entry(id=sample_id, path=str(path), read=FileBytes(str(path)))
