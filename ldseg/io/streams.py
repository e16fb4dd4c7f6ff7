"""Streams of JPEG, JPEG-LS and JPEG 2000, as files, TIFF and DICOM hold them: their headers, and whether they are whole."""

from __future__ import annotations

import re
import struct

import numpy as np
import simplejpeg

from ldseg.io.contract import Refused
from ldseg.io.huffman import check_coded


def check_jpeg(content: bytes) -> None:
    """Raises ValueError for a stream of JPEG that lacks pixels, which other decoders pass over."""
    if is_lossless(content):  # its decoders tell by themselves
        return
    precision = frame_of(content)[0]
    if precision != 8:
        check_coded(content)
        return
    kind = colours_of(content)
    if not kind:
        check_coded(content)
        return
    target = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}.get(kind, "CMYK")
    whole_jpeg(content, target, min_height=1, min_width=1)  # an eighth of the size is enough to read all of the stream


def whole_jpeg(content: bytes, target: str, **smallest: int) -> np.ndarray:
    """A JPEG of 8 bits in the colours of TurboJPEG that are named. Raises ValueError where it lacks pixels."""
    try:
        return simplejpeg.decode_jpeg(content, target, strict=True, **smallest)
    except ValueError as error:
        if not is_padded(error) or not check_coded(content):
            raise
    return simplejpeg.decode_jpeg(content, target, strict=False, **smallest)


def is_padded(error: ValueError) -> bool:
    """Whether a decoder complains of nothing but a byte or two behind coded pixels, which some cameras add."""
    return re.search(r": [12] extraneous bytes before marker 0xd[0-79]", str(error)) is not None


def is_lossless(content: bytes) -> bool:
    """Whether a JPEG is lossless, by its header: the mark of such may stand in a profile of colours, too."""
    try:
        frame_of(content)
    except Refused:
        return True
    return False


def colours_of(content: bytes) -> str:
    """The colours of a JPEG of 8 bits (Gray, YCbCr, RGB, CMYK, YCCK); empty where TurboJPEG does not know their sampling."""
    try:
        return str(simplejpeg.decode_jpeg_header(content)[2])
    except ValueError as error:
        if "subsampling" in str(error):
            return ""
        raise


def coded_size(content: bytes) -> tuple[int, int]:
    """Height and width in the header of a stream of JPEG, JPEG-LS or JPEG 2000, before it is decoded."""
    if content.startswith(b"\xff\xd8"):
        return frame_of(content, lossless=True)[1:3]
    place = content.find(b"\xff\x4f\xff\x51")
    if place < 0:
        raise ValueError("it has no header with its size")
    right, bottom, left, top = struct.unpack_from(">4I", content, place + 8)
    return bottom - top, right - left


def colours_are_mixed(content: bytes) -> bool:
    """Whether a stream of JPEG 2000 has its colours mixed to brightness and two differences, which its decoder undoes."""
    style = _coding_style(content)
    return style[8:9] == b"\1"


def is_irreversible(content: bytes) -> bool:
    """Whether a stream of JPEG 2000 is coded with loss, by its wavelet (9-7).

    One of the other wavelet (5-3) from which an encoder left out the last passes, to reach a size, is not told from a whole
    one: how many passes there were stands nowhere, and no library counts those that are left.
    """
    style = _coding_style(content)
    return style[13:14] == b"\0"


def is_near(content: bytes) -> bool:
    """Whether a stream of JPEG-LS allows its values to differ from what they were (NEAR, T.87, C.2.3)."""
    place = content.find(b"\xff\xda", max(content.find(b"\xff\xf7"), 0))
    near = place + 5 + 2 * content[place + 4] if 0 <= place < len(content) - 4 else len(content)
    return near >= len(content) or content[near] > 0


def _coding_style(content: bytes) -> bytes:
    """The segment COD of a stream of JPEG 2000, with its mark (T.800, A.6.1); empty without one."""
    place = content.find(b"\xff\x4f\xff\x51") + 2
    while place + 9 <= len(content):
        mark, length = struct.unpack_from(">HH", content, place)
        if mark == 0xFF52:
            return content[place : place + 2 + length]
        place += 2 + length
    return b""


def frame_of(content: bytes, lossless: bool = False) -> tuple[int, int, int, int]:
    """Precision, height, width and planes in the header of a JPEG."""
    place = 2
    while place + 10 <= len(content):
        mark, length = struct.unpack_from(">HH", content, place)
        if mark == 0xFFFF:  # filling
            place += 1
        elif mark == 0xFFF7 or (0xFFC0 <= mark <= 0xFFCF and mark not in (0xFFC4, 0xFFC8, 0xFFCC)):
            if not lossless and mark in (0xFFC3, 0xFFC7, 0xFFCB, 0xFFCF, 0xFFF7):
                raise Refused("a lossless JPEG, which is not read; save it as PNG or TIFF")
            return struct.unpack_from(">BHHB", content, place + 4)
        elif mark < 0xFF00 or length < 2:
            break
        else:
            place += 2 + length
    raise ValueError("the JPEG file has no header with its size")
