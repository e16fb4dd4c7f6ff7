"""How far what a model draws is distributed as what several annotators drew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ldseg.base.regions import Unions, inside
from ldseg.errors import DataError

_CHUNK = 1 << 20  # pixels whose products are added in float32, which counts up to 2^24 without error


def energy_distance(samples: npt.ArrayLike, annotations: npt.ArrayLike, num_classes: int, unions: Unions = ()) -> float:
    r"""Squared generalised energy distance between drawn masks and labels of one case.

    .. math:: D^2 = 2 E[d(S, Y)] - E[d(S, S')] - E[d(Y, Y')], \qquad d(a, b) = 1 - IoU(a, b)

    with S, S' among the samples and Y, Y' among the annotations, all pairs counted, those of a mask with itself as well
    (Székely and Rizzo, J. Stat. Plan. Inference 143, 2013; Kohl et al., A probabilistic U-Net, NeurIPS 2018, equation 8).
    IoU is the mean over the classes but the background that at least one of the two has; two masks without any are equal.

    Args:
        samples: Class indices (E, *S).
        annotations: Class indices (A, *S).
        num_classes: Number of classes C.
        unions: The classes of the background and of each region to compare in place of the classes.

    Returns:
        0 where both sets hold the same masks in the same shares; at most 2.

    Raises:
        DataError: sizes differ, a set is empty, or values lie outside 0..C-1.
    """
    drawn, given = _flat("samples", samples, num_classes), _flat("annotations", annotations, num_classes)
    if np.shape(samples)[1:] != np.shape(annotations)[1:]:
        raise DataError(f"annotations: expected masks of {np.shape(samples)[1:]}, got {np.shape(annotations)[1:]}")
    across, within, between = (
        _distances(a, b, unions[1:] or tuple((index,) for index in range(1, num_classes))).mean()
        for a, b in ((drawn, given), (drawn, drawn), (given, given))
    )
    return float(2 * across - within - between)


def _flat(name: str, masks: npt.ArrayLike, num_classes: int) -> npt.NDArray[np.integer]:
    array = np.asarray(masks)
    if array.dtype.kind not in "biu" or array.ndim < 2 or array.size == 0:
        raise DataError(f"{name}: expected class indices (n, *S), got {array.dtype} {array.shape}")
    if array.min() < 0 or array.max() >= num_classes:
        raise DataError(f"{name}: expected class indices 0..{num_classes - 1}, got {array.min()} to {array.max()}")
    return array.reshape(len(array), -1)


def _distances(a: npt.NDArray[np.integer], b: npt.NDArray[np.integer], unions: Unions) -> npt.NDArray[np.float64]:
    """1 - IoU of every pair, (n, m)."""
    total, classes = np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    for union in unions:
        both = np.zeros((len(a), len(b)))
        for start in range(0, a.shape[1], _CHUNK):
            x, y = (inside(each[:, start : start + _CHUNK], union).astype(np.float32) for each in (a, b))
            both += x @ y.T
        areas = [inside(each, union).sum(axis=1, dtype=np.float64) for each in (a, b)]
        union = areas[0][:, np.newaxis] + areas[1] - both
        total += np.divide(both, union, out=np.zeros_like(both), where=union > 0)
        classes += union > 0
    return 1 - np.divide(total, classes, out=np.ones_like(total), where=classes > 0)
