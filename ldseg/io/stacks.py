"""Planes in order: the pages of a TIFF, the files of a folder."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from ldseg.errors import DataError
from ldseg.io.names import stem_of, suffix_of, visible
from ldseg.io.pictures import DECODER_ERRORS, IMAGE_SUFFIXES
from ldseg.text import times

TIFF_SUFFIXES = (".tif", ".tiff")


def frames_of(folder: Path) -> dict[str, Path]:
    """The frames in a folder in natural order, by their names without extension; other files are passed over."""
    frames: dict[str, Path] = {}
    for path in visible(folder):
        if suffix_of(path) in IMAGE_SUFFIXES and path.is_file():
            name = stem_of(path)
            if name in frames:
                raise DataError(f"{path}: two frames of one name, the other is {frames[name].name}; expected one")
            frames[name] = path
    return frames


def label_frames(folder: Path, like: Path) -> list[Path]:
    """The frames of a label in the order of its image's, paired by name, with or without ``_label``.

    Raises DataError that names a frame of either that the other lacks.
    """
    labels, wanted = frames_of(folder), frames_of(like)
    found = []
    for name, path in wanted.items():
        label = labels.pop(f"{name}_label", None) or labels.pop(name, None)
        if label is None:
            raise DataError(f"{folder}: no label for the frame {path}, expected {name}_label or {name}")
        found.append(label)
    if labels:
        raise DataError(f"{next(iter(labels.values()))}: label of a frame that {like} does not have")
    return found


def read_frames(paths: list[Path], read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """Read planes by `read` and stack them. Raises DataError where one differs from the first in shape or type."""
    frames: list[np.ndarray] = []
    for path in paths:
        frame = read(path)
        if frames and (frame.shape, frame.dtype) != (frames[0].shape, frames[0].dtype):
            wanted = f"{times(frames[0].shape)} {frames[0].dtype} as in {paths[0].name}"
            raise DataError(f"{path}: expected a frame of {wanted}, found {times(frame.shape)} {frame.dtype}")
        frames.append(frame)
    return np.stack(frames)


def read_pages(path: Path, indices: bool = False) -> np.ndarray:
    """Read a TIFF of one or more pages as (N, H, W, c), c = 1 or 3, values and type as stored.

    A palette is expanded, unless its `indices` are asked for. Raises DataError for a file that is missing, damaged or cut
    short, and for pages that differ from each other.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as stored:
            return _planes(stored, content, indices)
    except DECODER_ERRORS as error:
        raise DataError(f"{path}: not a readable TIFF stack (damaged, cut short or not supported): {error}") from error


def _planes(stored: tifffile.TiffFile, content: bytes, indices: bool) -> np.ndarray:
    pages: list[Any] = [stored.pages[index] for index in range(len(stored.pages))]
    _check_whole(stored, pages, content)
    if len(stored.series) != 1:
        raise ValueError(f"{len(stored.series)} series of pages, expected one")
    series, page = stored.series[0], pages[0]
    try:
        values = series.asarray()
    except ValueError:  # compressed in a way that tifffile needs another package for
        done, planes = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if not done or len(planes) != len(pages):
            raise
        values = np.stack(planes)
        values = values[..., [2, 1, 0]] if values.ndim == 4 else values
        return values if values.ndim == 4 else values[..., np.newaxis]
    values, letters = values.reshape([1, *values.shape]), "N" + series.axes
    for letter in "SC":  # samples or channels go last
        if letter in letters and values.shape[letters.index(letter)] <= 4:
            place = letters.index(letter)
            values = np.moveaxis(values, place, -1)
            letters = letters[:place] + letters[place + 1 :]
            break
    else:
        values = values[..., np.newaxis]
    while values.ndim > 4 and 1 in values.shape[:-3]:
        values = values.squeeze(values.shape.index(1))
    if values.ndim != 4:
        raise ValueError(f"axes {series.axes} of size {times(series.shape)}, expected one axis beside y and x")
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    if photometric == "MINISWHITE":
        values = ~values if values.dtype == bool else np.iinfo(values.dtype).max - values
    if photometric == "PALETTE" and not indices:
        return (np.asarray(page.colormap) >> 8).astype(np.uint8).T[values[..., 0]]
    return values[..., :1] if values.shape[-1] == 2 else values[..., :3]  # without alpha


def _check_whole(stored: tifffile.TiffFile, pages: list[Any], content: bytes) -> None:
    """The chain of pages has its end and each page its tags and pixels: tifffile passes over what lies beyond."""
    count = struct.Struct(stored.tiff.tagnoformat)
    end = 0
    for index, page in enumerate(pages):
        if not isinstance(page, tifffile.TiffPage):  # a frame shares the tags of the page before
            page = page.aspage()
        if len(page.tags) != count.unpack_from(content, page.offset)[0]:
            raise ValueError(f"page {index} lacks tags")
        ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
        end = max([end, *ends, *(tag.valueoffset + tag.valuebytecount for tag in page.tags)])
    if not pages or end > len(content):
        raise ValueError(f"the file ends at byte {len(content)}, what it holds at byte {end}")
    offset = struct.Struct(stored.tiff.offsetformat)
    if offset.unpack_from(content, stored.pages.next_page_offset)[0]:
        raise ValueError(f"the file ends early, after page {len(pages)}")
