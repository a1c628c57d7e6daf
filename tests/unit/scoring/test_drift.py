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


def found(new: np.ndarray, pool: np.ndarray = POOL) -> Drift:
    result = measure(pool, new)
    assert result is not None
    return result


@pytest.mark.parametrize("images", [50, 200, 1000, 20_000])
def test_images_of_the_same_kind_do_not_drift_however_few_they_are(images: int) -> None:
    levels = [found(RNG.normal(0, 1, images)).level for _ in range(20)]
    assert levels.count("none") >= 19
    assert "strong" not in levels


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (-1.0, 1.0), (0.0, 3.0), (0.0, 0.2)])
def test_other_centers_and_spreads_are_strong_drift(shift: float, scale: float) -> None:
    assert found(RNG.normal(shift, scale, 1000)).level == "strong"


def test_a_small_shift_is_some_drift() -> None:
    assert found(RNG.normal(0.42, 1, 20_000)).level == "some"


def test_the_distance_is_that_of_kolmogorov_and_smirnov_at_the_percentiles() -> None:
    new = RNG.normal(0.5, 1, 5_000).astype(np.float32)
    bounds = np.quantile(POOL, np.linspace(0, 1, 101))
    expected = max(
        abs(np.mean(new <= bound) - np.mean(bound >= POOL)) for bound in bounds.astype(np.float32)
    )
    assert abs(found(new).ks - expected) < 0.002


def test_the_index_is_the_textbook_one_up_to_its_smoothing() -> None:
    new = RNG.normal(0.5, 1, 5_000)
    edges = [-np.inf, *np.quantile(POOL, np.linspace(0.1, 0.9, 9)), np.inf]
    share = np.histogram(new, edges)[0] / len(new)
    expected = float(((share - 0.1) * np.log(share / 0.1)).sum())
    assert abs(found(new).psi - expected) < 0.01


def test_a_pool_of_ties_does_not_drift_from_itself() -> None:
    pool = np.repeat(np.array([0.0, 1.0, 5.0], np.float32), (500, 300, 200))
    same = found(pool, pool)
    assert same.level == "none"
    assert same.ks < 0.02
    assert found(np.zeros(1000, np.float32), pool).level == "strong"


def test_a_pool_of_one_score_is_told_from_another_score() -> None:
    pool = np.full(1000, 2.0, np.float32)
    assert found(pool, pool).ks < 0.02
    assert found(pool + 1, pool).ks == 1.0


def test_the_result_does_not_depend_on_how_scores_come() -> None:
    new = RNG.normal(0.3, 1, 999)
    assert measure(POOL, new, block=1) == measure(POOL, new, block=999)


def test_without_percentiles_or_with_few_images_nothing_is_said() -> None:
    assert measure(POOL, POOL[: MIN_IMAGES - 1]) is None
    meter = DriftMeter(())
    meter.add(POOL)
    assert meter.result() is None


def test_each_level_has_a_sentence_with_its_figures() -> None:
    for level in ("none", "some", "strong"):
        text = Drift(psi=0.314, ks=0.271, images=99, level=level).sentence()
        assert "0.31" in text
        assert "0.27" in text
    assert "train again" in text
