"""Intervals of figures of a set by drawing its cases anew, in memory that does not grow with the set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

K = TypeVar("K")

LEVEL = 0.95
RESAMPLES = 2000

FEWEST = 6
"""Cases from which on there is an interval: that of fewer holds the mean far less often than it says."""

HELD = 1 << 21
"""Numbers of a table that is in memory at a time, about."""


def _drawn(n: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """The cases (rows, n) of all `RESAMPLES` sets of n cases that the seed draws from n, some sets at a time."""
    rng, rows = np.random.default_rng(seed), max(1, HELD // n)
    for start in range(0, RESAMPLES, rows):
        yield rng.integers(n, size=(min(rows, RESAMPLES - start), n))


def resampled_means(values: npt.ArrayLike, seed: int) -> npt.NDArray[np.float64]:
    """The means (RESAMPLES, m) of m figures over sets that are drawn from n cases with replacement.

    How often each case is drawn is counted once for all figures: a mean is the product with these counts.

    Args:
        values: figures of each case, finite, (n, m).
        seed: of the draws.
    """
    table = np.asarray(values, np.float64)
    n, found = len(table), []
    for cases in _drawn(n, seed):
        rows = len(cases)
        cases += n * np.arange(rows)[:, np.newaxis]
        counts = np.bincount(cases.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
        found.append(np.einsum("rn,nm->rm", counts, table) / n)  # a product of matrices keeps all cores waiting
    return np.concatenate(found)


def ends(drawn: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the interval that holds `LEVEL` of what was drawn; NaN does not count."""
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bootstrap_intervals(columns: Mapping[K, npt.ArrayLike], seed: int) -> dict[K, tuple[float, float]]:
    """Ends of the percentile bootstrap interval (95 %) of the mean of each column; NaN for fewer values than ``FEWEST``.

    The interval is that of Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13. Columns of one length
    share their draws, so that each has the interval that it has alone.

    Args:
        columns: finite values (n,) by any key; their lengths may differ.
        seed: of the draws.
    """
    tables = {key: np.asarray(column, np.float64) for key, column in columns.items()}
    found = dict.fromkeys(tables, (math.nan, math.nan))
    for n in {column.size for column in tables.values() if column.size >= FEWEST}:
        own = [key for key, column in tables.items() if column.size == n]
        means = resampled_means(np.stack([tables[key] for key in own], axis=1), seed)
        found |= {key: ends(means[:, index]) for index, key in enumerate(own)}
    return found


def bootstrap_interval(values: npt.ArrayLike, seed: int) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval (95 %) of the mean of values (n,); NaN for fewer than ``FEWEST``."""
    return bootstrap_intervals({"": values}, seed)[""]
