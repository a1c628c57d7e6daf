"""Check that the file of an image is unchanged before a session asks it.

What compares files is imported at the first need: it takes NumPy.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dgaal_cli.data.presence import (
    PoolGoneError,
    check_pool,
    folder_of,
    is_gone,
    is_gone_from,
    may_exist,
)
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.labeling.queue import Queue
from dgaal_cli.labeling.view import QueryImage
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, ItemState, Query

if TYPE_CHECKING:
    from dgaal_cli.data.sources import Source

_MANIFESTS = (".csv", ".jsonl")
_COMPARED = 20
"""Max. number of files that are read to find one that is unchanged."""


class FileChecker:
    """Compares files with the digests under which their labels are kept; each state only once.

    Images inside of archives and arrays are not compared here, since finding one may take a pass
    over all; training compares every image of the pool.
    """

    def __init__(self, root: Path, source_spec: str) -> None:
        """Store the location of the pool; nothing is opened yet.

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
        """Size and change time of a file when it was read, and its digest."""

    def seems_there(self, item: ItemRecord) -> bool | None:
        """Return whether an image's file exists; None if that needs an import."""
        folder = folder_of(self._root, self._spec)
        if item.is_synthetic or folder is None:
            return None
        return not is_gone_from(folder, item.sample_id)

    def check_pool(self, known: Iterator[ItemRecord], *, compares: bool) -> None:
        """Check that the pool contains a known image; ``compares`` also compares its bytes."""
        compared = 0

        def is_there(item: ItemRecord) -> bool:
            nonlocal compared
            if not compares:
                return self.has(item.sample_id)
            compared += 1
            return compared <= _COMPARED and self.state_of(item) == "ok"

        check_pool(self._root, self._spec, known, is_there)

    def has(self, sample_id: SampleId) -> bool:
        """Return whether an image's file exists, or cannot be found without reading the pool."""
        self._folder = self._folder or folder_of(self._root, self._spec)
        if self._folder is not None:
            return may_exist(self._folder / sample_id)
        if self._source is None:
            return True
        from dgaal_cli.data.sources import FileBytes

        try:
            read = self._source.get(sample_id).read
        except InputDataError:
            return False
        return not isinstance(read, FileBytes) or may_exist(read.path)

    def state_of(self, item: ItemRecord) -> Literal["ok", "changed"] | None:
        """Return whether a file is unchanged; None if it cannot be read or is not a file."""
        if item.is_synthetic:
            return None
        from dgaal_cli.data.pool import digest_of
        from dgaal_cli.data.sources import FileBytes

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

    def is_gone(self, sample_id: SampleId) -> bool:
        """Return whether the file of a pool image is missing while the pool exists.

        One look at the file system, whatever the size of the pool. Where that fails, it is not
        known to be gone.
        """
        if self._folder is None and self._manifests_folder is None:
            self._folder = folder_of(self._root, self._spec)
        if self._folder is not None:
            return is_gone_from(self._folder, sample_id)
        try:
            return self._is_gone_from_list(sample_id)
        except (InputDataError, OSError, RuntimeError):  # RuntimeError: circular links
            return False

    def _is_gone_from_list(self, sample_id: SampleId) -> bool:
        """Do the same for a manifest.

        Raises:
            InputDataError: The manifest names the image no more, or is gone itself.
        """
        from dgaal_cli.data.sources import FileBytes

        source = self._open()
        read = source.get(sample_id).read if source else None
        if not source or not isinstance(read, FileBytes):
            return False
        if self._manifests_folder is None:
            self._manifests_folder = Path(source.spec).parent.resolve()
        manifest = self._manifests_folder
        path = Path(read.path)
        # The folder of the images, which may be on another disk than the manifest.
        parts = path.relative_to(manifest).parts if path.is_relative_to(manifest) else ()
        return is_gone(path, beside=manifest.joinpath(*parts[:-1][:1]))

    def _open(self) -> "Source | None":
        if self._source is None and self._is_of_files():
            from dgaal_cli.data.sources import open_source

            self._source = open_source(self._spec, base=self._root)
        return self._source

    def _is_of_files(self) -> bool:
        specs = (self._spec, self._spec.rpartition("#")[0])
        paths = [self._root / os.path.expanduser(spec) for spec in specs if spec]  # noqa: PTH111
        return any(p.suffix.lower() in _MANIFESTS or os.path.isdir(p) for p in paths)  # noqa: PTH112


class QueryFiles:
    """Quarantines images whose file was replaced or is missing, and restores them."""

    def __init__(self, store: Store, queue: Queue, checker: FileChecker | None) -> None:
        """Store what to check; without a checker, every image counts as unchanged."""
        self._store = store
        self._queue = queue
        self._checker = checker
        self._aside: list[tuple[str, ItemState]] = []

    def seems_there(self, item: ItemRecord) -> bool | None:
        """Return whether an image's file exists; None if that needs an import."""
        return self._checker.seems_there(item) if self._checker else None

    def is_unchanged(
        self, item_id: ItemId, *, is_seen: bool, on_screen: ItemId | None = None
    ) -> bool:
        """Compare an image's file with the store; quarantine the image if it is lost.

        The file of an image that ``is_seen`` may be missing. The image ``on_screen`` stays. If the
        whole pool is missing, ``PoolGoneError`` is raised.
        """
        if self._checker is None:
            return True
        item = self._store.item(item_id)
        if not is_seen and not item.is_synthetic and self._checker.is_gone(item.sample_id):
            self._put_gone_aside({item_id: item.sample_id}, on_screen)
            return False
        state = self._checker.state_of(item)
        if state == "changed":
            self._put_aside({item_id: item.sample_id}, "changed")
            return False
        if state is None and not is_seen:
            self.check_pool()
        return True

    def check_pool(self, *, compares: bool = False) -> None:
        """Raise ``PoolGoneError`` if the pool is missing as a whole."""
        if self._checker is not None:
            self._checker.check_pool(self._known(), compares=compares)

    def _known(self) -> Iterator[ItemRecord]:
        """Yield usable images of the pool, first those of the query."""
        query = self._store.open_query()
        for entry in query.entries if query else ():
            item = self._store.item(entry.item_id)
            if not item.is_synthetic and item.state == "ok":
                yield item
        yield from (i for i in self._store.items() if not i.is_synthetic and i.state == "ok")

    def has(self, image: QueryImage) -> bool:
        """Return whether the file of an image exists."""
        checker = self._checker
        return checker is None or image.is_synthetic or checker.has(image.sample_id)

    def drop_gone(self, images: Sequence[QueryImage], *, on_screen: ItemId | None = None) -> bool:
        """Quarantine missing images, in the whole query if one is missing; return if so.

        If the whole pool is missing, all stay.
        """
        gone = self._gone(images)
        try:
            if gone:
                self._put_gone_aside(gone, on_screen)
        except PoolGoneError:
            return False
        return bool(gone)

    def restore(self, query: Query | None) -> None:
        """Restore images whose old file exists again."""
        if self._checker is None:
            return
        lost = self._store.replaced()
        changed = [self._store.item_by_sample(name) for name, state in lost if state == "changed"]
        # A whole disk may have been missing in training: check only images that would be asked.
        asked = query.entries if query and len(lost) > len(changed) else ()
        missing = [item for e in asked if (item := self._store.item(e.item_id)).state == "missing"]
        for item in (*filter(None, changed), *missing):
            state = self._checker.state_of(item)
            if state is not None and state != item.state:
                self._store.set_states({item.item_id: state})

    def pop_notices(self) -> str:
        """Return a notice of the images quarantined since the last call."""
        set_aside, self._aside = self._aside, []
        parts: list[str] = []
        for state, what, remedy in (
            ("changed", "replaced since 'dgaal init'", "put the old file back to be asked"),
            ("missing", "its file is gone", "put it back to be asked"),
        ):
            names = [show(name) for name, found in set_aside if found == state]
            if names:
                listed = ", ".join(names[:3]) + (", ..." if names[3:] else "")
                parts.append(f"set aside, {what}: {listed}; {remedy}")
        return "; ".join(parts)

    def _gone(self, images: Sequence[QueryImage]) -> dict[ItemId, str]:
        names = {s.item_id: s.sample_id for s in images if not s.is_synthetic}
        checker = self._checker
        return {i: name for i, name in names.items() if checker and checker.is_gone(name)}

    def _put_gone_aside(self, gone: Mapping[ItemId, str], on_screen: ItemId | None) -> None:
        """Quarantine an image with all other missing ones, in one write."""
        known = {*gone, on_screen}
        rest = [s for s in self._queue.rest() if s.item_id not in known]
        self._put_aside({**gone, **self._gone(rest)}, "missing")

    def _put_aside(self, names: Mapping[ItemId, str], state: ItemState) -> None:
        self.check_pool(compares=state == "changed")
        self._store.set_states(dict.fromkeys(names, state))
        for item_id, name in names.items():
            self._queue.drop(item_id)
            self._aside.append((name, state))
        self._queue.rank()
