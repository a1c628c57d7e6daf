"""Labels of classification in tests: conversions between classes, labels and names."""

from typing import Any

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, AnswerKind, Label
from dgaal_cli.tasks.classification.label import class_label, class_of


def as_label(uid: ClassUid | None) -> Label | None:
    """Return the label of a class, or None for None."""
    return None if uid is None else class_label(uid)


def name_of(store: Store, record: Any) -> str | None:
    """Return the class name of a label, answer or event of a store."""
    return None if record.label is None else store.class_names()[class_of(record.label)]


def submit_class(
    store: Store, annotator: str, item: int, name: str, kind: AnswerKind = "label"
) -> None:
    """Let an annotator answer an image with the class of a name."""
    answer = Answer(
        op_id=f"{annotator}{item}{name}{kind}",
        kind=kind,
        item_id=ItemId(item),
        label=as_label(store.class_by_name(name).uid),
    )
    store.submit(answer, annotator=annotator, session=annotator, take_next=False)
