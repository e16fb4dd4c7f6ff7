"""The mask as a file of the kind of its image."""

from __future__ import annotations

from pathlib import Path

from ldseg.io.scans import write_scan_mask
from ldseg.writers.contract import Segmentation, Writer


def write_mask(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_segmentation``, as `Writer.write` asks: numbers of objects where they are given, else classes."""
    numbers = case.mask if case.instances is None else case.instances
    return write_scan_mask(folder, case.name, numbers, like=case.source, geometry=case.geometry)


MASK = Writer(about="the mask, in the format of its image", files="_segmentation", write=write_mask)
