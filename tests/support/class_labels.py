"""Labels of classification in tests: conversions between classes, labels and names."""

from typing import Any

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Label
from dgaal_cli.tasks.classification.label import class_label, class_of


def as_label(uid: ClassUid | None) -> Label | None:
    """Return the label of a class, or None for None."""
    return None if uid is None else class_label(uid)


def name_of(store: Store, record: Any) -> str | None:
    """Return the class name of a label, answer or event of a store."""
    return None if record.label is None else store.class_names()[class_of(record.label)]
