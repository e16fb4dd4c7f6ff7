"""Distances to the nearest point, against all distances between points."""

import math

import numpy as np
import pytest

from ldseg.evaluation.nearest import nearest


@pytest.mark.parametrize(
    ("size", "steps"),
    [
        *(((400,), (0.5,)), ((60, 70), (1, 1)), ((60, 70), (0.3, 0.8)), ((60, 70), (2, 0.1))),
        *(((20, 24, 28), (3.0, 0.7, 0.7)), ((20, 24, 28), (0.7, 3.0, 0.7)), ((20, 24, 28), (0.7, 0.7, 0.2))),
        *(((20, 24, 28), (3.0, 0.7, 1.1)), ((1, 24, 28), (3.0, 0.7, 1.1)), ((20, 1, 28), (1, 1, 1))),
    ],
)
@pytest.mark.parametrize("count", [1, 200])
def test_every_distance_is_the_least(size: tuple[int, ...], steps: tuple[float, ...], count: int) -> None:
    random = np.random.default_rng(0)
    points, others = (np.stack([random.integers(0, n, each) for n in size], axis=1) for each in (150, count))
    expected = np.linalg.norm((points[:, np.newaxis] - others) * np.array(steps), axis=-1).min(axis=1)
    np.testing.assert_allclose(nearest(points, others, steps), expected, rtol=1e-12, atol=1e-12)


def test_none_is_near() -> None:
    none, some = np.zeros((0, 2), int), np.zeros((3, 2), int)
    assert nearest(some, none, (1, 1), 7.0).tolist() == [7, 7, 7]
    assert nearest(some, none, (1, 1)).tolist() == [math.inf] * 3
    assert nearest(none, some, (1, 1)).tolist() == []


def test_long_planes() -> None:
    points, others = np.array([[0, 0], [3, 2900]]), np.array([[2999, 7], [0, 2999]])
    expected = [2999.0, math.hypot(3, 99)]
    np.testing.assert_allclose(nearest(points, others, (1, 1)), expected, rtol=1e-6)
