"""What every label store does, whatever keeps it; ``store.open`` returns one.

A method that returns has its change on the disk; a method that raises has changed nothing. Code
that needs a part of a store asks for that part: ``ClassList``, ``Images``, ``Queries``,
``LabelReader``, ``LabelWriter``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.instants import Clock
from dgaal_cli.store.records import (
    AddedItems,
    Answer,
    AnswerRecord,
    ClassRecord,
    Counts,
    EventRecord,
    ImportedLabel,
    ImportReport,
    ItemRecord,
    ItemState,
    LabelRecord,
    Lease,
    NewItem,
    NewSynthetic,
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
"""How long an image is promised to one annotator."""


class ClassList(Protocol):
    """The classes: stable uids, names and keys that may change, a recorded history."""

    def classes(self) -> list[ClassRecord]:
        """Return the classes in use, by position."""
        ...

    def class_by_name(self, name: str) -> ClassRecord:
        """Find a class by its exact name.

        Raises:
            UsageError: There is none; the message names the nearest and the known ones.
        """
        ...

    def class_name(self, uid: ClassUid) -> str:
        """Return the current name of a class, also of one no longer in use."""
        ...

    def class_names(self) -> dict[ClassUid, str]:
        """Return the current name of each class, also of those no longer in use."""
        ...

    def add_class(self, name: str, key: str = "", *, uid: ClassUid | None = None) -> ClassRecord:
        """Append a class; ``UsageError`` if the name is bad or taken, or the key taken."""
        ...

    def rename_class(self, uid: ClassUid, name: str) -> ClassRecord:
        """Change a class's name; its labels stay with it."""
        ...

    def reorder_classes(self, uids: Sequence[ClassUid]) -> list[ClassRecord]:
        """Give the classes a new order; every class once."""
        ...

    def retire_class(self, uid: ClassUid) -> None:
        """Take a class off the list; ``UsageError`` while answers name it."""
        ...


class Images(Protocol):
    """The images: identity is the content, a path is only where it was seen."""

    def items(self) -> list[ItemRecord]:
        """Return all items, first seen first: pool and synthetic, whatever their state."""
        ...

    def item(self, item_id: ItemId) -> ItemRecord:
        """Return one item; ``UsageError`` if there is none."""
        ...

    def item_by_sample(self, sample_id: SampleId) -> ItemRecord | None:
        """Return the item seen at a path, whether or not it is the primary path."""
        ...

    def replaced(self) -> list[tuple[SampleId, ItemState]]:
        """Return images whose file is gone or holds other bytes now, by name."""
        ...

    def quarantined(self) -> list[tuple[SampleId, str]]:
        """Return unreadable files and why, by name."""
        ...

    def add_items(self, new: Iterable[NewItem]) -> AddedItems:
        """Add pool images in one transaction; equal bytes become one item with several paths."""
        ...

    def add_synthetic(self, new: Iterable[NewSynthetic]) -> list[ItemId]:
        """Add generated images in one transaction; ``UsageError`` if one is there already."""
        ...

    def mark_unreadable(self, files: Iterable[tuple[SampleId, str]]) -> None:
        """Set files aside in one transaction, each with its reason; they are not asked again."""
        ...

    def set_states(self, states: Mapping[ItemId, ItemState]) -> None:
        """Record in one transaction which images went missing, changed, or came back."""
        ...


class Queries(Protocol):
    """The queries: ordered images of one round, and who is asked which of them next."""

    def open_round(self) -> int | None:
        """Return the round whose query waits for answers."""
        ...

    def open_query(self) -> Query | None:
        """Return the query that waits for answers."""
        ...

    def last_query(self) -> Query | None:
        """Return the newest query, open or closed."""
        ...

    def query(self, number: int) -> Query:
        """Return the query of a round; ``UsageError`` if it had none."""
        ...

    def query_progress(self, round: int) -> QueryProgress:
        """Count what became of a query's items."""
        ...

    def upcoming(self, annotator: str, count: int) -> list[Upcoming]:
        """Return what the annotator will be asked next, in order, for decoding ahead."""
        ...

    def save_query(self, query: Query, *, overlap: int = 1) -> None:
        """Open a query.

        Args:
            query: Entries in the order of asking.
            overlap: Annotators wanted for each image.

        Raises:
            UsageError: Another query is open, or the round had one.
        """
        ...

    def extend_query(self, entries: Sequence[QueryEntry]) -> int:
        """Ask more images in the open query, after those it asks already; return how many.

        Images that the query asks, or that have a verdict, are left out. Ranks continue those of
        the query.

        Raises:
            UsageError: No query is open, or an entry names an unknown image or class.
        """
        ...

    def close_query(self, round: int) -> int:
        """Close the open query; its unanswered images, whose number is returned, stay in the pool.

        From here on ``undo`` does not reach the answers of this round.
        """
        ...

    def next_task(
        self, annotator: str, session: str, *, item_id: ItemId | None = None
    ) -> Task | None:
        """Lease the next image of the open query; None if nothing is left for this annotator.

        Calling it again gives the same image, also from another session: one terminal a person.
        ``item_id`` asks for one image; None if it is answered or with others.
        """
        ...


class LabelReader(Protocol):
    """Labels, answers and their history; changes nothing."""

    def labels(self, *, watermark: int | None = None) -> list[LabelRecord]:
        """Return the effective label of each labeled item, by item number.

        Adjudicated before majority before earliest; inherited only where no one answered.

        Args:
            watermark: Only events up to this number; None for all.
        """
        ...

    def cannot_tell(self, *, watermark: int | None = None) -> set[ItemId]:
        """Return the items whose effective verdict is that nobody can tell."""
        ...

    def answers(self) -> list[AnswerRecord]:
        """Return each annotator's current answer to each item, oldest first."""
        ...

    def flagged(self) -> list[ItemRecord]:
        """Return the items that somebody asked a second look at, by number."""
        ...

    def watermark(self) -> int:
        """Number of the newest event; what a training run notes and reads up to."""
        ...

    def counts(self) -> Counts:
        """Count items, labels and answers."""
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
        """Yield the history, oldest first, in short reads so that writers are not kept waiting."""
        ...

    def latest_events(self, count: int, *, annotator: str | None = None) -> list[EventRecord]:
        """Return the newest events, newest first."""
        ...


class LabelWriter(Protocol):
    """Answers of oracles, imports and inherited labels: each appends events, none deletes any."""

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

        Giving the same answer again (same ``op_id``) stores nothing and succeeds. ``next_item`` is
        the image to lease if it is free; otherwise the next by rank.

        Raises:
            UsageError: The answer contradicts itself or its ``op_id`` belongs to another.
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
        """Store several answers in one transaction, all or none: a grid page, a simulation."""
        ...

    def undo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        """Take back this annotator's last action of the open query's round, also after a restart.

        Without an open query the scope is what was answered since the last one was closed. Imported
        and inherited labels are not offered. None if nothing is left to take back.

        Args:
            annotator: Who.
            session: Which terminal.
            op_id: Makes a retry safe; one is drawn if not given.

        Raises:
            UsageError: An earlier answer would come back whose class was removed.
        """
        ...

    def redo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        """Bring back what ``undo`` took last; None after a new answer or if there is nothing."""
        ...

    def undoable(self, annotator: str) -> list[int]:
        """Return the ids of the answers and flags that ``undo`` takes back, the next one last."""
        ...

    def import_labels(
        self,
        given: Sequence[ImportedLabel],
        *,
        new_classes: Sequence[ClassRecord] = (),
        session: str = "import",
        is_dry_run: bool = False,
    ) -> ImportReport:
        """Import labels in one transaction, all or none, after a backup.

        Args:
            given: Labels, oldest first.
            new_classes: Classes they need that the store lacks, with uids of the caller's choice.
            session: What the history shows as the session.
            is_dry_run: Do everything, report it, and keep nothing.

        Raises:
            UsageError: A sample or class is unknown; nothing was imported.
        """
        ...

    def promote_synthetic(self, chosen: Sequence[ItemId], round: int) -> int:
        """Turn the inherited classes of synthetic images into labels; return how many.

        Left out: images set aside, without a class or of a removed one, or with a verdict already.
        """
        ...


class Store(ClassList, Images, Queries, LabelReader, LabelWriter, Protocol):
    """An open store."""

    backup_problem: str
    """Why the last automatic backup failed, empty if it did not; answers are saved regardless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def close(self) -> None:
        """Close the store; what was acknowledged is on the disk already."""
        ...

    def meta(self) -> dict[str, str]:
        """Return what is known of the workspace: ``workspace_id`` and whatever was noted."""
        ...

    def record_artifact(self, sha256: bytes, role: str, format: str, round: int | None) -> None:
        """Note that this workspace exported a file, so that it may be trusted later."""
        ...

    def knows_artifact(self, sha256: bytes) -> bool:
        """Tell whether this workspace exported the file with that digest."""
        ...

    def check(self) -> list[str]:
        """Examine the whole store; return what is wrong in plain words, nothing if it is sound."""
        ...

    def rebuild(self) -> int:
        """Recompute the current state from the events; return how many rows were wrong."""
        ...

    def back_up(self, reason: str = "manual") -> Path:
        """Write a verified copy and drop all but the newest.

        Args:
            reason: One word, part of the copy's name.

        Raises:
            StorageError: No room or no permission.
        """
        ...


class StoreLocation(Protocol):
    """Where a store is or will be, before it is opened; its backups belong to it."""

    def exists(self) -> bool:
        """Tell whether something is there, sound or not."""
        ...

    def create(
        self,
        *,
        workspace_id: str | None = None,
        clock: Clock = ...,
        accepts_network_folder: bool = False,
    ) -> Store:
        """Make an empty store and open it; see ``open`` for network folders.

        Raises:
            UsageError: Something is there already.
            StorageError: The place is not writable.
        """
        ...

    def build(
        self, *, then: Callable[[], object], accepts_network_folder: bool = False
    ) -> AbstractContextManager[Store]:
        """Give an empty store that takes its place when the block ends without error.

        Args:
            then: Runs when the store is in its place; if it fails, the store is removed again.
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
    ) -> Store:
        """Open a store, examine it, and bring an older one up to date after a backup.

        Args:
            clock: Unix seconds.
            read_only: Write nothing, whatever is called.
            lease_s: How long an image is promised to one annotator.
            accepts_network_folder: Write on a network file system too, from now on: one person on
                one host.

        Raises:
            UsageError: It lies on a network file system, and nobody accepted that.
            WorkspaceError: Missing, damaged, no store, or written by a newer dgaal; it is left as
                it is and never replaced by an empty one.
        """
        ...

    def backups(self) -> list[Path]:
        """Return the backups, newest first."""
        ...

    def overdue(self, events: int) -> int | None:
        """Count the events that no backup holds, if a backup should have been made since.

        Args:
            events: How many the store holds.

        Returns:
            None where the backups are as they should be.
        """
        ...

    def restore(self, copy: Path | None = None) -> Restored:
        """Put a backup in the place of the store, which is set aside, never deleted.

        Nobody may have the store open.

        Args:
            copy: Which backup; None takes the newest sound one.

        Raises:
            BusyError: Another process writes the store.
            WorkspaceError: No backup is sound.
        """
        ...

    def network_filesystem(self) -> str | None:
        """Return the kind of network file system the store lies on; None if its locks hold."""
        ...

    def engine(self) -> tuple[str, str]:
        """Return the name of the database, and its version with how it writes."""
        ...
