"""Whether a file is whole, for formats whose decoders forgive an early end or report damage on the screen only.

A check raises ValueError (or what gzip and zlib raise) that says what is missing.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

NIFTI = {
    1: np.dtype(
        {
            "names": [
                "sizeof_hdr", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "xyzt_units", "toffset", "codes", "forms",
                "magic",
            ],
            "formats": ["<i4", "<8i2", "<i2", "<i2", "<8f4", "<f4", "u1", "<f4", "<2i2", "<18f4", "S4"],
            "offsets": [0, 40, 70, 72, 76, 108, 123, 136, 252, 256, 344],
        }
    ),
    2: np.dtype(
        {
            "names": ["sizeof_hdr", "magic", "datatype", "bitpix", "dim", "vox_offset"],
            "formats": ["<i4", "S8", "<i2", "<i2", "<8i8", "<i8"],
            "offsets": [0, 4, 12, 14, 16, 168],
        }
    ),
}  # fmt: skip
"""Where a header of NIfTI, by its version, has what is needed here; `codes` and `forms` are those of qform and sform."""

_NIFTI_TYPES = {2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304}
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def nifti_header(path: Path) -> tuple[np.ndarray, int]:
    """The header of a NIfTI file, packed or not, by the names in NIFTI, and its version, 1 or 2."""
    with open_nifti(path) as stream:
        content = stream.read(540).ljust(540, b"\0")
    for version, kind in NIFTI.items():
        for ordered in (kind, kind.newbyteorder(">")):
            header = np.frombuffer(content, ordered, 1)[0]
            if header["sizeof_hdr"] == (348, 540)[version - 1] and header["magic"][:2] == b"n+":
                return header, version
    raise ValueError("it has no NIfTI header")


def open_nifti(path: Path) -> BinaryIO | gzip.GzipFile:
    """A NIfTI file, unpacked."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def check_nifti(path: Path) -> int:
    """The voxels that the header promises are there, and how many of them are no finite numbers.

    SimpleITK fills in zeros for either.
    """
    header, _ = nifti_header(path)
    dim, kind = header["dim"].astype(int), int(header["datatype"])
    if not (1 <= dim[0] <= 7 and (dim[1 : dim[0] + 1] > 0).all() and kind in _NIFTI_TYPES):
        raise ValueError(f"its header has the lengths {dim.tolist()} and the type {kind}")
    start = max(int(header["vox_offset"]), int(header["sizeof_hdr"]))
    needed = start + math.prod(dim[1 : dim[0] + 1].tolist()) * int(header["bitpix"]) // 8
    floats = np.dtype({16: "f4", 64: "f8"}.get(kind, "u1")).newbyteorder(header.dtype["datatype"].byteorder)
    with open_nifti(path) as stream:
        length, bad = len(stream.read(start)), 0
        while chunk := stream.read(1 << 20):  # to the end, so that gzip compares the check sum
            length += len(chunk)
            values = np.frombuffer(chunk[: len(chunk) // floats.itemsize * floats.itemsize], floats)
            bad += int(values.size - np.isfinite(values).sum()) if kind in (16, 64) else 0
    if length < needed:
        raise ValueError(f"it holds {length} bytes, its header promises {needed}")
    return bad


def check_meta(path: Path) -> None:
    """A MetaImage (.mha, .mhd) has a header that can be understood, and the voxels that it promises."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while "ElementDataFile" not in fields:
            line = stream.readline(4096)
            if line and not line.strip():
                continue
            name, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                raise ValueError("it has no MetaImage header that ends with ElementDataFile")
            fields[name.strip()] = value.strip()
        start = stream.tell()
    try:
        size = [int(length) for length in fields["DimSize"].split()]
        kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
        element = _META_BYTES[kind if kind in _META_BYTES else kind.removeprefix("U")]
        if len(size) != int(fields["NDims"]):
            raise ValueError("NDims and DimSize do not agree")
    except (LookupError, ValueError) as error:
        raise ValueError(f"its MetaImage header cannot be understood ({error})") from error
    needed = math.prod(size) * element * int(fields.get("ElementNumberOfChannels", 1))
    data = path
    if fields["ElementDataFile"].upper() != "LOCAL":
        if fields["ElementDataFile"].upper().startswith("LIST") or "%" in fields["ElementDataFile"]:
            raise ValueError("its voxels lie in a list of files, expected one")
        data, start = path.with_name(fields["ElementDataFile"]), 0
    length = data.stat().st_size - start
    if fields.get("CompressedData", "").lower() == "true":
        length = _inflated(data, start)
    if length < needed:
        raise ValueError(f"{data.name} holds {length} bytes of voxels, the header promises {needed}")


def _inflated(path: Path, start: int) -> int:
    inflate, length = zlib.decompressobj(zlib.MAX_WBITS | 32), 0  # zlib or gzip
    with path.open("rb") as stream:
        stream.seek(start)
        while not inflate.eof:
            chunk = stream.read(1 << 20)
            if not chunk:
                raise ValueError(f"the compressed voxels end early, after {length} bytes")
            length += len(inflate.decompress(chunk))
    return length


def check_film(path: Path) -> None:
    """The outermost parts of an AVI, MP4 or GIF end where the file does, or before."""
    end = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head.startswith(b"GIF8"):
            stream.seek(max(end - 64, 0))
            if not stream.read().rstrip(b"\0").endswith(b";"):
                raise ValueError(f"the GIF ends early, at byte {end}")
        elif head.startswith(b"RIFF"):
            _check_end(8 + struct.unpack_from("<I", head, 4)[0], end)
        elif head[4:8] == b"ftyp":
            place = 0
            while place < end:
                stream.seek(place)
                size, _ = struct.unpack(">I4s", stream.read(8).ljust(8, b"\0"))
                if size == 1:
                    (size,) = struct.unpack(">Q", stream.read(8).ljust(8, b"\0"))
                if size == 0:  # to the end of the file
                    return
                place += max(size, 8)
            _check_end(place, end)


def _check_end(declared: int, end: int) -> None:
    if declared > end:
        raise ValueError(f"the file ends at byte {end}, what it holds at byte {declared}")
