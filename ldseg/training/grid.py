"""The grid of the networks, chosen from sizes, objects and time."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field, replace

import numpy as np

from ldseg.base.options import AUTO
from ldseg.base.text import times
from ldseg.config import DataConfig
from ldseg.data.preprocess import Preprocessing
from ldseg.models import Preset
from ldseg.training.look import Seen

POSITIONS = {"YX": 256 * 384, "TYX": 8 * 192 * 192, "ZYX": 64**3}
"""Positions of a grid chosen here at most, about: what a batch of four needs of memory."""

FRAMES = (8, 4, 2)
"""Frames of a grid, the most first."""

TOLERATED = 0.002
"""Label Dice that a smaller grid may lose to be taken for its speed, or for more frames."""

LOST = 0.015
"""Label Dice lost by a grid from which the cases are tiled at a finer resolution instead."""

FEW, WANTED = 6.0, 8.0
"""Width of an object in strides of the latent: with fewer than the first, the resolution is raised to the second."""

MOST_ZOOM = {"YX": 4.5, "TYX": 2.0, "ZYX": 2.5}
"""How much finer it may be: that means about 64 tiles, which overlap by half."""

LEAST_ZOOM = 1.5
"""With less there is little to gain."""

SPREAD = 1.6
"""Ratio between the aspects of wide and of tall pictures above which resizing would distort them."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How cases meet the networks: [Data] Size, Fit, Zoom and Spacing, and why each is so, by key."""

    size: tuple[int, ...]
    fit: str
    zoom: float = 1.0
    spacing: tuple[float, ...] = ()
    why: dict[str, str] = field(default_factory=dict)

    def step(self, data: DataConfig, axes: str) -> Preprocessing:
        """The preprocessing that it makes, as far as sizes and labels are concerned."""
        classes = data.classes or ("background", "object")
        how = {"fit": self.fit, "zoom": self.zoom, "spacing": self.spacing}
        return Preprocessing(size=self.size, axes=axes, classes=classes, regions=data.regions, **how)  # type: ignore[arg-type]


def grid_of(data: DataConfig, seen: Seen, axes: str, preset: Preset, positions: float, reason: str = "") -> Grid:
    """The grid for settings that leave something of it open.

    - Without ``Size``: the median size of the cases, rounded up to what the networks stride over; scaled down where that
      has too many positions; smaller still where next to nothing of the labels is lost.
    - Where objects are too small on it, or too much of the labels is lost, and the images have more to show: the cases are
      tiled at a finer resolution: ``tile`` with ``Spacing`` where all files know their mm, else ``aspect`` with ``Zoom``.
    - Pictures of very different aspect: ``aspect``. Else ``resize``.

    Args:
        data: the settings.
        seen: the data.
        axes: of the images.
        preset: of the networks.
        positions: of a sample, at most, about.
        reason: why not more.
    """
    zoom = 1.0 if data.zoom == AUTO else float(data.zoom)
    fit = ("aspect" if zoom > 1 else "resize") if data.fit == AUTO else data.fit
    if data.size:
        return Grid(size=data.size, fit=fit, zoom=zoom, spacing=data.spacing)
    whole, multiple = _whole(data, seen, axes), preset.multiple[axes]
    if fit == "tile":
        size = _size(whole, axes, multiple, positions, 1, cut=True)
        return Grid(size=size, fit=fit, spacing=data.spacing, why={"Size": _why(whole, size, "cut into tiles of it")})
    grid = _resized(data, seen, axes, preset, whole, positions, reason)
    grid = replace(grid, fit=fit, zoom=zoom)
    if data.fit in (AUTO, "aspect") and data.zoom == AUTO and not data.spacing:
        grid = _finer(grid, data, seen, axes, preset, whole)
    if data.fit == AUTO and grid.fit == "resize" and (spread := _spread(seen, axes)) > SPREAD:
        why = f"tall and wide pictures differ {spread:.1f} times in aspect, which resizing would distort"
        grid = replace(grid, fit="aspect", why={**grid.why, "Fit": why})
    return grid


def _whole(data: DataConfig, seen: Seen, axes: str) -> np.ndarray:
    """The median size of the cases as ``Fit`` and ``Spacing`` leave them."""
    step = Preprocessing(size=(1,) * len(axes), axes=axes, fit="tile", spacing=data.spacing)
    return np.median([step.grid_of(*case) for case in zip(seen.sizes, seen.spacings, strict=True)], axis=0)


def _size(
    whole: np.ndarray, axes: str, multiple: int, positions: float, frames: int, scale: float = 1.0, cut: bool = False
) -> tuple[int, ...]:
    """The size of a case, scaled down to so many positions or, where it is ``cut``, bounded by them."""
    space = [index for index, axis in enumerate(axes) if axis != "T"]
    many = math.prod(float(whole[index]) for index in space)
    positions = positions / frames if "T" in axes else positions
    scale = scale * min(1.0, (positions / many) ** (1 / len(space)))
    most = max(positions ** (1 / len(space)) // multiple, 1) * multiple
    size = []
    for index, axis in enumerate(axes):
        length = float(whole[index])
        if axis == "T":
            size.append(min(frames, math.ceil(length)))
        else:
            # A tenth of a multiple too long is nearer to the multiple below.
            rounded = max(1, math.ceil((length if cut else length * scale) / multiple - 0.1)) * multiple
            size.append(int(min(rounded, most)) if cut else rounded)
    return tuple(size)


def _resized(
    data: DataConfig, seen: Seen, axes: str, preset: Preset, whole: np.ndarray, positions: float, reason: str
) -> Grid:
    """The grid for whole cases: with as many frames, and then as small, as loses next to nothing."""
    multiple, stride = preset.multiple[axes], preset.stride[axes]
    sizes = [_size(whole, axes, multiple, positions, frames) for frames in (FRAMES if "T" in axes else (1,))]
    grids = [Grid(size=size, fit="resize") for size in dict.fromkeys(sizes)]
    lost = [seen.lost(grid.step(data, axes)) for grid in grids]
    grid = next((one for one, part in zip(grids, lost, strict=True) if not part > min(lost) + TOLERATED), grids[0])
    narrow = min(seen.widths(axes).values(), default=0.0)
    note = ""
    longest = max(size for size, axis in zip(grid.size, axes, strict=True) if axis != "T")
    for length in range(-(-longest // (2 * multiple)) * multiple, longest, multiple) if narrow else ():
        size = _size(whole, axes, multiple, positions, grid.size[0], length / longest)
        smaller = Grid(size=size, fit="resize")
        if narrow * _scale(size, whole, axes) < WANTED * stride or not all(map(operator.le, size, grid.size)):
            continue
        if size != grid.size and seen.lost(smaller.step(data, axes)) <= TOLERATED:
            grid, note = smaller, "smaller is quicker, and this loses next to nothing of the labels"
            break
    scaled = any(new < old for new, old in zip(grid.size[-2:], whole[-2:], strict=True))
    note = note or (reason if scaled else "") or "resized to what the networks stride over"
    return replace(grid, why={"Size": _why(whole, grid.size, note)})


def _finer(grid: Grid, data: DataConfig, seen: Seen, axes: str, preset: Preset, whole: np.ndarray) -> Grid:
    """The grid itself, or tiles of its size at a finer resolution."""
    scale, stride = _scale(grid.size, whole, axes), preset.stride[axes]
    widths = seen.widths(axes)
    if not widths or stride == 1:
        return grid
    index = min(widths, key=lambda one: widths[one])
    name = (data.classes or ("background", "object"))[index]
    cells = widths[index] * scale / stride
    room = min(1 / scale, MOST_ZOOM[axes])
    zoom = WANTED / cells if cells < FEW else 1.0
    part = seen.lost(grid.step(data, axes))
    if part > LOST:
        tried = [one for one in (1.5, 2.0, 3.0, 4.0) if one < room]
        fine = (one for one in tried if seen.lost(replace(grid, fit="aspect", zoom=one).step(data, axes)) < LOST / 2)
        zoom = max(zoom, next(fine, room))
    zoom = min(zoom, room)
    if zoom < LEAST_ZOOM:
        return grid
    unit = "voxels" if axes == "ZYX" else "pixels"
    why = (
        f"{100 * part:.1f} % of label Dice would be lost"
        if part > LOST
        else f"{name} would be only {widths[index] * scale:.0f} {unit} wide"
    )
    why = f"on a grid of {times(grid.size)} for whole cases, {why}: tiles of it at {zoom:.1f} times the resolution"
    spacing = seen.spacing
    if axes == "ZYX" and spacing is not None:
        fine_spacing = tuple(float(f"{mm / (scale * zoom):.3g}") for mm in spacing)
        return replace(grid, fit="tile", spacing=fine_spacing, why={**grid.why, "Fit": why, "Spacing": "as for Fit"})
    return replace(grid, fit="aspect", zoom=round(zoom, 1), why={**grid.why, "Fit": why, "Zoom": "as for Fit"})


def _scale(size: tuple[int, ...], whole: np.ndarray, axes: str) -> float:
    """Mean ratio of a grid to the cases, along the axes of space."""
    space = [index for index, axis in enumerate(axes) if axis != "T"]
    return float(np.exp(np.mean([math.log(size[index] / whole[index]) for index in space])))


def _spread(seen: Seen, axes: str) -> float:
    """Ratio between the aspects of the widest and the tallest pictures, but for one in twenty."""
    aspects = [size[-1] / size[-2] for size in seen.sizes]
    low, high = np.percentile(aspects, [5, 95])
    return float(high / low) if axes != "ZYX" else 1.0


def _why(whole: np.ndarray, size: tuple[int, ...], note: str) -> str:
    return f"the median case is {times(whole.tolist())}; {note}" if tuple(whole) != size else "that of the cases"
