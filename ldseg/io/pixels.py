"""Pixels of a picture as decoders give them, and the one decoder that several formats share: Pillow."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldseg.io.contract import Refused, check_size

ORIENTATION = 0x0112
"""The tag of EXIF."""
PLANES = {"1": 1, "L": 1, "P": 1, "LA": 2, "I;16": 1, "I;16B": 1}
"""Planes of the modes of Pillow that do not have three."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Decoded pixels (H, W) or (H, W, c), as stored.

    Attributes:
        values: the pixels.
        palette: the colours (n, 3) that they index, if any.
        orientation: the tag of EXIF; 1 is upright.
        steps: by how much a gray level of 2 or 4 bits was multiplied, so that white is 255.
        bits: bits of each value in use; None where the file does not say.
        lossy: the coding that has changed the values a little; empty where they are as they were.
        pictures: how many the file holds, smaller copies apart.
        transparent: whether a colour, or a part of a palette, that is to be seen through is among others.
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    orientation: int = 1
    steps: int = 1
    bits: int | None = None
    lossy: str = ""
    pictures: int = 1
    transparent: bool = False


def by_pillow(plugin: Any, content: bytes) -> Pixels:
    """By Pillow. Its plugins are opened as they are: `Image.open` has a limit of its own on the number of pixels."""
    with plugin(io.BytesIO(content)) as image:
        check_size((image.height, image.width, PLANES.get(image.mode, 3)), 1)
        if getattr(image, "is_animated", False):
            raise Refused("several frames, expected one picture")
        image.load()
        orientation = int(image.getexif().get(ORIENTATION, 1))
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            return Pixels(values=np.asarray(image.convert("RGB")), orientation=orientation)
        values, colours, transparent = np.asarray(image), None, False
        if image.mode == "P" or image.format == "GIF":  # gray ones among these have no palette
            opaque = _opaque(image.info.get("transparency"))[np.unique(values)]
            transparent = bool((opaque != opaque[0]).any())
        if image.mode == "P":
            colours = np.zeros((256, 3), np.uint8)
            listed = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            colours[: len(listed)] = listed
        return Pixels(values=values, palette=colours, orientation=orientation, transparent=transparent)


def _opaque(told: int | bytes | None) -> np.ndarray:
    """How opaque the 256 colours of a palette are, by what Pillow tells: one that is not, or a list."""
    opaque = np.full(256, 255, np.uint8)
    if isinstance(told, int):
        opaque[told] = 0
    elif told is not None:
        opaque[: len(told)] = np.frombuffer(told, np.uint8)[:256]
    return opaque
