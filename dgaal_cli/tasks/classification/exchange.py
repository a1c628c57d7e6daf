"""Labels of classification in exchange formats: the name of the class."""

from collections.abc import Callable, Mapping, Sequence

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label
from dgaal_cli.tasks.classification.label import class_label, class_of


class ClassNames:
    """A label is written as the name of its class."""

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
