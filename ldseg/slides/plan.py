"""At which resolution a slide is segmented, and where its tiles lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.inference.tiles import Tiling, cover
from ldseg.io.slides.contract import Slide
from ldseg.slides.resample import Axis


def at_resolution(step: Preprocessing, microns: float | None) -> Preprocessing | None:
    """The preprocessing that covers a slide with tiles, at µm per pixel of the network.

    Args:
        step: that of the weights.
        microns: of the network's grid; None where nobody knows, or to take that of the weights' own spacing.

    Returns:
        ``Fit = tile`` at that resolution, or at the slide's own where the weights were trained so; None where the
        resolution is not known.
    """
    if step.axes != "YX":
        return None
    if microns is not None:
        return replace(step, fit="tile", spacing=(microns / 1000, microns / 1000))
    return step if step.fit == "tile" else None


@dataclass(frozen=True, kw_only=True)
class SlidePlan:
    """A slide on the grid of a network.

    Attributes:
        level: the level that is read.
        size: its rows and columns.
        full: rows and columns of the full resolution, which the mask has.
        microns: µm per pixel of the full resolution along y and x; None where it is not known.
        tiling: tiles over the grid.
        strides: of the latent.
    """

    level: int
    size: tuple[int, int]
    full: tuple[int, int]
    microns: tuple[float, float] | None
    tiling: Tiling
    strides: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns that the level is brought to."""
        height, width = self.tiling.grid
        return height, width

    @property
    def grid_microns(self) -> tuple[float, float] | None:
        """µm per pixel of the grid along y and x."""
        if self.microns is None:
            return None
        y, x = (each * full / part for each, full, part in zip(self.microns, self.full, self.grid, strict=True))
        return y, x

    @cached_property
    def read(self) -> tuple[Axis, Axis]:
        """From the level to the grid."""
        return Axis(self.size[0], self.grid[0]), Axis(self.size[1], self.grid[1])

    @cached_property
    def written(self) -> tuple[Axis, Axis]:
        """From the grid to the full resolution."""
        return Axis(self.grid[0], self.full[0]), Axis(self.grid[1], self.full[1])

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where tiles begin on the padded grid, the rows and the columns of tiles."""
        rows, columns = (tuple(sorted({start[axis] for start in self.tiling.starts})) for axis in (0, 1))
        return rows, columns

    @cached_property
    def before(self) -> tuple[int, int]:
        """The positions of the padded grid before the grid, along y and x."""
        y, x = ((whole - part) // 2 for whole, part in zip(self.tiling.padded, self.grid, strict=True))
        return y, x

    def mirrored(self, axis: int, start: int) -> np.ndarray:
        """The positions of the grid that a tile shows along an axis, mirrored beyond its ends, as `Tiling.pad` does."""
        length = self.grid[axis]
        place = np.arange(start, start + self.tiling.size[axis]) - self.before[axis]
        period = max(1, 2 * (length - 1))
        place = np.abs(place) % period
        return np.minimum(place, period - place) if length > 1 else np.zeros_like(place)


def plan_slide(slide: Slide, step: Preprocessing, strides: Sequence[int], image_microns: float | None = None) -> SlidePlan:
    """Where the tiles of a slide lie.

    Args:
        slide: the slide.
        step: the preprocessing of `at_resolution`.
        strides: of the latent.
        image_microns: µm per pixel of its full resolution, for a slide that does not say.

    Raises:
        DataError: the resolution of the network is known, that of the slide is not.
    """
    microns = slide.microns or (None if image_microns is None else (image_microns, image_microns))
    full = slide.sizes[0]
    level, spacing = 0, None
    if step.spacing:
        wanted = [1000 * each for each in step.spacing]
        if microns is None:
            raise DataError(
                f"{slide.path}: it does not say its µm per pixel, and the weights see {wanted[0]:g} µm per pixel;"
                " say it in [Slides] ImageMicrons"
            )
        level = slide.level_of(wanted, microns)
        own = slide.sizes[level]
        spacing = [each * whole / part / 1000 for each, whole, part in zip(microns, full, own, strict=True)]
    size = slide.sizes[level]
    grid = step.grid_of(size, spacing)
    return SlidePlan(
        level=level,
        size=size,
        full=full,
        microns=microns,
        tiling=cover(grid, step.size, tuple(strides)),
        strides=tuple(strides),
    )
