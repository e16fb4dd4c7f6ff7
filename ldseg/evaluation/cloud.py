"""Where vectors lie: their mean, and how they spread in a few directions; and such numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_AXES = 16


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
        rows = {name: text_of(getattr(self, name)) for name in ("centre", "scale", "spread")}
        return {**rows, "axes": [text_of(row) for row in self.axes], "rest": self.rest, "limit": self.limit}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cloud:
        """The inverse of ``to_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        rows = {name: numbers_of(values[name]) for name in ("centre", "scale", "spread")}
        axes = np.array([numbers_of(row) for row in values["axes"]])
        if axes.shape != (len(rows["spread"]), len(rows["centre"])) or rows["centre"].shape != rows["scale"].shape:
            raise ValueError(f"expected axes of shape {(len(rows['spread']), len(rows['centre']))}, got {axes.shape}")
        return cls(**rows, axes=axes, rest=float(values["rest"]), limit=float(values["limit"]))


def text_of(values: np.ndarray) -> str:
    """Numbers as a short text."""
    return " ".join(f"{value:.5g}" for value in values)


def numbers_of(text: str) -> np.ndarray:
    """The inverse of ``text_of``. Raises ValueError for anything else."""
    return np.array([float(word) for word in text.split()])
