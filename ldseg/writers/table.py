"""The table of the formats that results are written in: [Output] Formats takes their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ldseg.errors import ConfigError, DataError
from ldseg.io.contract import one_line
from ldseg.writers.contract import Segmentation, Writer
from ldseg.writers.dicomseg import DICOMSEG
from ldseg.writers.geojson import GEOJSON
from ldseg.writers.masks import MASK
from ldseg.writers.omezarr import OMEZARR
from ldseg.writers.probabilities import PROBABILITIES
from ldseg.writers.tables import CSV

WRITERS: dict[str, Writer] = {
    "mask": MASK,
    "geojson": GEOJSON,
    "dicomseg": DICOMSEG,
    "omezarr": OMEZARR,
    "csv": CSV,
    "probabilities": PROBABILITIES,
}
"""A new format is an entry here."""


def check_formats(names: Sequence[str]) -> None:
    """Make sure that formats can be written, before the work.

    Raises:
        ConfigError: there is no such format, or what it needs is not installed.
    """
    for name in names:
        if name not in WRITERS:
            raise ConfigError(f"Output.Formats: expected some of {', '.join(WRITERS)}, got {name!r}")
        WRITERS[name].check(name)


def write_formats(folder: Path, case: Segmentation, names: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Write a case in several formats. One that cannot be written does not keep the others from it.

    Args:
        folder: where to.
        case: what is written.
        names: of the table.

    Returns:
        the files by format, and a line for each that is missing.
    """
    files, problems = {}, []
    for name in names:
        try:
            files[name] = WRITERS[name].write(folder, case)
        except DataError as error:
            problems.append(str(error))
        except Exception as error:  # libraries of formats raise what they like on input that they were not made for
            problems.append(f"{case.name}: not written as {name}: {one_line(error)}")
    return files, problems
