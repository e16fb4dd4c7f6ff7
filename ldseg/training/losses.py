"""Segmentation losses, one value for each case, so that a case's gradient does not depend on its neighbours."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def cross_entropy(label: Any, logits: Any, known: Any = None) -> Any:
    """Mean over the positions that are known of minus the log-probability of the true class.

    int ``(B, *S)``, logits ``(B, *S, C)``, known float ``(B, *S)``, 1 or 0 (None: everywhere) to ``(B,)``.
    """
    values = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
    return mean_known(values, known)


def mean_known(values: Any, known: Any = None) -> Any:
    """The mean ``(B,)`` of values ``(B, *S)`` over the positions where known ``(B, *S)`` is 1; 0 where it is nowhere."""
    axes = tuple(range(1, len(values.shape)))
    if known is None:
        return ops.mean(values, axis=axes)
    return ops.sum(values * known, axis=axes) / ops.maximum(ops.sum(known, axis=axes), 1.0)


def soft_dice(label: Any, logits: Any, smooth: float = 1.0, known: Any = None) -> Any:
    r"""Dice of the probabilities, the mean over all classes, the background included.

    :math:`\frac{2 \sum p y + s}{\sum p + \sum y + s}` for each class (Milletari et al. 2016, arXiv 1606.04797, with
    plain sums in the denominator); the smoothing s, in pixels, makes it 1 for a class absent from both.
    int ``(B, *S)``, logits ``(B, *S, C)`` to ``(B,)`` in [0, 1]; the sums go over the positions that are known.
    """
    probabilities = ops.softmax(logits, axis=-1)
    truth = ops.one_hot(label, logits.shape[-1], dtype=probabilities.dtype)
    if known is not None:
        there = ops.expand_dims(ops.cast(known, probabilities.dtype), -1)
        probabilities, truth = probabilities * there, truth * there
    axes = tuple(range(1, len(logits.shape) - 1))
    overlap = ops.sum(probabilities * truth, axis=axes)
    total = ops.sum(probabilities, axis=axes) + ops.sum(truth, axis=axes)
    return ops.mean((2 * overlap + smooth) / (total + smooth), axis=-1)


def segmentation_loss(label: Any, logits: Any, known: Any = None) -> Any:
    """Cross-entropy plus twice one minus Dice (Zaman et al., arXiv 2407.12952), with Dice by case: ``(B,)``."""
    return cross_entropy(label, logits, known) + 2 * (1 - soft_dice(label, logits, known=known))
