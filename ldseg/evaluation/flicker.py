"""How much the masks of a video flicker."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def flicker(pred: npt.ArrayLike, true: npt.ArrayLike | None = None) -> float:
    """Share of pixels whose class changes from one frame to the next although nothing does.

    Over all pairs of neighbouring frames, the mean of ``|{p: m_t(p) != m_t+1(p), y_t(p) = y_t+1(p)}| / |{p: y_t(p) =
    y_t+1(p)}|`` for the mask m and the true label y; without a label all pixels count, and true motion does too.

    Args:
        pred: integer mask ``(T, *S)``.
        true: the true label, of the same shape.

    Returns:
        a number in [0, 1]; NaN for a single frame.

    Raises:
        ValueError: if the shapes differ.
    """
    mask = np.asarray(pred)
    label = np.zeros_like(mask) if true is None else np.asarray(true)
    if mask.shape != label.shape:
        raise ValueError(f"expected a mask and a label of one shape, got {mask.shape} and {label.shape}")
    still = label[1:] == label[:-1]
    changed = (mask[1:] != mask[:-1]) & still
    shares = [np.count_nonzero(c) / n for c, s in zip(changed, still, strict=True) if (n := np.count_nonzero(s))]
    return float(np.mean(shares)) if shares else math.nan
