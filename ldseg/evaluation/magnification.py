r"""Whether an image shows its structures larger or smaller than those that weights learned from.

An image at another magnification is hardly stranger than one of another patient: it looks like tissue, in the same colours.
So it is not told by its distance alone, but by the direction in which a magnification moves images: those of training are
shown larger and smaller by ``FACTOR``, and Fisher's linear discriminant (1936) of what is measured of them tells each from
those as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ldseg.evaluation.cloud import arrays_of, texts_of

FACTOR = 3
"""By which images are shown larger and smaller."""

DIRECTIONS = ("larger", "smaller")

_SHAPES = {"centre": "d", "scale": "d", "limits": "k", "directions": "kd"}
_SHRINK = 0.001
_QUIET, _QUIET_COLOURS, _SEEN = 0.99, 0.95, 0.05
_ROOM, _LEAST = 0.5, 0.1


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Tiles of a case at other magnifications.

    Attributes:
        fold: that the case is left out with.
        vectors: by direction, ``(d,)``.
    """

    fold: int
    vectors: Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Magnification:
    """What tells images at another magnification from those of training.

    Attributes:
        centre, scale: mean and deviation of each number that is measured, ``(d,)``.
        directions: for each of ``DIRECTIONS`` the discriminant, ``(2, d)``: 0 is the mean of images as they are, 1 that of
            those at the other magnification.
        limits: what hardly any image passes which was left out of the fit, ``(2,)``.
    """

    centre: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    limits: np.ndarray

    @classmethod
    def fit(cls, usual: np.ndarray, moved: Sequence[Moved]) -> Magnification:
        """To vectors ``(n, d)`` of tiles as they are and of tiles at other magnifications; all limits are 1."""
        centre, scale = usual.mean(axis=0), usual.std(axis=0) + 1e-6
        known = (usual - centre) / scale
        directions = []
        for name in DIRECTIONS:
            other = (np.stack([each.vectors[name] for each in moved]) - centre) / scale
            mean = other.mean(axis=0)
            within = (np.cov(known.T, bias=True) + np.cov(other.T, bias=True)) / 2
            direction = np.linalg.solve((1 - _SHRINK) * within + _SHRINK * np.eye(len(mean)), mean)
            directions.append(direction / max(float(direction @ mean), 1e-6))
        return cls(centre=centre, scale=scale, directions=np.stack(directions), limits=np.ones(len(DIRECTIONS)))

    def scores(self, vector: np.ndarray) -> np.ndarray:
        """How far an image lies towards each of ``DIRECTIONS``, ``(2,)``.

        Fits from before knew fewer numbers: the first of them.
        """
        found: np.ndarray = self.directions @ ((vector[: len(self.centre)] - self.centre) / self.scale)
        return found

    def distance(self, vector: np.ndarray) -> float:
        """The larger of the scores, as a share of its limit; 0 for an image that lies towards neither."""
        return max(float((self.scores(vector) / self.limits).max()), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; rows of numbers as text, which is short."""
        return texts_of(self, _SHAPES)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Magnification:
        """The inverse of ``to_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(**arrays_of(values, _SHAPES, k=len(DIRECTIONS)))


def fit_magnification(
    usual: Sequence[np.ndarray],
    recoloured: Sequence[np.ndarray],
    held_back: Sequence[np.ndarray],
    moved: Sequence[Moved],
    fold: np.ndarray,
) -> tuple[Magnification, np.ndarray]:
    """Fit the directions, and draw the line by what is left out of the fit.

    It lies above hardly any image as it is, and, where there is room, half-way to those at the other magnification: images
    of another hospital lie further out, and not all magnifications are made as these.

    Args:
        usual: of each case the vectors ``(n, d)`` of its tiles.
        recoloured: of the same in other colours, where training changes them; rare in truth, so more of them may pass.
        held_back: of cases that nothing was learned from.
        moved: tiles at other magnifications.
        fold: of each case of ``usual``, that it is left out with.

    Returns:
        the fit, and the distances of the cases as they are, left out, and of those held back.
    """

    def fitted(kept: np.ndarray, tiles: Sequence[Moved]) -> Magnification:
        tables = [table for part in (usual, recoloured) for table, keep in zip(part, kept, strict=bool(part)) if keep]
        return Magnification.fit(np.concatenate(tables), tiles)

    fit = fitted(fold >= 0, moved)
    scores, coloured = ({place: np.zeros(len(DIRECTIONS)) for place in range(len(part))} for part in (usual, recoloured))
    others = []
    for index in np.unique(fold):
        # With so few cases that all moved ones are of one fold, they are not left out.
        part = fitted(fold != index, [each for each in moved if each.fold != index] or moved)
        for place in np.flatnonzero(fold == index).tolist():
            scores[place] = part.scores(usual[place].mean(axis=0))
            if recoloured:
                coloured[place] = part.scores(recoloured[place].mean(axis=0))
        for each in moved:
            if each.fold == index:
                others.append([part.scores(each.vectors[name])[k] for k, name in enumerate(DIRECTIONS)])
    known = np.array([*scores.values(), *(fit.scores(table.mean(axis=0)) for table in held_back)])
    quiet = np.quantile(known, _QUIET, axis=0)
    if recoloured:
        quiet = np.maximum(quiet, np.quantile(np.array(list(coloured.values())), _QUIET_COLOURS, axis=0))
    seen = np.quantile(np.array(others), _SEEN, axis=0)
    limits = np.maximum(np.maximum(quiet, quiet + _ROOM * (seen - quiet)), _LEAST)
    return replace(fit, limits=limits), np.maximum((known / limits).max(axis=1), 0.0)
