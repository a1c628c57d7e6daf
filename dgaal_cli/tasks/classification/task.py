"""Classification as a task."""

from dgaal_cli.tasks.classification.exchange import ClassNames
from dgaal_cli.tasks.classification.label import ClassLabels


class Classification:
    """Each image has one class."""

    name = "classification"
    labels = ClassLabels()
    text = ClassNames()
