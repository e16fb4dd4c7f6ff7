"""Decoders of flat pictures, chosen by the first bytes of a file and not by its name.

Decoders forgive a file that ends early (they fill the rest with gray or black), which is the last thing wanted of training
data or of a mask, so the structure of each format is checked as well.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ldseg.base.later import Later
from ldseg.io import apart
from ldseg.io.contract import Refused, check_size
from ldseg.io.lossless import is_lossless_avif, is_lossless_webp
from ldseg.io.pixels import ORIENTATION, PLANES, Pixels, by_pillow
from ldseg.io.png import PNG_START, read_png
from ldseg.io.streams import check_jpeg, coded_size, colours_of, frame_of, is_irreversible, whole_jpeg

if TYPE_CHECKING:
    import imagecodecs
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        MpoImagePlugin,
        WebPImagePlugin,
    )
else:
    imagecodecs = Later("imagecodecs")
    AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, MpoImagePlugin, WebPImagePlugin = (
        Later(f"PIL.{kind}ImagePlugin") for kind in ("Avif", "Bmp", "Gif", "Jpeg2K", "Jpeg", "Mpo", "WebP")
    )

_ENTRIES = 0xB002
"""The tag of MPO for its list of pictures."""


def decode(content: bytes) -> Pixels:
    """The pixels of a picture.

    Raises:
        Refused: a picture that is whole but is not read, such as one of many frames.
        ValueError: another kind of file, or a damaged one (and whatever decoders raise).
    """
    for magic, place, read in DECODERS:
        if content[place : place + len(magic)] == magic:
            return read(content)
    raise ValueError("not a BMP, PNG, TIFF or JPEG file, nor WebP, GIF, JPEG 2000, AVIF or PNM")


def _jpeg(content: bytes) -> Pixels:
    # Inside the coded pixels 0xFF is always followed by 0 or a restart mark, so an end mark after the last
    # start of scan is a true one; the one of a thumbnail comes earlier.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError(f"the JPEG file ends early, at byte {len(content)}")
    return replace(_pixels_of_jpeg(content), lossy="JPEG", pictures=_pictures_in_jpeg(content))


def _pixels_of_jpeg(content: bytes) -> Pixels:
    precision, height, width, planes = frame_of(content)
    check_size((height, width, planes), 1 if precision == 8 else 2)
    if precision != 8:
        check_jpeg(content)
        return Pixels(values=imagecodecs.jpeg_decode(content), bits=precision, orientation=_exif(content))
    kind = colours_of(content)
    if kind in ("Gray", "YCbCr", "RGB"):
        return Pixels(values=whole_jpeg(content, "GRAY" if kind == "Gray" else "RGB"), orientation=_exif(content))
    check_jpeg(content)  # of colours that Pillow alone turns to RGB, or thinned out as Pillow alone reads it
    return by_pillow(JpegImagePlugin.JpegImageFile, content)


def _exif(content: bytes) -> int:
    if b"Exif\0\0" not in content[: 1 << 17]:
        return 1
    with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as image:
        return int(image.getexif().get(ORIENTATION, 1))


def _pictures_in_jpeg(content: bytes) -> int:
    """The pictures of a file of several (MPO, CIPA DC-007), without smaller copies of the first."""
    if b"MPF\0" not in content[: 1 << 17]:
        return 1
    try:
        with MpoImagePlugin.MpoImageFile(io.BytesIO(content)) as image:
            kinds = [str(entry["Attribute"]["MPType"]) for entry in (image.mpinfo or {})[_ENTRIES]]
    except Exception:  # the list is damaged, which is no harm to the first picture
        return 1
    return 1 + sum("Thumbnail" not in kind for kind in kinds[1:])


def _bmp(content: bytes) -> Pixels:
    start, header, width, height, _, bits, compression, stored = struct.unpack_from("<IIiiHHII", content, 10)
    if header >= 40:  # otherwise the format of OS/2, whose fields differ; Pillow counts its bytes
        size = stored if compression in (1, 2) else (abs(width) * bits + 31) // 32 * 4 * abs(height)
        if start + size > len(content):
            raise ValueError(f"the BMP file ends at byte {len(content)}, its pixels at byte {start + size}")
    return by_pillow(BmpImagePlugin.BmpImageFile, content)


def gif_size(stream: BinaryIO) -> tuple[int, int, int]:
    """Frames, height and width of a GIF, by its blocks alone, few of which are in memory. The place in it is then elsewhere.

    Raises ValueError for one that ends early.
    """

    def take(count: int) -> bytes:
        found = stream.read(count)
        if len(found) < count:
            raise EOFError
        return found

    def skip_table(packed: int) -> None:
        if packed & 0x80:
            stream.seek(3 << (packed & 7) + 1, io.SEEK_CUR)

    frames = 0
    try:
        stream.seek(6)
        width, height, packed = struct.unpack("<HHB2x", take(7))
        skip_table(packed)
        while (kind := take(1)) != b"\x3b":  # the end mark
            if kind == b"\x2c":
                frames += 1
                left, top, wide, high, packed = struct.unpack("<4HB", take(9))
                width, height = max(width, left + wide), max(height, top + high)  # Pillow makes the picture larger
                skip_table(packed)
                take(1)
            elif kind == b"\x21":
                take(1)
            elif kind == b"\0":  # what programs leave between the parts
                continue
            else:
                raise ValueError(f"the GIF is damaged at byte {stream.tell() - 1}")
            while length := take(1)[0]:
                stream.seek(length, io.SEEK_CUR)
    except EOFError:
        raise ValueError(f"the GIF ends early, at byte {stream.seek(0, io.SEEK_END)}") from None
    return frames, height, width


def _gif(content: bytes) -> Pixels:
    frames, height, width = gif_size(io.BytesIO(content))
    check_size((max(frames, 1), height, width), 1)
    if frames != 1:
        raise Refused(f"{frames} frames, expected one picture")
    return by_pillow(GifImagePlugin.GifImageFile, content)


def _webp(content: bytes) -> Pixels:
    if content[8:12] != b"WEBP":
        raise ValueError("not a WebP file")
    if 8 + struct.unpack_from("<I", content, 4)[0] > len(content):
        raise ValueError(f"the WebP file ends early, at byte {len(content)}")
    apart.needed()
    pixels = by_pillow(WebPImagePlugin.WebPImageFile, content)
    return pixels if is_lossless_webp(content) else replace(pixels, lossy="WebP")


def _jpeg2000(content: bytes) -> Pixels:
    with Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(content)) as image:  # reads the header alone
        size = (image.height, image.width)
        check_size((*size, PLANES.get(image.mode, 4)), 2)
        if coded_size(content) != size:
            raise ValueError(f"its pixels are {coded_size(content)}, its header promises {size}")
        palette = image.mode == "P"
    if not content.endswith(b"\xff\xd9"):
        raise ValueError(f"the JPEG 2000 file ends early, at byte {len(content)}")
    if palette:
        raise Refused("a JPEG 2000 file with a palette, which is not read; save it as PNG")
    apart.needed()
    values = imagecodecs.jpeg2k_decode(content)
    bits = (content[content.find(b"\xff\x4f\xff\x51") + 42] & 127) + 1  # T.800, A.5.1
    known = bits if bits < 16 and values.dtype.kind == "u" else None
    return Pixels(values=values, bits=known, lossy="JPEG 2000" if is_irreversible(content) else "")


def _avif(content: bytes) -> Pixels:
    if content[8:12] not in (b"avif", b"avis"):
        raise Refused("a file of the kind of HEIC or MP4, which is not read as a picture; save it as PNG")
    apart.needed()
    depth, lossy = _avif_depth(content), "" if is_lossless_avif(content) else "AVIF"
    if depth == 8:
        return replace(by_pillow(AvifImagePlugin.AvifImageFile, content), lossy=lossy)
    with AvifImagePlugin.AvifImageFile(io.BytesIO(content)) as image:  # it would round values to 8 bits
        check_size((image.height, image.width, 4), 2)
    if b"irot" in content or b"imir" in content:
        raise Refused(f"an AVIF of {depth} bits that is to be turned, which is not read; save it as PNG")
    return Pixels(values=imagecodecs.avif_decode(content), bits=depth, lossy=lossy)


def _avif_depth(content: bytes) -> int:
    """The bits of a value: 8, 10 or 12 (AV1 in ISOBMFF, section 2.3)."""
    place = content.find(b"av1C")
    flags = content[place + 6] if 0 <= place < len(content) - 6 else 0
    return 8 if not flags & 64 else 12 if flags & 32 else 10


def _pnm(content: bytes) -> Pixels:
    """PBM, PGM and PPM, plain and packed: the values as stored, whatever their highest."""
    kind, place = int(content[1:2]), 2
    numbers: list[int] = []
    wanted = 2 if kind in (1, 4) else 3
    while len(numbers) < wanted:
        while content[place : place + 1].isspace():
            place += 1
        if content[place : place + 1] == b"#":
            place = content.index(b"\n", place)
            continue
        end = place
        while content[end : end + 1].isdigit():
            end += 1
        numbers.append(int(content[place:end]))
        place = end
    (width, height), top = numbers[:2], numbers[2] if wanted == 3 else 1
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    depth = np.dtype("u1" if top < 256 else ">u2")
    if not 0 < top < 65536:
        raise ValueError(f"its highest value is {top}, expected 1 to 65535")
    check_size(shape, depth.itemsize)
    if kind == 4:
        rows = np.frombuffer(content, np.uint8, height * ((width + 7) // 8), place + 1).reshape(height, -1)
        return Pixels(values=np.unpackbits(rows, axis=1, count=width) == 0)
    if kind in (5, 6):
        count = int(np.prod(shape))
        behind = len(content) - place - 1 - count * depth.itemsize
        if content[place : place + 2] == b"\r\n" and behind == 1:
            place += 1  # the end of a line as Windows writes it
        if content[place + 1 : place + 2] == b"#" and content[place + behind : place + behind + 1] == b"\n":
            place += behind  # a comment that ends where the pixels begin
        values = np.frombuffer(content, depth, count, place + 1)
        if content[place + 1 + values.nbytes :].lstrip()[:2] == content[:2]:
            raise Refused("several pictures in one file, expected one")
    else:
        text = b"\n".join(line.partition(b"#")[0] for line in content[place:].splitlines())
        digits = [bytes([c]) for c in text if c in b"01"] if kind == 1 else text.split()
        values = np.array(digits[: int(np.prod(shape))]).astype(int)
    values = values.reshape(shape)
    if kind == 1:
        return Pixels(values=values == 0)
    if values.min() < 0 or values.max() > top:
        raise ValueError(f"it holds values from {values.min()} to {values.max()}, its header promises 0 to {top}")
    return Pixels(values=values.astype(np.uint16 if top > 255 else np.uint8), bits=int(top).bit_length())


DECODERS: tuple[tuple[bytes, int, Callable[[bytes], Pixels]], ...] = (
    (PNG_START, 0, read_png),
    (b"\xff\xd8", 0, _jpeg),
    (b"BM", 0, _bmp),
    (b"GIF8", 0, _gif),
    (b"RIFF", 0, _webp),
    (b"\0\0\0\x0cjP  ", 0, _jpeg2000),
    (b"\xff\x4f\xff\x51", 0, _jpeg2000),
    (b"ftyp", 4, _avif),
    *((f"P{kind}".encode(), 0, _pnm) for kind in range(1, 7)),
)
"""The first bytes, where they stand, and the decoder of each kind of picture."""
