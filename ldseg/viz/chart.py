"""Charts that every run draws, on a canvas: importing Matplotlib takes longer than to segment an image.

Charts that need more, and are drawn now and then, are figures of Matplotlib: see ``ldseg.viz.figures``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldseg.viz.canvas import GRID, INK, MUTED, Canvas, measure

WORDS, TITLE, TICKS = 20.8, 22.9, 18.75
"""Sizes of letters."""

Range = tuple[float, float]
Entry = tuple[str, Callable[[float, float], None]]
"""A name in a legend, and what draws its sample from a place on."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A pair of axes on a canvas.

    Attributes:
        paper: what it is drawn on.
        left, top, width, height: where the axes lie, in pixels.
        x, y: the values at the ends of the axes.
        log: whether the vertical axis is logarithmic.
    """

    paper: Canvas
    left: float
    top: float
    width: float
    height: float
    x: Range
    y: Range
    log: bool = False

    def across(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where values lie along the horizontal axis."""
        low, high = self.x
        return self.left + self.width * (np.asarray(values, np.float64) - low) / (high - low)

    def down(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where values lie along the vertical axis."""
        found, (low, high) = np.asarray(values, np.float64), self.y
        if self.log:
            found, low, high = np.log(found), math.log(low), math.log(high)
        return self.top + self.height * (1 - (found - low) / (high - low))

    def frame(
        self, x: Mapping[float, str], y: Mapping[float, str], *, title: str = "", below: str = "", beside: str = ""
    ) -> None:
        """The grid and the axes with their words.

        Args:
            x, y: the values that are marked, each with its label.
            title: above, left.
            below, beside: what the axes are.
        """
        paper, right, bottom = self.paper, self.left + self.width, self.top + self.height
        for at, label in zip(self.across(list(x)), x.values(), strict=True):
            paper.box(at, self.top, 2, self.height, GRID)
            paper.box(at, bottom, 2, 8, MUTED)
            paper.write(at, bottom + 13, label, TICKS, anchor="ma", colour=MUTED)
        for at, label in zip(self.down(list(y)), y.values(), strict=True):
            paper.box(self.left, at, self.width, 2, GRID)
            paper.box(self.left - 8, at, 8, 2, MUTED)
            paper.write(self.left - 13, at, label, TICKS, anchor="rm", colour=MUTED)
        paper.box(self.left, self.top, 2, self.height, MUTED)
        paper.box(self.left, bottom, self.width, 2, MUTED)
        paper.write(self.left, self.top - 13, title, TITLE, bold=True)
        if below:
            paper.write((self.left + right) / 2, bottom + 41, below, WORDS, anchor="ma")
        if beside:
            widest = max((measure(label, TICKS) for label in y.values()), default=0.0)
            paper.write_upwards(self.left - widest - 34, (self.top + bottom) / 2, beside, WORDS)

    def line(
        self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, width: int = 3, dashes: tuple[float, float] | None = None
    ) -> None:
        """A line through points; those that are not finite are left out."""
        self.paper.curve(self.across(x), self.down(y), colour, width, dashes=dashes)

    def marks(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str) -> None:
        """Dots at points, edged in white; those that are not finite are left out."""
        places = np.stack([self.across(x), self.down(y)], axis=1)
        across, down = places[np.isfinite(places).all(axis=1)].T
        self.paper.dots(across, down, "white", 6.2)
        self.paper.dots(across, down, colour, 4.6)

    def bar(self, x: Range, y: Range, colour: str, *, hatched: bool = False) -> None:
        """A box between two values along each axis."""
        (left, right), (bottom, top) = self.across(x), self.down(y)
        height = abs(bottom - top)
        if hatched:
            self.paper.hatch(left, min(bottom, top), right - left, height, colour)
        else:
            self.paper.box(left + 1, min(bottom, top), right - left - 2, height, colour)


def keys(
    paper: Canvas, x: float, y: float, found: Sequence[tuple[str, Callable[[float, float], None]]], *, row: bool
) -> None:
    """A legend, in a row whose middle is x, or in a column from x on; y is the middle of its first line.

    Args:
        paper: what it is drawn on.
        x, y: where.
        found: the entries; their samples are 40 pixels wide.
        row: whether the entries stand side by side.
    """
    lengths = [58 + measure(name, TICKS) for name, _ in found]
    x -= (sum(lengths) + 30 * (len(found) - 1)) / 2 if row else 0
    for (name, sample), length in zip(found, lengths, strict=True):
        sample(x, y)
        paper.write(x + 52, y, name, TICKS, anchor="lm", colour=INK)
        x, y = (x + length + 30, y) if row else (x, y + 29)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from one to the other, evenly, at most so many and one more."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
