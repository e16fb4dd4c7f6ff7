"""What all pictures share: colours, one Matplotlib style, and saving whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from ldseg.errors import DataError
from ldseg.writing import write_bytes

OKABE_ITO: dict[str, str] = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "reddish purple": "#CC79A7",
}
"""Eight colours that colour-blind readers can tell apart (Okabe and Ito, Color Universal Design, 2008)."""

CLASS_COLOURS: tuple[str, ...] = tuple(
    OKABE_ITO[name] for name in ("black", "bluish green", "sky blue", "orange", "reddish purple", "vermillion", "blue")
)
"""Colour of each class, background first. Yellow is kept for the true label."""

TRUE_COLOUR: str = OKABE_ITO["yellow"]
"""Colour of the outline of the true label."""

INK, MUTED, GRID = "#222222", "#6B6B6B", "#E3E3E3"

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
    # The keys of the backend stay out: setting one would load a window toolkit.
    plain = {key: value for key, value in matplotlib.rcParamsDefault.items() if "backend" not in key}
    settings: Any = {**plain, **_STYLE}
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, laid out by Matplotlib itself."""
    return Figure(figsize=(width, height), layout="constrained")


def class_rgb(colours: Sequence[str]) -> npt.NDArray[np.float32]:
    """Float32 (n, 3) in [0, 1]; DataError when there is no colour beside the background's."""
    if len(colours) < 2:
        raise DataError(f"colours: expected one for the background and at least one more, got {len(colours)}")
    return np.array([to_rgb(c) for c in colours], dtype=np.float32)


def save_figure(figure: Figure, path: Path, *, dpi: int = 150) -> Path:
    """Saves a figure in the format of the path's suffix (png, pdf, svg), whole or not at all.

    Raises:
        DataError: The path cannot be written, or Matplotlib does not know its suffix.
    """
    suffix = path.suffix.lstrip(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise DataError(f"{path}: expected a suffix of {', '.join(sorted(known))}, got {path.suffix!r}")
    stream = BytesIO()
    with style():
        figure.savefig(stream, format=suffix, dpi=dpi)
    return write_bytes(path, stream.getvalue())


def save_image(array: npt.NDArray[np.uint8], path: Path) -> Path:
    """Saves a uint8 picture (H, W, 3) or (H, W) as PNG, whole or not at all; returns the path.

    Raises:
        DataError: The array is no such picture, the suffix is not .png, or the path cannot be written.
    """
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)):
        raise DataError(f"{path}: expected uint8 (H, W, 3) or (H, W), got {array.dtype} {array.shape}")
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: expected the suffix .png, got {path.suffix!r}")
    stream = BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return write_bytes(path, stream.getvalue())


def figure_to_array(figure: Figure, *, dpi: float | None = None) -> npt.NDArray[np.uint8]:
    """Draws a figure into uint8 (H, W, 3)."""
    with style():
        if dpi is not None:
            figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
