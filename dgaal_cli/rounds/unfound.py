"""How many images of each class are still among the unlabeled ones, by an audit."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from dgaal_cli.audit.estimate import MIN_AUDITED, Interval
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.protocol import Store

if TYPE_CHECKING:
    from dgaal_cli.audit.classes import ClassAnswer
    from dgaal_cli.rounds.audit_entries import AuditedImage


def unfound_images(
    store: Store,
    images: "Sequence[AuditedImage]",
    given: "Mapping[ItemId, ClassAnswer]",
    classes: Sequence[ClassUid],
    text: LabelText,
) -> dict[ClassUid, Interval]:
    """Estimate the number of unlabeled images of each class, with intervals; empty if unknown.

    The audit with the most answers says how many images of a class were unlabeled when it was
    drawn. Those that got their first label since the first answer to it are subtracted. Images that
    were added since, and those of the query that was asked with the audit, are not among them.

    Args:
        store: Store of the labels.
        images: Of all audits.
        given: The answered ones.
        classes: Classes in use.
        text: Of the task.
    """
    from dgaal_cli.audit.classes import class_shares

    by_audit: defaultdict[int, list[ClassAnswer]] = defaultdict(list)
    for each in given.values():
        by_audit[each.answer.audit].append(each)
    number = max(by_audit, key=lambda audit: (len(by_audit[audit]), audit), default=None)
    if number is None or len(by_audit[number]) < MIN_AUDITED:
        return {}
    own = [image for image in images if image.round == number]
    total, drawn = own[0].total, {image.item_id for image in own}
    beside = {entry.item_id for entry in store.query(number).entries} - drawn
    labels = [record for record in store.labels() if not record.is_synthetic]
    first = min(record.event_id for record in labels if record.item_id in drawn)
    since = [
        record
        for record in labels
        if record.event_id >= first
        and record.item_id <= own[0].newest
        and record.item_id not in beside
    ]
    older = _answered_before(store, first, {record.item_id for record in since})
    found: Counter[ClassUid] = Counter()
    for record in since:
        uid = text.single_class(record.label)
        if uid is not None and record.item_id not in older:
            found[uid] += 1
    shares = class_shares(by_audit[number], classes)
    return {
        uid: Interval(
            value=max(0.0, share.value * total - found[uid]),
            low=max(0.0, share.low * total - found[uid]),
            high=max(0.0, share.high * total - found[uid]),
        )
        for uid, share in zip(classes, shares, strict=True)
    }


def _answered_before(store: Store, first: int, items: set[ItemId]) -> set[ItemId]:
    """Return those of some images that had an answer before an event: an answer was changed since.

    Few images have earlier events at all, and only for them the state at that time is computed.
    """
    earlier = takewhile(lambda event: event.event_id < first, store.events())
    if items.isdisjoint(event.item_id for event in earlier):
        return set()
    newest = first - 1
    labeled = {record.item_id for record in store.labels(watermark=newest)}
    return items & (labeled | store.cannot_tell(watermark=newest))
