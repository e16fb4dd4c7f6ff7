"""Everything that is wrong with a case, not the first thing alone."""

from __future__ import annotations

import numpy as np

from ldseg.data.cases import Case, prepare, read_case_label
from ldseg.data.labels import to_classes
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.scans import Scan, read_scan


def faults(case: Case, preprocessing: Preprocessing) -> tuple[list[str], tuple[int, ...] | None, np.ndarray | None]:
    """Read a case and its labels, each by itself, so that one fault does not hide another.

    Args:
        case: what to check.
        preprocessing: the rules for intensities, channels and labels.

    Returns:
        what is wrong, one line each; the size of the image, None where it cannot be read; how many pixels or voxels of the
        label each class has, int64 ``(C,)``, None without a label that can be used.
    """
    problems: list[str] = []
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
            numbers = read_case_label(path, case, preprocessing.axes, size, geometry)
            rule, label_map = preprocessing.labels, dict(preprocessing.label_map)
            found = to_classes(numbers, rule, preprocessing.num_classes, str(path), label_map)
        except DataError as error:
            problems.append(str(error))
        else:
            if path == case.label:
                counts = np.bincount(found.ravel(), minlength=preprocessing.num_classes)
    return problems, None if scan is None else scan.values.shape[:-1], counts
