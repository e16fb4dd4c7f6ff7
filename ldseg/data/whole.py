"""Whether a file is whole, for formats whose decoders forgive an early end or report damage on the screen only.

A check raises ValueError (or what gzip and zlib raise) that says what is missing.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_nifti(path: Path, header: Mapping[str, str]) -> None:
    """The voxels that the header promises are there; `header` is SimpleITK's."""
    rank = int(header["dim[0]"])
    voxels = math.prod(int(header[f"dim[{axis}]"]) for axis in range(1, rank + 1))
    needed = int(float(header["vox_offset"])) + voxels * int(header["bitpix"]) // 8
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    length = path.stat().st_size
    if packed:
        length = 0
        with gzip.open(path) as unpacked:  # to its end, so that the check sum is compared
            while chunk := unpacked.read(1 << 20):
                length += len(chunk)
    if length < needed:
        raise ValueError(f"it holds {length} bytes, its header promises {needed}")


def check_meta(path: Path) -> None:
    """A MetaImage (.mha, .mhd) has a header that can be understood, and the voxels that it promises."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while "ElementDataFile" not in fields:
            line = stream.readline(4096)
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
