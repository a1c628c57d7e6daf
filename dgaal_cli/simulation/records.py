"""What one round of a trial leaves behind: one JSON line."""

from pathlib import Path

import msgspec

from dgaal_cli.errors import DamagedError


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Wall time of a round, in seconds."""

    classifier: float
    """Training T."""
    networks: float
    """Training everything else that the method has."""
    sampling: float
    """Choosing the query, networks trained; what VAAL's Table 1 compares. 0 where none followed."""


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """How a query treats classes that no label shows yet."""

    classes: list[str]
    share: float
    """Of the query's pool images that belong to them."""
    base_rate: float
    """Of the unlabeled pool that belongs to them."""


class Guesses(msgspec.Struct, frozen=True, kw_only=True):
    """Guesses over one query, in sight of whoever labels it."""

    images: int
    right: int
    """Of T's guesses."""
    right_live: int
    """Of the learner's, each made before the image's own answer."""
    keys: int
    """On the grid, with T's guesses."""
    keys_live: int


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One round: what T learned from, how well, and what was asked next."""

    arm: str
    method: str
    seed: int
    round: int
    annotations: int
    """Answers that a person would have given so far, "cannot tell" included."""
    labels: int
    """|L|: images that the method's own T learns from, synthesized ones included."""
    inherited: int
    """Of these, synthesized images with their parent's label; they cost no annotation."""
    wrong_labels: int
    """Of the pool's labels, those that are not the truth."""
    labels_by_class: list[int]
    accuracy: float
    """0..1 on the test images; T trained in the same way for every method."""
    system_accuracy: float | None = None
    """Of the method's own T, where it was trained in another way or on more."""
    is_guessing: bool = False
    """Labels of fewer than two classes: accuracy is that of always naming the one class."""
    strategy: str = ""
    queried: list[int] = []
    """Rows of the simulation's pool that were asked next, first pick first."""
    synthesized: int = 0
    """Synthesized images that were asked next."""
    cannot_tell: int = 0
    """Of these, those that the model oracle could not name."""
    absent: Absent | None = None
    guesses: Guesses | None = None
    """Where ``Plan.guesses`` asked for it."""
    health: dict[str, float | None] = {}
    confusion: list[list[int]] | None = None
    """Last round only: true class by row, T's answer by column."""
    seconds: Seconds
    is_last: bool


def encode(record: RoundRecord) -> bytes:
    """Return one JSON line with its newline."""
    return msgspec.json.encode(record) + b"\n"


def read_records(path: Path) -> list[RoundRecord]:
    """Read one trial's file.

    Raises:
        DamagedError: A line is no record.
    """
    try:
        lines = path.read_bytes().splitlines()
        return [msgspec.json.decode(line, type=RoundRecord) for line in lines]
    except (OSError, msgspec.MsgspecError) as error:
        raise DamagedError(
            f"{path} is missing or damaged ({str(error)[:120]}); "
            "remove it and run the same simulation again"
        ) from error
