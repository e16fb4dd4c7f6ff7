"""Names of the classes beside their colours: as a strip under a picture, and for Matplotlib's own legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from ldseg.errors import DataError
from ldseg.viz.overlays import colour_of
from ldseg.viz.style import CLASS_COLOURS, INK, TRUE_COLOUR, class_rgb, figure_to_array, style

_DPI = 100
_MOST = 12  # more labels than that are ids, not classes


class Entry(NamedTuple):
    """One line of a legend."""

    name: str
    colour: tuple[float, float, float] | str
    outline: bool = False  # drawn as a line, not as an area


def legend(
    picture: npt.NDArray[np.uint8],
    names: Sequence[str],
    colours: Sequence[str] = CLASS_COLOURS,
    *,
    true_colour: str | None = None,
) -> npt.NDArray[np.uint8]:
    """Adds a white strip under a picture with the colour and the name of each class but the background.

    Args:
        picture: uint8 (H, W, 3).
        names: Name of each class, background first.
        colours: Colour of each class, background first; they start again after the last.
        true_colour: Colour of the outline of the true label, where the picture shows one.

    Returns:
        uint8 (H + h, W', 3), where W' is W, or more where a name would not fit.

    Raises:
        DataError: The picture is of another kind, or no class is named beside the background.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise DataError(f"picture: expected uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
    if len(names) < 2:
        raise DataError(f"names: expected one for the background and at least one more, got {len(names)}")
    below = strip(entries(names, colours, true_colour=true_colour), picture.shape[1])
    wider = max(0, below.shape[1] - picture.shape[1])
    return np.concatenate([np.pad(picture, ((0, 0), (0, wider), (0, 0)), constant_values=255), below])


def entries(names: Sequence[str], colours: Sequence[str], *, true_colour: str | None = None) -> list[Entry]:
    """One entry for each class after the first, and one for the true label if its colour is given."""
    paint = colour_of(np.arange(len(names)), class_rgb(colours))
    found = [Entry(name, tuple(paint[k].tolist())) for k, name in enumerate(names) if k]
    return found + ([Entry("true label", true_colour, outline=True)] if true_colour is not None else [])


def entries_for(
    labels: Sequence[npt.NDArray[np.integer] | None], names: Sequence[str] | None, colours: Sequence[str]
) -> list[Entry]:
    """What a picture of a mask and perhaps a true label has to explain; nothing where that goes without saying.

    Names that are given are always shown. Without them classes are numbered where there are more than two. Labels beyond
    the names, or too many to name, are ids of instances: then only the true label is explained.
    """
    most = max((int(found.max(initial=0)) for found in labels if found is not None), default=0)
    if names is None:
        named = ["", *(f"class {k}" for k in range(1, most + 1))] if 1 < most <= _MOST else []
    else:
        named = list(names) if most < len(names) else []
    true_colour = TRUE_COLOUR if labels[-1] is not None else None
    return entries(named, colours, true_colour=true_colour)


def handles(found: Sequence[Entry]) -> list[Artist]:
    """The entries for `Figure.legend`."""
    made: list[Artist] = []
    for entry in found:
        if entry.outline:
            cased = [withStroke(linewidth=3.2, foreground=INK)]  # yellow alone is lost on white
            made.append(Line2D([], [], color=entry.colour, label=entry.name, path_effects=cased))
        else:
            made.append(Patch(facecolor=entry.colour, edgecolor="none", label=entry.name))
    return made


def room(count: int, width: float) -> float:
    """Height in inches that `put` needs for so many entries in a figure of that width."""
    return 0.12 + 0.22 * math.ceil(count / _columns(width)) if count else 0.0


def put(figure: Figure, made: Sequence[Artist]) -> None:
    """Writes the legend along the lower edge of a figure, where there is something to explain."""
    if made:
        columns = min(len(made), _columns(figure.get_figwidth()))
        figure.legend(handles=made, loc="lower center", ncols=columns, handlelength=1.4, borderaxespad=0.2)


def _columns(width: float) -> int:
    return max(1, int(width / 1.5))


def strip(found: Sequence[Entry], width: int) -> npt.NDArray[np.uint8]:
    """The entries on white, in as many rows as they need: uint8 (h, w, 3), w at least `width` pixels."""
    size = float(np.clip(width / 55, 7.5, 14.0))
    em = size * _DPI / 72
    with style():
        scratch = Figure(figsize=(1, 1), dpi=_DPI)
        drawn = [scratch.text(0, 0, entry.name, fontsize=size) for entry in found]
        lengths = [2.6 * em + text.get_window_extent().width for text in drawn]
        rows: list[list[int]] = [[]]
        at = 0.5 * em
        for k, length in enumerate(lengths):
            if rows[-1] and at + length > width:
                rows.append([])
                at = 0.5 * em
            rows[-1].append(k)
            at += length
        wide = int(np.ceil(max([float(width), *(0.5 * em + length for length in lengths)])))
        high = int(np.ceil((1.6 * len(rows) + 0.5) * em))
        figure = Figure(figsize=(wide / _DPI, high / _DPI), dpi=_DPI)
        for row, members in enumerate(rows):
            x, y = 0.5 * em, high - (1.6 * row + 1.05) * em
            for k in members:
                tall = 0.3 if found[k].outline else 0.9
                box = (x / wide, (y - 0.5 * tall * em) / high), 1.1 * em / wide, tall * em / high
                edge = INK if found[k].outline else "none"
                patch = Rectangle(*box, facecolor=found[k].colour, edgecolor=edge, linewidth=0.6)
                figure.add_artist(patch)
                figure.text((x + 1.5 * em) / wide, y / high, found[k].name, fontsize=size, va="center_baseline")
                x += lengths[k]
        return figure_to_array(figure)
