"""Values of masks and maps, checked before they are written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldseg.base.later import Later
from ldseg.base.scratch import copy_into, ends, scratch, slabs
from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.io.geometry import Geometry

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Later("tifffile")


def narrowed(path: Path, mask: np.ndarray) -> np.ndarray:
    """A mask of whole numbers as uint8 where the values fit, else uint16. Raises DataError where neither does."""
    mask = np.asarray(mask)
    if mask.size == 0 or mask.dtype.kind not in "uib":
        raise DataError(f"{path}: a mask must be whole numbers, got {mask.dtype} {mask.shape}")
    low, high = (int(value) for value in ends(mask))
    if low < 0 or high > 65535:
        raise DataError(f"{path}: mask values must be in 0..65535, got {low} to {high}")
    found = scratch(mask.shape, np.uint8 if high <= 255 else np.uint16)
    copy_into(found, mask)
    return found


def finite(path: Path, values: np.ndarray) -> np.ndarray:
    """The numbers of a map as float32. Raises DataError for others."""
    values = np.asarray(values)
    if values.size == 0 or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise DataError(f"{path}: a map must be finite numbers, got {values.dtype} {values.shape}")
    return values.astype(np.float32)


def write_pages(path: Path, mask: np.ndarray) -> Path:
    """Write a mask (N, H, W) as a TIFF of N pages, whole or not at all."""
    return write_stack(path, narrowed(path, mask), None, None)


def write_stack(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write values (H, W) or (N, H, W) as a TIFF, as `Format.write` asks; it holds no place in space."""
    stream = io.BytesIO()
    # Page by page, so that no more of a video is in memory.
    pages = values if values.ndim == 2 else (np.ascontiguousarray(page) for slab in slabs(values) for page in slab)
    kind = {"shape": values.shape, "dtype": values.dtype}
    tifffile.imwrite(stream, pages, **kind, photometric="minisblack", compression="zlib", metadata=None)
    return write_bytes(path, stream.getvalue())
