"""Record of one round of a trial: one JSON line."""

from pathlib import Path

import msgspec

from dgaal_cli.errors import DamagedError


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Wall time of a round, in seconds."""

    classifier: float
    """Training T."""
    networks: float
    """Training the method's other networks."""
    sampling: float
    """Choosing the query with trained networks, as in VAAL's Table 1. 0 without a query."""


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Share of a query in classes without labels."""

    classes: list[str]
    share: float
    """Share of the query's pool images that belong to these classes."""
    base_rate: float
    """Share of the unlabeled pool that belongs to these classes."""


class Guesses(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions shown to the annotator during one query."""

    images: int
    right: int
    """Number of T's correct predictions."""
    right_live: int
    """Number of the learner's correct predictions, each made before the image's answer."""
    keys: int
    """Key presses on the grid with T's predictions."""
    keys_live: int


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One round: the labels, the accuracy, and the next query."""

    arm: str
    method: str
    seed: int
    round: int
    annotations: int
    """Answers that a person would have given so far, "cannot tell" included."""
    labels: int
    """|L|: images that the method's own T is trained on, including synthetic images."""
    inherited: int
    """Number of these that are synthetic with their parent's label; they need no annotation."""
    wrong_labels: int
    """Number of the pool's labels that are wrong."""
    labels_by_class: list[int]
    accuracy: float
    """0..1 on the test images; T trained in the same way for every method."""
    system_accuracy: float | None = None
    """Accuracy of the method's own T, if it is trained in another way or on more images."""
    is_guessing: bool = False
    """Labels of fewer than two classes: the accuracy is that of a constant prediction."""
    strategy: str = ""
    queried: list[int] = []
    """Rows of the simulation's pool in the next query, first pick first."""
    synthesized: int = 0
    """Number of synthetic images in the next query."""
    cannot_tell: int = 0
    """Number of these that the model oracle could not classify."""
    absent: Absent | None = None
    guesses: Guesses | None = None
    """Only with ``Plan.guesses``."""
    health: dict[str, float | None] = {}
    confusion: list[list[int]] | None = None
    """Last round only: true class by row, T's prediction by column."""
    seconds: Seconds
    is_last: bool


def read_records(path: Path) -> list[RoundRecord]:
    """Read one trial's file.

    Raises:
        DamagedError: A line is not a valid record.
    """
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=RoundRecord) for line in lines]
    except (OSError, msgspec.MsgspecError) as error:
        raise DamagedError(
            f"{path} is missing or damaged ({str(error)[:120]}); "
            "remove it and run the same simulation again"
        ) from error
