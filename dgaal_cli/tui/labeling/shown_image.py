"""The image that is asked: how it is drawn, and whether a person has seen it."""

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from dgaal_cli.tui.bridge import LabelView, QueryImage
from dgaal_cli.tui.gate import Gate
from dgaal_cli.tui.keymap import make_keymap, moved_keys
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.scene_view import Scene, SceneView


class ShownImage:
    """The newest view of the session, the image on the screen and the gate before its answer."""

    def __init__(
        self,
        screen: Screen[Any],
        view: LabelView,
        settings: Settings,
        make_scene: Callable[[], Scene],
    ) -> None:
        """Show the first image.

        Args:
            screen: Where it is shown.
            view: The first one.
            settings: How to draw and judge.
            make_scene: Collects what is to be seen, from all parts of the screen.
        """
        self._screen = screen
        self._settings = settings
        self._make_scene = make_scene
        self.view = view
        self.image: QueryImage | None = view.image
        """The image on the screen; ahead of ``view`` while an answer is being saved."""
        self.keymap = make_keymap(view.classes, own=settings.keys)
        self.gate = Gate(settings.clock, visible_s=settings.gate_s)
        self.are_hints_on = settings.hints
        self.is_toggled = False
        """Drawn in the other scaling."""
        first = Scene(
            view=view, image=self.image, keymap=self.keymap, are_hints_on=self.are_hints_on
        )
        self.scene_view = SceneView(first, settings.mode, settings.make_reader, settings.gallery)

    @property
    def scene(self) -> Scene:
        """What is to be seen now."""
        return self._make_scene()

    @property
    def item(self) -> int:
        """Number of the image on the screen; -1 without one."""
        return self.image.item_id if self.image else -1

    def draw(self) -> None:
        """Draw everything; rows that did not change are not sent."""
        self.scene_view.show(self.scene)

    def show(self, image: QueryImage | None) -> None:
        """Put an image on the screen; answers wait until it is painted."""
        if image is None or image.item_id != self.item:
            self.gate.hide()
        self.image = image
        self.draw()

    def take(self, view: LabelView) -> None:
        """Show what the store says now."""
        has_other_classes = view.classes != self.view.classes
        self.view = view
        if has_other_classes:
            self._take_classes()
        self.show(view.image)

    def toggle_scaling(self) -> None:
        """Draw in the other scaling."""
        self.is_toggled = not self.is_toggled
        self.draw()

    def look_again(self) -> None:
        """Take no answer until the image has gone out once more."""
        self.gate.hide()
        self.scene_view.send_again()

    def painted(self) -> None:
        """Note that a frame has gone to the terminal."""
        self.scene_view.start_loading()
        is_whole = self._screen.is_current and not self._screen.has_class("-too-small")
        if is_whole and self.scene_view.is_answerable:
            self.gate.paint()
        elif is_whole:
            self.gate.hide()  # as after a resize: the image has to be drawn again
        if is_whole and self.scene_view.is_panel_sent:
            self.gate.paint_guess(self.scene_view.drawn_guess)

    def _take_classes(self) -> None:
        """Give new classes keys; where others moved, labeling waits until that was seen."""
        old = self.keymap
        self.keymap = make_keymap(self.view.classes, own=self._settings.keys, known=old.code_of)
        if moved_keys(old, self.keymap):
            from dgaal_cli.tui.screens.help import NewKeysDialog

            self.gate.hide()
            dialog = NewKeysDialog(self.keymap, self.view.classes, clock=self._settings.clock)
            self._screen.app.push_screen(dialog, lambda _: self.look_again())
