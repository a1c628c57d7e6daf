"""The task ``classification``."""

from typing import TYPE_CHECKING

from dgaal_cli.tasks.classification.label import ClassLabels, ClassNames

if TYPE_CHECKING:
    from dgaal_cli.tasks.classification.model import ClassLearning
    from dgaal_cli.tasks.classification.noise import ClassNoise


class Classification:
    """Each image has one class."""

    name = "classification"
    labels = ClassLabels()
    text = ClassNames()

    def learning(self, classes: int) -> "ClassLearning":
        """Return cross-entropy learning of ``classes`` classes."""
        from dgaal_cli.tasks.classification.model import ClassLearning

        return ClassLearning(classes)

    def noise(self, spec: str) -> "ClassNoise":
        """Parse ``uniform:RATE``, ``within:RATE:FILE`` or ``recorded:KEY:FILE``."""
        from dgaal_cli.tasks.classification.noise import parse_noise

        return parse_noise(spec)
