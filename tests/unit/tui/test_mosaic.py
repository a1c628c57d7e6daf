"""Mosaics: the characters mean their masks, and no other division of a cell is closer."""

import itertools
import unicodedata

import numpy as np
import pytest

from dgaal_cli.tui.render import mosaic
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.fit import fit
from dgaal_cli.tui.render.halfblock import build
from dgaal_cli.tui.render.look import Glyphs, choose_glyphs
from dgaal_cli.tui.render.mosaic import characters, find_mosaic

MOSAICS = [Glyphs.QUADRANTS, Glyphs.SEXTANTS, Glyphs.OCTANTS]


def drawn(masks: np.ndarray, front: np.ndarray, back: np.ndarray, glyphs: Glyphs) -> np.ndarray:
    """Return the pixels that a terminal shows, (rows * h, columns * w, 3)."""
    w, h = glyphs.grid
    bits = (masks[:, :, None] >> np.arange(w * h) & 1).reshape(*masks.shape, h, w, 1)
    cells = np.where(bits, front[:, :, None, None], back[:, :, None, None])
    return cells.transpose(0, 2, 1, 3, 4).reshape(len(masks) * h, -1, 3).astype(float)


def errors(pixels: np.ndarray, glyphs: Glyphs) -> np.ndarray:
    """Return the squared error of each cell."""
    w, h = glyphs.grid
    wrong = (drawn(*find_mosaic(pixels, glyphs), glyphs) - pixels) ** 2
    return wrong.reshape(len(pixels) // h, h, -1, w, 3).sum(axis=(1, 3, 4))


def least_error(cell: np.ndarray) -> float:
    """Try every division of (n, 3) pixels in two groups."""
    divisions = itertools.product((False, True), repeat=len(cell) - 1)
    masks = [np.array([*division, False]) for division in divisions]
    groups = [[cell[mask], cell[~mask]] for mask in masks]
    return min(sum(((g - g.mean(0)) ** 2).sum() for g in pair if len(g)) for pair in groups)


@pytest.mark.parametrize("glyphs", MOSAICS)
def test_no_division_of_a_cell_is_closer(glyphs):
    w, h = glyphs.grid
    pixels = np.random.default_rng(3).integers(0, 256, (3 * h, 4 * w, 3), dtype=np.uint8)
    cells = pixels.reshape(3, h, 4, w, 3).transpose(0, 2, 1, 3, 4).reshape(12, -1, 3).astype(float)
    best = np.array([least_error(cell) for cell in cells])
    assert errors(pixels, glyphs).ravel() == pytest.approx(best, rel=1e-3, abs=w * h * 3)


def test_check_of_the_error_finds_a_mosaic_with_swapped_colors(monkeypatch):
    honest = find_mosaic

    def swapped(pixels, glyphs):
        masks, front, back = honest(pixels, glyphs)
        return masks, back, front

    monkeypatch.setitem(globals(), "find_mosaic", swapped)
    with pytest.raises(AssertionError):
        test_no_division_of_a_cell_is_closer(Glyphs.QUADRANTS)


@pytest.mark.parametrize("glyphs", list(Glyphs))
def test_every_mask_has_its_own_character_of_one_cell(glyphs):
    w, h = glyphs.grid
    known = characters(glyphs)
    assert len(known) == len(set(known)) == 2 ** (w * h)
    assert known[0] == " "
    assert known[-1] == "█"


def test_characters_are_those_that_unicode_names():
    quadrants, sextants = characters(Glyphs.QUADRANTS), characters(Glyphs.SEXTANTS)
    assert unicodedata.name(quadrants[0b0001]) == "QUADRANT UPPER LEFT"
    assert unicodedata.name(quadrants[0b1001]) == "QUADRANT UPPER LEFT AND LOWER RIGHT"
    for mask, character in enumerate(sextants):
        name = unicodedata.name(character)
        if "SEXTANT" in name:
            places = "".join(str(bit + 1) for bit in range(6) if mask >> bit & 1)
            assert name == f"BLOCK SEXTANT-{places}"
    assert (sextants[0b010101], sextants[0b101010]) == ("▌", "▐")


def test_octants_are_in_the_order_of_unicode_16():
    octants = characters(Glyphs.OCTANTS)
    expected = {0b100: 0x1CD00, 0b110: 0x1CD01, 0b111: 0x1CD02, 0b1000: 0x1CD03, 254: 0x1CDE5}
    assert {mask: ord(octants[mask]) for mask in expected} == expected
    assert octants[0b0101] == "▘"
    assert octants[0b00001111] == "▀"
    assert octants[0b01010101] == "▌"
    assert octants[0b11000000] == "▂"


def test_plain_cell_has_one_color_and_sends_no_glyph():
    rows = build(
        fit(np.full((8, 8, 3), 90, np.uint8), columns=4, rows=2, glyphs=Glyphs.QUADRANTS), Mode.HALF
    )
    assert {row.glyphs for row in rows} == {"    "}


@pytest.mark.parametrize("glyphs", MOSAICS)
def test_finer_glyphs_are_closer_to_an_image_with_edges(glyphs):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:240, 0:240]
    image = np.zeros((240, 240, 3), np.uint8)
    for row, column, radius in rng.integers(10, 230, (25, 3)):
        inside = (y - row) ** 2 + (x - column) ** 2 < (radius / 4) ** 2
        image[inside] = rng.integers(0, 256, 3)
    fine = fit(image, columns=30, rows=15, glyphs=Glyphs.OCTANTS).pixels.astype(float)

    def mismatch(kind: Glyphs) -> float:
        pixels = fit(image, columns=30, rows=15, glyphs=kind).pixels
        shown = (
            pixels.astype(float) if kind is Glyphs.HALF else drawn(*find_mosaic(pixels, kind), kind)
        )
        h, w = len(fine) / len(shown), fine.shape[1] // shown.shape[1]
        at = (np.arange(len(fine)) / h).astype(int)
        return float(((shown[at].repeat(w, axis=1) - fine) ** 2).mean())

    assert mismatch(glyphs) < 0.9 * mismatch(Glyphs.HALF)


def test_many_cells_are_as_good_as_few():
    pixels = np.random.default_rng(5).integers(0, 256, (64, 200, 3), dtype=np.uint8)
    whole = find_mosaic(pixels, Glyphs.QUADRANTS)
    part = find_mosaic(pixels[:2, :6], Glyphs.QUADRANTS)
    assert pixels.size > mosaic._CHUNK * 12
    for all_of, some in zip(whole, part, strict=True):
        np.testing.assert_array_equal(all_of[:1, :3], some)


@pytest.mark.parametrize(
    ("setting", "term", "expected"),
    [
        ("auto", "xterm-256color", "quadrants"),
        ("auto", "linux", "half"),
        ("auto", "vt100", "half"),
        ("octants", "linux", "octants"),
    ],
)
def test_glyphs_are_chosen_by_setting_and_name_of_the_terminal(setting, term, expected):
    assert choose_glyphs(setting, {"TERM": term}) == expected
