"""MetaImage (.mha, .mhd): a header of lines, and voxels behind it or in a file of their own."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ldseg.base.writing import write_bytes
from ldseg.io.contract import MOST_TRAILING, Content, Format, Refused, check_length
from ldseg.io.geometry import Geometry
from ldseg.io.nrrds import beside, numbers_of
from ldseg.io.units import factor_of
from ldseg.io.volumes import check_volume, placed, read_voxels

_KINDS = {
    **{"CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4"},
    **{"LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8"},
}
_NAMES = {"u1": "MET_UCHAR", "u2": "MET_USHORT", "f4": "MET_FLOAT"}
_MOST_HEADER, _MOST_AXES = 1 << 20, 10


def read_meta(path: Path, axes: str, label: bool = False) -> Content:
    """Read a file as `Format.read` asks."""
    with path.open("rb") as stream:
        fields = _fields(stream)
        if fields.get("ObjectType", "Image").lower() != "image":
            raise Refused(f"a MetaIO file of the type {fields['ObjectType']}, expected Image")
        size, planes, kind = _shape_of(fields)
        needed = check_volume(size, planes, kind, axes)
        place = _place_of(fields, len(size))
        name = fields["ElementDataFile"]
        if name.upper() == "LOCAL":
            held = _voxels(stream, fields, needed, kind)
        else:
            if name.upper().startswith("LIST") or "%" in name:
                raise Refused("its voxels lie in a list of files, expected one")
            with beside(path, name).open("rb") as voxels:
                held = _voxels(voxels, fields, needed, kind, path.parent / name)
    values = _scaled(held.view(kind).reshape(*size[::-1], planes), fields)
    # Four bytes are a colour and transparency, four other numbers are not.
    return placed(values, size, *place, axes, source=str(path), label=label, colours=kind == np.uint8)


def write_meta(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write values (*S) as .mha, as `Format.write` asks."""
    geometry = geometry or Geometry.upright(values.shape, (1.0,) * values.ndim)
    rank = len(geometry.size)
    ordered = values.astype(values.dtype.newbyteorder("<"), copy=False)
    packed = zlib.compress(ordered.tobytes(), 6)

    def text(numbers: tuple[float, ...] | np.ndarray) -> str:
        return " ".join(repr(float(number)) for number in numbers)

    lines = {
        "ObjectType": "Image",
        "NDims": rank,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": len(packed),
        # The direction of one axis after the other: the columns of the matrix.
        "TransformMatrix": text(np.array(geometry.direction).reshape(rank, rank).T.ravel()),
        "Offset": text(geometry.origin),
        "CenterOfRotation": text((0.0,) * rank),
        "ElementSpacing": text(geometry.spacing),
        "DimSize": " ".join(str(length) for length in geometry.size),
        "ElementType": _NAMES[values.dtype.str[1:]],
        "ElementDataFile": "LOCAL",
    }
    head = "".join(f"{name} = {value}\n" for name, value in lines.items())
    return write_bytes(path, head.encode() + packed)


def _fields(stream: BinaryIO) -> dict[str, str]:
    """The lines of a header, up to the one that says where the voxels are."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = stream.readline(65536)
        if line and not line.strip() and stream.tell() < _MOST_HEADER:
            continue
        name, equals, value = re.match(r"([^=:]*)([=:]?)(.*)", line.decode("latin-1")).groups()  # type: ignore[union-attr]
        if not equals or stream.tell() > _MOST_HEADER:
            raise ValueError("it has no MetaImage header that ends with ElementDataFile")
        fields[name.strip()] = value.strip()
    return fields


def _shape_of(fields: dict[str, str]) -> tuple[tuple[int, ...], int, np.dtype]:
    try:
        size = tuple(int(length) for length in fields["DimSize"].split())
        kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
        planes, rank = int(fields.get("ElementNumberOfChannels", 1)), int(fields["NDims"])
    except (LookupError, ValueError) as error:
        raise ValueError(f"its MetaImage header cannot be understood ({error})") from error
    if len(size) != rank or not 1 <= rank <= _MOST_AXES:
        raise ValueError(f"its header has the lengths {fields['DimSize']}, and {rank} axes")
    if kind not in _KINDS:
        raise Refused(f"voxels of the type {fields['ElementType']}, expected whole or floating-point numbers")
    order = "BinaryDataByteOrderMSB" if "BinaryDataByteOrderMSB" in fields else "ElementByteOrderMSB"
    big = _true(fields, order)
    return size, planes, np.dtype(_KINDS[kind]).newbyteorder(">" if big else "<")


def _true(fields: dict[str, str], name: str) -> bool:
    return fields.get(name, "False").lower() in ("true", "t", "1", "yes")


def _scaled(values: np.ndarray, fields: dict[str, str]) -> np.ndarray:
    """Values as the header scales them."""
    try:
        slope, shift = (
            float(fields.get(f"ElementToIntensityFunction{name}", usual))
            for name, usual in (("Slope", "1"), ("Offset", "0"))
        )
    except ValueError as error:
        raise ValueError(f"its MetaImage header cannot be understood ({error})") from error
    if (slope, shift) == (1, 0):
        return values
    if not (np.isfinite(slope) and np.isfinite(shift)) or slope == 0:
        raise ValueError(f"its header scales values by {slope:g} and shifts them by {shift:g}")
    return (values * slope + shift).astype(np.float32)


def _voxels(
    stream: BinaryIO, fields: dict[str, str], needed: int, kind: np.dtype, detached: Path | None = None
) -> np.ndarray:
    skip = int(fields.get("HeaderSize", 0))
    if not _true(fields, "BinaryData") and "BinaryData" in fields:
        return numbers_of(stream, needed, kind)
    start = stream.tell()
    length = stream.seek(0, 2) - start
    if skip < -1:
        raise ValueError(f"its header skips {skip} bytes")
    stream.seek(start + length - needed if skip == -1 else start + skip)
    if _true(fields, "CompressedData"):
        return _inflated(stream, needed)
    check_length(length, needed)
    return read_voxels(stream, needed, to_end=False, alone=None if skip else detached)


def _inflated(stream: BinaryIO, needed: int) -> np.ndarray:
    """So many bytes of a zlib or gzip stream, whose check sum is compared."""
    inflate, held, place, behind = zlib.decompressobj(zlib.MAX_WBITS | 32), np.empty(needed, np.uint8), 0, 0
    while not inflate.eof:
        feed = inflate.unconsumed_tail or stream.read(1 << 20)
        part = inflate.decompress(feed, 1 << 24)
        if not feed and not part:
            raise ValueError(f"the compressed voxels end early, after {place} bytes")
        used = min(len(part), needed - place)
        held[place : place + used] = np.frombuffer(part, np.uint8, used)
        place, behind = place + used, behind + len(part) - used
        if behind > MOST_TRAILING:
            raise Refused(f"more than {MOST_TRAILING >> 20} MiB follow the voxels that its header promises")
    check_length(place, needed)
    return held


def _place_of(fields: dict[str, str], rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def numbers(names: tuple[str, ...], default: np.ndarray) -> np.ndarray:
        name = next((name for name in names if name in fields), None)
        if name is None:
            return default
        found = np.array([float(word) for word in fields[name].split()])
        if found.size < default.size or not np.isfinite(found).all():
            raise ValueError(f"its header has {name} = {fields[name]}, expected {default.size} numbers")
        return found[: default.size]

    spacing = numbers(("ElementSpacing", "ElementSize"), np.ones(rank))
    origin = numbers(("Offset", "Position", "Origin"), np.zeros(rank))
    columns = numbers(("TransformMatrix", "Orientation", "Rotation"), np.eye(rank).ravel()).reshape(rank, rank)
    if not (spacing > 0).all():
        raise ValueError(f"its header has the spacing {spacing.tolist()}, expected positive numbers")
    if abs(abs(np.linalg.det(columns)) - 1) > 0.5:
        matrix = fields.get("TransformMatrix", "")
        raise Refused(f"its header has the directions (TransformMatrix) {matrix}, expected axes at right angles")
    scale = np.ones(rank)
    scale[:3] = factor_of(fields.get("DistanceUnits", "mm"), "DistanceUnits")  # a fourth axis is time
    return spacing * scale, origin * scale, columns.T.copy()


META = Format(
    thing="MetaImage file",
    suffixes=(".mha", ".mhd"),
    axes=("YX", "ZYX", "TYX"),
    read=read_meta,
    write=write_meta,
    masks={".mhd": ".mha"},
)
