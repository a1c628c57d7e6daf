"""Every statistic against a value worked out by hand."""

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


def test_the_interval_of_three_values_is_students():
    # mean 2, s = 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3) = 2.484138
    found = estimate([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.interval == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-5)
    assert found.count == 3


def test_the_interval_of_five_values_uses_four_degrees_of_freedom():
    # values 1..5: s = sqrt(2.5), t(0.975, 4) = 2.776445
    low, high = estimate([1, 2, 3, 4, 5]).interval
    assert (high - low) / 2 == pytest.approx(2.776445 * math.sqrt(2.5) / math.sqrt(5), abs=1e-5)


def test_equal_values_have_an_interval_of_no_width():
    assert estimate([0.5, 0.5]).interval == (0.5, 0.5)


def test_one_value_has_no_interval():
    assert estimate([0.7]).interval is None


def test_aubc_is_the_trapezoid_over_the_range_of_labels():
    # 10..20 at mean 0.5, 20..50 at mean 0.7: (10 * 0.5 + 30 * 0.7) / 40 = 0.65
    assert aubc(curve((10, 0.4), (20, 0.6), (50, 0.8))) == pytest.approx(0.65)


def test_aubc_of_a_flat_curve_is_its_height_wherever_it_begins():
    assert aubc(curve((1000, 0.3), (1001, 0.3), (5000, 0.3))) == pytest.approx(0.3)


def test_aubc_of_one_point_is_its_accuracy():
    assert aubc(curve((50, 0.42))) == 0.42


def test_a_paired_difference_is_taken_seed_by_seed():
    # differences 0.1, 0.1, 0.1 although the seeds lie far apart: no spread is left
    ours, theirs = flat({0: 0.9, 1: 0.5, 2: 0.2}), flat({0: 0.8, 1: 0.4, 2: 0.1})
    found = paired_difference(ours, theirs)
    assert found.mean == pytest.approx(0.1)
    assert found.interval == pytest.approx((0.1, 0.1))


def test_seeds_that_only_one_has_are_left_out_of_a_paired_difference():
    found = paired_difference(flat({0: 0.9, 7: 0.0}), flat({0: 0.8, 3: 1.0}))
    assert (found.mean, found.count) == (pytest.approx(0.1), 1)
    assert paired_difference(flat({1: 0.5}), flat({2: 0.5})) is None


def test_areas_are_compared_over_the_annotations_that_both_curves_have():
    """A method that spends less would else be compared on its steep first part alone."""
    random = curve((20, 0.2), (40, 0.4), (80, 0.8))
    frugal = curve((20, 0.2), (30, 0.3), (60, 0.6))  # the same line, three quarters of the way
    assert aubc(frugal) < aubc(random)
    assert aubc_difference(frugal, random) == pytest.approx(0)
    better = curve((20, 0.3), (30, 0.4), (60, 0.7))
    assert aubc_difference(better, random) == pytest.approx(0.1)
    assert aubc_difference(random, better) == pytest.approx(-0.1)
    assert aubc_difference(curve((10, 0.5)), random) is None


def test_an_accuracy_at_a_count_lies_on_the_line_and_nowhere_outside():
    own = curve((20, 0.2), (40, 0.6))
    assert accuracy_at(own, 25) == pytest.approx(0.3)
    assert accuracy_at(own, 40) == 0.6
    assert accuracy_at(own, 41) is None
    assert accuracy_at(own, 19) is None


def test_an_accuracy_between_two_points_is_interpolated():
    own = curve((100, 0.5), (200, 0.7), (300, 0.6), (400, 0.9))
    assert annotations_at(own, 0.6) == pytest.approx(150)  # first reached, though it falls again
    assert annotations_at(own, 0.8) == pytest.approx(300 + 100 * 2 / 3)
    assert annotations_at(own, 0.4) == 100
    assert annotations_at(own, 0.95) is None


def test_labels_saved_counts_to_the_accuracy_that_both_reach():
    random = curve((50, 0.5), (100, 0.6), (150, 0.7))
    better = curve((50, 0.5), (100, 0.7), (150, 0.8))
    # both reach 0.7: random at 150, the better at 100
    assert labels_saved(better, random) == pytest.approx(50)
    assert labels_saved(random, better) == pytest.approx(-50)
    assert labels_saved(random, random) == 0


def test_a_curve_that_falls_after_a_peak_saves_no_labels():
    random = curve((50, 0.74), (60, 0.72), (100, 0.75), (150, 0.76))
    falling = curve((50, 0.74), (60, 0.76), (100, 0.50), (150, 0.55))
    # random never lies below 0.55; the other one has left it behind for good at the very end
    assert labels_saved(falling, random) == pytest.approx(50 - 150)
    assert labels_saved(random, falling) == pytest.approx(100)


def test_two_curves_are_compared_from_where_they_stay_above():
    bumpy = curve((10, 0.5), (20, 0.7), (30, 0.5), (40, 0.7))
    steady = curve((10, 0.5), (20, 0.6), (30, 0.7), (40, 0.8))
    # at 0.7 for good: 40 and 30
    assert labels_saved(steady, bumpy) == pytest.approx(10)


def test_a_mean_curve_stops_where_the_shortest_trial_stopped():
    mean = mean_curve([curve((10, 0.2), (20, 0.4), (30, 0.6)), curve((10, 0.4), (20, 0.8))])
    assert mean.annotations == (10, 20)
    assert mean.accuracies == pytest.approx((0.3, 0.6))
