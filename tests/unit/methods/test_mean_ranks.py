"""Mean ranks with ties, compared with SciPy."""

import numpy as np
import pytest

from dgaal_cli.methods.base import mean_ranks


@pytest.mark.parametrize(
    "values",
    [
        np.array([3.0, 1.0, 3.0, 2.0]),
        np.random.default_rng(0).integers(0, 7, 500),
        np.random.default_rng(1).normal(size=500).astype(np.float32),
        np.zeros(4),
        np.array([5.0]),
        np.array([]),
    ],
)
def test_mean_ranks_equal_scipy(values):
    stats = pytest.importorskip("scipy.stats")
    assert np.array_equal(mean_ranks(values), stats.rankdata(values))
