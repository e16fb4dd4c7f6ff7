"""The table of file formats. Which one a file has is decided here, by its extension, and nowhere else."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from ldseg.base.spatial import AXES
from ldseg.errors import DataError
from ldseg.io.arrays import ARRAY
from ldseg.io.contract import Content, Format, read_checked
from ldseg.io.dicom import DICOM
from ldseg.io.meta import META
from ldseg.io.names import suffix_of
from ldseg.io.nifti import NIFTI
from ldseg.io.nrrds import NRRD
from ldseg.io.pictures import PICTURE
from ldseg.io.slides.format import SLIDE
from ldseg.io.stacks import STACK
from ldseg.io.videos import VIDEO

FORMATS: tuple[Format, ...] = (PICTURE, SLIDE, VIDEO, NIFTI, NRRD, META, DICOM, STACK, ARRAY)
"""A new format is an entry here."""

SUFFIXES = {axes: tuple(s for entry in FORMATS if axes in entry.axes for s in entry.suffixes) for axes in AXES.values()}
"""The extensions of the files that may be a scan, by axes."""


def format_of(path: Path, axes: str) -> Format:
    """The format of a file, by its extension, or by its first bytes where the extension says nothing.

    Raises:
        DataError: none of the formats with such axes.
    """
    found = _by_suffix(suffix_of(path), axes) or _by_magic(path, axes)
    if found is None:
        suffix = suffix_of(path) or "none"
        raise DataError(f"{path}: expected a file of type {' '.join(SUFFIXES[axes])}, found {suffix}")
    return found


def is_scan(path: Path, axes: str) -> bool:
    """Whether a file has a format that may have such axes."""
    return (_by_suffix(suffix_of(path), axes) or _by_magic(path, axes)) is not None


def read_file(path: Path, axes: str, label: bool = False) -> Content:
    """What a file holds.

    Raises:
        DataError: in one line, a file that is missing, damaged, cut short, of another format, or does not have the axes.
    """
    chosen = format_of(path, axes)
    return read_checked(path, chosen.thing, partial(chosen.read, path, axes, label))


def writer_of(suffix: str, planar: bool) -> Format | None:
    """The format to which images of an extension belong, flat ones or others; None for another extension."""
    return next((found for axes in AXES.values() if (axes == "YX") == planar and (found := _by_suffix(suffix, axes))), None)


def _by_suffix(suffix: str, axes: str) -> Format | None:
    found = (entry for entry in FORMATS if axes in entry.axes and suffix and suffix in entry.suffixes)
    return next(found, None)


def _by_magic(path: Path, axes: str) -> Format | None:
    """For files such as IM00001, whose name says nothing."""
    if suffix_of(path) and not suffix_of(path)[1:].isdigit() or not os.path.isfile(path) or path.name.upper() == "DICOMDIR":
        return None
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return None
    return next((entry for entry in FORMATS if axes in entry.axes and entry.magic and entry.magic(start)), None)
