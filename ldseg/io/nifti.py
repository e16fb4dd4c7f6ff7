"""NIfTI-1 and -2, packed or not, in one file or two, and Analyze 7.5; headers through nibabel.

NIfTI counts x to the right and y to the front, `Geometry` to the left and to the back: both signs are turned.
"""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ldseg.base.writing import write_bytes
from ldseg.io.contract import Content, Format, Refused, check_file, said_once
from ldseg.io.geometry import TOLERANCE, Geometry
from ldseg.io.units import millimetres
from ldseg.io.volumes import CutShort, check_volume, placed, read_voxels

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_PLACE = (
    *("xyzt_units", "toffset", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
"""The fields that say where the voxels lie, beside `pixdim`."""
_COLOURS = {128: 3, 2304: 4}
"""Values of the types for colours."""
_UNITS = {1: 1000.0, 3: 0.001}
"""mm of the units of length that are not mm."""
_VECTOR = 5
"""The axis in which a voxel of several values has them."""


def read_nifti(path: Path, axes: str, label: bool = False) -> Content:
    """Read a file as `Format.read` asks. Values are scaled where the header says so."""
    header, single = _header_of(path)
    size, planes = _size_of(header)
    kind, colours = _type_of(header)
    # Values of a voxel lie side by side as colours, and each in a volume of its own as vectors.
    needed = check_volume(size, planes * colours, kind, axes)
    spacing, origin, direction = _place_of(header, len(size), str(path))
    start = float(header["vox_offset"])
    if not (np.isfinite(start) and 0 <= start < 2**40):
        raise ValueError(f"its header places the voxels at byte {start:g}")
    starts = _starts_of(path, header, int(start), needed) if single else (int(start),)
    held = _held(path if single else _voxels_of(path), starts, needed)
    if colours > 1:
        values = held.view(kind).reshape(*size[::-1], colours)
    else:
        values = np.moveaxis(held.view(kind).reshape(planes, *size[::-1]), 0, -1)
    place = spacing, origin, direction
    # Of colours the fields of the scale mean nothing (nifti1.h).
    scaled = values if int(header["datatype"]) in _COLOURS else _scaled(values, header)
    return placed(scaled, size, *place, axes, source=str(path), label=label, colours=colours > 1)


def _starts_of(path: Path, header: Any, start: int, needed: int) -> tuple[int, ...]:
    """Where voxels may begin in the file of their header: some programs tell a place within it, or none at all.

    Four bytes tell of extensions. Some programs leave them out; some tell the place before them, which the length shows.
    """
    length = int(header.template_dtype.itemsize)
    if start >= length + 4 or (start >= length and not _ends_at(path, length + 4 + needed)):
        return (start,)
    return length + 4, length


def _ends_at(path: Path, end: int) -> bool:
    """Whether a file, unpacked where it is packed, has so many bytes."""
    left = b""
    with _opened(path) as stream, contextlib.suppress(gzip.BadGzipFile):  # for bytes behind; check sums are compared later
        stream.seek(end - 1)
        left = stream.read(1)
        left += stream.read(1)
    return len(left) == 1


def _held(path: Path, starts: tuple[int, ...], needed: int) -> np.ndarray:
    """So many bytes of a file from the first of several places on from which it holds them."""
    for start in starts:
        try:
            with _opened(path) as stream:
                stream.seek(start)
                packed = isinstance(stream, gzip.GzipFile)
                return read_voxels(stream, needed, to_end=packed, alone=None if start or packed else path)
        except CutShort:
            if start == starts[-1]:
                raise
    raise AssertionError


def write_nifti(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write values (*S), as `Format.write` asks; where the image is NIfTI too, the numbers of its place are kept."""
    return _write(path, values, geometry or Geometry.upright(values.shape, (1.0,) * values.ndim), like, ())


def write_nifti_channels(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write values (*S, c), c behind the axes of space, as readers of several volumes expect it, or behind that of time."""
    geometry = geometry or Geometry.upright(values.shape[:-1], (1.0,) * (values.ndim - 1))
    alone = (1,) * max(0, 3 - len(geometry.size))
    return _write(path, np.moveaxis(values, -1, 0), geometry, like, (*alone, values.shape[-1]))


def _write(path: Path, values: np.ndarray, geometry: Geometry, like: Path | None, more: tuple[int, ...]) -> Path:
    """Write values in the order of the file, with further axes of these lengths."""
    import nibabel  # here, and likewise below: a run without such files begins sooner

    header = nibabel.Nifti1Header()
    source = _header_of(like)[0] if like is not None and like.name.lower().endswith((*NIFTI_SUFFIXES, ".hdr")) else None
    if source is not None and source["sizeof_hdr"] == 540:
        header = nibabel.Nifti2Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape((*geometry.size, *more))
    if source is not None and isinstance(source, nibabel.Nifti1Header):
        header["pixdim"] = source["pixdim"]
        for name in _PLACE:
            header[name] = source[name]
    else:
        _put(header, geometry)
    header["vox_offset"] = header.single_vox_offset
    content = header.binaryblock + bytes(header.single_vox_offset - len(header.binaryblock)) + values.tobytes()
    if path.suffix == ".gz":
        content = gzip.compress(content, 6, mtime=0)
    return write_bytes(path, content)


def _put(header: Any, geometry: Geometry) -> None:
    rank = len(geometry.size)
    space = min(rank, 3)
    turn = np.eye(4)
    turn[:space, :space] = np.array(geometry.direction).reshape(rank, rank)[:space, :space]
    turn[:space, 3] = geometry.origin[:space]
    turn[:2] *= -1
    scale = np.diag([*geometry.spacing[:space], *[1.0] * (4 - space)])
    header["pixdim"][1 : rank + 1] = geometry.spacing
    affine = turn.copy()
    affine[:3, :3] = turn[:3, :3] @ scale[:3, :3]
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header["pixdim"][1 : rank + 1] = geometry.spacing
    header["xyzt_units"] = 10 if rank > 3 else 2  # mm, and seconds
    if rank > 3:
        header["toffset"] = geometry.origin[3]


def _header_of(path: Path) -> tuple[Any, bool]:
    """The header, of the class of nibabel that it has, and whether the voxels are in the same file."""
    import nibabel

    with _opened(path) as stream:
        content = stream.read(540)
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        length = kind.template_dtype.itemsize
        for order in ("<", ">"):
            if len(content) >= length and int.from_bytes(content[:4], "little" if order == "<" else "big") == length:
                header = kind(content[:length], endianness=order, check=False)
                magic = bytes(header["magic"])[:2]
                if magic in (b"n+", b"ni"):
                    return header, magic == b"n+"
                if path.suffix.lower() == ".hdr" and length == 348:
                    return nibabel.AnalyzeHeader(content[:length], endianness=order, check=False), False
    raise ValueError("it has no NIfTI header")


def _opened(path: Path) -> BinaryIO:
    """A file, unpacked where its content is packed, whatever its name."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _voxels_of(path: Path) -> Path:
    """The second file of a pair."""
    for suffix in (".img", ".IMG", ".img.gz"):
        if path.with_suffix(suffix).exists():
            check_file(path.with_suffix(suffix))
            return path.with_suffix(suffix)
    raise Refused(f"its voxels are in another file, expected {path.with_suffix('.img').name} beside it")


def _size_of(header: Any) -> tuple[tuple[int, ...], int]:
    """Lengths of the axes, and the values of each voxel. Axes of length 1 at the end, from the fourth on, are left out."""
    dim = [int(length) for length in header["dim"]]
    size, planes = dim[1 : dim[0] + 1], 1
    size[3:] = [length or 1 for length in size[3:]]  # programs leave them at 0, and others read that as 1
    if not 1 <= dim[0] <= 7 or min(size) < 1:
        raise ValueError(f"its header has the lengths {dim}")
    if len(size) == _VECTOR:
        planes, size = size[-1], size[:-1]
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    return tuple(size), planes


def _type_of(header: Any) -> tuple[np.dtype, int]:
    """The type of the values, and how many of them a voxel of colours has."""
    code = int(header["datatype"])
    if code in _COLOURS:
        return np.dtype(np.uint8), _COLOURS[code]
    kinds = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
    if code not in kinds:
        raise Refused(f"voxels of the NIfTI type {code}, expected whole or floating-point numbers or RGB")
    return np.dtype(kinds[code]).newbyteorder(header.endianness), 1


def _scaled(values: np.ndarray, header: Any) -> np.ndarray:
    import nibabel

    if isinstance(header, nibabel.Nifti1Header):
        slope, shift = float(header["scl_slope"]), float(header["scl_inter"])
    else:  # Analyze, where SPM and others have the scale
        slope, shift = float(header["funused1"]), 0.0
    if not np.isfinite(slope) or slope == 0 or (slope, shift) == (1, 0):
        return values
    if not np.isfinite(shift):
        raise ValueError(f"its header scales values by {slope:g} and shifts them by {shift:g}")
    scaled = np.empty(values.shape, np.float32)
    for part, target in zip(values, scaled, strict=True):  # a slice at a time, to spare memory
        target[...] = part * slope + shift
    return scaled


def _place_of(header: Any, rank: int, source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spacing, origin and direction of each axis of the file.

    The sform counts where it is a turn or slightly sheared, else the qform; without either the file lies along the axes of
    the world. Spacing is that of `pixdim`, unless the sform counts and has other lengths. Both are in mm.
    """
    import nibabel

    steps, space = header["pixdim"].astype(float), min(rank, 3)
    spacing = np.ones(rank)
    given = abs(steps[1 : rank + 1])
    if not np.isfinite(given).all():
        raise ValueError(f"its header has the spacing {given.tolist()}")
    spacing[given > 0] = given[given > 0]
    untold = [axis for axis, length in enumerate(header["dim"][1 : space + 1]) if length > 1 and not given[axis]]
    turn, place = np.eye(3), np.zeros(3)
    signs = -1
    if isinstance(header, nibabel.Nifti1Header):
        if header["sform_code"] > 0 or header["qform_code"] > 0:
            turn, place, lengths = _turned(header)
            if lengths is not None and (abs(lengths[:space] - given[:3]) > TOLERANCE * lengths[:space]).any():
                if (given[:3] > 0).all():
                    _say_lengths(source, lengths, given)
                spacing[:3], untold = lengths[:space], []
        else:
            signs = 1  # as ITK has it: nothing tells where left is
    direction, origin = np.eye(max(rank, 3)), np.zeros(max(rank, 3))
    direction[:3, :3] = turn
    direction[:2, :3] *= signs
    origin[:3] = place
    origin[:2] *= signs
    if rank > 3 and isinstance(header, nibabel.Nifti1Header) and np.isfinite(header["toffset"]):
        origin[3] = float(header["toffset"])
    if untold:
        told = f"{source}: its header has 0 for the size of its voxels along {' and '.join('xyz'[axis] for axis in untold)}"
        said_once("zero of NIfTI", f"{told}: taken as 1 (said once)")
    unit = _unit_of(header, source)
    spacing[:3], origin[:3] = spacing[:3] * unit, origin[:3] * unit
    return spacing, origin[:rank] + 0.0, direction[:rank, :rank] + 0.0


def _unit_of(header: Any, source: str) -> float:
    """mm in the unit of a header's lengths; 1 where it does not say."""
    import nibabel

    if not isinstance(header, nibabel.Nifti1Header):  # Analyze, where some programs write it in letters
        return millimetres(bytes(header["vox_units"]).split(b"\0")[0].decode("latin-1")) or 1.0
    code = int(header["xyzt_units"]) & 7
    if code not in (0, 2, *_UNITS):
        said_once(
            "unit of NIfTI", f"{source}: its header has lengths in a unit of the code {code}, which is none: taken as mm"
        )
    return _UNITS.get(code, 1.0)  # metres or micrometres, as ITK has it


def _say_lengths(source: str, lengths: np.ndarray, given: np.ndarray) -> None:
    told, other = (" × ".join(f"{length:.4g}" for length in part[:3]) for part in (lengths, given))
    said_once(
        "lengths of NIfTI", f"{source}: its sform has voxels of {told}, its pixdim of {other}: the sform counts (said once)"
    )


def _turned(header: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The directions of the axes as columns, and the place of the first voxel, as NIfTI counts; of an sform its lengths."""
    import nibabel.quaternions

    used = ["srow_x", "srow_y", "srow_z"] if header["sform_code"] > 0 else []
    used += [f"quatern_{axis}" for axis in "bcd"] + [f"qoffset_{axis}" for axis in "xyz"] if header["qform_code"] > 0 else []
    for name in used:
        if not np.isfinite(header[name]).all():
            raise ValueError(f"its header has {name} = {np.ravel(header[name]).tolist()}")
    rows = np.array([header[f"srow_{axis}"] for axis in "xyz"], float)
    lengths = np.sqrt((rows[:, :3] ** 2).sum(axis=0)) if header["sform_code"] > 0 else np.zeros(3)
    usable = bool(np.isfinite(lengths).all() and (lengths > 0).all())
    columns = rows[:, :3] / np.where(lengths > 0, lengths, 1)
    right = usable and bool(abs(columns.T @ columns - np.eye(3)).max() < TOLERANCE)
    if header["qform_code"] > 0 and not right:
        quaternion = np.array([header[f"quatern_{axis}"] for axis in "bcd"], float)
        place = np.array([header[f"qoffset_{axis}"] for axis in "xyz"], float)
        if (quaternion**2).sum() < 1 + TOLERANCE:
            full = nibabel.quaternions.fillpositive(quaternion, w2_thresh=-2 * TOLERANCE)
            turn = nibabel.quaternions.quat2mat(full)
            turn[:, 2] *= -1 if header["pixdim"][0] < 0 else 1
            return turn, place, None
    if usable:
        if abs(np.linalg.det(columns)) < 0.5:
            raise Refused("the axes of its sform are not near to right angles; resample it first")
        return columns, rows[:, 3], lengths
    return np.eye(3), np.zeros(3), None


NIFTI = Format(
    thing="NIfTI file",
    suffixes=(*NIFTI_SUFFIXES, ".hdr"),
    axes=("YX", "ZYX", "TYX"),
    read=read_nifti,
    write=write_nifti,
    masks={".hdr": ".nii.gz"},
)
