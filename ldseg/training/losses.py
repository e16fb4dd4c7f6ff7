"""Segmentation losses, one value for each case, so that a case's gradient does not depend on its neighbours."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from keras import ops

from ldseg.base.regions import Unions
from ldseg.base.spatial import Tensor


def cross_entropy(label: Tensor, logits: Tensor, known: Tensor = None) -> Tensor:
    """Mean over the positions that are known of minus the log-probability of the true class.

    int ``(B, *S)``, logits ``(B, *S, C)``, known float ``(B, *S)``, 1 or 0 (None: everywhere) to ``(B,)``.
    """
    return _cross_entropy(*_by_class(label, logits), known)


def mean_known(values: Tensor, known: Tensor = None) -> Tensor:
    """The mean ``(B,)`` of values ``(B, *S)`` over the positions where known ``(B, *S)`` is 1; 0 where it is nowhere."""
    axes = tuple(range(1, len(values.shape)))
    if known is None:
        return ops.mean(values, axis=axes)
    return ops.sum(values * known, axis=axes) / ops.maximum(ops.sum(known, axis=axes), 1.0)


def soft_dice(label: Tensor, logits: Tensor, smooth: float = 1.0, known: Tensor = None) -> Tensor:
    r"""Dice of the probabilities, the mean over all classes, the background included.

    :math:`\frac{2 \sum p y + s}{\sum p + \sum y + s}` for each class (Milletari et al. 2016, arXiv 1606.04797, with
    plain sums in the denominator); the smoothing s, in pixels, makes it 1 for a class absent from both.
    int ``(B, *S)``, logits ``(B, *S, C)`` to ``(B,)`` in [0, 1]; the sums go over the positions that are known.
    """
    return _soft_dice(*_by_class(label, logits), known, smooth)


def segmentation_loss(label: Tensor, logits: Tensor, known: Tensor = None, regions: Unions = ()) -> Tensor:
    """Cross-entropy plus twice one minus Dice (Zaman et al., arXiv 2407.12952), with Dice by case: ``(B,)``.

    Where there are regions, unions of classes, it is the mean of this loss of the classes and of that of the regions, which
    is the mean over them: each is a segmentation into what is inside and what is outside, and the probability of either is
    the sum over its classes. So a region is learned as a whole, and its classes are still told apart.
    """
    truth, logs = _by_class(label, logits)
    loss = _loss(truth, logs, known)
    if not regions:
        return loss
    each = [_loss(*_by_region(truth, logs, region), known) for region in regions]
    return (loss + sum(each) / len(each)) / 2


def _loss(truth: list[Tensor], logs: list[Tensor], known: Tensor) -> Tensor:
    return _cross_entropy(truth, logs, known) + 2 * (1 - _soft_dice(truth, logs, known))


def _by_region(truth: list[Tensor], logs: list[Tensor], region: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
    """What ``_by_class`` gives, of two: what is outside of a region and what is inside."""
    sides = [[k for k in range(len(truth)) if (k in region) == within] for within in (False, True)]
    chances = [functools.reduce(ops.logaddexp, (logs[k] for k in side)) for side in sides]
    return [sum(truth[k] for k in side) for side in sides], chances


def _by_class(label: Tensor, logits: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Where the label has each class, 0 or 1, and the logarithm of its probability: C maps ``(B, *S)`` each.

    Maps of their own, as processors do badly over a last axis of two or three numbers.
    """
    parts = ops.unstack(logits, axis=-1)
    highest = parts[0]
    for part in parts[1:]:
        highest = ops.maximum(highest, part)
    highest = ops.stop_gradient(highest)
    total = highest + ops.log(sum(ops.exp(part - highest) for part in parts))
    truth = [ops.cast(ops.equal(label, index), logits.dtype) for index in range(len(parts))]
    return truth, [part - total for part in parts]


def _cross_entropy(truth: list[Tensor], logs: list[Tensor], known: Tensor) -> Tensor:
    return -mean_known(sum(one * log for one, log in zip(truth, logs, strict=True)), known)


def _soft_dice(truth: list[Tensor], logs: list[Tensor], known: Tensor, smooth: float = 1.0) -> Tensor:
    def total(values: Tensor) -> Tensor:
        return ops.sum(values, axis=tuple(range(1, len(values.shape))))

    scores = []
    for one, log in zip(truth, logs, strict=True):
        chance = ops.exp(log)
        if known is not None:
            there = ops.cast(known, chance.dtype)
            one, chance = one * there, chance * there
        scores.append((2 * total(chance * one) + smooth) / (total(chance) + total(one) + smooth))
    return sum(scores) / len(scores)
