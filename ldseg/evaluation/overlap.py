"""How far a mask and its label cover the same pixels: one value for each class of one case, in pure NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ldseg.base.spatial import IGNORE
from ldseg.base.text import few
from ldseg.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def confusion(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> IntArray:
    """Counts the pixels (voxels) of one case by true and predicted class.

    Args:
        pred: Predicted class indices, integer or bool, any shape (*S).
        true: True class indices, the same shape; pixels of `ldseg.base.spatial.IGNORE` are left out.
        num_classes: Number of classes C; both arrays hold values in 0..C-1.

    Returns:
        int64 (C, C): rows are true classes, columns predicted ones.

    Raises:
        DataError: Shapes differ, values are not whole numbers, or lie outside 0..C-1.
    """
    if num_classes < 1:
        raise DataError(f"num_classes: expected at least 1, got {num_classes}")
    p, t = np.asarray(pred), np.asarray(true)
    if p.shape != t.shape:
        raise DataError(f"prediction and label: expected one shape, got {p.shape} and {t.shape}")
    if t.dtype.kind == "i" and (unknown := t == IGNORE).any():
        p, t = p[~unknown], t[~unknown]
    for name, array in (("prediction", p), ("label", t)):
        if array.dtype.kind not in "biu":
            raise DataError(f"{name}: expected class indices of an integer type, got {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= num_classes):
            found = np.unique(array)
            wrong = found[(found < 0) | (found >= num_classes)]
            raise DataError(f"{name}: expected class indices 0..{num_classes - 1}, got {few(wrong.tolist())}")
    kind = np.dtype("u1" if num_classes <= 16 else "i8")  # 8 bits take a third of the time
    joint = t.astype(kind).ravel() * num_classes + p.astype(kind).ravel()
    counts = np.bincount(joint, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def dice(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Dice coefficient of each class in one case, 2|P ∩ T| / (|P| + |T|).

    Dice, Measures of the amount of ecologic association between species, Ecology 26, 1945.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that is absent in both. A class in only one scores 0.
    """
    hit, predicted, actual = _areas(pred, true, num_classes)
    return _ratio(2.0 * hit, predicted + actual)


def iou(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Intersection over union of each class in one case, |P ∩ T| / |P ∪ T|.

    Jaccard, The distribution of the flora in the alpine zone, New Phytologist 11, 1912.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that is absent in both. A class in only one scores 0.
    """
    hit, predicted, actual = _areas(pred, true, num_classes)
    return _ratio(hit, predicted + actual - hit)


def precision(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Share of what was predicted that is right, |P ∩ T| / |P|, for each class in one case.

    van Rijsbergen, Information Retrieval, 2nd edition, 1979, chapter 7. Also called positive predictive value.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that was not predicted.
    """
    hit, predicted, _ = _areas(pred, true, num_classes)
    return _ratio(hit, predicted)


def recall(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Share of what is there that was found, |P ∩ T| / |T|, for each class in one case.

    van Rijsbergen, Information Retrieval, 2nd edition, 1979, chapter 7. Also called sensitivity.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that the label lacks.
    """
    hit, _, actual = _areas(pred, true, num_classes)
    return _ratio(hit, actual)


def _areas(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pixels of each class in the intersection, the prediction and the label, each (C,)."""
    real = confusion(pred, true, num_classes).astype(np.float64)
    return np.diag(real), real.sum(axis=0), real.sum(axis=1)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
