"""Population stability index and KS distance against a training pool's percentiles."""

import numpy as np
import pytest

from dgaal_cli.scoring.drift import MIN_IMAGES, Drift, DriftMeter


def quantiles(scores: np.ndarray) -> tuple[float, ...]:
    return tuple(np.quantile(scores, np.linspace(0, 1, 101)).tolist())


def measure(pool: np.ndarray, new: np.ndarray, *, block: int = 64) -> Drift | None:
    meter = DriftMeter(quantiles(pool))
    for start in range(0, len(new), block):
        meter.add(new[start : start + block].astype(np.float32))
    return meter.result()


RNG = np.random.default_rng(0)
POOL = RNG.normal(0, 1, 20_000).astype(np.float32)


def measured(new: np.ndarray, pool: np.ndarray = POOL) -> Drift:
    result = measure(pool, new)
    assert result is not None
    return result


@pytest.mark.parametrize("images", [50, 200, 1000, 20_000])
def test_images_of_the_same_distribution_show_no_strong_drift(images: int) -> None:
    levels = [measured(RNG.normal(0, 1, images)).level for _ in range(20)]
    assert levels.count("none") >= 19
    assert "strong" not in levels


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (-1.0, 1.0), (0.0, 3.0), (0.0, 0.2)])
def test_different_mean_or_spread_is_strong_drift(shift: float, scale: float) -> None:
    assert measured(RNG.normal(shift, scale, 1000)).level == "strong"


def test_a_small_shift_is_some_drift() -> None:
    assert measured(RNG.normal(0.42, 1, 20_000)).level == "some"


def test_ks_is_the_kolmogorov_smirnov_distance_at_the_percentiles() -> None:
    new = RNG.normal(0.5, 1, 5_000).astype(np.float32)
    bounds = np.quantile(POOL, np.linspace(0, 1, 101))
    expected = max(
        abs(np.mean(new <= bound) - np.mean(bound >= POOL)) for bound in bounds.astype(np.float32)
    )
    assert abs(measured(new).ks - expected) < 0.002


def test_psi_equals_the_textbook_value_up_to_smoothing() -> None:
    new = RNG.normal(0.5, 1, 5_000)
    edges = [-np.inf, *np.quantile(POOL, np.linspace(0.1, 0.9, 9)), np.inf]
    share = np.histogram(new, edges)[0] / len(new)
    expected = float(((share - 0.1) * np.log(share / 0.1)).sum())
    assert abs(measured(new).psi - expected) < 0.01


def test_pool_with_ties_does_not_drift_from_itself() -> None:
    pool = np.repeat(np.array([0.0, 1.0, 5.0], np.float32), (500, 300, 200))
    drift = measured(pool, pool)
    assert drift.level == "none"
    assert drift.ks < 0.02
    assert measured(np.zeros(1000, np.float32), pool).level == "strong"


def test_rounding_of_equal_scores_is_no_drift() -> None:
    """Two in five images are labeled; their scores are 0 but for what engines round."""
    noise = RNG.normal(0, 1e-10, 400)
    pool = np.concatenate([noise, np.abs(RNG.normal(4e-4, 1e-4, 600))]).astype(np.float32)
    again = np.where(np.arange(1000) < 400, 0, pool).astype(np.float32)
    assert measured(again, pool).level == "none"
    assert measured(pool, again).level == "none"
    assert measured(np.roll(again, 1)[again > 0], pool).level == "strong"


def test_constant_pool_drifts_from_another_constant() -> None:
    pool = np.full(1000, 2.0, np.float32)
    assert measured(pool, pool).ks < 0.02
    assert measured(pool + 1, pool).ks == 1.0


def test_drift_does_not_depend_on_the_block_size() -> None:
    new = RNG.normal(0.3, 1, 999)
    assert measure(POOL, new, block=1) == measure(POOL, new, block=999)


def test_drift_is_none_without_percentiles_or_with_few_images() -> None:
    assert measure(POOL, POOL[: MIN_IMAGES - 1]) is None
    meter = DriftMeter(())
    meter.add(POOL)
    assert meter.result() is None


def test_every_level_has_a_sentence_with_its_figures() -> None:
    for level in ("none", "some", "strong"):
        text = Drift(psi=0.314, ks=0.271, images=99, level=level).sentence()
        assert "0.31" in text
        assert "0.27" in text
    assert "train again" in text
