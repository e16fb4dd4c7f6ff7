"""Results that are kept for looking at: files for others, small arrays for the page, on the disk and not in memory."""

from __future__ import annotations

import csv
import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.errors import ConfigError
from ldseg.io.series import dicom_files, is_dicom
from ldseg.model import Model
from ldseg.outputs import ZARR
from ldseg.result import Result
from ldseg.serve.drawing import Shown, shown_of, trace_arrays
from ldseg.writers.table import WRITERS

ROWS = 1000
"""Rows of the measurements that are told at once; the file has all."""

PAGE_FORMATS = ("mask", "geojson", "csv")
"""What is written of every result that is kept, and ``dicomseg`` of images that are DICOM."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How an image is to be segmented.

    Attributes:
        weights: their name.
        settings: of ``Model.segment``: steps, samples, ...
        masks: ``classes`` or ``instances``.
        formats: what is written; nothing for `PAGE_FORMATS`.
    """

    weights: str
    settings: Mapping[str, Any]
    masks: str = "classes"
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A result.

    Attributes:
        folder: of its files; its name is the key of the result.
        files: by format.
        facts: what there is to tell of it, in plain types.
    """

    folder: Path
    files: Mapping[str, Path]
    facts: Mapping[str, Any]

    @property
    def shown(self) -> Shown:
        """What there is to see of it."""
        return Shown.read(self.folder)


def segment_to(folder: Path, image: Path, wish: Wish, model: Model) -> dict[str, Path]:
    """Segment an image and write it in the formats that were wished for.

    Raises:
        LDSegError: the image cannot be used, or a setting is wrong.
    """
    result = model.segment(image, **wish.settings)
    return written(result, folder, wish.formats, wish.masks)


def written(result: Result, folder: Path, formats: Sequence[str], masks: str) -> dict[str, Path]:
    """Write a result; what is a folder becomes an archive, so that it can be sent."""
    files = dict(result.save(folder, formats=formats, masks=masks, overlay=False))
    for name, path in files.items():
        if path.is_dir():
            root, base = (path.parent, path.name) if path.name.endswith(ZARR) else (path, ".")
            files[name] = Path(shutil.make_archive(str(path), "zip", root, base))
            shutil.rmtree(path)
    return files


def keep(folder: Path, image: Path, wish: Wish, model: Model) -> Kept:
    """Segment an image, and write what a page needs to show it.

    Raises:
        LDSegError: the image cannot be used, or a setting is wrong.
    """
    result = model.segment(image, states=True, **wish.settings)
    formats = wish.formats or PAGE_FORMATS
    dicom = is_dicom(image) or (image.is_dir() and bool(dicom_files(image)))
    if not wish.formats and dicom and not _lacks("dicomseg"):
        formats = (*formats, "dicomseg")
    files = written(result, folder / "files", formats, wish.masks)
    shown = shown_of(result)
    steps, times = trace_arrays(result)
    shown.write(folder, steps)
    rows = _rows(files["csv"]) if "csv" in files else []
    return Kept(
        folder=folder,
        files=files,
        facts={
            "id": folder.name,
            "name": result.name,
            "weights": wish.weights,
            "settings": dict(wish.settings),
            "axes": result.axes,
            "classes": list(result.classes),
            "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in shown.colours],
            "size": list(result.mask.shape),
            "spacing": None if result.spacing is None else list(result.spacing),
            "seconds": round(result.seconds, 3),
            "predicted_dice": _finite(result.predicted_dice),
            "warnings": list(result.warnings),
            "planes": shown.planes,
            "largest": shown.largest,
            "aspect": shown.aspect,
            "times": times,
            "whole": result.trace is not None and np.shape(result.trace.image) == result.image.shape,
            "shares": _shares(result),
            "objects": len(rows),
            "measurements": rows[:ROWS],
            "files": {name: f"/results/{folder.name}/files/{name}" for name in files},
        },
    )


def _shares(result: Result) -> dict[str, float]:
    counts = np.bincount(result.mask.ravel(), minlength=len(result.classes))
    return {name: round(float(n / result.mask.size), 6) for name, n in zip(result.classes, counts, strict=True)}


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _lacks(name: str) -> bool:
    try:
        WRITERS[name].check(name)
    except ConfigError:
        return True
    return False


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


class Shelf:
    """The results that are kept, so many and no more: the one that was looked at longest ago goes first."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, kept: Kept) -> None:
        """Keep a result."""
        with self._lock:
            self._kept[kept.folder.name] = kept
            gone = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self._most)]
        for old in gone:
            shutil.rmtree(old.folder, ignore_errors=True)

    def get(self, key: str) -> Kept:
        """A result.

        Raises:
            KeyError: there is none, or none any more.
        """
        with self._lock:
            self._kept.move_to_end(key)
            return self._kept[key]

    def drop(self, key: str) -> None:
        """Remove a result with its files.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            kept = self._kept.pop(key)
        shutil.rmtree(kept.folder, ignore_errors=True)
