"""Whether masks have collapsed to background, to one class, or to noise, or are a guess."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ldseg.base.scratch import slabs
from ldseg.base.spatial import IGNORE

LEAST = 0.01
"""Masks hold a class alone where there is less than this share of what else their labels hold."""

ENOUGH = 500
"""Unlike neighbours that noise would have, below which there is no telling."""

GUESS = 0.95
"""Share of the highest entropy above which, in the mean, rough masks are a guess: one of two classes has at most 63 %."""

SOUND = "no"
NOISE = "noise"
UNDECIDED = "undecided"


def said_of(kind: str) -> str:
    """What masks of a kind are, in words that follow "the masks are" or "were"; empty for ``no``."""
    known = {SOUND: "", NOISE: "no better ordered than noise", UNDECIDED: "a guess, undecided nearly everywhere"}
    return known.get(kind, f"{kind} alone")


class Collapse:
    r"""Watches masks as they come; memory does not grow with them.

    Order is measured by join counts (Moran, "The interpretation of statistical maps", 1948): the share of neighbours along
    every axis that are of different classes, over the share among any two positions of a mask,
    :math:`1 - \sum_c n_c (n_c - 1) / (n (n - 1))`. This roughness R is 1 for independent noise, however rare a class is, and
    near 0 for large regions. Masks are noise where :math:`R > \max(1/2, \sqrt{R_l})`: more than half as rough as noise, and
    nearer to it than to the roughness :math:`R_l` of the labels, as ratios go.

    Noise is independent from place to place on the grid where it was drawn; decoded, it comes in blobs of the latent's
    stride. So masks and labels are looked at on that grid. Where it has too few positions to tell by order alone, entropy
    has to say so, too: a network that has learnt nothing gives all classes about the same probability everywhere.

    Args:
        classes: their names, background first.
        strides: of the latent, one for each axis.
    """

    def __init__(self, classes: Sequence[str], strides: Sequence[int]) -> None:
        self.classes = tuple(classes)
        self.strides = tuple(strides)
        self._masks, self._labels = (_Counts(len(classes)) for _ in range(2))
        self._all_labelled = True
        self._entropy, self._told = 0.0, 0

    def add(self, mask: np.ndarray, label: np.ndarray | None, grid: Sequence[int], entropy: float = math.nan) -> None:
        """Take in a case.

        Args:
            mask: ``(*S)``, integers in 0..C-1.
            label: the same; labels count only if every mask has one.
            grid: on which the network sees the case.
            entropy: the mean over its positions, as a share of the highest there is; NaN where it is not known.
        """
        if not math.isnan(entropy):
            self._entropy, self._told = self._entropy + float(entropy), self._told + 1
        latent = [max(1, length // stride) for length, stride in zip(grid, self.strides, strict=True)]
        self._masks.add(_thinned(mask, latent))
        if label is None:
            self._all_labelled = False
        else:
            # Where a label says nothing it is taken to be as the mask is.
            self._labels.add(_thinned(np.where(label == IGNORE, mask, label), latent))

    def counts(self) -> list[Any]:
        """What was counted so far, as plain values, for ``take``."""
        return [self._all_labelled, self._masks.values(), self._labels.values(), self._entropy, self._told]

    def take(self, counts: Sequence[Any]) -> None:
        """Take in what another one, of the same classes and strides, has counted."""
        self._all_labelled &= counts[0]
        self._masks.take(counts[1])
        self._labels.take(counts[2])
        self._entropy, self._told = self._entropy + counts[3], self._told + counts[4]

    @property
    def roughness(self) -> tuple[float, float]:
        """Of masks and labels; NaN where there are none, or only one class."""
        return self._masks.roughness, self._labels.roughness if self._all_labelled else math.nan

    @property
    def kind(self) -> str:
        """``no``, ``noise``, ``undecided``, or the class that is all there is in masks whose labels hold others.

        ``no`` before any mask.
        """
        masks, labels = self._masks.classes, self._labels.classes
        others = masks.sum() - masks
        alone = others < LEAST * (labels.sum() - labels) if self._all_labelled else others == 0
        if masks.any() and alone.any():
            return self.classes[int(np.argmax(alone))]
        found, usual = self.roughness
        if not found > max(0.5, math.sqrt(np.nan_to_num(usual))):
            return SOUND
        if self._masks.expected >= ENOUGH:
            return NOISE
        return UNDECIDED if self._told and self._entropy / self._told > GUESS else SOUND

    @property
    def said(self) -> str:
        """In words; empty for ``no``."""
        kind = self.kind
        if kind == SOUND:
            return ""
        if kind == UNDECIDED:
            return f"the masks are {said_of(kind)} (mean entropy {self._entropy / self._told:.2f} of 1)"
        if kind != NOISE:
            return f"all masks are {said_of(kind)}"
        found, usual = self.roughness
        beside = "" if np.isnan(usual) else f", {usual:.2f} for the labels"
        return f"the masks are {said_of(kind)} (roughness {found:.2f}{beside}, 1 for noise)"


class _Counts:
    """Positions of each class; unlike neighbours, and how many there would be without order."""

    def __init__(self, classes: int) -> None:
        self.classes = np.zeros(classes, np.int64)
        self.unlike = self.expected = 0.0

    def add(self, mask: np.ndarray) -> None:
        counts = np.bincount(mask.ravel(), minlength=len(self.classes))
        self.classes += counts
        neighbours = [(np.delete(mask, 0, axis), np.delete(mask, -1, axis)) for axis in range(mask.ndim)]
        self.unlike += sum(np.count_nonzero(one != other) for one, other in neighbours)
        pairs = float(mask.size) * max(mask.size - 1, 1)
        self.expected += sum(one.size for one, _ in neighbours) * (1 - float((counts * (counts - 1.0)).sum()) / pairs)

    def values(self) -> list[Any]:
        return [self.classes.tolist(), self.unlike, self.expected]

    def take(self, values: Sequence[Any]) -> None:
        self.classes += np.asarray(values[0], np.int64)
        self.unlike += values[1]
        self.expected += values[2]

    @property
    def roughness(self) -> float:
        return self.unlike / self.expected if self.expected > 1e-9 else math.nan


def _thinned(mask: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """The positions of a mask in the middle of the cells of a grid, where that has fewer along an axis."""
    lines = [
        ((np.arange(count) + 0.5) * length / count).astype(int) if count < length else np.arange(length)
        for length, count in zip(mask.shape, grid, strict=True)
    ]
    # All of them along the first axis, part by part, and then those that count.
    found = np.concatenate([part[np.ix_(np.arange(len(part)), *lines[1:])] for part in slabs(mask)])
    return found if len(lines[0]) == len(found) else found[lines[0]]
