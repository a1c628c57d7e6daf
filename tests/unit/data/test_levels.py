"""Conversion of samples of any depth to uint8."""

import numpy as np
import pytest

from dgaal_cli.data.decoders.levels import clip_to_uint8, to_uint8
from dgaal_cli.data.unreadable import UnreadableImageError


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_full_range_integers_keep_their_high_byte(depth: int, dtype: type) -> None:
    values = np.arange(2**depth).astype(dtype)
    found = to_uint8(values, depth=depth, value_range=(0, 2**depth - 1))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.arange(2**depth) >> (depth - 8))


def test_other_ranges_are_scaled_to_all_levels_and_rounded() -> None:
    values = np.array([[-100, 0, 100, 300]], np.int16)
    found = to_uint8(values, depth=12, value_range=(-100, 300))
    np.testing.assert_array_equal(found, [[0, 64, 128, 255]])
    few = np.array([0, 1, 2, 3], np.uint8)
    np.testing.assert_array_equal(to_uint8(few, depth=2, value_range=(0, 3)), [0, 85, 170, 255])


def test_floating_point_samples_are_rounded() -> None:
    values = np.array([0.0, 0.5, 1.0, 0.999], np.float32)
    found = to_uint8(values, depth=32, value_range=(0, 1))
    np.testing.assert_array_equal(found, [0, 128, 255, 255])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([0.5, np.nan], np.float32), "floating-point"),
        (np.array([1.5], np.float32), "floating-point"),
        (np.array([-1], np.int32), "32-bit"),
        (np.array([70_000], np.int32), "32-bit"),
    ],
)
def test_samples_outside_the_range_are_refused(values: np.ndarray, kind: str) -> None:
    high = 1 if kind == "floating-point" else 65535
    message = rf"^{kind} samples outside 0\.\.{high} have no defined brightness; set pool.range$"
    with pytest.raises(UnreadableImageError, match=message):
        to_uint8(values, depth=16, value_range=(0, high))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int8, np.int32, np.uint32, np.float32])
def test_a_chosen_range_is_mapped_linearly_and_clips_on_both_sides(dtype: type) -> None:
    limits = (-100, 100) if np.issubdtype(dtype, np.signedinteger) else (0, 60_000)
    values = np.linspace(*limits, 201).astype(dtype)
    low, high = (-50, 60) if limits[0] < 0 else (1_000, 5_095)
    exact = [min(max((float(v) - low) / (high - low), 0), 1) * 255 for v in values]
    found = clip_to_uint8(values, (low, high))
    np.testing.assert_array_equal(found, np.floor(np.array(exact) + 0.5))


def test_samples_that_are_not_finite_are_clipped_in_a_chosen_range() -> None:
    values = np.array([np.nan, -np.inf, np.inf, 1e38, -1e38, 5], np.float32)
    np.testing.assert_array_equal(clip_to_uint8(values, (0, 10)), [0, 0, 255, 255, 0, 128])
