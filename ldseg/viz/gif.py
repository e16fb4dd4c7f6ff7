"""Animations: frames into a GIF that is small enough, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from ldseg.base.later import Later
from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas, Picture
from ldseg.viz.legends import Entry, strip

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = Later("PIL.Image")

Shown = Sequence[tuple[str, Picture]]
"""Pictures of one size side by side, each with its heading."""
Step = TypeVar("Step")

_GRAYS = np.linspace(34, 255, 12).astype(np.uint8)
"""Kept free in the palette for words on white."""


@dataclass(frozen=True, kw_only=True)
class Animation:
    """How an animation is written.

    Attributes:
        width: In pixels. A file that would be larger than `max_bytes` is made narrower.
        max_frames: Most frames, chosen evenly; the first and the last are always among them.
        max_bytes: Size that the file must not pass, as far as narrowing can help.
        seconds: Time that the whole way takes, a last frame that stays apart.
        hold: Seconds that the last frame stays; None where it stays no longer than the others.
    """

    width: int = 480
    max_frames: int = 64
    max_bytes: int = 2_000_000
    seconds: float = 5.0
    hold: float | None = None

    def chosen(self, count: int) -> list[int]:
        """Which of so many frames are shown."""
        return evenly(count, self.max_frames)

    def save(self, path: Path, draw: Callable[[int], Sequence[Picture]], longest: int = 400) -> Path:
        """Writes an endless GIF of frames that are drawn for a width, narrower where the file would be too large.

        Args:
            path: Where to write.
            draw: From a width in pixels to the frames, each uint8 (H, W, 3) of one size.
            longest: Most milliseconds of a frame, the last apart.
        """
        check_suffix(path)
        for share in (1.0, 0.8, 0.6, 0.45):
            frames = draw(int(share * self.width))
            data = _encode(frames, self._durations(len(frames), longest))
            if len(data) <= self.max_bytes:
                break
        return write_bytes(path, data)

    def _durations(self, count: int, longest: int) -> list[int]:
        """Milliseconds of each frame."""
        moving = count if self.hold is None else max(count - 1, 1)
        pause = int(np.clip(1000 * self.seconds / moving, 40, longest))
        return [pause] * count if self.hold is None else [pause] * (count - 1) + [int(1000 * self.hold)]


def check_suffix(path: Path) -> None:
    """DataError unless the path ends in .gif."""
    if path.suffix.lower() != ".gif":
        raise DataError(f"{path}: expected the suffix .gif, got {path.suffix!r}")


def evenly(count: int, most: int) -> list[int]:
    """At most `most` indices of 0..count-1, evenly spread, the first and the last among them."""
    return sorted({int(round(i)) for i in np.linspace(0, count - 1, min(count, max(most, 2)))})


def pages(
    steps: Iterable[Step], width: int, aspect: float, keys: Sequence[Entry], draw: Callable[[Step, int, int], Shown]
) -> list[Picture]:
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
    gap, margin, head = 10, 10, 30
    cell = (width - 2 * margin - 2 * gap) // 3
    tall = max(1, round(cell * aspect))
    size = 15.3 * min(1.0, width / 900)
    found = []
    for step in steps:
        paper = Canvas(width, tall + head + margin)
        for column, (words, picture) in enumerate(draw(step, cell, tall)):
            x = margin + column * (cell + gap)
            paper.write(x, head - 9, words, size)
            paper.paste(picture, x, head)
        found.append(np.concatenate([paper.array(), below]))
    return found


def _encode(frames: Sequence[Picture], durations: Sequence[int]) -> bytes:
    """GIF bytes of the frames. One palette for all, so that what stands still does not flicker."""
    sample = np.concatenate([frame[::2, ::2] for frame in (frames[0], frames[len(frames) // 2], frames[-1])])
    sample = (sample & 0xF8) | (sample >> 5)  # five bits a channel, as they are looked up
    free = 256 - _GRAYS.size
    found = Image.fromarray(sample).quantize(free, method=Image.Quantize.MEDIANCUT).getpalette() or []
    colours = found[: 3 * free]
    colours += [0] * (3 * free - len(colours)) + np.repeat(_GRAYS, 3).tolist()
    nearest = _nearest(colours)
    indexed = []
    for frame in frames:
        coarse = (frame >> 3).astype(np.uint16)
        page = Image.fromarray(np.take(nearest, (coarse[..., 0] << 10) | (coarse[..., 1] << 5) | coarse[..., 2]))
        page.putpalette(colours)
        indexed.append(page)
    buffer = BytesIO()
    indexed[0].save(buffer, format="GIF", save_all=True, append_images=indexed[1:], duration=list(durations), loop=0)
    return buffer.getvalue()


def _nearest(colours: Sequence[int]) -> npt.NDArray[np.uint8]:
    """The nearest entry of a palette for each colour of five bits a channel, uint8 (2**15,).

    Looking each pixel up is several times as quick as searching the palette for it.
    """
    level = (np.arange(32) * 255 / 31).astype(np.uint8)
    cube = np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(128, 256, 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette(list(colours))
    return np.asarray(Image.fromarray(cube).quantize(palette=palette, dither=Image.Dither.NONE)).reshape(-1)
