"""Folders with an image file for each plane or frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ldseg.base.text import some, times
from ldseg.base.writing import write_bytes, written_folder
from ldseg.errors import DataError
from ldseg.io.contract import check_size, one_line, said_once
from ldseg.io.masks import narrowed
from ldseg.io.names import stem_of, suffix_of, visible
from ldseg.io.pictures import IMAGE_SUFFIXES, encode


def frames_of(folder: Path) -> dict[str, Path]:
    """The frames in a folder in natural order, by their names without extension; other files are named, once."""
    frames: dict[str, Path] = {}
    others = []
    for path in visible(folder):
        if suffix_of(path) not in IMAGE_SUFFIXES or not path.is_file():
            others.append(path.name)
            continue
        name = stem_of(path)
        if name in frames:
            raise DataError(f"{path}: two frames of one name, the other is {frames[name].name}; expected one")
        frames[name] = path
    if frames and others:
        said_once(f"beside frames {folder}", f"{folder}: read as a folder of frames, not used beside them: {some(others)}")
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
    """Read planes by `read` and stack them.

    Raises:
        DataError: one differs from the first in shape or type, or together they are too many.
    """
    frames: list[np.ndarray] = []
    for path in paths:
        frame = read(path)
        if frames and (frame.shape, frame.dtype) != (frames[0].shape, frames[0].dtype):
            wanted = f"{times(frames[0].shape)} {frames[0].dtype} as in {paths[0].name}"
            raise DataError(f"{path}: expected a frame of {wanted}, found {times(frame.shape)} {frame.dtype}")
        if not frames:
            try:
                check_size((len(paths), *frame.shape), frame.itemsize)
            except ValueError as error:
                raise DataError(f"{path.parent}: {one_line(error)}") from error
        frames.append(frame)
    return np.stack(frames)


def write_frames(folder: Path, mask: np.ndarray, names: Sequence[str]) -> Path:
    """Write a mask (N, H, W) as a folder with a PNG for each of the N names.

    The folder appears whole or not at all, in the place of one that was there. Raises DataError where it cannot be
    written.
    """
    values = narrowed(folder, mask)
    if len(values) != len(names):
        raise DataError(f"{folder}: expected a mask of {len(names)} frames, got {len(values)}")
    with written_folder(folder) as place:
        for name, frame in zip(names, values, strict=True):
            path = place / f"{name}.png"
            write_bytes(path, encode(path, frame))
    return folder
