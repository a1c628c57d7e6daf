"""One answer for near duplicates: the label of one image counts for those that it resembles.

A shared label is inherited: every answer of a person or of an import beats it, it is never measured
on, and all shared labels can be withdrawn at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dgaal_cli.ids import ItemId
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.rounds.near_duplicates import NearDuplicates, keep_together
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel, ItemRecord, Label

SHARING = "near-duplicate"
"""Annotator name of shared labels."""
_SESSION = "near-duplicates"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAnswers:
    """What ``share_answers`` did."""

    shared: int
    """Images that have a shared label now."""
    withdrawn: int
    """Images that had one, and whose group gives none any more."""
    contradictions: int
    """Groups whose images were answered with different labels, so that none is shared."""


def share_answers(store: Store, found: NearDuplicates) -> SharedAnswers:
    """Give the images of each group without an answer the label of the others.

    Called again, it follows what changed: new and corrected answers, and other groups. Images that
    were drawn for an audit neither give nor get labels, and images of different groups (patients,
    slides) do not share one: else a label of a held-out group would be learned.
    """
    keep_together(store, found)
    groups = store.groups()
    audited = {image.item_id for image in audited_images(store)}
    own = {r.item_id: r.label for r in store.labels() if r.provenance != "inherited"}
    answered = {a.item_id for a in store.iter_answers() if a.annotator != SHARING}
    before = {a.item_id for a in store.iter_answers() if a.annotator == SHARING}
    shared: dict[ItemId, ImportedLabel] = {}
    contradictions = 0
    for group in found.groups:
        for part in _of_one_group(group, groups, audited):
            given = [item for item in part if item.item_id in own]
            labels: set[Label] = {own[item.item_id] for item in given}
            contradictions += len(labels) > 1
            if len(labels) == 1:
                rest = (item for item in part if item.item_id not in answered)
                shared |= {item.item_id: _shared(item, given[0], *labels) for item in rest}
    over = [_withdrawn(store.item(item_id)) for item_id in sorted(before - shared.keys())]
    store.import_labels([*shared.values(), *over], session=_SESSION)
    return SharedAnswers(shared=len(shared), withdrawn=len(over), contradictions=contradictions)


def withdraw_shared(store: Store) -> int:
    """Withdraw all shared labels in one transaction; return their number."""
    given = {a.item_id for a in store.iter_answers() if a.annotator == SHARING}
    store.import_labels([_withdrawn(store.item(i)) for i in sorted(given)], session=_SESSION)
    return len(given)


def _of_one_group(
    images: tuple[ItemRecord, ...], groups: dict[ItemId, str], audited: set[ItemId]
) -> Iterator[list[ItemRecord]]:
    """Divide near duplicates by their group in the store, without audited images."""
    parts: dict[str | None, list[ItemRecord]] = {}
    for item in images:
        if item.item_id not in audited:
            parts.setdefault(groups.get(item.item_id), []).append(item)
    return (part for part in parts.values() if len(part) > 1)


def _shared(item: ItemRecord, original: ItemRecord, label: Label) -> ImportedLabel:
    return ImportedLabel(
        sample_id=item.sample_id,
        item_id=item.item_id,
        label=label,
        annotator=SHARING,
        kind="inherit",
        provenance="inherited",
        note=f"near duplicate of image {original.item_id}",
    )


def _withdrawn(item: ItemRecord) -> ImportedLabel:
    return ImportedLabel(
        sample_id=item.sample_id,
        item_id=item.item_id,
        label=None,
        annotator=SHARING,
        kind="undo",
        note="no longer shared",
    )
