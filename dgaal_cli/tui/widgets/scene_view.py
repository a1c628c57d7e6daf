"""The label screen drawn from one ``Scene``: status line, framed image, panel, key bar."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.geometry import Size

from dgaal_cli.ids import ItemId
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.bridge import LabeledNeighbor, QueryImage, StandingAnswer
from dgaal_cli.tui.prefetch import ImageRequest, Picture, Prefetcher, Reader, request_for
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.widgets import captions
from dgaal_cli.tui.widgets.bars import key_bar, status_line
from dgaal_cli.tui.widgets.class_strip import class_strip
from dgaal_cli.tui.widgets.image_view import Frame, ImageView
from dgaal_cli.tui.widgets.layout import BARS, MIN_PANEL, Layout, lay_out, min_panel, panel_need
from dgaal_cli.tui.widgets.lines import Pieces
from dgaal_cli.tui.widgets.panel import Thumb, panel_rows
from dgaal_cli.tui.widgets.rows import Covered, Rows
from dgaal_cli.tui.widgets.scene import Guess, Scene

if TYPE_CHECKING:
    from dgaal_cli.tui.render.kitty import Gallery

THUMB_COUNT = 6
AHEAD = 3
MAX_WAITS = 20
"""Layout passes to wait for after a resize; then the current size is used."""


class SceneView(Covered):
    """Draws scenes; unchanged rows are not sent again."""

    def __init__(
        self,
        scene: Scene,
        mode: Mode,
        make_reader: Callable[[], Reader],
        gallery: "Gallery | None" = None,
    ) -> None:
        super().__init__()
        self._scene = scene
        self._mode = mode
        self._is_settled = False
        self._is_loading = False
        self._thumb_rows = 0
        self._neighbor_rows = 0
        self.drawn_guess: Guess | None = None
        """The guess that the panel shows."""
        self._drawn_keys: tuple[object, ...] = ()
        self._layout = Layout(frame=0, rows=0, captions=0, edge=0, side=0)
        self._waits = 0
        self._prefetcher = Prefetcher(make_reader, messages.image_ready_to(self), gallery)

    def compose(self) -> ComposeResult:
        """Create status line, frame with image, panel and key bar."""
        yield Rows(id="status")
        with Covered(id="middle"):
            with Frame(id="frame"):
                yield ImageView(id="image")
            yield Rows(id="panel")
        yield Rows(id="keys-bar")

    def on_unmount(self) -> None:
        """Stop the image thread."""
        self._prefetcher.stop()

    def on_resize(self, event: events.Resize) -> None:
        """Set the layout for the new size, and draw after it is applied."""
        self._lay_out(event.size)
        self.call_after_refresh(self.redraw)

    def _lay_out(self, size: Size) -> None:
        """Set the sizes of all parts; they are applied in the next layout pass."""
        width, height = size
        need = panel_need(self._scene, height - BARS)
        layout = lay_out(
            width,
            height,
            panel_need=need,
            min_panel=min_panel(self._scene, width),
            is_alone=self._scene.is_alone,
        )
        self._waits = 0
        if layout != self._layout:
            self._layout = layout
            self.query_one(Frame).styles.width = layout.frame
            self.query_one(ImageView).styles.margin = layout.margin
            self.query_one("#panel", Rows).display = layout.frame < width

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._scene = scene
        if self.is_mounted and self.size.width:
            self._lay_out(self.size)
        self.redraw()

    def redraw(self) -> None:
        """Draw the current scene again, for example after a resize."""
        if self.is_mounted and self.display:
            if self.query_one(ImageView).size != self._layout.room and self._waits < MAX_WAITS:
                self._waits += 1  # an image of a temporary size would count as shown
                self.call_after_refresh(self.redraw)
                return
            self._ask_for_images()
            self._draw_image()
            self._draw_text()

    def start_loading(self) -> None:
        """Start decoding; called after the first frame is sent."""
        if not self._is_loading:
            self._is_loading = True
            self._prefetcher.start()

    def fetch_file(self, image: QueryImage, deliver: Callable[[str], object]) -> None:
        """Find the file of an image; the image thread calls ``deliver`` with its path."""
        self._prefetcher.find_file(image.sample_id, deliver, is_synthetic=image.is_synthetic)

    def send_again(self) -> None:
        """Send the image again, so that a frame is drawn."""
        self.query_one(ImageView).send_again()

    @property
    def is_answerable(self) -> bool:
        """Whether the image of the scene, or the reason why it cannot be shown, has been drawn."""
        return self._is_settled and self.query_one(ImageView).is_sent

    @property
    def is_panel_sent(self) -> bool:
        """Whether the current panel has been drawn."""
        part = "#keys-bar" if self._scene.is_alone else "#panel"
        return self.query_one(part, Rows).is_sent

    @property
    def image_room(self) -> tuple[int, int]:
        """Columns and rows of the image on the screen."""
        return self._layout.room

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels of the image of the scene; None until it is decoded."""
        picture = self._picture()
        return picture.size if picture and picture.strips else None

    @property
    def has_image(self) -> bool:
        """Whether an image is shown, not text."""
        return self.query_one(ImageView).has_image

    def _draw_text(self) -> None:
        status = self.query_one("#status", Rows)
        status.show_rows([status_line(self._scene, status.size.width)])
        self._draw_keys()
        self._draw_panel()
        self._draw_frame()

    def _draw_keys(self) -> None:
        scene, bar = self._scene, self.query_one("#keys-bar", Rows)
        if scene.is_alone and scene.view.state == "labeling":
            bar.show_rows([class_strip(scene, bar.size.width)])
            self._drawn_keys = ()
            return
        is_labeling = scene.view.state == "labeling"
        drawn = (scene.keymap, bar.size.width, scene.is_guess_visible, is_labeling)
        if drawn == self._drawn_keys:
            return
        self._drawn_keys = drawn
        keys = key_bar(
            scene.keymap,
            bar.size.width,
            is_guess_visible=scene.is_guess_visible,
            is_labeling=is_labeling,
        )
        bar.show_rows([keys])

    def _draw_panel(self) -> None:
        scene, panel = self._scene, self.query_one("#panel", Rows)
        width, height = panel.size
        self.drawn_guess = scene.guess if scene.is_alone else None
        if width >= MIN_PANEL and not scene.is_alone:
            panel.show_rows(
                panel_rows(scene, self._thumb, self._neighbor_thumb, width=width, height=height)
            )
            self.drawn_guess = scene.guess

    def _draw_frame(self) -> None:
        scene, image, picture = self._scene, self._scene.image, self._picture()
        marks = ["⚑ flagged"] if image and image.is_flagged else []
        if scene.are_hints_on and image and image.is_blind:
            marks.append("blind: answer without a guess")
        frame = self.query_one(Frame)
        note = (picture.note if self._layout.edge else scene.look.note) if picture else ""
        beside = cell_len(note) + 2 if note and not self._layout.edge else 0
        lines = captions.why_lines(
            image,
            scene.view,
            count=max(1, self._layout.captions - 1),
            width=frame.size.width - beside,
            is_guess_visible=scene.is_guess_visible,
        )
        answer = captions.wrapped(self._answer_line(), frame.size.width, len(lines) + 1)
        frame.show_frame(
            title="" if image else "ROUND",
            mark=" · ".join(marks),
            note=note,
            is_synthetic=bool(image and image.is_synthetic),
            captions=(*lines[: len(lines) + 1 - len(answer)], *answer)
            if not scene.is_alone
            else (self._one_line(lines),),
            edge=self._layout.edge,
        )

    def _one_line(self, lines: list[Pieces]) -> Pieces:
        """Return the notice or the last answer, then which image this is."""
        return (*self._answer_line(), ("  ", theme.BASE), *lines[0])

    def _answer_line(self) -> Pieces:
        scene, view = self._scene, self._scene.view
        if scene.flash:
            return scene.flash
        if scene.pending:
            spoken = captions.answer_caption(scene.pending, view, scene.keymap)
            return ((" … ", theme.WARN), (spoken, theme.STRONG), ("  saving", theme.DIM))
        before, image = view.before, scene.image
        if before and image and before.item_id == image.item_id:
            return captions.undone_line(before, view, scene.keymap)
        return captions.saved_line(view.history[0] if view.history else None, view, scene.keymap)

    def _draw_image(self) -> None:
        canvas, picture = self.query_one(ImageView), self._picture()
        scene = self._scene
        self._is_settled = picture is not None
        if scene.image is None:
            canvas.show_lines(captions.empty_lines(scene.view, scene.keymap))
        else:
            canvas.show_picture(picture, scene.keymap)

    def _request_for(self, image: QueryImage | StandingAnswer | None) -> ImageRequest | None:
        if image is None:
            return None
        room, look = self._layout.room, self._scene.look
        if image is not self._scene.image:
            look = look.of_next_image()
        return request_for(image, room, self._mode, look=look)

    def _picture(self) -> Picture | None:
        return self._prefetcher.get(self._request_for(self._scene.image))

    def _ask_for_images(self) -> None:
        view = self._scene.view
        images: list[QueryImage | StandingAnswer] = [
            s for s in (self._scene.image, *view.upcoming[:AHEAD]) if s
        ]
        images += view.history[:1]  # shown after an undo
        # The image on the screen becomes the newest answer: a thumbnail decoded in advance avoids
        # an extra frame after each answer.
        small = [*images[:2], *view.history[:THUMB_COUNT]] if self._thumb_rows else []
        thumbs = [self._thumb_request(each, self._thumb_rows) for each in small]
        near = [each for each in self._scene.neighbors if each and self._neighbor_rows]
        thumbs += [self._thumb_request(each, self._neighbor_rows) for each in near]
        self._prefetcher.request([*map(self._request_for, images), *thumbs])

    def on_image_ready(self, message: messages.ImageReady) -> None:
        """Show an image that has been decoded."""
        message.stop()
        if message.request.is_thumb:
            shown = (*self._scene.view.history[:THUMB_COUNT], *filter(None, self._scene.neighbors))
            if any(answer.item_id == message.request.item_id for answer in shown):
                self._draw_panel()
        elif message.request == self._request_for(self._scene.image):
            self._draw_image()
            self._draw_text()

    def _thumb(self, item_id: ItemId, rows: int) -> Thumb | None:
        if rows != self._thumb_rows:
            self._thumb_rows = rows
            self.call_after_refresh(self._ask_for_images)
        answer = next((g for g in self._scene.view.history if g.item_id == item_id), None)
        picture = self._prefetcher.get(self._thumb_request(answer, rows)) if answer else None
        return list(picture.segments) if picture and picture.segments else None

    def _neighbor_thumb(self, item_id: ItemId, rows: int) -> Thumb | None:
        near = next((n for n in self._scene.neighbors if n and n.item_id == item_id), None)
        request = self._thumb_request(near, rows) if near else None
        picture = self._prefetcher.get(request)
        if rows != self._neighbor_rows or picture is None:
            self._neighbor_rows = rows
            self.call_after_refresh(self._ask_for_images)
        return list(picture.segments) if picture and picture.segments else None

    def _thumb_request(
        self, image: QueryImage | StandingAnswer | LabeledNeighbor, rows: int
    ) -> ImageRequest | None:
        return request_for(image, (2 * rows, rows), self._mode, is_thumb=True)
