"""The label store: append-only answers, leases, undo; every public operation in one class.

A method that returns has its change on the disk (COMMIT with ``synchronous=FULL``); a method that
raises has changed nothing. One connection per process, opened after a fork; several threads may
use it, one at a time.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

from dgaal_cli.errors import DgaalError, UsageError, WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store import answers, backups, classes, imports, items, projection, queries, schema
from dgaal_cli.store.connection import Database, create_file
from dgaal_cli.store.filesystem import network_filesystem
from dgaal_cli.store.instants import Clock, system_clock, to_iso, to_microseconds
from dgaal_cli.store.reader import StoreReader
from dgaal_cli.store.records import (
    AddedItems,
    Answer,
    ClassRecord,
    ImportedLabel,
    ImportReport,
    ItemState,
    Lease,
    NewItem,
    NewSynthetic,
    Provenance,
    Query,
    QueryEntry,
    Receipt,
    Task,
    Undone,
)

LEASE_S = 120.0
"""How long an image is promised to one annotator; an answer or a renewal prolongs nothing else."""

_NETWORK = "network_folder"
"""In ``meta``: that the owner accepted one."""

BACKUP_EVERY = backups.EVERY
"""Events between two automatic copies."""


class _DryRunError(Exception):
    """Ends a transaction that was only asked what it would do."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def _end_dry_run(report: ImportReport) -> NoReturn:
    raise _DryRunError(report)


class LabelStore(StoreReader):
    """An open store that may be written."""

    def __init__(self, database: Database, *, clock: Clock, lease_s: float) -> None:
        super().__init__(database, clock=clock)
        self._lease_s = lease_s
        self.backup_problem = ""
        """Why the last automatic copy failed, in plain words; answers are saved regardless."""

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        workspace_id: str | None = None,
        clock: Clock = system_clock,
        accepts_network_folder: bool = False,
    ) -> Self:
        """Make an empty store and open it; see ``open`` for network folders.

        Raises:
            UsageError: The file exists.
            StorageError: The folder is not writable.
        """
        meta = {
            "workspace_id": workspace_id or uuid.uuid4().hex,
            "created": to_iso(to_microseconds(clock())),
        }
        create_file(path, meta)
        return cls.open(path, clock=clock, accepts_network_folder=accepts_network_folder)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock = system_clock,
        read_only: bool = False,
        lease_s: float = LEASE_S,
        accepts_network_folder: bool = False,
    ) -> Self:
        """Open a store, examine it, and bring an older one up to date after a backup.

        Args:
            path: Its file.
            clock: Unix seconds.
            read_only: Write nothing, whatever is called.
            lease_s: How long an image is promised to one annotator.
            accepts_network_folder: Write on a network file system too, from now on: one person on
                one host.

        Raises:
            UsageError: It lies on a network file system, and nobody accepted that.
            WorkspaceError: Missing, damaged, no store, or written by a newer dgaal; the file is
                left as it is and never replaced by an empty one.
        """
        database = Database(path, is_read_only=read_only)
        try:
            store = cls(database, clock=clock, lease_s=lease_s)
            if not read_only:
                store._check_place(is_accepted=accepts_network_folder)
            store._upgrade()
            database.check()
        except BaseException:
            database.close()
            raise
        return store

    # Classes

    def add_class(self, name: str, key: str = "", *, uid: ClassUid | None = None) -> ClassRecord:
        """Append a class; ``UsageError`` if the name is bad or taken, or the key taken."""
        with self._database.write() as connection:
            return classes.add(connection, name, key=key, now_us=self._now_us(), uid=uid)

    def rename_class(self, uid: ClassUid, name: str) -> ClassRecord:
        """Change a class's name; its labels stay with it."""
        with self._database.write() as connection:
            return classes.rename(connection, uid, name, now_us=self._now_us())

    def reorder_classes(self, uids: Sequence[ClassUid]) -> list[ClassRecord]:
        """Give the classes a new order; every class once."""
        with self._database.write() as connection:
            return classes.reorder(connection, uids, now_us=self._now_us())

    def retire_class(self, uid: ClassUid) -> None:
        """Take a class off the list; ``UsageError`` while answers name it."""
        with self._database.write() as connection:
            classes.retire(connection, uid, now_us=self._now_us())

    # Images

    def add_items(self, new: Iterable[NewItem]) -> AddedItems:
        """Add pool images in one transaction; equal bytes become one item with several paths."""
        with self._database.write() as connection:
            return items.add(connection, new)

    def add_synthetic(self, new: Iterable[NewSynthetic]) -> list[ItemId]:
        """Add generated images in one transaction; ``UsageError`` if one is there already."""
        with self._database.write() as connection:
            return items.add_synthetic(connection, new)

    def mark_unreadable(self, sample_id: SampleId, reason: str) -> None:
        """Set a file aside; it is asked no more, whether or not it was known."""
        with self._database.write() as connection:
            items.mark_unreadable(connection, sample_id, reason)

    def mark_all_unreadable(self, files: Iterable[tuple[SampleId, str]]) -> None:
        """Set many files aside, each with its reason, in one transaction."""
        with self._database.write() as connection:
            for sample_id, reason in files:
                items.mark_unreadable(connection, sample_id, reason)

    def set_states(self, states: Mapping[ItemId, ItemState]) -> None:
        """Record in one transaction which images went missing, changed, or came back."""
        with self._database.write() as connection:
            for item_id, state in states.items():
                items.set_state(connection, item_id, state)

    # Queries

    def save_query(self, query: Query, *, overlap: int = 1) -> None:
        """Open a query.

        Args:
            query: Entries in the order of asking.
            overlap: Annotators wanted for each image.

        Raises:
            UsageError: Another query is open, or the round had one.
        """
        with self._database.write() as connection:
            queries.save(connection, query, overlap=overlap, now_us=self._now_us())

    def extend_query(self, entries: Sequence[QueryEntry]) -> int:
        """Ask more images in the open query, after those it asks already; return how many.

        Images that the query asks, or that have a verdict, are left out. Ranks are given anew.

        Raises:
            UsageError: No query is open, or an entry names an unknown image or class.
        """
        with self._database.write() as connection:
            return queries.extend(connection, entries)

    def close_query(self, round: int) -> int:  # noqa: A002
        """Close the open query; its unanswered images, whose number is returned, stay in the pool.

        From here on ``undo`` does not reach the answers of this round.
        """
        with self._database.write() as connection:
            return queries.close(connection, round, now_us=self._now_us())

    def next_task(
        self, annotator: str, session: str, *, item_id: ItemId | None = None
    ) -> Task | None:
        """Lease the next image of the open query; None if nothing is left for this annotator.

        Calling it again gives the same image, also from another session: one terminal a person.
        ``item_id`` asks for one image; None if it is answered or with others.
        """
        operator = self._operator(annotator, session)
        with self._database.write() as connection:
            return queries.take(
                connection,
                annotator,
                session=session,
                expires=operator.expires,
                now=operator.now,
                item_id=item_id,
            )

    def renew(self, lease: Lease) -> bool:
        """Prolong a lease by the full time; False if it ran out."""
        now = self._clock()
        with self._database.write() as connection:
            return queries.renew(connection, lease, expires=now + self._lease_s, now=now)

    def release(self, annotator: str) -> None:
        """Give the annotator's lease back, as when a terminal closes."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM lease WHERE annotator = ?", (annotator,))

    # Answers

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
        the image to lease if it may be had; without it, or where others have it, the next by rank.

        Raises:
            UsageError: The answer contradicts itself or its ``op_id`` belongs to another.
            BusyError: Another process writes; try again with the same answer.
            StorageError: Nothing was stored; keep the answer and try again.
        """
        with self._database.write() as connection:
            receipt = answers.submit(
                connection,
                answer,
                operator=self._operator(annotator, session),
                lease=lease,
                provenance=provenance,
                take_next=take_next,
                next_item=next_item,
            )
        self._back_up_if_due(receipt.event_id - 1, receipt.event_id)
        return receipt

    def submit_many(
        self,
        given: Sequence[Answer],
        *,
        annotator: str,
        session: str,
        provenance: Provenance = "human",
    ) -> list[Receipt]:
        """Store several answers in one transaction, all or none: a grid page, a simulation."""
        before = self.watermark()
        with self._database.write() as connection:
            receipts = [
                answers.submit(
                    connection,
                    answer,
                    operator=self._operator(annotator, session),
                    lease=None,
                    provenance=provenance,
                    take_next=False,
                )
                for answer in given
            ]
        self._back_up_if_due(before, max((r.event_id for r in receipts), default=before))
        return receipts

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
        with self._database.write() as connection:
            done = answers.undo(connection, self._operator(annotator, session), op_id=op_id)
        if done is not None:
            self._back_up_if_due(done.event_id - 1, done.event_id)
        return done

    def redo(self, annotator: str, session: str, *, op_id: str | None = None) -> Undone | None:
        """Bring back what ``undo`` took last; None after a new answer or if there is nothing."""
        with self._database.write() as connection:
            done = answers.redo(connection, self._operator(annotator, session), op_id=op_id)
        if done is not None:
            self._back_up_if_due(done.event_id - 1, done.event_id)
        return done

    def undoable(self, annotator: str) -> list[int]:
        """Return the ids of the answers and flags that ``undo`` takes back, the next one last."""
        with self._database.read() as connection:
            return answers.undoable(connection, annotator)

    def import_labels(
        self,
        given: Sequence[ImportedLabel],
        *,
        new_classes: Sequence[ClassRecord] = (),
        session: str = "import",
        is_dry_run: bool = False,
    ) -> ImportReport:
        """Take over labels from elsewhere in one transaction, all or none, after a backup.

        Args:
            given: Labels, oldest first.
            new_classes: Classes they need that the store lacks, with uids of the caller's choice.
            session: What the history shows as the session.
            is_dry_run: Do everything, report it, and keep nothing.

        Raises:
            UsageError: A sample or class is unknown; nothing was imported.
        """
        before = self.watermark()
        if not is_dry_run and before:
            self.back_up("import")
        try:
            with self._database.write() as connection:
                for record in new_classes:
                    classes.add(
                        connection,
                        record.name,
                        key=record.key,
                        now_us=self._now_us(),
                        uid=record.uid,
                    )
                now = self._clock()
                report = imports.import_labels(connection, given, session=session, now=now)
                if is_dry_run:
                    _end_dry_run(report)
        except _DryRunError as dry_run:
            return dry_run.report
        self._back_up_if_due(before, before + report.added + report.replaced)
        return report

    def promote_synthetic(self, chosen: Sequence[ItemId], round: int) -> int:  # noqa: A002
        """Turn the inherited classes of synthetic images into labels; return how many.

        Left out: images set aside, without a class or of a removed one, or with a verdict already.
        """
        before = self.watermark()
        with self._database.write() as connection:
            made = imports.promote_synthetic(connection, chosen, number=round, now=self._clock())
        self._back_up_if_due(before, before + made)
        return made

    def set_meta(self, key: str, value: str) -> None:
        """Note a fact about the workspace."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = ?2",
                (key, value),
            )

    def record_artifact(
        self,
        sha256: bytes,
        role: str,
        format: str,  # noqa: A002
        round: int | None,  # noqa: A002
    ) -> None:
        """Note that this workspace exported a file, so that it may be trusted later."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO artifact VALUES (?, ?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING",
                (sha256, role, format, round, self._now_us()),
            )

    # Care

    def rebuild(self) -> int:
        """Recompute the present state from the events; return how many rows were wrong."""
        with self._database.write() as connection:
            return projection.rebuild(connection)

    def back_up(self, reason: str = "manual") -> Path:
        """Write a verified copy into the folder ``backups`` and drop all but the newest.

        Raises:
            StorageError: No room or no permission.
        """
        stamp = to_iso(self._now_us()).replace(":", "").replace("-", "").replace(".", "-")
        made = backups.make(self._database, reason=reason, stamp=stamp)
        backups.prune(self._database.path)
        return made

    def _check_place(self, *, is_accepted: bool) -> None:
        """Refuse file systems on which SQLite's locks and syncs cannot be trusted."""
        path = self._database.path
        kind = network_filesystem(path)
        if kind is None or self.meta().get(_NETWORK) == "accepted":
            return
        if not is_accepted:
            raise UsageError(
                f"{show(str(path))} lies on a network file system ({show(kind)}), where labels of "
                "two people can damage each other; move the workspace to a local disk, or give "
                "'dgaal labels check --i-know' once if only one person on one host labels here"
            )
        self.set_meta(_NETWORK, "accepted")

    def _upgrade(self) -> None:
        version = self._database.version()
        if version == schema.latest_version():
            return
        if self._database.is_read_only:
            raise WorkspaceError(
                f"{show(str(self._database.path))} has the older version {version}; "
                "run 'dgaal labels check' once to bring it up to date"
            )
        self.back_up("upgrade")
        with self._database.write() as connection:
            # Another process may have upgraded it while this one waited at the gate.
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            schema.migrate(connection, version=found)

    def _back_up_if_due(self, before: int, after: int) -> None:
        if after // BACKUP_EVERY > before // BACKUP_EVERY:
            self._back_up_quietly()

    def _back_up_quietly(self) -> None:
        # The answer is saved; a full disk or a busy store must not make it look lost.
        try:
            self.back_up("labels")
            self.backup_problem = ""
        except (DgaalError, OSError, sqlite3.Error) as error:
            self.backup_problem = str(error)

    def _operator(self, annotator: str, session: str) -> answers.Operator:
        if not annotator.strip():
            raise UsageError("an answer needs the name of its annotator; give --annotator NAME")
        return answers.Operator(
            annotator=annotator, session=session, now=self._clock(), lease_s=self._lease_s
        )

    def _now_us(self) -> int:
        return to_microseconds(self._clock())
