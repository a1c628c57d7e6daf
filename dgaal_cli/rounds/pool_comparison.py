"""What lies in the pool now, compared with the store: by names and content."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from dgaal_cli import interruption
from dgaal_cli.data.batches import DecodedBatch
from dgaal_cli.data.decode_stream import decode_to, image_digest
from dgaal_cli.data.decoders.base import AS_STATED, Rendering
from dgaal_cli.data.decoders.process import Shape
from dgaal_cli.data.grouping import GroupOf, no_rule
from dgaal_cli.data.known_files import KnownFiles, packed
from dgaal_cli.data.pool import LOOK
from dgaal_cli.data.reading import Reading
from dgaal_cli.data.sources.base import Entry, FileBytes, IsKnown, Source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.records import ItemState, NewItem, PoolChange, PoolFile

_ASIDE_DIGITS = 12
"""Digits of the digest in the name of an image that is set aside; all of them if that is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups of images."""

    known: Mapping[ItemId, str]
    """Groups in the store."""
    of_name: GroupOf
    """The rule for names."""


NO_GROUPS = Groups(known={}, of_name=no_rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """An image whose content has another name now."""

    item_id: ItemId
    old: SampleId
    new: SampleId


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A file with content that no image has, under the name of an image that is in no file."""

    item_id: ItemId
    """The image of the old content."""
    aside: SampleId
    """Name of that image once the new content is accepted."""
    new: NewItem


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """How the pool differs from the store, and what an update would do."""

    unchanged: int
    """Images whose file is as the store knows it."""
    new: tuple[NewItem, ...] = ()
    """Readable files with content that no image has."""
    copies: tuple[tuple[SampleId, ItemId], ...] = ()
    """New names of images that are still read by their old names."""
    renamed: tuple[Renamed, ...] = ()
    repaired: tuple[SampleId, ...] = ()
    """Files that were unreadable; they are in ``new``, ``copies`` or ``restored`` as well."""
    restored: tuple[tuple[SampleId, ItemId], ...] = ()
    """Images that were left out, and are as they were."""
    changed: tuple[Changed, ...] = ()
    missing: tuple[tuple[SampleId, ItemId], ...] = ()
    """Images whose content is in no file, and that the store does not call missing yet."""
    unreadable: tuple[tuple[SampleId, str], ...] = ()
    """Files that cannot be read, with the reason, where it is not the one in the store."""
    lost: tuple[ItemId, ...] = ()
    """Images among ``unreadable``."""
    unlisted: tuple[SampleId, ...] = ()
    """Unreadable files in the store that are no longer there."""
    unstable: tuple[SampleId, ...] = ()
    """Files that changed while they were read; left for the next time."""
    asides: Mapping[ItemId, SampleId] = field(default_factory=dict[ItemId, SampleId])
    """New names of missing images whose names show other images now."""
    groups: Mapping[ItemId, str] = field(default_factory=dict[ItemId, str])
    """Groups that images get, where the store has none or a column of the source has another."""
    states: Mapping[ItemId, ItemState] = field(default_factory=dict[ItemId, ItemState])
    """State of each image in the store."""

    @property
    def is_empty(self) -> bool:
        """Whether an update would change nothing."""
        return self.change(accepts_changed=True) == PoolChange()

    @property
    def finds_any(self) -> bool:
        """Whether the content or the name of any image is in the pool."""
        found = (self.renamed, self.changed, self.lost, self.unstable)
        return self.unchanged > 0 or any(found)

    def change(self, *, accepts_changed: bool) -> PoolChange:
        """Return what an update changes in the store."""
        accepted = self.changed if accepts_changed else ()
        firsts = {each.item_id: each.new for each in self.renamed} | dict(self.asides)
        firsts |= {each.item_id: each.aside for each in accepted}
        states: dict[ItemId, ItemState] = {each.item_id: "ok" for each in self.renamed}
        states |= dict.fromkeys((item_id for _, item_id in self.restored), "ok")
        states |= dict.fromkeys((item_id for _, item_id in self.missing), "missing")
        states |= dict.fromkeys((each.item_id for each in self.changed), "changed")
        states |= dict.fromkeys((each.item_id for each in accepted), "missing")
        states |= dict.fromkeys(self.lost, "quarantined")
        return PoolChange(
            new=(*self.new, *(each.new for each in accepted)),
            names=(*self.copies, *((name, item_id) for item_id, name in firsts.items())),
            firsts=firsts,
            states={item_id: s for item_id, s in states.items() if self.states.get(item_id) != s},
            unreadable=self.unreadable,
            readable=(*self.repaired, *self.unlisted),
            groups=self.groups,
        )


def compare(
    source: Source,
    files: Sequence[PoolFile],
    unreadable: Mapping[SampleId, str],
    known: KnownFiles,
    *,
    groups: Groups = NO_GROUPS,
    rendering: Rendering = AS_STATED,
    workers: int = 0,
    emit: Emit = ignore,
) -> PoolPlan:
    """List the pool, read what may differ from the store, and say how it differs.

    Files are matched by content, so an image keeps its labels wherever its file goes. Only files
    are read whose name, size or times differ from those in ``known``.

    Args:
        source: The pool.
        files: Each name of each image in the store.
        unreadable: Unreadable files in the store, with the reason.
        known: What was read earlier; what is read now is added to it.
        groups: The groups of images, and how names give groups.
        rendering: How samples of more than 8 bits become levels.
        workers: Decoder processes; 0 starts one per CPU.
        emit: Listener for progress.

    Raises:
        InputDataError: An archive of the pool is damaged.
        InterruptedRunError: A signal requested a stop.
    """
    look = _Look(source, files, unreadable, known, groups)
    look.read(replace(LOOK, rendering=rendering), workers=workers, emit=emit)
    return look.plan()


class _Look:
    """One pass over a pool."""

    def __init__(
        self,
        source: Source,
        files: Sequence[PoolFile],
        unreadable: Mapping[SampleId, str],
        known: KnownFiles,
        groups: Groups,
    ) -> None:
        self.listed: set[SampleId] = set()
        self._source = source
        self._files = files
        self._was_unreadable = unreadable
        self._known = known
        self._groups = groups
        self._columns: dict[SampleId, str] = {}
        """The group of each name, where the source states one."""
        self._by_name = {file.sample_id: file for file in files}
        self._by_content = {file.sha256: file.item_id for file in files}
        self._shown: dict[ItemId, list[SampleId]] = {}
        """Names that show each image, except images that are read by their first name."""
        self._at_first: set[ItemId] = set()
        """Images that are read by their first name."""
        self._as_known: list[str] = []
        """Files of a folder that did not change, named in the store by the first name."""
        self._new: dict[SampleId, NewItem] = {}
        self._bad: dict[SampleId, str] = {}
        self._unstable: dict[SampleId, None] = {}
        self._before: dict[SampleId, os.stat_result] = {}
        """Sizes and times of the files that are read, from before."""

    def read(self, shape: Shape, *, workers: int, emit: Emit) -> None:
        """List the pool and read what is not known."""
        if self._is_known_archive():
            self._take_all_as_known()
            return
        reading = Reading(emit, lambda: None)
        batches = decode_to(shape, self._unread(), workers=workers, chunk=64)
        with contextlib.closing(batches):
            for batch in batches:
                interruption.check("stopped while reading the pool; nothing was changed")
                reading.add(len(batch.entries), unreadable=int((~batch.ok).sum()))
                self._take(batch)
        as_known = cast("list[SampleId]", self._as_known)
        self.listed.update(as_known)
        self._at_first.update(self._by_name[name].item_id for name in as_known)
        self._known.keep(self.listed)

    def _is_known_archive(self) -> bool:
        """Check whether the pool is one file with images inside that was compared already."""
        stamp = self._source.stamp()
        if not stamp or stamp != self._known.container:
            return False
        first = next(self._source.entries(), None)
        return first is not None and not isinstance(first.read, FileBytes)  # not a manifest

    def _take_all_as_known(self) -> None:
        for file in self._files:
            if file.state == "ok":
                self.listed.add(file.sample_id)
                self._note(file.sample_id, file.sha256)
        self.listed.update(self._was_unreadable)
        self._bad |= self._was_unreadable

    def _unread(self) -> Iterator[Entry]:
        """Yield the entries to decode; note the others."""
        by_name, known, listed, at_first = (
            self._by_name,
            self._known,
            self.listed,
            self._at_first,
        )
        for entry in self._source.entries_except(self._is_as_known()):
            name, read = entry.id, entry.read
            listed.add(name)
            if entry.group:
                self._columns[name] = entry.group
            if not isinstance(read, FileBytes):
                yield entry
                continue
            try:
                status = os.stat(read.path)  # noqa: PTH116 - hot
            except OSError:  # gone since it was listed, or a name in a manifest without a file
                listed.discard(name)
                continue
            digest = known.digest(name, status)
            file = by_name.get(name)
            if file is not None and file.is_first and digest == file.sha256:
                if name not in self._was_unreadable:  # the usual case, without further calls
                    at_first.add(file.item_id)
                    continue
            elif digest is None and file is not None and name not in self._was_unreadable:
                digest = self._read_digest(name, read, status)
            if digest in self._by_content and name not in self._was_unreadable:
                self._note(name, digest)
            elif name not in self._unstable:
                self._before[name] = status
                yield entry

    def _is_as_known(self) -> IsKnown:
        """Return whether a file is the one that the store reads by its name; hot, so few calls."""
        noted = self._as_known
        statuses = self._known.statuses({f.sample_id: f.sha256 for f in self._files if f.is_first})
        for name in self._was_unreadable:
            statuses.pop(name, None)

        def is_as_known(name: str, item: "os.DirEntry[str]") -> bool:
            status = statuses.get(name)
            if status is None:
                return False
            try:
                now = item.stat()
            except OSError:
                return False
            if packed(now) != status:
                return False
            noted.append(name)
            return True

        return is_as_known

    def _read_digest(self, name: SampleId, read: FileBytes, status: os.stat_result) -> bytes | None:
        """Read a file that had an image; None if it cannot be read, or changed meanwhile."""
        self._before[name] = status
        try:
            digest = image_digest(read())
        except UnreadableImageError:
            return None
        if not self._is_stable(name, read):
            return None
        self._known.add(name, status, digest)
        return digest

    def _is_stable(self, name: SampleId, read: FileBytes) -> bool:
        """Check that a file has not changed since before it was read."""
        before = self._before[name]
        with contextlib.suppress(OSError):
            now = os.stat(read.path)  # noqa: PTH116
            if (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
                return True
        self._unstable[name] = None
        return False

    def _take(self, batch: DecodedBatch) -> None:
        for row, entry in enumerate(batch.entries):
            name, digest = entry.id, batch.sha256[row]
            if isinstance(entry.read, FileBytes) and not self._is_stable(name, entry.read):
                continue
            if not batch.ok[row]:
                self._bad[name] = batch.errors[row]
                continue
            if name in self._before:
                self._known.add(name, self._before[name], digest)
            if digest in self._by_content:
                self._note(name, digest)
                continue
            self._new[name] = NewItem(
                sample_id=name,
                sha256=digest,
                size_bytes=batch.sizes[row],
                width=batch.widths[row],
                height=batch.heights[row],
                group=self._columns.get(name) or self._groups.of_name(name),
            )

    def _note(self, name: SampleId, digest: bytes) -> None:
        """Note that a file shows an image of the store."""
        file = self._by_name.get(name)
        if file is not None and file.is_first and file.sha256 == digest:
            self._at_first.add(file.item_id)
        else:
            self._shown.setdefault(self._by_content[digest], []).append(name)

    def plan(self) -> PoolPlan:
        """Compare what was found with the store."""
        firsts = [file for file in self._files if file.is_first]
        renamed: dict[ItemId, Renamed] = {}
        missing: list[PoolFile] = []
        changed: list[PoolFile] = []
        lost: list[ItemId] = []
        unstable = set(self._unstable)
        for file in firsts:
            item_id, name = file.item_id, file.sample_id
            if item_id in self._at_first or name in unstable:
                continue
            if names := self._shown.get(item_id):
                renamed[item_id] = Renamed(item_id=item_id, old=name, new=names[0])
            elif name in self._new:
                changed.append(file)
            elif name in self._bad:
                lost.append(item_id)
            else:
                missing.append(file)
        taken = {file.sample_id for file in changed}
        moved = {each.new for each in renamed.values()}
        copies = [
            (name, item_id)
            for item_id, names in self._shown.items()
            for name in names
            if name not in moved and not self._is_name_of(name, item_id)
        ]
        new = tuple(item for name, item in self._new.items() if name not in taken)
        plan = PoolPlan(
            unchanged=len(self._at_first),
            new=new,
            copies=tuple(copies),
            renamed=tuple(renamed.values()),
            repaired=tuple(
                name
                for name in self._was_unreadable
                if name in self.listed and name not in self._bad and name not in unstable
            ),
            restored=tuple(
                (file.sample_id, file.item_id)
                for file in firsts
                if file.state != "ok" and file.item_id in self._at_first
            ),
            changed=tuple(
                Changed(
                    item_id=file.item_id, aside=self._aside(file), new=self._new[file.sample_id]
                )
                for file in changed
            ),
            missing=tuple((f.sample_id, f.item_id) for f in missing if f.state != "missing"),
            unreadable=tuple(
                (name, why)
                for name, why in self._bad.items()
                if self._was_unreadable.get(name) != why
            ),
            lost=tuple(lost),
            unlisted=tuple(name for name in self._was_unreadable if name not in self.listed),
            unstable=tuple(self._unstable),
            groups=self._changed_groups(firsts, renamed),
            states={file.item_id: file.state for file in firsts},
        )
        claimed = moved | {name for name, _ in copies} | {item.sample_id for item in new}
        asides = {file.item_id: self._aside(file) for file in missing if file.sample_id in claimed}
        return replace(plan, asides=asides)

    def _changed_groups(
        self, firsts: Sequence[PoolFile], renamed: Mapping[ItemId, Renamed]
    ) -> dict[ItemId, str]:
        """Return the groups that differ from the store; the rule on names replaces none."""
        changed: dict[ItemId, str] = {}
        if not self._columns and self._groups.of_name is no_rule:
            return changed
        for file in firsts:
            item_id = file.item_id
            name = renamed[item_id].new if item_id in renamed else file.sample_id
            own = self._groups.known.get(item_id, "")
            group = self._columns.get(name) or own or self._groups.of_name(name)
            if group != own:
                changed[item_id] = group
        return changed

    def _is_name_of(self, name: SampleId, item_id: ItemId) -> bool:
        file = self._by_name.get(name)
        return file is not None and file.item_id == item_id

    def _aside(self, file: PoolFile) -> SampleId:
        """Return a free name for an image whose own name shows other content now."""
        digits = file.sha256.hex()
        short = SampleId(f"{file.sample_id}@{digits[:_ASIDE_DIGITS]}")
        is_free = short not in self._by_name and short not in self.listed
        return short if is_free else SampleId(f"{file.sample_id}@{digits}")


def is_aside(sample_id: SampleId, sha256: bytes) -> bool:
    """Return whether this is the name of an image whose file shows other, accepted content now."""
    digits = sha256.hex()
    return sample_id.endswith((f"@{digits[:_ASIDE_DIGITS]}", f"@{digits}"))
