"""One pass over a slide before it is segmented: what its content is, how bright it is, and where tissue lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ldseg.data.cases import ContentDigest
from ldseg.data.intensity import bounds_of
from ldseg.errors import DataError
from ldseg.io.slides.contract import Slide

BAND = 1 << 23
"""Bytes of a band of rows that is looked at, about."""

CELL = 16
"""Pixels of the network along a side of a cell, about: the unit in which tissue is told from background."""

SHOWN = 2048
"""Pixels along a side of a picture of the whole slide, at most."""

LEAST_CHROMA, LEAST_DEPTH = 0.05, 0.08
"""A cell is tissue where its colours differ by more than the first, or it is darker than glass by more than the second."""

DARK = 0.04
"""A cell of less brightness is black: nothing was scanned there."""


class Counted:
    """Values counted as they pass, see `ldseg.data.intensity.Values`: whole numbers of 8 or 16 bits exactly."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype.newbyteorder("=")
        self.low, self.high = np.inf, -np.inf
        self.counts = np.zeros(0 if dtype.kind == "f" else 1 << 8 * dtype.itemsize, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Take in some values."""
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if self.counts.size:
            self.counts += np.bincount(values.ravel(), minlength=self.counts.size)

    def percentiles(self, shares: tuple[float, float]) -> tuple[float, float]:
        """See `Values`."""
        self._check()
        ends = np.cumsum(self.counts)

        def at(rank: float) -> float:
            below = int(np.floor(rank))
            first, second = (
                int(np.searchsorted(ends, place, side="right")) for place in (below, min(below + 1, ends[-1] - 1))
            )
            return first + (second - first) * (rank - below)

        low, high = (at(share / 100 * (int(ends[-1]) - 1)) for share in shares)
        return low, high

    def moments(self) -> tuple[float, float]:
        """See `Values`."""
        self._check()
        values, total = np.arange(self.counts.size, dtype=np.float64), self.counts.sum()
        mean = float((values * self.counts).sum() / total)
        return mean, float(np.sqrt((self.counts * (values - mean) ** 2).sum() / total))

    def _check(self) -> None:
        if not self.counts.size:
            raise DataError("expected 8 or 16 bits unsigned to scale by content, found floating point; save it so")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over a level of a slide tells.

    Attributes:
        digest: of its values, as that of a picture of them (`ldseg.data.cases.content_digest`).
        bounds: for each channel, or for all together, what is brought to 0 and to 1.
        overview: the level made smaller, float32 (h, w, channels) from 0 to 1, `SHOWN` pixels along a side at most.
        tissue: bool (h, w), the cells that are not background.
        cell: pixels of the level along a side of a cell; those at the right and lower border may be cut.
    """

    digest: str
    bounds: tuple[tuple[float, float], ...]
    overview: np.ndarray
    tissue: np.ndarray
    cell: int


def survey(
    slide: Slide,
    level: int,
    *,
    intensity: str,
    window: tuple[float, ...],
    cell: int,
    skip_background: bool,
    watch: Callable[[int], None] = lambda rows: None,
) -> Survey:
    """Look at every pixel of a level once.

    Args:
        slide: the slide.
        level: which of its levels.
        intensity: a rule of `ldseg.data.intensity`.
        window: for the rule ``window``.
        cell: pixels along a side of a cell, about.
        skip_background: whether to look for background; else every cell counts as tissue.
        watch: told how many rows were looked at.

    Raises:
        DataError: pixels that cannot be read, and an image that the rule does not take: see `scale_intensity`.
    """
    height, width = slide.sizes[level]
    digest = ContentDigest(slide.dtype, (height, width, slide.channels))
    counted = [Counted(slide.dtype) for _ in range(slide.channels if slide.modalities else 1)]
    fine = math.ceil(max(height, width) / SHOWN)
    at_once = max(1, BAND // (width * slide.channels * slide.dtype.itemsize * fine)) * fine
    means = []
    for _, band in slide.rows(level, at_once):
        if band.dtype.kind == "f" and not np.isfinite(band).all():
            raise DataError(f"{slide.path}: expected finite intensities, found some that are NaN or infinite")
        digest.add(band)
        for index, each in enumerate(counted):
            each.add(band[..., index] if slide.modalities else band)
        means.append(_means(band, fine))
        watch(len(band))
    bounds = []
    for index, each in enumerate(counted):
        source = f"{slide.path} (channel {index + 1} of {len(counted)})" if slide.modalities else str(slide.path)
        try:
            bounds.append(bounds_of(each, intensity, source, window, slide.bits))
        except DataError as error:
            raise error if str(error).startswith(str(slide.path)) else DataError(f"{source}: {error}") from error
    low, high = np.array(bounds, np.float32).T
    overview = np.clip((np.concatenate(means) - low) / (high - low), 0, 1).astype(np.float32)
    times = max(1, round(cell / fine))
    coarse = _means(overview, times)
    tissue = _tissue(coarse) if skip_background else np.ones(coarse.shape[:2], bool)
    return Survey(digest=digest.hexdigest(), bounds=tuple(bounds), overview=overview, tissue=tissue, cell=fine * times)


def _means(band: np.ndarray, cell: int) -> np.ndarray:
    """The mean of each cell of a band, float32 (rows, columns, channels)."""
    rows, columns = np.arange(0, band.shape[0], cell), np.arange(0, band.shape[1], cell)
    sums = np.add.reduceat(np.add.reduceat(band, rows, axis=0, dtype=np.float64), columns, axis=1)
    tall = np.diff(np.append(rows, band.shape[0])).astype(np.float64)
    wide = np.diff(np.append(columns, band.shape[1])).astype(np.float64)
    return (sums / (tall[:, np.newaxis] * wide)[..., np.newaxis]).astype(np.float32)


def _tissue(overview: np.ndarray) -> np.ndarray:
    """The cells that are not background, what they enclose (lumens, gaps), and one around each.

    In colour, background is glass, pale and without colour, or black, where nothing was scanned. In gray or fluorescence
    nothing says what background looks like: there it is what has exactly one value all over, as programs fill in.
    """
    from scipy.ndimage import binary_fill_holes

    if overview.shape[-1] == 3:
        brightest, darkest = overview.max(axis=-1), overview.min(axis=-1)
        lit = darkest[brightest > DARK]
        glass = float(np.percentile(lit, 99)) if lit.size else 1.0
        # Where no glass is in view, as in a region cut out of a slide, the brightest tissue is not taken for it.
        glass = max(glass, 0.75)
        found = (brightest - darkest > LEAST_CHROMA) | (darkest < glass - LEAST_DEPTH)
        found &= brightest > DARK
    else:
        fills = [overview.min(axis=(0, 1)), overview.max(axis=(0, 1))]
        found = ~np.any([np.all(overview == fill, axis=-1) for fill in fills], axis=0)
    grown = np.pad(binary_fill_holes(found), 1)
    rows = grown[:-2] | grown[1:-1] | grown[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
