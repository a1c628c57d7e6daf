"""The review screen: filter, view and change answers. A change is a new event."""

import dataclasses
from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.actions import ClassKeys, action_of, live_actions
from dgaal_cli.tui.bridge import (
    AnswerName,
    Bridge,
    LabelSession,
    LabelView,
    Outcome,
    Press,
    StandingAnswer,
    new_op_id,
)
from dgaal_cli.tui.gate import Gate, Verdict
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.phrases import answer_text
from dgaal_cli.tui.prefetch import ImageRequest, Picture, Prefetcher
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.saving import block_until_saved, reason_of
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.bars import SaveState, action_bar, save_mark
from dgaal_cli.tui.widgets.captions import key_of, unreadable
from dgaal_cli.tui.widgets.image_view import Frame, ImageView
from dgaal_cli.tui.widgets.lines import Piece, line
from dgaal_cli.tui.widgets.review_list import Filter, ReviewScene, hint_state, review_rows
from dgaal_cli.tui.widgets.rows import Rows

MAX_CYCLED = 10
"""Up to this many classes, a key cycles through them; for more, a dialog selects one."""
_FAR = 1_000_000_000
_STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -10, "pagedown": 10}
_MOVES = {**_STEPS, "home": -_FAR, "end": _FAR}


class ReviewScreen(Screen[LabelView]):
    """A list of answers and the image of the marked one; dismissed with the newest view."""

    def __init__(self, bridge: Bridge, view: LabelView, keymap: Keymap, settings: Settings) -> None:
        super().__init__()
        self.bridge = bridge
        self.view = view
        self.keymap = keymap
        self.actions = live_actions("review", keymap)
        self._class_keys = ClassKeys(keymap, settings.clock)
        self._trail = settings.trail
        self.gate = Gate(settings.clock, visible_s=settings.gate_s, is_patient=True)
        self.answers: list[StandingAnswer] = []
        self.filter = Filter()
        self.at = 0
        self.pending: Press | None = None
        self.is_failed = False
        """The pending answer could not be saved."""
        self._is_flagging = False
        self.note = ""
        self._clock = settings.clock
        self._mode = settings.mode
        self._is_settled = False
        self._prefetcher = Prefetcher(
            settings.make_reader, self._on_image_decoded, settings.gallery
        )

    def compose(self) -> ComposeResult:
        """Create the list on the left and the image on the right."""
        yield Rows(id="status")
        with Horizontal(id="middle"):
            yield Rows(id="list")
            with Frame(id="frame"):
                yield ImageView(id="image")
        yield Rows(id="keys-bar")

    def on_mount(self) -> None:
        """Start decoding and read the answers."""
        self._prefetcher.start()
        self.reload()

    def on_unmount(self) -> None:
        """Stop the image thread."""
        self._prefetcher.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        self.query_one(Frame).styles.width = round(event.size.width * 0.5)
        self.call_after_refresh(self.draw)

    def painted(self) -> None:
        """Note that a frame has been sent to the terminal."""
        if self.is_current and self._is_settled and self.query_one(ImageView).is_sent:
            self.gate.paint()

    @property
    def shown(self) -> list[StandingAnswer]:
        """The answers that pass the filter."""
        return [answer for answer in self.answers if self.filter.keeps(answer)]

    @property
    def marked(self) -> StandingAnswer | None:
        """The answer under the cursor."""
        shown = self.shown
        return shown[min(self.at, len(shown) - 1)] if shown else None

    def reload(self) -> None:
        """Read the list from the store."""
        self._read(lambda session: session.view())

    def _read(self, work: Callable[[LabelSession], LabelView]) -> None:
        """Run ``work`` in the session, then read the list."""
        found: list[StandingAnswer] = []

        def deliver(outcome: Outcome) -> None:
            self.call_later(self._take_list, outcome, found)

        def read(session: LabelSession) -> LabelView:
            view = work(session)
            found.extend(session.review())
            return view

        self.bridge.call(read, deliver)

    def _take_list(self, outcome: Outcome, found: list[StandingAnswer]) -> None:
        """Show the list, or the error that left it unchanged."""
        self._is_flagging = False
        if isinstance(outcome, LabelView):
            self.view, self.answers = outcome, found
            self._mark(self.at)
        else:
            self.note = show(reason_of(outcome))
            self.draw()

    # Keys

    def on_key(self, event: events.Key) -> None:
        """Move, filter, change, or go back."""
        event.stop()
        key = key_name(event)
        taken = self._class_keys.take(key)
        name = "" if taken else action_of(self.actions, key)
        if isinstance(taken, str) or name == "cannot_tell":
            verdict = self.gate.judge(key, is_answer=True, press=self._trail.press_of(event))
            if verdict is Verdict.ACCEPTED:
                uid = taken if isinstance(taken, str) else None
                self.change("label" if uid else "cannot_tell", uid)
            else:
                self.note = verdict.value
                self.draw()
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
        elif name == "help":
            self._help()
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

    def _pick_class(self) -> None:
        """List all classes, or one that is selected by name."""
        from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

        def take(record: ClassRecord | None) -> None:
            if record is not None:
                self.filter = dataclasses.replace(self.filter, class_uid=record.uid)
                self._mark(0)

        if self.filter.class_uid is not None:
            self.filter = dataclasses.replace(self.filter, class_uid=None)
        else:
            dialog = FindClassDialog(self.view.classes, verb="list only", side="left")
            self.app.push_screen(dialog, take)

    def _help(self) -> None:
        from dgaal_cli.tui.screens.help import HelpDialog

        self.app.push_screen(HelpDialog(self.keymap, self.view.classes, self.actions))

    def _search(self) -> None:
        from dgaal_cli.tui.screens.pick_dialogs import FindClassDialog

        marked = self.marked

        def take(record: ClassRecord | None) -> None:
            if record and marked and self.marked == marked:
                self.change("label", record.uid)

        dialog = FindClassDialog(self.view.classes, verb="change to", side="left")
        self.app.push_screen(dialog, take)

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
            self.note = "this image cannot be shown"
            self.draw()
            return
        self.pending = Press(
            op_id=new_op_id(),
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
            block_until_saved(self, outcome, text, clock=self._clock, retry=self._send)
            return
        self.pending, self.view = None, outcome
        if self.view.is_refused:
            self.note = show(self.view.note)
        else:
            undo = key_of(self.keymap, "undo")
            self.note = f"✔ saved: {text} · {undo} on the label screen undoes"
        self.at += 1
        self.reload()

    # Drawing

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        if not self.query("#keys-bar"):
            return
        status, bar = self.query_one("#status", Rows), self.query_one("#keys-bar", Rows)
        status.show_rows([self._status(status.size.width)])
        change = [(self.keymap.class_keys(), "Change")]
        bar.show_rows([action_bar(self.actions, bar.size.width, first=change)])
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

    def _status(self, width: int) -> Strip:
        filters = [f"class {show(self.view.class_name(self.filter.class_uid))}"]
        if self.filter.class_uid is None:
            filters = ["all classes"]
        filters += ["flagged"] if self.filter.is_flagged else []
        filters += ["differs from the model"] if self.filter.disagrees else []
        filters += ["guess was shown"] if self.filter.is_hinted else []
        left: list[Piece] = [
            (" REVIEW ", theme.BRAND),
            (f"  {' · '.join(filters)} ", theme.BAR_STRONG),
            (f" {len(self.shown)} of {len(self.answers)} ", theme.BAR_BASE),
        ]
        if prefix := self._class_keys.prefix:
            left.append((f" {prefix}… second key ", theme.BAR_WARN))
        return line(width, tuple(left), (save_mark(self.save_state),), theme.BAR_BASE)

    def _draw_image(self) -> None:
        image, marked = self.query_one(ImageView), self.marked
        request = self._request_for(marked) if marked else None
        shown = self.shown
        around = (*shown[self.at + 1 : self.at + 3], *shown[max(0, self.at - 1) : self.at])
        requests = [request, *(self._request_for(answer) for answer in around)]
        self._prefetcher.request([w for w in requests if w])
        picture = self._prefetcher.get(request) if request else None
        self._is_settled = picture is not None
        if marked is None:
            image.show_lines(((("nothing to review", theme.DIM),),))
        elif picture is None:
            image.show_lines(((("loading image …", theme.DIM),),))
        elif picture.error:
            image.show_lines(unreadable(picture.error, image.size.width, self.keymap))
        else:
            image.show_strips(picture.strips)
        self._draw_frame(marked, picture)

    def _draw_frame(self, marked: StandingAnswer | None, picture: Picture | None) -> None:
        facts: list[str] = []
        if marked:
            if marked.elapsed_ms is not None:
                facts.append(f"answered in {marked.elapsed_ms / 1000:.2f} s")
            facts.append(hint_state(marked))
        caption = self.note or " · ".join(facts)
        name = show(marked.sample_id) if marked else ""
        is_synthetic = bool(marked and marked.is_synthetic)
        self.query_one(Frame).show_frame(
            title="◇ SYNTHETIC IMAGE ◇" if is_synthetic else "POOL IMAGE",
            mark="⚑ flagged" if marked and marked.is_flagged else "",
            note=picture.note if picture else "",
            is_synthetic=is_synthetic,
            captions=(((f" {name}", theme.BASE),), ((f" {caption}", theme.DIM),)),
        )

    def _request_for(self, answer: StandingAnswer) -> ImageRequest | None:
        size = self.query_one(ImageView).size
        if size.width < 1 or size.height < 1:
            return None
        return ImageRequest(
            item_id=answer.item_id,
            sample_id=answer.sample_id,
            is_synthetic=answer.is_synthetic,
            columns=size.width,
            rows=size.height,
            mode=self._mode,
        )

    def _on_image_decoded(self, request: ImageRequest) -> None:
        if self.is_running:
            self.post_message(messages.ImageReady(request))

    def on_image_ready(self, message: messages.ImageReady) -> None:
        """Show an image that has been decoded."""
        marked = self.marked
        if marked and message.request == self._request_for(marked):
            self._draw_image()
