"""The outline of each object as a class of its own, by which networks learn to keep apart objects that touch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ldseg.base.spatial import IGNORE
from ldseg.data.cases import LoadedCase
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError

BAND = 3.0
"""Width of an outline, in pixels of the grid of the network."""

SLIPS = 0.05
"""The share of labelled objects that may be smaller than what counts as one: specks, and slips of the pen."""

_FAR = 1e6
"""What a frame is away from the next, in pixels: time is no length, so an outline lies in its own frame."""


def label_on_grid(loaded: LoadedCase, preprocessing: Preprocessing, grid: Sequence[int], outline: bool) -> np.ndarray:
    """The label that networks learn from: classes int32 (*grid), and, with `outline`, C where an object's outline is.

    A label that does not number its objects counts as one object, whose outline is that towards the background.

    Args:
        loaded: a case with a label.
        preprocessing: its rules.
        grid: see `Preprocessing.grid_of`.
        outline: whether the networks have a channel for it (`SegmenterSpec.outline`), which takes two classes.
    """
    assert loaded.label is not None
    label = preprocessing.label_to_grid(loaded.label, grid)
    if not outline:
        return label
    if (label == IGNORE).any():
        raise DataError(
            f"{loaded.name}: expected a label that is known everywhere, to learn outlines; set [Model] Outline = False"
        )
    ids = loaded.label if loaded.instances is None else loaded.instances
    edge = outlines(_ids_on(ids, label > 0), preprocessing.axes)
    return np.where(edge, np.int32(preprocessing.num_classes), label)


def outlines(ids: np.ndarray, axes: str, band: float = BAND) -> np.ndarray:
    """Where the outline of an object lies: its pixels within `band` of the nearest pixel that is not of it.

    Distances are Euclidean, in pixels; the border of the image makes no outline. An object keeps an inside: where it is so
    slim that nothing would be left, the band is half of its own greatest distance.

    Args:
        ids: of the objects, int (*S), 0 for background.
        axes: a letter for each axis; in a video ("TYX") each frame is looked at by itself.
        band: in pixels.

    Returns:
        bool (*S).
    """
    from scipy import ndimage  # here, as segmenting does without

    steps = [_FAR if axis == "T" else 1.0 for axis in axes]
    found = np.zeros(ids.shape, bool)
    _, dense = np.unique(ids, return_inverse=True)
    dense = dense.reshape(ids.shape) + (0 if (ids == 0).any() else 1)  # find_objects leaves out the number 0
    for index, box in enumerate(ndimage.find_objects(dense), start=1):
        # The nearest other pixel touches the object, so it lies in the box or next to it.
        near = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        own = dense[near] == index
        if own.all():  # there is nothing else
            continue
        distance = ndimage.distance_transform_edt(own, sampling=steps)
        found[near] |= own & (distance <= min(band, distance[own].max() / 2))
    return found


def areas_on_grid(loaded: LoadedCase, preprocessing: Preprocessing) -> list[float]:
    """Positions of the grid that each object of a label has; none of a label that does not number them."""
    if loaded.instances is None:
        return []
    grid = preprocessing.grid_of(loaded.size, loaded.spacing)
    ids, counts = np.unique(loaded.instances, return_counts=True)
    return (counts[ids > 0] * math.prod(grid) / math.prod(loaded.size)).tolist()


def smallest_of(areas: Sequence[float]) -> float:
    """The least that an object has, after the areas of labelled ones: that of one of them, see `Preprocessing.smallest`."""
    return float(np.quantile(areas, SLIPS, method="lower"))


def _ids_on(ids: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Ids (*S) of the nearest pixel on another grid; `inside` (*grid) says where there are objects, and gets no 0."""
    from scipy import ndimage

    places = [(np.arange(m) * 2 + 1) * n // (2 * m) for n, m in zip(ids.shape, inside.shape, strict=True)]
    near = np.where(inside, ids[np.ix_(*places)], 0)
    missing = inside & (near == 0)
    if missing.any():
        if near.any():
            index = ndimage.distance_transform_edt(near == 0, return_distances=False, return_indices=True)
            near = np.where(missing, near[tuple(index)], near)
        else:
            near = inside.astype(np.int32)
    return near
