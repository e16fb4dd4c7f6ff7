"""Volumes in three planes, cines in frames and curves, and both as animations.

Images are (Z, Y, X, c) or (T, Y, X, c); slices and frames are counted from 1 in what is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ldseg.viz.gif import check_suffix, evenly, save_gif
from ldseg.viz.legend import entries_for, handles, put, room, strip
from ldseg.viz.overlays import FloatImage, check_stack, colour_of, largest_plane, panel
from ldseg.viz.style import CLASS_COLOURS, GRID, MUTED, class_rgb, figure_to_array, style

Labels = npt.NDArray[np.integer]

_DARK, _GRAY = (np.array(to_rgb(c)) * 255 for c in (MUTED, GRID))
_DASHES = (0, (3, 2))
_DPI = 150  # of the panels in a figure, as `save_figure` takes it


def volume_figure(
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    true: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draws the three planes of a volume through its object, each where the mask is largest, with lines where they cross.

    The planes are those of the array: which of them is axial, coronal or sagittal depends on how the volume was taken. z
    runs upwards, as the head lies above in a stack of axial slices.

    Args:
        image: Float (Z, Y, X, c); one channel is shown from its 0.5th to its 99.5th percentile, three are red, green, blue.
        mask: Integer (Z, Y, X).
        true: Integer (Z, Y, X): the true label, drawn as an outline.
        spacing: Distance of the voxels along z, y and x, in any unit; voxels are cubes by default.
        colours: Colour of each class, background first; they start again after the last.
        names: Name of each class, background first, for the legend.
        title: Written above, left.

    Raises:
        DataError: Shapes do not go together, or `spacing` is not positive.
    """
    pixels, found, actual, steps = check_stack(image, mask, true, spacing)
    shape = found.shape
    # without a mask the true label says where to look
    at = [largest_plane(found if found.any() or actual is None else actual, axis) for axis in range(3)]
    extent = np.array(shape) * np.array(steps)
    keys = entries_for([found, actual], names, colours)

    edge, gap, head = 0.12, 0.5, 0.28 + (0.32 if title else 0.0)
    seen = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # across, rows, columns
    scale = min(9.2 / (2 * extent[2] + extent[1]), 3.8 / extent[:2].max())
    sizes = [(max(scale * extent[rows], 0.2), max(scale * extent[columns], 0.2)) for _, rows, columns in seen]
    widths = [max(wide, 1.1) for _, wide in sizes]
    tallest = max(tall for tall, _ in sizes)
    width = max(sum(widths) + 2 * gap + 2 * edge + 0.25, 4.0)
    height = head + tallest + 0.2 + room(len(keys), width) + edge
    with style():
        figure = Figure(figsize=(width, height))
        if title:
            figure.text(edge / width, 1 - 0.1 / height, title, va="top", fontsize=11, fontweight="bold")
        x = edge + 0.25
        for (across, rows, columns), (tall, wide), column in zip(seen, sizes, widths, strict=True):
            picture = panel(
                np.take(pixels, at[across], axis=across),
                np.take(found, at[across], axis=across),
                None if actual is None else np.take(actual, at[across], axis=across),
                (round(tall * _DPI), round(wide * _DPI)),
                colours,
            )
            left, top = x + 0.5 * (column - wide), head + 0.5 * (tallest - tall)
            axes = figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))
            upwards = rows == 0
            ends = (0, shape[rows]) if upwards else (shape[rows], 0)  # bottom and top
            axes.imshow(picture[::-1] if upwards else picture, aspect="auto", extent=(0, shape[columns], *ends))
            _frame(axes)
            axes.axhline(at[rows] + 0.5, color="white", linewidth=0.8, linestyle=(0, (5, 4)), alpha=0.75)
            axes.axvline(at[columns] + 0.5, color="white", linewidth=0.8, linestyle=(0, (5, 4)), alpha=0.75)
            name = f"{'zyx'[across]} {at[across] + 1} of {shape[across]}"
            axes.set_title(name, loc="left", fontsize=9, fontweight="normal")
            axes.set_xlabel("x →" if columns == 2 else "y →", fontsize=8, labelpad=2, color=MUTED)
            axes.set_ylabel("z →" if upwards else "← y", fontsize=8, labelpad=2, color=MUTED)
            x += column + gap
        put(figure, handles(keys))
    return figure


def cine_figure(
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    true: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    title: str = "",
    frames: int = 6,
) -> Figure:
    """Draws some frames of a cine, evenly spread, and below them the area of each class over time.

    Args:
        image: Float (T, Y, X, c); one channel is shown from its 0.5th to its 99.5th percentile, three are red, green, blue.
        mask: Integer (T, Y, X): its area is a solid line.
        true: Integer (T, Y, X): the true label, an outline in the frames, its area a dashed line.
        spacing: Distance of frames and of pixels along y and x in mm: areas are then in mm². The first is not used.
        colours: Colour of each class, background first; they start again after the last.
        names: Name of each class, background first, for the legend.
        title: Written above, left.
        frames: Most frames to show; the first and the last are always among them.

    Raises:
        DataError: Shapes do not go together, or `spacing` is not positive.
    """
    pixels, found, actual, steps = check_stack(image, mask, true, spacing)
    count, tall, wide = found.shape
    chosen = evenly(count, frames)
    made = handles(entries_for([found, actual], names, colours))
    if actual is not None:
        made += [
            Line2D([], [], color=MUTED, label="area of the mask"),
            Line2D([], [], color=MUTED, linestyle=_DASHES, label="of the true label"),
        ]

    # In inches, as in all figures that are made of pictures.
    width, edge, gap, curves = 9.6, 0.1, 0.06, 1.9
    head, below = 0.26 + (0.32 if title else 0.0), 0.52 + room(len(made), width)
    aspect = tall * steps[1] / (wide * steps[2])
    cell = min((width - 2 * edge + gap) / max(len(chosen), 3) - gap, 3.2 / aspect)
    start = 0.5 * (width - len(chosen) * (cell + gap) + gap)
    height = head + cell * aspect + 0.3 + curves + below
    with style():
        figure = Figure(figsize=(width, height))
        if title:
            figure.text(edge / width, 1 - 0.1 / height, title, va="top", fontsize=11, fontweight="bold")
        for column, t in enumerate(chosen):
            size = round(cell * aspect * _DPI), round(cell * _DPI)
            picture = panel(pixels[t], found[t], None if actual is None else actual[t], size, colours)
            place = start + column * (cell + gap), head + cell * aspect
            axes = figure.add_axes(
                (place[0] / width, 1 - place[1] / height, cell / width, cell * aspect / height), xticks=[], yticks=[]
            )
            axes.imshow(picture, aspect="auto")
            _frame(axes)
            name = f"frame {t + 1} of {count}" if not column else f"{t + 1}"
            axes.set_title(name, loc="left", fontsize=9, fontweight="normal")
        axes = figure.add_axes((0.85 / width, below / height, (width - 1.05) / width, curves / height))
        _draw_areas(axes, found, actual, steps[1] * steps[2], colours)
        for t in chosen:
            axes.axvline(t + 1, color=GRID, linewidth=0.8, zorder=0)
        axes.set_ylabel("area (pixels)" if spacing is None else "area (mm²)")
        put(figure, made)
    return figure


def _draw_areas(axes: Axes, found: Labels, actual: Labels | None, pixel: float, colours: Sequence[str]) -> None:
    """Lines of the area of each label but 0, in the colour that it has in the pictures."""
    palette = class_rgb(colours)
    number = np.arange(len(found)) + 1
    marker = "o" if len(number) == 1 else ""
    for labels, dashes, line in ((found, "-", 1.8), (actual, _DASHES, 1.3)):
        for label in [] if labels is None else np.unique(labels[labels > 0]):
            area = pixel * (labels == label).sum(axis=(1, 2))
            colour = colour_of(np.array(label), palette).tolist()
            axes.plot(number, area, color=colour, linestyle=dashes, linewidth=line, marker=marker)
    axes.set(xlabel="frame", xlim=(0.5, len(found) + 0.5))
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def _frame(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6, color=MUTED)


def slices_gif(
    path: Path,
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    true: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    width: int = 480,
    max_frames: int = 64,
    max_bytes: int = 2_000_000,
    seconds: float = 5.0,
) -> Path:
    """Writes an endless GIF that goes along the slices of a volume: the slice, and the slice with its mask.

    Args:
        path: Where to write; the suffix must be .gif.
        image, mask, true, spacing, colours, names: As in `volume_figure`.
        width: Width in pixels. A file that would be larger than `max_bytes` is made narrower.
        max_frames: Most frames, chosen evenly; the first and the last slice are always among them.
        max_bytes: Size that the file must not pass, as far as narrowing can help.
        seconds: Time that the whole way takes.

    Returns:
        The path.

    Raises:
        DataError: Shapes do not go together, or the path cannot be written.
    """
    stack = check_stack(image, mask, true, spacing)
    return _write_stack(path, stack, "slice", colours, names, width, max_frames, max_bytes, seconds)


def cine_gif(
    path: Path,
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    true: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    width: int = 480,
    max_frames: int = 64,
    max_bytes: int = 2_000_000,
    seconds: float = 2.0,
) -> Path:
    """Writes a cine as an endless GIF: the frame, and the frame with its mask.

    Arguments, result and errors are those of `slices_gif`; shapes are those of `cine_figure`.
    """
    stack = check_stack(image, mask, true, spacing)
    return _write_stack(path, stack, "frame", colours, names, width, max_frames, max_bytes, seconds)


def _write_stack(
    path: Path,
    stack: tuple[FloatImage, Labels, Labels | None, tuple[float, ...]],
    what: str,
    colours: Sequence[str],
    names: Sequence[str] | None,
    width: int,
    max_frames: int,
    max_bytes: int,
    seconds: float,
) -> Path:
    check_suffix(path)
    pixels, found, actual, steps = stack
    chosen = evenly(len(found), max_frames)
    keys = entries_for([found, actual], names, colours)
    aspect = found.shape[1] * steps[1] / (found.shape[2] * steps[2])

    def draw(wide: int) -> list[npt.NDArray[np.uint8]]:
        below = strip(keys, wide) if keys else None
        sheet = _Sheet(wide if below is None else below.shape[1], aspect, what, len(found))
        pages = []
        for k in chosen:
            size = sheet.tall, sheet.cell
            plain = panel(pixels[k], None, None, size, colours)
            marked = panel(pixels[k], found[k], None if actual is None else actual[k], size, colours)
            page = sheet.page(k, plain, marked)
            pages.append(page if below is None else np.concatenate([page, below]))
        return pages

    pause = int(np.clip(1000 * seconds / len(chosen), 40, 250))
    return save_gif(path, draw, [pause] * len(chosen), width, max_bytes)


class _Sheet:
    """Two panels side by side under a line that says which slice or frame they show, and a bar that fills."""

    def __init__(self, width: int, aspect: float, what: str, count: int) -> None:
        self._gap, self._margin, self._head = 8, 8, 30
        self._what, self._count, self._width = what, count, width
        self.cell = (width - 2 * self._margin - self._gap) // 2
        self.tall = max(1, round(self.cell * aspect))
        if self.tall > 1.5 * width:  # a tall picture gets narrower, not longer than a screen
            self.cell, self.tall = max(1, round(1.5 * width / aspect)), round(1.5 * width)
        with style():
            self._figure = Figure(figsize=(width / 100, self._head / 100), dpi=100)
            size = float(np.clip(width / 44, 7.0, 11.0))
            self._text = self._figure.text(self._margin / width, 0.34, "", fontsize=size, va="bottom")

    def page(self, k: int, plain: npt.NDArray[np.uint8], marked: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) of slice or frame k."""
        self._text.set_text(f"{self._what} {k + 1} of {self._count}")
        page = np.full((self._head + self.tall + 4, self._width, 3), 255, np.uint8)
        with style():
            page[: self._head] = figure_to_array(self._figure)
        for x, picture in ((self._margin, plain), (self._margin + self.cell + self._gap, marked)):
            page[self._head : self._head + self.tall, x : x + self.cell] = picture
        bar = page[self._head - 6 : self._head - 3, self._margin : self._margin + 2 * self.cell + self._gap]
        bar[:] = _GRAY
        bar[:, : round(bar.shape[1] * (k + 1) / self._count)] = _DARK
        return page
