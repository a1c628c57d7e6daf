"""The image to answer: its drawing, and whether it has been visible."""

from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from dgaal_cli.tui.bridge import LabelView, QueryImage
from dgaal_cli.tui.gate import Gate
from dgaal_cli.tui.keymap import make_keymap, moved_keys
from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.scene import Scene
from dgaal_cli.tui.widgets.scene_view import SceneView


class ShownImage:
    """The newest view of the session, the image on the screen and the gate of its answers."""

    def __init__(
        self,
        screen: Screen[Any],
        view: LabelView,
        settings: Settings,
        make_scene: Callable[[], Scene],
    ) -> None:
        """Show the first image; ``make_scene`` collects the content from all parts."""
        self._screen = screen
        self._settings = settings
        self._make_scene = make_scene
        self.view = view
        self.image: QueryImage | None = view.image
        """The image on the screen; ahead of ``view`` while an answer is being saved."""
        self.keymap = make_keymap(view.classes, own=settings.keys)
        self.gate = Gate(settings.clock, visible_s=settings.gate_s)
        self.are_hints_on = settings.hints
        self.look = Look(glyphs=settings.glyphs)
        self.is_alone = False
        """Whether the image has the whole screen."""
        self.is_finding = False
        """Whether the dialog that finds a class is open."""
        first = Scene(
            view=view,
            image=self.image,
            keymap=self.keymap,
            are_hints_on=self.are_hints_on,
            look=self.look,
        )
        self.scene_view = SceneView(first, settings.mode, settings.make_reader, settings.gallery)

    @property
    def scene(self) -> Scene:
        """The current content of the screen."""
        return self._make_scene()

    @property
    def item(self) -> int:
        """Number of the image on the screen; -1 without one."""
        return self.image.item_id if self.image else -1

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        self.scene_view.show(self.scene)

    def show(self, image: QueryImage | None) -> None:
        """Show an image; answers are refused until it is painted."""
        if image is None or image.item_id != self.item:
            self.gate.hide()
            self.look = self.look.of_next_image()
        self.image = image
        self.draw()

    def take(self, view: LabelView) -> None:
        """Show a new view of the session."""
        has_other_classes = view.classes != self.view.classes
        self.view = view
        if has_other_classes:
            self._take_classes()
        self.show(view.image)

    def look_at(self, look: Look) -> None:
        """Draw the image in another way."""
        self.look = look
        self.draw()

    def find(self, *, is_open: bool) -> None:
        """Leave space for the dialog that finds a class, or not."""
        self.is_finding = is_open
        self.draw()

    def toggle_alone(self) -> None:
        """Give the image the whole screen, or show the panel again."""
        self.is_alone = not self.is_alone
        self.draw()

    def look_again(self) -> None:
        """Refuse answers until the image has been sent again."""
        self.gate.hide()
        self.scene_view.send_again()

    def painted(self) -> None:
        """Note that a frame has been sent to the terminal."""
        self.scene_view.start_loading()
        is_visible = self._screen.is_current and not self._screen.has_class("-too-small")
        if is_visible and self.scene_view.is_answerable:
            self.gate.paint()
        elif is_visible:
            self.gate.hide()  # for example after a resize: the image must be drawn again
        if is_visible and self.scene_view.is_panel_sent:
            self.gate.paint_guess(self.scene_view.drawn_guess)

    def _take_classes(self) -> None:
        """Assign keys to new classes; if keys of others changed, block until that is confirmed."""
        old = self.keymap
        self.keymap = make_keymap(self.view.classes, own=self._settings.keys, known=old.code_of)
        if moved_keys(old, self.keymap):
            from dgaal_cli.tui.screens.help import NewKeysDialog

            self.gate.hide()
            dialog = NewKeysDialog(self.keymap, self.view.classes, clock=self._settings.clock)
            self._screen.app.push_screen(dialog, lambda _: self.look_again())
