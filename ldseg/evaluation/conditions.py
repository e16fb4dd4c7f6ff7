"""Dice of the same cases under several conditions: strengths of noise, numbers of steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.text import csv_text, fixed, json_text, plain
from ldseg.base.writing import write_text
from ldseg.evaluation.bootstrap import LEVEL, RESAMPLES, bootstrap_interval
from ldseg.evaluation.record import FORMAT_VERSION, foreground
from ldseg.evaluation.report import mean_of


def dice_figures(cases: Mapping[str, Sequence[float | None]], class_names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Figures of a set under one condition, per class and over the foreground, as `summarise` has them.

    Every case that has the figure counts the same. The resamples of the bootstrap depend on the seed and the number of cases
    alone, so that the intervals of one set under several conditions rest on the same draws.

    Args:
        cases: Dice of each class, by case; None or NaN where it does not exist.
        class_names: Names of the classes, background first.
        seed: Of the bootstrap.

    Returns:
        {"classes": {name: F}, "foreground": F, "cases": {case: [dice, ...]}} with F = {"mean", "interval": [low, high],
        "n"}, in JSON's own types: what does not exist is None.
    """
    scores = {case: [math.nan if value is None else float(value) for value in row] for case, row in cases.items()}

    def figures(values: Sequence[float]) -> dict[str, Any]:
        there = np.array([value for value in values if not math.isnan(value)])
        return {"mean": mean_of(there), "interval": bootstrap_interval(there, seed), "n": int(there.size)}

    found: dict[str, Any] = plain(
        {
            "classes": {name: figures([row[k] for row in scores.values()]) for k, name in enumerate(class_names)},
            "foreground": figures([foreground(row) for row in scores.values()]),
            "cases": scores,
        }
    )
    return found


def document(conditions: Sequence[Mapping[str, Any]], class_names: Sequence[str], **facts: Any) -> dict[str, Any]:
    """What the JSON file holds: the conditions, each with its figures, and how they came about."""
    found: dict[str, Any] = plain(
        {
            "format": FORMAT_VERSION,
            "classes": class_names,
            **facts,
            "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": 0},
            "conditions": conditions,
        }
    )
    return found


def rows(found: Mapping[str, Any], columns: Sequence[str]) -> Iterator[list[str]]:
    """A document as a table: the names of its columns, then for each condition a line for each class and the foreground.

    Args:
        found: as `document` gives it.
        columns: what the conditions have beside their figures; of other figures the mean.
    """
    yield [*columns, "class", "n", "dice", "low", "high"]
    for condition in found["conditions"]:
        own = [_field(condition[name]) for name in columns]
        for name, figures in [*condition["classes"].items(), ("foreground", condition["foreground"])]:
            numbers = (figures["mean"], *figures["interval"])
            yield [*own, name, str(figures["n"]), *map(fixed, numbers)]


def write_document(path: Path, found: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Write a document as ``<path>.json``, and its table, see `rows`, as ``<path>.csv``.

    Raises:
        DataError: a file cannot be written.
    """
    write_text(path.with_suffix(".json"), json_text(found))
    write_text(path.with_suffix(".csv"), csv_text(rows(found, columns)))


def _field(value: Any) -> str:
    if isinstance(value, Mapping):
        return fixed(value["mean"])
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
