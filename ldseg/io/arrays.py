"""Arrays of NumPy (.npy)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ldseg.base.spatial import MOST_CHANNELS
from ldseg.io.contract import Content, Format, Refused, check_length, check_size


def read_array(path: Path, axes: str, label: bool = False) -> Content:
    """Read a file as `Format.read` asks: (*S) or (*S, c)."""
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, ordered, kind = read(stream)
        if kind.kind not in "buif":
            raise Refused(f"values of type {kind}, expected numbers or truth values")
        if len(shape) not in (len(axes), len(axes) + 1) or (len(shape) > len(axes) and shape[-1] > MOST_CHANNELS):
            wanted = ", ".join(axes.lower())
            raise Refused(f"expected shape ({wanted}) or ({wanted}, channels), found {shape}")
        check_length(path.stat().st_size - stream.tell(), check_size(shape, kind.itemsize))
        flat = np.fromfile(stream, kind, int(np.prod(shape)))
    values = flat.reshape(shape, order="F" if ordered else "C")
    values = values if values.ndim > len(axes) else values[..., np.newaxis]
    return Content(values=values, modalities=values.shape[-1] in (2, 4))


ARRAY = Format(
    thing="NumPy file",
    suffixes=(".npy",),
    axes=("YX", "ZYX", "TYX"),
    read=read_array,
    masks={".npy": ".tif"},
)
