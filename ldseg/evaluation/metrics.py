"""The metrics of one case, by name.

A metric belongs to one case: nothing here pools the pixels of several cases. What does not exist is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ldseg.base.regions import Unions, inside
from ldseg.base.spatial import IGNORE
from ldseg.evaluation.objects import OBJECT_METRICS, object_scores
from ldseg.evaluation.overlap import FloatArray, confusion, dice, iou, precision, recall
from ldseg.evaluation.surface import surface_distances

__all__ = [
    "CLASS_METRICS",
    "DISTANCES",
    "OBJECT_METRICS",
    "OVERLAP_METRICS",
    "SURFACE_METRICS",
    "class_scores",
    "confusion",
    "dice",
    "iou",
    "object_scores",
    "precision",
    "recall",
    "scored",
]

OVERLAP_METRICS = {"dice": dice, "iou": iou, "precision": precision, "recall": recall}
SURFACE_METRICS = ("hd95", "assd", "surface_dice")
CLASS_METRICS = (*OVERLAP_METRICS, *SURFACE_METRICS)
"""What is computed for each class of a case."""

DISTANCES = ("hd95", "assd", "object_hausdorff")
"""Metrics in mm or pixels, of which less is better. Of all others more is better."""


Metric = Callable[[npt.ArrayLike, npt.ArrayLike, int], FloatArray]
"""From a mask, its label and the number of classes to a value for each class."""


def scored(metric: Metric, pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int, unions: Unions = ()) -> FloatArray:
    """A metric of OVERLAP_METRICS of each class, or of each union of classes as if mask and label held it alone.

    Args:
        metric: which one.
        pred: class numbers ``(*S)``, as the metric takes them.
        true: the true ones, the same way.
        num_classes: how many classes there are, the background among them.
        unions: the classes of the background and of each region, see `ldseg.base.regions`; nothing for the classes.

    Returns:
        float64 (C,), or one for each union.
    """
    if not unions:
        return metric(pred, true, num_classes)
    p, t = np.asarray(pred), np.asarray(true)
    pairs = ((inside(p, union), np.where(t == IGNORE, IGNORE, inside(t, union))) for union in unions)
    return np.array([metric(own.astype(np.int32), there, 2)[1] for own, there in pairs])


def known_pair(pred: npt.ArrayLike, true: npt.ArrayLike) -> tuple[npt.NDArray, npt.NDArray]:
    """Both with background where the label says nothing (`ldseg.base.spatial.IGNORE`)."""
    p, t = np.asarray(pred), np.asarray(true)
    unknown = t == IGNORE
    return (np.where(unknown, 0, p), np.where(unknown, 0, t)) if unknown.any() else (p, t)


def class_scores(
    pred: npt.ArrayLike,
    true: npt.ArrayLike,
    num_classes: int,
    *,
    tolerance: float,
    spacing: Sequence[float] | None = None,
    frames: bool = False,
    unions: Unions = (),
) -> dict[str, tuple[float, ...]]:
    """All of CLASS_METRICS for one case, one value per class.

    Args:
        pred: Predicted class indices, integer or bool, any shape (*S).
        true: True class indices, the same shape, or `ldseg.base.spatial.IGNORE`: such pixels are of no class, in either.
        num_classes: Number of classes C; both arrays hold values in 0..C-1.
        tolerance: That of the surface Dice, in the unit of the spacing.
        spacing: Size of a pixel along each axis of the array; None counts pixels.
        frames: Whether the first axis is time: then surfaces are compared frame by frame.
        unions: The classes of the background and of each region to score in place of the classes, see `ldseg.base.regions`.

    Returns:
        For each name C floats, or one for each union. The background, class 0, has no surface of its own: NaN.

    Raises:
        DataError: As `confusion` and `surface_distances` do.
    """
    scores = {
        name: tuple(scored(metric, pred, true, num_classes, unions).tolist()) for name, metric in OVERLAP_METRICS.items()
    }
    p, t = known_pair(pred, true)
    surfaces = [(math.nan,) * len(SURFACE_METRICS)]
    for union in unions[1:] or ((index,) for index in range(1, num_classes)):
        found = surface_distances(inside(p, union), inside(t, union), spacing, frames=frames)
        surfaces.append((found.hd95, found.assd, found.surface_dice(tolerance)))
    return scores | dict(zip(SURFACE_METRICS, zip(*surfaces, strict=True), strict=True))
