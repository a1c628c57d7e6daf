"""Audited images in the store: entries of queries whose reason states how they were drawn."""

import re
from dataclasses import dataclass

from dgaal_cli.audit.stratum import Stratum
from dgaal_cli.ids import ItemId
from dgaal_cli.store.protocol import Store

_PREFIX = "audit: "
_FORM = re.compile(
    _PREFIX + r"stratum (\d+) with (\d+) of (\d+) images and ([0-9.]+) of the draws, up to item "
    r"(\d+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedImage:
    """One image that was drawn for an audit."""

    item_id: ItemId
    round: int
    """Round of the query that asks it."""
    total: int
    """Images from which the audit was drawn."""
    stratum: Stratum
    newest: ItemId
    """Newest image of the pool at that time."""


def audit_reason(stratum: Stratum, *, total: int, newest: ItemId) -> str:
    """Return the reason of an audited image; ``audited_images`` reads it."""
    return (
        f"{_PREFIX}stratum {stratum.number} with {stratum.size} of {total} images and "
        f"{stratum.share:.12f} of the draws, up to item {newest}"
    )


def is_audit(reason: str) -> bool:
    """Return whether this is the reason of an audited image."""
    return _FORM.fullmatch(reason) is not None


def labels_to_learn(store: Store) -> int:
    """Return the number of labeled images of the pool that were not drawn for an audit."""
    own = store.verdicts(items=[image.item_id for image in audited_images(store)])
    return store.counts().labeled - sum(label is not None for label in own.values())


def audited_images(store: Store) -> list[AuditedImage]:
    """Return the audited images of all queries, in the order of their draws."""
    found: dict[ItemId, AuditedImage] = {}
    for number, entry in store.entries_by_reason(_PREFIX):
        match = _FORM.fullmatch(entry.reason)
        if match is None or entry.item_id in found:
            continue
        stratum, size, total, newest = (int(match[group]) for group in (1, 2, 3, 5))
        found[entry.item_id] = AuditedImage(
            item_id=entry.item_id,
            round=number,
            total=total,
            stratum=Stratum(number=stratum, size=size, share=float(match[4])),
            newest=ItemId(newest),
        )
    return list(found.values())
