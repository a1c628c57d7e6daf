"""The task ``classification``."""

from typing import TYPE_CHECKING

from dgaal_cli.tasks.classification.label import ClassLabels, ClassNames

if TYPE_CHECKING:
    from dgaal_cli.tasks.classification.model import ClassLearning


class Classification:
    """Each image has one class."""

    name = "classification"
    labels = ClassLabels()
    text = ClassNames()

    def learning(self, classes: int) -> "ClassLearning":
        """Return cross-entropy learning of ``classes`` classes."""
        from dgaal_cli.tasks.classification.model import ClassLearning

        return ClassLearning(classes)
