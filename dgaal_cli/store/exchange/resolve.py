"""Find the samples and classes that the labels of a file name."""

import re
import secrets
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import msgspec

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store import classes
from dgaal_cli.store.exchange import marks
from dgaal_cli.store.exchange.base import LabelText, Parsed
from dgaal_cli.store.exchange.find_images import ImageFinder
from dgaal_cli.store.exchange.spool import LabelSpool
from dgaal_cli.store.instants import from_iso
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord, ImportedLabel, ItemKey, Label

_UID = re.compile("[0-9a-f]{16}")
_BATCH = 1000
_LATEST = from_iso("3000-01-01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The labels of an import, with all names resolved."""

    labels: Iterable[ImportedLabel]
    """Can be read several times, one after the other."""
    new_classes: tuple[ClassRecord, ...]
    repeated: int
    """Lines that repeat an earlier line."""
    untouched: int
    """Lines that are as this workspace exported them; they change nothing."""
    cleared: int
    """Lines whose label was removed since the export; the labels stay."""
    left_out: int
    """Lines about synthetic images that the store does not have."""
    unknown: tuple[str, ...]
    """Names of images that the store does not have, of lines that were skipped."""
    by_part: Mapping[str, SampleId]
    """Images that were found by a part of their path, by the name in the file."""
    passed_over: Mapping[str, int]
    """Number of answers in the file that are no labels, by what they are."""


def resolve(
    store: Store,
    parsed: Iterable[Parsed],
    *,
    text: LabelText,
    annotator: str,
    may_add_classes: bool,
    replaces: bool = False,
    skips_unknown: bool = False,
) -> Resolved:
    """Find every sample and class of a file in the store.

    A label that was edited since its export counts as it is written. In a format that holds only
    the label of each image, it is decided by ``annotator`` if other annotators answered too.

    Args:
        store: Store to import into.
        parsed: Labels in the order of the file.
        text: The task's conversion of text to labels.
        annotator: Annotator of labels for which the file names none.
        may_add_classes: Unknown class names become new classes.
        replaces: Every label of an image counts, whatever other annotators answered; without it,
            lines that are as this workspace exported them change nothing.
        skips_unknown: Leave out lines about unknown images.

    Raises:
        InputDataError: A line names an unknown sample or class, or contradicts an earlier line.
    """
    resolver = _Resolver(
        store,
        text,
        finder=ImageFinder(store, skips_unknown=skips_unknown),
        annotator=annotator,
        may_add_classes=may_add_classes,
        replaces=replaces,
    )
    for lines in _batches(parsed):
        resolver.add(lines)
    return resolver.resolved()


class _Owner(NamedTuple):
    """Whose answers a line can contradict: an annotator's, or (no annotator) all of an image."""

    annotator: str | None
    is_flag: bool


class _Resolver:
    """Resolves lines in batches."""

    def __init__(
        self,
        store: Store,
        text: LabelText,
        *,
        finder: ImageFinder,
        annotator: str,
        may_add_classes: bool,
        replaces: bool,
    ) -> None:
        self._store = store
        self._text = text
        self._finder = finder
        self._annotator = annotator
        self._replaces = replaces
        self._known = _Classes(store, may_add=may_add_classes)
        self._labels = LabelSpool()
        self._seen: defaultdict[_Owner, dict[ItemId, int]] = defaultdict(dict)
        self._kept: defaultdict[_Owner, set[ItemId]] = defaultdict(set)
        """Images of untouched lines."""
        self._count: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()

    def resolved(self) -> Resolved:
        """Return the result after the last batch.

        Raises:
            InputDataError: Images are unknown and not skipped.
        """
        self._finder.check()
        return Resolved(
            labels=self._labels,
            new_classes=tuple(self._known.new),
            repeated=self._count["repeated"],
            untouched=self._count["untouched"],
            cleared=self._count["cleared"],
            left_out=self._count["left_out"],
            unknown=tuple(name for _, name in self._finder.unknown),
            by_part=self._finder.by_part,
            passed_over=self._passed_over,
        )

    def add(self, lines: Sequence[Parsed]) -> None:
        """Resolve some lines.

        Raises:
            InputDataError: See ``resolve``.
        """
        self._finder.load(lines)
        found = [marks.read(line.exported) if line.exported else None for line in lines]
        events = self._store.events_by_op_id([mark.op_id for mark in found if mark is not None])
        for line, mark in zip(lines, found, strict=True):
            if line.passed_over is not None:
                self._passed_over[line.passed_over] += 1
                continue
            item = None if line.is_cleared else self._finder.find(line)
            if item is None:
                self._count["cleared"] += line.is_cleared
                self._count["left_out"] += line.synthetic
                continue
            is_edited = mark is not None and not marks.is_untouched(mark, line.kind, line.labels)
            if line.provenance == "predicted" and not is_edited:
                self._passed_over["predictions of a model"] += 1
                continue
            event = None if mark is None else events.get(mark.op_id)
            is_ours = event == (item.item_id, line.annotator or (event and event[1]))
            if is_ours and not is_edited and not self._replaces:
                self._keep(line, item)
            elif self._replaces or is_edited:
                self._append(_as_new(line, is_edited=is_edited), item, mark, is_certain=True)
            else:
                self._append(line, item, mark)

    def _keep(self, line: Parsed, item: ItemKey) -> None:
        owner = self._owner(line, is_marked=True)
        position = self._seen[owner].get(item.item_id)
        if position is not None and line.op_id is None:
            raise _contradiction(line, self._labels.read(position).where)
        self._kept[owner].add(item.item_id)
        self._count["untouched"] += 1

    def _append(
        self, line: Parsed, item: ItemKey, mark: marks.Mark | None, *, is_certain: bool = False
    ) -> None:
        label = _label(
            line,
            item,
            label=_read(line, self._text, self._known),
            annotator=line.annotator or self._annotator,
        )
        if label.label is not None and self._known.is_foreign(line.class_uid):
            label = label._replace(is_translated=True)
        decides = line.is_effective if self._replaces else line.is_image_label
        if is_certain and decides and line.kind in ("label", "adjudicate"):
            label = label._replace(decided_by=self._annotator)
        owner = self._owner(line, is_marked=mark is not None)
        if item.item_id in self._kept[owner] and line.op_id is None:
            raise _contradiction(line, "another line")
        positions = self._seen[owner]
        position = positions.get(item.item_id)
        if position is None:
            positions[item.item_id] = self._labels.append(label)
            return
        first = self._labels.read(position)
        if None not in (first.op_id, label.op_id) and first.op_id != label.op_id:
            positions[item.item_id] = self._labels.append(label)  # of two copies: the newer counts
            return
        if (first.kind, first.label) != (label.kind, label.label):
            raise _contradiction(line, first.where)
        self._count["repeated"] += 1

    def _owner(self, line: Parsed, *, is_marked: bool) -> _Owner:
        is_only = line.is_image_label and (is_marked or self._replaces)
        who = None if is_only else line.annotator or self._annotator
        return _Owner(who, line.kind in ("flag", "unflag"))


def _as_new(line: Parsed, *, is_edited: bool) -> Parsed:
    """Return a line as an answer that is given now; an edited one has another class than before."""
    uid = None if is_edited else line.class_uid
    is_dated = not (is_edited and line.is_image_label)  # of several answers, the order decides
    return msgspec.structs.replace(
        line,
        op_id=None,
        changed=None,
        class_uid=uid,
        at=line.at if is_dated else None,
        provenance="imported" if is_edited else line.provenance,
        annotator=None if line.provenance == "predicted" else line.annotator,
        elapsed_ms=None if is_edited else line.elapsed_ms,
    )


def _contradiction(line: Parsed, other: str) -> InputDataError:
    return InputDataError(f"{line.where}: {line.names[0]} has another label than at {other}")


def _batches(parsed: Iterable[Parsed]) -> Iterator[list[Parsed]]:
    lines = iter(parsed)
    while batch := list(islice(lines, _BATCH)):
        yield batch


class _Classes:
    def __init__(self, store: Store, *, may_add: bool) -> None:
        self.store = store
        self.active = store.classes()
        self.uids = {record.uid for record in self.active}
        """Of the classes in use before the import."""
        self.by_uid: dict[str, ClassRecord] = {}
        self.by_name: dict[str, ClassRecord] = {}
        self.by_folded: dict[str, ClassRecord] = {}
        """Of ``active``; as those of the store, no two have the same folded name."""
        for record in self.active:
            self._index(record)
        self.may_add = may_add
        self.new: list[ClassRecord] = []
        self.read: dict[tuple[tuple[str, ...], str | None], Label] = {}
        """Some labels by their text and class uid; empty after a class was added."""

    def is_free(self, uid: str) -> bool:
        """Check whether no class, in use or retired, has this uid."""
        return uid not in self._every_uid

    @cached_property
    def _every_uid(self) -> frozenset[str]:
        return frozenset(self.store.class_names())

    def _index(self, record: ClassRecord) -> None:
        self.by_uid[record.uid] = self.by_name[record.name] = record
        self.by_folded[classes.folded(record.name)] = record

    def is_foreign(self, uid: str | None) -> bool:
        """Check whether a line names a class by a uid that none in use had before the import."""
        return uid is not None and uid not in self.uids

    def find(self, line: Parsed, found: Sequence[str]) -> ClassUid:
        """Return the class of a line by the possible readings of its name."""
        # ``line.class_uid`` is for the whole label, not for one of several classes.
        is_whole = tuple(found) == line.labels
        names = [unicodedata.normalize("NFC", label).strip() for label in found]
        if is_whole and line.class_uid in self.by_uid:
            record = self.by_uid[line.class_uid]
            self._check_agrees(line, record, names)
            return record.uid
        for reading in names:
            if reading in self.by_name:
                return self.by_name[reading].uid
        name = found[0]
        if not self.may_add:
            raise InputDataError(
                f"{line.where}, {line.part} label: no class is named {name}; "
                f"{classes.suggest(self.active, name)}; --add-classes adds new ones"
            )
        try:
            clean = classes.clean_name(name)
        except UsageError as error:
            raise InputDataError(f"{line.where}, {line.part} label: {error}") from None
        if record := self.by_folded.get(classes.folded(clean)):
            raise InputDataError(
                f"{line.where}, {line.part} label: {clean} differs from class "
                f"{record.name} only in case or joiners"
            )
        uid = ClassUid(secrets.token_hex(8))
        if (
            is_whole
            and line.class_uid is not None
            and _UID.fullmatch(line.class_uid)
            and self.is_free(line.class_uid)
        ):
            uid = ClassUid(line.class_uid)  # the same uid in both workspaces
        record = ClassRecord(uid=uid, name=clean, key="", position=len(self.active))
        self.active.append(record)
        self._index(record)
        self.new.append(record)
        self.read.clear()
        return uid

    def _check_agrees(self, line: Parsed, named: ClassRecord, names: Sequence[str]) -> None:
        """Refuse an unmarked line whose label is the name of another class than its class uid."""
        if line.exported is not None:
            return
        for reading in names:
            record = self.by_name.get(reading, named)
            if record.uid != named.uid:
                raise InputDataError(
                    f"{line.where}, {line.part} label: {record.name} is the name of another class "
                    f"than class_uid ({named.name}); remove class_uid to import the label as it "
                    "is written"
                )


def _read(line: Parsed, text: LabelText, known: _Classes) -> Label | None:
    if not line.labels:
        return None
    written = (line.labels, line.class_uid)
    label = known.read.get(written)
    if label is None:
        try:
            label = text.from_text(line.labels, lambda names: known.find(line, names))
        except ValueError as error:
            raise InputDataError(f"{line.where}, {line.part} label: {error}") from None
        if len(known.read) == _BATCH:
            known.read.clear()
        known.read[written] = label
    return label


def _label(line: Parsed, item: ItemKey, *, label: Label | None, annotator: str) -> ImportedLabel:
    for column, number in (("round", line.round), ("elapsed_ms", line.elapsed_ms)):
        if number is not None and not 0 <= number < 2**31:
            raise InputDataError(f"{line.where}, {line.part} {column}: {number} is out of range")
    orders = "at" if line.changed is None else "changed"  # the time that later events must follow
    for column, time in (("at", line.at), ("changed", line.changed)):
        if time is not None:
            is_ordering = line.op_id is not None and column == orders
            _check_time(line, column, time, is_ordering=is_ordering)
    if line.op_id is None and line.changed is not None:
        raise InputDataError(f"{line.where}, {line.part} changed: it is for lines with an op_id")
    if line.op_id is not None and line.at is None:
        raise InputDataError(f"{line.where}, {line.part} at: a line with an op_id needs the time")
    if line.op_id is not None and not (line.op_id and line.op_id.isprintable()):
        raise InputDataError(f"{line.where}, {line.part} op_id: it is empty or not printable")
    return ImportedLabel(
        sample_id=item.sample_id,
        label=label,
        annotator=annotator,
        at=line.at,
        provenance="imported"
        if line.provenance is None or line.provenance == "predicted"
        else line.provenance,
        kind=line.kind,
        round=line.round,
        elapsed_ms=line.elapsed_ms,
        note=line.note,
        op_id=line.op_id,
        changed_at=line.changed,
        where=line.where,
        item_id=item.item_id,
    )


def _check_time(line: Parsed, column: str, time: str, *, is_ordering: bool) -> None:
    """Raise ``InputDataError`` unless this is a time, before 3000 if events are ordered by it."""
    try:
        instant = from_iso(time)
    except (ValueError, OverflowError):
        raise InputDataError(
            f"{line.where}, {line.part} {column}: {time[:60]} is not a time in ISO 8601"
        ) from None
    if is_ordering and instant >= _LATEST:
        raise InputDataError(
            f"{line.where}, {line.part} {column}: {time[:60]} is not before the year 3000"
        )
