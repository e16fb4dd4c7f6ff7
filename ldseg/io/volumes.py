"""What all formats of volumes share: which axes of a file an array has, voxels read to the end, and types."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ldseg.base.spatial import MOST_CHANNELS
from ldseg.base.text import times
from ldseg.io.contract import MOST_TRAILING, Content, Refused, check_size, said_once
from ldseg.io.geometry import Geometry
from ldseg.io.planes import without_alpha
from ldseg.io.units import check_steps

_WANTED = {"YX": "one plane", "ZYX": "a volume (x, y, z)", "TYX": "a video of one plane: (x, y, t) or (x, y, 1, t)"}


class CutShort(ValueError):
    """Voxels that end before their header says."""


def check_volume(size: Sequence[int], planes: int, kind: np.dtype, letters: str) -> int:
    """What the voxels take in bytes, before they are read.

    Args:
        size: lengths of the file's axes, x first.
        planes: values of each voxel.
        kind: their type.
        letters: the axes that the array is to have.

    Raises:
        Refused: other axes, values that are no numbers, more than the limit.
    """
    needed = check_size((*size, planes), kind.itemsize)
    _axes_of(tuple(size), letters)
    if kind.kind not in "uif" or not 1 <= planes <= MOST_CHANNELS:
        what = "values" if planes == 1 else "vectors"
        raise Refused(
            f"expected gray or RGB voxels, or up to {MOST_CHANNELS} channels, found {planes} of {what} of {kind.name}"
        )
    return needed


def placed(
    values: np.ndarray,
    size: Sequence[int],
    spacing: np.ndarray,
    origin: np.ndarray,
    direction: np.ndarray,
    letters: str,
    *,
    source: str,
    label: bool,
    colours: bool = True,
) -> Content:
    """Voxels and their place as the content of a file.

    Args:
        values: x last but for the planes: (*size reversed, planes).
        size: lengths of the file's axes, x first.
        spacing: mm along each.
        origin: the place of the first voxel, x to the left, y to the back, z up.
        direction: a matrix with the direction of each axis as a column.
        letters: the axes that the array is to have.
        source: what messages call the file.
        label: whether it is one, see `without_alpha`.
        colours: whether the fourth of four values is transparency; otherwise two and four values are images of their own.

    Raises:
        Refused: channels of several values, or a size of voxels that cannot be.
    """
    planes, axes, rank = values.shape[-1], _axes_of(tuple(size), letters), len(size)
    channels = size[3] if _has_channels(tuple(size), letters) else 1
    if channels > 1:
        rank = 3
    geometry = Geometry(
        size=tuple(int(length) for length in size[:rank]),
        spacing=tuple(float(step) for step in spacing[:rank]),
        origin=tuple(float(place) for place in origin[:rank]),
        direction=tuple(float(part) for part in direction[:rank, :rank].ravel()),
        axes=axes,
        channels=channels,
    )
    check_steps(geometry.array_spacing, letters)
    if channels > 1:
        if planes > 1:
            raise Refused(f"{channels} channels of {planes} values each, expected one of them")
        return Content(values=np.moveaxis(values[..., 0], 0, -1), geometry=geometry, modalities=True)
    shaped = values.reshape(*geometry.array_size, planes)
    if planes == 4 and colours:
        return Content(values=without_alpha(shaped, source, label), geometry=geometry)
    return Content(values=shaped, geometry=geometry, modalities=planes in (2, 4))


def read_voxels(stream: BinaryIO, needed: int, *, to_end: bool, alone: Path | None = None) -> np.ndarray:
    """So many bytes of a stream, as uint8 (needed,).

    Args:
        stream: where the first voxel comes next.
        needed: bytes.
        to_end: whether what is behind is read too, so that a packed stream compares its check sum.
        alone: the file, where voxels lie in one of their own whose header does not tell at which byte they begin.

    Raises:
        CutShort: it ends early.
        ValueError: as much again is behind, and more: its header tells of a part alone.
        Refused: more than `MOST_TRAILING` is behind.
    """
    held, place = np.empty(needed, np.uint8), 0
    view = memoryview(held.data)
    while place < needed:
        count = stream.readinto(view[place : place + (1 << 24)])  # type: ignore[attr-defined]
        if not count:
            raise CutShort(f"it holds {place} bytes, its header promises {needed}")
        place += count
    behind = 0
    if not to_end:
        start = stream.tell()
        behind = stream.seek(0, io.SEEK_END) - start
    try:
        while to_end and (chunk := stream.read(1 << 20)):
            behind += len(chunk)
            if behind > MOST_TRAILING:
                raise Refused(f"more than {MOST_TRAILING >> 20} MiB follow the voxels that its header promises")
    except gzip.BadGzipFile as error:
        if "Not a gzipped file" not in str(error):  # bytes behind the packed ones, which gzip passes over too
            raise
    if behind >= needed:
        raise ValueError(f"it holds {needed + behind} bytes of voxels, its header tells of {needed} only")
    if alone is not None and behind:
        said_once(
            "longer voxels",
            f"{alone}: it holds {behind} bytes more than its header tells of: the first {needed} are read (said once)",
        )
    return held


def _axes_of(size: tuple[int, ...], letters: str) -> tuple[int, ...]:
    """Which axes of a file (x first) the letters stand for; the others have length 1."""
    rank = len(letters)
    chosen = tuple(range(rank))
    if letters == "TYX" and len(size) == 4 and size[3] > 1:
        chosen = (0, 1, 3)  # time is the last axis that is longer than 1
    left = [length for axis, length in enumerate(size) if axis not in chosen]
    if len(size) < rank or (any(length != 1 for length in left) and not _has_channels(size, letters)):
        raise Refused(f"expected {_WANTED[letters]}, found {len(size)} axes (x first) of size {times(size)}")
    return chosen[::-1]


def _has_channels(size: tuple[int, ...], letters: str) -> bool:
    return letters == "ZYX" and len(size) == 4 and 1 < size[3] <= MOST_CHANNELS
