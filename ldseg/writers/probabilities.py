"""Probabilities of the classes as a file: NIfTI where the mask is a volume of its kind, else OME-TIFF."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.writing import write_bytes
from ldseg.io.names import suffix_of
from ldseg.io.nifti import write_nifti_channels
from ldseg.io.scans import map_path
from ldseg.io.tiff import TIFF_SUFFIXES
from ldseg.writers.contract import Segmentation, Writer

STEM = "_probabilities"


def write_probabilities(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_probabilities``, as `Writer.write` asks: a channel for each class, the background first.

    They are rounded to 16-bit floats, and written as 32-bit ones, as neither format has 16-bit floats: compressed, the zeros
    behind cost next to nothing.
    """
    values = case.probabilities.astype(np.float16).astype(np.float32)
    if _as_nifti(case):
        return write_nifti_channels(folder / f"{case.name}{STEM}.nii.gz", values, case.geometry, case.source)
    content = io.BytesIO()
    _write_ome(content, values, case)
    return write_bytes(folder / f"{case.name}{STEM}.ome.tif", content.getvalue())


def _as_nifti(case: Segmentation) -> bool:
    """Whether the image lies in space, so that OME-TIFF, which has no place and no direction, would lose it."""
    if case.source is None:
        return case.geometry is not None and case.axes == "ZYX"
    path = map_path(Path(), case.name, "map", case.source, case.mask.ndim == 2)
    return suffix_of(path) not in TIFF_SUFFIXES


def _write_ome(stream: Any, values: np.ndarray, case: Segmentation) -> None:
    import tifffile

    metadata: dict[str, Any] = {"axes": f"{case.axes[:-2]}CYX", "Channel": {"Name": list(case.classes)}}
    for axis, step in zip(case.axes, case.spacing or (), strict=False):
        if axis != "T":
            metadata |= {f"PhysicalSize{axis}": step, f"PhysicalSize{axis}Unit": "mm"}
    tifffile.imwrite(
        stream,
        np.moveaxis(values, -1, -3),
        ome=True,
        photometric="minisblack",
        compression="zlib",
        predictor=True,
        metadata=metadata,
    )


PROBABILITIES = Writer(about="the probability of each class, as NIfTI or OME-TIFF", files=STEM, write=write_probabilities)
