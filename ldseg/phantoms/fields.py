"""Random fields, points and shapes that the phantoms are made of."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

FloatArray = NDArray[np.float32]

_SUBPIXEL_BITS = 4
_FINE = 16.0  # pixels


def as_float(array: NDArray[Any]) -> FloatArray:
    """The array as float32, copied only where it is not: NumPy and OpenCV leave the type open."""
    return np.asarray(array, np.float32)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> FloatArray:
    """Smooth noise of mean 0 and deviation near 1 that changes over `cell` pixels."""
    if cell < _FINE:  # knots this near to each other would show as a weave
        fine = as_float(cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), max(0.45 * cell, 0.3)))
        return as_float(fine / fine.std())
    knots = rng.standard_normal((math.ceil(shape[0] / cell) + 2, math.ceil(shape[1] / cell) + 2), np.float32)
    return as_float(cv2.resize(knots, shape[::-1], interpolation=cv2.INTER_CUBIC)) * np.float32(1.3)


def field(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> FloatArray:
    """Smooth noise like that of `smooth`, on any number of axes."""
    values = rng.standard_normal([math.ceil(n / cell) + 3 for n in shape], np.float32)
    start = rng.uniform(0.5, 1.5, len(shape))
    for axis, count in enumerate(shape):
        spline = interpolate.CubicSpline(np.arange(values.shape[axis]), values, axis=axis)
        values = as_float(spline(start[axis] + np.arange(count) / cell))
    return values * np.float32(1.15 ** len(shape))


def step(values: NDArray[Any]) -> FloatArray:
    """Soft step from 0 to 1 about 0 (the logistic function)."""
    return as_float(1.0 / (1.0 + np.exp(-np.clip(values, -30.0, 30.0))))


def without_crumbs(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The pieces of a mask that make up at least that share of it."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces[mask], minlength=1)
    return np.asarray((sizes >= share * mask.sum())[pieces] & mask)


def scattered(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> NDArray[np.float64]:
    """Points (n, 2), x and y, on a jittered grid: random, but neither heaped nor sparse anywhere."""
    spacing = max(spacing, 1.0)
    rows, columns = np.mgrid[0 : shape[0] : spacing, 0 : shape[1] : spacing]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1) + rng.uniform(0.0, spacing, (rows.size, 2))
    return np.minimum(points, [shape[1] - 1, shape[0] - 1])


def at(field: NDArray[Any], points: NDArray[np.float64]) -> NDArray[Any]:
    """Values (n,) of a field (H, W) at points (n, 2), x and y inside it."""
    return field[points[:, 1].astype(int), points[:, 0].astype(int)]


def ellipses(
    shape: tuple[int, int],
    points: NDArray[np.float64],
    radii: NDArray[np.float64],
    angles: NDArray[Any],
    values: NDArray[np.float64],
    rim: float = 1.0,
) -> FloatArray:
    """Filled ellipses on a canvas (H, W) of zeros; later ones cover earlier ones.

    radii: (n, 2) pixels. angles: (n,) degrees. values: (n,) in [0, 1], of the outline; `rim` times it inside.
    """
    canvas = np.zeros(shape, np.uint8)
    one = 1 << _SUBPIXEL_BITS
    # OpenCV draws tiny ellipses too large: they are made fainter, or small phantoms would be all nuclei
    drawn = np.maximum(radii, 0.5)
    values = values * np.clip(np.prod(radii / np.maximum(radii, 1.2), axis=1), 0.2, 1.0)
    for point, radius, angle, value in zip(
        np.rint(points * one).astype(int), np.rint(drawn * one).astype(int), angles, values, strict=True
    ):
        place = (
            canvas,
            (int(point[0]), int(point[1])),
            (int(radius[0]), int(radius[1])),
            float(angle),
            0,
            360,
        )
        cv2.ellipse(*place, float(255 * value * rim), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        if rim != 1.0 and radius[1] > 2.5 * one:
            cv2.ellipse(*place, float(255 * value), 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return canvas.astype(np.float32) / np.float32(255.0)
