"""Volumes in three planes, videos in frames and curves, and both as animations.

Images are (Z, Y, X, c) or (T, Y, X, c); slices and frames are counted from 1 in what is written.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldseg.io.contract import said_once
from ldseg.viz.canvas import GRID, MUTED, Canvas, Picture
from ldseg.viz.gif import Animation, evenly
from ldseg.viz.legends import Entry, above, entries_for, strip
from ldseg.viz.overlays import colour_of, panel
from ldseg.viz.style import class_rgb
from ldseg.viz.view import CaseView, Labels, largest_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = (0, (3, 2))
_EDGE, _HEAD, _TITLE = 18, 42, 39
_WORDS, _SMALL = 18.75, 16.5


def volume_picture(view: CaseView) -> Picture:
    """The three planes of a volume through its object, each where the mask is largest, with lines where they cross.

    The planes are those of the array: which of them is axial, coronal or sagittal depends on how the volume was taken. z
    runs upwards, as the head lies above in a stack of axial slices.

    Args:
        view: Of three axes, z, y and x. One channel is shown from its 0.5th to its 99.5th percentile, three are red, green,
            blue.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: It has other axes.
    """
    view.require_stack()
    shape = view.mask.shape
    at = crossing(view)
    extent = np.array(shape) * np.array(view.steps)
    gap, head = 75, _HEAD + (_TITLE if view.title else 0)
    seen = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # across, rows, columns
    scale = min(1380 / (2 * extent[2] + extent[1]), 570 / extent[:2].max())
    sizes = [(round(max(scale * extent[rows], 30)), round(max(scale * extent[columns], 30))) for _, rows, columns in seen]
    widths = [max(wide, 165) for _, wide in sizes]
    tallest = max(tall for tall, _ in sizes)
    paper = Canvas(max(sum(widths) + 2 * gap + 2 * _EDGE + 38, 600), head + tallest + 30 + _EDGE)
    if view.title:
        paper.write(_EDGE, 36, view.title, 23, bold=True)
    x = _EDGE + 38
    for (across, rows, columns), size, column in zip(seen, sizes, widths, strict=True):
        tall, wide = size
        picture = panel(view.plane(at[across], across), size)
        upwards = rows == 0
        left, top = x + (column - wide) // 2, head + (tallest - tall) // 2
        paper.paste(picture[::-1] if upwards else picture, left, top, frame=True)
        down, right = (at[rows] + 0.5) / shape[rows], (at[columns] + 0.5) / shape[columns]
        paper.dashes(left, top + tall * (1 - down if upwards else down), wide, down=False)
        paper.dashes(left + wide * right, top, tall, down=True)
        paper.write(left, top - 9, f"{'zyx'[across]} {at[across] + 1} of {shape[across]}", _WORDS)
        paper.write(left + wide / 2, top + tall + 5, "x →" if columns == 2 else "y →", _SMALL, anchor="ma", colour=MUTED)
        paper.write_upwards(left - 15, top + tall / 2, "z →" if upwards else "← y", _SMALL, MUTED)
        x += column + gap
    return above(paper.array(), _keys(view))


def crossing(view: CaseView) -> list[int]:
    """Where along each axis the mask is largest; without a mask the true label says where to look."""
    found = view.mask if view.mask.any() or view.true is None else view.true
    return [largest_plane(found, axis) for axis in range(3)]


def video_picture(view: CaseView, frames: int = 6) -> Picture:
    """Some frames of a video, evenly spread, and below them the area of each class over time.

    Args:
        view: Of three axes, time, y and x. The area of the mask is a solid line, that of the true label a dashed one; areas
            are in mm² where the spacing is known.
        frames: Most frames to show; the first and the last are always among them.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: It has other axes.
    """
    view.require_stack()
    count = len(view.mask)
    chosen = evenly(count, frames)
    width, gap, head = 1440, 9, _HEAD + (_TITLE if view.title else 0)
    wide = min((width - 2 * _EDGE + gap) / max(len(chosen), 3) - gap, 480 / view.aspect)
    size = max(round(wide * view.aspect), 1), max(round(wide), 1)
    start = (width - len(chosen) * (size[1] + gap) + gap) // 2
    paper = Canvas(width, head + size[0] + _EDGE)
    if view.title:
        paper.write(_EDGE, 36, view.title, 23, bold=True)
    for column, t in enumerate(chosen):
        x = start + column * (size[1] + gap)
        paper.paste(panel(view.plane(t), size), x, head, frame=True)
        paper.write(x, head - 9, f"{t + 1}" if column else f"frame {t + 1} of {count}", _WORDS)
    parts = [paper.array()]
    if importlib.util.find_spec("matplotlib") is None:
        said_once("matplotlib", 'Matplotlib is not installed, no areas over time are drawn: pip install "ldseg[figures]"')
    else:
        parts.append(area_chart(view, chosen, width))
    return above(np.concatenate(parts), _keys(view))


def area_chart(view: CaseView, chosen: list[int], width: int) -> Picture:
    """The area of each class over time, lines at the frames that are chosen; uint8 (H, W, 3)."""
    from ldseg.viz.figures import DPI, figure_to_array, new_figure, style

    with style():
        figure = new_figure(width / DPI, 2.4)
        axes = figure.subplots()
        _draw_areas(axes, view)
        for t in chosen:
            axes.axvline(t + 1, color=GRID, linewidth=0.8, zorder=0)
        axes.set_ylabel("area (pixels)" if view.spacing is None else "area (mm²)")
        if view.true is not None:
            for line, words in (("-", "mask"), (_DASHES, "true label")):
                axes.plot([], [], color=MUTED, linestyle=line, label=words)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)
        return figure_to_array(figure)


def _draw_areas(axes: Axes, view: CaseView) -> None:
    """Lines of the area of each label but 0, in the colour that it has in the pictures."""
    from matplotlib.ticker import MaxNLocator

    palette, pixel = class_rgb(view.colours), view.steps[1] * view.steps[2]
    number = np.arange(len(view.mask)) + 1
    marker = "o" if len(number) == 1 else ""
    labelled: tuple[tuple[Labels | None, object, float], ...] = ((view.mask, "-", 1.8), (view.true, _DASHES, 1.3))
    for labels, dashes, line in labelled:
        for label in [] if labels is None else np.unique(labels[labels > 0]):
            area = pixel * (labels == label).sum(axis=(1, 2))
            colour = colour_of(np.array(label), palette).tolist()
            axes.plot(number, area, color=colour, linestyle=dashes, linewidth=line, marker=marker)
    axes.set(xlabel="frame", xlim=(0.5, len(view.mask) + 0.5))
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


SLICES, VIDEO = Animation(seconds=5.0), Animation(seconds=2.0)
"""How a volume and a video are animated."""


def slices_gif(path: Path, view: CaseView, animation: Animation = SLICES) -> Path:
    """Writes an endless GIF that goes along the slices of a volume: the slice, and the slice with its mask.

    Args:
        path: Where to write; the suffix must be .gif.
        view: Of three axes, see `volume_picture`.
        animation: Size and pace.

    Returns:
        The path.

    Raises:
        DataError: It has other axes, or the path cannot be written.
    """
    return _write_stack(path, view, "slice", animation)


def video_gif(path: Path, view: CaseView, animation: Animation = VIDEO) -> Path:
    """Writes a video as an endless GIF: the frame, and the frame with its mask.

    Arguments, result and errors are those of `slices_gif`; axes are those of `video_picture`.
    """
    return _write_stack(path, view, "frame", animation)


def _write_stack(path: Path, view: CaseView, what: str, animation: Animation) -> Path:
    view.require_stack()
    chosen, keys = animation.chosen(len(view.mask)), _keys(view)

    def draw(wide: int) -> list[Picture]:
        below = strip(keys, wide) if keys else np.zeros((0, wide, 3), np.uint8)
        sheet = _Sheet(below.shape[1], view.aspect, what, len(view.mask))
        return [np.concatenate([sheet.page(k, view.plane(k)), below]) for k in chosen]

    return animation.save(path, draw, longest=250)


def _keys(view: CaseView) -> list[Entry]:
    return entries_for([view.mask, view.true], view.names, view.colours)


class _Sheet:
    """Two panels side by side under a line that says which slice or frame they show, and a bar that fills."""

    def __init__(self, width: int, aspect: float, what: str, count: int) -> None:
        self._gap, self._margin, self._head = 8, 8, 30
        self._what, self._count, self._width = what, count, width
        self._cell = (width - 2 * self._margin - self._gap) // 2
        self._tall = max(1, round(self._cell * aspect))
        if self._tall > 1.5 * width:  # a tall picture gets narrower, not longer than a screen
            self._cell, self._tall = max(1, round(1.5 * width / aspect)), round(1.5 * width)
        self._size = float(np.clip(width / 32, 9.7, 15.3))

    def page(self, k: int, view: CaseView) -> Picture:
        """uint8 (H, W, 3) of slice or frame k."""
        size = self._tall, self._cell
        paper = Canvas(self._width, self._head + self._tall + 4)
        paper.write(self._margin, self._head - 10, f"{self._what} {k + 1} of {self._count}", self._size)
        long = 2 * self._cell + self._gap
        paper.box(self._margin, self._head - 6, long, 3, GRID)
        paper.box(self._margin, self._head - 6, round(long * (k + 1) / self._count), 3, MUTED)
        paper.paste(panel(view, size, plain=True), self._margin, self._head)
        paper.paste(panel(view, size), self._margin + self._cell + self._gap, self._head)
        return paper.array()
