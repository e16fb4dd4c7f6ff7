"""The objects of a slide, one after the other: parts of the mask that touch, across whatever pieces it was read in."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ldseg.io.slides.masks import TILE, MaskTiles

BLOCK = 4 * TILE
"""Pixels along a side of the pieces in which the mask is read."""

MOST = 1 << 24
"""Pixels of the box of an object up to which it is outlined at full resolution."""


@dataclass(frozen=True, kw_only=True)
class SlideObject:
    """One object: pixels of one class that touch along edges.

    Attributes:
        index: its class.
        area: pixels of the full resolution.
        box: its rows and columns there: top, left, bottom, right.
        shown: bool (h, w), where it is, in its box, every so-many-th pixel.
        outline: uint8 (h, w), likewise, see `ldseg.slides.panel.Strip`; None where nothing tells it.
        factor: how many; 1 but for objects whose box has more than `MOST` pixels.
    """

    index: int
    area: int
    box: tuple[int, int, int, int]
    shown: np.ndarray
    outline: np.ndarray | None
    factor: int


class _Parts:
    """Parts of objects found so far, and which of them are one (union by the lower number).

    A slide can have millions of parts, specks included: 37 bytes each, and some room to grow. The first
    pixel of a part lies in the uppermost row of its box, `top`; `column` is where.
    """

    def __init__(self) -> None:
        self.parent, self.area = array("q"), array("q")
        self.index = array("B")
        self.top, self.left, self.bottom, self.right, self.column = (array("i") for _ in range(5))

    def root(self, part: int) -> int:
        while self.parent[part] != part:
            self.parent[part] = self.parent[self.parent[part]]
            part = self.parent[part]
        return part

    def join(self, one: int, other: int) -> None:
        one, other = sorted((self.root(one), self.root(other)))
        if one != other:
            self.parent[other] = one
            self.area[one] += self.area[other]
            self.top[one], self.column[one] = min((self.top[part], self.column[part]) for part in (one, other))
            self.left[one] = min(self.left[one], self.left[other])
            self.bottom[one] = max(self.bottom[one], self.bottom[other])
            self.right[one] = max(self.right[one], self.right[other])

    def whole(self, smallest: int) -> np.ndarray:
        """Those that stand for an object of at least so many pixels, in the order of their first pixels, row by row."""
        parent, top, column = np.asarray(self.parent), np.asarray(self.top), np.asarray(self.column)
        found = np.flatnonzero((parent == np.arange(len(parent))) & (np.asarray(self.area) >= smallest))
        return found[np.lexsort((column[found], top[found]))]


def objects_in(
    levels: list[MaskTiles],
    smallest: int,
    watch: Callable[[int], None] = lambda blocks: None,
    outlines: list[MaskTiles] | None = None,
) -> Iterator[SlideObject]:
    """The objects of a mask, in the order of their first pixels, row by row.

    Memory holds a block of the mask, the box of every part, and the largest object.

    Args:
        levels: the mask, and copies of half the size each.
        smallest: pixels of the least object that counts.
        watch: told how many blocks were read.
        outlines: how probable the outlines of objects are, likewise; None where nothing tells it.
    """
    from skimage.measure import label as parts_of

    mask, parts = levels[0], _Parts()
    height, width = mask.size
    above = np.zeros(width, np.int64)  # the part of each pixel of the last row of blocks, counted from 1
    for top in range(0, height, BLOCK):
        bottom = min(top + BLOCK, height)
        below, before = np.zeros(width, np.int64), np.zeros(bottom - top, np.int64)
        for left in range(0, width, BLOCK):
            right = min(left + BLOCK, width)
            values = mask.window(top, left, bottom, right)
            labels = np.zeros(values.shape, np.int32) if not values.any() else parts_of(values, connectivity=1)
            first = len(parts.parent)
            _add(parts, labels, values, top, left)
            # The numbers of parts along its four sides.
            sides = [np.where(side > 0, side.astype(np.int64) + first, 0) for side in (labels[0], labels[:, 0])]
            _join(parts, above[left:right], sides[0])
            _join(parts, before, sides[1])
            below[left:right], before = (
                np.where(side > 0, side.astype(np.int64) + first, 0) for side in (labels[-1], labels[:, -1])
            )
            watch(1)
        above = below
    for part in parts.whole(smallest):
        yield _cut(levels, outlines, parts, int(part), parts_of)


def blocks_of(mask: MaskTiles) -> int:
    """How many blocks a mask is read in."""
    return -(-mask.size[0] // BLOCK) * -(-mask.size[1] // BLOCK)


def _add(parts: _Parts, labels: np.ndarray, values: np.ndarray, top: int, left: int) -> None:
    from scipy import ndimage

    areas = np.bincount(labels.ravel())
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        y = box[0].start  # its first pixel lies in the uppermost row of its box
        x = box[1].start + int(np.argmax(labels[y, box[1]] == number))
        parts.parent.append(len(parts.parent))
        parts.index.append(int(values[y, x]))
        parts.area.append(int(areas[number]))
        parts.top.append(y + top)
        parts.left.append(box[1].start + left)
        parts.bottom.append(box[0].stop + top)
        parts.right.append(box[1].stop + left)
        parts.column.append(x + left)


def _join(parts: _Parts, one: np.ndarray, other: np.ndarray) -> None:
    """Parts of one class that lie side by side along a border are one."""
    touching = (one > 0) & (other > 0)
    for first, second in np.unique(np.stack([one[touching], other[touching]], axis=1), axis=0).tolist():
        if parts.index[first - 1] == parts.index[second - 1]:
            parts.join(first - 1, second - 1)


def _cut(
    levels: list[MaskTiles],
    outlines: list[MaskTiles] | None,
    parts: _Parts,
    part: int,
    parts_of: Callable[..., np.ndarray],
) -> SlideObject:
    top, left, bottom, right = box = parts.top[part], parts.left[part], parts.bottom[part], parts.right[part]
    level = 0
    while (bottom - top) * (right - left) >> 2 * level > MOST and level + 1 < len(levels):
        level += 1
    factor = 1 << level
    index = parts.index[part]
    y0, x0 = top // factor, left // factor
    place = y0, x0, -(-bottom // factor), -(-right // factor)
    window = levels[level].window(*place)
    labels = parts_of(window == index, connectivity=1)
    number = labels[top // factor - y0, parts.column[part] // factor - x0]
    if level and not number:  # the first pixel is not among every so-many-th: the largest part there is
        number = int(np.argmax(np.bincount(labels.ravel())[1:])) + 1 if labels.any() else -1
    shown = labels == number
    outline = None if outlines is None else outlines[level].window(*place)
    return SlideObject(index=index, area=parts.area[part], box=box, shown=shown, outline=outline, factor=factor)
