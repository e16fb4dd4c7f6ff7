"""Intervals by drawing cases anew."""

import numpy as np
import pytest
from scipy import stats

from ldseg.evaluation import bootstrap
from ldseg.evaluation.bootstrap import FEWEST, bootstrap_interval, bootstrap_intervals, resampled_means


def test_the_interval_is_the_textbooks() -> None:
    """For many cases it nears mean ± 1.96 std / √n; it is the same for the same seed, and for SciPy's own bootstrap."""
    rng = np.random.default_rng(0)
    values = rng.beta(8, 2, 400)
    low, high = bootstrap_interval(values, seed=1)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert bootstrap_interval(values, seed=1) == (low, high) != bootstrap_interval(values, seed=2)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=rng).confidence_interval
    assert (low, high) == pytest.approx(theirs, abs=0.1 * half)
    assert bootstrap_interval([0.5] * 6, seed=0) == (0.5, 0.5)
    assert np.isnan(bootstrap_interval([0.4, 0.5, 0.6], seed=0)).all()  # which would hold the mean far less often


@pytest.mark.parametrize("held", [1, 1000, 1 << 21])
def test_means_are_those_of_sets_that_are_drawn_one_by_one(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few sets are in memory at a time."""
    monkeypatch.setattr(bootstrap, "HELD", held)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    values = np.random.default_rng(1).random((300, 2))
    drawn = np.random.default_rng(7).integers(300, size=(50, 300))
    np.testing.assert_allclose(resampled_means(values, seed=7), values[drawn].mean(axis=1), rtol=1e-12)


def test_columns_have_the_interval_that_they_have_alone() -> None:
    rng = np.random.default_rng(2)
    columns = {"a": rng.random(40), "b": rng.random(40), "c": rng.random(30), "d": rng.random(FEWEST - 1)}
    found = bootstrap_intervals(columns, seed=3)
    assert list(found) == list(columns) and np.isnan(found["d"]).all()
    for name, column in columns.items():
        assert found[name] == pytest.approx(bootstrap_interval(column, seed=3), rel=1e-12, nan_ok=True)
