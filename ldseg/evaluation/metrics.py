"""Overlap metrics per case in pure NumPy, their summary over cases, and `metrics.json` / `metrics.csv`.

A metric belongs to one case: nothing here pools the pixels of several cases. What does not exist is NaN in
memory, `null` in JSON and an empty field in CSV.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FORMAT_VERSION = 1
STATUSES = ("ok", "skipped")
STD_DDOF = 1
"""The standard deviation over cases is that of a sample: the sum of squares is divided by n - 1."""


def confusion(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> IntArray:
    """Counts the pixels (voxels) of one case by true and predicted class.

    Args:
        pred: Predicted class indices, integer or bool, any shape (*S).
        true: True class indices, the same shape.
        num_classes: Number of classes C; both arrays hold values in 0..C-1.

    Returns:
        int64 (C, C): rows are true classes, columns predicted ones.

    Raises:
        DataError: Shapes differ, values are not whole numbers, or lie outside 0..C-1.
    """
    if num_classes < 1:
        raise DataError(f"num_classes: expected at least 1, got {num_classes}")
    p, t = np.asarray(pred), np.asarray(true)
    if p.shape != t.shape:
        raise DataError(f"prediction and label: expected one shape, got {p.shape} and {t.shape}")
    for name, array in (("prediction", p), ("label", t)):
        if array.dtype.kind not in "biu":
            raise DataError(f"{name}: expected class indices of an integer type, got {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= num_classes):
            found = np.unique(array)
            wrong = found[(found < 0) | (found >= num_classes)]
            listed = ", ".join(str(int(v)) for v in wrong[:10]) + (", …" if wrong.size > 10 else "")
            raise DataError(f"{name}: expected class indices 0..{num_classes - 1}, got {listed}")
    joint = t.astype(np.int64).ravel() * num_classes + p.astype(np.int64).ravel()
    counts = np.bincount(joint, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def dice(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Dice coefficient of each class in one case, 2|P ∩ T| / (|P| + |T|).

    Dice, Measures of the amount of ecologic association between species, Ecology 26, 1945.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that is absent in both. A class in only one scores 0.
    """
    hit, predicted, actual = _areas(confusion(pred, true, num_classes))
    return _ratio(2.0 * hit, predicted + actual)


def iou(pred: npt.ArrayLike, true: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Intersection over union of each class in one case, |P ∩ T| / |P ∪ T|.

    Jaccard, The distribution of the flora in the alpine zone, New Phytologist 11, 1912.

    Arguments and errors are those of `confusion`.

    Returns:
        float64 (C,) in [0, 1]; NaN for a class that is absent in both. A class in only one scores 0.
    """
    hit, predicted, actual = _areas(confusion(pred, true, num_classes))
    return _ratio(hit, predicted + actual - hit)


def _areas(counts: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pixels of each class in the intersection, the prediction and the label, each (C,)."""
    real = counts.astype(np.float64)
    return np.diag(real), real.sum(axis=0), real.sum(axis=1)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What became of one case.

    Attributes:
        name: Name of the case.
        status: 'ok' (segmented and written) or 'skipped' (could not be read, segmented or written).
        message: Why it was skipped; empty when it was not.
        mask: Path of the mask that was written; None when skipped.
        dice: Dice of each class, one value per class, NaN where it does not exist; None without a label.
        iou: Intersection over union, the same way.
        seconds: Wall-clock time spent on the case; None when skipped.
    """

    name: str
    status: str = "ok"
    message: str = ""
    mask: Path | None = None
    dice: tuple[float, ...] | None = None
    iou: tuple[float, ...] | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status of case {self.name}: expected one of {STATUSES}, got {self.status!r}")
        for field in ("dice", "iou"):
            values = getattr(self, field)
            if values is not None:
                object.__setattr__(self, field, tuple(float(v) for v in values))


def summarise(results: Sequence[CaseResult], class_names: Sequence[str]) -> dict[str, Any]:
    """Mean, standard deviation (ddof = 1), median and number of cases, per class and over the foreground.

    NaN values (class absent in prediction and label) are left out, and so are skipped cases and cases without
    a label; `n` says how many are left. The foreground value of a case is the mean of its classes 1..C-1, so
    that for two classes it is the value of class 1.

    Args:
        results: One row per case.
        class_names: Names of the classes, background first.

    Returns:
        {"segmented": int, "skipped": int, "scored": int, "dice": D, "iou": D} with
        D = {"classes": {name: S}, "foreground": S} and S = {"mean", "std", "median": float, "n": int}.
        "scored" counts segmented cases with a label. A figure of no case is NaN; so is the std of one case.

    Raises:
        DataError: A row has another number of values than there are classes.
    """
    _check_lengths(results, class_names)
    ok = [r for r in results if r.status == "ok"]
    summary: dict[str, Any] = {
        "segmented": len(ok),
        "skipped": len(results) - len(ok),
        "scored": sum(r.dice is not None or r.iou is not None for r in ok),
    }
    for metric in ("dice", "iou"):
        rows = [values for r in ok if (values := getattr(r, metric)) is not None]
        table = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(class_names))
        summary[metric] = {
            "classes": {name: _statistics(table[:, k]) for k, name in enumerate(class_names)},
            "foreground": _statistics(np.array([_foreground(row) for row in table])),
        }
    return summary


def _foreground(row: npt.ArrayLike) -> float:
    """Mean of the classes 1..C-1 that exist; NaN when none does."""
    values = np.asarray(row, dtype=np.float64)[1:]
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else math.nan


def _statistics(values: FloatArray) -> dict[str, float | int]:
    values = values[~np.isnan(values)]
    n = int(values.size)
    return {
        "mean": float(values.mean()) if n else math.nan,
        "std": float(values.std(ddof=STD_DDOF)) if n > STD_DDOF else math.nan,
        "median": float(np.median(values)) if n else math.nan,
        "n": n,
    }


def write_metrics(
    folder: Path, results: Sequence[CaseResult], class_names: Sequence[str], run: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Writes `metrics.json` and `metrics.csv` into `folder` (made if missing), each whole or not at all.

    The JSON file holds {"format", "classes", "run", "summary", "cases"}. The CSV file has one line per case:
    case, status, message, mask, seconds, dice_<class> and iou_<class> of each class, dice_foreground and
    iou_foreground. A mask inside `folder` is written by its name, so that the folder can be moved.

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
    document = {
        "format": FORMAT_VERSION,
        "classes": list(class_names),
        "run": run,
        "summary": summarise(results, class_names),
        "cases": [_case_record(r, class_names, folder) for r in results],
    }
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return (
        _write_text(folder / "metrics.json", text),
        _write_text(folder / "metrics.csv", _csv_text(results, class_names, folder)),
    )


def _case_record(result: CaseResult, class_names: Sequence[str], folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": result.name,
        "status": result.status,
        "message": result.message,
        "mask": _mask_name(result, folder),
        "seconds": result.seconds,
    }
    for metric in ("dice", "iou"):
        values = getattr(result, metric)
        record[metric] = None if values is None else dict(zip(class_names, values, strict=True))
    return record


def _csv_text(results: Iterable[CaseResult], class_names: Sequence[str], folder: Path) -> str:
    metrics = ("dice", "iou")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["case", "status", "message", "mask", "seconds"]
        + [f"{metric}_{name}" for metric in metrics for name in class_names]
        + [f"{metric}_foreground" for metric in metrics]
    )
    for r in results:
        per_class = [getattr(r, metric) or (math.nan,) * len(class_names) for metric in metrics]
        numbers = [v for values in per_class for v in values] + [_foreground(values) for values in per_class]
        writer.writerow(
            [r.name, r.status, r.message, _mask_name(r, folder) or "", _field(r.seconds, 3)]
            + [_field(v, 6) for v in numbers]
        )
    return buffer.getvalue()


def _field(value: float | None, digits: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _mask_name(result: CaseResult, folder: Path) -> str | None:
    if result.mask is None:
        return None
    inside = result.mask.is_relative_to(folder)
    return result.mask.relative_to(folder).as_posix() if inside else str(result.mask)


def _check_lengths(results: Iterable[CaseResult], class_names: Sequence[str]) -> None:
    for r in results:
        for metric in ("dice", "iou"):
            values = getattr(r, metric)
            if values is not None and len(values) != len(class_names):
                raise DataError(
                    f"{metric} of case {r.name}: expected {len(class_names)} values "
                    f"({', '.join(class_names)}), got {len(values)}"
                )


def _plain(value: Any) -> Any:
    """The same value in JSON's own types; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, set | frozenset):
        return [_plain(v) for v in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _write_text(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, encoding="utf-8", newline="")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: expected to be able to write it, got {error.strerror or error}") from error
    return path
