"""Animations: frames into a GIF that is small enough, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from ldseg.errors import DataError
from ldseg.viz.legend import Entry, strip
from ldseg.viz.style import figure_to_array, style
from ldseg.writing import write_bytes

Frames = Sequence[npt.NDArray[np.uint8]]
Shown = Sequence[tuple[str, npt.NDArray[np.uint8]]]
"""Pictures of one size side by side, each with its heading."""
Step = TypeVar("Step")


def check_suffix(path: Path) -> None:
    """DataError unless the path ends in .gif."""
    if path.suffix.lower() != ".gif":
        raise DataError(f"{path}: expected the suffix .gif, got {path.suffix!r}")


def save_gif(path: Path, draw: Callable[[int], Frames], durations: Sequence[int], width: int, max_bytes: int) -> Path:
    """Writes an endless GIF of frames that are drawn for a width, narrower where the file would be too large.

    Args:
        path: Where to write.
        draw: From a width in pixels to the frames, each uint8 (H, W, 3) of one size.
        durations: Milliseconds of each frame.
        width: The width that is wanted.
        max_bytes: Size that the file must not pass, as far as narrowing can help.
    """
    for share in (1.0, 0.8, 0.6, 0.45):
        data = _encode(draw(int(share * width)), durations)
        if len(data) <= max_bytes:
            break
    return write_bytes(path, data)


def evenly(count: int, most: int) -> list[int]:
    """At most `most` indices of 0..count-1, evenly spread, the first and the last among them."""
    return sorted({int(round(i)) for i in np.linspace(0, count - 1, min(count, max(most, 2)))})


def pages(
    steps: Iterable[Step], width: int, aspect: float, keys: Sequence[Entry], draw: Callable[[Step, int, int], Shown]
) -> list[npt.NDArray[np.uint8]]:
    """Frames of three pictures side by side, over a legend.

    Args:
        steps: What each frame is drawn from.
        width: Width of a frame in pixels; it is wider where the legend needs it.
        aspect: Height of a picture by its width.
        keys: Entries of the legend.
        draw: From a step, and width and height of a picture in pixels, to three pictures with their headings.

    Returns:
        One uint8 (H, W, 3) for each step.
    """
    below = strip(keys, width) if keys else np.zeros((0, width, 3), np.uint8)
    width = below.shape[1]
    dpi, gap, margin, head = 100, 10, 10, 30
    cell = (width - 2 * margin - 2 * gap) // 3
    tall = max(1, round(cell * aspect))
    height = tall + head + margin
    places = [margin + column * (cell + gap) for column in range(3)]
    found = []
    with style():
        figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
        size, up = 11 * min(1.0, width / 900), 1 - (head - 8) / height
        headings = [figure.text(x / width, up, "", fontsize=size, va="bottom") for x in places]
        for step in steps:
            shown = draw(step, cell, tall)
            for heading, (text, _) in zip(headings, shown, strict=True):
                heading.set_text(text)
            page = figure_to_array(figure)
            for x, (_, picture) in zip(places, shown, strict=True):
                page[head : head + tall, x : x + cell] = picture
            found.append(np.concatenate([page, below]))
    return found


def _encode(frames: Frames, durations: Sequence[int]) -> bytes:
    """GIF bytes of the frames. One palette for all, so that what stands still does not flicker."""
    sample = np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]])
    grays = np.linspace(34, 255, 12).astype(np.uint8)  # kept free for text on white
    free = 256 - grays.size
    found = Image.fromarray(sample).quantize(free, method=Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(found[: 3 * free] + np.repeat(grays, 3).tolist())
    pages = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    buffer = BytesIO()
    pages[0].save(buffer, format="GIF", save_all=True, append_images=pages[1:], duration=list(durations), loop=0)
    return buffer.getvalue()
