"""Some synthetic images of a round side by side, as a sample of its generator."""

from collections.abc import Callable, Sequence

from rich.segment import Segment
from textual.strip import Strip

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.tui import messages, theme
from dgaal_cli.tui.bridge import QueryImage
from dgaal_cli.tui.prefetch import ImageRequest, Prefetcher, Reader, request_for
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.widgets.rows import Rows

GAP = 1
LARGE_FROM = 36
"""Terminal rows from which the images are larger."""


class Sheet(Rows):
    """Shows images decoded in its own thread; hidden without samples."""

    def __init__(self, mode: Mode, make_reader: Callable[[], Reader]) -> None:
        super().__init__(id="sheet")
        self._mode = mode
        self._samples: list[SampleId] = []
        self._prefetcher = Prefetcher(make_reader, messages.image_ready_to(self))
        self._is_started = False
        self.display = False

    @property
    def cell_rows(self) -> int:
        """Height of one image in cells."""
        return 8 if self.app.size.height >= LARGE_FROM else 4

    def show_samples(self, samples: Sequence[SampleId]) -> None:
        """Show as many of ``samples`` as fit, evenly chosen."""
        if list(samples) == self._samples:
            return
        self._samples = list(samples)
        self.display = bool(samples)
        self.styles.height = self.cell_rows
        if samples and not self._is_started:
            self._is_started = True
            self._prefetcher.start()
        self.call_after_refresh(self.draw)

    def on_unmount(self) -> None:
        """Stop the image thread."""
        if self._is_started:
            self._prefetcher.stop()

    def on_resize(self) -> None:
        """Set the layout for the new size."""
        self.styles.height = self.cell_rows
        self.draw()

    def draw(self) -> None:
        """Draw the decoded images and request the rest."""
        requests = self._requests()
        self._prefetcher.request(requests)
        pictures = [self._prefetcher.get(request) for request in requests]
        width, rows = self.size.width, self.cell_rows
        strips: list[Strip] = []
        for y in range(rows):
            parts: list[Segment] = []
            for picture in pictures:
                is_ready = picture is not None and len(picture.segments) == rows
                parts += picture.segments[y] if picture and is_ready else [_blank(2 * rows)]
                parts.append(_blank(GAP))
            strips.append(Strip(parts).adjust_cell_length(width, theme.DIALOG))
        self.show_rows(strips)

    def _requests(self) -> list[ImageRequest | None]:
        rows = self.cell_rows
        room = max(0, (self.size.width + GAP) // (2 * rows + GAP))
        count = min(room, len(self._samples))
        chosen = [self._samples[at * len(self._samples) // count] for at in range(count)]
        images = [  # no items: these images cannot be labeled
            QueryImage(item_id=ItemId(-1 - at), sample_id=sample, is_synthetic=True)
            for at, sample in enumerate(chosen)
        ]
        return [request_for(image, (2 * rows, rows), self._mode, is_thumb=True) for image in images]

    def on_image_ready(self, message: messages.ImageReady) -> None:
        """Show an image that has been decoded."""
        message.stop()
        self.draw()


def _blank(width: int) -> Segment:
    return Segment(" " * width, theme.DIALOG)
