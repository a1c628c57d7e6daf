"""Send answers to the store and show the result; "saved" is never shown before COMMIT."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from textual.screen import Screen

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui.bridge import (
    AnswerName,
    Bridge,
    LabelSession,
    LabelView,
    Outcome,
    Press,
    QueryImage,
)
from dgaal_cli.tui.labeling.held_key import HeldKey
from dgaal_cli.tui.labeling.notices import Notices
from dgaal_cli.tui.labeling.shown_image import ShownImage
from dgaal_cli.tui.screens.saving import block_until_saved, show_failure
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets import captions
from dgaal_cli.tui.widgets.scene import SaveState

STILL_SAVING = "the last answer is still being saved"

Progress = Literal["answered", "continued", "opened"]
"""``answered``: the query is complete; ``continued``: an answer is saved and images are left;
``opened``: another query may be open."""


class Answers:
    """Sends one answer or call at a time and shows the next image meanwhile.

    Results are put into the screen's queue by ``call_later``, which is safe from the store's thread
    and keeps the order of the person's actions.
    """

    def __init__(
        self,
        screen: Screen[Any],
        bridge: Bridge,
        settings: Settings,
        shown: ShownImage,
        notices: Notices,
    ) -> None:
        """Start without a pending answer."""
        self.screen = screen
        self.bridge = bridge
        self.settings = settings
        self.shown = shown
        self.notices = notices
        self.on_progress: Callable[[Progress], None] = lambda _progress: None
        """Called after progress of the query."""
        self.held = HeldKey(screen)
        self.pending: Press | None = None
        """The answer that is not saved yet."""
        self.busy = ""
        """Name of a running call that is not an answer, such as ``undo``."""
        self._is_failed = False
        """The pending answer could not be saved."""
        self._waiting: tuple[Press, bool] | None = None
        """The answer to the image after the pending one's, and whether its key may be held."""
        self._next_item: ItemId | None = None
        """Image shown while the previous answer is being saved."""

    @property
    def save_state(self) -> SaveState:
        """Save state for the status line."""
        if self._is_failed:
            return "unsaved"
        return "saving" if self.pending or self.busy else "saved"

    def is_waiting(self) -> bool:
        """Return whether an answer or call is pending; warn if so."""
        if self.pending or self.busy:
            self.notices.warn(STILL_SAVING)
            return True
        return False

    # Answers

    def give(self, kind: AnswerName, uid: ClassUid | None = None) -> None:
        """Send an answer to the store and show the next image meanwhile."""
        shown = self.shown
        view, image = shown.view, shown.image
        if view.state != "labeling" or image is None:
            self.notices.warn("no image to answer")
            return
        if (not self.pending or self._waiting or self._is_failed) and self.is_waiting():
            return
        if kind == "label" and not shown.scene_view.has_image:
            self.notices.warn("no image to label: can't tell, or skip")
            return
        press = Press(
            kind=kind,
            item_id=image.item_id,
            label=class_label(uid) if uid else None,
            elapsed_ms=shown.gate.elapsed_ms(),
            ui=self._ui(image),
            is_blind=shown.are_hints_on and image.is_blind and image.predicted is not None,
        )
        if self.pending:
            self._waiting = press, shown.gate.may_be_held
        else:
            self._begin(press, may_be_held=shown.gate.may_be_held)

    def _begin(self, press: Press, *, may_be_held: bool) -> None:
        """Send an answer, or hold it if its key may be held, and show the next image."""
        shown, view = self.shown, self.shown.view
        self.pending = press
        self.notices.clear()
        if may_be_held:
            self.held.hold(self._send)
        else:
            self._send()
        following = view.upcoming[0] if view.upcoming else None
        self._next_item = following.item_id if following else None
        if following:
            shown.show(following)
        else:
            shown.draw()

    def drop_held(self) -> None:
        """Drop the action of a held key; if it was an answer, show its image again."""
        if self._waiting and self._waiting[1]:
            self._waiting = None
        if self.held.drop() and self.pending is not None:
            self.pending = None
            self.shown.show(self.shown.view.image)

    def _ui(self, image: QueryImage) -> Literal["hidden", "top1", "probs"]:
        if not self.shown.scene.is_guess_visible:
            return "hidden"
        return "probs" if image.probabilities else "top1"

    def _send(self) -> None:
        press = self.pending
        if press is None:
            return

        def deliver(outcome: Outcome) -> None:
            self.screen.call_later(self._take_outcome, outcome, press)

        self.bridge.call(lambda session: session.answer(press), deliver)

    def _take_outcome(self, outcome: Outcome, press: Press) -> None:
        shown = self.shown
        if not isinstance(outcome, LabelView):
            # Show the image again, keep its answer, and block until it is saved.
            self._is_failed, self._waiting = True, None
            shown.show(shown.view.image)
            text = captions.answer_caption(press, shown.view, shown.keymap)
            block_until_saved(
                self.screen, outcome, text, clock=self.settings.clock, retry=self._retry
            )
            return
        # COMMIT has returned: the answer is saved, and the next one is accepted.
        self.pending, self._is_failed = None, False
        self.take_view(outcome)
        if self._next_item not in (None, shown.item):
            shown.gate.expect_unrequested()  # another person has it, or a round was trained
        self.on_progress("answered" if shown.view.state == "answered" else "continued")
        self._give_waiting()

    def _give_waiting(self) -> None:
        """Send the answer that waited for the one before, if its image is still on the screen."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        press, may_be_held = waiting
        image = self.shown.view.image
        if image is None or image.item_id != press.item_id or self.busy:
            self.notices.warn("another image came: the last key was not used")
        else:
            self._begin(press, may_be_held=may_be_held)

    def _retry(self) -> None:
        self._is_failed = False
        self._send()
        self.shown.draw()

    # Other calls

    def take_view(self, view: LabelView) -> None:
        """Show a view of the session, unless a newer one is already shown."""
        if view.serial < self.shown.view.serial:
            return
        self.shown.take(view)
        if view.note:
            self.notices.inform(view.note)

    def call(
        self,
        name: str,
        work: Callable[[LabelSession], LabelView],
        then: Callable[[LabelView], None] | None = None,
    ) -> None:
        """Run a call that is not an answer; answers wait for it.

        Args:
            name: ``undo``, ``redo``, ``open``, ``next`` and ``more`` change the image.
            work: Function to run in the session.
            then: Receives the view, which is not shown then.
        """
        if self.is_waiting():
            return
        self.busy = name

        def take(outcome: Outcome) -> None:
            self.busy = ""
            if not isinstance(outcome, LabelView):
                warn = partial(self.notices.warn, is_bell=True)
                show_failure(self.screen, outcome, warn)
            elif then:
                then(outcome)
            else:
                self._take_change(outcome, name)

        self.bridge.call(work, lambda outcome: self.screen.call_later(take, outcome))

    def call_quietly(self, work: Callable[[LabelSession], LabelView]) -> None:
        """Run a call that answers do not wait for and that may fail silently."""

        def take(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.take_guesses(outcome)

        self.bridge.call(work, lambda outcome: self.screen.call_later(take, outcome))

    def take_guesses(self, view: LabelView) -> None:
        """Show new guesses, unless an answer is pending: its view includes them."""
        image, shown = view.image, self.shown
        is_other = image and shown.image and image.item_id != shown.item
        if not (is_other or self.pending or self.busy):
            self.take_view(view)

    def _take_change(self, view: LabelView, name: str) -> None:
        """Show the view after an undo, redo, flag, new class or new query."""
        shown = self.shown
        if name in ("undo", "redo", "open", "next"):
            shown.look_again()
        if name != "next":  # it shows its own notice
            self.notices.clear()
        item, round_ = shown.item, shown.view.round
        self.take_view(view)
        is_another_round = name in ("undo", "redo") and shown.view.round != round_
        is_expected = name in ("undo", "redo", "open", "more") and not is_another_round
        if item != shown.item and not is_expected:
            shown.gate.expect_unrequested()
        if name == "redo" and shown.view.state == "answered":
            self.on_progress("answered")
        if name in ("open", "next"):
            self.on_progress("opened")
