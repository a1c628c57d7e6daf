"""Standardized rows of a pool."""

import numpy as np
import pytest

from dgaal_cli.features.standardized import StandardizedRows, UnitRows

ROWS = (np.random.default_rng(0).normal(size=(50, 6)) * 3 + 100).astype(np.float16)


def test_every_feature_has_mean_zero_and_deviation_one_over_the_pool():
    rows = np.asarray(StandardizedRows.of_pool(ROWS))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=1e-4)


def test_mean_and_deviation_do_not_depend_on_the_size_of_blocks(monkeypatch):
    whole = StandardizedRows.of_pool(ROWS)
    monkeypatch.setattr("dgaal_cli.features.standardized._BLOCK", 7)
    parts = StandardizedRows.of_pool(ROWS)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-5)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-5)


def test_chosen_rows_are_those_of_the_array():
    pool = StandardizedRows.of_pool(ROWS)
    whole = np.asarray(pool)
    mask = np.arange(50) % 3 == 0
    for which in (slice(5, 9), np.array([4, 1, 1]), mask):
        chosen = pool[which]
        np.testing.assert_array_equal(np.asarray(chosen), whole[which])
        assert len(chosen) == len(whole[which])
    np.testing.assert_array_equal(np.asarray(pool[mask][1:3]), whole[mask][1:3])


def test_a_constant_feature_is_zero():
    constant = np.ones((9, 2), np.float16)
    constant[:, 1] = np.arange(9)
    assert not np.asarray(StandardizedRows.of_pool(constant))[:, 0].any()


def test_other_rows_are_standardized_by_the_pool():
    pool = StandardizedRows.of_pool(ROWS)
    np.testing.assert_array_equal(np.asarray(pool.like_pool(ROWS[3:5])), np.asarray(pool[3:5]))


def test_no_row_is_read_before_it_is_needed():
    class Unreadable:
        shape = (4, 2)

        def __len__(self):
            return 4

        def __getitem__(self, which):
            raise OSError("read")

    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    chosen = StandardizedRows(Unreadable(), zeros, ones)[1:3]
    with pytest.raises(OSError, match="read"):
        np.asarray(chosen)


def test_unit_rows_have_length_one_and_their_product_is_the_cosine_of_standardized_rows():
    pool = StandardizedRows.of_pool(ROWS)
    found, whole = UnitRows(pool)[np.array([7, 2])], np.asarray(pool)[[7, 2]]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    cosine = whole[0] @ whole[1] / np.prod(np.linalg.norm(whole, axis=1))
    assert found[0] @ found[1] == pytest.approx(cosine, abs=1e-6)
    assert len(UnitRows(pool)) == 50


def test_a_row_of_zeros_stays_zero():
    same = np.ones((3, 4), np.float16)
    assert not UnitRows(StandardizedRows.of_pool(same))[:].any()
