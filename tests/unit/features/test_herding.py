"""MaxHerding and the kernel critic: the picks of the plain rules, for any order of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgaal_cli.features import herding, kernel, lazy_greedy
from dgaal_cli.features.herding import kernel_herding, max_herding
from dgaal_cli.features.kernel import GaussianKernel, kernel_for, sample

RULES = {"max_herding": max_herding, "kernel_herding": kernel_herding}
EVERY = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def gram(rows, width):
    """Return all kernel values, one pair at a time."""
    rows = rows.astype(np.float64)
    return np.exp(-((rows[:, None] - rows[None]) ** 2).sum(axis=2) / (2 * width**2))


def coverage(values, chosen):
    return values[:, chosen].max(axis=1).mean() if len(chosen) else 0.0


def witness(values, chosen):
    """Return the closed form of the critic at each row."""
    means = values.mean(axis=1)
    return means - values[:, chosen].mean(axis=1) if len(chosen) else means


def plain_values(rule, values, chosen):
    """Return the value of every row by the definition of a rule."""
    if rule is kernel_herding:
        return witness(values, chosen)
    covered = coverage(values, chosen)
    return np.array([coverage(values, [*chosen, row]) - covered for row in range(len(values))])


def plain_picks(rule, rows, ids, labeled, count):
    """Pick by computing every value before each pick."""
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)
    chosen, picks = list(labeled), []
    for _ in range(min(count, len(rows) - len(labeled))):
        current = plain_values(rule, values, chosen)
        current[chosen] = -np.inf
        tied = np.flatnonzero(current >= current.max() - lazy_greedy.TIE)
        picks.append(int(tied[ids[tied].argmin()]))
        chosen.append(picks[-1])
    return picks


@st.composite
def pools(draw):
    """Draw rows with duplicates, shuffled ids, labeled positions and a number of picks."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 40))
    rows = generator.standard_normal((count, draw(st.integers(1, 5))))
    rows += 3 * generator.integers(0, 3, (count, 1))
    if draw(st.booleans()):
        rows = rows[generator.integers(0, count, count)]
    ids = generator.permutation(1000)[:count]
    labeled = generator.permutation(count)[: draw(st.integers(0, count))]
    return rows.astype(np.float16), ids, labeled, draw(st.integers(0, 12))


@EVERY
@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_picks_are_those_of_the_plain_rule(rule, pool):
    rows, ids, labeled, count = pool
    picks = rule(rows, ids, labeled, count)
    assert picks.positions.tolist() == plain_picks(rule, rows, ids, labeled, count)


@settings(max_examples=30, deadline=None)
@given(pool=pools())
def test_picks_are_the_same_if_kernel_values_are_computed_again(pool):
    rows, ids, labeled, count = pool
    kept = max_herding(rows, ids, labeled, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "MAX_KEPT", 0)
        again = max_herding(rows, ids, labeled, count)
    assert kept.positions.tolist() == again.positions.tolist()


@EVERY
@settings(max_examples=40, deadline=None)
@given(pool=pools(), seed=st.integers(0, 1000))
def test_order_of_rows_does_not_change_the_picks(rule, pool, seed):
    rows, ids, labeled, count = pool
    order = np.random.default_rng(seed).permutation(len(rows))
    moved = rule(rows[order], ids[order], np.flatnonzero(np.isin(order, labeled)), count)
    same = rule(rows, ids, labeled, count)
    assert ids[order][moved.positions].tolist() == ids[same.positions].tolist()
    np.testing.assert_allclose(moved.values, same.values, atol=1e-9)


@EVERY
def test_order_of_rows_does_not_change_the_landmarks_of_a_large_pool(rule, monkeypatch):
    monkeypatch.setattr(herding, "LANDMARKS", 50)
    rows, ids = clustered(600), np.random.default_rng(1).permutation(5000)[:600]
    order = np.random.default_rng(2).permutation(600)
    same = rule(rows, ids, np.array([3]), 10)
    moved = rule(rows[order], ids[order], np.flatnonzero(order == 3), 10)
    assert ids[order][moved.positions].tolist() == ids[same.positions].tolist()


def clustered(count):
    """Return rows (count, 8) around ten centers of different frequency."""
    generator = np.random.default_rng(0)
    centers = 3 * generator.standard_normal((10, 8))
    return centers[np.minimum(generator.geometric(0.3, count), 10) - 1] + generator.standard_normal(
        (count, 8)
    )


@EVERY
def test_blocks_do_not_change_the_picks(rule, monkeypatch):
    rows, ids = clustered(500), np.arange(500)
    whole = rule(rows, ids, np.arange(30), 20)
    monkeypatch.setattr(kernel, "BLOCK", 7)
    monkeypatch.setattr(lazy_greedy, "_FIRST_PART", 3)
    assert rule(rows, ids, np.arange(30), 20).positions.tolist() == whole.positions.tolist()


def test_coverage_grows_and_its_gains_fall():
    rows, ids = clustered(400), np.arange(400)
    picks = max_herding(rows, ids, np.array([], np.int64), 40)
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)
    reached = [coverage(values, picks.positions[:n]) for n in range(41)]
    np.testing.assert_allclose(np.diff(reached), picks.values, atol=1e-12)
    assert (picks.values > 0).all()
    assert (np.diff(picks.values) <= 1e-12).all()


def test_critic_is_the_closed_form_of_the_witness():
    rows, ids = clustered(300), np.arange(300)
    labeled = np.arange(0, 300, 29)
    values = gram(rows, kernel_for(rows, ids, scale=0.7).width)
    picks = kernel_herding(rows, ids, labeled, 5, scale=0.7)
    np.testing.assert_allclose(picks.scores, witness(values, labeled), atol=1e-12)
    for number, position in enumerate(picks.positions):
        known = np.concatenate([labeled, picks.positions[:number]])
        expected = witness(values, known)[position]
        np.testing.assert_allclose(picks.values[number], expected, atol=1e-12)


def test_critics_picks_bring_labels_closer_to_the_pool_than_random_ones():
    rows, ids = clustered(500), np.arange(500)
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)

    def discrepancy(chosen):
        cross = values[:, chosen].mean()
        return values.mean() - 2 * cross + values[np.ix_(chosen, chosen)].mean()

    picked = discrepancy(kernel_herding(rows, ids, np.array([], np.int64), 20).positions)
    generator = np.random.default_rng(0)
    random = [discrepancy(generator.permutation(500)[:20]) for _ in range(50)]
    assert picked < 0.5 * min(random)


def test_landmarks_reach_nearly_the_coverage_of_the_whole_pool(monkeypatch):
    rows, ids, none = clustered(1000), np.arange(1000), np.array([], np.int64)
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)
    monkeypatch.setattr(herding, "LANDMARKS", 1000)
    whole = coverage(values, max_herding(rows, ids, none, 20).positions)
    monkeypatch.setattr(herding, "LANDMARKS", 200)
    assert coverage(values, max_herding(rows, ids, none, 20).positions) > 0.97 * whole


def test_copies_of_a_labeled_row_add_no_coverage():
    rows = np.concatenate([np.zeros((20, 3)), clustered(10)[:, :3] + 5])
    picks = max_herding(rows, np.arange(30), np.array([4]), 10)
    assert set(picks.positions.tolist()) == set(range(20, 30))


@EVERY
def test_equal_rows_are_picked_by_id(rule):
    ids = np.array([5, 3, 9, 1])
    picks = rule(np.ones((4, 2)), ids, np.array([], np.int64), 9)
    assert ids[picks.positions].tolist() == [1, 3, 5, 9]


@EVERY
def test_nothing_is_left_if_all_have_labels(rule):
    picks = rule(clustered(3), np.arange(3), np.arange(3), 2)
    assert len(picks.positions) == len(picks.values) == 0


def test_kernel_values_do_not_depend_on_a_common_offset():
    rows = clustered(50)
    own = GaussianKernel(rows.mean(axis=0), 2.0)
    np.testing.assert_allclose(
        own(own.read(rows, slice(None)), own.read(rows, np.arange(3))),
        gram(rows + 1000, 2.0)[:, :3],
        atol=1e-9,
    )


def test_sample_depends_on_ids_only():
    ids = np.random.default_rng(0).permutation(10_000)[:1000]
    order = np.random.default_rng(1).permutation(1000)
    assert ids[sample(ids, 100)].tolist() == ids[order][sample(ids[order], 100)].tolist()
    assert len(set(sample(ids, 100).tolist())) == 100
    assert sample(ids, 5000).tolist() == np.argsort(ids).tolist()


class WithoutRefit:
    """A broken criterion: values stay those before the first pick, as in a batch chosen at once."""

    def __init__(self, criterion):
        self._criterion = criterion

    def add(self, position):
        pass

    def __getattr__(self, name):
        return getattr(self._criterion, name)


class StaleBounds(WithoutRefit):
    """A broken criterion: old values count as current ones."""

    def add(self, position):
        self._criterion.add(position)

    def is_exact(self):
        return np.ones(len(self._criterion.bounds()), np.bool_)


@EVERY
@pytest.mark.parametrize("broken", [WithoutRefit, StaleBounds])
def test_control_broken_criterion_is_caught(rule, broken, monkeypatch):
    rows, ids, labeled = clustered(200), np.arange(200), np.arange(5)
    pick = lazy_greedy.pick_greedily

    def pick_wrongly(criterion, *arguments):
        return pick(broken(criterion), *arguments)

    expected = plain_picks(rule, rows, ids, labeled, 10)
    assert rule(rows, ids, labeled, 10).positions.tolist() == expected
    monkeypatch.setattr(herding, "pick_greedily", pick_wrongly)
    assert rule(rows, ids, labeled, 10).positions.tolist() != expected


@settings(max_examples=40, deadline=None)
@given(pool=pools(), seed=st.integers(0, 1000))
def test_uncertainty_herding_covers_uncertain_rows(pool, seed):
    rows, ids, labeled, count = pool
    weights = np.random.default_rng(seed).integers(0, 3, len(rows)) / 2
    picks = max_herding(rows, ids, labeled, count, weights=weights)
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)
    chosen = [*labeled]
    for position, value in zip(picks.positions, picks.values, strict=True):
        nearest = values[:, chosen].max(axis=1) if chosen else np.zeros(len(rows))
        gains = (weights[:, None] * np.maximum(values - nearest[:, None], 0)).mean(axis=0)
        gains[chosen] = -np.inf
        assert value == pytest.approx(gains.max(), abs=1e-9)
        assert gains[position] == pytest.approx(gains.max(), abs=1e-8)
        chosen.append(int(position))


def test_equal_uncertainties_give_max_herding():
    rows = np.random.default_rng(4).standard_normal((90, 6))
    ids, labeled = np.arange(90), np.arange(5)
    plain = max_herding(rows, ids, labeled, 12)
    weighted = max_herding(rows, ids, labeled, 12, weights=np.ones(90))
    assert plain.positions.tolist() == weighted.positions.tolist()
    assert np.allclose(plain.values, weighted.values)


def test_control_uncertainties_change_the_picks():
    rows = np.random.default_rng(4).standard_normal((90, 6))
    weights = (np.arange(90) >= 60).astype(float)
    picks = max_herding(rows, np.arange(90), np.arange(0), 6, weights=weights)
    assert (
        picks.positions.tolist()
        != max_herding(rows, np.arange(90), np.arange(0), 6).positions.tolist()
    )


@settings(max_examples=30, deadline=None)
@given(pool=pools(), seed=st.integers(0, 1000))
def test_weighted_critic_is_the_witness_of_the_weighted_pool(pool, seed):
    rows, ids, labeled, count = pool
    weights = np.random.default_rng(seed).integers(1, 4, len(rows)).astype(float)
    picks = kernel_herding(rows, ids, labeled, count, weights=weights)
    values = gram(rows, kernel_for(rows, ids, scale=1.0).width)
    chosen = [*labeled]
    for value in picks.values:
        expected = values @ weights / weights.sum()
        expected -= values[:, chosen].mean(axis=1) if chosen else 0.0
        expected[chosen] = -np.inf
        assert value == pytest.approx(expected.max(), abs=1e-9)
        chosen.append(int(picks.positions[len(chosen) - len(labeled)]))
