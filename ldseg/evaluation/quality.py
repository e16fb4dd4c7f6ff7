r"""How good a mask is likely to be, from what is known without a label.

The probabilities of a mask expect a Dice of their own mask: with :math:`p` the probability of a class and :math:`m` its
mask,

.. math:: \hat D = \frac{2 \sum p m}{\sum p + \sum m}

It ranks masks well and is too high, as networks are surer than they are right. A small fit on the cases of validation, kept
with the weights, makes it honest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ldseg.base.regions import Unions, inside
from ldseg.base.text import counted
from ldseg.errors import DataError
from ldseg.evaluation.metrics import scored
from ldseg.evaluation.overlap import dice

FEWEST = 3
"""Cases of validation from which on there is a fit."""

ENOUGH = 8
"""Cases from which on it is of slopes as well; of fewer, of the level alone."""

_EDGE = 0.01  # Dice this near to 0 and 1 counts as that near: a logarithm there has no end
_RIDGE = 1.0


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What tells of the quality of a mask, each the mean over the classes that are in it, the background left out.

    Attributes:
        expected: the Dice that the probabilities expect, from 0 to 1; NaN where the mask is empty.
        doubt: entropy, as a share of the highest there is, summed over the image, for each pixel of the mask; NaN likewise.
        agreement: mean Dice of each member of an ensemble with the mask, from 0 to 1; NaN for one member or an empty mask.
    """

    expected: float
    doubt: float
    agreement: float = math.nan


def signs_of(
    probabilities: np.ndarray,
    mask: np.ndarray,
    entropy: np.ndarray,
    members: np.ndarray | None = None,
    unions: Unions = (),
) -> Signs:
    """What tells of the quality of a mask.

    Args:
        probabilities: mean over the members, float32 ``(*S, C)``.
        mask: class numbers int ``(*S)``.
        entropy: of the probabilities, float32 ``(*S)`` from 0 to 1, see ``ldseg.inference.predictive_entropy``.
        members: the mask of each of several members, ``(E, *S)``.
        unions: the classes of the background and of each region that Dice is that of, see ``ldseg.base.regions``.

    Raises:
        DataError: the shapes do not go together.
    """
    sums = SignSums(probabilities.shape[-1], unions)
    sums.add(probabilities, mask, entropy)
    agreement = math.nan
    if members is not None and len(members) > 1 and sums.present.size:
        scores = [scored(dice, member, mask, probabilities.shape[-1], unions)[sums.present] for member in members]
        agreement = float(np.mean(scores))
    return sums.signs(agreement)


class SignSums:
    """What ``Signs`` are made of, added up over the parts of an image.

    Args:
        classes: how many there are, background included.
        unions: the classes of the background and of each region, where these count in place of the classes.
    """

    def __init__(self, classes: int, unions: Unions = ()) -> None:
        self._unions = unions or tuple((index,) for index in range(classes))
        self._area = np.zeros(len(self._unions), np.int64)
        self._own, self._all = np.zeros(len(self._unions)), np.zeros(len(self._unions))
        self._inside = 0
        self._doubt = 0.0
        self._positions = 0

    def add(self, probabilities: np.ndarray, mask: np.ndarray, entropy: np.ndarray) -> None:
        """Take in a part, see ``signs_of``."""
        if probabilities.shape[:-1] != mask.shape or entropy.shape != mask.shape:
            shapes = f"{probabilities.shape}, {mask.shape} and {entropy.shape}"
            raise DataError(f"expected probabilities (*S, C), a mask (*S) and an entropy (*S), got {shapes}")
        self._inside += int(np.count_nonzero(mask))
        for index, union in enumerate(self._unions[1:], start=1):
            own = inside(mask, union)
            chance = probabilities[..., union[0]] if len(union) == 1 else probabilities[..., list(union)].sum(axis=-1)
            self._area[index] += np.count_nonzero(own)
            self._own[index] += chance[own].sum(dtype=np.float64)
            self._all[index] += chance.sum(dtype=np.float64)
        self._doubt += float(entropy.sum(dtype=np.float64))
        self._positions += mask.size

    def add_nothing(self, positions: int) -> None:
        """Take in a part of so many positions that is background for certain."""
        self._positions += positions

    def told(self) -> dict[str, Any]:
        """The sums in the types of JSON."""
        return {
            "area": self._area.tolist(),
            "own": self._own.tolist(),
            "all": self._all.tolist(),
            "inside": self._inside,
            "doubt": self._doubt,
            "positions": self._positions,
        }

    def add_told(self, sums: Mapping[str, Any]) -> None:
        """Take in the sums of a part, as ``told`` gives them."""
        self._area += np.array(sums["area"], np.int64)
        self._own += np.array(sums["own"])
        self._all += np.array(sums["all"])
        self._inside += int(sums["inside"])
        self._doubt += float(sums["doubt"])
        self._positions += int(sums["positions"])

    @property
    def present(self) -> np.ndarray:
        """The classes, or regions, in the mask, the background left out."""
        return np.flatnonzero(self._area)

    @property
    def entropy(self) -> float:
        """The mean entropy."""
        return self._doubt / self._positions

    def signs(self, agreement: float = math.nan) -> Signs:
        """The signs of the whole image."""
        if not self.present.size:
            return Signs(expected=math.nan, doubt=math.nan)
        expected = [2 * self._own[index] / (self._all[index] + self._area[index]) for index in self.present]
        return Signs(expected=float(np.mean(expected)), doubt=self._doubt / self._inside, agreement=agreement)


@dataclass(frozen=True, kw_only=True)
class Quality:
    r"""A fit from ``Signs`` to Dice, stored with the weights.

    .. math:: \operatorname{logit} D = a + b \operatorname{logit} \hat D + c \log d

    with :math:`\hat D` the expected Dice and :math:`d` the doubt; of fewer than ``ENOUGH`` cases b is 1 and c is 0.

    Attributes:
        weights: a, b and c.
        empty: Dice that an empty mask gets: the mean over the cases of validation whose mask came out empty, 0 without one.
        cases: of validation that it was fitted on.
        error: mean absolute error on these, each left out of the fit in turn.
    """

    weights: tuple[float, float, float]
    empty: float
    cases: int
    error: float

    def predict(self, signs: Signs) -> float:
        """The Dice to expect of a mask with a label, from 0 to 1: the mean over its classes."""
        if math.isnan(signs.expected):
            return self.empty
        return float(_sigmoid(_row(signs) @ np.array(self.weights)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"weights": list(self.weights)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Quality:
        """The inverse of ``to_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        a, b, c = (float(value) for value in values["weights"])
        rest = {name: float(values[name]) for name in ("empty", "error")}
        return cls(weights=(a, b, c), cases=int(values["cases"]), **rest)


def predicted_dice(signs: Signs, quality: Quality | None) -> float:
    """The Dice to expect of a mask, from 0 to 1.

    By the fit of the weights or, where they have none, what its probabilities expect, which is too high by a few hundredths;
    0 of an empty mask.
    """
    if quality is not None:
        return quality.predict(signs)
    return 0.0 if math.isnan(signs.expected) else signs.expected


def unchecked(quality: Quality | None) -> str:
    """What is to be said beside a predicted Dice whose fit rests on little; nothing of one to ``ENOUGH`` cases."""
    if quality is None:
        return "no cases of validation have checked it: probably too high"
    return f"only {counted(quality.cases, 'case')} of validation have checked it" if quality.cases < ENOUGH else ""


def fit_quality(signs: Sequence[Signs], scores: Sequence[float]) -> Quality | None:
    """Fit the quality of masks to the Dice that they have, by ridge regression towards ``D`` as expected.

    Args:
        signs: of the masks of validation.
        scores: their Dice, the mean over the classes; NaN for a case that has none.

    Returns:
        the fit, or None for fewer than ``FEWEST`` cases with a Dice and a mask that is not empty.
    """
    pairs = [(each, score) for each, score in zip(signs, scores, strict=True) if not math.isnan(score)]
    empty = [score for each, score in pairs if math.isnan(each.expected)]
    full = [(each, score) for each, score in pairs if not math.isnan(each.expected)]
    if len(full) < FEWEST:
        return None
    rows, wanted = np.array([_row(each) for each, _ in full]), np.array([score for _, score in full])
    left_out = [_solve(np.delete(rows, k, 0), np.delete(wanted, k)) for k in range(len(full))]
    errors = [abs(_sigmoid(row @ found) - score) for row, found, score in zip(rows, left_out, wanted, strict=True)]
    a, b, c = _solve(rows, wanted)
    return Quality(
        weights=(float(a), float(b), float(c)),
        empty=float(np.mean(empty)) if empty else 0.0,
        cases=len(full),
        error=float(np.mean(errors)),
    )


def _row(signs: Signs) -> np.ndarray:
    return np.array([1.0, _logit(signs.expected), math.log(max(signs.doubt, _EDGE))])


def _solve(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The weights, drawn towards those of a mask that is as good as it expects."""
    prior = np.array([0.0, 1.0, 0.0])
    wanted = np.array([_logit(score) for score in scores]) - rows @ prior
    if len(rows) < ENOUGH:
        return prior + np.array([wanted.sum() / (len(rows) + _RIDGE), 0.0, 0.0])
    penalty = np.diag([0.0, _RIDGE, _RIDGE])
    return prior + np.linalg.solve(rows.T @ rows + penalty, rows.T @ wanted)


def _logit(share: float) -> float:
    bounded = min(max(float(share), _EDGE), 1 - _EDGE)
    return math.log(bounded / (1 - bounded))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(min(-float(value), 700.0)))  # of more there is no exponential
