"""Decode and render images in a thread, the next ones in advance.

NumPy and Pillow are imported and the source is opened in the thread, after the first frame.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dgaal_cli.errors import DgaalError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.tui import theme
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.look import Glyphs, Look

if TYPE_CHECKING:
    from rich.segment import Segment
    from textual.strip import Strip

    from dgaal_cli.tui.bridge import LabeledNeighbor, QueryImage, StandingAnswer
    from dgaal_cli.tui.render.fit import Pixels
    from dgaal_cli.tui.render.kitty import Gallery

LOOK = Look()
MAX_PICTURES = 128
MAX_PREVIEWS = 64
KEEP_SIDE = 640
"""Max side of decoded images in memory; no terminal shows more pixels."""


class Reader(Protocol):
    """Reads images: ``data.image_reader.ImageReader``."""

    def read(self, sample_id: SampleId, *, is_synthetic: bool = False) -> "Pixels":
        """Return the pixels, (H, W, C) uint8."""
        ...

    def file_of(self, sample_id: SampleId, *, is_synthetic: bool = False) -> str:
        """Return the absolute path of the image's file; empty if it has none of its own."""
        ...

    def close(self) -> None:
        """Close processes and files."""
        ...


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image at one size; equal requests share one picture."""

    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    columns: int
    rows: int
    mode: Mode
    look: Look = LOOK
    is_thumb: bool = False


def request_for(
    image: "QueryImage | StandingAnswer | LabeledNeighbor",
    room: tuple[int, int],
    mode: Mode,
    *,
    look: Look = LOOK,
    is_thumb: bool = False,
) -> ImageRequest | None:
    """Return the request of an image in columns x rows; None without room."""
    if min(room) < 1:
        return None
    return ImageRequest(
        image.item_id, image.sample_id, image.is_synthetic, *room, mode, look, is_thumb
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The rendered image of a request."""

    strips: "tuple[Strip, ...]" = ()
    segments: "tuple[list[Segment], ...]" = ()
    """Only of thumbnails, which share rows with other text."""
    note: str = ""
    size: tuple[int, int] = (0, 0)
    """Width and height of the image in pixels."""
    error: str = ""
    """Why there is no image; the strips are empty then."""
    number: int = 0
    """Number of the image in the terminal's memory; 0 if it was not sent."""


class Prefetcher:
    """A thread that renders the latest list of requests."""

    def __init__(
        self,
        make_reader: Callable[[], Reader],
        on_ready: Callable[[ImageRequest], None],
        gallery: "Gallery | None" = None,
    ) -> None:
        """Create the thread; it calls ``make_reader`` once, and ``on_ready`` for every picture."""
        self._make_reader = make_reader
        self._on_ready = on_ready
        self._gallery = gallery
        self._reader: Reader | None = None
        self._pictures: OrderedDict[ImageRequest, Picture] = OrderedDict()
        self._pixels: OrderedDict[ItemId, tuple[Pixels, tuple[int, int]]] = OrderedDict()
        self._zoomed: tuple[ItemId, tuple[Pixels, tuple[int, int]]] | None = None
        """All pixels of the last zoomed image."""
        self._requests: list[ImageRequest] = []
        self._current: ImageRequest | None = None
        self._tasks: list[Callable[[], None]] = []
        self._wake = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="images", daemon=True)

    def start(self) -> None:
        """Start the thread; requests may have been set before."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current image; wait at most one second."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(1.0)
        if self._reader is not None and not self._thread.is_alive():
            self._reader.close()
        for picture in self._pictures.values():
            self._free(picture)

    def request(self, requests: Sequence[ImageRequest | None]) -> None:
        """Replace the list of requests, most urgent first; None is skipped."""
        with self._wake:
            self._requests = [
                request
                for request in dict.fromkeys(requests)
                if request
                and request not in self._pictures
                and request != self._current  # is being rendered
            ]
            if self._requests:
                self._wake.notify()

    def find_file(
        self, sample_id: SampleId, deliver: Callable[[str], object], *, is_synthetic: bool
    ) -> None:
        """Find an image's file in the thread; ``deliver`` gets its path, empty if there is none."""

        def find() -> None:
            try:
                path = self._open_reader().file_of(sample_id, is_synthetic=is_synthetic)
            except (DgaalError, OSError):
                path = ""
            deliver(path)

        with self._wake:
            self._tasks.append(find)
            self._wake.notify()

    def get(self, request: ImageRequest | None) -> Picture | None:
        """Return a picture if it is requested and ready."""
        with self._wake:
            picture = self._pictures.get(request) if request else None
            if request and picture is not None:
                self._pictures.move_to_end(request)
            return picture

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._requests or self._tasks or self._is_stopped):
                    self._wake.wait()
                if self._is_stopped:
                    return
                tasks, self._tasks = self._tasks, []
                request = self._current = self._requests.pop(0) if self._requests else None
            for task in tasks:
                task()
            if request is None:
                continue
            picture = self._draw(request)
            with self._wake:
                self._pictures[request], self._current = picture, None
                count = len(self._pictures) - MAX_PICTURES
                dropped = [self._pictures.popitem(last=False)[1] for _ in range(count)]
                if self._is_stopped:
                    return
            for old in dropped:
                self._free(old)
            self._on_ready(request)

    def _free(self, picture: Picture) -> None:
        if self._gallery is not None and picture.number:
            self._gallery.drop(picture.number)

    def _draw(self, request: ImageRequest) -> Picture:
        try:
            return self._paint(request)
        except (DgaalError, OSError) as error:
            reason = str(error) if isinstance(error, DgaalError) else error.strerror or "I/O error"
            return Picture(error=show(reason))
        except Exception as error:  # noqa: BLE001 - a bug in a decoder must not end the session
            return Picture(error=show(repr(error)[:300]))

    def _paint(self, request: ImageRequest) -> Picture:
        from dgaal_cli.tui.render.fit import fit
        from dgaal_cli.tui.render.halfblock import build
        from dgaal_cli.tui.render.strips import strip_of, to_segments

        look, room = request.look, (request.columns, request.rows)
        pixels, size = self._load(request)
        pixels = look.toned(look.cut(pixels, room))
        fitted = fit(
            pixels,
            columns=request.columns,
            rows=request.rows,
            is_toggled=look.is_toggled,
            background=theme.BACK_RGB,
            glyphs=Glyphs.HALF if request.mode is Mode.ASCII else look.glyphs,
        )
        rows = build(fitted, request.mode)
        if request.is_thumb:
            return Picture(segments=tuple(to_segments(row) for row in rows))
        if self._gallery is not None and self._gallery.is_connected:
            number = self._gallery.send(
                pixels, columns=request.columns, rows=request.rows, is_crisp=look.is_toggled
            )
            strips = tuple(strip_of(row) for row in self._gallery.placeholders(rows, number))
            how = "crisp" if look.is_toggled else "smooth"
            note = " · ".join(filter(None, (f"{size[0]}x{size[1]} {how}", look.note)))
            return Picture(strips=strips, note=note, size=size, number=number)
        scaling = fitted.note.partition(" ")[2]
        note = " · ".join(filter(None, (f"{size[0]}x{size[1]} {scaling}", look.note)))
        return Picture(strips=tuple(strip_of(row) for row in rows), note=note, size=size)

    def _load(self, request: ImageRequest) -> "tuple[Pixels, tuple[int, int]]":
        """Return pixels and size of an image: all pixels for a zoom, else enough for a screen."""
        from dgaal_cli.tui.render.fit import shrink

        known = self._pixels.get(request.item_id)
        is_whole = known is not None and max(known[1]) <= KEEP_SIDE
        if known is not None and (is_whole or not request.look.zoom):
            self._pixels.move_to_end(request.item_id)
            return known
        if self._zoomed is not None and self._zoomed[0] == request.item_id:
            return self._zoomed[1]
        image = self._open_reader().read(request.sample_id, is_synthetic=request.is_synthetic)
        size = (image.shape[1], image.shape[0])
        if request.look.zoom:
            self._zoomed = request.item_id, (image, size)
            return image, size
        loaded = (shrink(image, side=KEEP_SIDE), size)
        self._pixels[request.item_id] = loaded
        while len(self._pixels) > MAX_PREVIEWS:
            self._pixels.popitem(last=False)
        return loaded

    def _open_reader(self) -> Reader:
        if self._reader is None:
            self._reader = self._make_reader()
        return self._reader
