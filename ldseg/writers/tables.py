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


def joined(paths: Iterable[Path], target: Path) -> list[dict[str, str]]:
    """Write the tables of cases as one, and return its rows by their columns; without tables nothing is written.

    Raises:
        DataError: it cannot be written.
    """
    rows: list[dict[str, str]] = []
    columns: dict[str, None] = {}  # in their order: images of more channels have more of them
    for path in paths:
        with path.open(encoding="utf-8", newline="") as stream:
            found = csv.DictReader(stream)
            rows += found
            columns |= dict.fromkeys(found.fieldnames or ())
    rows = [{name: row.get(name, "") for name in columns} for row in rows]
    if columns:
        write_text(target, csv_text([columns, *(row.values() for row in rows)]))
    return rows


def _field(value: Any) -> str:
    """A value as a field: six digits of a number, nothing for one that does not exist."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value)
    return f"{value:.6g}" if np.isfinite(value) else ""


CSV = Writer(about="measurements of objects, one row each", files=OBJECTS, write=write_csv)
