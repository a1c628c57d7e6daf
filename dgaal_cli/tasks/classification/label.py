"""The label of classification: the uid of one class, as its UTF-8 bytes."""

from collections.abc import Mapping, Sequence

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label

VERSION = 1


def class_label(uid: ClassUid) -> Label:
    """Return the label that names one class."""
    return Label(payload=uid.encode(), version=VERSION, classes=(uid,))


def class_of(label: Label) -> ClassUid:
    """Return the class that a label names.

    Raises:
        WorkspaceError: It is no label of classification, or of a newer dgaal.
    """
    if label.version != VERSION or [label.payload] != [uid.encode() for uid in label.classes]:
        raise WorkspaceError(
            f"a label in this workspace is not one class per image (version {label.version}); "
            "upgrade dgaal, or check the task in dgaal.toml"
        )
    return label.classes[0]


def class_or_none(label: Label | None) -> ClassUid | None:
    """Return the class that a label names, None for no label; raises what ``class_of`` does."""
    return None if label is None else class_of(label)


class ClassLabels:
    """The codec of classification for code that works with any task."""

    version = VERSION

    def encode(self, value: ClassUid) -> Label:
        """Return the label that names one class."""
        return class_label(value)

    def decode(self, label: Label) -> ClassUid:
        """Return the class that a label names; ``WorkspaceError`` if it is not exactly one."""
        return class_of(label)

    def target(self, label: Label, index_of: Mapping[ClassUid, int]) -> int | None:
        """Return the index of the label's class; None if the class is not listed."""
        return index_of.get(class_of(label))

    def of_target(self, target: int, classes: Sequence[ClassUid]) -> Label:
        """Return the label of the class with an index."""
        return class_label(classes[int(target)])
