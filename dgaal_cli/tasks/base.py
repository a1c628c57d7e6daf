"""The interface of tasks; only a task knows what a label means.

The store keeps labels as opaque payloads, exchange formats keep them as text; a task has a codec
for each. Both codecs import neither torch nor numpy, which labeling hosts may not have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dgaal_cli.ids import ClassUid, SampleId
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.records import Label

if TYPE_CHECKING:
    import numpy as np

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


class OracleNoise(Protocol):
    """Errors of a simulated oracle; its spec may end with the path of a file."""

    @property
    def applies_to_synthetic(self) -> bool:
        """Whether answers to synthetic images have errors, too."""
        ...

    def with_absolute_path(self, base: Path) -> str:
        """Return the spec with an absolute path of its file, if it has one."""
        ...

    def without_folder(self) -> str:
        """Return the spec with only the name of its file, if it has one, for pages."""
        ...

    def answers(
        self,
        truth: "np.ndarray",
        *,
        ids: Sequence[SampleId],
        class_names: Sequence[str],
        generator: "np.random.Generator",
    ) -> "np.ndarray":
        """Return the oracle's answers.

        The answers are drawn once: an image asked by two methods of a seed gets the same answer.

        Args:
            truth: Targets ``(N, ...)``.
            ids: N sample ids, whose row numbers select recorded labels; empty if synthetic.
            class_names: K names.
            generator: Generator of the random draws.

        Raises:
            InputDataError: A file is missing, or does not belong to this pool.
        """
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

    def noise(self, spec: str) -> OracleNoise:
        """Parse the errors of a simulated oracle; an empty spec means none; imports NumPy.

        Raises:
            UsageError: The spec has none of the known forms.
        """
        ...
