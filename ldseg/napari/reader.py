"""Volumes with their spacing, for napari, which reads pictures by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ldseg.errors import DataError
from ldseg.io.names import stem_of
from ldseg.io.scans import read_scan
from ldseg.io.series import dicom_files

Layer = tuple[Any, dict[str, Any], str]


def reader_of(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """What reads a path, as npe2 asks: None for several paths, and for a folder without DICOM."""
    if isinstance(path, list) and len(path) != 1:
        return None
    one = Path(path[0] if isinstance(path, list) else path)
    if one.is_dir() and not dicom_files(one):
        return None
    return lambda _: [layer_of(one)]


def layer_of(path: Path) -> Layer:
    """The image layer of a volume, or of a flat DICOM file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        scan = read_scan(path, "ZYX")
    except DataError:
        if path.is_dir() or path.suffix.lower() != ".dcm":
            raise
        scan = read_scan(path, "YX")
    values, colours = scan.values, scan.values.shape[-1] == 3
    shown: dict[str, Any] = {"name": stem_of(path)}
    if colours:
        shown["rgb"] = True
    elif values.shape[-1] == 1:
        values = values[..., 0]
    else:
        shown["channel_axis"] = values.ndim - 1
    if scan.geometry is not None:
        steps = scan.geometry.array_spacing
        shown |= {"scale": steps, "units": ("mm",) * len(steps)}
    return values, shown, "image"
