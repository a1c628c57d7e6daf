"""What is said of images that networks do not see in their own shape."""

import pytest

from dgaal_cli.data.pool_shape import stretch_note


@pytest.mark.parametrize(
    ("sizes", "said"),
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
def test_stretching_is_told_where_images_are_not_square_and_alike(sizes, said):
    told = stretch_note(sizes, 32)
    assert said in told
    assert bool(told) == bool(said)
