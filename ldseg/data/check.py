"""Everything that is wrong with a case, not the first thing alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldseg.base.spatial import IGNORE
from ldseg.data.cases import Case, classes_by, prepare, read_case_label
from ldseg.data.labels import distinct
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.scans import Scan, read_scan


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What reading a case found.

    Attributes:
        problems: what is wrong, one line each.
        size: of the image; None where it cannot be read.
        counts: how many pixels or voxels of the label each class has, int64 ``(C,)``; None without a label that can be used.
        numbers: those that occur in its labels as stored.
    """

    problems: tuple[str, ...]
    size: tuple[int, ...] | None
    counts: np.ndarray | None
    numbers: frozenset[int]


def faults(case: Case, preprocessing: Preprocessing) -> Checked:
    """Read a case and its labels, each by itself, so that one fault does not hide another.

    Args:
        case: what to check.
        preprocessing: the rules for intensities, channels and labels.
    """
    problems: list[str] = []
    occurring: set[int] = set()
    scan: Scan | None = None
    counts: np.ndarray | None = None
    try:
        scan = read_scan(case.image, preprocessing.axes, *case.channels)
        prepare(case.name, scan, preprocessing, source=str(case.image))
    except DataError as error:
        problems.append(str(error))
    labels = [path for path in (case.label, *case.annotations) if path is not None]
    for path in dict.fromkeys(labels):
        try:
            size, geometry = (None, None) if scan is None else (scan.values.shape[:-1], scan.geometry)
            numbers = read_case_label(path, case, preprocessing.axes, size, geometry, coloured=preprocessing.coloured)
            own = distinct(numbers)
            occurring.update(own.tolist())
            found = classes_by(preprocessing, numbers, str(path), own)
        except DataError as error:
            problems.append(str(error))
        else:
            if path == case.label:
                counts = np.bincount(found[found != IGNORE], minlength=preprocessing.num_classes)
    size = None if scan is None else scan.values.shape[:-1]
    return Checked(problems=tuple(problems), size=size, counts=counts, numbers=frozenset(occurring))
