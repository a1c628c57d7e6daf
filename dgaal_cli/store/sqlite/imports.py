"""Imported labels, and labels that synthetic images inherit from their parents."""

import itertools
import json
import secrets
from array import array
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId
from dgaal_cli.store.instants import from_iso, to_iso
from dgaal_cli.store.records import (
    ClassRecord,
    DatedAnswer,
    ImportedLabel,
    ImportReport,
    Label,
    MergeConflict,
    Verdict,
)
from dgaal_cli.store.sqlite import classes, event_rows, items, label_rows
from dgaal_cli.store.sqlite.answers import NewEvent, append, append_all
from dgaal_cli.store.sqlite.connection import Connection
from dgaal_cli.store.sqlite.overruled import overruled
from dgaal_cli.store.sqlite.queries import Operator

INHERITING = "dgaal"
"""Annotator name of inherited labels."""
_BATCH = 10_000
_CACHE_KIB = 64 << 10
_NO_ANSWER = ("skip", "undo", "unflag")
_STORED = (
    """SELECT DISTINCT item_id, annotator FROM event
    WHERE item_id IN (SELECT value FROM json_each(?))""",
    "SELECT op_id FROM event WHERE op_id IN (SELECT value FROM json_each(?))",
)
_NEWEST_ACTION = f"""SELECT e.at_us, e.op_id FROM event e WHERE e.item_id = ? AND e.annotator = ?
    AND e.counted AND {event_rows.is_of_flag("e")} = ? ORDER BY e.event_id DESC LIMIT 1"""  # noqa: S608
_GIVEN = """SELECT 1 FROM answer WHERE item_id = ? AND annotator <> ?
    AND says IN ('label','cannot_tell','adjudicate') LIMIT 1"""
_VERDICT = """SELECT v.label_id, ifnull(e.made_us, e.at_us)
    FROM verdict v JOIN event e USING(event_id) WHERE v.item_id = ?"""
_CURRENT_FLAG = "SELECT 'flag', NULL FROM flagged WHERE item_id = ? AND annotator = ?"
_CURRENT_ANSWER = "SELECT says, label_id FROM answer WHERE item_id = ? AND annotator = ?"


class DryRunError(Exception):
    """Rolls back the transaction of a dry run."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def import_labels(
    connection: Connection,
    labels: Iterable[ImportedLabel],
    new_classes: Sequence[ClassRecord],
    *,
    session: str,
    is_dry_run: bool,
) -> ImportReport:
    """Append an event for each new or changed label, in the caller's transaction.

    Raises:
        DryRunError: In a dry run, with the report.
    """
    if new_classes:
        classes.add_known(connection, new_classes)
    importer = _Importer(connection, session)
    with _large_cache(connection):
        rest = iter(labels)
        while batch := list(itertools.islice(rest, _BATCH)):
            importer.add(batch)
        report = importer.report()
    if is_dry_run:
        raise DryRunError(report)
    return report


@contextmanager
def _large_cache(connection: Connection) -> Generator[None]:
    """Keep changed pages in memory: writing them early needs a synced journal each time."""
    usual = int(connection.execute("PRAGMA cache_size").fetchone()[0])
    connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB:d}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA cache_size = {usual:d}")


def promote_synthetic(connection: Connection, chosen: Sequence[ItemId], round: int) -> int:
    """Turn inherited labels of synthetic images into labels; see ``LabelWriter``."""
    operator = Operator(annotator=INHERITING, session="", now=connection.clock())
    made = 0
    for item_id in chosen:
        item = items.one(connection, item_id)
        if not item.is_synthetic:
            raise UsageError(f"{item.sample_id} is not a synthetic image")
        judged = connection.execute(
            "SELECT 1 FROM verdict WHERE item_id = ?", (item_id,)
        ).fetchone()
        label = item.inherited
        if label is None or not all(classes.is_active(connection, u) for u in label.classes):
            continue
        if item.state != "ok" or judged is not None:
            continue
        append(
            connection,
            NewEvent(
                op_id=secrets.token_hex(16),
                kind="inherit",
                says="inherit",
                item_id=item_id,
                provenance="inherited",
                round=round,
                label_id=label_rows.identify(connection, label),
            ),
            operator=operator,
        )
        made += 1
    return made


class _Place(NamedTuple):
    """What one annotator states about one image: an answer or a flag."""

    item_id: ItemId
    annotator: str
    is_flag: bool

    @property
    def key(self) -> tuple[ItemId, str]:
        """Item and annotator, which the answer and the flag have in common."""
        return self[:2]


class _Stated(NamedTuple):
    """An answer or flag, or none, as events store it."""

    says: str
    label_id: int | None

    @property
    def is_answer(self) -> bool:
        """Whether this is an answer or a flag."""
        return self.says not in _NO_ANSWER


class _Importer:
    """Compares labels with the current answers and appends their events in batches."""

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._now = connection.clock()
        self._new_ids = _new_ids()
        self._label_ids: dict[Label, int | None] = {}
        self._new: list[tuple[NewEvent, Operator]] = []
        self._stored: set[tuple[ItemId, str] | str] = set()
        """Keys and ids of the events in the tables that are about the labels of this batch."""
        self._unread: set[tuple[ItemId, str] | str] = set()
        """Keys and ids of the new events, which the tables do not show yet."""
        self._count: Counter[str] = Counter()
        self._conflicts: list[MergeConflict] = []
        self._given: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
        """Items that each annotator's lines answer."""

    def add(self, batch: Sequence[ImportedLabel]) -> None:
        """Append the events of some labels, where they need one, and count the labels."""
        found = self._find_items(batch)
        self._find_stored(found, batch)
        for label, item_id in zip(batch, found, strict=True):
            stated = _Stated(label.kind, self._identify(label))
            place = _Place(item_id, label.annotator, label.kind in ("flag", "unflag"))
            if not self._unread.isdisjoint((place.key, label.op_id)):
                self._flush()
            if label.decided_by is not None:
                outcome = self._decide(label, stated, place, decided_by=label.decided_by)
            else:
                compare = self._state if label.op_id is None else self._merge
                outcome = compare(label, stated, place)
            self._count[outcome] += 1
            if stated.is_answer and not place.is_flag and outcome != "older":
                self._given[label.annotator].append(item_id)
        self._flush()

    def report(self) -> ImportReport:
        """Return the counts."""
        found = [
            answer
            for annotator, given in self._given.items()
            for answer in overruled(self._connection, annotator, given)
        ]
        return ImportReport(**self._count, conflicts=tuple(self._conflicts), overruled=tuple(found))

    def _find_items(self, batch: Sequence[ImportedLabel]) -> list[ItemId]:
        names = {label.sample_id for label in batch if label.item_id is None}
        found = items.of_samples(self._connection, names)
        if missing := names - found.keys():
            raise UsageError(f"this workspace has no image {min(missing)}")
        return [label.item_id or found[label.sample_id].item_id for label in batch]

    def _find_stored(self, chosen: Sequence[ItemId], batch: Sequence[ImportedLabel]) -> None:
        """Find the events that labels are compared with; most labels of an import need none."""
        keys, ids = (
            self._connection.execute(query, (json.dumps(values),))
            for query, values in zip(_STORED, (chosen, [each.op_id for each in batch]), strict=True)
        )
        self._stored = {*keys, *(op_id for (op_id,) in ids)}

    def _flush(self) -> None:
        append_all(self._connection, self._new)
        self._new.clear()
        self._stored |= self._unread
        self._unread.clear()

    def _identify(self, label: ImportedLabel) -> int | None:
        _check(label)
        if label.label is None:
            return None
        known = self._label_ids.get(label.label)
        if known is None:
            for uid in label.label.classes:
                if not classes.is_active(self._connection, uid):
                    name = show(label.sample_id)
                    raise UsageError(f"the label of {name} names an unknown class {uid}")
            known = label_rows.identify(self._connection, label.label)
            self._label_ids[label.label] = known
        return known

    def _state(self, label: ImportedLabel, stated: _Stated, place: _Place) -> str:
        """Append an answer that is given now, unless it is the current one; return what it is."""
        current = self._current(place)
        if current != stated:
            self._append(label, stated, place)
        return _outcome(current, stated)

    def _decide(
        self, label: ImportedLabel, stated: _Stated, place: _Place, *, decided_by: str
    ) -> str:
        """Append the label of an image: a decision if others answered; return what it is."""
        self._flush()
        rows = self._connection.execute(_GIVEN, (place.item_id, label.annotator)).fetchall()
        if not rows:
            return self._state(label, stated, place)
        row = self._connection.execute(_VERDICT, (place.item_id,)).fetchone()
        if row is not None and row[0] == stated.label_id:
            return "unchanged"
        # Later than the answer that counts now, also if the clock was set back.
        at = None if row is None or row[1] < self._connection.now_us() else to_iso(row[1] + 1)
        decision = label._replace(kind="adjudicate", annotator=decided_by, at=at)
        decided = _Stated("adjudicate", stated.label_id)
        self._append(decision, decided, _Place(place.item_id, decided_by, is_flag=False))
        return "added" if row is None else "replaced"

    def _merge(self, label: ImportedLabel, stated: _Stated, place: _Place) -> str:
        """Append an answer of a copy; the newer answer, undo or redo counts. Return what it is."""
        if self._is_stored(label, stated, place):
            return "unchanged"
        newest = self._newest_action(place)
        current = self._current(place)
        changed_us = _instant(label.changed_at or label.at or "")
        if newest is None or (changed_us, label.op_id) > newest:
            self._append(label, stated, place)
            outcome = _outcome(current, stated)
            if newest is not None and outcome == "replaced":
                self._report(label, kept=(stated, changed_us), dropped=(current, newest[0]))
            return outcome
        if stated.is_answer:
            self._append(label, stated, place, is_counted=False)
        if current == stated or not stated.is_answer:
            return "unchanged"
        self._report(label, kept=(current, newest[0]), dropped=(stated, changed_us))
        return "older"

    def _append(
        self, label: ImportedLabel, stated: _Stated, place: _Place, *, is_counted: bool = True
    ) -> None:
        op_id = label.op_id or next(self._new_ids)
        event = _event(label, place.item_id, stated, op_id=op_id, is_counted=is_counted)
        who = Operator(annotator=label.annotator, session=self._session, now=self._now)
        self._new.append((event, who))
        self._unread |= {place.key, event.op_id}

    def _is_stored(self, label: ImportedLabel, stated: _Stated, place: _Place) -> bool:
        """Return whether the event of an imported label is in the store already.

        Raises:
            InputDataError: Another event has its id.
        """
        if label.op_id not in self._stored:
            return False
        stored = self._connection.execute(
            "SELECT item_id, annotator, says, label_id FROM event WHERE op_id = ?", (label.op_id,)
        ).fetchone()
        is_same = stored[:2] == place.key
        if (
            not is_same
            or stored[2] not in ("undo", "redo", stated.says)
            or (
                stored[2] == stated.says
                and stored[3] != stated.label_id
                and not label.is_translated  # a class was renamed or removed in a copy since
            )
        ):
            raise InputDataError(
                f"{label.where or show(label.sample_id)}: the op_id belongs to another answer of "
                "this workspace; remove op_id from the line to import it as a new answer"
            )
        return True

    def _newest_action(self, place: _Place) -> tuple[int, str] | None:
        if place.key not in self._stored:
            return None
        row: tuple[int, str] | None = self._connection.execute(_NEWEST_ACTION, place).fetchone()
        return row

    def _current(self, place: _Place) -> _Stated:
        row = None
        if place.key in self._stored:
            query = _CURRENT_FLAG if place.is_flag else _CURRENT_ANSWER
            row = self._connection.execute(query, place.key).fetchone()
        return _Stated(*row) if row else _Stated("unflag" if place.is_flag else "undo", None)

    def _report(
        self, label: ImportedLabel, *, kept: tuple[_Stated, int], dropped: tuple[_Stated, int]
    ) -> None:
        ids = {stated.label_id for stated, _ in (kept, dropped) if stated.label_id is not None}
        labels = label_rows.by_id(self._connection, ids)
        kept_answer, dropped_answer = (
            DatedAnswer(
                kind=cast("Verdict", stated.says), label=labels.get(stated.label_id), at=to_iso(at)
            )
            for stated, at in (kept, dropped)
        )
        self._conflicts.append(
            MergeConflict(
                sample_id=label.sample_id,
                annotator=label.annotator,
                kept=kept_answer,
                dropped=dropped_answer,
            )
        )


def _new_ids() -> Iterator[str]:
    """Yield ids for events that follow each other in the index of ids, where that is cheapest."""
    start = secrets.token_hex(12)
    return (f"{start}{number:08x}" for number in itertools.count())


def _outcome(current: _Stated, stated: _Stated) -> str:
    if current == stated or not (current.is_answer or stated.is_answer):
        return "unchanged"
    return "replaced" if current.is_answer else "added"


def _event(
    label: ImportedLabel, item_id: ItemId, stated: _Stated, *, op_id: str, is_counted: bool
) -> NewEvent:
    at = None if label.at is None else _instant(label.at)
    changed = at if label.changed_at is None else _instant(label.changed_at)
    is_copy = label.op_id is not None
    return NewEvent(
        op_id=op_id,
        kind="import",
        says=label.kind,
        item_id=item_id,
        provenance=label.provenance,
        round=label.round,
        counted=is_counted,
        label_id=stated.label_id,
        note=label.note,
        elapsed_ms=label.elapsed_ms,
        at_us=changed if is_copy else None,
        made_us=None if is_copy and changed == at else at,
    )


def _check(label: ImportedLabel) -> None:
    if not label.annotator.strip():
        raise UsageError(f"the label of {show(label.sample_id)} needs the name of its annotator")
    if (label.kind in ("label", "adjudicate", "inherit")) != (label.label is not None):
        raise UsageError(
            f"the {label.kind} line of {show(label.sample_id)} "
            + ("must not have a label" if label.label else "needs a label")
        )
    if label.op_id is not None and label.at is None:
        raise UsageError(f"the line of {show(label.sample_id)} has an op_id and needs the time at")


def _instant(text: str) -> int:
    try:
        return from_iso(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{text} is not a time in ISO 8601") from None
