"""The labels of a pool's images as columns of a task model."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.config.schema import Config
from dgaal_cli.features.kernel import Ids
from dgaal_cli.ids import ItemId
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tasks.registry import load_task


def label_columns(config: Config, store: Store, classes: Sequence[ClassRecord], items: Ids) -> Ids:
    """Return the position in ``classes`` (N,) of each item's current label; -1 without one.

    Labels that near duplicates share count as none: features of equal images teach nothing more,
    and a held-out label would be measured on twice.
    """
    text, column = load_task(config.task).text, {c.uid: at for at, c in enumerate(classes)}
    verdicts = store.verdicts()
    if store.groups():  # near duplicates that share labels have groups
        shared = {record.item_id for record in store.labels() if record.provenance == "inherited"}
        verdicts = {item: label for item, label in verdicts.items() if item not in shared}
    columns = np.full(len(items), -1, np.int64)
    for position, item in enumerate(items.tolist()):
        label = verdicts.get(ItemId(item))
        uid = text.single_class(label) if label else None
        columns[position] = -1 if uid is None else column.get(uid, -1)
    return columns


def training_columns(
    config: Config, store: Store, classes: Sequence[ClassRecord], items: Ids
) -> Ids:
    """Return ``label_columns`` without audited images: they measure the task model."""
    columns = label_columns(config, store, classes, items)
    columns[np.isin(items, [image.item_id for image in audited_images(store)])] = -1
    return columns
