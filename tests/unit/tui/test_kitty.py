"""Kitty graphics: the sent images and placeholders, read by a small fake terminal."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from dgaal_cli.tui.prefetch import ImageRequest, Prefetcher
from dgaal_cli.tui.render.choose import Mode, choose_mode
from dgaal_cli.tui.render.fit import fit
from dgaal_cli.tui.render.halfblock import build
from dgaal_cli.tui.render.kitty import Gallery
from dgaal_cli.tui.render.placeholders import MARKS, PLACEHOLDER
from dgaal_cli.tui.render.strips import strip_of, to_segments

COMMAND = re.compile(r"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), dtype=np.uint8)


class FakeKitty:
    """A fake kitty: stores images and fails on commands that kitty would answer or misread."""

    def __init__(self, *, is_in_tmux: bool = False) -> None:
        self.images: dict[int, tuple[np.ndarray, int, int]] = {}
        self.is_in_tmux = is_in_tmux
        self._loading: tuple[dict[str, str], str] | None = None

    def write(self, data: str) -> None:
        if self.is_in_tmux:
            data = re.sub(
                r"\x1bPtmux;((?:[^\x1b]|\x1b\x1b)*)\x1b\\",
                lambda found: found[1].replace("\x1b\x1b", "\x1b"),
                data,
            )
        assert COMMAND.sub("", data) == ""
        for keys, payload in COMMAND.findall(data):
            self._take(dict(part.split("=") for part in keys.split(",")), payload)

    def _take(self, keys: dict[str, str], payload: str) -> None:
        assert keys["q"] == "2"  # a reply would arrive as key presses
        assert len(payload) <= 4096
        if keys.get("a") == "d":
            del self.images[int(keys["i"])]
            return
        if self._loading is None:
            assert (keys["a"], keys["U"], keys["f"]) == ("T", "1", "100")
            self._loading = (keys, "")
        head, data = self._loading
        self._loading = (head, data + payload)
        if keys["m"] == "0":
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(self._loading[1]))))
            self.images[int(head["i"])] = (pixels, int(head["c"]), int(head["r"]))
            self._loading = None


def connected(environment: dict[str, str] | None = None) -> tuple[Gallery, FakeKitty]:
    kitty = FakeKitty(is_in_tmux="TMUX" in (environment or {}))
    gallery = Gallery(environment or {})
    gallery.connect(kitty.write)
    return gallery, kitty


def read_row(ansi: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the color parameter and the (row, column) of every cell."""
    color, cells = re.fullmatch(r"\x1b\[0;38;([\d;]+)m(.*)\x1b\[0m", ansi).groups()
    marks = re.findall(f"{PLACEHOLDER}(.)(.)", cells)
    assert len(marks) * 3 == len(cells)
    return color, [(MARKS.index(row), MARKS.index(column)) for row, column in marks]


def test_diacritics_table_equals_kittys_table():
    assert len(MARKS) == len(set(MARKS)) == 297
    assert [f"{ord(MARKS[at]):X}" for at in (0, 1, 10, 100, 255, 296)] == [
        "305",
        "30D",
        "34B",
        "7EB",
        "A8E5",
        "1D244",
    ]


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (400, 300, 3), (1, 1, 1)])
@pytest.mark.parametrize("environment", [{}, {"TMUX": "/tmp/x"}])
def test_sent_pixels_arrive_unchanged(shape, environment):
    gallery, kitty = connected(environment)
    image = noise(*shape)
    number = gallery.send(image, columns=66, rows=34, is_crisp=False)
    pixels, columns, rows = kitty.images[number]
    assert (columns, rows) == (66, 34)
    assert np.array_equal(pixels.reshape(image.shape), image)


def test_crisp_images_repeat_pixels_and_large_images_are_reduced():
    gallery, kitty = connected()
    image = noise(8, 8, 1)
    number = gallery.send(image, columns=66, rows=34, is_crisp=True)
    assert np.array_equal(kitty.images[number][0][::64, ::64], image[:, :, 0])
    number = gallery.send(noise(2000, 1000), columns=66, rows=34, is_crisp=False)
    assert kitty.images[number][0].shape == (480, 240, 3)


@pytest.mark.parametrize("environment", [{}, {"TMUX": "/tmp/x"}])
def test_every_placeholder_cell_encodes_its_image_and_position(environment):
    gallery, _ = connected(environment)
    rows = build(fit(noise(8, 8), columns=20, rows=6), Mode.HALF)
    number = gallery.send(noise(8, 8), columns=20, rows=6, is_crisp=False)
    shown = gallery.placeholders(rows, number)
    for at, row in enumerate(shown):
        color, cells = read_row(row.ansi)
        assert cells == [(at, column) for column in range(20)]
        kind, *parts = map(int, color.split(";"))
        assert (kind, parts) == (
            (5, [number]) if environment else (2, [number >> 16, number >> 8 & 255, number & 255])
        )
        # under a dialog the row is shown as half blocks
        assert to_segments(row) == to_segments(rows[at])
        part = strip_of(row).crop(5, 9)
        assert read_row(part.render(None))[1] == [(at, column) for column in range(5, 9)]


def test_image_numbers_are_unique_and_reused_after_drop():
    gallery, kitty = connected({"TMUX": "/tmp/x"})
    numbers = [gallery.send(noise(1, 1, 1), columns=1, rows=1, is_crisp=False) for _ in range(255)]
    assert sorted(numbers) == list(range(1, 256))
    gallery.drop(numbers[7])
    gallery.drop(numbers[7])
    assert gallery.send(noise(1, 1, 1), columns=1, rows=1, is_crisp=False) == numbers[7]
    for number in numbers:
        gallery.drop(number)
    assert kitty.images == {}


def test_box_wider_than_the_table_uses_half_blocks():
    gallery, _ = connected()
    rows = build(fit(noise(8, 8), columns=298, rows=1), Mode.HALF)
    assert gallery.placeholders(rows, 300) == rows


def test_prefetched_images_are_sent_early_and_freed_at_the_end():
    gallery, kitty = connected()
    pictures: list[ImageRequest] = []

    class Reader:
        def read(self, sample_id, *, is_synthetic=False):
            return noise(8, 8)

        def file_of(self, sample_id, *, is_synthetic=False):
            return ""

        def close(self):
            pass

    import threading

    is_all = threading.Event()

    def record_picture(request: ImageRequest) -> None:
        pictures.append(request)
        if len(pictures) == 3:
            is_all.set()

    prefetcher = Prefetcher(Reader, record_picture, gallery)
    requests = [
        ImageRequest(
            item_id=at,
            sample_id=f"{at}.png",
            is_synthetic=False,
            columns=20,
            rows=6,
            mode=Mode.HALF,
            is_thumb=at == 3,
        )
        for at in (1, 2, 3)
    ]
    prefetcher.request(requests)
    prefetcher.start()
    assert is_all.wait(20)
    shown = [prefetcher.get(request) for request in requests]
    assert [picture.number in kitty.images for picture in shown] == [True, True, False]
    assert shown[0].note == "8x8 smooth"
    assert shown[2].segments  # thumbnails share their rows with text, so they are half blocks
    prefetcher.stop()
    assert kitty.images == {}


def test_kitty_mode_is_never_chosen_automatically():
    assert choose_mode("kitty", {"TERM": "xterm-kitty"}) is Mode.HALF
    assert choose_mode("auto", {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}) is Mode.HALF
