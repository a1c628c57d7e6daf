"""The labeled images most alike to the one on the screen, found after it has been drawn."""

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from dgaal_cli.ids import ItemId
from dgaal_cli.tui.bridge import Bridge, LabeledNeighbor
from dgaal_cli.tui.labeling.shown_image import ShownImage

Found = tuple[LabeledNeighbor, ...]


class Neighbors:
    """Asks the session once for each view; a key never waits for the answer to be drawn."""

    def __init__(self, screen: Screen[Any], bridge: Bridge, shown: ShownImage) -> None:
        """Start without neighbors."""
        self._screen = screen
        self._bridge = bridge
        self._shown = shown
        self._asked: tuple[int, int] | None = None
        """Image and view for which the session was asked last."""
        self._found: tuple[int, Found] = (-1, ())
        """The image of the last result, and the result."""

    @property
    def beside(self) -> tuple[LabeledNeighbor | None, ...]:
        """Neighbors of the image on the screen; Nones keep their place until they are known."""
        item, found = self._found
        return found if item == self._shown.item else (None,) * len(found)

    def update(self) -> None:
        """Find the neighbors of the image on the screen if the view or the image is another."""
        shown = self._shown
        key = (shown.item, shown.view.serial)
        if shown.image is None or shown.view.image != shown.image or key == self._asked:
            return
        self._asked = key
        if shown.view.learner != "none":
            self.find(shown.image.item_id, lambda _: shown.draw())

    def find(self, item_id: ItemId, then: Callable[[Found], None]) -> None:
        """Find the neighbors of an image; ``then`` gets them, or none after an error."""

        def take(outcome: Found | Exception) -> None:
            found = () if isinstance(outcome, Exception) else outcome
            self._found = (item_id, found)
            then(found)

        self._bridge.call(
            lambda session: session.nearest_labeled(item_id),
            lambda outcome: self._screen.call_later(take, outcome),
        )
