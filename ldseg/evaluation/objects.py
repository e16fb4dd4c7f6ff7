"""Scores of objects as the GlaS contest defines them.

Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest, Medical Image Analysis 35,
2017, section 4. Each object of the one image has as its partner the object of the other that covers most of it, the first
of those that cover it equally.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ldseg.base.components import boxes, components
from ldseg.errors import DataError
from ldseg.evaluation.nearest import nearest
from ldseg.evaluation.surface import border, diagonal, pixel_size

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_EXACT = 2000
"""Pixels along an axis up to which the square of a distance in single precision is nearer than 1/2 to the true one."""

OBJECT_METRICS = ("object_f1", "object_dice", "object_hausdorff")


def object_scores(
    pred: npt.ArrayLike, true: npt.ArrayLike, spacing: Sequence[float] | None = None, *, frames: bool = False
) -> dict[str, float]:
    """F1, object Dice and object Hausdorff distance of the objects of one case, by the names of OBJECT_METRICS.

    All are NaN if neither has an object. For the definitions and the errors see `object_sums`.
    """
    return object_sums(pred, true, spacing, frames=frames).scores


@dataclass(frozen=True, kw_only=True)
class ObjectSums:
    """What the scores of objects are made of: sums over the objects of a case, which may be added over cases.

    Attributes:
        hits: predicted objects that cover more than half of their partner.
        predicted, true: how many objects there are.
        predicted_area, true_area: their areas, pixels, or mm to the power of the axes.
        predicted_dice, true_dice: over the objects, area times Dice with the partner.
        predicted_distance, true_distance: over the objects, area times Hausdorff distance to the partner.
    """

    hits: float = 0.0
    predicted: float = 0.0
    true: float = 0.0
    predicted_area: float = 0.0
    true_area: float = 0.0
    predicted_dice: float = 0.0
    true_dice: float = 0.0
    predicted_distance: float = 0.0
    true_distance: float = 0.0

    @property
    def scores(self) -> dict[str, float]:
        """Those of the case alone, by the names of OBJECT_METRICS."""
        return dict(zip(OBJECT_METRICS, pooled([self]), strict=True))


def pooled(cases: Iterable[ObjectSums]) -> tuple[float, float, float]:
    """The scores of OBJECT_METRICS over all objects of a set of cases together, as the contest has them.

    Counts are added up, and each object weighs as its share of the area of all objects of the set: large objects and
    cases with many count more than in a mean over cases. NaN where there is no object.
    """
    totals = np.array([astuple(one) for one in cases]).reshape(-1, 9).sum(axis=0, keepdims=True)
    f1, dice, distance = scores_of(totals)[0]
    return float(f1), float(dice), float(distance)


def scores_of(totals: FloatArray) -> FloatArray:
    """Sums, each a row (n, 9) in the order of ObjectSums, to scores (n, 3) in the order of OBJECT_METRICS."""
    hits, predicted, true, area_p, area_t, dice_p, dice_t, distance_p, distance_t = np.asarray(totals, np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = 2 * hits / (predicted + true)
        sides = [(dice_p / area_p + dice_t / area_t) / 2, (distance_p / area_p + distance_t / area_t) / 2]
        # Where one side has no object at all, the other speaks for both.
        alone = (area_p == 0) != (area_t == 0)
        one = [(dice_p + dice_t) / (area_p + area_t), (distance_p + distance_t) / (area_p + area_t)]
    return np.stack([f1, *(np.where(alone, single, both) for single, both in zip(one, sides, strict=True))], axis=1)


def object_sums(
    pred: npt.ArrayLike, true: npt.ArrayLike, spacing: Sequence[float] | None = None, *, frames: bool = False
) -> ObjectSums:
    """The sums that F1, object Dice and object Hausdorff distance of a case, or of a set, are made of.

    ``object_f1``: 2 TP / (2 TP + FP + FN). A predicted object that covers more than half of its partner is a TP, every
    other one a FP; FN are the true objects less the TP. (The paper writes "at least 50 %", the contest's program "more".)

    ``object_dice``: ½ [Σ_i γ_i Dice(G_i, S(G_i)) + Σ_j σ_j Dice(G(S_j), S_j)], G_i the true and S_j the predicted objects,
    S(·) and G(·) their partners, γ_i = |G_i| / Σ|G| and σ_j = |S_j| / Σ|S|; Dice is 0 without a partner.

    ``object_hausdorff``: the same sum of Hausdorff distances, max(max_x min_y |x - y|, max_y min_x |x - y|) over all pixels
    x of the one and y of the other; an object without a partner is compared with the nearest, by the same distance.

    An id that covers several pieces stands for as many objects (`separate`); in a video each frame has its own, and the
    sums go over all frames.

    Args:
        pred: ids of the predicted objects, int (*S), 0 for background.
        true: ids of the true objects, the same way.
        spacing: size of a pixel along each axis of the array; None counts pixels. That of time is not used.
        frames: whether the first axis is time.

    Returns:
        the sums. If only one of the two has an object, Dice is 0 and the distance is the diagonal of the image, as it is
        for an object in a frame where the other has none.

    Raises:
        DataError: if the shapes differ, or the spacing does not suit them.
    """
    arrays = np.asarray(pred), np.asarray(true)
    if arrays[0].shape != arrays[1].shape:
        raise DataError(f"prediction and label: expected one shape, got {arrays[0].shape} and {arrays[1].shape}")
    steps = pixel_size(arrays[0].ndim, spacing, frames)
    p, t = (_Objects(separate(array, frames=frames), steps) for array in arrays)
    far = diagonal(arrays[0].shape[-steps.size :], steps)
    partner_of_p, shared_p = _partners(p.labels, t.labels, len(p))
    partner_of_t, shared_t = _partners(t.labels, p.labels, len(t))
    there = partner_of_p >= 0
    hits = np.count_nonzero(shared_p[there] > 0.5 * t.areas[partner_of_p[there]])
    pixel, sums = float(steps.prod()), []
    known: dict[tuple[int, int], float] = {}  # most pairs are partners of each other

    def between(a: _Objects, i: int, b: _Objects, j: int) -> float:
        pair = (i, j) if a is p else (j, i)
        if pair not in known:
            known[pair] = _hausdorff(a, i, b, j)
        return known[pair]

    for own, other, partner, shared in ((p, t, partner_of_p, shared_p), (t, p, partner_of_t, shared_t)):
        # Without a partner nothing is shared, whatever the index -1 stands for.
        overlap = 2 * shared / (own.areas + (other.areas[partner] if len(other) else 0.0))
        distance = [_distance(own, i, other, int(j), far, between) if len(other) else far for i, j in enumerate(partner)]
        areas = own.areas * pixel
        sums.append((float(areas.sum()), float(np.dot(areas, overlap)), float(np.dot(areas, distance))))
    return ObjectSums(
        hits=float(hits), predicted=float(len(p)), true=float(len(t)),
        predicted_area=sums[0][0], true_area=sums[1][0], predicted_dice=sums[0][1], true_dice=sums[1][1],
        predicted_distance=sums[0][2], true_distance=sums[1][2],
    )  # fmt: skip


def separate(labels: npt.ArrayLike, *, frames: bool = False) -> npt.NDArray[np.int32]:
    """Number the connected pieces of every id anew, from 1 on without a gap.

    Pixels of one id that touch, be it at a corner, are one piece. With `frames` nothing is connected along the first axis.

    Args:
        labels: int (*S), 0 for background.
        frames: whether the first axis is time.

    Returns:
        int32 (*S).
    """
    array = np.asarray(labels)
    # Ids without gaps, as `boxes` wants them; 0 stays what it is.
    if array.size and array.min() >= 0 and array.max() < array.size:
        there = np.bincount(array.ravel()) > 0
        there[0] = False
        whole = bool(there[1:].all())
        dense = array if whole else (np.cumsum(there, dtype=np.int32) * there)[array.astype(np.intp, copy=False)]
    else:
        values, inverse = np.unique(array, return_inverse=True)
        dense = (np.cumsum(values != 0, dtype=np.int32) * (values != 0))[inverse.reshape(array.shape)]
    result, count = np.zeros(array.shape, np.int32), 0
    for index, box in enumerate(boxes(dense), start=1):
        pieces, found = components(dense[box] == index, corners=True, frames=frames)
        np.copyto(result[box], pieces + count, where=pieces > 0)
        count += found
    return result


class _Objects:
    """The objects of one image, counted from 0."""

    def __init__(self, labels: npt.NDArray[np.int32], steps: FloatArray) -> None:
        self.labels, self.steps = labels, steps
        self.boxes = boxes(labels)
        self.areas = np.bincount(labels.ravel(), minlength=len(self.boxes) + 1)[1:].astype(np.float64)

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def corners(self) -> FloatArray:
        """(n, 2d): the first and the last pixel along each axis of space."""
        ends = np.array([[[s.start, s.stop - 1] for s in box] for box in self.boxes], dtype=np.float64)
        return (ends[:, -self.steps.size :] * self.steps[:, None]).reshape(len(self), -1)

    @cached_property
    def frame(self) -> IntArray:
        """(n,): the frame of each object; 0 where there is no time."""
        video = self.labels.ndim > self.steps.size
        return np.array([box[0].start if video else 0 for box in self.boxes], dtype=np.int64)


def _partners(own: npt.NDArray[np.int32], other: npt.NDArray[np.int32], count: int) -> tuple[IntArray, IntArray]:
    """For each of `count` objects the one that covers most of it, -1 if none does, and how many pixels they share."""
    both = (own > 0) & (other > 0)
    base = int(other.max(initial=0)) + 1
    pairs = own[both].astype(np.int64) * base + other[both]
    if (count + 1) * base <= own.size:  # counted, which is quicker than sorted
        table = np.bincount(pairs)
        keys = np.flatnonzero(table)
        shared = table[keys]
    else:
        keys, shared = np.unique(pairs, return_counts=True)
    mine, theirs = keys // base - 1, keys % base - 1
    # The last one written stays: the largest overlap, and among equals the lowest number.
    order = np.lexsort((-theirs, shared, mine))
    partner, most = np.full(count, -1), np.zeros(count, np.int64)
    partner[mine[order]], most[mine[order]] = theirs[order], shared[order]
    return partner, most


def _distance(own: _Objects, i: int, other: _Objects, j: int, far: float, between: Callable[..., float]) -> float:
    """From an object to its partner j, or to the nearest object of its frame where j is -1."""
    if j >= 0:
        return between(own, i, other, j)
    # Two objects are at least as far apart as the ends of their boxes differ, so that few have to be looked at.
    bounds = np.abs(other.corners - own.corners[i]).max(axis=1)
    best = math.inf
    for candidate in np.argsort(bounds):
        if bounds[candidate] >= best:
            break
        if other.frame[candidate] == own.frame[i]:
            best = min(best, between(own, i, other, int(candidate)))
    return best if math.isfinite(best) else far


def _hausdorff(a: _Objects, i: int, b: _Objects, j: int) -> float:
    """Between two objects; in a video, of one frame."""
    # The box around both is enough, as only their own pixels count.
    box = tuple(
        slice(min(one.start, two.start), max(one.stop, two.stop)) for one, two in zip(a.boxes[i], b.boxes[j], strict=True)
    )
    one, two = a.labels[box] == i + 1, b.labels[box] == j + 1
    if one.ndim > a.steps.size:
        one, two = one[0], two[0]
    return max(_farthest(one & ~two, two, a.steps), _farthest(two & ~one, one, a.steps))


def _farthest(points: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], steps: FloatArray) -> float:
    """The largest distance from a point bool (*S) to the other mask, of which none is a point; 0 without a point."""
    if not points.any():
        return 0.0
    if points.ndim == 2 and steps[0] == steps[1] and max(points.shape) <= _EXACT:
        away = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # Squares of distances between pixels are whole numbers, so that none of the rounding is left.
        return float(np.sqrt(np.rint(np.square(away[points].max(), dtype=np.float64))) * steps[0])
    return float(nearest(np.argwhere(points), np.argwhere(border(other)), steps).max())
