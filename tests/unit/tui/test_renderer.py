"""The renderer: raw ANSI output equals the segments, and images are scaled correctly."""

import io

import numpy as np
import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

from dgaal_cli.tui.render import strips as strips_module
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.fit import Fitted, fit, shrink
from dgaal_cli.tui.render.halfblock import ASCII_RAMP, CellRow, build, encode_colors
from dgaal_cli.tui.render.look import Glyphs
from dgaal_cli.tui.render.strips import RawStrip, strip_of, to_segments

CONSOLE = Console(file=io.StringIO(), color_system="truecolor")
ALL_MODES = list(Mode)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def cells_on_screen(ansi: str, width: int) -> list[tuple[str, str, str]]:
    """Return character, background and visible foreground color of each cell on the screen."""
    screen = pyte.Screen(width + 2, 1)
    pyte.Stream(screen).feed(ansi)
    cells = [screen.buffer[0][x] for x in range(width)]
    return [(c.data, c.bg, c.fg if c.data != " " else "") for c in cells]


def cells_of_segments(segments: list[Segment], width: int) -> list[tuple[str, str, str]]:
    plain = Strip(segments, width).render(CONSOLE)
    return cells_on_screen(plain, width)


@pytest.mark.parametrize(
    ("mode", "glyphs"),
    [*((mode, Glyphs.HALF) for mode in ALL_MODES), *((Mode.HALF, glyphs) for glyphs in Glyphs)],
)
@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [(1, 1, 1), (1, 7, 3), (7, 5, 3), (8, 8, 1), (13, 3, 1), (40, 90, 3), (3, 64, 1)],
)
def test_raw_ansi_shows_the_same_cells_as_the_segments(mode, glyphs, height, width, channels):
    fitted = fit(noise(height, width, channels), columns=11, rows=5, glyphs=glyphs)
    for row in build(fitted, mode):
        strip = RawStrip(row)
        assert strip.cell_length == 11
        assert cells_on_screen(strip.render(CONSOLE), 11) == cells_of_segments(list(strip), 11)


@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize(("start", "end"), [(0, 4), (3, 11), (2, 9), (5, 6), (0, 11), (9, 99)])
def test_crop_shows_the_same_cells_as_the_whole_strip(mode, start, end):
    row = build(fit(noise(12, 22), columns=11, rows=1), mode)[0]
    part = RawStrip(row).crop(start, end)
    whole = cells_on_screen(row.ansi, 11)[start : min(end, 11)]
    assert cells_on_screen(part.render(CONSOLE), len(whole)) == whole
    assert cells_of_segments(list(part), len(whole)) == whole


def test_an_empty_crop_is_an_empty_strip():
    row = build(fit(noise(4, 4), columns=6, rows=2), Mode.HALF)[0]
    assert RawStrip(row).crop(4, 4).cell_length == 0
    assert not RawStrip(row).crop(6, 9)


def test_divide_cuts_strip_and_drops_cells_beyond_the_last_cut():
    row = build(fit(noise(4, 24), columns=12, rows=1), Mode.HALF)[0]
    parts = RawStrip(row).divide([5, 12])
    assert [p.cell_length for p in parts] == [5, 7]
    assert RawStrip(row).divide([12])[0].render(CONSOLE) == row.ansi
    assert [p.cell_length for p in RawStrip(row).divide([2, 40])] == [2]


def test_pixels_are_drawn_in_the_right_half_of_the_right_cell():
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[0, 1] = (255, 0, 0)
    image[1, 0] = (0, 0, 255)
    row = build(fit(image, columns=2, rows=1), Mode.HALF)[0]
    assert cells_on_screen(row.ansi, 2) == [("▀", "0000ff", "000000"), ("▀", "000000", "ff0000")]


def test_an_unchanged_color_is_not_sent_again():
    black = build(fit(np.zeros((8, 8, 1), np.uint8), columns=8, rows=4), Mode.HALF)
    assert black[1].ansi == "\x1b[48;2;0;0;0m" + " " * 8 + "\x1b[0m"


def test_rendering_does_not_build_segments():
    strip = RawStrip(build(fit(noise(4, 4), columns=6, rows=2), Mode.HALF)[0])
    assert strip.render(CONSOLE)
    assert bool(strip)
    assert strip.crop(0, 6) is strip
    assert not strip.has_segments
    assert strip.text
    assert strip.has_segments


def test_installed_textual_supports_raw_strips():
    """If a new Textual version fails this test, the terminal still works, but slower."""
    strips_module._is_supported.cache_clear()
    row = build(fit(noise(4, 4), columns=6, rows=2), Mode.HALF)[0]
    assert isinstance(strip_of(row), RawStrip)


def test_fallback_strip_shows_the_same_cells(monkeypatch):
    row = build(fit(noise(9, 9), columns=6, rows=2), Mode.HALF)[0]
    monkeypatch.setattr(strips_module, "_is_supported", lambda: False)
    plain = strip_of(row)
    assert type(plain) is Strip
    assert cells_on_screen(plain.render(CONSOLE), 6) == cells_on_screen(row.ansi, 6)


def test_half5_keeps_black_and_white_and_drops_low_bits():
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [9, 130, 7]]], dtype=np.uint8)
    assert encode_colors(pixels, Mode.HALF5).tolist() == [[0x000000, 0xFFFFFF, 0x088400]]


def test_half256_chooses_the_nearest_palette_colors():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    cube = [0, 95, 135, 175, 215, 255]
    table = [(r, g, b) for r in cube for g in cube for b in cube]
    table += [(8 + 10 * i,) * 3 for i in range(24)]
    distances = ((np.array(table)[None, None] - pixels[:, :, None].astype(int)) ** 2).sum(axis=3)
    chosen = encode_colors(pixels, Mode.HALF256)
    picked = np.take_along_axis(distances, (chosen - 16)[:, :, None], axis=2)[:, :, 0]
    # the gray level is chosen by the mean of the channels
    assert (picked == distances.min(axis=2)).mean() > 0.97
    assert (picked - distances.min(axis=2)).max() <= 150


def test_gray_modes_have_no_hue():
    pixels = noise(4, 4)
    codes = encode_colors(pixels, Mode.GRAY)
    assert ((codes >> 16) == (codes & 255)).all()
    numbers = set(encode_colors(pixels, Mode.GRAY256).ravel().tolist())
    assert numbers <= {16, 59, 102, 145, 188, 231, *range(232, 256)}


def test_ascii_mode_has_no_escape_sequence_and_a_blank_border():
    fitted = fit(np.full((4, 4, 1), 255, np.uint8), columns=8, rows=2, background=(255, 255, 255))
    rows = build(fitted, Mode.ASCII)
    assert [row.ansi for row in rows] == ["  @@@@  "] * 2
    black = build(fit(np.zeros((2, 2, 1), np.uint8), columns=2, rows=1), Mode.ASCII)
    assert black[0].ansi == ASCII_RAMP[0] * 2


@pytest.mark.parametrize(
    ("size", "box", "note"),
    [
        ((8, 8), (66, 34), "8x8 → 66x66 smooth"),
        ((28, 28), (66, 34), "28x28 → 56x56 crisp x2"),
        ((32, 32), (66, 34), "32x32 → 64x64 crisp x2"),
        ((32, 32), (38, 18), "32x32 1:1"),
        ((64, 64), (66, 34), "64x64 1:1"),
        ((224, 224), (66, 34), "224x224 → 66x66 area"),
        ((1, 5000), (66, 34), "5000x1 → 66x1 area"),
        ((5000, 1), (66, 34), "1x5000 → 1x68 area"),
        ((1, 1), (1, 1), "1x1 1:1"),
    ],
)
def test_scaling_follows_the_documented_rule(size, box, note):
    fitted = fit(noise(*size), columns=box[0], rows=box[1])
    assert fitted.note == note
    assert fitted.pixels.shape == (2 * box[1], box[0], 3)


@pytest.mark.parametrize(
    ("size", "note"),
    [
        ((8, 8), "8x8 → 64x64 crisp x8"),
        ((28, 28), "28x28 → 66x66 smooth"),
        ((224, 224), "224x224 → 66x66 nearest"),
    ],
)
def test_toggle_uses_the_other_scaling(size, note):
    assert fit(noise(*size), columns=66, rows=34, is_toggled=True).note == note


def test_crisp_repeats_every_pixel_and_centers_it():
    image = noise(3, 3)
    fitted = fit(image, columns=10, rows=5, background=(1, 2, 3))
    assert (fitted.pixels[0:9:3, 0:9:3] == image).all()
    assert (fitted.pixels[2:9:3, 2:9:3] == image).all()
    assert fitted.inside.sum() == 81
    assert (fitted.pixels[~fitted.inside] == (1, 2, 3)).all()


def test_area_averages_a_checkerboard_to_gray():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    assert np.abs(fit(board, columns=16, rows=8).pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_shrink_bounds_the_longer_side(channels):
    assert shrink(noise(300, 100, channels), side=60).shape == (60, 20, channels)
    small = noise(30, 10, channels)
    assert shrink(small, side=60) is small


def test_row_without_cells_has_no_segments():
    empty = CellRow(glyphs="", front=(), back=(), mode=Mode.HALF, ansi="\x1b[0m")
    assert to_segments(empty) == []
    assert (
        build(
            Fitted(pixels=np.zeros((0, 4, 3), np.uint8), inside=np.zeros((0, 4), bool), note=""),
            Mode.HALF,
        )
        == []
    )
