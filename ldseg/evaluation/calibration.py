"""Whether a segmentation knows how far it can be trusted: calibration, and how well its uncertainty finds its errors.

All of it is taken from histograms over the pixels (voxels) of a set of cases, so that cases need not be kept. Every pixel
counts the same, so that large cases weigh more, and so does background where there is much of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldseg.base.regions import Unions, inside
from ldseg.base.spatial import IGNORE
from ldseg.base.text import plain
from ldseg.errors import DataError

FloatArray = npt.NDArray[np.float64]

BINS = 15
"""Bins of the reliability diagram, as Guo et al. have them."""

FINE = 1500
"""Bins of the histogram of the confidence, a multiple of BINS."""

RANKS = 3000
"""Bins of the histogram of the uncertainty, evenly spaced in its logarithm."""

_LOWEST = 1e-8  # uncertainties below it are not told apart
_CHUNK = 1 << 20
_FRACTIONS = 100


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What a reliability diagram shows, one value per bin of the confidence; NaN where a bin is empty.

    Attributes:
        edges: of the bins, (n + 1,); a bin holds its upper edge.
        counts: pixels.
        confidence: their mean confidence.
        accuracy: the share of them that is right.
    """

    edges: FloatArray
    counts: FloatArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def error(self) -> float:
        r"""Expected calibration error, :math:`\sum_m \frac{n_m}{n} |acc_m - conf_m|`.

        Naeini et al., AAAI 2015; Guo et al., On calibration of modern neural networks, ICML 2017, equation 3. It is 0 where
        of the pixels with a confidence of p a share of p is right, and NaN without pixels.
        """
        there = self.counts > 0
        if not there.any():
            return math.nan
        gaps = np.abs(self.accuracy[there] - self.confidence[there])
        return float((self.counts[there] * gaps).sum() / self.counts.sum())


class Calibration:
    """Histograms of confidence and uncertainty over labelled cases, and what follows from them."""

    def __init__(self) -> None:
        self.cases = 0
        self._counts = np.zeros((2, FINE))  # of wrong pixels, of right ones
        self._confidence = np.zeros(FINE)  # sums
        self._ranks = np.zeros((2, RANKS))

    def add(self, probabilities: npt.NDArray, uncertainty: npt.NDArray, mask: npt.NDArray, label: npt.NDArray) -> None:
        """Take in one case.

        Args:
            probabilities: (*S, C); the confidence of a pixel is the probability of the class that the mask has there.
            uncertainty: (*S) in [0, 1], such as the entropy.
            mask: class indices (*S).
            label: true class indices (*S); pixels of `ldseg.base.spatial.IGNORE` are left out.

        Raises:
            DataError: shapes do not go together.
        """
        for name, array in (("probabilities", probabilities[..., 0]), ("uncertainty", uncertainty), ("label", label)):
            if array.shape != mask.shape:
                raise DataError(f"{name}: expected the size of the mask {mask.shape}, got {array.shape}")
        self.cases += 1
        flat = probabilities.reshape(-1, probabilities.shape[-1])
        flat_uncertainty, flat_mask, flat_label = uncertainty.ravel(), mask.ravel(), label.ravel()
        if (unknown := flat_label == IGNORE).any():
            flat, flat_uncertainty, flat_mask, flat_label = (
                values[~unknown] for values in (flat, flat_uncertainty, flat_mask, flat_label)
            )
        for start in range(0, flat_mask.size, _CHUNK):  # bincount takes numbers of 64 bits
            part = slice(start, start + _CHUNK)
            chosen = flat_mask[part]
            right = (chosen == flat_label[part]).astype(np.int64)
            given = flat[part]
            confidence = given.reshape(-1)[np.arange(len(given)) * given.shape[1] + chosen]
            confidence = np.clip(confidence.astype(np.float64), 0.0, 1.0)
            place = np.clip(np.ceil(confidence * FINE).astype(np.int64) - 1, 0, FINE - 1)
            self._counts += np.bincount(right * FINE + place, minlength=2 * FINE).reshape(2, FINE)
            self._confidence += np.bincount(place, weights=confidence, minlength=FINE)
            rank = _rank(flat_uncertainty[part])
            self._ranks += np.bincount(right * RANKS + rank, minlength=2 * RANKS).reshape(2, RANKS)

    def add_regions(self, probabilities: npt.NDArray, mask: npt.NDArray, label: npt.NDArray, unions: Unions) -> None:
        """Take in one case by its regions: each pixel once for each of them, as inside or outside.

        The probability of a region is the sum of those of its classes, and its uncertainty the binary entropy of that.

        Args:
            probabilities: (*S, C).
            mask: class indices (*S).
            label: true class indices (*S), or `ldseg.base.spatial.IGNORE`.
            unions: the classes of the background and of each region.

        Raises:
            DataError: shapes do not go together.
        """
        cases = self.cases
        for union in unions[1:]:
            chance = np.clip(probabilities[..., list(union)].sum(axis=-1), 0.0, 1.0)
            both = np.stack([1 - chance, chance], axis=-1)
            entropy = -(both * np.log2(np.maximum(both, 1e-12))).sum(axis=-1)
            own, true = inside(mask, union).astype(np.int32), inside(label, union).astype(np.int32)
            self.add(both, np.clip(entropy, 0.0, 1.0), own, np.where(label == IGNORE, IGNORE, true))
        self.cases = cases + 1

    def take(self, other: Calibration) -> None:
        """Take in the cases of another one."""
        self.cases += other.cases
        self._counts += other._counts
        self._confidence += other._confidence
        self._ranks += other._ranks

    @property
    def pixels(self) -> int:
        """Pixels so far."""
        return int(self._counts.sum())

    @property
    def error_rate(self) -> float:
        """Share of them that is wrong; NaN without pixels."""
        return float(self._counts[0].sum() / self._counts.sum()) if self.pixels else math.nan

    def reliability(self, bins: int = BINS) -> Reliability:
        """The reliability diagram (DeGroot and Fienberg, The Statistician 32, 1983) in bins of equal width.

        Raises:
            ValueError: unless FINE is a multiple of ``bins``.
        """
        if bins < 1 or FINE % bins:
            raise ValueError(f"expected a number of bins that divides {FINE}, got {bins}")
        wrong, right = self._counts.reshape(2, bins, -1).sum(axis=-1)
        counts = wrong + right
        mean, accuracy = np.full(bins, np.nan), np.full(bins, np.nan)
        np.divide(self._confidence.reshape(bins, -1).sum(axis=-1), counts, out=mean, where=counts > 0)
        np.divide(right, counts, out=accuracy, where=counts > 0)
        return Reliability(edges=np.linspace(0, 1, bins + 1), counts=counts, confidence=mean, accuracy=accuracy)

    @property
    def auroc(self) -> float:
        """How well uncertainty ranks the errors: the chance that a wrong pixel is more uncertain than a right one.

        The area under the receiver operating characteristic of "wrong" by uncertainty, equal ones counted half (Hanley and
        McNeil, Radiology 143, 1982). 0.5 is what chance would do; NaN where all pixels are right, or all wrong.
        """
        wrong, right = self._ranks
        pairs = wrong.sum() * right.sum()
        if not pairs:
            return math.nan
        below = np.cumsum(right) - right
        return float((wrong * (below + right / 2)).sum() / pairs)

    def retained(self, fractions: npt.ArrayLike) -> FloatArray:
        """Share of errors among the pixels that are kept when the most uncertain ones are set aside.

        The curve of risk against coverage (El-Yaniv and Wiener, JMLR 11, 2010). Of pixels that are equally uncertain any
        are kept: the value expected is given.

        Args:
            fractions: shares to keep, above 0 and up to 1.

        Returns:
            float64 of the same shape; NaN without pixels.
        """
        kept = np.asarray(fractions, dtype=np.float64)
        total = self._ranks.sum(axis=0)
        if not self.pixels:
            return np.full(kept.shape, np.nan)
        counts, wrong = (np.concatenate([[0.0], np.cumsum(values)]) for values in (total, self._ranks[0]))
        return np.interp(kept * counts[-1], counts, wrong) / (kept * counts[-1])

    def report(self) -> dict[str, Any]:
        """All figures in JSON's own types; what does not exist is None.

        "aurc" is the mean of the error over the retained fractions (Geifman et al., ICLR 2019): lower is better, and
        "aurc_best" is what an uncertainty would reach that puts every error last.
        """
        diagram = self.reliability()
        fractions = np.arange(1, _FRACTIONS + 1) / _FRACTIONS
        errors = self.retained(fractions)
        columns = (diagram.edges[:-1], diagram.edges[1:], diagram.counts, diagram.confidence, diagram.accuracy)
        names = ("above", "up_to", "pixels", "confidence", "accuracy")
        mean_confidence = float(self._confidence.sum() / self.pixels) if self.pixels else math.nan
        found: dict[str, Any] = plain(
            {
                "cases": self.cases,
                "pixels": self.pixels,
                "accuracy": 1 - self.error_rate,
                "confidence": mean_confidence,
                "ece": diagram.error,
                "auroc": self.auroc,
                "aurc": errors.mean(),
                "aurc_best": best_retained(self.error_rate, fractions).mean(),
                "reliability": [
                    dict(zip(names, row, strict=True)) | {"pixels": int(row[2])} for row in zip(*columns, strict=True)
                ],
                "retained": {"fraction": fractions, "error": errors},
            }
        )
        return found


def best_retained(error_rate: float, fractions: npt.ArrayLike) -> FloatArray:
    """What ``Calibration.retained`` would give if every error were more uncertain than what is right."""
    kept = np.asarray(fractions, dtype=np.float64)
    return np.maximum(kept - (1 - error_rate), 0.0) / kept


def _rank(uncertainty: npt.NDArray) -> npt.NDArray[np.int64]:
    """The bin of each: most pixels are all but certain, and what tells them apart is the order of magnitude."""
    decades = np.log10(np.clip(uncertainty.astype(np.float64), _LOWEST, 1.0))
    return np.clip(((1 - decades / math.log10(_LOWEST)) * RANKS).astype(np.int64), 0, RANKS - 1)
