"""Tiles of one size over a grid of any size, and the blend that hides their seams."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

OVERLAP = 0.5
"""Share of a tile that its neighbour covers too, at least."""

_FLOOR = 1e-3
"""Weight of a tile's very edge, above zero so that every position has some."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Where tiles lie on a grid.

    Attributes:
        grid: what is to be covered.
        padded: the grid that the tiles cover exactly; `grid` lies in the middle of it.
        size: size of a tile.
        starts: first position of each tile on `padded`, multiples of the latent stride.
    """

    grid: tuple[int, ...]
    padded: tuple[int, ...]
    size: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]

    def pad(self, values: np.ndarray) -> np.ndarray:
        """(*grid, c) to (*padded, c), mirrored at the border."""
        margins = self._margins()
        return np.pad(values, [*margins, (0, 0)], mode="reflect") if any(map(any, margins)) else values

    def crop(self, values: np.ndarray) -> np.ndarray:
        """(*padded, c) to (*grid, c)."""
        margins = self._margins()
        return values[tuple(slice(before, before + n) for (before, _), n in zip(margins, self.grid, strict=True))]

    def _margins(self) -> list[tuple[int, int]]:
        missing = [whole - part for whole, part in zip(self.padded, self.grid, strict=True)]
        return [(m // 2, m - m // 2) for m in missing]

    def window(self, start: tuple[int, ...], strides: tuple[int, ...] | None = None) -> tuple[slice, ...]:
        """The positions of a tile, on `padded` or on the latent grid under it."""
        strides = strides or (1,) * len(start)
        return tuple(slice(s // d, (s + n) // d) for s, n, d in zip(start, self.size, strides, strict=True))

    def weights(self) -> np.ndarray:
        """How much each position of a tile counts, float32 (*size, 1): a sin² bump along every axis with several tiles."""
        result = np.ones((*self.size, 1), np.float32)
        for axis, (whole, part) in enumerate(zip(self.padded, self.size, strict=True)):
            if whole > part:
                bump = np.sin(np.pi * (np.arange(part) + 0.5) / part) ** 2 + _FLOOR
                shape = [part if index == axis else 1 for index in range(len(self.size) + 1)]
                result = result * bump.reshape(shape).astype(np.float32)
        return result


def cover(grid: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> Tiling:
    """Cover a grid with tiles that overlap by a share of at least ``OVERLAP`` along every axis where one does not suffice.

    Args:
        grid: what is to be covered, one length per axis.
        size: size of a tile, multiples of `strides`.
        strides: strides of the latent: tiles begin at multiples of it, so that they can share one field of noise.
    """
    padded, places = [], []
    for whole, part, stride in zip(grid, size, strides, strict=True):
        count = max(1, math.ceil((whole - part) / (part * (1 - OVERLAP))) + 1)
        if count > 1:
            # A step rounded up to the stride may reach past the overlap: then one tile more.
            step = math.ceil((whole - part) / (count - 1) / stride) * stride
            if step > part * (1 - OVERLAP):
                count += 1
                step = math.ceil((whole - part) / (count - 1) / stride) * stride
        else:
            step = 0
        padded.append(part + step * (count - 1))
        places.append([step * index for index in range(count)])
    return Tiling(grid=tuple(grid), padded=tuple(padded), size=tuple(size), starts=tuple(itertools.product(*places)))
