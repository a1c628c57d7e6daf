"""The interface of tasks; only a task knows what a label means.

The store keeps labels as opaque payloads, exchange formats keep them as text; a task has a codec
for each. Both codecs import neither torch nor numpy, which labeling hosts may not have.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dgaal_cli.ids import ClassUid
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.records import Label

if TYPE_CHECKING:
    from dgaal_cli.training.task import LearningTask

Value = TypeVar("Value")
"""A label in memory, such as the uid of a class or a mask."""


class LabelCodec(Protocol[Value]):
    """Conversion between a task's value and the payload that the store keeps."""

    version: int
    """Version of payloads that ``encode`` writes; ``decode`` reads this and all older versions."""

    def encode(self, value: Value) -> Label:
        """Return the label of a value; equal values have equal labels."""
        ...

    def decode(self, label: Label) -> Value:
        """Return the value of a label.

        Raises:
            WorkspaceError: The payload is damaged, of another task, or of a newer version.
        """
        ...

    def target(self, label: Label, index_of: Mapping[ClassUid, int]) -> Any | None:
        """Return what the networks learn for a label; None if it names a class that is not listed.

        Args:
            label: Of this task.
            index_of: Index of each class in use.
        """
        ...

    def of_target(self, target: Any, classes: Sequence[ClassUid]) -> Label:
        """Return the label of a target; ``classes`` are those in use, in order."""
        ...


class Task(Protocol[Value]):
    """One kind of label, with everything that depends on it."""

    name: str
    """Name in ``dgaal.toml``."""
    labels: LabelCodec[Value]
    text: LabelText

    def learning(self, classes: int) -> "LearningTask":
        """Return the training side of the task for ``classes`` >= 1; imports torch."""
        ...
