"""The cases of a run in the formats that the settings name, and what was measured in all of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ldseg import viz
from ldseg.base.text import csv_text, some
from ldseg.base.writing import remove, write_text
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError, UnwrittenError
from ldseg.inference import Segmented
from ldseg.outputs import EARLIER, Outputs
from ldseg.result import segmentation_of
from ldseg.writers.table import write_formats
from ldseg.writers.tables import joined, totals

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Writes the cases of a run.

    Attributes:
        config: the settings.
        outputs: where things go.
        preprocessing: of the cases: their axes and classes.
        files: of each case by format.
        missing: by case, a line for each file that it lacks.
        unwritten: cases that are left out as something of them could not be written.
    """

    config: Config
    outputs: Outputs
    preprocessing: Preprocessing
    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    unwritten: set[str] = field(default_factory=set)

    def write(self, item: Segmented, instances: np.ndarray | None) -> tuple[Mapping[str, Path], Sequence[str]]:
        """Write a case.

        Args:
            item: the case.
            instances: a number for each object, where the masks are to hold these.

        Returns:
            its files by format, and a line for each file that it lacks; both for ``note``.

        Raises:
            UnwrittenError: it can have none of the formats.
        """
        case = segmentation_of(item, self.preprocessing, look=self.config.data, instances=instances)
        files, missing = write_formats(self.outputs.folder, case, self.config.output.formats)
        if not files:
            raise UnwrittenError("; ".join(missing))
        return files, missing

    def note(self, case: str, files: Mapping[str, Path], missing: Sequence[str]) -> None:
        """Remember what ``write`` wrote of a case, case by case in their order."""
        self.files[case] = dict(files)
        if missing:
            self.missing[case] = list(missing)

    def leave_out(self, cases: Sequence[str]) -> None:
        """Nothing of this or an earlier run stays under the names of cases that are left out.

        But of one that could not be written: then what was there is still whole, and may be all that there is.
        """
        for case in cases:
            self.files.pop(case, None)
        if gone := [case for case in cases if case not in self.unwritten]:
            for paths in self.outputs.of_cases(gone).values():
                for path in paths:
                    with contextlib.suppress(DataError):  # the case is a problem already
                        remove(path)

    def set_aside(self, cases: Collection[str]) -> None:
        """What an earlier run left of other cases than these goes to a folder of its own, before the record is written."""
        if others := self.outputs.set_aside(cases):
            logger.info("of an earlier run, now in %s: %s", self.outputs.folder / EARLIER, some(others))

    def finish(self) -> None:
        """Remove what an earlier run wrote of the cases in other formats, and join the measurements of all cases.

        Raises:
            DataError: a file cannot be written or removed.
        """
        for path in self.outputs.left_behind({name: set(files.values()) for name, files in self.files.items()}):
            remove(path)
        paths = [files["csv"] for files in self.files.values() if "csv" in files]
        join_measurements(self.outputs, paths, self.preprocessing.classes, self.config.data.colours)


def join_measurements(outputs: Outputs, paths: Sequence[Path], classes: Sequence[str], colours: Sequence[str]) -> None:
    """Join the measurements of all cases; what an earlier run had of them goes.

    Args:
        outputs: where to.
        paths: the tables of the cases.
        classes: names of the classes, background first.
        colours: of the classes; none takes the usual ones.

    Raises:
        DataError: a file cannot be written or removed.
    """
    table, figure = outputs.objects_table, outputs.objects_table.with_suffix(".png")
    rows = joined(paths, table)
    if not paths:
        remove(table)
    if rows:
        write_text(outputs.classes_table, csv_text(totals(rows)))
        viz.save_figure(viz.objects_figure(rows, classes, colours), figure)
    else:
        remove(figure)
        remove(outputs.classes_table)
