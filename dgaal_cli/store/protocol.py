"""The interface of a label store; ``store.open`` returns one.

When a method returns, its change is on the disk; when it raises, it changed nothing. Code that
needs a part of a store declares that part: ``ClassList``, ``Images``, ``Queries``,
``LabelReader``, ``LabelWriter``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.instants import Clock
from dgaal_cli.store.records import (
    AddedItems,
    Answer,
    AnswerRecord,
    AnswerTally,
    ClassRecord,
    Counts,
    DisputedItem,
    EventRecord,
    ImportedLabel,
    ImportReport,
    ItemKey,
    ItemRecord,
    ItemState,
    Label,
    LabelRecord,
    Lease,
    NewItem,
    NewSynthetic,
    PoolChange,
    PoolFile,
    Provenance,
    Query,
    QueryEntry,
    QueryProgress,
    Receipt,
    Restored,
    Task,
    Undone,
    Upcoming,
)

LEASE_S = 120.0
"""Seconds for which an image is reserved for one annotator."""


class ClassList(Protocol):
    """The classes: stable uids, changeable names and keys, a recorded history."""

    def classes(self) -> list[ClassRecord]:
        """Return the classes in use, by position."""
        ...

    def class_by_name(self, name: str) -> ClassRecord:
        """Find a class by its exact name.

        Raises:
            UsageError: No class has the name; the message lists the closest and known names.
        """
        ...

    def class_names(self) -> dict[ClassUid, str]:
        """Return the current name of each class, retired classes included."""
        ...

    def add_class(self, name: str, key: str = "", *, uid: ClassUid | None = None) -> ClassRecord:
        """Append a class; ``UsageError`` if the name is invalid, or the name or key is used."""
        ...

    def add_classes(self, names: Iterable[str]) -> list[ClassRecord]:
        """Append classes in one transaction; ``UsageError`` as for ``add_class``, then none."""
        ...

    def rename_class(self, uid: ClassUid, name: str) -> ClassRecord:
        """Change the name of a class; its labels stay."""
        ...

    def reorder_classes(self, uids: Sequence[ClassUid]) -> list[ClassRecord]:
        """Set the order of the classes; ``uids`` must name each class in use once."""
        ...

    def retire_class(self, uid: ClassUid) -> None:
        """Remove a class from the list; ``UsageError`` while answers name it."""
        ...

    def reinstate_class(self, uid: ClassUid) -> ClassRecord:
        """Append a removed class to the list again; ``UsageError`` if its name is used now."""
        ...


class Images(Protocol):
    """The images: an item is identified by its content, not by its path."""

    def items(self) -> list[ItemRecord]:
        """Return all items of the pool and all synthetic ones, in any state, oldest first."""
        ...

    def unanswered(self, *, after: int = 0) -> list[ItemId]:
        """Return the pool images in state ``ok`` without an effective answer, by number.

        Args:
            after: Only return images with a higher number.
        """
        ...

    def sizes(self) -> dict[ItemId, tuple[int, int]]:
        """Return width and height in pixels of each image."""
        ...

    def usable(self, count: int) -> tuple[int, list[ItemRecord]]:
        """Return the number of pool images in state ``ok``, and up to ``count`` of them in a row.

        They are the first ones of the second half, by number.
        """
        ...

    def item(self, item_id: ItemId) -> ItemRecord:
        """Return one item; ``UsageError`` if it does not exist."""
        ...

    def item_by_sample(self, sample_id: SampleId) -> ItemRecord | None:
        """Return the item at a path, which need not be its first path."""
        ...

    def items_by_sample(self, sample_ids: Iterable[SampleId]) -> dict[SampleId, ItemKey]:
        """Return the items at some paths; paths without an item are left out."""
        ...

    def paths(self) -> list[SampleId]:
        """Return the paths of all pool images, also those of equal bytes."""
        ...

    def replaced(self) -> list[tuple[SampleId, ItemState]]:
        """Return images whose file is missing or has other content now, by name."""
        ...

    def quarantined(self) -> list[tuple[SampleId, str]]:
        """Return unreadable files with the reason, by name."""
        ...

    def add_items(self, new: Iterable[NewItem]) -> AddedItems:
        """Add pool images in one transaction; images with equal bytes share one item."""
        ...

    def pool_files(self) -> list[PoolFile]:
        """Return each name of each pool image, in the order in which the names were added."""
        ...

    def groups(self) -> dict[ItemId, str]:
        """Return the group of each pool image that has one, by number.

        Images of a group, such as those of a patient, stay on one side of a split. An image without
        a group is a group of its own.
        """
        ...

    def change_pool(self, change: PoolChange) -> AddedItems:
        """Change the images of the pool and their names in one transaction."""
        ...

    def add_synthetic(self, new: Iterable[NewSynthetic]) -> list[ItemId]:
        """Add synthetic images in one transaction; ``UsageError`` if one exists already."""
        ...

    def mark_unreadable(self, files: Iterable[tuple[SampleId, str]]) -> None:
        """Mark files as unreadable in one transaction, with a reason; they are not asked again."""
        ...

    def set_states(self, states: Mapping[ItemId, ItemState]) -> None:
        """Set the states of images in one transaction."""
        ...


class Queries(Protocol):
    """The queries: the ordered images of each round, and the next image of each annotator."""

    def open_round(self) -> int | None:
        """Return the round of the open query, or None."""
        ...

    def open_query(self) -> Query | None:
        """Return the open query, or None."""
        ...

    def last_query(self) -> Query | None:
        """Return the newest query, open or closed, or None."""
        ...

    def query(self, number: int) -> Query:
        """Return the query of a round; ``UsageError`` if it has none."""
        ...

    def entries_by_reason(self, start: str) -> list[tuple[int, QueryEntry]]:
        """Return all entries whose reason has this start, with their rounds, by round and rank."""
        ...

    def query_progress(self, number: int) -> QueryProgress:
        """Count the answered and open items of a query."""
        ...

    def upcoming(self, annotator: str, count: int) -> list[Upcoming]:
        """Return the annotator's next images, in order, so that they can be decoded early."""
        ...

    def save_query(self, query: Query, *, overlap: int = 1) -> None:
        """Open a query.

        Args:
            query: Entries by rank.
            overlap: Number of annotators to ask about each image.

        Raises:
            UsageError: Another query is open, the round already has one, or an entry is invalid.
        """
        ...

    def extend_query(self, entries: Sequence[QueryEntry]) -> int:
        """Append images to the open query and return their number.

        Images that are in the query, or that have a verdict, are skipped. Ranks continue those of
        the query.

        Raises:
            UsageError: No query is open, or an entry names an unknown image or class.
        """
        ...

    def close_query(self, number: int) -> int:
        """Close the open query and return the number of its unanswered images.

        These images stay in the pool. ``undo`` cannot change the answers of a closed query.
        ``UsageError`` if the query of this round is not open.
        """
        ...

    def next_task(
        self, annotator: str, session: str, *, item_id: ItemId | None = None
    ) -> Task | None:
        """Lease the next image of the open query; None if no image is left for this annotator.

        A second call returns the same image, also from another session. With ``item_id``, lease
        that image; None if it is answered or leased to others.
        """
        ...


class LabelReader(Protocol):
    """Labels, answers and their history, read-only."""

    def labels(self, *, watermark: int | None = None) -> list[LabelRecord]:
        """Return the effective label of each labeled item, by item number.

        It is the adjudicated label, else the majority, else the earliest; a label of the source
        only without another answer, and an inherited label only without any answer.

        Args:
            watermark: Only use events up to this number; None for all.
        """
        ...

    def verdicts(self, *, items: Collection[ItemId] | None = None) -> dict[ItemId, Label | None]:
        """Return the effective label of each item that has an answer; None for "can't tell".

        Args:
            items: Only return those of these items; None for all.
        """
        ...

    def cannot_tell(self, *, watermark: int | None = None) -> set[ItemId]:
        """Return the items whose effective verdict is "can't tell"."""
        ...

    def answers(self) -> list[AnswerRecord]:
        """Return each annotator's current answer to each item, oldest first."""
        ...

    def iter_answers(self) -> Iterator[AnswerRecord]:
        """Yield ``answers`` as of the first one, in short reads that do not block writers."""
        ...

    def distinct_labels(self, *, include_synthetic: bool) -> Iterator[tuple[Label, SampleId]]:
        """Yield each different effective label once, with one of the images that have it."""
        ...

    def effective_answers(self) -> Iterator[AnswerRecord]:
        """Yield the answer that is the label of each image, by name, in short reads.

        They are those at the first one. Images with the verdict "can't tell" have none.
        """
        ...

    def withdrawn(self) -> Iterator[AnswerRecord]:
        """Yield skips and what was undone: annotators' images without an answer, oldest first.

        They are read in short reads, and are those at the first one.

        A copy of the workspace needs them, so that it does not keep what was taken back.
        """
        ...

    def events_by_op_id(self, op_ids: Iterable[str]) -> dict[str, tuple[ItemId, str]]:
        """Return image and annotator of the events with these ids; unknown ids are left out."""
        ...

    def tally(self) -> AnswerTally:
        """Count the current answers by annotator, provenance and agreement."""
        ...

    def disputed(self, to_text: Callable[[Label], str]) -> Iterator[DisputedItem]:
        """Yield the images with different answers and no decision, by number, in short reads.

        Args:
            to_text: Text of a label; called once for each label of a page.
        """
        ...

    def disputed_ids(self) -> set[ItemId]:
        """Return the numbers of ``disputed`` alone, which takes a fraction of the time."""
        ...

    def flagged(self) -> list[ItemRecord]:
        """Return the items that an annotator flagged for a second look, by number."""
        ...

    def watermark(self) -> int:
        """Return the number of the newest event; a training run reads up to it."""
        ...

    def counts(self, *, known: Counts | None = None) -> Counts:
        """Count items, labels and answers.

        Args:
            known: Counts of an earlier call: only images with newer events are counted again, and
                changes of the pool and of image states since then are not seen.
        """
        ...

    def events(
        self,
        *,
        after: int = 0,
        item_id: ItemId | None = None,
        annotator: str | None = None,
        round: int | None = None,
        kind: str | None = None,
    ) -> Iterator[EventRecord]:
        """Yield the history, oldest first, in short reads that do not block writers."""
        ...

    def latest_events(self, count: int, *, annotator: str | None = None) -> list[EventRecord]:
        """Return the newest events, newest first."""
        ...


class LabelWriter(Protocol):
    """Answers of oracles, imports and inherited labels; events are appended, never deleted."""

    def submit(
        self,
        answer: Answer,
        *,
        annotator: str,
        session: str,
        lease: Lease | None = None,
        provenance: Provenance = "human",
        take_next: bool = True,
        next_item: ItemId | None = None,
    ) -> Receipt:
        """Store one answer and lease the next image, in one transaction.

        Submitting the same answer again (same ``op_id``) stores nothing and succeeds.
        ``next_item`` is leased if it is free; otherwise the next image by rank.

        Raises:
            UsageError: The answer is inconsistent, names an unknown image or class, or its
                ``op_id`` belongs to another answer.
            BusyError: Another process writes; try again with the same answer.
            StorageError: Nothing was stored; keep the answer and try again.
        """
        ...

    def submit_many(
        self,
        given: Sequence[Answer],
        *,
        annotator: str,
        session: str,
        provenance: Provenance = "human",
    ) -> list[Receipt]:
        """Store several answers in one transaction, all or none."""
        ...

    def undo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        """Undo this annotator's last action in the round of the open query, also after a restart.

        Without an open query, undo answers given after the last query was closed. Imported and
        inherited labels cannot be undone. None if there is nothing to undo.

        Args:
            annotator: Annotator name.
            session: Session id of the terminal.
            op_id: Id that makes a retry safe; None creates one.

        Raises:
            UsageError: An earlier answer would be restored whose class was removed.
        """
        ...

    def redo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        """Reverse the last ``undo``; None after a new answer or if there is nothing to redo."""
        ...

    def undoable(self, annotator: str, *, count: int | None = None) -> list[int]:
        """Return the event ids of the answers and flags that can be undone, the next one last.

        Args:
            annotator: Annotator name.
            count: Only return those that ``count`` undos would take back; None for all.
        """
        ...

    def import_labels(
        self,
        given: Iterable[ImportedLabel],
        *,
        new_classes: Sequence[ClassRecord] = (),
        session: str = "import",
        is_dry_run: bool = False,
    ) -> ImportReport:
        """Import labels in one transaction, all or none, after a backup.

        A label without ``op_id`` replaces the current answer of its annotator. One with ``op_id``
        comes from a copy of this workspace and replaces only an older answer: for each annotator
        and image, the newest answer, undo or redo of all copies counts, by its time and then by
        ``op_id``. An older answer is stored in the history only. A label with ``decided_by`` is the
        label of its image: if other annotators answered too, it is stored as a decision.

        Args:
            given: Labels, oldest first.
            new_classes: Classes to add first; the caller chooses their uids.
            session: Session id in the history.
            is_dry_run: Check and count everything, but change nothing.

        Raises:
            UsageError: A sample or class is unknown, or a line is inconsistent; nothing was
                imported.
            InputDataError: An ``op_id`` belongs to another answer; nothing was imported.
        """
        ...

    def promote_synthetic(self, chosen: Sequence[ItemId], round: int) -> int:
        """Turn the inherited labels of synthetic images into labels; return their number.

        Skips quarantined images, images with a verdict, and images whose inherited label is
        missing or names a removed class.
        """
        ...


class Rescue(Protocol):
    """Handles answers that another program has removed from an open store."""

    def __call__(self, lost: Sequence[AnswerRecord], stored: int, /) -> str:
        """Return the end of the message of the ``StoreChangedError``.

        Args:
            lost: What is no longer in the store's place, as an export writes it: the current
                answer or flag of each image, or what was taken back.
            stored: Number of images whose answer or flag this ``Store`` has reported as stored.
        """
        ...


class Store(ClassList, Images, Queries, LabelReader, LabelWriter, Protocol):
    """An open store."""

    backup_problem: str
    """Why the last automatic backup failed; empty if it did not. Answers are saved in any case."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_raised: object) -> None: ...

    def close(self) -> None:
        """Close the store."""
        ...

    def on_change(self, rescue: Rescue) -> None:
        """Call ``rescue`` before a ``StoreChangedError`` is raised.

        Every other method raises this error if another program has moved, replaced or overwritten
        the store. A method that writes checks this before and after its transaction; one that reads
        need not check it again shortly after another check.
        """
        ...

    def check_unchanged(self) -> None:
        """Check that no other program has moved, replaced or overwritten the store."""
        ...

    def record_artifact(self, sha256: bytes, role: str, format: str, round: int | None) -> None:
        """Record that this workspace exported a file, so that the file is trusted later."""
        ...

    def knows_artifact(self, sha256: bytes) -> bool:
        """Check whether this workspace exported the file with that digest."""
        ...

    def check(self) -> list[str]:
        """Check the whole store and return a message for each problem."""
        ...

    def rebuild(self) -> int:
        """Recompute the current state from the events; return the number of wrong rows."""
        ...

    def back_up(self, reason: str = "manual", *, is_full: bool = False) -> Path:
        """Write a verified backup and delete the oldest ones.

        A backup may consist of what is new since the one before, and then needs that one's file.
        It is complete even if older rows of the store are damaged; a manual one checks them too.

        Args:
            reason: One word, part of the file name.
            is_full: Write a backup that needs no other file.

        Raises:
            StorageError: The disk is full, the folder is not writable, or the store is damaged.
        """
        ...


class StoreLocation(Protocol):
    """The place of a store and its backups; the store need not exist."""

    def exists(self) -> bool:
        """Check whether a file exists at the location, valid or not, that was built whole."""
        ...

    def create(self, *, clock: Clock = ..., accepts_network_folder: bool = False) -> Store:
        """Create an empty store and open it; see ``open`` for network folders.

        Raises:
            UsageError: A file exists at the location.
            StorageError: The location is not writable.
        """
        ...

    def build(
        self, *, then: Callable[[], object], accepts_network_folder: bool = False
    ) -> AbstractContextManager[Store]:
        """Yield a temporary empty store; move it to the location if the block ends without error.

        The caller lets no other process build here. What a killed one left is removed first.

        Args:
            then: Called after the move; if it raises, the store is removed again. Until it has
                returned, ``exists`` is false.
            accepts_network_folder: See ``open``.
        """
        ...

    def open(
        self,
        *,
        clock: Clock = ...,
        read_only: bool = False,
        lease_s: float = LEASE_S,
        accepts_network_folder: bool = False,
        checks_all: bool = False,
    ) -> Store:
        """Open and check a store; a store of an older version is backed up and migrated.

        The check takes the same time for every size above 4 MiB: header, number of pages against
        the size of the file, schema, the newest row of each table, and the current state of the
        images of the newest 100 events. Smaller stores are checked whole in addition.

        Args:
            clock: Returns the time of events, and the time since the boot for leases.
            read_only: Refuse every write.
            lease_s: Seconds for which an image is reserved for one annotator.
            accepts_network_folder: Allow writing on a network file system from now on; only one
                person on one host may use it.
            checks_all: Check every page and reference, but not the current state, which ``check``
                compares and ``rebuild`` repairs.

        Raises:
            UsageError: The store is on a network file system that is not accepted.
            WorkspaceError: The store is missing, damaged, not a store, or written by a newer
                dgaal; it is not changed and never replaced by an empty one.
        """
        ...

    def backups(self) -> list[Path]:
        """Return the backups, newest first."""
        ...

    def overdue(self, events: int) -> int | None:
        """Return the number of events in no backup, or None if no backup is due.

        Args:
            events: Number of events in the store.
        """
        ...

    def restore(self, copy: Path | None = None) -> Restored:
        """Replace the store by a backup; the old store is renamed, never deleted.

        The store must not be open.

        Args:
            copy: Backup to use; None uses the newest intact one.

        Raises:
            BusyError: Another process writes the store.
            WorkspaceError: No backup is intact.
        """
        ...

    def network_filesystem(self) -> str | None:
        """Return the type of the store's network file system, or None if it is local."""
        ...

    def engine(self) -> tuple[str, str]:
        """Return the name of the database, and its version with the journal mode."""
        ...
