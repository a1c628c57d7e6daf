"""Content of the label screen, from which its widgets draw."""

from dataclasses import dataclass
from typing import Literal

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tui.bridge import LabeledNeighbor, LabelView, Press, QueryImage
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.prefetch import LOOK
from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.widgets.lines import Pieces

SaveState = Literal["saved", "saving", "unsaved"]
Guess = tuple[ItemId, ClassUid]
"""An image and its guessed class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Content of the label screen."""

    view: LabelView
    image: QueryImage | None
    """The image on the screen; ahead of ``view`` while an answer is being saved."""
    keymap: Keymap
    save_state: SaveState = "saved"
    pending: Press | None = None
    flash: Pieces = ()
    """Shown for a moment in place of the last answer."""
    prefix: str = ""
    """First key of a two-key code, once pressed."""
    are_hints_on: bool = False
    look: Look = LOOK
    is_finding: bool = False
    """The dialog that finds a class is open: it covers the panel."""
    is_alone: bool = False
    """The image has the whole screen but for a line of classes."""
    neighbors: tuple[LabeledNeighbor | None, ...] = ()
    """The labeled images most alike to ``image``; None for those that are not known yet."""
    background: str = ""
    """Background activity, such as training."""

    @property
    def guess(self) -> Guess | None:
        """The visible guess; None without one."""
        image = self.image
        if image is None or image.predicted is None or image.is_blind or not self.are_hints_on:
            return None
        return image.item_id, image.predicted

    @property
    def is_guess_visible(self) -> bool:
        """Whether the model's guess for the image is shown."""
        return self.guess is not None

    def is_guessed(self, uid: ClassUid) -> bool:
        """Whether a class is the visible guess."""
        return self.guess is not None and self.guess[1] == uid
