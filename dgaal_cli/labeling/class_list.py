"""The class list and its changes; a renamed or moved class keeps its labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.tasks.registry import workspace_task
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedClass:
    """One class."""

    uid: ClassUid
    name: str
    key: str
    labels: int
    """Number of pool images with this label."""


def class_list(workspace: Workspace) -> list[ListedClass]:
    """Return the classes in their order."""
    with open_store(workspace, read_only=True) as store:
        return listed_classes(store)


def add_class(workspace: Workspace, name: str) -> list[ListedClass]:
    """Append a class; ``UsageError`` if the name is invalid or in use."""
    return _changed(workspace, lambda store: store.add_class(name))


def rename_class(workspace: Workspace, old: str, new: str) -> list[ListedClass]:
    """Rename a class; ``UsageError`` if it does not exist."""
    return _changed(workspace, lambda store: store.rename_class(store.class_by_name(old).uid, new))


def remove_class(workspace: Workspace, name: str) -> list[ListedClass]:
    """Remove a class; ``UsageError`` if answers use it."""
    return _changed(workspace, lambda store: store.retire_class(store.class_by_name(name).uid))


def merge_classes(workspace: Workspace, old: str, into: str) -> list[ListedClass]:
    """Give each answer that names one class another one, and remove the first class.

    Each annotator's answer is replaced by an answer of the same annotator, so disputes between the
    two classes end; the former answers stay in the history. A backup is made before. If the
    command is killed midway, the class is still listed, and the same command completes it.

    Raises:
        UsageError: A class does not exist, or both are the same.
    """
    text = workspace_task(workspace).text
    with open_store(workspace) as store:
        first, second = store.class_by_name(old), store.class_by_name(into)
        if first.uid == second.uid:
            raise UsageError(f"class {old} cannot be merged into itself; name two classes")
        label = text.from_text([second.name], lambda texts: store.class_by_name(texts[0]).uid)
        store.import_labels(
            [
                ImportedLabel(
                    sample_id=answer.sample_id,
                    item_id=answer.item_id,
                    label=label,
                    annotator=answer.annotator,
                    kind=answer.kind,
                    note=f"class {first.name} was merged into {second.name}",
                )
                for answer in store.iter_answers()
                if answer.label is not None and text.single_class(answer.label) == first.uid
            ],
            session="merge",
        )
        store.retire_class(first.uid)
        return listed_classes(store)


def order_classes(workspace: Workspace, names: Sequence[str]) -> list[ListedClass]:
    """Move classes to the front in the given order; the others keep their order.

    Raises:
        UsageError: A class is unknown or named twice.
    """

    def order(store: Store) -> None:
        first = [store.class_by_name(name).uid for name in names]
        if len(set(first)) < len(first):
            raise UsageError(f"a class is named twice in {', '.join(names)}")
        rest = [record.uid for record in store.classes() if record.uid not in first]
        store.reorder_classes([*first, *rest])

    return _changed(workspace, order)


def _changed(workspace: Workspace, change: Callable[[Store], object]) -> list[ListedClass]:
    with open_store(workspace) as store:
        change(store)
        return listed_classes(store)


def listed_classes(store: Store) -> list[ListedClass]:
    """Return the classes of an open store, in their order."""
    by_class = store.counts().by_class
    return [
        ListedClass(uid=r.uid, name=r.name, key=r.key, labels=by_class.get(r.uid, 0))
        for r in store.classes()
    ]
