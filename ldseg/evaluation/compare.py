"""Runs over the same cases, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldseg.base.pausing import many_objects
from ldseg.base.untrusted import parsed
from ldseg.errors import DataError
from ldseg.evaluation.bootstrap import FEWEST, bootstrap_interval
from ldseg.evaluation.record import FORMAT_VERSION, RunRecord
from ldseg.outputs import Outputs


def read_run(folder: Path, class_names: Sequence[str] | None = None) -> RunRecord:
    """What `write_metrics` wrote into the folder of a run.

    Args:
        folder: of the run.
        class_names: the classes that it has to have; None for any.

    Raises:
        DataError: its `metrics.json` is missing, of another format, or of other classes.
    """
    path = Outputs(folder).metrics
    with many_objects():
        return _read(path, class_names)


def _read(path: Path, class_names: Sequence[str] | None) -> RunRecord:
    try:
        found = parsed(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        wanted = "expected the figures of a run, as its Output.Folder holds them, which cannot be read"
        raise DataError(f"{path}: {wanted}: {reason}") from error
    try:
        record = RunRecord.from_dict(found) if found["format"] == FORMAT_VERSION else None
    except Exception:  # on values that nobody has checked
        record = None
    if record is None:
        raise DataError(f"{path}: expected the figures of a run in format {FORMAT_VERSION}, found {str(found)[:80]}")
    if class_names is not None and record.classes != tuple(class_names):
        raise DataError(f"{path}: expected the classes {', '.join(class_names)}, found {', '.join(record.classes)}")
    return record


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much higher the foreground Dice of one run is than that of another, over the cases that both have.

    Attributes:
        mean: of the differences; NaN without a common case.
        interval: percentile bootstrap interval (95 %) of that mean, whole cases drawn; NaN for fewer than
            ``FEWEST`` common cases.
        n: number of common cases.
        higher, lower: in how many of them it is higher or lower.
    """

    mean: float
    interval: tuple[float, float]
    n: int
    higher: int
    lower: int

    def __str__(self) -> str:
        if not self.n:
            return "no labelled case in common"
        low, high = self.interval
        if self.n < FEWEST:
            sign = f"too few cases to tell, of at least {FEWEST}"
        else:
            sign = "higher" if low > 0 else "lower" if high < 0 else "no clear difference"
        span = "" if math.isnan(low) else f" (95 % interval {low:+.4f} to {high:+.4f})"
        return f"{sign}: {self.mean:+.4f}{span} in {self.n} common cases, {self.higher} higher, {self.lower} lower"


def difference(ours: RunRecord, theirs: RunRecord, seed: int = 0) -> Difference:
    """The paired difference of the foreground Dice of two runs; `seed` is of the bootstrap."""
    scores = [{case.name: case.foreground("dice") for case in run.cases} for run in (ours, theirs)]
    pairs = [(score, scores[1].get(name, math.nan)) for name, score in scores[0].items()]
    gains = np.array([a - b for a, b in pairs if not math.isnan(a - b)])
    return Difference(
        mean=float(gains.mean()) if gains.size else math.nan,
        interval=bootstrap_interval(gains, seed),
        n=int(gains.size),
        higher=int((gains > 0).sum()),
        lower=int((gains < 0).sum()),
    )
