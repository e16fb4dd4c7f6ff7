"""Pictures put together from panels and words, with Pillow and OpenCV: a hundredth of the time that a figure takes.

Lengths are pixels, places count from the upper left corner.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
"""Red, green and blue, (H, W, 3)."""

_SHIFT = 4
_SUBPIXELS = 1 << _SHIFT
"""Parts of a pixel in which OpenCV counts places."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

INK, MUTED, GRID = "#222222", "#6B6B6B", "#E3E3E3"
"""Colours of words, of frames and marks, and of what stands behind."""


class Canvas:
    """White paper to draw on.

    Args:
        width, height: of the paper.
    """

    def __init__(self, width: float, height: float) -> None:
        self._paper = Image.new("RGB", (round(width), round(height)), "white")
        self._draw = ImageDraw.Draw(self._paper)

    @property
    def width(self) -> int:
        """Of the paper."""
        return self._paper.width

    def paste(self, picture: Picture, x: float, y: float, *, frame: bool = False) -> None:
        """Put a picture down with its upper left corner there, with a thin frame around it if wanted."""
        left, top = round(x), round(y)
        self._paper.paste(Image.fromarray(picture), (left, top))
        if frame:
            box = (left, top, left + picture.shape[1] - 1, top + picture.shape[0] - 1)
            self._draw.rectangle(box, outline=MUTED)

    def write(
        self, x: float, y: float, words: str, size: float, *, anchor: str = "ls", colour: str = INK, bold: bool = False
    ) -> None:
        """Write a line of words.

        Args:
            x, y: where its anchor lies.
            words: what to write.
            size: of the font.
            anchor: two letters of Pillow: ``l``, ``m`` or ``r`` (left, middle, right), then ``a`` (top of the letters),
                ``m`` (their middle) or ``s`` (their base).
            colour: of the words.
            bold: whether they are bold.
        """
        self._draw.text((x, y), words, fill=colour, font=font(size, bold), anchor=anchor)

    def write_upwards(self, x: float, y: float, words: str, size: float, colour: str = INK) -> None:
        """Write a line from below to above, its middle at that place."""
        wide, high = round(measure(words, size)) + 2, round(1.4 * size)
        strip = Canvas(wide, high)
        strip.write(wide / 2, high / 2, words, size, anchor="mm", colour=colour)
        turned = np.rot90(strip.array())
        self.paste(np.ascontiguousarray(turned), x - turned.shape[1] / 2, y - turned.shape[0] / 2)

    def box(self, x: float, y: float, width: float, height: float, fill: str | None, edge: str | None = None) -> None:
        """Fill a box, and draw its edge, where they have a colour; one of less than half a pixel is not seen."""
        wide, high = round(width), round(height)
        if wide > 0 and high > 0:
            corners = (round(x), round(y), round(x) + wide - 1, round(y) + high - 1)
            self._draw.rectangle(corners, fill=fill, outline=edge)

    def dashes(self, x: float, y: float, length: float, *, down: bool) -> None:
        """A dashed white line from there to the right, or down."""
        for start in np.arange(0, length, 12):
            end = min(start + 7, length)
            line = (x, y + start, x, y + end) if down else (x + start, y, x + end, y)
            self._draw.line(line, fill="white", width=1)

    def curve(
        self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, width: int = 3, *, dashes: tuple[float, float] | None = None
    ) -> None:
        """A smooth line through points, of whole, or of dashes and gaps of two lengths."""
        points = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
        points = points[np.isfinite(points).all(axis=1)]
        if dashes is None:
            parts = [points]
        else:
            along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
            starts = np.arange(0.0, along[-1], sum(dashes))
            places = [np.linspace(start, min(start + dashes[0], along[-1]), 8) for start in starts]
            parts = [np.stack([np.interp(place, along, points[:, k]) for k in (0, 1)], axis=1) for place in places]
        lines = [np.rint(part * _SUBPIXELS).astype(np.int32) for part in parts]
        self._smoothly(lambda paper: cv2.polylines(paper, lines, False, _rgb(colour), width, cv2.LINE_AA, _SHIFT))

    def dots(self, x: npt.ArrayLike, y: npt.ArrayLike, colour: str, radius: float) -> None:
        """Filled circles around points."""
        points = np.rint(np.stack([np.asarray(x), np.asarray(y)], axis=1) * _SUBPIXELS).astype(int)
        size = round(radius * _SUBPIXELS)

        def draw(paper: Picture) -> None:
            for point in points.tolist():
                cv2.circle(paper, point, size, _rgb(colour), cv2.FILLED, cv2.LINE_AA, _SHIFT)

        self._smoothly(draw)

    def hatch(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A box with its edge and slanting lines."""
        wide, high = max(round(width), 2), max(round(height), 2)
        box = Canvas(wide, high)
        for start in range(-high, wide, 13):
            box.curve([start, start + high], [high, 0], colour, 1)
        box.box(0, 0, wide, high, None, colour)
        self.paste(box.array(), x, y)

    def _smoothly(self, draw: Callable[[Picture], object]) -> None:
        """Draw with OpenCV, whose lines have smooth edges."""
        paper = self.array()
        draw(paper)
        self._paper.paste(Image.fromarray(paper))

    def array(self) -> Picture:
        """What was drawn, uint8 (H, W, 3)."""
        return np.array(self._paper)


def measure(words: str, size: float, *, bold: bool = False) -> float:
    """How long a line of words is."""
    return float(font(size, bold).getlength(words))


def _rgb(colour: str) -> tuple[int, ...]:
    return ImageColor.getrgb(colour)


@lru_cache(maxsize=64)
def font(size: float, bold: bool = False) -> Font:
    """DejaVu Sans, which has the letters of most languages and comes with Matplotlib; else Pillow's own font."""
    found = importlib.util.find_spec("matplotlib")  # found, not imported, which would take long
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / "mpl-data" / "fonts" / "ttf" / name
        if path.is_file():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)
