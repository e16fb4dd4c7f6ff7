"""Heat maps of how sure a segmentation is, beside the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ldseg.errors import DataError
from ldseg.spatial import slice_name
from ldseg.viz.overlays import fit, largest_plane, panel, to_shown
from ldseg.viz.style import CLASS_COLOURS, MUTED, style

MAP = "cividis"
"""A map of colours whose brightness grows evenly, and that colour-blind readers see as others do."""

_DPI = 150  # as `save_figure` takes it


def uncertainty_figure(
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    entropy: npt.ArrayLike,
    variance: npt.ArrayLike,
    *,
    axes: str,
    true: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    colours: Sequence[str] = CLASS_COLOURS,
    title: str = "",
) -> Figure:
    """Draws a plane of the image with its mask, its predictive entropy and the variance between the members.

    Of a volume that plane along z is shown where the mask is largest, of a film the frame in the middle.

    Args:
        image: Float (*S, c), see `to_shown`.
        mask: Integer (*S).
        entropy: Float (*S) in [0, 1]: the scale is the same for all cases.
        variance: Float (*S): the scale goes up to the highest of the plane, of which the bar tells.
        axes: "YX", "ZYX" or "TYX".
        true: Integer (*S): the true label, drawn as an outline.
        spacing: Distance of the pixels along the axes; pixels are square by default.
        colours: Colour of each class, background first.
        title: Written above, left.

    Raises:
        DataError: Shapes do not go together.
    """
    pixels, found = to_shown(image), np.asarray(mask)
    maps = [np.asarray(each, np.float32) for each in (entropy, variance)]
    actual = None if true is None else np.asarray(true)
    for name, array in (("mask", found), ("entropy", maps[0]), ("variance", maps[1]), ("true", actual)):
        if array is not None and (array.shape != pixels.shape[:-1] or len(axes) != array.ndim):
            raise DataError(f"{name}: expected the image's size {pixels.shape[:-1]}, one length per axis, got {array.shape}")
    steps = (1.0,) * len(axes) if spacing is None else tuple(float(step) for step in spacing)
    where = ""
    if len(axes) > 2:
        at = largest_plane(found, 0) if axes[0] == "Z" else len(found) // 2
        where = f", {slice_name(axes)} {at + 1} of {len(found)}"
        pixels, found, *maps = pixels[at], found[at], *(each[at] for each in maps)
        actual = None if actual is None else actual[at]

    # In inches, as in all figures that are made of pictures.
    tall, wide = found.shape[0] * steps[-2], found.shape[1] * steps[-1]
    edge, gap, head, below = 0.12, 0.2, 0.3 + 0.32 * bool(title), 0.72
    scale = min(3.1 / wide, 4.2 / tall)
    cell = scale * tall, scale * wide
    column = max(cell[1], 2.7)  # what the words under a bar need
    width, height = 2 * edge + 3 * column + 2 * gap, head + cell[0] + below
    size = round(cell[0] * _DPI), round(cell[1] * _DPI)
    highest = max(float(maps[1].max()), 1e-6)
    drawn = (
        (f"image and mask{where}", None, ""),
        ("predictive entropy", (maps[0], 1.0), "0: certain   1: all classes equally likely"),
        ("variance between members", (maps[1], highest), "0: all members agree"),
    )
    with style():
        figure = Figure(figsize=(width, height))
        if title:
            figure.text(edge / width, 1 - 0.1 / height, title, va="top", fontsize=11, fontweight="bold")
        for index, (name, shown, words) in enumerate(drawn):
            start = edge + index * (column + gap)
            figure.text(start / width, 1 - (head - 0.06) / height, name, va="bottom", fontsize=9)
            place = ((start + 0.5 * (column - cell[1])) / width, below / height, cell[1] / width, cell[0] / height)
            panes = figure.add_axes(place, xticks=[], yticks=[])
            panes.grid(False)
            for spine in panes.spines.values():
                spine.set(visible=True, linewidth=0.6, color=MUTED)
            if shown is None:
                panes.imshow(panel(pixels, found, actual, size, colours), aspect="auto")
                continue
            values, top = shown
            scaled = Normalize(0.0, top)
            panes.imshow(fit(values, size[1], size[0], smooth=True), aspect="auto", cmap=MAP, norm=scaled)
            bar = figure.add_axes((start / width, (below - 0.24) / height, column / width, 0.12 / height))
            made = figure.colorbar(ScalarMappable(scaled, MAP), cax=bar, orientation="horizontal", ticks=[0, top / 2, top])
            made.ax.set_xticklabels(["0", f"{top / 2:.2g}", f"{top:.2g}"], fontsize=8)
            made.ax.get_xticklabels()[0].set_horizontalalignment("left")
            made.ax.get_xticklabels()[-1].set_horizontalalignment("right")
            made.outline.set_linewidth(0.5)
            made.ax.set_xlabel(words, fontsize=8, labelpad=2, color=MUTED)
    return figure
