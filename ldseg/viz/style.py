"""What all pictures share: colours, and saving whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from ldseg.base.later import Later
from ldseg.base.writing import write_bytes
from ldseg.errors import DataError

if TYPE_CHECKING:
    from PIL import ImageColor
else:
    ImageColor = Later("PIL.ImageColor")

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


def rgb(colour: str) -> tuple[float, float, float]:
    """Red, green and blue in [0, 1] of ``#rrggbb``, of a name of CSS, or of one that Matplotlib knows."""
    digits = colour.removeprefix("#")
    if len(digits) == 6 and digits != colour:
        return tuple(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))  # type: ignore[return-value]
    try:
        red, green, blue = ImageColor.getrgb(colour)[:3]
    except ValueError:
        from matplotlib.colors import to_rgb  # which knows more names, and takes a tenth of a second

        return to_rgb(colour)
    return red / 255, green / 255, blue / 255


def class_rgb(colours: Sequence[str]) -> npt.NDArray[np.float32]:
    """Float32 (n, 3) in [0, 1]; DataError when there is no colour beside the background's."""
    if len(colours) < 2:
        raise DataError(f"colours: expected one for the background and at least one more, got {len(colours)}")
    return np.array([rgb(colour) for colour in colours], dtype=np.float32)


def class_bytes(count: int, colours: Sequence[str] = ()) -> tuple[tuple[int, int, int], ...]:
    """Red, green and blue from 0 to 255 of so many classes, those after the first in turn; nothing is `CLASS_COLOURS`."""
    palette = np.rint(255 * class_rgb(colours or CLASS_COLOURS)).astype(int).tolist()
    turn = [0, *(1 + k % (len(palette) - 1) for k in range(count - 1))]
    return tuple(tuple(palette[k]) for k in turn)


def save_image(array: npt.NDArray[np.uint8], path: Path) -> Path:
    """Saves a uint8 picture (H, W, 3) or (H, W) as PNG, whole or not at all; returns the path.

    Raises:
        DataError: The array is no such picture, the suffix is not .png, or the path cannot be written.
    """
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)):
        raise DataError(f"{path}: expected uint8 (H, W, 3) or (H, W), got {array.dtype} {array.shape}")
    if path.suffix.lower() != ".png":
        raise DataError(f"{path}: expected the suffix .png, got {path.suffix!r}")
    ordered = array if array.ndim == 2 else array[..., ::-1]  # OpenCV has blue first
    # At its own level it is as small as Pillow's in a sixth of the time.
    done, content = cv2.imencode(".png", np.ascontiguousarray(ordered))
    if not done:
        raise DataError(f"{path}: OpenCV cannot write it")
    return write_bytes(path, content.tobytes())
