"""Where vectors lie: their mean, and how they spread in a few directions; and such numbers as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_AXES = 16
_SHAPES = {"centre": "d", "scale": "d", "spread": "k", "axes": "kd"}


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Where the vectors of one kind lie: a normal distribution in few directions, even in all others.

    Attributes:
        centre, scale: mean and deviation of each number, ``(d,)``.
        axes: directions of the standardised vectors, ``(k, d)``.
        spread: variance along each, ``(k,)``.
        rest: variance along any other direction.
        limit: distance that hardly any image passes which was left out of the fit.
    """

    centre: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    spread: np.ndarray
    rest: float
    limit: float = 1.0

    @classmethod
    def fit(cls, vectors: np.ndarray, shrink: float) -> Cloud:
        """To vectors ``(n, d)``; ``shrink`` is the share of the identity in the covariance."""
        centre, scale = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
        scaled = (vectors - centre) / scale
        _, singular, axes = np.linalg.svd(scaled, full_matrices=False)
        variances = singular**2 / len(vectors)
        many, dimensions = min(_AXES, len(variances)), vectors.shape[1]
        rest = max(dimensions - float(variances[:many].sum()), 0.0) / max(dimensions - many, 1)
        spread = (1 - shrink) * variances[:many] + shrink
        return cls(centre=centre, scale=scale, axes=axes[:many], spread=spread, rest=(1 - shrink) * rest + shrink)

    def distance(self, vector: np.ndarray) -> float:
        """In standard deviations of one number, whatever their count: about 1 for an image of the fit."""
        scaled = (vector - self.centre) / self.scale
        along = self.axes @ scaled
        left = max(float(scaled @ scaled - along @ along), 0.0)
        return math.sqrt((float((along**2 / self.spread).sum()) + left / self.rest) / len(scaled))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; rows of numbers as text, which is short."""
        return {**texts_of(self, _SHAPES), "rest": self.rest, "limit": self.limit}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cloud:
        """The inverse of ``to_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        rest, limit = float(values["rest"]), float(values["limit"])
        return cls(**arrays_of(values, _SHAPES), rest=rest, limit=limit)


def texts_of(fit: object, names: Iterable[str]) -> dict[str, Any]:
    """Arrays ``(d,)`` or ``(k, d)`` of a fit by their names: a text for each row of numbers."""
    arrays = {name: np.asarray(getattr(fit, name)) for name in names}
    return {name: _text(array) if array.ndim == 1 else [_text(row) for row in array] for name, array in arrays.items()}


def arrays_of(values: Mapping[str, Any], shapes: Mapping[str, str], **lengths: int) -> dict[str, np.ndarray]:
    """The inverse of ``texts_of``.

    Args:
        values: as ``texts_of`` gave them.
        shapes: of each array a letter for each axis; axes of one letter are of one length.
        lengths: by letter, where they are known.

    Raises:
        KeyError, TypeError, ValueError: for anything else.
    """
    found = {}
    for name, letters in shapes.items():
        given = values[name]
        found[name] = _numbers(given) if isinstance(given, str) else np.array([_numbers(row) for row in given])
        shape = found[name].shape
        lengths = {**dict(zip(letters, shape, strict=False)), **lengths}
        wanted = tuple(lengths.get(letter, 0) for letter in letters)
        if shape != wanted:
            raise ValueError(f"expected {name} of shape {wanted}, got {shape}")
    return found


def _text(values: np.ndarray) -> str:
    return " ".join(f"{value:.5g}" for value in values)


def _numbers(text: str) -> np.ndarray:
    if not isinstance(text, str):
        raise TypeError(f"expected numbers as text, got {type(text).__name__}")
    return np.array([float(word) for word in text.split()])
