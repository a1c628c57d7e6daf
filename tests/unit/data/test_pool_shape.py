"""The note about images that are stretched for the networks."""

import pytest

from dgaal_cli.data.pool_shape import stretch_note


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, ""),
        (
            [(640, 480)] * 2,
            "images have 640 x 480 pixels; for the networks each is stretched to 32",
        ),
        (
            [(9, 30), (16, 16), (100, 80)],
            "in size, from 16 x 16 to 100 x 80 pixels; for the networks",
        ),
        ([(16, 16), (32, 32)], "images differ in size, from 16 x 16 to 32 x 32 pixels"),
    ],
)
def test_stretch_note_describes_images_that_are_not_square_and_equal(sizes, expected):
    note = stretch_note(sizes, 32)
    assert expected in note
    assert bool(note) == bool(expected)
