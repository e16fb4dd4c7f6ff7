"""What the cases of a data set are like, from a sample of them: all that a plan is made from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldseg.augmentation.stain import looks_stained
from ldseg.base.components import components
from ldseg.base.regions import inside
from ldseg.base.spatial import AXES, IGNORE
from ldseg.config import DataConfig
from ldseg.data.cases import Case, classes_by, read_case_label
from ldseg.data.labels import distinct, to_instances
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.scans import read_scan

MOST_CASES = 500
"""Cases that a plan reads at most."""

MOST_POSITIONS = 3 * 10**8
"""Pixels or voxels that it reads at most, about, of more than `FEWEST` cases."""

FEWEST = 32
KEPT = 24
"""Labels that are kept to try grids on, at most."""

MOST_KEPT = 2 * 10**7
"""Their positions, at most, about."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A label that is kept: its classes uint8 or int32 ``(*S)``, and its spacing in mm, if known."""

    classes: np.ndarray
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a sample of the cases is like.

    Attributes:
        sizes: lengths of each image along the axes of space and time.
        spacings: its spacing in mm along them, or None where the file knows none.
        channels: those of most images; 3 where some are in colour and some are gray.
        eight_bits: whether all images are of 8 bits.
        stained: share of the coloured pictures that look like stained tissue, see ``looks_stained``.
        cases: how many there are in all.
        shares: share of all labelled positions that each class has, background first; empty without labels.
        occurs: share of the labels that show it.
        outlines: labels to try grids on.
        numbers: those that occur in the labels as stored.
        numbered: whether a label numbers its objects.
        problems: what was wrong with labels that could not be read, then with images, a line each.
    """

    sizes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...] | None, ...]
    channels: int
    eight_bits: bool
    stained: float = 0.0
    cases: int = 0
    shares: tuple[float, ...] = ()
    occurs: tuple[float, ...] = ()
    outlines: tuple[Outline, ...] = ()
    numbers: frozenset[int] = frozenset()
    numbered: bool = False
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> np.ndarray:
        """The median size."""
        return np.median(self.sizes, axis=0)

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """The median spacing; None unless every image knows its own."""
        known = [spacing for spacing in self.spacings if spacing is not None]
        return tuple(np.median(known, axis=0).tolist()) if len(known) == len(self.spacings) else None

    def widths(self, axes: str) -> dict[int, float]:
        """By class, the width of an object as images have it: the median over the labels of that of the median object.

        The width is the diameter of a disc, or a ball, of the same content; a small object counts by its content, so that
        specks do not decide. Of a video the frame in the middle counts.
        """
        found: dict[int, list[float]] = {}
        for outline in self.outlines:
            classes = outline.classes[len(outline.classes) // 2] if axes[0] == "T" else outline.classes
            for index in np.unique(classes[classes > 0]).tolist():
                found.setdefault(index, []).append(_width(classes == index))
        return {index: float(np.median(widths)) for index, widths in sorted(found.items())}

    def lost(self, step: Preprocessing) -> float:
        """Dice that a perfect mask on the grid lacks when it is back at the image's own size: mean over classes and labels.

        NaN without labels.
        """
        scores = [score for outline in self.outlines for score in _kept_dice(outline, step)]
        return 1.0 - float(np.mean(scores)) if scores else math.nan


def order_of(count: int, seed: int) -> list[int]:
    """The places of the cases that are looked at, at most `MOST_CASES` of so many, in the order of looking."""
    return np.random.default_rng([seed, count]).permutation(count)[:MOST_CASES].tolist()


def look(cases: Sequence[Case], data: DataConfig, seed: int = 0) -> Seen:
    """Read a sample of the cases that the seed draws, at most `MOST_CASES`; those that cannot be read are passed over.

    Args:
        cases: with or without labels.
        data: how they are read; its dimensions are known.
        seed: of the sample.

    Raises:
        DataError: if no case can be read.
    """
    order = order_of(len(cases), seed)
    count, axes = len(data.classes) or 2, AXES[data.dimensions]
    names = data.classes or ("0", "1")
    rules = {"labels": data.labels, "label_map": data.label_map, "sparse": data.sparse}
    step = Preprocessing(size=(1,) * len(axes), axes=axes, classes=names, **rules)  # type: ignore[arg-type]  # of labels alone
    problems: list[DataError] = []
    found: list[_Case] = []
    read = kept = 0
    with ThreadPoolExecutor(2) as pool:
        ahead = [pool.submit(_read, cases[index], step) for index in order]
        for future in ahead:
            if read >= MOST_POSITIONS and len(found) >= FEWEST:
                pool.shutdown(wait=False, cancel_futures=True)
                break
            try:
                case = future.result()
            except DataError as error:
                problems.append(error)
                continue
            read += math.prod(case.size)
            if case.classes is not None:
                if sum(one.classes is not None for one in found) < KEPT and kept < MOST_KEPT:
                    kept += case.classes.size
                else:
                    case.classes = None
            found.append(case)
    if not found:
        raise problems[0]
    return _seen(found, len(cases), count, tuple(str(error) for error in problems))


@dataclass(kw_only=True)
class _Case:
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    channels: int
    eight_bits: bool
    stained: bool | None
    counts: np.ndarray | None
    classes: np.ndarray | None
    numbers: np.ndarray
    numbered: bool
    problem: str


def _read(case: Case, step: Preprocessing) -> _Case:
    axes, count, label_map = step.axes, step.num_classes, dict(step.label_map)
    scan = read_scan(case.image, axes, *case.channels)
    coloured = axes == "YX" and scan.values.shape[-1] == 3 and not scan.modalities
    counts = classes = None
    values = np.zeros(0, np.int32)
    problem, numbered = "", False
    if case.label is not None:
        try:
            numbers = read_case_label(case.label, case, axes, scan.values.shape[:-1], scan.geometry, coloured=step.coloured)
            values = distinct(numbers)
            classes = classes_by(step, numbers, str(case.label), values)
            numbered = to_instances(numbers, step.labels, count, label_map, values) is not None
            counts = np.bincount(classes[classes != IGNORE], minlength=count)
            classes = np.maximum(classes, 0)  # where it says nothing, no object
            classes = classes.astype(np.uint8) if count <= 256 else classes
        except DataError as error:
            problem = str(error)
    return _Case(
        size=tuple(scan.values.shape[:-1]),
        spacing=None if scan.geometry is None else tuple(scan.geometry.array_spacing),
        channels=scan.values.shape[-1],
        eight_bits=scan.values.dtype == np.uint8,
        stained=looks_stained(scan.values) if coloured else None,
        counts=counts,
        classes=classes,
        numbers=values,
        numbered=numbered,
        problem=problem,
    )


def _channels_of(found: Sequence[_Case]) -> int:
    """The channels of most images, gray and colours counted together: one is made of the other."""
    kinds = Counter(3 if case.channels == 1 else case.channels for case in found)
    most = max(kinds, key=lambda channels: (kinds[channels], channels))
    return 1 if most == 3 and not any(case.channels == 3 for case in found) else most


def _seen(found: Sequence[_Case], cases: int, count: int, problems: tuple[str, ...]) -> Seen:
    counts = np.array([case.counts for case in found if case.counts is not None], np.int64).reshape(-1, count)
    stained = [case.stained for case in found if case.stained is not None]
    return Seen(
        sizes=tuple(case.size for case in found),
        spacings=tuple(case.spacing for case in found),
        channels=_channels_of(found),
        eight_bits=all(case.eight_bits for case in found),
        stained=float(np.mean(stained)) if stained else 0.0,
        cases=cases,
        shares=tuple((counts.sum(0) / counts.sum()).tolist()) if len(counts) else (),
        occurs=tuple((counts > 0).mean(0).tolist()) if len(counts) else (),
        outlines=tuple(
            Outline(classes=case.classes, spacing=case.spacing)
            for case in found
            if case.classes is not None and case.classes.any()
        ),
        numbers=frozenset(value for case in found for value in case.numbers.tolist()),
        numbered=any(case.numbered for case in found),
        problems=(*(case.problem for case in found if case.problem), *problems),
    )


def _width(mask: np.ndarray) -> float:
    """The width of the object in which the median position of a mask lies."""
    labels, _ = components(mask, corners=mask.ndim == 2)
    contents = np.sort(np.bincount(labels.ravel())[1:])
    content = float(contents[np.searchsorted(contents.cumsum(), contents.sum() / 2)])
    return 2 * math.sqrt(content / math.pi) if mask.ndim == 2 else 2 * (3 * content / (4 * math.pi)) ** (1 / 3)


def _kept_dice(outline: Outline, step: Preprocessing) -> list[float]:
    classes, size = outline.classes, outline.classes.shape
    if step.axes[0] == "T":  # a frame for all
        classes = classes[len(classes) // 2 :][:1]
        size = classes.shape
    grid = step.grid_of(size, outline.spacing)
    small = step.label_to_grid(classes, grid)
    shares: Callable[[int], Any] = lambda index: (small == index).astype(np.float32)[..., np.newaxis]  # noqa: E731
    back = np.concatenate([step.probabilities_to_case(shares(k), size) for k in range(step.num_classes)], -1).argmax(-1)
    unions = step.unions[1:] or tuple((k,) for k in range(1, step.num_classes))
    pairs = [(inside(back, union), inside(classes, union)) for union in unions]
    return [2 * np.sum(found & true) / (np.sum(found) + np.sum(true)) for found, true in pairs if true.any()]
