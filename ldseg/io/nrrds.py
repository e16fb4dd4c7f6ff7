"""NRRD (.nrrd, .nhdr); headers through pynrrd."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ldseg.base.later import Later
from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.io.contract import MOST_TRAILING, Content, Format, Refused, check_file, said_once
from ldseg.io.geometry import Geometry
from ldseg.io.units import factor_of
from ldseg.io.volumes import CutShort, check_volume, placed, read_voxels

if TYPE_CHECKING:
    import nrrd
else:
    nrrd = Later("nrrd")

_MOST_HEADER = 1 << 20
_LIST = rb"^(?i:data ?file):[ \t]*LIST([ \t]+\d+)?\s*$"
"""What tells that names of files follow; a file whose name only begins so is one."""
_LISTED = "its voxels lie in a list of files, expected one"
_KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_TO_LPS = {
    **dict.fromkeys(("left-posterior-superior", "lps", "left-posterior-superior-time", "lpst"), (1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras", "right-anterior-superior-time", "rast"), (-1, -1)),
    **dict.fromkeys(("left-anterior-superior", "las", "left-anterior-superior-time", "last"), (1, -1)),
}
"""Signs that turn x and y of a space into left and back."""
_COLOURS = ("rgba-color", "4-color")
"""Kinds of an axis whose fourth value is transparency."""
_DOMAINS = ("domain", "space", "time")


def read_nrrd(path: Path, axes: str, label: bool = False) -> Content:
    """Read a file as `Format.read` asks."""
    with path.open("rb") as stream:
        start = stream.read(_MOST_HEADER)
        ends = [start.find(mark) + len(mark) for mark in (b"\n\n", b"\n\r\n") if mark in start]
        end = min(ends, default=len(start))
        if re.search(_LIST, start[:end], re.MULTILINE):
            raise Refused(_LISTED)
        header = nrrd.read_header(io.BytesIO(start[:end]))
        size, planes, odd = _size_of(header)
        first = odd != len(size)
        kind = _kind_of(header)
        needed = check_volume(size, planes, kind, axes)
        data = header.get("data file", header.get("datafile"))
        source = path if data is None else _detached(path, data)
        with source.open("rb") as voxels:
            voxels.seek(end if data is None else 0)
            held = _voxels(voxels, header, needed, kind, None if data is None else source)
    # The first axis runs fastest, whichever it is.
    values = held.view(kind).reshape((*size[::-1], planes) if first else (planes, *size[::-1]))
    values = values if first else np.moveaxis(values, 0, -1)
    colours = any(str(kind).lower() in _COLOURS for kind in header.get("kinds", _COLOURS))
    return placed(
        values, size, *_place_of(header, len(size), odd, str(path)), axes, source=str(path), label=label, colours=colours
    )


def write_nrrd(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write values (*S), as `Format.write` asks."""
    header: dict[str, Any] = {"encoding": "gzip", "kinds": ["domain"] * len(values.shape)}
    if geometry is not None:
        rank = len(geometry.size)
        header["kinds"] = ["domain"] * rank
        header |= {"space": "left-posterior-superior"} if rank == 3 else {"space dimension": rank}
        header |= {"space directions": _vectors(geometry).T, "space origin": np.array(geometry.origin)}
        values = values.reshape(geometry.size[::-1])
    stream = io.BytesIO()
    nrrd.write(stream, values, header, index_order="C", compression_level=6)
    return write_bytes(path, stream.getvalue())


def _vectors(geometry: Geometry) -> np.ndarray:
    """The step from voxel to voxel along each axis, in columns.

    NRRD holds these vectors alone. A reader takes spacing and direction from them with rounding errors, so of the
    vectors next to direction times spacing the one is taken that leads back to both.
    """
    rank = len(geometry.spacing)
    vectors = np.array(geometry.direction).reshape(rank, rank) * np.array(geometry.spacing)
    for axis, spacing in enumerate(geometry.spacing):
        direction = np.array(geometry.direction).reshape(rank, rank)[:, axis]
        units = np.array(list(itertools.product((0, -1, 1, -2, 2), repeat=rank)))
        near = vectors[:, axis] + units * np.where(vectors[:, axis] == 0, 0.0, np.spacing(vectors[:, axis]))
        lengths, directions = _lengths(near)
        exact = (lengths == spacing) & (directions == direction).all(axis=1)
        if exact.any():
            vectors[:, axis] = near[int(np.argmax(exact))]
    return vectors


def _lengths(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths of vectors (N, rank), and their directions, with the roundings of other readers (and ITK)."""
    squares = np.zeros(len(vectors))
    for component in vectors.T:
        squares = squares + component * component
    lengths = np.sqrt(squares)
    return lengths, vectors * (1.0 / np.where(lengths > 0, lengths, 1.0))[:, np.newaxis]


def _size_of(header: dict[str, Any]) -> tuple[tuple[int, ...], int, int | None]:
    """Lengths of the axes of space and time, values of each voxel, and which axis of the file these are: first, last."""
    sizes = [int(length) for length in header["sizes"]]
    kinds = [str(kind).lower() for kind in header.get("kinds", ["domain"] * len(sizes))]
    if len(kinds) != len(sizes) or len(sizes) != int(header["dimension"]):
        raise ValueError(f"its header has {len(sizes)} sizes, {len(kinds)} kinds, dimension {header['dimension']}")
    odd = [axis for axis, kind in enumerate(kinds) if kind not in (*_DOMAINS, "none", "???", "unknown")]
    if "kinds" not in header:
        odd = [axis for axis, row in enumerate(_directions(header)) if np.isnan(row).all()]
    if len(odd) > 1 or (odd and odd[0] not in (0, len(sizes) - 1)):
        raise Refused(f"axes of the kinds {', '.join(kinds)}, expected one axis that is not of space, the first or the last")
    if not odd:
        return tuple(sizes), 1, None
    return tuple(length for axis, length in enumerate(sizes) if axis != odd[0]), sizes[odd[0]], odd[0]


def _directions(header: dict[str, Any]) -> list[np.ndarray]:
    """The direction of each axis, not numbers for one that is not of space; none at all where no axis has one."""
    given = header.get("space directions")
    rows = [] if given is None else [np.array([np.nan] if row is None else row, float) for row in given]
    return [] if all(np.isnan(row).all() for row in rows) else rows


def _kind_of(header: dict[str, Any]) -> np.dtype:
    name = str(header["type"]).lower()
    if name not in _KINDS:
        raise Refused(f"voxels of the type {header['type']}, expected whole or floating-point numbers")
    kind = np.dtype(_KINDS[name])
    if kind.itemsize > 1 and header.get("encoding") not in ("ascii", "text", "txt") and "endian" not in header:
        raise ValueError("its header does not tell the order of bytes (endian)")
    return kind.newbyteorder("<" if str(header.get("endian", "little")).lower() == "little" else ">")


def _detached(path: Path, name: Any) -> Path:
    """The file with the voxels of a header. Raises Refused for several, and for what is no file beside it or below."""
    name = str(name).strip()
    if "%" in name:
        raise Refused(_LISTED)
    return beside(path, name)


def beside(path: Path, name: str) -> Path:
    """The file that a header names, which lies in its folder or below.

    Raises:
        Refused: it lies elsewhere.
        ValueError: it cannot be read.
    """
    named = path.parent / name
    if "\\" in name and not named.exists():  # as Windows writes it
        name = name.replace("\\", "/")
        named = path.parent / name
    inside = name not in ("", "-") and not Path(name).is_absolute() and ".." not in Path(name).parts
    if not inside:
        raise Refused(f"its header names the file {name!r} for its voxels, expected one in its folder or below")
    try:
        check_file(named)
    except DataError as error:
        raise ValueError(f"its voxels: {error}") from error
    return named


def _voxels(stream: BinaryIO, header: dict[str, Any], needed: int, kind: np.dtype, detached: Path | None) -> np.ndarray:
    skip = int(header.get("line skip", header.get("lineskip", 0)))
    back = int(header.get("byte skip", header.get("byteskip", 0)))
    encoding = str(header["encoding"]).lower()
    if skip < 0 or back < -1 or skip > _MOST_HEADER:
        raise ValueError(f"its header skips {skip} lines and {back} bytes")
    for _ in range(skip):
        stream.readline(_MOST_HEADER)
    if encoding == "raw":
        if back == -1:
            stream.seek(-needed, io.SEEK_END)
        else:
            stream.seek(back, io.SEEK_CUR)
        return read_voxels(stream, needed, to_end=False, alone=None if skip or back else detached)
    if encoding in ("gzip", "gz", "bzip2", "bz2"):
        unpack: Callable[[Any], Any] = gzip.open if encoding.startswith("g") else bz2.open
        with unpack(stream) as packed:
            if back == -1:
                return _last(packed, needed)
            packed.read(back)
            return read_voxels(packed, needed, to_end=True)
    if back == -1:
        raise Refused(f"its header skips all bytes but the last (byte skip: -1), which voxels in {encoding} have not")
    stream.seek(back, io.SEEK_CUR)
    if encoding in ("ascii", "text", "txt"):
        return numbers_of(stream, needed, kind)
    if encoding == "hex":
        return read_voxels(io.BytesIO(bytes.fromhex(stream.read(4 * needed).decode("ascii"))), needed, to_end=True)
    raise Refused(f"its voxels are encoded as {encoding}, expected raw, gzip, bzip2, ascii or hex")


def _last(packed: Any, needed: int) -> np.ndarray:
    """The last bytes (needed,) of an unpacked stream.

    Raises:
        CutShort: it has fewer.
        Refused: more than `MOST_TRAILING` come before them.
    """
    content = packed.read(needed + MOST_TRAILING + 1)
    if len(content) > needed + MOST_TRAILING:
        raise Refused(f"more than {MOST_TRAILING >> 20} MiB come before the voxels that its header promises")
    if len(content) < needed:
        raise CutShort(f"it holds {len(content)} bytes, its header promises {needed}")
    return np.frombuffer(content, np.uint8)[-needed:]


def numbers_of(stream: BinaryIO, needed: int, kind: np.dtype) -> np.ndarray:
    """Voxels written as text, as the bytes (needed,) of their type.

    Raises:
        ValueError: they are not as many, or no numbers of that type.
    """
    count = needed // kind.itemsize
    words = stream.read(32 * needed).split()
    if len(words) != count:
        raise ValueError(f"it holds {len(words)} values, its header promises {count}")
    return np.array(words).astype(kind).view(np.uint8)


def _place_of(header: dict[str, Any], rank: int, odd: int | None, source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spacing, origin and direction of each axis of space and time, in mm; `odd` is the axis of the values of a voxel."""
    spacing, origin, direction = np.ones(rank), np.zeros(rank), np.eye(rank)
    rows = [row for row in _directions(header) if not np.isnan(row).all()]
    if rows:
        if len(rows) != rank or any(len(row) != rank for row in rows):
            told = " ".join("(" + ",".join(f"{part:g}" for part in row) + ")" for row in rows)
            raise Refused(f"its space directions are {told}, expected {rank} of {rank} numbers for {rank} axes of space")
        vectors = np.array(rows) * _factors(header, "space units", rank, None)
        spacing, turned = _lengths(vectors)
        if not (np.isfinite(spacing).all() and (spacing > 0).all() and abs(np.linalg.det(turned)) > 0.5):
            raise Refused(f"its space directions are {np.array(rows).tolist()}, expected axes near to right angles")
        direction = turned.T.copy()
    else:
        steps = abs(_of_axes(header, "spacings", rank, odd)) if "spacings" in header else np.full(rank, np.nan)
        if np.isinf(steps).any():
            raise ValueError(f"its header has the spacings {steps.tolist()}, expected numbers above 0")
        said = steps > 0
        if not said.all() and ("spacings" in header or rank > 2):
            told = (
                f"has the spacings {' × '.join(f'{step:g}' for step in steps)}"
                if "spacings" in header
                else "has no spacings"
            )
            said_once("spacings of NRRD", f"{source}: its header {told}: what it does not say is taken as 1")
        spacing = np.where(said, steps, 1.0)
        if "spacings" in header:  # an assumed 1 has no unit
            spacing *= _factors(header, "units", rank, odd)
    if "space origin" in header:
        origin[:] = np.asarray(header["space origin"], float)[:rank] * _factors(header, "space units", rank, None)
    elif "axis mins" in header and not rows:
        origin[:] = np.nan_to_num(_of_axes(header, "axis mins", rank, odd)) * _factors(header, "units", rank, odd)
    if not np.isfinite(origin).all():
        raise ValueError(f"its header has the space origin {origin.tolist()}")
    signs = _TO_LPS.get(str(header.get("space", "lps")).lower(), (1, 1))
    for axis, sign in enumerate(signs[:rank]):
        if sign < 0:
            origin[axis] *= -1
            direction[axis] *= -1
    return spacing, origin, direction


def _of_axes(header: dict[str, Any], name: str, rank: int, odd: int | None) -> np.ndarray:
    """The numbers of a field for the axes of space and time; those that are missing are not finite."""
    listed = [float(number) for axis, number in enumerate(header[name]) if axis != odd]
    return np.array((listed + [np.nan] * rank)[:rank])


def _factors(header: dict[str, Any], name: str, rank: int, odd: int | None) -> np.ndarray:
    """What turns lengths along each axis to mm, by a field with their units."""
    units = [str(unit) for axis, unit in enumerate(header.get(name, ())) if axis != odd]
    return np.array([factor_of(unit, name) for unit in (units + [""] * rank)[:rank]])


NRRD = Format(
    thing="NRRD file",
    suffixes=(".nrrd", ".nhdr"),
    axes=("YX", "ZYX", "TYX"),
    read=read_nrrd,
    write=write_nrrd,
    masks={".nhdr": ".nrrd"},
)
