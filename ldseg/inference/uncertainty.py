"""How sure a segmentation is: entropy of its probabilities, variance between the members of an ensemble."""

from __future__ import annotations

import numpy as np


def predictive_entropy(probabilities: np.ndarray) -> np.ndarray:
    r"""Entropy of the mean prediction as a share of the highest there is.

    .. math:: H = -\frac{1}{\log C} \sum_{c=1}^{C} \bar p_c \log \bar p_c

    0 where one class is certain, 1 where all are equally likely. It holds both what the members are unsure of and what they
    disagree on (Gal, Uncertainty in deep learning, 2016, section 3.3.1).

    Args:
        probabilities: mean over the members ``(*S, C)``.

    Returns:
        float32 ``(*S)`` in [0, 1].
    """
    total = np.zeros(probabilities.shape[:-1], np.float32)
    for index in range(probabilities.shape[-1]):  # class by class, so that no second copy is held
        p = np.clip(probabilities[..., index], 0.0, 1.0)
        total -= p * np.log(np.maximum(p, np.finfo(np.float32).tiny))
    return np.clip(total / np.float32(np.log(probabilities.shape[-1])), 0.0, 1.0)


def member_variance(probabilities: np.ndarray) -> np.ndarray:
    """Variance between the members: of each class's probability, divided by E, and the mean of that over the classes.

    For two classes it is the variance of the object's probability: from 0, where all agree, to 0.25.

    Args:
        probabilities: ``(E, *S, C)``.

    Returns:
        float32 ``(*S)``.
    """
    moments = Moments()
    for member in probabilities:
        moments.add(member)
    return moments.variance


class Moments:
    """Mean and variance of members that are taken in one by one and not kept.

    Welford, Note on a method for calculating corrected sums of squares and products, Technometrics 4(3), 1962.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray | None = None
        self._squares: np.ndarray | None = None

    def add(self, probabilities: np.ndarray) -> None:
        """Take in one member, float32 ``(*S, C)``."""
        self.count += 1
        if self._mean is None:
            self._mean = probabilities
            return
        if self._squares is None:
            self._mean = self._mean.copy()  # the first member is not ours to change
            self._squares = np.zeros(probabilities.shape[:-1], np.float32)
        change = probabilities - self._mean
        self._mean += change / np.float32(self.count)
        change *= probabilities - self._mean
        self._squares += change.mean(axis=-1)

    @property
    def mean(self) -> np.ndarray:
        """Mean over the members so far, float32 ``(*S, C)``."""
        if self._mean is None:
            raise ValueError("expected at least one member, got none")
        return self._mean

    @property
    def variance(self) -> np.ndarray:
        """See ``member_variance``."""
        if self._squares is None:
            return np.zeros(self.mean.shape[:-1], np.float32)
        return self._squares / np.float32(self.count)
