"""A mask against its label: every metric of every class, with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ldseg.base.regions import check_regions, structures, unions_of
from ldseg.base.spatial import IGNORE
from ldseg.base.text import few, number, plain
from ldseg.errors import DataError
from ldseg.evaluation.metrics import CLASS_METRICS, DISTANCES, class_scores
from ldseg.evaluation.record import foreground

TOLERANCE = 2.0
"""Of the surface Dice, unless told otherwise: that of ``[Evaluation] Tolerance``."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a mask is worth.

    Attributes:
        classes: metric by class, or by region, and name, ``classes["gland"]["dice"]``; NaN for what does not exist.
        mean: metric by name, the mean over the classes, or regions, that have it, the background left out.
        unit: of distances, ``pixels`` or ``mm``; the other metrics are shares from 0 to 1.
    """

    classes: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what does not exist is None."""
        found: dict[str, Any] = plain({"classes": self.classes, "mean": self.mean, "unit": self.unit})
        return found

    def __str__(self) -> str:
        names = [f"{name} ({self.unit})" if name in DISTANCES else name for name in CLASS_METRICS]
        rows = [["", *names]]
        for title, values in [*list(self.classes.items())[1:], ("mean", self.mean)]:
            rows.append([title, *(number(values[name], 2 if name in DISTANCES else 4) for name in CLASS_METRICS)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def evaluate(
    mask: npt.ArrayLike,
    label: npt.ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
    video: bool = False,
    regions: Mapping[str, int | Sequence[int]] | None = None,
) -> Evaluation:
    """Compare a mask with its label: Dice, IoU, precision, recall, HD95, ASSD and surface Dice of every class, or region.

    Args:
        mask: class numbers ``(*S)``, whole numbers from 0, the background.
        label: the true class numbers, ``(*S)``; pixels of -1 are not known and count in no metric.
        classes: names of the classes, background first; ``class 1``, ``class 2`` and so on unless given.
        spacing: mm along each axis of the array; without it distances are in pixels.
        tolerance: of the surface Dice, in the unit of the distances.
        video: whether the first axis is time: then surfaces are compared frame by frame.
        regions: unions of classes to compare in place of the classes, ``{"disc": (1, 2), "cup": 2}``.

    Raises:
        DataError: the two differ in shape, do not hold class numbers, or hold a number that has no class; or the regions
            cannot be told apart.
    """
    given = {"mask": np.asarray(mask), "label": np.asarray(label)}
    highest = 1
    for name, values in given.items():
        if values.dtype.kind not in "uib" or values.size == 0:
            raise DataError(f"{name}: expected whole class numbers, got {values.dtype} of shape {values.shape}")
        low, high = int(values.min()), int(values.max())
        if low < (IGNORE if name == "label" else 0):
            raise DataError(f"{name}: expected class numbers of at least 0, got {low}")
        highest = max(highest, high)
    unions = tuple((name, (own,) if isinstance(own, int) else tuple(own)) for name, own in (regions or {}).items())
    if given["mask"].shape != given["label"].shape:
        raise DataError(f"mask and label: expected one shape, got {given['mask'].shape} and {given['label'].shape}")
    if classes is None and unions:
        highest = max([highest, *(number for _, own in unions for number in own)])
    elif classes is None:
        present = set().union(*(np.unique(values).tolist() for values in given.values())) - {IGNORE} | {0}
        if missing := sorted(set(range(highest + 1)) - present - {1}):
            raise DataError(
                f"mask and label: found the numbers {few(sorted(present))}, but not {few(missing)}; if they are "
                "classes, name them all in classes; make classes of numbered objects and of 0/255 first, such as label > 0"
            )
    names = tuple(classes) if classes is not None else ("background", *(f"class {k}" for k in range(1, highest + 1)))
    if len(names) <= highest or len(set(names)) < len(names):
        raise DataError(
            f"classes: expected {highest + 1} different names or more, as {highest} occurs, got {', '.join(names)}"
        )
    try:
        check_regions(unions, names)
    except ValueError as error:
        raise DataError(f"regions: {error}") from error
    options: dict[str, Any] = {"tolerance": tolerance, "spacing": spacing, "frames": video, "unions": unions_of(unions)}
    scores = class_scores(given["mask"], given["label"], len(names), **options)
    told = structures(names, unions)
    return Evaluation(
        classes={name: {metric: scores[metric][k] for metric in CLASS_METRICS} for k, name in enumerate(told)},
        mean={metric: foreground(scores[metric]) for metric in CLASS_METRICS},
        unit="pixels" if spacing is None else "mm",
    )
