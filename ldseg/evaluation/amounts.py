"""How much of each class a mask holds: how many objects, and how large they are together. Needs no label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldseg.base.components import counted
from ldseg.base.regions import Unions, inside
from ldseg.base.scratch import slabs


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Of the classes but the background, or of the regions, in their order.

    Attributes:
        counts: objects of each.
        sizes: area of each, or volume.
        unit: of the sizes.
    """

    counts: tuple[int, ...]
    sizes: tuple[float, ...]
    unit: str


def amounts(
    mask: np.ndarray,
    classes: int,
    axes: str,
    spacing: Sequence[float] | None = None,
    objects: np.ndarray | None = None,
    unions: Unions = (),
) -> Amounts:
    """Count and measure.

    Pictures have areas in mm², or in pixels where the spacing is not known; volumes have volumes in ml, or in voxels;
    videos have the mean area and the mean count of their frames.

    Args:
        mask: class numbers int ``(*S)``.
        classes: how many there are, the background included.
        axes: a letter for each axis of the mask.
        spacing: mm along each axis.
        objects: a number for each object of a mask of two classes, where they are known; else connected parts count.
        unions: the classes of the background and of each region to measure in place of the classes.
    """
    video, volume = axes.startswith("T"), axes == "ZYX"
    frames = mask.shape[0] if video else 1
    counts, sizes = [], []
    for union in unions[1:] or ((index,) for index in range(1, classes)):
        known = objects is not None and classes == 2 and not video
        found = held = 0
        for part in slabs(mask) if video else (mask,):  # frames count by themselves, the planes of a volume do not
            own = inside(part, union)
            found += 0 if known else counted(own, frames=video)
            held += int(np.count_nonzero(own))
        counts.append(int(objects.max(initial=0)) if known and objects is not None else round(found / frames))
        sizes.append(held / frames)
    if spacing is None:
        unit = "voxels" if volume else "pixels"
    else:
        unit = "ml" if volume else "mm²"
        one = math.prod(spacing[1:] if video else spacing) / (1000 if volume else 1)
        sizes = [size * one for size in sizes]
    return Amounts(counts=tuple(counts), sizes=tuple(float(size) for size in sizes), unit=unit)
