"""Zoom, pan and tones of an image, and the sizes of the label screen."""

import numpy as np
import pytest

from dgaal_cli.tui.render.look import Look
from dgaal_cli.tui.widgets.layout import lay_out

SIZE, ROOM = (300, 200), (60, 20)


def image() -> np.ndarray:
    y, x = np.mgrid[0:200, 0:300]
    return np.stack([x % 256, y, x // 256], axis=2).astype(np.uint8)


def test_zoom_shows_one_pixel_of_the_image_for_each_square_of_the_screen():
    assert Look().cut(image(), ROOM).shape == (200, 300, 3)
    assert Look(zoom=1).cut(image(), ROOM).shape == (40, 60, 3)
    assert Look(zoom=2).cut(image(), ROOM).shape == (20, 30, 3)


def test_pan_moves_by_a_part_of_the_visible_area_and_stays_inside():
    look = Look(zoom=1)
    center = look.cut(image(), ROOM)[0, 0]
    right = look.panned(1, 0, size=SIZE, room=ROOM).cut(image(), ROOM)[0, 0]
    assert right[0] - center[0] == 15
    for _ in range(40):
        look = look.panned(1, 1, size=SIZE, room=ROOM)
    corner = look.cut(image(), ROOM)
    assert corner.shape == (40, 60, 3)
    np.testing.assert_array_equal(corner[-1, -1], image()[-1, -1])


@pytest.mark.parametrize("shape", [(1, 10_000, 3), (10_000, 1, 1), (1, 1, 1)])
def test_zoom_of_extreme_shapes_has_pixels(shape):
    for zoom in range(4):
        look = Look(zoom=zoom).panned(1, -1, size=shape[1::-1], room=ROOM)
        assert look.cut(np.zeros(shape, np.uint8), ROOM).size


def test_tones_change_all_pixels_in_order_and_can_be_undone():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert Look().toned(ramp) is ramp
    bright = Look().brighter(1).toned(ramp)
    assert (bright >= ramp).all()
    assert (np.diff(bright.ravel().astype(int)) >= 0).all()
    np.testing.assert_array_equal(Look(is_inverted=True).toned(ramp), 255 - ramp)
    assert Look().brighter(1).brighter(-1) == Look()
    assert Look().with_contrast(3).toned(ramp).std() > ramp.std()


def test_next_image_is_whole_and_keeps_the_tones():
    look = Look(zoom=2, center=(0.2, 0.2), brightness=2, is_inverted=True)
    assert look.of_next_image() == Look(brightness=2, is_inverted=True)


@pytest.mark.parametrize(
    ("size", "least"),
    [((80, 24), (60, 20)), ((120, 40), (82, 33)), ((60, 18), (42, 14)), ((200, 60), (120, 53))],
)
def test_image_gets_the_space_that_the_panel_does_not_need(size, least):
    columns, rows = lay_out(*size, panel_need=36).room
    assert columns >= least[0]
    assert rows >= least[1]
    assert size[0] - 2 - columns >= 16


@pytest.mark.parametrize("size", [(40, 12), (60, 18), (80, 24), (120, 40), (200, 60), (500, 150)])
def test_image_alone_has_all_columns_and_all_rows_but_three(size):
    layout = lay_out(*size, panel_need=36, is_alone=True)
    assert layout.room == (size[0], size[1] - 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalizing_shows_details_in_dark_and_in_bright_parts(channels):
    noise = np.random.default_rng(0).integers(0, 24, (64, 128), dtype=np.uint8)
    image = np.repeat(np.vstack([noise + 10, noise + 220])[:, :, None], channels, axis=2)
    shown = Look(is_equalized=True).toned(image)
    assert shown.shape == image.shape
    for part in (slice(None, 40), slice(-40, None)):
        assert shown[part].std() > 2 * image[part].std()
    even = np.full((100, 30, channels), 77, np.uint8)
    assert np.ptp(Look(is_equalized=True).toned(even)) <= 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 500, 3), (7, 9, 1), (33, 250, 3)])
def test_equalizing_accepts_images_of_any_shape(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert Look(is_equalized=True).toned(image).shape == shape
