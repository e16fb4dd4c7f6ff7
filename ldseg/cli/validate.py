"""``ldseg validate``: whether a data set can be trained on, and what is wrong with it."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter

import numpy as np

from ldseg.base.bars import along
from ldseg.base.paths import require_folder
from ldseg.base.spatial import AXES
from ldseg.base.text import counted, one_line, times
from ldseg.config import Config
from ldseg.data.cases import Case, find_cases
from ldseg.data.check import faults
from ldseg.data.dimensions import unsaid
from ldseg.data.reading import check_reading
from ldseg.errors import DataError
from ldseg.training.choices import choose
from ldseg.training.look import look
from ldseg.training.plan import preprocessing_of
from ldseg.training.proposal import with_dimensions
from ldseg.training.reach import with_preset

logger = logging.getLogger(__name__)


def run(config: Config) -> int:
    """Read all cases and print what is wrong with each, and what the set holds.

    Returns:
        the number of problems.

    Raises:
        DataError: there is no such folder, or no case in it.
    """
    config, _ = with_preset(with_dimensions(config)[0])
    cases, problems = _cases(config)
    given = config.data
    config, _ = choose(config, look(cases, config.data))
    preprocessing = preprocessing_of(config)
    sizes: Counter[str] = Counter()
    # Of each class, and then of each region.
    parts = [*((number,) for number in range(preprocessing.num_classes)), *(of for _, of in preprocessing.regions)]
    amounts, occurs = np.zeros(len(parts), np.int64), np.zeros(len(parts), np.int64)
    bad = 0
    numbers: set[int] = set()
    for case in along(cases, len(cases), "checking"):
        found = faults(case, preprocessing)
        problems += found.problems
        bad += bool(found.problems)
        numbers |= found.numbers
        if found.size is not None:
            sizes[times(found.size)] += 1
        if found.counts is not None:
            own = np.array([found.counts[list(part)].sum() for part in parts])
            amounts += own
            occurs += own > 0
    try:
        check_reading(numbers, given.classes, given.labels, given.label_map, str(config.dataset_folder))
    except DataError as error:
        problems.insert(0, str(error))
    labelled = sum(case.label is not None for case in cases)
    groups = len({case.group for case in cases})
    patients = f", {counted(groups, 'patient')}" if groups < len(cases) else ""
    print(f"{config.dataset_folder}: {counted(len(cases), 'case')}, {labelled} with a label{patients}")
    most = ", ".join(f"{size} ({count})" for size, count in sizes.most_common(5))
    print(f"sizes: {most}{', ...' if len(sizes) > 5 else ''}")
    names = [f"class {index}, {name}" for index, name in enumerate(preprocessing.classes)]
    names += [f"region {name} ({'+'.join(map(str, of))})" for name, of in preprocessing.regions]
    whole = max(int(amounts[: preprocessing.num_classes].sum()), 1)
    for name, amount, count in zip(names, amounts.tolist(), occurs.tolist(), strict=True):
        print(f"{name}: in {counted(count, 'label')}, {amount / whole:.2%} of all")
    for line in problems:
        print(f"problem: {one_line(line)}")
    print(f"\n{counted(bad, 'case')} with a problem, {counted(len(problems), 'problem')} in all")
    return len(problems)


def _cases(config: Config) -> tuple[list[Case], list[str]]:
    """All cases of a data set, those to train on and those to segment."""
    folder, axes = config.dataset_folder, AXES[config.data.dimensions]
    require_folder(folder, "a data set to check")
    cases: dict[str, Case] = {}
    problems: dict[str, None] = {}
    with unsaid():  # it is told at the end
        for training in (True, False):
            with contextlib.suppress(DataError):
                found = find_cases(folder, config.data.cases, training, axes)
                cases = {str(case.image): case for case in found.cases} | cases
                problems |= dict.fromkeys(found.problems)
        if not cases:
            find_cases(folder, config.data.cases, axes=axes)  # raises what is wrong
    return list(cases.values()), list(problems)
