"""Answers on their way to the store, and what comes back: never "saved" before COMMIT."""

from collections.abc import Callable
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
    new_op_id,
)
from dgaal_cli.tui.labeling.held_key import HeldKey
from dgaal_cli.tui.labeling.notices import Notices
from dgaal_cli.tui.labeling.rest import RestReminder
from dgaal_cli.tui.labeling.shown_image import ShownImage
from dgaal_cli.tui.screens.saving import block_until_saved, reason_of
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets import captions
from dgaal_cli.tui.widgets.bars import SaveState

STILL_SAVING = "the last answer is still being saved"

Progress = Literal["answered", "continued", "opened"]
"""Nothing of the query is left; an answer is saved and images are left; another query may be open.
"""


class Answers:
    """Sends one answer or call at a time and shows the next image meanwhile.

    What comes back is handed to the screen's own queue, by ``call_later``: it is safe from the
    store's thread and keeps the order of what the person did.
    """

    def __init__(
        self,
        screen: Screen[Any],
        bridge: Bridge,
        settings: Settings,
        shown: ShownImage,
        notices: Notices,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Start with everything saved.

        Args:
            screen: In whose queue results are taken.
            bridge: To the store.
            settings: For the clock.
            shown: The image that is answered.
            notices: Says why something was not done.
            on_progress: Called when the query has got on.
        """
        self._screen = screen
        self._bridge = bridge
        self._clock = settings.clock
        self._shown = shown
        self._notices = notices
        self.on_progress = on_progress
        self.held = HeldKey(screen)
        self.rest = RestReminder(settings.clock)
        self.pending: Press | None = None
        """The one answer that is not saved yet."""
        self.busy = ""
        """Another call under way: undo, redo, flag."""
        self._is_failed = False
        """The pending answer could not be saved."""
        self._next_item: ItemId | None = None
        """Image that is shown while the answer to the one before is being saved."""

    @property
    def save_state(self) -> SaveState:
        """What the first line says about the disk."""
        if self._is_failed:
            return "unsaved"
        return "saving" if self.pending or self.busy else "saved"

    def is_waiting(self) -> bool:
        """Whether something is on its way to the store; says so."""
        if self.pending or self.busy:
            self._notices.warn(STILL_SAVING)
            return True
        return False

    # Answers

    def give(self, kind: AnswerName, uid: ClassUid | None = None) -> None:
        """Send one answer to the store and show the next image meanwhile."""
        shown = self._shown
        view, image = shown.view, shown.image
        if view.state != "labeling" or image is None:
            self._notices.warn("no image to answer")
            return
        if self.is_waiting():
            return
        if kind == "label" and not shown.scene_view.has_image:
            self._notices.warn("no image to judge: can't tell, or skip")
            return
        self.pending = Press(
            op_id=new_op_id(),
            kind=kind,
            item_id=image.item_id,
            label=class_label(uid) if uid else None,
            elapsed_ms=shown.gate.elapsed_ms(),
            ui=self._ui(image),
            is_blind=shown.are_hints_on and image.is_blind and image.predicted is not None,
        )
        self.rest.note(self.pending.elapsed_ms)
        self._notices.clear()
        if shown.gate.may_be_held:
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
        """Drop what a held key would do; an image that was answered so comes back."""
        if self.held.drop() and self.pending is not None:
            self.pending = None
            self._shown.show(self._shown.view.image)

    def _ui(self, image: QueryImage) -> Literal["hidden", "top1", "probs"]:
        if not self._shown.scene.is_guess_visible:
            return "hidden"
        return "probs" if image.probabilities else "top1"

    def _send(self) -> None:
        press = self.pending
        if press is None:
            return

        def deliver(outcome: Outcome) -> None:
            self._screen.call_later(self._take_outcome, outcome, press)

        self._bridge.call(lambda session: session.answer(press), deliver)

    def _take_outcome(self, outcome: Outcome, press: Press) -> None:
        shown = self._shown
        if not isinstance(outcome, LabelView):
            # The image is shown again, its answer is kept, and nothing else happens before.
            self._is_failed = True
            shown.show(shown.view.image)
            spoken = captions.answer_caption(press, shown.view, shown.keymap)
            block_until_saved(self._screen, outcome, spoken, clock=self._clock, retry=self._retry)
            return
        # COMMIT has returned: now it is saved, and the next answer may come.
        self.pending, self._is_failed = None, False
        self.take_view(outcome)
        if self._next_item not in (None, shown.item):
            shown.gate.expect_unrequested()  # somebody else has it, or has trained
        self.on_progress("answered" if shown.view.state == "answered" else "continued")

    def _retry(self) -> None:
        self._is_failed = False
        self._send()
        self._shown.draw()

    # Other calls

    def take_view(self, view: LabelView) -> None:
        """Show what the store says, unless newer news came first."""
        if view.serial < self._shown.view.serial:
            return
        self._shown.take(view)
        if view.note:
            self._notices.inform(view.note)

    def call(
        self,
        what: str,
        work: Callable[[LabelSession], LabelView],
        then: Callable[[LabelView], None] | None = None,
    ) -> None:
        """Ask the store for something other than an answer; answers wait for it.

        Args:
            what: Its name; ``undo``, ``redo``, ``open``, ``next`` and ``more`` bring other images.
            work: What to do.
            then: Takes the view instead of showing it.
        """
        if self.is_waiting():
            return
        self.busy = what

        def take(outcome: Outcome) -> None:
            self.busy = ""
            if not isinstance(outcome, LabelView):
                self._notices.warn(reason_of(outcome), is_bell=True)
            elif then:
                then(outcome)
            else:
                self._take_change(outcome, what)

        self._bridge.call(work, lambda outcome: self._screen.call_later(take, outcome))

    def call_quietly(self, work: Callable[[LabelSession], LabelView]) -> None:
        """Ask for something that answers need not wait for and that may fail."""

        def take(outcome: Outcome) -> None:
            if isinstance(outcome, LabelView):
                self.take_guesses(outcome)

        self._bridge.call(work, lambda outcome: self._screen.call_later(take, outcome))

    def take_guesses(self, view: LabelView) -> None:
        """Take better guesses, unless an answer is under way: its view brings them too."""
        image, shown = view.image, self._shown
        is_other = image and shown.image and image.item_id != shown.item
        if not (is_other or self.pending or self.busy):
            self.take_view(view)

    def _take_change(self, view: LabelView, what: str) -> None:
        """Undo, redo, flag, a new class or a new query is in the store."""
        shown = self._shown
        if what in ("undo", "redo", "open", "next"):
            shown.look_again()
        if what != "next":  # its news is the notice
            self._notices.clear()
        item, round_ = shown.item, shown.view.round
        self.take_view(view)
        is_another_round = what in ("undo", "redo") and shown.view.round != round_
        is_asked_for = what in ("undo", "redo", "open", "more") and not is_another_round
        if item != shown.item and not is_asked_for:
            shown.gate.expect_unrequested()
        if what == "redo" and shown.view.state == "answered":
            self.on_progress("answered")
        if what in ("open", "next"):
            self.on_progress("opened")
