"""What the planes of a picture mean: colours, transparency, white as zero, the way up, depth."""

from __future__ import annotations

import numpy as np

from ldseg.io.contract import Refused, said_once

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners use of the 16 of a value."""

_TURNS = {
    2: lambda rows: rows[:, ::-1],
    3: lambda rows: rows[::-1, ::-1],
    4: lambda rows: rows[::-1],
    5: lambda rows: rows.swapaxes(0, 1),
    6: lambda rows: rows[::-1].swapaxes(0, 1),
    7: lambda rows: rows[::-1, ::-1].swapaxes(0, 1),
    8: lambda rows: rows[:, ::-1].swapaxes(0, 1),
}


def upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Pixels (H, W, ...) as viewers show them, by the orientation tag of EXIF and TIFF; as they are without a valid one."""
    return _TURNS[orientation](pixels) if isinstance(orientation, int) and orientation in _TURNS else pixels


def without_alpha(values: np.ndarray, source: str, label: bool) -> np.ndarray:
    """Values (*S, c) without their last plane, which is transparency.

    Where it differs from pixel to pixel, that is said once; a label that lies in it is refused.
    """
    kept, alpha = values[..., :-1], values[..., -1]
    if (alpha == alpha.flat[0]).all():
        return kept
    if label and (kept == kept.reshape(-1, kept.shape[-1])[0]).all():
        raise Refused(
            "a label needs one plane of class or instance numbers, found one colour and what differs in transparency"
        )
    said_transparent(source)
    return kept


def said_transparent(source: str) -> None:
    """Say once that transparency is left out."""
    said_once("transparency", f"{source}: its transparency is not used (this is said for the first such file only)")


def inverted(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of an image in which zero is white, as if it were black."""
    if values.dtype == bool:
        return ~values
    if values.dtype.kind != "u":
        raise Refused(f"zero is white in it, with values of type {values.dtype}; expected unsigned whole numbers")
    return values.dtype.type(2**bits - 1) - values


def depth_of(highest: float) -> int:
    """The bits that hold a value, of `DEPTHS`."""
    return next((bits for bits in DEPTHS if highest < 2**bits), DEPTHS[-1])
