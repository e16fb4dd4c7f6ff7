"""What the images of a folder are, where nobody says: pictures, videos or volumes."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ldseg.base.spatial import AXES
from ldseg.data.cases import Case, find_cases
from ldseg.errors import ConfigError, DataError
from ldseg.io.names import suffix_of, visible
from ldseg.io.pictures import IMAGE_SUFFIXES
from ldseg.io.scans import read_scan
from ldseg.io.series import is_dicom
from ldseg.io.stacks import STACK
from ldseg.io.videos import VIDEO_SUFFIXES

EITHER = (*STACK.suffixes, ".npy")
"""Files whose planes may be those of a volume or the frames of a video."""


def dimensions_of(folder: Path, patterns: Sequence[str] = ("*",)) -> tuple[str, str]:
    """What [Data] Dimensions is for a data set, and why.

    Raises:
        ConfigError: if the images may be videos or volumes.
        DataError: if there is no image of any kind; what is wrong with the folder as one of pictures.
    """
    with unsaid():  # it is told when the folder is read in earnest
        try:
            first = find_cases(folder, patterns, axes=AXES["2D"]).cases[0]
            if _is_picture(first):
                return "2D", f"{first.image.name} is a picture"
        except DataError as error:
            problem = error
        for axes in (AXES["3D"], AXES["2D+t"]):
            with contextlib.suppress(DataError):
                return _deep(find_cases(folder, patterns, axes=axes).cases[0])
    raise problem


def _is_picture(case: Case) -> bool:
    suffix = suffix_of(case.image).lower()
    if suffix in IMAGE_SUFFIXES and suffix not in EITHER:
        return True
    try:
        read_scan(case.image, AXES["2D"])
    except DataError:
        return False
    return True


def _deep(case: Case) -> tuple[str, str]:
    path, suffix = case.image, suffix_of(case.image).lower()
    if os.path.isdir(path):
        if any(is_dicom(entry) for entry in visible(path)):
            return "3D", f"{path.name} is a folder of DICOM slices"
        return "2D+t", f"{path.name} is a folder of frames; 3D says that they are slices of a volume"
    if suffix in VIDEO_SUFFIXES:
        return "2D+t", f"{path.name} is a video"
    if suffix in EITHER:
        raise ConfigError(
            f"Data.Dimensions: expected 3D (--dimensions 3D) or 2D+t, as {path.name} may be a volume or a video, got auto"
        )
    return "3D", f"{path.name} is a volume"


@contextlib.contextmanager
def unsaid() -> Iterator[None]:
    """Log no warning, for readings whose warnings are told at another time."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
