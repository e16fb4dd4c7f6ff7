"""The measurements of objects as CSV, one row an object."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.text import csv_text
from ldseg.writers.contract import Segmentation, Writer
from ldseg.writing import write_text

OBJECTS = "_objects.csv"


def write_csv(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_objects.csv``, as `Writer.write` asks."""
    found = case.measurements
    names = list(found.columns)
    rows: list[list[Any]] = [["case", *names[:2], "unit", *names[2:]]]
    for row in found.rows():
        values = [_field(value) for value in row.values()]
        rows.append([case.name, *values[:2], found.unit, *values[2:]])
    return write_text(folder / f"{case.name}{OBJECTS}", csv_text(rows))


def joined(paths: Iterable[Path], target: Path) -> Path | None:
    """Write the tables of cases as one; None without any.

    Raises:
        DataError: it cannot be written.
    """
    rows: list[list[str]] = []
    for path in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            found = list(csv.reader(stream))
        rows += found[1:] if rows else found
    return write_text(target, csv_text(rows)) if rows else None


def _field(value: Any) -> str:
    """A value as a field: six digits of a number, nothing for one that does not exist."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value)
    return f"{value:.6g}" if np.isfinite(value) else ""


CSV = Writer(about="measurements of objects, one row each", files=OBJECTS, write=write_csv)
