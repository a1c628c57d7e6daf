"""Whether the images that are asked still are the ones that the store knows."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dgaal_cli.data.pool import digest_of
from dgaal_cli.data.presence import folder_of, is_gone, is_gone_from
from dgaal_cli.data.sources import FileBytes, Source, open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.store.records import ItemRecord

if TYPE_CHECKING:
    from dgaal_cli.ids import ItemId, SampleId

_MANIFESTS = (".csv", ".jsonl")


class ImageWatch:
    """Compares files with the digests under which their labels are kept; each state only once.

    Images inside of archives and arrays are not compared here, since finding one may take a pass
    over all; training compares every image of the pool.
    """

    def __init__(self, root: Path, source_spec: str) -> None:
        """Remember where the pool is; nothing is opened yet.

        Args:
            root: Folder of the workspace.
            source_spec: SOURCE of its pool; a relative path is relative to ``root``.
        """
        self._root = root
        self._spec = source_spec
        self._source: Source | None = None
        self._folder: Path | None = None
        self._manifests_folder: Path | None = None
        self._seen: dict[ItemId, tuple[str, bytes | None]] = {}
        """Size and time of change of a file when its bytes were read, and their digest."""

    def state_of(self, item: ItemRecord) -> Literal["ok", "changed"] | None:
        """Tell whether a file holds the bytes it had; None where none can be read or it is none."""
        if item.is_synthetic:
            return None
        try:
            source = self._open()
            read = source.get(item.sample_id).read if source else None
        except (InputDataError, OSError):
            return None
        stamp = read.stamp() if isinstance(read, FileBytes) else ""
        if not source or not stamp:
            return None
        seen = self._seen.get(item.item_id)
        if seen is None or seen[0] != stamp:
            seen = self._seen[item.item_id] = (stamp, digest_of(source, item.sample_id))
        if seen[1] is None:
            return None
        return "ok" if seen[1] == item.sha256 else "changed"

    def is_gone(self, sample_id: "SampleId") -> bool:
        """Tell whether a pool image is a file that is no longer there, though its pool is.

        One look at the file system, whatever the size of the pool. Where that fails, it is not
        known to be gone.
        """
        if self._folder is None and self._manifests_folder is None:
            self._folder = folder_of(self._root, self._spec)
        if self._folder is not None:
            return is_gone_from(self._folder, sample_id)
        try:
            return self._is_gone_from_list(sample_id)
        except (InputDataError, OSError, RuntimeError):  # RuntimeError: links in a circle
            return False

    def _is_gone_from_list(self, sample_id: "SampleId") -> bool:
        """Do the same for a manifest.

        Raises:
            InputDataError: The manifest names the image no more, or is gone itself.
        """
        source = self._open()
        read = source.get(sample_id).read if source else None
        if not source or not isinstance(read, FileBytes):
            return False
        if self._manifests_folder is None:
            self._manifests_folder = Path(source.spec).parent.resolve()
        manifest = self._manifests_folder
        path = Path(read.path)
        # The images' own folder, which may be a disk of its own, unlike the manifest's.
        parts = path.relative_to(manifest).parts if path.is_relative_to(manifest) else ()
        return is_gone(path, beside=manifest.joinpath(*parts[:-1][:1]))

    def _open(self) -> Source | None:
        if self._source is None and self._is_of_files():
            self._source = open_source(self._spec, base=self._root)
        return self._source

    def _is_of_files(self) -> bool:
        specs = (self._spec, self._spec.rpartition("#")[0])
        paths = [self._root / os.path.expanduser(spec) for spec in specs if spec]  # noqa: PTH111
        return any(p.suffix.lower() in _MANIFESTS or os.path.isdir(p) for p in paths)  # noqa: PTH112
