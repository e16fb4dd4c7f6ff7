"""What sums up the scores of a set of cases, and the files that hold them, `metrics.json` and `metrics.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from heapq import nlargest, nsmallest
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ldseg.base.pausing import many_objects
from ldseg.base.text import csv_text, fixed, json_text, plain
from ldseg.base.writing import write_text
from ldseg.errors import DataError
from ldseg.evaluation.bootstrap import FEWEST, bootstrap_intervals, ends, resampled_means
from ldseg.evaluation.metrics import CLASS_METRICS, DISTANCES, OBJECT_METRICS, SURFACE_METRICS
from ldseg.evaluation.objects import ObjectSums, scores_of
from ldseg.evaluation.record import CaseResult, Figures, Pooled, RunRecord, Summary, foreground
from ldseg.outputs import Outputs

K = TypeVar("K", bound=tuple[str, str, str])

STD_DDOF = 1
"""The standard deviation over cases is that of a sample: the sum of squares is divided by n - 1."""
WORST = 5
"""How many of the worst cases are named."""


def mean_of(values: Iterable[float]) -> float:
    """The mean over the cases of a set; those without a value (NaN) are left out. NaN when none has one."""
    there = [value for value in values if not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


def mean_foreground(rows: Iterable[Sequence[float]]) -> float:
    """The figure of a set, in validation and in reports alike: the mean over its cases of `foreground`.

    Args:
        rows: A metric of each case, one value per class, background first, NaN where a class is in neither mask nor label.
    """
    return mean_of(map(foreground, rows))


def summarise(results: Sequence[CaseResult], class_names: Sequence[str], seed: int = 0) -> Summary:
    """Figures of the set, per class and over the foreground.

    Every case counts the same. NaN values (class absent in prediction and label) are left out, and so are skipped cases
    and cases without a label; `n` says how many are left. The foreground value of a case is the mean of its classes
    1..C-1, so that for two classes it is the value of class 1. Distances in mm and in pixels have no common figure: where
    both occur, those are of no case.

    The interval is the percentile bootstrap interval of the mean (`ldseg.evaluation.bootstrap`): cases are drawn with
    replacement, as if none had to do with another.

    Args:
        results: One row per case.
        class_names: Names of the classes, background first.
        seed: Of the bootstrap.

    Raises:
        DataError: A row has another number of values than there are classes.
    """
    _check_lengths(results, class_names)
    ok = [r for r in results if r.ok]
    scored = [r for r in ok if r.scores]
    units = sorted({r.unit for r in scored})

    values: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for metric in CLASS_METRICS:
        found = [(r.name, r.scores[metric]) for r in scored if metric in r.scores]
        values["foreground", metric, ""] = [(case, foreground(row)) for case, row in found]
        values |= {("classes", metric, name): [(case, row[k]) for case, row in found] for k, name in enumerate(class_names)}
    for metric in OBJECT_METRICS:
        if any(metric in r.objects for r in ok):
            values["objects", metric, ""] = [(r.name, r.objects[metric]) for r in ok if metric in r.objects]
    if len(units) > 1:
        values = {key: [] if key[1] in DISTANCES else those for key, those in values.items()}
    figures = _figures(values, seed)
    return Summary(
        segmented=len(ok),
        skipped=len(results) - len(ok),
        scored=len(scored),
        unit=", ".join(units),
        seed=seed,
        foreground={metric: figures["foreground", metric, ""] for metric in CLASS_METRICS},
        classes={metric: {name: figures["classes", metric, name] for name in class_names} for metric in CLASS_METRICS},
        objects={metric: each for (kind, metric, _), each in figures.items() if kind == "objects"},
        pooled=_pooled([r.sums for r in ok if r.sums is not None], mixed=len(units) > 1, seed=seed),
    )


def _pooled(sums: Sequence[ObjectSums], *, mixed: bool, seed: int) -> dict[str, Pooled]:
    """Scores of objects over a set; areas in mm and in pixels cannot weigh against each other."""
    if not sums:
        return {}
    names = [field.name for field in fields(ObjectSums)]
    rows = np.array([[getattr(one, name) for name in names] for one in sums])
    values = scores_of(rows.sum(axis=0, keepdims=True))[0]
    scores = scores_of(resampled_means(rows, seed) * len(rows))
    found = {}
    for index, metric in enumerate(OBJECT_METRICS):
        if mixed and metric != "object_f1":
            found[metric] = Pooled()
            continue
        alone = len(rows) < FEWEST or np.isnan(scores[:, index]).all()
        interval = (math.nan, math.nan) if alone else ends(scores[:, index])
        found[metric] = Pooled(value=float(values[index]), interval=interval, n=len(rows))
    return found


def _figures(values: Mapping[K, Iterable[tuple[str, float]]], seed: int) -> dict[K, Figures]:
    """What sums up each column of cases and values; the second part of its key is the metric."""
    there = {key: [(case, value) for case, value in those if not math.isnan(value)] for key, those in values.items()}
    columns = {key: np.array([value for _, value in those], np.float64) for key, those in there.items()}
    intervals = bootstrap_intervals(columns, seed)
    found = {}
    for key, column in columns.items():
        taken = nlargest if key[1] in DISTANCES else nsmallest  # of distances the highest is the worst
        worst = taken(WORST, there[key], key=itemgetter(1))
        n = int(column.size)
        found[key] = Figures(
            mean=mean_of(column),
            std=float(column.std(ddof=STD_DDOF)) if n > STD_DDOF else math.nan,
            interval=intervals[key],
            median=float(np.median(column)) if n else math.nan,
            n=n,
            worst=dict(worst),
        )
    return found


def record_run(results: Sequence[CaseResult], class_names: Sequence[str], facts: Mapping[str, Any]) -> RunRecord:
    """The record of a run.

    Args:
        results: One row per case.
        class_names: Names of the classes, background first.
        facts: How the figures came about (configuration, weights, versions, …): plain types, paths, NumPy scalars and
            arrays.

    Raises:
        DataError: A row has another number of values than there are classes.
    """
    summary = summarise(results, class_names)
    return RunRecord(classes=tuple(class_names), facts=plain(facts), summary=summary, cases=tuple(results))


def write_metrics(folder: Path, record: RunRecord) -> tuple[Path, Path]:
    """Writes `metrics.json` and `metrics.csv` into `folder` (made if missing), each whole or not at all.

    The JSON file holds the record. The CSV file has one line per case: case, status, message, mask, seconds, unit, entropy,
    predicted_dice, unfamiliar, then <metric>_<class> for each class (of surfaces: but the background), <metric>_foreground,
    and the scores of objects where any case has them. A mask inside `folder` is written by its name, so that the folder can
    be moved.

    Returns:
        The two paths, JSON first.

    Raises:
        DataError: A file cannot be written.
    """
    outputs = Outputs(folder)
    with many_objects():
        return (
            write_text(outputs.metrics, json_text(record.to_dict(folder))),
            write_text(outputs.metrics_table, csv_text(_rows(record.cases, record.classes, folder))),
        )


def _rows(results: Sequence[CaseResult], class_names: Sequence[str], folder: Path) -> Iterator[list[str]]:
    shown = {metric: range(metric in SURFACE_METRICS, len(class_names)) for metric in CLASS_METRICS}
    objects = [metric for metric in OBJECT_METRICS if any(metric in r.objects for r in results)]
    yield (
        ["case", "status", "message", "mask", "seconds", "unit", "entropy", "predicted_dice", "unfamiliar"]
        + [f"{metric}_{class_names[k]}" for metric, classes in shown.items() for k in classes]
        + [f"{metric}_foreground" for metric in shown]
        + objects
    )
    absent = (math.nan,) * len(class_names)
    for r in results:
        numbers = [r.scores.get(metric, absent)[k] for metric, classes in shown.items() for k in classes]
        numbers += [r.foreground(metric) for metric in shown]
        numbers += [r.objects.get(metric, math.nan) for metric in objects]
        told = [r.name, r.status, r.message, r.mask_name(folder) or "", fixed(r.seconds, 3), r.unit if r.scores else ""]
        yield [*told, *map(fixed, (r.entropy, r.predicted_dice, r.unfamiliar, *numbers))]


def _check_lengths(results: Iterable[CaseResult], class_names: Sequence[str]) -> None:
    for r in results:
        for metric, values in r.scores.items():
            if len(values) != len(class_names):
                raise DataError(
                    f"{metric} of case {r.name}: expected {len(class_names)} values "
                    f"({', '.join(class_names)}), got {len(values)}"
                )
