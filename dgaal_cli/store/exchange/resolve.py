"""Find the samples and classes that the labels of a file name."""

import re
import secrets
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store import classes
from dgaal_cli.store.exchange.base import LabelText, Parsed
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
    left_out: int
    """Lines about synthetic images that the store does not have."""


def resolve(
    store: Store,
    parsed: Iterable[Parsed],
    *,
    text: LabelText,
    annotator: str,
    may_add_classes: bool,
) -> Resolved:
    """Find every sample and class of a file in the store.

    Args:
        store: Store to import into.
        parsed: Labels in the order of the file.
        text: The task's conversion of text to labels.
        annotator: Annotator of labels for which the file names none.
        may_add_classes: Unknown class names become new classes.

    Raises:
        InputDataError: A line names an unknown sample or class, or contradicts an earlier line.
    """
    known = _Classes(store, may_add=may_add_classes)
    seen: defaultdict[tuple[str, bool], dict[ItemId, int]] = defaultdict(dict)
    labels = LabelSpool()
    repeated = left_out = 0
    for lines in _batches(parsed):
        items = store.items_by_sample([SampleId(name) for line in lines for name in line.names])
        for line in lines:
            item = _item(items, line)
            if item is None:
                left_out += 1
                continue
            who = line.annotator or annotator
            label = _label(line, item, label=_read(line, text, known), annotator=who)
            if label.label is not None and known.is_foreign(line.class_uid):
                label = replace(label, is_translated=True)
            positions = seen[who, line.kind in ("flag", "unflag")]
            position = positions.get(item.item_id)
            if position is None:
                positions[item.item_id] = labels.append(label)
                continue
            first = labels.read(position)
            if None not in (first.op_id, label.op_id) and first.op_id != label.op_id:
                positions[item.item_id] = labels.append(label)  # of two copies: the newer counts
                continue
            if (first.kind, first.label) != (label.kind, label.label):
                raise InputDataError(
                    f"{line.where}: {line.names[0]} has another label than at {first.where}"
                )
            repeated += 1
    return Resolved(
        labels=labels, new_classes=tuple(known.new), repeated=repeated, left_out=left_out
    )


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
        self.may_add = may_add
        self.new: list[ClassRecord] = []
        self.read: dict[tuple[tuple[str, ...], str | None], Label] = {}
        """Some labels by their text and class uid; empty after a class was added."""

    def is_free(self, uid: str) -> bool:
        """Check whether no class, in use or retired, has this uid."""
        return uid not in self.store.class_names()

    def is_foreign(self, uid: str | None) -> bool:
        """Check whether a line names a class by a uid that none in use had before the import."""
        return uid is not None and uid not in self.uids

    def find(self, line: Parsed, found: Sequence[str]) -> ClassUid:
        """Return the class of a line by the possible readings of its name."""
        # ``line.class_uid`` is for the whole label, not for one of several classes.
        is_whole = tuple(found) == line.labels
        for record in self.active:
            if is_whole and record.uid == line.class_uid:
                return record.uid
        names = [unicodedata.normalize("NFC", label).strip() for label in found]
        for record in self.active:
            if record.name in names:
                return record.uid
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
        for record in self.active:
            if record.name.casefold() == clean.casefold():
                raise InputDataError(
                    f"{line.where}, {line.part} label: {clean} differs from class "
                    f"{record.name} only in case"
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
        self.new.append(record)
        self.read.clear()
        return uid


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


def _item(items: Mapping[SampleId, ItemKey], line: Parsed) -> ItemKey | None:
    """Find the image of a line; None for a synthetic image that is only in another workspace."""
    for name in line.names:
        item = items.get(SampleId(name))
        if item is None:
            continue
        if line.sha256 is None or line.sha256 == item.sha256.hex():
            return item
        if not line.synthetic:  # copies give the same names to what they synthesize
            raise InputDataError(
                f"{line.where}, {line.part} sha256: {name} has other bytes in this workspace "
                "than the labeled image"
            )
    if line.synthetic:
        return None
    raise InputDataError(
        f"{line.where}, {line.part} file_name: this workspace has no image {line.names[0]}"
    )


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
        provenance=line.provenance or "imported",
        kind=line.kind,
        round=line.round,
        elapsed_ms=line.elapsed_ms,
        note=line.note,
        op_id=line.op_id,
        changed_at=line.changed,
        where=line.where,
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
