"""The review screen: filter, view and change answers. A change is a new event."""

import dataclasses
from collections.abc import Callable
from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.actions import action_of
from dgaal_cli.tui.bridge import (
    AnswerName,
    Bridge,
    LabelSession,
    LabelView,
    Outcome,
    Press,
    StandingAnswer,
)
from dgaal_cli.tui.gate import Verdict
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.phrases import answer_text
from dgaal_cli.tui.prefetch import ImageRequest, Picture, request_for
from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.overlay import AnswerScreen
from dgaal_cli.tui.screens.saving import block_until_saved, show_failure
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.bars import save_mark
from dgaal_cli.tui.widgets.captions import key_of
from dgaal_cli.tui.widgets.image_view import Frame, ImageView
from dgaal_cli.tui.widgets.lines import Pieces
from dgaal_cli.tui.widgets.review_list import Filter, ReviewScene, hint_state, review_rows
from dgaal_cli.tui.widgets.review_search import parse_search
from dgaal_cli.tui.widgets.rows import Rows
from dgaal_cli.tui.widgets.scene import SaveState

MAX_CYCLED = 10
"""Up to this many classes, a key cycles through them; for more, a dialog selects one."""
_FAR = 1_000_000_000
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -10, "pagedown": 10}
_MOVES = {**_STEPS, "home": -_FAR, "end": _FAR}


class ReviewScreen(AnswerScreen):
    """A list of answers and the image of the marked one."""

    verb = "Change"
    pictures = ImageView

    def __init__(self, bridge: Bridge, view: LabelView, keymap: Keymap, settings: Settings) -> None:
        super().__init__("review", bridge, view, keymap, settings)
        self.answers: list[StandingAnswer] = []
        self.filter = Filter()
        self.at = 0
        self.pending: Press | None = None
        self.is_failed = False
        """The pending answer could not be saved."""
        self._is_flagging = False

    def compose(self) -> ComposeResult:
        """Create the list on the left and the image on the right."""
        yield Rows(id="status")
        with Horizontal(id="middle"):
            yield Rows(id="list")
            with Frame(id="frame"):
                yield ImageView(id="image")
        yield Rows(id="keys-bar")

    def on_mount(self) -> None:
        """Read the answers."""
        self._read(LabelSession.view)

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self.query_one(Frame).styles.width = round(event.size.width * 0.5)
        self.call_after_refresh(self.draw)

    @property
    def shown(self) -> list[StandingAnswer]:
        """The answers that pass the filter."""
        return [answer for answer in self.answers if self.filter.keeps(answer)]

    @property
    def marked(self) -> StandingAnswer | None:
        """The answer under the cursor."""
        shown = self.shown
        return shown[min(self.at, len(shown) - 1)] if shown else None

    def _read(self, work: Callable[[LabelSession], LabelView]) -> None:
        """Run ``work`` in the session, then read the list."""
        self.call(work, LabelSession.review, self._take_list)

    def _take_list(self, outcome: Outcome, found: list[StandingAnswer]) -> None:
        """Show the list, or the error that left it unchanged."""
        self._is_flagging = False
        if isinstance(outcome, LabelView):
            self.view, self.answers = outcome, found
            self._mark(self.at)
        else:
            show_failure(self, outcome, lambda reason: self.show_note(show(reason)))

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Move, filter, change, or go back."""
        event.stop()
        key = key_name(event)
        taken = self.class_keys.take(key)
        name = "" if taken else action_of(self.actions, key)
        if isinstance(taken, str) or name == "cannot_tell":
            verdict = self.gate.judge(
                key, is_answer=True, press=self.settings.trail.press_of(event)
            )
            if verdict is Verdict.ACCEPTED:
                uid = taken if isinstance(taken, str) else None
                self.change("label" if uid else "cannot_tell", uid)
            else:
                self.show_note(verdict.value)
            return
        self.note = ""
        if name == "move":
            self._mark(self.at + _MOVES[key])
        elif name:
            self.act(name)
        self.draw()

    def act(self, name: str) -> None:
        """Run an action that does not answer the image."""
        if name in ("class", "flagged", "differs", "hinted"):
            self._change_filter(name)
        elif name == "narrow":
            self._ask_words()
        elif name == "help":
            self.show_help()
        elif self.pending or self._is_flagging:
            pass  # these wait for COMMIT
        elif name == "leave":
            self.dismiss(self.view)
        elif name == "flag":
            self._flag()
        elif name == "search":
            self._search()
        self.draw()

    def _change_filter(self, name: str) -> None:
        old = self.filter
        if name == "class" and len(self.view.classes) > MAX_CYCLED:
            self._pick_class()
        elif name == "class":
            uids = [None, *(c.uid for c in self.view.classes)]
            after = uids[(uids.index(old.class_uid) + 1) % len(uids)]
            self.filter = dataclasses.replace(old, class_uid=after)
        else:
            self.filter = dataclasses.replace(
                old,
                is_flagged=old.is_flagged != (name == "flagged"),
                disagrees=old.disagrees != (name == "differs"),
                is_hinted=old.is_hinted != (name == "hinted"),
            )
        self._mark(0)

    def _ask_words(self) -> None:
        """List answers by words, or all if none are typed."""
        from dgaal_cli.tui.screens.pick_dialogs import WordsDialog

        def take(words: str | None) -> None:
            if words is not None:
                search = parse_search(words)
                self.filter = dataclasses.replace(self.filter, words=words, search=search)
                self._mark(0)

        self.app.push_screen(WordsDialog(self.filter.words), take)

    def _pick_class(self) -> None:
        """List all classes, or one that is selected by name."""

        def take(uid: ClassUid) -> None:
            self.filter = dataclasses.replace(self.filter, class_uid=uid)
            self._mark(0)

        if self.filter.class_uid is not None:
            self.filter = dataclasses.replace(self.filter, class_uid=None)
        else:
            self.find_class("list only", "left", take)

    def _search(self) -> None:
        change = partial(self.change, "label")
        self.find_class("change to", "left", change, marked=lambda: self.marked)

    def _flag(self) -> None:
        marked = self.marked
        if marked is None:
            return
        self._is_flagging = True
        is_flagged = not marked.is_flagged
        self._read(lambda session: session.flag_answer(marked.item_id, is_flagged=is_flagged))

    def _mark(self, at: int) -> None:
        before = self.marked
        self.at = max(0, min(at, len(self.shown) - 1))
        after = self.marked
        if before is None or after is None or before.item_id != after.item_id:
            self.gate.hide()
        self.draw()

    def change(self, kind: AnswerName, uid: ClassUid | None) -> None:
        """Send the new answer; the next one waits for COMMIT."""
        marked = self.marked
        if marked is None or self.pending:
            return
        if kind == "label" and not self.query_one(ImageView).has_image:
            self.show_note("this image cannot be shown")
            return
        self.pending = Press(
            kind=kind,
            item_id=marked.item_id,
            label=class_label(uid) if uid else None,
            elapsed_ms=self.gate.elapsed_ms(),
            ui="hidden",
        )
        self._send()

    @property
    def save_state(self) -> SaveState:
        """Save state for the status line."""
        if self.is_failed:
            return "unsaved"
        return "saving" if self.pending or self._is_flagging else "saved"

    def _send(self) -> None:
        press, self.is_failed = self.pending, False
        if press is None:
            return

        def deliver(outcome: Outcome) -> None:
            self.call_later(self._take_outcome, outcome, press)

        self.bridge.call(lambda session: session.change(press), deliver)
        self.draw()

    def _take_outcome(self, outcome: Outcome, press: Press) -> None:
        """Go to the next answer after COMMIT; on failure, block until it is saved."""
        name = show(self.view.label_name(press.label))
        text = answer_text(press.kind, "", name)
        if not isinstance(outcome, LabelView):
            self.is_failed = True
            self.draw()
            clock = self.settings.clock
            block_until_saved(self, outcome, text, clock=clock, retry=self._send)
            return
        self.pending, self.view = None, outcome
        if self.view.is_refused or self.view.note:
            self.note = show(self.view.note)
        else:
            undo = key_of(self.keymap, "undo")
            self.note = f"✔ saved: {text} · {undo} on the label screen undoes"
        self.at += 1
        self._read(LabelSession.view)

    # Drawing

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        if not self.query("#keys-bar"):
            return
        self.draw_bars(self._left(), (save_mark(self.save_state),))
        listing = self.query_one("#list", Rows)
        if listing.size.width >= 16:
            scene = ReviewScene(
                shown=self.shown,
                answers=self.answers,
                at=self.at,
                view=self.view,
                keymap=self.keymap,
            )
            listing.show_rows(review_rows(scene, listing.size.width, listing.size.height))
        self._draw_image()

    def _left(self) -> Pieces:
        filters = [f"class {show(self.view.class_name(self.filter.class_uid))}"]
        if self.filter.class_uid is None:
            filters = ["all classes"]
        filters += ["flagged"] if self.filter.is_flagged else []
        filters += ["differs from the model"] if self.filter.disagrees else []
        filters += ["guess was shown"] if self.filter.is_hinted else []
        filters += [show(self.filter.words)] if self.filter.words else []
        return (
            (" REVIEW ", theme.BRAND),
            (f"  {' · '.join(filters)} ", theme.BAR_STRONG),
            (f" {len(self.shown)} of {len(self.answers)} ", theme.BAR_BASE),
            *self.prefix_pieces(),
        )

    def _draw_image(self) -> None:
        image, marked = self.query_one(ImageView), self.marked
        request = self._request_for(marked)
        shown = self.shown
        around = (*shown[self.at + 1 : self.at + 3], *shown[max(0, self.at - 1) : self.at])
        self.prefetcher.request([request, *map(self._request_for, around)])
        picture = self.prefetcher.get(request)
        self.is_whole = picture is not None
        if marked is None:
            image.show_lines(((("nothing to review", theme.DIM),),))
        else:
            image.show_picture(picture, self.keymap)
        self._draw_frame(marked, picture)

    def _draw_frame(self, marked: StandingAnswer | None, picture: Picture | None) -> None:
        facts: list[str] = []
        if marked:
            if marked.elapsed_ms is not None:
                facts.append(f"answered in {marked.elapsed_ms / 1000:.2f} s")
            facts.append(hint_state(marked))
        caption = self.note or " · ".join(facts)
        name = show(marked.sample_id) if marked else ""
        self.query_one(Frame).show_frame(
            mark="⚑ flagged" if marked and marked.is_flagged else "",
            note=picture.note if picture else "",
            is_synthetic=bool(marked and marked.is_synthetic),
            captions=(((f" {name}", theme.BASE),), ((f" {caption}", theme.DIM),)),
        )

    def _request_for(self, answer: StandingAnswer | None) -> ImageRequest | None:
        look = Look(glyphs=self.settings.glyphs)
        room = self.query_one(ImageView).size
        return answer and request_for(answer, room, self.settings.mode, look=look)

    def on_image_ready(self, message: messages.ImageReady) -> None:
        """Show an image that has been decoded."""
        if message.request == self._request_for(self.marked):
            self._draw_image()
