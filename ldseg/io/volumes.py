"""Volumes, and films that are stored as volumes, through SimpleITK: NIfTI, NRRD, MetaImage, DICOM."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ldseg.errors import DataError
from ldseg.io.geometry import TOLERANCE, Geometry
from ldseg.io.integrity import check_meta, check_nifti
from ldseg.io.names import suffix_of, visible
from ldseg.spatial import MOST_CHANNELS
from ldseg.text import times

NIFTI_SUFFIXES = (".nii", ".nii.gz")
META_SUFFIXES = (".mha", ".mhd")
DICOM_SUFFIX = ".dcm"
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, ".nrrd", ".nhdr", *META_SUFFIXES, DICOM_SUFFIX)

# What is wrong goes into the DataError, not to the screen.
sitk.ProcessObject_SetGlobalWarningDisplay(False)

_ERRORS = (RuntimeError, OSError, EOFError, ValueError, LookupError, MemoryError, gzip.BadGzipFile, zlib.error)
_POSITION, _ORIENTATION, _SERIES = "0020|0032", "0020|0037", "0020|000e"


def read_volume(path: Path, axes: str) -> tuple[np.ndarray, Geometry]:
    """Read a file as (*S, c), values and type as stored, with one length in S for each letter of `axes`.

    Axes of the file that `axes` does not have must be of length 1, but that a volume of four axes has its channels in the
    last, as the Decathlon's do. Raises DataError for a file that is missing,
    damaged, cut short, or has another number of axes.
    """
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise ValueError("it is empty (zero bytes)")
        if suffix_of(path) in META_SUFFIXES:
            check_meta(path)
        bad = check_nifti(path) if suffix_of(path) in NIFTI_SUFFIXES else 0
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _axes_of(reader.GetSize(), axes, path)  # before the voxels are read
        image = reader.Execute()
    except DataError:
        raise  # it is a ValueError too
    except _ERRORS as error:
        raise DataError(f"{path}: not a readable {_kind(path)} file (damaged or cut short): {_reason(error)}") from error
    if bad:
        raise DataError(f"{path}: expected finite intensities, found {bad} that are NaN or infinite")
    return _arrays(image, axes, path)


def read_dicom_folder(folder: Path, axes: str) -> tuple[np.ndarray, Geometry]:
    """Read the slices (or, along T, the frames) of one DICOM series as (*S, c), as `read_volume` does.

    Slices are put in order by their position, frames by their number. Raises DataError for several series, files that
    cannot be read, and slices that are missing.
    """
    files = [path for path in visible(folder) if is_dicom(path)]
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    listed = [sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name) for name in series]
    known = {Path(name).name for names in listed for name in names}
    lost = [path.name for path in files if path.name not in known]
    if lost:
        raise DataError(f"{folder / lost[0]}: not a readable DICOM slice (damaged, cut short, or without pixels)")
    if len(series) != 1:
        counts = ", ".join(f"{name} ({len(names)} files)" for name, names in zip(series, listed, strict=True))
        raise DataError(f"{folder}: expected one DICOM series, found {len(series)}: {counts or 'none'}")
    names = listed[0]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
        if axes == "ZYX" and len(names) > 1:
            _check_slices(folder, names, reader)
    except DataError:
        raise  # it is a ValueError too
    except _ERRORS as error:
        raise DataError(f"{folder}: not a readable DICOM series (damaged or cut short): {_reason(error)}") from error
    return _arrays(image, axes, folder)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or its content; a DICOMDIR, which holds no image, is not."""
    if not path.is_file() or path.name.upper() == "DICOMDIR":
        return False
    if suffix_of(path) == DICOM_SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _check_slices(folder: Path, names: tuple[str, ...], reader: sitk.ImageSeriesReader) -> None:
    """The slices are parallel and equally far from each other."""
    for index in range(len(names)):
        missing = [key for key in (_POSITION, _ORIENTATION) if not reader.HasMetaDataKey(index, key)]
        if missing:
            raise DataError(f"{names[index]}: expected a DICOM slice with its place in the patient, found none")
    values = [
        [[float(value) for value in reader.GetMetaData(index, key).split("\\")] for key in (_POSITION, _ORIENTATION)]
        for index in range(len(names))
    ]
    orientation = np.array([turn for _, turn in values])
    if (abs(orientation - orientation[0]) > TOLERANCE).any():
        raise DataError(f"{folder}: expected parallel DICOM slices, found several orientations")
    normal = np.cross(orientation[0, :3], orientation[0, 3:])
    steps = np.diff(np.array([place for place, _ in values]) @ normal)
    usual = float(np.median(steps))
    if usual < TOLERANCE:
        raise DataError(f"{folder}: expected DICOM slices side by side, found them {usual:.6g} mm apart")
    odd = np.flatnonzero(abs(steps - usual) > 0.05 * usual)
    if odd.size:
        before, after = (Path(names[odd[0] + shift]).name for shift in (0, 1))
        raise DataError(
            f"{folder}: expected slices {usual:.6g} mm apart, found {steps[odd[0]]:.6g} mm from {before} to"
            f" {after}: a slice is missing or there twice"
        )


def _axes_of(size: tuple[int, ...], axes: str, path: Path) -> tuple[int, ...]:
    """Which axes of a file (x first) the letters stand for; the others have length 1."""
    rank = len(axes)
    chosen = tuple(range(rank))
    if axes == "TYX" and len(size) == 4 and size[3] > 1:
        chosen = (0, 1, 3)  # time is the last axis that is longer than 1
    left = [length for axis, length in enumerate(size) if axis not in chosen]
    if len(size) < rank or (any(length != 1 for length in left) and not _has_channels(size, axes)):
        wanted = {"YX": "one plane", "ZYX": "a volume (x, y, z)", "TYX": "a film of one plane: (x, y, t) or (x, y, 1, t)"}
        raise DataError(f"{path}: expected {wanted[axes]}, found {len(size)} axes (x first) of size {times(size)}")
    return chosen[::-1]


def _has_channels(size: tuple[int, ...], axes: str) -> bool:
    return axes == "ZYX" and len(size) == 4 and 1 < size[3] <= MOST_CHANNELS


def _arrays(image: sitk.Image, letters: str, path: Path) -> tuple[np.ndarray, Geometry]:
    values, planes = sitk.GetArrayFromImage(image), image.GetNumberOfComponentsPerPixel()
    channels = image.GetSize()[3] if _has_channels(image.GetSize(), letters) else 1
    axes = _axes_of(image.GetSize(), letters, path)
    if channels > 1:
        image = image[..., 0]
    geometry = Geometry(
        size=image.GetSize(),
        spacing=image.GetSpacing(),
        origin=image.GetOrigin(),
        direction=image.GetDirection(),
        axes=axes,
        channels=channels,
    )
    if values.dtype.kind not in "uif" or planes not in (1, 3, 4):
        raise DataError(f"{path}: expected gray or RGB voxels, found {planes} of {image.GetPixelIDTypeAsString()}")
    if channels > 1 and planes == 1:
        return np.moveaxis(values, 0, -1), geometry
    return values.reshape(*geometry.array_size, planes)[..., : min(planes, 3)], geometry  # without alpha


def _kind(path: Path) -> str:
    return {".nii": "NIfTI", ".nii.gz": "NIfTI", ".dcm": "DICOM", ".mha": "MetaImage", ".mhd": "MetaImage"}.get(
        suffix_of(path), "NRRD"
    )


def _reason(error: BaseException) -> str:
    """What is wrong in one line. SimpleITK puts its source files before it, NRRD goes from the whole to the detail."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rpartition("ERROR:")[2].strip() if lines else type(error).__name__
