"""Settings of a label terminal."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dgaal_cli.ids import SampleId
from dgaal_cli.tui.gate import KeyTrail
from dgaal_cli.tui.keymap import OwnKeys
from dgaal_cli.tui.prefetch import Reader
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.look import Glyphs
from dgaal_cli.tui.trainer import Step

if TYPE_CHECKING:
    from dgaal_cli.tui.render.kitty import Gallery


def print_nothing(_text: str) -> None:
    """Print nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a label terminal."""

    mode: Mode
    gate_s: float
    hints: bool
    make_reader: Callable[[], Reader]
    train_command: Callable[[Step], list[str]]
    glyphs: Glyphs = Glyphs.HALF
    """Shapes of the pixels in a cell."""
    grid_floor: float = 0.6
    """Confidence below which the grid offers no guess."""
    task: str = "classification"
    """Task of the workspace; selects the label screen."""
    clock: Callable[[], float] = field(default=time.monotonic)
    is_review_first: bool = False
    uses_learner: bool = True
    has_sampler: Callable[[], bool] = field(default=lambda: False)
    """Whether the workspace has an exported sampler."""
    gallery: "Gallery | None" = None
    """Images in the terminal's memory, if the terminal supports it."""
    keys: OwnKeys = field(default_factory=OwnKeys)
    """Custom keys."""
    trail: KeyTrail = field(default_factory=KeyTrail)
    """All key presses, of all screens."""
    say: Callable[[str], None] = field(default=print_nothing)
    """Prints a line after the terminal has closed."""
    dgaal: str = "dgaal"
    """Command that calls dgaal for the same workspace."""
    advice: str = ""
    """How this terminal can show more colors; shown in a first session."""
    synthetic_of_round: Callable[[int], Sequence[SampleId]] = field(default=lambda _round: ())
    """Return the synthetic images of a round."""
