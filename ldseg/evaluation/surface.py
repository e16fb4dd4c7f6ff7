"""How far the outline (surface) of a mask lies from that of its label, in the unit of the spacing.

The surface of a mask are its pixels with a face neighbour outside of it; beyond the edge of the image is outside. Of a video
every frame has surfaces of its own, and distances lie within a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldseg.base.components import bounding_box
from ldseg.errors import DataError
from ldseg.evaluation.nearest import nearest

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """Euclidean distances between the surfaces P of a prediction and T of a label.

    Attributes:
        to_true: float64 (n,), from every point of P to the nearest of T.
        to_pred: float64 (m,), from every point of T to the nearest of P.
    """

    to_true: FloatArray
    to_pred: FloatArray

    @property
    def hd95(self) -> float:
        """The larger of the two 95th percentiles of the distances from P to T and from T to P; NaN without a point.

        Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE TPAMI 15, 1993 (the partial distance);
        as in Maier-Hein, Reinke et al., Metrics reloaded, Nature Methods 21, 2024.
        """
        return max((float(np.percentile(d, 95)) for d in (self.to_true, self.to_pred) if d.size), default=math.nan)

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean of all distances of both directions; NaN without a point.

        Heimann et al., Comparison and evaluation of methods for liver segmentation from CT datasets, IEEE TMI 28, 2009.
        """
        both = np.concatenate([self.to_true, self.to_pred])
        return float(both.mean()) if both.size else math.nan

    def surface_dice(self, tolerance: float) -> float:
        """Share of the points of both surfaces that lie within `tolerance` of the other one; NaN without a point.

        Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, JMIR 23, 2021; here
        every pixel of the surface counts the same.
        """
        both = np.concatenate([self.to_true, self.to_pred])
        # Three steps of 0.1 mm are not more than 0.3 mm.
        return float(np.mean(both <= tolerance * (1 + 1e-9))) if both.size else math.nan


def surface_distances(
    pred: npt.ArrayLike, true: npt.ArrayLike, spacing: Sequence[float] | None = None, *, frames: bool = False
) -> SurfaceDistances:
    """The distances between the surfaces of two masks.

    A point without any counterpart, as the other mask (of its frame) is empty, is as far as the image is wide: the
    `diagonal` stands for its distance.

    Args:
        pred: bool (*S).
        true: bool (*S).
        spacing: size of a pixel along each axis of the array; None counts pixels. That of time is not used.
        frames: whether the first axis is time.

    Raises:
        DataError: if the shapes differ, or the spacing does not suit them.
    """
    p, t = np.asarray(pred, dtype=bool), np.asarray(true, dtype=bool)
    if p.shape != t.shape:
        raise DataError(f"prediction and label: expected one shape, got {p.shape} and {t.shape}")
    steps = pixel_size(p.ndim, spacing, frames)
    far = diagonal(p.shape[-steps.size :], steps)
    # Cropped, since only points of the two masks matter.
    box = bounding_box(p | t)
    to_true, to_pred = [], []
    for p_frame, t_frame in _frames(p[box], t[box], frames):
        points, others = (np.argwhere(border(mask)) for mask in (p_frame, t_frame))
        to_true.append(nearest(points, others, steps, far))
        to_pred.append(nearest(others, points, steps, far))
    empty = np.zeros(0)
    return SurfaceDistances(to_true=np.concatenate([empty, *to_true]), to_pred=np.concatenate([empty, *to_pred]))


def border(mask: BoolArray) -> BoolArray:
    """The pixels of a mask bool (*S) that have a face neighbour outside of it."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        own, neighbours = np.moveaxis(inside, axis, 0), np.moveaxis(mask, axis, 0)
        own[:1] = own[-1:] = False
        own[1:] &= neighbours[:-1]
        own[:-1] &= neighbours[1:]
    return mask & ~inside


def diagonal(size: Sequence[int], steps: FloatArray) -> float:
    """The largest distance between two pixels of an image of `size`, each `steps` large."""
    return float(np.linalg.norm((np.asarray(size) - 1) * steps))


def pixel_size(rank: int, spacing: Sequence[float] | None, frames: bool) -> FloatArray:
    """The size of a pixel along the axes of space: the spacing, or 1. Raises DataError for a spacing of another rank."""
    given = np.ones(rank) if spacing is None else np.asarray(spacing, dtype=np.float64)
    steps = given[1:] if frames else given
    if given.shape != (rank,) or not (steps > 0).all():
        raise DataError(f"spacing: expected {rank} numbers above 0, got {spacing}")
    return steps


def _frames(pred: BoolArray, true: BoolArray, frames: bool) -> Iterator[tuple[BoolArray, BoolArray]]:
    if frames:
        yield from zip(pred, true, strict=True)
    else:
        yield pred, true
