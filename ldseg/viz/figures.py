"""Charts by Matplotlib: one style, saved whole or not at all, imported when the first of them is drawn.

Figures are made with Matplotlib's object-oriented interface: no pyplot state, no window, no display needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.viz.canvas import GRID, INK, MUTED, Picture
from ldseg.viz.style import save_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "image.interpolation": "nearest",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelsize": 9,
}


@contextmanager
def style() -> Iterator[None]:
    """The one style of all figures, whatever the user's own matplotlibrc says; undone on leaving."""
    import matplotlib

    # The keys of the backend stay out: setting one would load a window toolkit.
    plain = {key: value for key, value in matplotlib.rcParamsDefault.items() if "backend" not in key}
    settings: Any = {**plain, **_STYLE}
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float, **margins: float) -> Figure:
    """An empty figure of that many inches.

    Args:
        width, height: In inches.
        margins: Of `Figure.subplots_adjust`, for a figure whose words are known; without them Matplotlib lays it out
            itself, which takes longer than drawing it.
    """
    from matplotlib.figure import Figure

    if not margins:
        return Figure(figsize=(width, height), layout="constrained")
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(**margins)
    return figure


DPI = 150
"""Pixels per inch of figures in files."""


def save_figure(figure: Figure, path: Path, *, dpi: int = DPI) -> Path:
    """Saves a figure in the format of the path's suffix (png, pdf, svg), whole or not at all.

    Raises:
        DataError: The path cannot be written, or Matplotlib does not know its suffix.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix == "png":
        return save_image(figure_to_array(figure, dpi=dpi), path)
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise DataError(f"{path}: expected a suffix of {', '.join(sorted(known))}, got {path.suffix!r}")
    stream = BytesIO()
    with style():
        figure.savefig(stream, format=suffix, dpi=dpi)
    return write_bytes(path, stream.getvalue())


def figure_to_array(figure: Figure, *, dpi: float = DPI) -> Picture:
    """Draws a figure into uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with style():
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
