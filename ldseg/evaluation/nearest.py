"""How far points of a grid lie from the nearest of others.

Within a plane a distance transform tells; from plane to plane those around a point are gone through until none can be
nearer, since squares of distances along axes add up (Saito and Toriwaki, New algorithms for Euclidean distance
transformation, Pattern Recognition 27, 1994). Memory grows with the box around the points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ALIKE = 1e-6
"""How much steps along two axes may differ, relative to each other, and count as one."""


def nearest(points: IntArray, others: IntArray, steps: Sequence[float] | FloatArray, far: float = math.inf) -> FloatArray:
    """The distance from each point to the nearest of the others, `far` where there are none.

    Args:
        points: indices of pixels (n, d), d up to 3.
        others: likewise (m, d).
        steps: size of a pixel along each of the d axes.
        far: the distance where there are no others.

    Returns:
        float64 (n,), in the unit of the steps; where planes are longer than 2000 pixels, to seven digits.
    """
    if not len(points) or not len(others):
        return np.full(len(points), far)
    axes = _axes([float(step) for step in steps])
    unit = [float(steps[axes[-1] if axis is None else axis]) for axis in axes]  # type: ignore[index]
    low = np.minimum(points.min(axis=0), others.min(axis=0))
    here, there = (
        np.stack([np.zeros(len(each), int) if axis is None else each[:, axis] - low[axis] for axis in axes])
        for each in (points, others)
    )
    size = np.maximum(here.max(axis=1), there.max(axis=1)) + 1
    away = np.ones(size, np.uint8)
    away[tuple(there)] = 0
    if size[0] == 1 and math.isclose(unit[1], unit[2], rel_tol=_ALIKE):
        return np.sqrt(_whole(_transformed(away[0])[tuple(here[1:])]) * (unit[2] * unit[2]))
    squares = np.full(size, np.inf)
    for index in np.flatnonzero(np.bincount(there[0])):
        squares[index] = _within(away[index], unit[1], unit[2])
    return np.sqrt(_between(squares, here, unit[0]))


def _axes(steps: list[float]) -> tuple[int | None, ...]:
    """The axis of planes, of their rows and of their columns, the last two alike if any are; None for one of length 1."""
    if len(steps) == 1:
        return None, None, 0
    if len(steps) == 2:  # one plane, or planes of one row
        return (None, 0, 1) if math.isclose(*steps, rel_tol=_ALIKE) else (0, None, 1)
    ways = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    return next((way for way in ways if math.isclose(steps[way[1]], steps[way[2]], rel_tol=_ALIKE)), ways[0])


def _within(away: npt.NDArray[np.uint8], row: float, column: float) -> FloatArray:
    """The square of the distance (H, W) of each pixel from the nearest that is 0, of which there is one."""
    if math.isclose(row, column, rel_tol=_ALIKE):
        return _whole(_transformed(away)) * (column * column)
    along = np.full(away.shape, np.inf)
    for index in np.flatnonzero((away == 0).any(axis=1)):  # each row for itself
        along[index] = _within(away[index : index + 1], column, column)[0]
    found = along.copy()
    for shift in range(1, len(away)):
        step = (shift * row) ** 2
        if step >= found.max():
            break
        np.minimum(found[shift:], along[:-shift] + step, out=found[shift:])
        np.minimum(found[:-shift], along[shift:] + step, out=found[:-shift])
    return found


def _transformed(away: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The distance (H, W) of each pixel from the nearest that is 0, in pixels."""
    return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # type: ignore[return-value]


def _whole(distances: npt.NDArray[np.float32]) -> FloatArray:
    """Squares of distances between pixels, which are whole numbers: none of the rounding to 32 bits is left."""
    return np.rint(np.square(distances.astype(np.float64)))


def _between(squares: FloatArray, here: IntArray, step: float) -> FloatArray:
    """For points (3, n) the least of the squares in all planes, each with that of the way to it."""
    best: FloatArray = squares[tuple(here)]
    for shift in range(1, len(squares)):
        way = (shift * step) ** 2
        left = np.flatnonzero(best > way)
        if not left.size:
            break
        for plane in (here[0, left] - shift, here[0, left] + shift):
            inside = (plane >= 0) & (plane < len(squares))
            chosen = left[inside]
            best[chosen] = np.minimum(best[chosen], squares[plane[inside], here[1, chosen], here[2, chosen]] + way)
    return best
