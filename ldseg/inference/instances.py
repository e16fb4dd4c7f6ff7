"""From a mask of two classes to numbered objects."""

from __future__ import annotations

import math

import numpy as np

from ldseg.components import boxes, components, measured, shared_out

MIN_SHARE = 2e-4
"""Objects, holes in them, and insides of objects below this share of the image do not count, unless more is known."""

INSIDE = 0.25
"""An inside has at least this share of the smallest object: less is a speck."""

SEEN = 0.25
"""Mean probability of an outline where two objects touch: below it none was seen there, and they are one. Where glands in
validation images of GlaS met that were two, it was 0.36 and more; where they were one, 0.18 and less, but for one."""


def label_instances(
    mask: np.ndarray,
    inside: np.ndarray | None = None,
    smallest: float = 0.0,
    *,
    outline: np.ndarray | None = None,
    video: bool = False,
) -> np.ndarray:
    """Number the objects of a mask.

    Connected parts are objects. Where several insides lie in one part, it is that of several objects, which touch: the part
    is shared out from its insides by a watershed, so that each pixel goes to the inside that reaches it first. What meets
    where no outline was seen is one object nevertheless: a thin place. A part with one inside or none is an object as it is.

    Args:
        mask: int ``(*S)``, 0 and 1.
        inside: the insides of objects, bool ``(*S)``, see ``ldseg.inference.parts``; None where nothing tells them.
        smallest: pixels that an object has at least, where that is known (``Preprocessing.smallest``): smaller ones do not
            count; 0 where it is not.
        outline: probability of the outline, float32 ``(*S)``; without it every inside stands.
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
    return objects if inside is None else parted(objects, without_small(inside & kept, speck), outline, video)


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


def parted(objects: np.ndarray, inside: np.ndarray, outline: np.ndarray | None = None, video: bool = False) -> np.ndarray:
    """Objects with each that holds several insides shared out among them; numbers without a gap."""
    seeds, _ = components(inside)
    found, count = np.zeros_like(objects), 0
    for index, box in enumerate(boxes(objects), start=1):
        own = objects[box] == index
        own_seeds = np.where(own, seeds[box], 0)
        numbers = np.flatnonzero(np.bincount(own_seeds.ravel())[1:]) + 1
        if len(numbers) > 1:
            own_seeds = np.searchsorted(numbers, own_seeds) + (own_seeds > 0)  # from 1 without a gap
            shared = shared_out(own, own_seeds)
            if outline is not None:
                shared = _joined(shared, outline[box], video)
        else:
            shared = own
        found[box] += np.where(own, shared + np.int32(count), 0).astype(np.int32)
        count += int(shared.max())
    return found


def _joined(pieces: np.ndarray, outline: np.ndarray, video: bool) -> np.ndarray:
    """Pieces 1 to n, those joined that meet where no outline was seen; numbers in their order, without a gap."""
    n = int(pieces.max()) + 1
    pairs, seen = [], []
    for axis in range(int(video), pieces.ndim):
        one, two = ((slice(None),) * axis + (side,) for side in (slice(None, -1), slice(1, None)))
        a, b = pieces[one], pieces[two]
        meet = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.minimum(a, b)[meet].astype(np.int64) * n + np.maximum(a, b)[meet])
        seen.append((outline[one][meet] + outline[two][meet]) / 2)
    found, which = np.unique(np.concatenate(pairs), return_inverse=True)
    mean = np.bincount(which, np.concatenate(seen)) / np.maximum(np.bincount(which), 1)
    least = np.arange(n)
    for pair in found[mean < SEEN]:
        a, b = least[[pair // n, pair % n]]
        least[least == max(a, b)] = min(a, b)
    _, numbers = np.unique(least, return_inverse=True)
    return numbers.astype(pieces.dtype)[pieces]
