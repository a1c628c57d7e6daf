"""The label of classification: the UTF-8 bytes of a class uid; in exchange formats its name."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label

VERSION = 1


def class_label(uid: ClassUid) -> Label:
    """Return the label that names one class."""
    return Label(payload=uid.encode(), version=VERSION, classes=(uid,))


@lru_cache(maxsize=128)
def class_of(label: Label) -> ClassUid:
    """Return the class that a label names.

    Raises:
        WorkspaceError: The label is not a label of classification, or of a newer dgaal.
    """
    if label.version != VERSION or [label.payload] != [uid.encode() for uid in label.classes]:
        raise WorkspaceError(
            f"a label in this workspace is not one class per image (version {label.version}); "
            "upgrade dgaal, or check the task in dgaal.toml"
        )
    return label.classes[0]


class ClassLabels:
    """The payload codec."""

    version = VERSION

    def encode(self, value: ClassUid) -> Label:
        """Return the label that names one class."""
        return class_label(value)

    def decode(self, label: Label) -> ClassUid:
        """Return the class that a label names; raises as ``class_of``."""
        return class_of(label)

    def target(self, label: Label, index_of: Mapping[ClassUid, int]) -> int | None:
        """Return the index of the label's class; None if the class is not listed."""
        return index_of.get(class_of(label))

    def of_target(self, target: int, classes: Sequence[ClassUid]) -> Label:
        """Return the label of the class with an index."""
        return class_label(classes[int(target)])


class ClassNames:
    """The text codec: a label is written as the name of its class."""

    def to_text(self, label: Label, names: Mapping[ClassUid, str]) -> str:
        """Return the name of the label's class."""
        return names[class_of(label)]

    def from_text(
        self, texts: Sequence[str], find_class: Callable[[Sequence[str]], ClassUid]
    ) -> Label:
        """Return the label of the class that ``find_class`` finds."""
        return class_label(find_class(texts))

    def single_class(self, label: Label) -> ClassUid | None:
        """Return the label's class."""
        return class_of(label)
