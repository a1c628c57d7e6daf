"""The burst of an image: the frames of its group on one page, for one answer to all of them."""

import dataclasses
from collections.abc import Sequence

from dgaal_cli.ids import ItemId
from dgaal_cli.tui.bridge import Bridge, LabelSession, LabelView, Press, QueryImage
from dgaal_cli.tui.grid import GridMemory
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.screens.grid import GridScreen
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.image_view import ImageView

NO_GUESSES = 1.01
"""Floor above every confidence: a guess for one frame is no guess for the others."""
PREVIEW_FROM = 100
"""Columns of a terminal that shows the frame under the cursor large from the start."""
_ACTIONS = (
    *("confirm", "select", "move", "help", "leave", "cannot_tell", "undo", "select_all"),
    *("preview", "larger", "smaller", "next", "previous", "search"),
)
"""Actions of the grid that need no guesses."""


class BurstScreen(GridScreen):
    """A grid of the frames of one group; all frames of the page are selected at first."""

    verb = "Label"
    heading = "BURST"
    what = "of its group without an answer"
    why_empty = "no frames wait; 'dgaal pool duplicates' makes groups"

    def __init__(
        self,
        bridge: Bridge,
        view: LabelView,
        keymap: Keymap,
        settings: Settings,
        item_id: ItemId,
    ) -> None:
        """Create the screen for the group of the image ``item_id``."""
        settings = dataclasses.replace(settings, grid_floor=NO_GUESSES)
        super().__init__(bridge, view, keymap, settings, GridMemory())
        self.actions = tuple(
            dataclasses.replace(
                action, title="Store page", explanation="store the classes of the images"
            )
            if action.name == "confirm"
            else action
            for action in self.actions
            if action.name in _ACTIONS
        )
        self._item_id = item_id
        self._has_stored = False

    def store_page(self, session: LabelSession, presses: Sequence[Press]) -> LabelView:
        """Store one answer for all frames, which one undo takes back."""
        return session.answer_burst(presses)

    def read_images(self, session: LabelSession) -> Sequence[QueryImage]:
        """Return the frames without an answer."""
        return session.burst(self._item_id)

    def offered(self, name: str) -> None:
        """Select all frames, with the cursor at the image of the label screen."""
        self._has_stored = self._has_stored or name == "page"
        if not name:
            self.query_one("#preview", ImageView).display = self.app.size.width >= PREVIEW_FROM
        if name == "undo":
            return
        self.model.go_to(self._item_id)
        if not self.model.selected:
            self.model.select_all()
        if not name and len(self.model.listed) == 1:
            self.note = "no other frame of its group waits for an answer"
        self.draw()

    def act(self, name: str) -> None:
        """Run an action; undo takes back only what was stored here."""
        if name == "undo" and not self._has_stored:
            self.show_note("nothing is stored here yet; the label screen undoes earlier answers")
        else:
            super().act(name)
