"""Classification as a task."""

from typing import TYPE_CHECKING

from dgaal_cli.tasks.classification.exchange import ClassNames
from dgaal_cli.tasks.classification.label import ClassLabels

if TYPE_CHECKING:
    from dgaal_cli.tasks.classification.model import ClassLearning


class Classification:
    """Each image has one class."""

    name = "classification"
    labels = ClassLabels()
    text = ClassNames()

    def learning(self, classes: int) -> "ClassLearning":
        """Cross-entropy over the classes."""
        from dgaal_cli.tasks.classification.model import ClassLearning

        return ClassLearning(classes)
