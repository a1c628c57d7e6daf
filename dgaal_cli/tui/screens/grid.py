"""The grid screen: mark wrong guesses of a page, confirm the others with one key."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.actions import action_of
from dgaal_cli.tui.bridge import Bridge, LabelSession, LabelView, Outcome, Press, QueryImage
from dgaal_cli.tui.gate import HOLD_DELAY_S, Verdict
from dgaal_cli.tui.grid import CANNOT_TELL, WRONG, GridMemory, GridModel
from dgaal_cli.tui.keymap import Keymap, spell_key
from dgaal_cli.tui.prefetch import ImageRequest, Picture, request_for
from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.screens.keys import key_name
from dgaal_cli.tui.screens.overlay import AnswerScreen
from dgaal_cli.tui.screens.saving import block_until_saved, show_failure
from dgaal_cli.tui.settings import Settings
from dgaal_cli.tui.widgets.bars import save_mark
from dgaal_cli.tui.widgets.grid_view import CellShape, GridScene, GridView, grid_rows, shape_for
from dgaal_cli.tui.widgets.image_view import ImageView
from dgaal_cli.tui.widgets.lines import Piece, Pieces, line
from dgaal_cli.tui.widgets.rows import Covered, Rows
from dgaal_cli.tui.widgets.scene import SaveState

PAGE_VISIBLE_S = 0.3
"""Min visible time of a page before it can be confirmed."""
_ARROWS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_MOVES = {**_ARROWS, "h": (-1, 0), "l": (1, 0), "k": (0, -1), "j": (0, 1)}


class GridScreen(AnswerScreen):
    """Shows pages of guesses; a page is one transaction."""

    verb = "Relabel"
    heading = "GRID"
    what = "to confirm"
    why_empty = "wrong, unguessed, skipped, blind or synthetic images are asked one by one"
    pictures = GridView

    def __init__(
        self,
        bridge: Bridge,
        view: LabelView,
        keymap: Keymap,
        settings: Settings,
        memory: GridMemory,
    ) -> None:
        """Create the screen; ``memory`` has the confirmed pages, for undo."""
        gate_s = max(settings.gate_s, PAGE_VISIBLE_S)
        settings = dataclasses.replace(settings, gate_s=gate_s, gallery=None)
        super().__init__("grid", bridge, view, keymap, settings)
        memory.begin(view.round)
        self.model = GridModel(memory, floor=settings.grid_floor)
        self.pending: list[Press] = []
        """The page that is not saved yet."""
        self.is_failed = False
        """The pending page could not be saved."""
        self.is_busy = True
        """A call is running; keys that change pages wait."""
        self._write_call = ""
        """Name of the running call if it writes."""
        self._leaving_at: float | None = None
        """Time of the first request to leave with marks that are not stored."""
        self._saved_note = ""
        """Note to show after the page is saved."""
        self._zoom = 0
        self._page: tuple[int, list[tuple[ItemId, ClassUid | None]]] = (0, [])
        """Size of the cells, and images and guesses that are drawn."""
        self._shape: CellShape | None = None

    def compose(self) -> ComposeResult:
        """Create status line, grid and key bar."""
        yield Rows(id="status")
        with Covered(id="middle"):
            yield GridView(
                on_resized=lambda: self.call_after_refresh(self._lay_out), on_clicked=self._click
            )
            yield ImageView(id="preview")
        yield Rows(id="keys-bar")

    def on_mount(self) -> None:
        """Read the guesses to confirm."""
        self.query_one("#preview", ImageView).display = False
        self._call(LabelSession.view, "")

    def on_key(self, event: events.Key) -> None:
        """Move, mark, confirm, or go back."""
        event.stop()
        key = key_name(event)
        if self._write_call:
            return
        taken = self.class_keys.take(key)
        name = "" if taken else action_of(self.actions, key)
        if name == "leave":
            self._leave()
            return
        self._leaving_at = None
        is_answer = name == "confirm"
        verdict = self._check_key(event, key, name)
        if verdict is not Verdict.ACCEPTED:
            self.show_note(verdict.value if not is_answer else "look at the page first")
        elif is_answer:
            self._confirm()
        elif not self.is_busy:
            self.note = ""
            if isinstance(taken, str):
                self.model.relabel(taken)
            elif name == "move":
                self.model.move(*_MOVES[key])
            elif name:
                self.act(name)
            self.draw()

    def _click(self, x: int, y: int) -> None:
        """Select the image under the mouse for a class; a click never stores anything."""
        shape, model = self._shape, self.model
        if shape is None or self.is_busy or x >= model.columns * shape.width:
            return
        self._leaving_at, self.note = None, ""
        model.click(y // shape.height * model.columns + x // shape.width)
        self.draw()

    def _check_key(self, event: events.Key, key: str, name: str) -> Verdict:
        press = self.settings.trail.press_of(event)
        verdict = self.gate.judge(key, is_answer=name == "confirm", press=press)
        if verdict is Verdict.REPEATED and key in _ARROWS:
            return Verdict.ACCEPTED  # held arrow keys repeat
        if verdict is Verdict.ACCEPTED and name == "undo" and self.gate.may_be_held:
            return Verdict.REPEATED
        return verdict

    def act(self, name: str) -> None:
        """Run an action that does not confirm the page."""
        if self.is_busy:
            return
        if name != "leave":
            self._leaving_at = None
        model = self.model
        handlers: dict[str, Callable[[], object]] = {
            "leave": self._leave,
            "wrong": lambda: model.toggle(WRONG),
            "cannot_tell": lambda: (model.toggle(CANNOT_TELL), model.move(1, 0)),
            "doubt": model.to_doubt,
            "select": model.select,
            "select_all": model.select_all,
            "preview": self._toggle_preview,
            "all": model.toggle_all,
            "unsure": lambda: (model.toggle_doubtful(), self._lay_out()),
            "next": lambda: model.turn(1),
            "previous": lambda: model.turn(-1),
            "larger": lambda: self._resize_cells(1),
            "smaller": lambda: self._resize_cells(-1),
            "undo": lambda: self._call(LabelSession.undo_page, "undo"),
            "search": self._search,
            "help": self.show_help,
        }
        handlers[name]()
        self.draw()

    def _leave(self) -> None:
        """Go back; with marks that are not stored, only at the second request (not a held key)."""
        count, now, asked_at = self.model.unconfirmed, self.settings.clock(), self._leaving_at
        if not count or (asked_at is not None and now - asked_at >= HOLD_DELAY_S):
            self.dismiss(self.view)
            return
        self._leaving_at = now
        self.draw()

    def _search(self) -> None:
        def take(uid: ClassUid) -> None:
            self.model.relabel(uid)
            self.draw()

        is_left = self.model.at % self.model.columns < self.model.columns / 2
        side = "right" if is_left else "left"
        self.find_class("relabel as", side, take, marked=lambda: self.model.marked)

    def on_screen_suspend(self) -> None:
        """Give the mouse back to the terminal."""
        self.app.post_message(messages.MouseWanted(is_wanted=False))

    def on_screen_resume(self) -> None:
        """Take the mouse again, for example after a dialog."""
        self.app.post_message(messages.MouseWanted(is_wanted=True))

    def _toggle_preview(self) -> None:
        preview = self.query_one("#preview", ImageView)
        preview.display = not preview.display

    def _preview_request(self) -> ImageRequest | None:
        preview, image = self.query_one("#preview", ImageView), self.model.marked
        if image is None or not preview.display:
            return None
        look = Look(glyphs=self.settings.glyphs)
        return request_for(image, preview.size, self.settings.mode, look=look)

    def _resize_cells(self, step: int) -> None:
        self._zoom += step
        self._lay_out()

    def _look_again(self) -> None:
        """Refuse confirmation until the page has been sent again."""
        self.gate.hide()
        self.query_one(GridView).send_again()

    # The store

    def _confirm(self) -> None:
        if self.is_busy or not self.model.cells:
            return
        pictures = ((image.item_id, self._picture(image)) for image in self.model.cells)
        self.model.leave_out([item for item, shown in pictures if shown is None or shown.error])
        presses = self.model.presses(self.gate.elapsed_ms())
        wrong = self.model.put_aside()
        self._look_again()
        tail = f", {wrong} left for the label screen" if wrong else ""
        if not presses and not wrong:
            self.show_note("nothing to store: give images a class by its key")
            return
        self.note, self._saved_note = tail.removeprefix(", "), f"✔ {len(presses)} saved{tail}"
        if presses:
            self.pending = presses
            self._send()
        self.draw()

    @property
    def save_state(self) -> SaveState:
        """Save state for the status line."""
        if self.is_failed:
            return "unsaved"
        return "saving" if self._write_call else "saved"

    def _send(self) -> None:
        presses, self.is_failed = self.pending, False
        self._call(lambda session: self.store_page(session, presses), "page")

    def store_page(self, session: LabelSession, presses: Sequence[Press]) -> LabelView:
        """Store the answers of a page; runs in the store's thread."""
        return session.answer_page(presses)

    def read_images(self, session: LabelSession) -> Sequence[QueryImage]:
        """Return the images of all pages; runs in the store's thread."""
        return session.grid()

    def _call(self, work: Callable[[LabelSession], LabelView], name: str) -> None:
        self.is_busy, self._write_call = True, name
        self.call(work, self.read_images, partial(self._take_outcome, name))

    def _take_outcome(self, name: str, outcome: Outcome, offered: list[QueryImage]) -> None:
        if not isinstance(outcome, LabelView):
            self._handle_error(outcome, name)
            return
        # COMMIT has returned; the next page can be confirmed.
        is_undone = name == "undo" and outcome.progress.left > self.view.progress.left
        self.view = outcome
        self.is_busy, self._write_call = False, ""
        if self.pending:
            self.pending, self.note = [], self._saved_note
        if outcome.note:
            self.note = show(outcome.note)
        self._look_again()
        if is_undone:
            self.model.bring_back(offered)
        else:
            self.model.offer(offered)
        if not (self.model.listed or self.model.unconfirmed) and name == "page":
            self.dismiss(self.view)
            return
        self._lay_out()
        self.offered(name)

    def offered(self, name: str) -> None:
        """Prepare the images that were just read; ``name`` is empty the first time."""

    def _handle_error(self, error: Exception, name: str) -> None:
        """Block until a page is saved; for other calls show the error."""
        if name != "page":
            self.is_busy, self._write_call = False, ""
            show_failure(self, error, lambda reason: self.show_note(show(reason)))
            return
        self.is_failed = True
        self.draw()
        answer = f"a page of {len(self.pending)} answers"
        block_until_saved(self, error, answer, clock=self.settings.clock, retry=self._send)

    # Drawing

    def _lay_out(self) -> None:
        if not self.query("#grid"):
            return
        size = self.query_one(GridView).size
        images = len(self.model.listed) or self.model.left_out
        self._shape = shape_for(size.width, size.height, zoom=self._zoom, images=max(1, images))
        if self._shape is not None:
            self.model.resize(*self._shape.count(size.width, size.height))
        self.draw()

    def draw(self) -> None:
        """Draw everything; unchanged rows are not sent."""
        if not self.query("#keys-bar"):
            return
        self.draw_bars(self._left(self.size.width), self._save_pieces())
        grid = self.query_one(GridView)
        if self._shape is None:
            notice = (("this terminal is too small for a grid; Esc goes back", theme.WARN),)
            grid.show_rows([line(grid.size.width, notice)])
            return
        images = (*self.model.cells, *self.model.next_cells)
        preview = self._preview_request()
        self.prefetcher.request([preview, *map(self._request_for, images)])
        if preview is not None:
            shown = self.prefetcher.get(preview)
            self.query_one("#preview", ImageView).show_picture(shown, self.keymap)
        if not self.model.listed:
            grid.show_rows(self._empty_lines(grid.size.width))
            return
        page = (self._shape.side, [(s.item_id, s.predicted) for s in self.model.cells])
        if page != self._page:  # also after a resize
            self._page = page
            self._look_again()
        self.is_whole = self._is_complete()
        scene = GridScene(
            model=self.model, shape=self._shape, picture=self._picture, class_text=self._class_text
        )
        grid.show_rows(grid_rows(scene, grid.size.width, grid.size.height))

    def _save_pieces(self) -> Pieces:
        """Return the save state; marks are unsaved until their page is confirmed."""
        count, state = self.model.unconfirmed, self.save_state
        if not count or state != "saved":
            return (save_mark(state),)
        return () if self._leaving_at is not None else ((f" {count} not stored ", theme.BAR_WARN),)

    def _leave_question(self, width: int) -> str:
        """Return what leaving would drop, and the keys to store or drop it."""
        count = self.model.unconfirmed
        keys = {a.name: a.spoken or spell_key(a.keys[0]) for a in self.actions if a.keys}
        stores = f"{keys['confirm']} stores the page, " if "confirm" in keys else ""
        tail = f"not stored: {stores}{keys['leave']} again drops {'it' if count == 1 else 'them'} "
        long = f" {count} correction{'' if count == 1 else 's'} {tail}"
        return long if len(long) <= width else f" {count} {tail}"

    def _left(self, width: int) -> Pieces:
        if self._leaving_at is not None:
            return ((self._leave_question(width), theme.BAR_WARN),)
        model = self.model
        pieces: list[Piece] = [(f" {self.heading} ", theme.BRAND)]
        if model.listed:
            pieces.append((f"  page {model.page + 1}/{model.pages} ", theme.BAR_STRONG))
            pieces.append((f" {len(model.listed)} {self.what} ", theme.BAR_BASE))
            if model.selected:
                text = f" {model.selected} selected: press the key of a class "
                pieces.append((text, theme.BAR_WARN))
            if model.corrected:
                pieces.append((f" {model.corrected} corrected ", theme.BAR_WARN))
        pieces += self.prefix_pieces()
        if self.note:
            pieces.append((f" {self.note} ", theme.BAR_STRONG))
        return tuple(pieces)

    def _empty_lines(self, width: int) -> list[Strip]:
        lines: list[Pieces] = [(), (("  nothing to confirm", theme.STRONG),), ()]
        if self.is_busy:
            lines[1] = (("  reading …", theme.DIM),)
        elif self.model.left_out:
            floor = f"{self.settings.grid_floor:.0%}"
            text = f"  {self.model.left_out} guesses are below {floor}: C shows these images too"
            lines.append(((text, theme.BASE),))
        else:
            lines.append(((f"  {self.why_empty}", theme.BASE),))
        return [line(width, pieces) for pieces in lines]

    def _class_text(self, uid: ClassUid | None) -> str:
        name = show(self.view.class_name(uid))
        code = self.keymap.code_of.get(uid, "") if uid else ""
        return name if code in ("", name) else f"{code} {name}"

    def _request_for(self, image: QueryImage) -> ImageRequest | None:
        side = self._shape.side if self._shape else 0
        look = Look(glyphs=self.settings.glyphs)
        return request_for(image, (side, side // 2), self.settings.mode, look=look)

    def _picture(self, image: QueryImage) -> Picture | None:
        return self.prefetcher.get(self._request_for(image))

    def _is_complete(self) -> bool:
        cells: Sequence[QueryImage] = self.model.cells
        return bool(cells) and all(self._picture(image) is not None for image in cells)

    def on_image_ready(self, message: messages.ImageReady) -> None:
        """Show the page when one of its images has been decoded."""
        shown = {image.item_id for image in self.model.cells}
        if message.request.item_id in shown:
            self.draw()
