"""What a terminal is started with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dgaal_cli.ids import SampleId
from dgaal_cli.tui.gate import KeyTrail
from dgaal_cli.tui.keymap import OwnKeys
from dgaal_cli.tui.prefetch import Reader
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.trainer import Step

if TYPE_CHECKING:
    from dgaal_cli.tui.render.kitty import Gallery


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a terminal is started with."""

    mode: Mode
    gate_s: float
    hints: bool
    make_reader: Callable[[], Reader]
    train_command: Callable[[Step], list[str]]
    task: str = "classification"
    """What a label is; which screen asks for it."""
    clock: Callable[[], float] = field(default=time.monotonic)
    is_review_first: bool = False
    is_learner_wanted: bool = True
    has_sampler: Callable[[], bool] = field(default=lambda: False)
    """Whether an exported sampler lies in the workspace."""
    gallery: "Gallery | None" = None
    """Images in the terminal's own memory, where it shows them itself."""
    keys: OwnKeys = field(default_factory=OwnKeys)
    """Keys of the operator's choice."""
    trail: KeyTrail = field(default_factory=KeyTrail)
    """Every key press, whichever screen it went to."""
    advice: str = ""
    """A sentence on how this terminal could show more, for a first session."""
    drawn_in: Callable[[int], Sequence[SampleId]] = field(default=lambda _round: ())
    """The synthesized images of a round."""
