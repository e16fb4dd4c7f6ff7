"""A folder with the slices, or frames, of one DICOM series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ldseg.base.text import some
from ldseg.errors import DataError
from ldseg.io.contract import Content, Refused, check_file, check_size, one_line, said_once
from ldseg.io.dicom import DICOM, DICOM_SUFFIXES, NoPicture, read_slices, stacked, white_is_zero
from ldseg.io.dicom_order import Frame
from ldseg.io.dicom_pixels import coded_with_loss
from ldseg.io.names import suffix_of, visible

MOST_SLICES = 1 << 14
"""Files that a series may have."""

_WITHOUT_PICTURE = ("RTSTRUCT", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "FID", "DOC", "PLAN")
"""Modalities of what lies among slices and is no picture: contours, plans, reports."""


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files in a folder, in natural order."""
    return [path for path in visible(folder) if is_dicom(path)]


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or its content; a DICOMDIR, which holds no image, is not."""
    if not path.is_file() or path.name.upper() == "DICOMDIR":
        return False
    if suffix_of(path) in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return DICOM.magic is not None and DICOM.magic(stream.read(132))
    except OSError:
        return False


def read_series(folder: Path, files: list[Path], axes: str, label: bool = False) -> Content:
    """Read the slices (or, along T, the frames) of one DICOM series as (*S, c).

    Slices are put in order by their position, frames by their number. What else is in the folder is named, once.

    Raises:
        DataError: several series, files that cannot be read, slices that are missing or do not fit each other.
    """
    others = [path.name for path in visible(folder) if path not in files and path.name.upper() != "DICOMDIR"]
    if len(files) > MOST_SLICES:
        raise DataError(f"{folder}: expected up to {MOST_SLICES} DICOM slices, found {len(files)}")
    named: list[tuple[str, Frame]] = []
    series: dict[str, int] = {}
    owners: dict[str, set[str]] = {"PatientID": set(), "FrameOfReferenceUID": set()}
    senses: set[bool] = set()
    numbers: list[float] = []
    step, bits, size, lossy = 1.0, 0, 0, ""
    for path in files:
        size += path.stat().st_size
        try:
            check_file(path)
            check_size((size,), 1)
            slices = read_slices(path, axes, label)
        except NoPicture as error:
            if error.modality not in _WITHOUT_PICTURE:
                raise DataError(f"{path}: not a readable DICOM slice (damaged or cut short): {error}") from error
            others.append(path.name)
            continue
        except (DataError, Refused) as error:
            raise error if isinstance(error, DataError) else DataError(f"{path}: {one_line(error)}") from error
        except Exception as error:  # decoders raise what they like on bytes that nobody has checked
            reason = one_line(error)
            raise DataError(
                f"{path}: not a readable DICOM slice (damaged, cut short, or without pixels): {reason}"
            ) from error
        uid = str(slices.header.get("SeriesInstanceUID", ""))
        series[uid] = series.get(uid, 0) + 1
        for name, found in owners.items():
            found |= {str(slices.header.get(name) or "")} - {""}  # what a slice does not tell is no other value
        senses.add(white_is_zero(slices.header))
        named += [(path.name, frame) for frame in slices.frames]
        check_size((len(named), *slices.frames[0].values.shape), slices.frames[0].values.itemsize)
        numbers += [number_of(slices.header)] * len(slices.frames)
        step, bits, lossy = slices.step, max(bits, slices.bits), lossy or coded_with_loss(slices.header)
    if others:
        said_once(f"beside DICOM {folder}", f"{folder}: read as a DICOM series, not used beside it: {some(others)}")
    if len(senses) > 1 and not label:
        white = "MONOCHROME1 or an inverse PresentationLUTShape"
        told = f"zero is white in some slices ({white}) and black in others: the former are inverted"
        said_once(f"senses {folder}", f"{folder}: {told}")
    if not named:
        raise DataError(f"{folder}: expected DICOM slices, found none with a picture")
    if axes == "ZYX" and len(named) > 1 and all(frame.place is None for _, frame in named):
        told = f"taken in the order of their numbers, {step:g} mm apart"
        said_once(f"places {folder}", f"{folder}: its slices do not say where they lie: {told}")
    if len(series) != 1:
        counts = ", ".join(f"{name or 'without a number'} ({count} files)" for name, count in series.items())
        raise DataError(f"{folder}: expected one DICOM series, found {len(series)}: {counts}")
    for name, found in owners.items():
        if len(found) > 1:
            raise DataError(f"{folder}: expected slices of one patient in one place, found {len(found)} values of {name}")
    places = {str(frame.place) for _, frame in named}
    if axes == "TYX" and max(len(places), len(set(numbers))) < len(named):
        told = "its frames have no numbers of their own (InstanceNumber): taken in the order of their names"
        said_once(f"numbers {folder}", f"{folder}: {told}")
    try:
        ordered = [named[index] for index in sorted(range(len(named)), key=lambda index: numbers[index])]
        return replace(stacked(ordered, axes, step, bits, several=len(ordered) > 1), lossy=lossy)
    except Refused as error:
        raise DataError(f"{folder}: {one_line(error)}") from error


def number_of(header: Any) -> float:
    """The number of a slice or frame in its series; 0 without one."""
    try:
        return float(header.get("InstanceNumber") or 0)
    except (TypeError, ValueError):
        return 0.0
