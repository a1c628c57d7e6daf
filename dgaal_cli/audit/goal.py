"""A goal for a model on the pool, without NumPy: commands start fast."""

from dataclasses import dataclass
from typing import Literal

from dgaal_cli.ids import ClassUid

GoalKind = Literal["accuracy", "recall", "precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A measure of the model that is to reach a value."""

    kind: GoalKind
    target: float
    """Above 0, at most 1."""
    class_name: str = ""
    """Class of recall or precision; empty for the accuracy."""
    uid: ClassUid | None = None
    """Of that class; None if no class has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of a measure, 0..1, that both hold at every look."""

    low: float
    high: float
