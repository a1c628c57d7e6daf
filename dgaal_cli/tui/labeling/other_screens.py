"""Screens over the label screen: dialogs, review, grid and rounds, and their results."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui.bridge import LabeledNeighbor, LabelSession, LabelView, RoundsReport
from dgaal_cli.tui.grid import GridMemory
from dgaal_cli.tui.labeling.answers import Answers
from dgaal_cli.tui.labeling.neighbors import Neighbors
from dgaal_cli.tui.labeling.rounds import Rounds
from dgaal_cli.tui.outside import open_outside

if TYPE_CHECKING:
    from dgaal_cli.tui.screens.rounds import Choice


class OtherScreens:
    """Opens screens, imported on first use, and handles their results."""

    def __init__(self, answers: Answers, neighbors: Neighbors) -> None:
        self._neighbors = neighbors
        self._answers = answers
        self._screen, self._bridge = answers.screen, answers.bridge
        self._settings, self._shown = answers.settings, answers.shown
        self._notices = answers.notices
        self._grid_memory = GridMemory()

    def help(self) -> None:
        """Show the help."""
        from dgaal_cli.tui.screens.help import HelpDialog

        self._screen.app.push_screen(HelpDialog(self._shown.keymap, self._shown.view.classes))

    def add_class(self) -> None:
        """Ask for the name of a new class."""
        from dgaal_cli.tui.screens.pick_dialogs import AddClassDialog

        def add(name: str | None) -> None:
            if name:
                self._answers.call("add", lambda session: session.add_class(name))

        self._screen.app.push_screen(AddClassDialog(), add)

    def find_class(self) -> None:
        """Find a class by a part of its name and answer with it."""
        from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

        image = self._shown.image
        self._shown.find(is_open=True)

        def take(record: ClassRecord | None) -> None:
            self._shown.find(is_open=False)
            if record and image and image.item_id == self._shown.item:
                self._answers.give("label", record.uid)

        self._screen.app.push_screen(FindClassDialog(self._shown.view.classes), take)

    def open_file(self) -> None:
        """Open the image in the desktop's viewer, or show its path."""
        if self._shown.image is None:
            self._notices.warn("no image to open")
            return

        def open_it(path: str) -> None:
            self._notices.inform(open_outside(path), seconds=4)

        self._shown.scene_view.fetch_file(
            self._shown.image, lambda path: self._screen.call_later(open_it, path)
        )

    def details(self) -> None:
        """Show the file and the camera of the image, and the figures of its query."""
        shown, image = self._shown, self._shown.image
        if image is None:
            self._notices.warn("no image to describe")
            return
        from dgaal_cli.data.photo_facts import NO_FACTS, PhotoFacts, photo_facts
        from dgaal_cli.tui.screens.details import DetailsDialog

        def open_it(facts: PhotoFacts, near: Sequence[LabeledNeighbor]) -> None:
            if self._screen.is_current and image.item_id == shown.item:
                size = shown.scene_view.image_size
                self._screen.app.push_screen(DetailsDialog(shown.scene, facts, size, near))

        def read(near: Sequence[LabeledNeighbor], path: str) -> None:
            facts = photo_facts(Path(path)) if path else NO_FACTS
            self._screen.call_later(open_it, facts, near)

        self._neighbors.find(
            image.item_id, lambda near: shown.scene_view.fetch_file(image, partial(read, near))
        )

    def review(self) -> None:
        """Open the review of answers."""
        from dgaal_cli.tui.screens.review import ReviewScreen

        if not self._answers.is_waiting():
            shown = self._shown
            screen = ReviewScreen(self._bridge, shown.view, shown.keymap, self._settings)
            self._screen.app.push_screen(screen, self._back)

    def grid(self) -> None:
        """Open the grid of guesses."""
        from dgaal_cli.tui.screens.grid import GridScreen

        shown = self._shown
        if shown.view.state != "labeling":
            self._notices.warn("no image to confirm")
        elif not self._answers.is_waiting():
            screen = GridScreen(
                self._bridge, shown.view, shown.keymap, self._settings, self._grid_memory
            )
            self._screen.app.push_screen(screen, self._back)

    def burst(self) -> None:
        """Show the other frames of the image's group, to look at them or to give one answer."""
        from dgaal_cli.tui.screens.burst import BurstScreen

        shown = self._shown
        if shown.image is None:
            self._notices.warn("no image to answer")
        elif not self._answers.is_waiting():
            screen = BurstScreen(
                self._bridge, shown.view, shown.keymap, self._settings, shown.image.item_id
            )
            self._screen.app.push_screen(screen, self._back)

    def _back(self, view: LabelView | None) -> None:
        self._shown.look_again()
        if view:
            self._answers.take_view(view)
        self._shown.draw()
        if self._shown.view.state == "answered":
            self._answers.on_progress("answered")

    def rounds(self, rounds: Rounds, do: Callable[[str], None]) -> None:
        """Open the round screen.

        Args:
            rounds: Runs the chosen training or export.
            do: Runs a command of the label screen by its name.
        """
        from dgaal_cli.tui.screens.rounds import RoundsScreen

        found: list[RoundsReport] = []

        def read(session: LabelSession) -> LabelView:
            found.append(session.report())
            return session.view()

        def show(view: LabelView) -> None:
            self._answers.take_view(view)
            screen = RoundsScreen(
                self._shown.view, found[0], self._shown.keymap, is_training=rounds.is_training
            )
            self._screen.app.push_screen(screen, take)

        def take(choice: "Choice | None") -> None:
            self._shown.look_again()
            self._shown.draw()
            if choice is None or choice.kind == "label":
                return
            if choice.kind == "set":
                self._answers.call("set", lambda session: session.set_config(choice.values))
                self._screen.call_after_refresh(again)
            elif choice.kind == "synthesize":
                rounds.synthesize(choice.count)
            elif choice.kind == "export":
                rounds.export_now()
            else:
                do(choice.kind)

        def again() -> None:
            """Open the round screen again after the configuration is set."""
            if self._answers.busy:
                self._screen.set_timer(0.05, again)
            else:
                self.rounds(rounds, do)

        self._answers.call("rounds", read, show)
