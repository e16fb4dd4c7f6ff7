"""Scans of any kind, flat images, volumes and videos, behind one front.

A scan is a file or, for volumes and videos, a folder with a file for each slice or frame.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.spatial import MOST_CHANNELS
from ldseg.base.text import times
from ldseg.errors import DataError, UnwrittenError
from ldseg.io import apart
from ldseg.io.contract import Content, Format, Refused, one_line
from ldseg.io.formats import is_scan, read_file, writer_of
from ldseg.io.frames import frames_of, label_frames, read_frames, write_frames
from ldseg.io.geometry import Geometry
from ldseg.io.masks import finite, narrowed
from ldseg.io.names import suffix_of, visible
from ldseg.io.pictures import IMAGE_SUFFIXES, colour_numbers, label_numbers, read_image, read_label, stored
from ldseg.io.planes import without_alpha
from ldseg.io.series import dicom_files, read_series
from ldseg.io.units import check_steps


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Values (*S, c) as stored, uint8, uint16 or float32, and where they lie, if known.

    c is 1 (gray), 3 (RGB), or with `modalities` the number of images of one thing, such as sequences of MR.
    `bits` are those in use of each value, None where the file does not say.
    """

    values: np.ndarray
    geometry: Geometry | None = None
    modalities: bool = False
    bits: int | None = None


def find_scans(folder: Path, axes: str) -> list[Path]:
    """The scans in a folder in natural order: files by their extension and, where there is a third axis, subfolders.

    Empty for a folder that does not exist. Raises DataError for one that cannot be read.
    """
    if not folder.is_dir():
        return []
    return [path for path in visible(folder) if (len(axes) > 2 if path.is_dir() else path.is_file() and is_scan(path, axes))]


def read_scan(path: Path, axes: str, *channels: Path) -> Scan:
    """Read a scan. Integers other than 8- and 16-bit unsigned become float32 with their values kept.

    `channels` are the files of its channels after the first. Raises DataError for a scan that is missing, damaged, cut
    short, or does not have the axes, and for a channel that is not gray, or not of the first one's size and place.
    """
    content = _read(path, axes)
    first = Scan(values=stored(content.values), geometry=content.geometry, modalities=content.modalities, bits=content.bits)
    return _joined([path, *channels], [first, *(read_scan(channel, axes) for channel in channels)])


def scan_of(
    array: Any, axes: str, spacing: Sequence[float] = (), *, channels: int | None = None, source: str = "array"
) -> Scan:
    """An array in memory as the scan that a file of it would give.

    Args:
        array: values (*S) or (*S, c) as a file stores them: whole numbers, floating-point numbers or truth values.
        axes: a letter for each length in S.
        spacing: mm along each axis of the array, z or t first; empty where it is unknown.
        channels: how many channels the image is to have. With it, the fourth plane beside three, and the second beside
            one, are transparency, as in files; without it every plane is kept.
        source: what messages call the array.

    Returns:
        the scan. Two planes, or four, that are not transparency are images of their own (`Scan.modalities`).

    Raises:
        DataError: for another number of axes or planes, an empty array, other types, and a spacing that is none.
    """
    values = _planes_of(array, axes, source)
    planes = values.shape[-1]
    if planes > MOST_CHANNELS:
        raise DataError(f"{source}: expected up to {MOST_CHANNELS} channels in the last axis, found shape {values.shape}")
    if channels is not None and planes in (2, 4) and planes != channels:
        values = without_alpha(values, source, label=False)
    geometry = None
    if len(spacing):
        steps = tuple(float(step) for step in spacing)
        if len(steps) != len(axes) or not all(math.isfinite(step) and step > 0 for step in steps):
            raise DataError(
                f"{source}: expected a spacing of {len(axes)} positive numbers ({axes.lower()}), found {spacing}"
            )
        try:
            check_steps(steps, axes)
        except Refused as error:
            raise DataError(f"{source}: {error}") from error
        geometry = Geometry.upright(values.shape[:-1], steps)
    return Scan(values=stored(values), geometry=geometry, modalities=values.shape[-1] in (2, 4))


def _planes_of(array: Any, axes: str, source: str) -> np.ndarray:
    """An array (*S) or (*S, c) as (*S, c)."""
    values = np.asarray(array)
    if values.dtype.kind not in "buif":
        raise DataError(f"{source}: expected numbers or truth values, found {values.dtype}")
    if values.ndim not in (len(axes), len(axes) + 1) or not values.size:
        wanted = f"shape ({', '.join(axes.lower())}) or ({', '.join(axes.lower())}, channels)"
        raise DataError(f"{source}: expected {wanted}, found {values.shape}")
    return values if values.ndim > len(axes) else values[..., np.newaxis]


def _joined(paths: list[Path], scans: list[Scan]) -> Scan:
    """Scans of one channel each as the channels of one."""
    first = scans[0]
    if len(scans) == 1:
        return first
    for path, scan in zip(paths, scans, strict=True):
        size, channels = scan.values.shape[:-1], scan.values.shape[-1]
        if channels != 1 or size != first.values.shape[:-1]:
            wanted = f"expected one channel of size {times(first.values.shape[:-1])} as in {paths[0].name}"
            raise DataError(f"{path}: {wanted}, found {channels} of size {times(size)}")
        difference = scan.geometry.difference(first.geometry) if scan.geometry and first.geometry else ""
        if difference:
            raise DataError(f"{path}: channel of {difference} as in {paths[0].name}")
    values = np.concatenate([scan.values for scan in scans], axis=-1)
    return Scan(values=values, geometry=first.geometry, modalities=True, bits=first.bits)


def read_scan_label(
    path: Path, axes: str, like: Path | None = None, coloured: bool = False
) -> tuple[np.ndarray, Geometry | None]:
    """Read a label as int32 (*S), the values as stored.

    It may be of another kind of file than its image `like`. Frames in folders pair by name. Of a `coloured` label the
    numbers are those of colours (`colour_numbers`).
    Raises DataError as `read_scan` does, for colours, for values that are no whole numbers of 32 bits, and for frames
    without a partner.
    """
    content = _read(path, axes, label=True, like=like, coloured=coloured)
    numbers = (
        colour_numbers(content.values, str(path)) if coloured else label_numbers(content.values, str(path), content.lossy)
    )
    return numbers, content.geometry


def write_scan_mask(
    folder: Path, case_name: str, mask: np.ndarray, *, like: Path | None, geometry: Geometry | None = None
) -> Path:
    """Write a mask (*S) of whole numbers from 0 to 65535 as ``<case>_segmentation`` and return the path written.

    It has the format of its image `like` where that holds a label map without loss (`Format.masks`): DICOM becomes .nii.gz,
    .mhd .mha, .nhdr .nrrd, a video a TIFF of many pages, a folder of frames a folder of PNG files with the frames' names;
    of an array in memory, without `like`, .nii.gz where it lies in space, else PNG or TIFF.
    8 bits where the values fit, 16 bits otherwise. It appears whole or not at all.

    Raises DataError for a mask that cannot be written, or not there.
    """
    path = folder / f"{case_name}_segmentation"
    if like is not None and os.path.isdir(like) and (frames := _planes_in(like)):
        return write_frames(path, mask, list(frames))
    values = narrowed(path, mask)
    target, suffix = _target(like, values.ndim == 2, geometry)
    return _written(target, _with(path, suffix), values, geometry, like)


def write_scan_map(
    folder: Path, case_name: str, kind: str, values: np.ndarray, *, like: Path | None, geometry: Geometry | None = None
) -> Path:
    """Write numbers (*S) as ``<case>_<kind>`` in float32, see `map_path`, and return the path written.

    It appears whole or not at all, and a map of a volume lies where the volume lies.

    Raises DataError for values that are not finite, and where the file cannot be written.
    """
    values = np.asarray(values)
    path = map_path(folder, case_name, kind, like, values.ndim == 2)
    target = writer_of(suffix_of(path), values.ndim == 2)
    assert target is not None
    return _written(target, path, finite(path, values), geometry, like)


def map_path(folder: Path, case_name: str, kind: str, like: Path | None, planar: bool = False) -> Path:
    """Where a map of a case goes: that of a volume has the format of its mask, any other is a TIFF, a page a frame."""
    path = folder / f"{case_name}_{kind}"
    if like is None or (os.path.isdir(like) and _planes_in(like)):
        return _with(path, ".tif")
    source = writer_of(suffix_of(like), planar) or writer_of(suffix_of(like), not planar)
    if source is not None and source.maps:
        return _with(path, source.maps)
    return _with(path, _target(like, planar, None)[1])


def _target(like: Path | None, planar: bool, geometry: Geometry | None) -> tuple[Format, str]:
    """The format of the mask of an image, and its extension."""
    if like is None:
        suffix = ".nii.gz" if geometry is not None else ".png" if planar else ".tif"
    else:
        found = suffix_of(like)
        source = writer_of(found, planar) or writer_of(found, not planar)
        # A folder of slices, and a file whose name says nothing, are DICOM.
        suffix = source.masks.get(found, like.suffix if found == like.suffix.lower() else found) if source else ".nii.gz"
    target = writer_of(suffix.lower(), planar) or writer_of(suffix.lower(), not planar)
    if target is None or target.write is None:
        raise DataError(f"{like}: no mask can be written for it")
    return target, suffix


def _written(target: Format, path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    if geometry is not None and values.shape != geometry.array_size:
        raise DataError(f"{path}: expected a mask of size {geometry.array_size}, got {values.shape}")
    assert target.write is not None
    try:
        return target.write(path, values, geometry, like)
    except DataError:
        raise  # it is a ValueError too
    except (OSError, ValueError, MemoryError) as error:
        raise UnwrittenError(f"{path}: cannot be written: {one_line(error)}") from error


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)  # `with_suffix` would cut "scan.7" short


def _planes_in(folder: Path) -> dict[str, Path]:
    """The frames of a folder that is no DICOM series."""
    return {} if dicom_files(folder) else frames_of(folder)


def _read(path: Path, axes: str, label: bool = False, like: Path | None = None, coloured: bool = False) -> Content:
    """As `read_content`, with decoders that may crash in a process of their own."""
    return apart.read(read_content, path, axes, label, like, coloured)


def read_content(path: Path, axes: str, label: bool = False, like: Path | None = None, coloured: bool = False) -> Content:
    """What a file or a folder holds, (*S, c) as stored; the colours of a label as those of an image."""
    if os.path.isdir(path) and len(axes) > 2:
        return _read_folder(path, axes, label, like, coloured)
    return read_file(path, axes, label and not coloured)


def _read_folder(folder: Path, axes: str, label: bool, like: Path | None, coloured: bool) -> Content:
    """DICOM slices, where there are any, else frames: a picture among slices is a preview of them."""
    files = dicom_files(folder)
    if files:
        return read_series(folder, files, axes, label)
    frames = list(frames_of(folder).values())
    if not frames:
        what = "DICOM slices" if axes == "ZYX" else "frames"
        raise DataError(f"{folder}: expected {what}, or images of type {' '.join(IMAGE_SUFFIXES)}, found none")
    if not label:
        return Content(values=read_frames(frames, read_image))
    if like is not None and os.path.isdir(like) and _planes_in(like):
        frames = label_frames(folder, like)
    return Content(values=read_frames(frames, read_image) if coloured else read_frames(frames, read_label)[..., np.newaxis])
