"""From a mask of two classes to numbered objects."""

from __future__ import annotations

import math

import numpy as np

from ldseg.base.components import boxes, components, measured, shared_out

MIN_SHARE = 2e-4
"""Objects, holes in them, and insides of objects below this share of the image do not count, unless more is known."""

CLEAR = (0.5, 0.1)
"""Probability of an outline from which on a pixel is not of the inside; the next where that leaves something of it. Low, so
that an outline with a gap still parts what touches: what it parts for nothing is joined again."""

INSIDE = 0.25
"""An inside has at least this share of the smallest object: less is a speck."""

SEEN = 0.3
"""Mean probability of an outline where two objects touch: below it none was seen there, and they are one."""


def label_instances(
    mask: np.ndarray,
    outline: np.ndarray | None = None,
    smallest: float = 0.0,
    *,
    video: bool = False,
) -> np.ndarray:
    """Number the objects of a mask.

    Connected parts are objects. Where an outline parts the inside of one into several, they may be objects that touch: the
    part is shared out from them by a watershed, so that each pixel goes to the inside that reaches it first. What then meets
    where hardly any outline was seen is one object nevertheless.

    Args:
        mask: int ``(*S)``, 0 and 1.
        outline: probability of the outline of an object, float32 ``(*S)``; None where nothing tells it.
        smallest: pixels that an object has at least, where that is known (``Preprocessing.smallest``): smaller ones do not
            count; 0 where it is not.
        video: whether the first axis is time, along which objects go on and do not touch.

    Returns:
        int32 ``(*S)``: 0 for background, 1 to n for the objects, whose pixels touch at least along a face.
    """
    speck = hole = least = max(int(MIN_SHARE * mask.size), 1)
    if smallest:
        least, speck = math.ceil(smallest) - 1, math.ceil(INSIDE * smallest) - 1
        hole = min(hole, least)
    kept = without_small(mask.astype(bool), least)
    if not kept.any():
        return np.zeros(mask.shape, np.int32)
    kept = ~without_small(~kept, hole)
    objects, _ = components(kept)
    return objects if outline is None else parted(objects, outline, speck, video)


def without_small(mask: np.ndarray, smallest: int) -> np.ndarray:
    """A mask bool ``(*S)`` without its components of so many pixels or fewer."""
    if not mask.any():
        return mask
    labels, areas = measured(mask)
    large = areas > smallest
    large[0] = False
    if large[1:].all():
        return mask
    kept: np.ndarray = large[labels]
    return kept


def parted(objects: np.ndarray, outline: np.ndarray, speck: int, video: bool = False) -> np.ndarray:
    """Objects, each shared out among its insides of more than ``speck`` pixels; numbers without a gap."""
    seeds = _insides(objects > 0, outline, speck)
    found, count = np.zeros_like(objects), 0
    for index, box in enumerate(boxes(objects), start=1):
        own = objects[box] == index
        own_seeds = np.where(own, seeds[box], 0)
        numbers = np.flatnonzero(np.bincount(own_seeds.ravel())[1:]) + 1
        if len(numbers) > 1:
            own_seeds = np.searchsorted(numbers, own_seeds) + (own_seeds > 0)  # from 1 without a gap
            shared = _joined(shared_out(own, own_seeds), outline[box], video)
        else:
            shared = own
        found[box] += np.where(own, shared + np.int32(count), 0).astype(np.int32)
        count += int(shared.max())
    return found


def _insides(kept: np.ndarray, outline: np.ndarray, speck: int) -> np.ndarray:
    """Numbered insides, each at the last level of CLEAR at which something of it is left."""
    seeds, count = np.zeros(kept.shape, np.int32), 0
    for level in CLEAR:
        found, more = components(without_small(kept & (outline < level), speck))
        parted_further = np.zeros(count + 1, bool)
        parted_further[seeds[found > 0]] = True
        seeds = np.where(parted_further[seeds], 0, seeds)
        seeds = np.where(found > 0, found + np.int32(count), seeds)
        count += more
    return seeds


def _joined(pieces: np.ndarray, outline: np.ndarray, video: bool) -> np.ndarray:
    """Pieces 1 to n, those joined that meet where no outline was seen; numbers in their order, without a gap.

    Of a video, what meets within a frame tells; along time only where two pieces meet in no frame: an object goes on through
    a frame that shows nothing clear of its outline.
    """
    n = int(pieces.max()) + 1
    pairs: list[np.ndarray] = []
    seen: list[np.ndarray] = []
    for axis in (*range(int(video), pieces.ndim), *(0,) * video):
        one, two = ((slice(None),) * axis + (side,) for side in (slice(None, -1), slice(1, None)))
        a, b = pieces[one], pieces[two]
        meet = (a != b) & (a > 0) & (b > 0)
        pair = np.minimum(a, b)[meet].astype(np.int64) * n + np.maximum(a, b)[meet]
        new = ~np.isin(pair, np.concatenate(pairs)) if video and axis == 0 else slice(None)
        pairs.append(pair[new])
        seen.append(((outline[one][meet] + outline[two][meet]) / 2)[new])
    found, which = np.unique(np.concatenate(pairs), return_inverse=True)
    mean = np.bincount(which, np.concatenate(seen)) / np.maximum(np.bincount(which), 1)
    least = np.arange(n)
    for pair in found[mean < SEEN]:
        a, b = least[[pair // n, pair % n]]
        least[least == max(a, b)] = min(a, b)
    _, numbers = np.unique(least, return_inverse=True)
    return numbers.astype(pieces.dtype)[pieces]
