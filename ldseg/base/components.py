"""Connected components of masks of any number of axes, and the boxes around them. Needs no more than OpenCV."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import cv2
import numpy as np

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Labels = np.ndarray[tuple[int, ...], np.dtype[np.int32]]
Box = tuple[slice, ...]


def components(mask: np.ndarray, *, corners: bool = False, frames: bool = False) -> tuple[Labels, int]:
    """Number the connected components of a mask in the order of their first pixels, as ``scipy.ndimage.label`` does.

    Args:
        mask: bool ``(*S)``.
        corners: whether pixels that share no more than a corner touch, too; else they have to share a face.
        frames: whether the first axis is time, along which nothing touches.

    Returns:
        int32 ``(*S)``: 0 outside of the mask, 1 to n for the components; and n.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim == 1:
        labels, count = _plane(mask[np.newaxis], corners)
        return labels[0], count
    if mask.ndim == 2 and not frames:
        return _plane(mask, corners)
    labels, count = np.zeros(mask.shape, np.int32), 0
    for part, numbers in zip(mask, labels, strict=True):
        found, more = components(part, corners=corners)
        np.add(found, count, out=numbers, where=found > 0)
        count += more
    return (labels, count) if frames else _joined(labels, count, corners)


def counted(mask: np.ndarray, *, frames: bool = False) -> int:
    """How many connected components ``components`` finds in a mask bool ``(*S)``; it holds two planes of a volume."""
    if mask.ndim != 3:
        return components(mask, frames=frames)[1]
    total = 0
    before: Labels | None = None
    least = [0]  # of each number one that is smaller and touches it, or itself
    for plane in mask:
        given = np.ascontiguousarray(plane, bool).view(np.uint8)
        count, found = cv2.connectedComponents(given, connectivity=4)
        total += count - 1
        if frames:
            continue
        first = len(least)
        least += range(first, first + count - 1)
        labels: Labels = np.where(found > 0, found + np.int32(first - 1), 0).astype(np.int32, copy=False)
        for one, two in () if before is None else _touching(before, labels, len(least), False):
            a, b = _root(least, one), _root(least, two)
            if a != b:
                least[max(a, b)] = min(a, b)
                total -= 1
        before = labels
    return total


def measured(mask: np.ndarray) -> tuple[Labels, np.ndarray]:
    """The connected components of a mask bool ``(*S)``, numbered in any order, and the pixels that have each number."""
    if mask.ndim == 2 and mask.size:
        given = np.ascontiguousarray(mask, bool).view(np.uint8)
        labels = cv2.connectedComponents(given, connectivity=4)[1].astype(np.int32, copy=False)
    else:
        labels, _ = components(mask)
    numbers, starts, ends = _runs(labels)
    return labels, np.bincount(numbers, ends - starts + 1, minlength=1).astype(np.intp)


def boxes(labels: np.ndarray) -> list[Box]:
    """The smallest box around each of the numbers 1 to n that are all in ``labels`` int ``(*S)``."""
    numbers, starts, ends = _runs(labels)
    there = numbers > 0
    numbers, starts, ends = numbers[there] - 1, starts[there], ends[there]
    count = int(numbers.max()) + 1 if numbers.size else 0
    found = []
    places = zip(np.unravel_index(starts, labels.shape), np.unravel_index(ends, labels.shape), labels.shape, strict=True)
    for begin, end, length in places:
        first, last = np.full(count, length), np.zeros(count, np.intp)
        np.minimum.at(first, numbers, begin)
        np.maximum.at(last, numbers, end)
        found.append([slice(start, stop + 1) for start, stop in zip(first.tolist(), last.tolist(), strict=True)])
    return list(zip(*found, strict=True))


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours along the last axis that have one number, of which there are far fewer than pixels.

    Returns:
        the number of each run, and the places of its first and its last pixel in the flat array.
    """
    lines = labels.reshape(-1, labels.shape[-1]) if labels.size else np.zeros((0, 1), labels.dtype)
    changes = np.ones((lines.shape[0], lines.shape[1] + 1), bool)
    np.not_equal(lines[:, 1:], lines[:, :-1], out=changes[:, 1:-1])
    starts, ends = np.flatnonzero(changes[:, :-1]), np.flatnonzero(changes[:, 1:])
    return lines.reshape(-1)[starts], starts, ends


def shared_out(mask: np.ndarray, seeds: np.ndarray) -> Labels:
    """Share a mask out among seeds: each pixel goes to the one that reaches it first, from face to face.

    That is a watershed on even ground. Of seeds that reach a pixel at once, it goes to that whose pixel came first in line.

    Args:
        mask: bool ``(*S)``.
        seeds: int ``(*S)``, 0 where there is none.

    Returns:
        int32 ``(*S)``: the numbers of the seeds; 0 outside of the mask, and where no seed reaches.
    """
    inner = (slice(1, -1),) * mask.ndim
    free, found = (np.zeros([length + 2 for length in mask.shape], kind) for kind in (bool, np.int32))
    found[inner] = np.where(mask, seeds, 0)
    free[inner] = mask & (found[inner] == 0)
    # One step along each axis, as places in the flat array, those before first.
    steps = [stride // found.itemsize for stride in found.strides]
    moves = np.array([*(-step for step in steps), *reversed(steps)])
    flat, open_ = found.ravel(), free.ravel()
    reached = np.flatnonzero(flat)
    while reached.size:
        sources = np.repeat(reached, moves.size)
        places = (reached[:, np.newaxis] + moves).ravel()
        there = open_[places]
        sources, places = sources[there], places[there]
        reached, first = np.unique(places, return_index=True)  # of several that reach a pixel at once, the first in line
        order = np.argsort(first)
        reached, first = reached[order], first[order]
        flat[reached] = flat[sources[first]]
        open_[reached] = False
    return flat.reshape(found.shape)[inner].copy()


def bounding_box(mask: np.ndarray) -> Box:
    """The smallest box around all of a mask bool ``(*S)``; an empty one if there is nothing."""
    found = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        found.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0))
    return tuple(found)


def _plane(mask: BoolArray, corners: bool) -> tuple[Labels, int]:
    """Of two axes. OpenCV numbers in an order of its own."""
    if not mask.size:
        return np.zeros(mask.shape, np.int32), 0
    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask).view(np.uint8), connectivity=8 if corners else 4)
    if count <= 2:
        return labels.astype(np.int32, copy=False), count - 1
    found, starts, _ = _runs(labels)
    first = np.zeros(count, np.intp)
    first[found[::-1]] = starts[::-1]  # of equal places the last one written stays, which is the first pixel
    first[0] = -1  # outside of the mask stays 0
    numbers = np.empty(count, np.int32)
    order = np.argsort(first)
    if (order[1:] > order[:-1]).all():  # as they are
        return labels.astype(np.int32, copy=False), count - 1
    numbers[order] = np.arange(count, dtype=np.int32)
    return numbers[labels], count - 1


def _root(least: list[int], number: int) -> int:
    while least[number] != number:
        least[number] = least[least[number]]
        number = least[number]
    return number


def _joined(labels: Labels, count: int, corners: bool) -> tuple[Labels, int]:
    """Components within each part along the first axis, numbered in order, to those across parts."""
    least = list(range(count + 1))  # of each number one that is smaller and touches it, or itself

    for before, behind in itertools.pairwise(labels):
        for one, two in _touching(before, behind, count, corners):
            a, b = _root(least, one), _root(least, two)
            if a != b:
                least[max(a, b)] = min(a, b)
    roots = np.array([_root(least, number) for number in range(count + 1)])
    _, numbers = np.unique(roots, return_inverse=True)
    return numbers.astype(np.int32)[labels], len(set(roots.tolist())) - 1


def _touching(before: Labels, behind: Labels, count: int, corners: bool) -> Iterable[tuple[int, int]]:
    """Each pair of numbers of neighbouring parts that touch."""
    steps = itertools.product((0, 1, -1), repeat=before.ndim) if corners else [(0,) * before.ndim]
    for step in steps:
        ours = tuple(slice(max(0, move), length + min(0, move)) for move, length in zip(step, before.shape, strict=True))
        theirs = tuple(slice(max(0, -move), length + min(0, -move)) for move, length in zip(step, before.shape, strict=True))
        one, two = before[ours], behind[theirs]
        both = (one > 0) & (two > 0)
        keys = np.unique(one[both].astype(np.int64) * (count + 1) + two[both])
        yield from zip((keys // (count + 1)).tolist(), (keys % (count + 1)).tolist(), strict=True)
