"""The measurements of objects as CSV, one row an object."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.text import csv_text
from ldseg.base.writing import write_text
from ldseg.writers.contract import Segmentation, Writer
from ldseg.writers.objects import Measurements

OBJECTS = "_objects.csv"
_KEYS = ("case", "class", "unit", "frame")
"""Columns that tell the rows of a class apart."""


def write_csv(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_objects.csv``, as `Writer.write` asks."""
    return write_text(folder / f"{case.name}{OBJECTS}", csv_text(table_rows(case.name, case.measurements)))


def table_rows(name: str, found: Measurements) -> list[list[str]]:
    """The rows of a table of the objects of a case, the names of the columns first."""
    names = list(found.columns)
    rows = [["case", *names[:2], "unit", *names[2:]]]
    for row in found.rows():
        values = [_field(value) for value in row.values()]
        rows.append([name, *values[:2], found.unit, *values[2:]])
    return rows


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


def totals(rows: Iterable[Mapping[str, str]]) -> list[list[str]]:
    """What the objects of each class come to in each case, or frame, the names of the columns first.

    Sizes are summed up; means of intensity and of uncertainty are over all positions of the class.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in _KEYS if name in row), []).append(row)
    found: list[list[str]] = []
    for key, own in groups.items():
        size = "area" if "area" in own[0] else "volume"
        sizes = np.array([float(row[size]) for row in own])
        means = [name for name in own[0] if name.startswith("mean_")]
        if not found:
            found.append([*(name for name in _KEYS if name in own[0]), "objects", size, *means])
        values = [np.average([float(row[name]) for row in own], weights=sizes) if own[0][name] else np.nan for name in means]
        found.append([*key, str(len(own)), _field(sizes.sum()), *map(_field, values)])
    return found


def _field(value: Any) -> str:
    """A value as a field: six digits of a number, nothing for one that does not exist."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value)
    return f"{value:.6g}" if np.isfinite(value) else ""


CSV = Writer(
    about="measurements of objects, one row each",
    files=OBJECTS,
    write=write_csv,
    needs=("skimage", "scipy"),
    extra="figures",
)
