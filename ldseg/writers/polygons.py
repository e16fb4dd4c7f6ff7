"""From numbered pixels to polygons that follow the edges of pixels, exactly: drawn again, they give the same pixels.

Corners are whole numbers: the pixel in row y and column x is the square from (x, y) to (x + 1, y + 1). A ring never meets
itself, so that every polygon is valid by the rules of simple features (ISO 19125): where two pixels of an object meet at a
corner alone, the rings on both sides of them pass through that corner, each once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ldseg.base.spatial import Mask

Ring = list[list[int]]
"""Corners [x, y], the first again at the end; the outer ring turns from x to y (positive area), holes the other way."""

Polygon = list[Ring]
"""The outer ring, then the holes."""

_STEP = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
"""(dy, dx) of the directions right, down, left, up: each follows the one before by a turn to the right."""
_AHEAD_LEFT = np.array([(-1, 0), (0, 0), (0, -1), (-1, -1)])
"""The pixel ahead on the left of who comes to a corner (y, x) in each direction, relative to the pixel (y, x)."""
_AHEAD_RIGHT = np.array([(0, 0), (0, -1), (-1, -1), (-1, 0)])


def polygons(labels: Mask, offset: tuple[int, int] = (0, 0)) -> dict[int, list[Polygon]]:
    """The polygons of every object.

    Args:
        labels: whole numbers ``(H, W)``, 0 for background and another one for each object.
        offset: row and column of the first pixel in the whole image, for a part of it.

    Returns:
        by the number of the object its polygons, one for each part whose pixels touch along edges; in the order of numbers.
    """
    from skimage.measure import label as parts_of

    # Parts first: an object may come in several, and each of them has one outer ring.
    parts = np.pad(parts_of(labels, connectivity=1), 1)
    found: dict[int, list[Polygon]] = {}
    outer: dict[int, Polygon] = {}
    holes: dict[int, list[Ring]] = {}
    for part, ring, area in _rings(parts, offset):
        if area > 0:
            outer[part] = [ring]
        else:
            holes.setdefault(part, []).append(ring)
    flat = parts[1:-1, 1:-1]
    number_of = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    number_of[flat] = labels
    for part in sorted(outer, key=lambda part: (number_of[part], part)):
        found.setdefault(int(number_of[part]), []).append(outer[part] + holes.get(part, []))
    return found


def _rings(parts: Mask, offset: tuple[int, int]) -> Iterator[tuple[int, Ring, int]]:
    """(part, ring, twice its area) of every ring, given parts (H + 2, W + 2) with a border of background."""
    start, heading, part = _edges(parts)
    following = _following(parts, start, heading, part).tolist()
    # A corner is where the heading changes; all others lie on straight lines.
    is_corner = heading != heading[following] if following else np.zeros(0, bool)
    ends = start + _STEP[heading]
    corners = (ends[:, ::-1] - 1 + np.array(offset[::-1])).tolist()  # (x, y) without the border
    seen = bytearray(len(following))
    for first in range(len(following)):
        if seen[first]:
            continue
        ring, at = [], first
        while not seen[at]:
            seen[at] = 1
            if is_corner[at]:
                ring.append(corners[at])
            at = following[at]
        # A ring begins at its uppermost corner, the leftmost of them, whichever edge it was met at.
        lowest = min(range(len(ring)), key=lambda place: (ring[place][1], ring[place][0]))
        ring = ring[lowest:] + ring[: lowest + 1]
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:], strict=False))
        yield int(part[first]), ring, area


def _edges(parts: Mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of pixels between a part, on their right, and anything else: start (n, 2), heading (n,), part (n,)."""
    found = []
    # The edge that a pixel has above it runs to the right, and so round: each begins at the corner to which the last leads.
    for heading, (shift, begin) in enumerate((((1, 0), (0, 0)), ((0, -1), (0, 1)), ((-1, 0), (1, 1)), ((0, 1), (1, 0)))):
        other = np.roll(parts, shift, axis=(0, 1))
        at = np.argwhere((parts != 0) & (parts != other))
        found.append((at + np.array(begin), np.full(len(at), heading), parts[tuple(at.T)]))
    starts, headings, owners = zip(*found, strict=True)
    return np.concatenate(starts), np.concatenate(headings), np.concatenate(owners)


def _following(parts: Mask, start: np.ndarray, heading: np.ndarray, part: np.ndarray) -> np.ndarray:
    """For each edge the one that follows it around its part, (n,).

    At a corner where two pixels of the part meet across, the way goes to the left, from the one pixel to the other: the ring
    on either side passes there once. A part is in one piece along edges, so these two rings are never the same.
    """
    end = start + _STEP[heading]
    left = parts[tuple((end + _AHEAD_LEFT[heading]).T)] == part
    right = parts[tuple((end + _AHEAD_RIGHT[heading]).T)] == part
    turn = np.where(left, -1, np.where(right, 0, 1))
    width = parts.shape[1] + 1

    def key(place: np.ndarray, towards: np.ndarray) -> np.ndarray:
        return (place[:, 0] * width + place[:, 1]) * 4 + towards

    own = key(start, heading)
    order = np.argsort(own)
    return order[np.searchsorted(own, key(end, (heading + turn) % 4), sorter=order)]
