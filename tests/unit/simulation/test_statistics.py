"""Statistics compared with values computed by hand."""

import math

import pytest

from dgaal_cli.simulation.statistics import (
    Curve,
    accuracy_at,
    annotations_at,
    aubc,
    aubc_difference,
    estimate,
    labels_saved,
    mean_curve,
    paired_difference,
)


def curve(*points):
    return Curve(annotations=tuple(p[0] for p in points), accuracies=tuple(p[1] for p in points))


def flat(heights):
    return {seed: curve((10, height), (20, height)) for seed, height in heights.items()}


def test_interval_of_three_values_uses_students_t():
    # mean 2, s = 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3) = 2.484138
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.interval == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-5)
    assert found.count == 3


def test_interval_of_five_values_uses_four_degrees_of_freedom():
    # values 1..5: s = sqrt(2.5), t(0.975, 4) = 2.776445
    low, high = estimate([1, 2, 3, 4, 5]).interval
    assert (high - low) / 2 == pytest.approx(2.776445 * math.sqrt(2.5) / math.sqrt(5), abs=1e-5)


def test_interval_of_equal_values_has_zero_width():
    assert estimate([0.5, 0.5]).interval == (0.5, 0.5)


def test_single_value_has_no_interval():
    assert estimate([0.7]).interval is None


def test_aubc_is_the_trapezoid_mean_over_the_label_range():
    # 10..20 at mean 0.5, 20..50 at mean 0.7: (10 * 0.5 + 30 * 0.7) / 40 = 0.65
    assert aubc(curve((10, 0.4), (20, 0.6), (50, 0.8))) == pytest.approx(0.65)


def test_aubc_of_a_flat_curve_is_its_height():
    assert aubc(curve((1000, 0.3), (1001, 0.3), (5000, 0.3))) == pytest.approx(0.3)


def test_aubc_of_one_point_is_its_accuracy():
    assert aubc(curve((50, 0.42))) == 0.42


def test_paired_difference_is_computed_per_seed():
    # differences 0.1, 0.1, 0.1 although the values of the seeds differ much: no spread remains
    ours, theirs = flat({0: 0.9, 1: 0.5, 2: 0.2}), flat({0: 0.8, 1: 0.4, 2: 0.1})
    found = paired_difference(ours, theirs)
    assert found.mean == pytest.approx(0.1)
    assert found.interval == pytest.approx((0.1, 0.1))


def test_paired_difference_ignores_seeds_of_only_one_method():
    found = paired_difference(flat({0: 0.9, 7: 0.0}), flat({0: 0.8, 3: 1.0}))
    assert (found.mean, found.count) == (pytest.approx(0.1), 1)
    assert paired_difference(flat({1: 0.5}), flat({2: 0.5})) is None


def test_aubc_difference_uses_the_common_range_of_annotations():
    """Otherwise a method with fewer labels would be compared only on its steep first part."""
    random = curve((20, 0.2), (40, 0.4), (80, 0.8))
    frugal = curve((20, 0.2), (30, 0.3), (60, 0.6))  # the same line, up to three quarters
    assert aubc(frugal) < aubc(random)
    assert aubc_difference(frugal, random) == pytest.approx(0)
    better = curve((20, 0.3), (30, 0.4), (60, 0.7))
    assert aubc_difference(better, random) == pytest.approx(0.1)
    assert aubc_difference(random, better) == pytest.approx(-0.1)
    assert aubc_difference(curve((10, 0.5)), random) is None


def test_accuracy_at_interpolates_and_is_none_outside_the_curve():
    single_curve = curve((20, 0.2), (40, 0.6))
    assert accuracy_at(single_curve, 25) == pytest.approx(0.3)
    assert accuracy_at(single_curve, 40) == 0.6
    assert accuracy_at(single_curve, 41) is None
    assert accuracy_at(single_curve, 19) is None


def test_annotations_at_interpolates_the_first_crossing():
    single_curve = curve((100, 0.5), (200, 0.7), (300, 0.6), (400, 0.9))
    # first crossing, although the curve falls later
    assert annotations_at(single_curve, 0.6) == pytest.approx(150)
    assert annotations_at(single_curve, 0.8) == pytest.approx(300 + 100 * 2 / 3)
    assert annotations_at(single_curve, 0.4) == 100
    assert annotations_at(single_curve, 0.95) is None


def test_labels_saved_is_measured_at_the_accuracy_both_reach():
    random = curve((50, 0.5), (100, 0.6), (150, 0.7))
    better = curve((50, 0.5), (100, 0.7), (150, 0.8))
    # both reach 0.7: random at 150, better at 100
    assert labels_saved(better, random) == pytest.approx(50)
    assert labels_saved(random, better) == pytest.approx(-50)
    assert labels_saved(random, random) == 0


def test_labels_saved_uses_the_last_crossing_of_a_falling_curve():
    random = curve((50, 0.74), (60, 0.72), (100, 0.75), (150, 0.76))
    falling = curve((50, 0.74), (60, 0.76), (100, 0.50), (150, 0.55))
    # random is never below 0.55; falling stays above 0.55 only from its last point on
    assert labels_saved(falling, random) == pytest.approx(50 - 150)
    assert labels_saved(random, falling) == pytest.approx(100)


def test_labels_saved_uses_the_point_where_curves_stay_above():
    bumpy = curve((10, 0.5), (20, 0.7), (30, 0.5), (40, 0.7))
    steady = curve((10, 0.5), (20, 0.6), (30, 0.7), (40, 0.8))
    # they stay at 0.7 from 40 and from 30
    assert labels_saved(steady, bumpy) == pytest.approx(10)


def test_mean_curve_ends_with_the_shortest_trial():
    mean = mean_curve([curve((10, 0.2), (20, 0.4), (30, 0.6)), curve((10, 0.4), (20, 0.8))])
    assert mean.annotations == (10, 20)
    assert mean.accuracies == pytest.approx((0.3, 0.6))
