"""The scores of a set of cases: their summary, and `metrics.json` / `metrics.csv`.

What does not exist is NaN in memory, `null` in JSON and an empty field in CSV.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.evaluation.metrics import CLASS_METRICS, DISTANCES, OBJECT_METRICS, SURFACE_METRICS
from ldseg.evaluation.objects import ObjectSums, scores_of
from ldseg.outputs import Outputs
from ldseg.text import csv_text, fixed, json_text
from ldseg.writing import write_text

FloatArray = npt.NDArray[np.float64]

FORMAT_VERSION = 1
STATUSES = ("ok", "skipped")
STD_DDOF = 1
"""The standard deviation over cases is that of a sample: the sum of squares is divided by n - 1."""
LEVEL = 0.95
RESAMPLES = 2000
WORST = 5
"""How many of the worst cases are named."""


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What became of one case.

    Attributes:
        name: Name of the case.
        status: 'ok' (segmented and written) or 'skipped' (could not be read, segmented or written).
        message: Why it was skipped; empty when it was not.
        mask: Path of the mask that was written; None when skipped.
        scores: By the names of CLASS_METRICS, one value per class, NaN where it does not exist; empty without a label.
        objects: By the names of OBJECT_METRICS; empty where the label has no objects.
        sums: What the scores of objects are made of, to pool them over the set; None where the label has no objects.
        unit: 'mm' or 'pixels', the unit of the distances.
        entropy: Mean predictive entropy of its pixels in [0, 1]; None when skipped.
        seconds: Wall-clock time spent on the case; None when skipped.
    """

    name: str
    status: str = "ok"
    message: str = ""
    mask: Path | None = None
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    objects: Mapping[str, float] = field(default_factory=dict)
    sums: ObjectSums | None = None
    unit: str = "pixels"
    entropy: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status of case {self.name}: expected one of {STATUSES}, got {self.status!r}")
        for given, known in ((self.scores, CLASS_METRICS), (self.objects, OBJECT_METRICS)):
            if unknown := set(given) - set(known):
                wanted = f"expected {', '.join(known)}, got {', '.join(sorted(unknown))}"
                raise ValueError(f"scores of case {self.name}: {wanted}")
        plain = {metric: tuple(float(value) for value in values) for metric, values in self.scores.items()}
        object.__setattr__(self, "scores", plain)


def foreground(values: Sequence[float] | None) -> float:
    """The figure of a case: the mean of its classes 1..C-1 that exist; NaN when none does."""
    there = [value for value in (values or ())[1:] if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def summarise(results: Sequence[CaseResult], class_names: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Figures of the set, per class and over the foreground.

    Every case counts the same. NaN values (class absent in prediction and label) are left out, and so are skipped cases
    and cases without a label; `n` says how many are left. The foreground value of a case is the mean of its classes
    1..C-1, so that for two classes it is the value of class 1. Distances in mm and in pixels have no common figure: where
    both occur, those are of no case.

    The interval is the percentile bootstrap interval of the mean (Efron and Tibshirani, An introduction to the bootstrap,
    1993, chapter 13): cases are drawn with replacement, as if none had to do with another.

    Args:
        results: One row per case.
        class_names: Names of the classes, background first.
        seed: Of the bootstrap.

    Returns:
        {"segmented": int, "skipped": int, "scored": int, "unit": str, "bootstrap": {"level", "resamples", "seed"},
        <metric>: D, ..., "objects": {<metric>: S, ...}, "objects_pooled": {<metric>: P, ...}} with
        D = {"classes": {name: S}, "foreground": S}, P = {"value": float, "interval": [low, high], "n": int} and
        S = {"mean", "std", "median": float, "interval": [low, high], "n": int, "worst": {case: value}}.
        "scored" counts segmented cases with a label; "unit" is "mm", "pixels" or both. "objects" are means over cases, empty
        if no case has any; so is "objects_pooled": the same scores over all objects of the set together, as the GlaS contest
        has them, with the bootstrap interval where whole cases are drawn. A figure of no case is NaN; so are the std and
        the interval of one case. The std is that of a sample
        (ddof = 1). "worst" names up to five cases, the worst first.

    Raises:
        DataError: A row has another number of values than there are classes.
    """
    _check_lengths(results, class_names)
    ok = [r for r in results if r.status == "ok"]
    scored = [r for r in ok if r.scores]
    units = sorted({r.unit for r in scored})
    summary: dict[str, Any] = {
        "segmented": len(ok),
        "skipped": len(results) - len(ok),
        "scored": len(scored),
        "unit": ", ".join(units),
        "bootstrap": {"level": LEVEL, "resamples": RESAMPLES, "seed": seed},
    }

    def figures(metric: str, values: Iterable[tuple[str, float]]) -> dict[str, Any]:
        mixed = metric in DISTANCES and len(units) > 1
        return _statistics(() if mixed else values, lower_is_better=metric in DISTANCES, seed=seed)

    for metric in CLASS_METRICS:
        rows = [(r.name, r.scores[metric]) for r in scored if metric in r.scores]
        summary[metric] = {
            "classes": {name: figures(metric, ((case, row[k]) for case, row in rows)) for k, name in enumerate(class_names)},
            "foreground": figures(metric, ((case, foreground(row)) for case, row in rows)),
        }
    summary["objects"] = {
        metric: figures(metric, ((r.name, r.objects[metric]) for r in ok if metric in r.objects))
        for metric in OBJECT_METRICS
        if any(metric in r.objects for r in ok)
    }
    summary["objects_pooled"] = _pooled([r.sums for r in ok if r.sums is not None], mixed=len(units) > 1, seed=seed)
    return summary


def _pooled(sums: Sequence[ObjectSums], *, mixed: bool, seed: int) -> dict[str, Any]:
    """Scores of objects over a set; areas in mm and in pixels cannot weigh against each other."""
    if not sums:
        return {}
    rows = np.array([astuple(one) for one in sums])
    values = scores_of(rows.sum(axis=0, keepdims=True))[0]
    drawn = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    scores = scores_of(rows[drawn].sum(axis=1))
    found = {}
    for index, metric in enumerate(OBJECT_METRICS):
        alone = len(rows) < 2 or np.isnan(scores[:, index]).all()
        ends = np.nanquantile(scores[:, index], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if not alone else (math.nan, math.nan)
        if mixed and metric != "object_f1":
            found[metric] = {"value": math.nan, "interval": (math.nan, math.nan), "n": 0}
        else:
            found[metric] = {"value": float(values[index]), "interval": tuple(map(float, ends)), "n": len(rows)}
    return found


def _statistics(scores: Iterable[tuple[str, float]], *, lower_is_better: bool, seed: int) -> dict[str, Any]:
    there = [(case, value) for case, value in scores if not math.isnan(value)]
    values = np.array([value for _, value in there], dtype=np.float64)
    n = int(values.size)
    worst = sorted(there, key=lambda item: -item[1] if lower_is_better else item[1])[:WORST]
    return {
        "mean": float(values.mean()) if n else math.nan,
        "std": float(values.std(ddof=STD_DDOF)) if n > STD_DDOF else math.nan,
        "interval": bootstrap_interval(values, seed),
        "median": float(np.median(values)) if n else math.nan,
        "n": n,
        "worst": dict(worst),
    }


def bootstrap_interval(values: npt.ArrayLike, seed: int) -> tuple[float, float]:
    """Ends of the percentile bootstrap interval (95 %) of the mean of values (n,); NaN for fewer than two."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 2:
        return math.nan, math.nan
    means = np.random.default_rng(seed).choice(sample, (RESAMPLES, sample.size)).mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def write_metrics(
    folder: Path, results: Sequence[CaseResult], class_names: Sequence[str], run: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Writes `metrics.json` and `metrics.csv` into `folder` (made if missing), each whole or not at all.

    The JSON file holds {"format", "classes", "run", "summary", "cases"}. The CSV file has one line per case:
    case, status, message, mask, seconds, unit, entropy, then <metric>_<class> for each class (of surfaces: but the
    background), <metric>_foreground, and the scores of objects where any case has them. A mask inside `folder` is written
    by its name, so that the folder can be moved.

    Args:
        folder: Where to write.
        results: One row per case.
        class_names: Names of the classes, background first.
        run: How the figures came about (configuration, weights, versions, …): plain types, paths, NumPy
            scalars and arrays.

    Returns:
        The two paths, JSON first.

    Raises:
        DataError: A row has another number of values than there are classes, or a file cannot be written.
    """
    outputs = Outputs(folder)
    document = {
        "format": FORMAT_VERSION,
        "classes": list(class_names),
        "run": run,
        "summary": summarise(results, class_names),
        "cases": [_case_record(r, class_names, folder) for r in results],
    }
    return (
        write_text(outputs.metrics, json_text(document)),
        write_text(outputs.metrics_table, csv_text(_rows(results, class_names, folder))),
    )


def _case_record(result: CaseResult, class_names: Sequence[str], folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": result.name,
        "status": result.status,
        "message": result.message,
        "mask": _mask_name(result, folder),
        "seconds": result.seconds,
        "unit": result.unit if result.scores else None,
        "entropy": result.entropy,
    }
    for metric in CLASS_METRICS:
        values = result.scores.get(metric)
        record[metric] = None if values is None else dict(zip(class_names, values, strict=True))
    sums = None if result.sums is None else asdict(result.sums)
    return record | {"objects": dict(result.objects) or None, "object_sums": sums}


def _rows(results: Sequence[CaseResult], class_names: Sequence[str], folder: Path) -> Iterator[list[str]]:
    shown = {metric: range(metric in SURFACE_METRICS, len(class_names)) for metric in CLASS_METRICS}
    objects = [metric for metric in OBJECT_METRICS if any(metric in r.objects for r in results)]
    yield (
        ["case", "status", "message", "mask", "seconds", "unit", "entropy"]
        + [f"{metric}_{class_names[k]}" for metric, classes in shown.items() for k in classes]
        + [f"{metric}_foreground" for metric in shown]
        + objects
    )
    absent = (math.nan,) * len(class_names)
    for r in results:
        numbers = [r.scores.get(metric, absent)[k] for metric, classes in shown.items() for k in classes]
        numbers += [foreground(r.scores.get(metric)) for metric in shown]
        numbers += [r.objects.get(metric, math.nan) for metric in objects]
        told = [r.name, r.status, r.message, _mask_name(r, folder) or "", fixed(r.seconds, 3), r.unit if r.scores else ""]
        yield [*told, *map(fixed, (r.entropy, *numbers))]


def _mask_name(result: CaseResult, folder: Path) -> str | None:
    if result.mask is None:
        return None
    inside = result.mask.is_relative_to(folder)
    return result.mask.relative_to(folder).as_posix() if inside else str(result.mask)


def _check_lengths(results: Iterable[CaseResult], class_names: Sequence[str]) -> None:
    for r in results:
        for metric, values in r.scores.items():
            if len(values) != len(class_names):
                raise DataError(
                    f"{metric} of case {r.name}: expected {len(class_names)} values "
                    f"({', '.join(class_names)}), got {len(values)}"
                )
