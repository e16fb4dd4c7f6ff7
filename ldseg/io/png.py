"""PNG: chunks are walked through, check sums included, and their rows counted, before they are decoded."""

from __future__ import annotations

import io
import itertools
import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from ldseg.base.later import Later
from ldseg.io.contract import check_size
from ldseg.io.pixels import ORIENTATION, Pixels, by_pillow

if TYPE_CHECKING:
    from PIL import PngImagePlugin
else:
    PngImagePlugin = Later("PIL.PngImagePlugin")

# Of woven rows, and of rows that lack, imagecodecs logs a warning; the error says it.
logging.getLogger("imagecodecs").setLevel(logging.CRITICAL)

Chunk = tuple[bytes, int, int]
"""The kind of a chunk, and where it begins and ends."""
PNG_START = b"\x89PNG\r\n\x1a\n"
_OF_FRAMES = (b"acTL", b"fcTL", b"fdAT")
"""The chunks that an animation has beside those of a picture."""
_SPARE = 1 << 16
"""Bytes of packed rows beyond what deflate makes of rows that it cannot make shorter."""
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Top, left and steps down and to the right of the passes in which woven rows are stored (PNG, section 8.2)."""


def read_png(content: bytes) -> Pixels:
    """Walk the chunks to the end mark, check sums included, then decode."""
    chunks = list(_chunks(content))
    animated = any(kind in _OF_FRAMES for kind, _, _ in chunks)
    if animated and _pictures(content, chunks) == 1:  # a picture like others, of whose 16 bits Pillow makes 8
        content = _without(content, chunks, *_OF_FRAMES)
        chunks = list(_chunks(content))
    return _whole_png(content, chunks)


def _whole_png(content: bytes, chunks: list[Chunk]) -> Pixels:
    kinds = {kind for kind, _, _ in chunks}
    packed = sum(end - start - 12 for kind, start, end in chunks if kind == b"IDAT")
    width, height, bits, colours, _, _, woven = struct.unpack_from(">IIBBBBB", content, 16)
    planes = {0: 1, 2: 3, 4: 2, 6: 4}.get(colours)
    if b"IDAT" not in kinds or (colours == 3 and b"PLTE" not in kinds):
        raise ValueError(f"the PNG file has no {'pixels' if b'IDAT' not in kinds else 'palette'}")
    needed = _unpacked((height, width), bits * (planes or 1), bool(woven))
    if packed > needed + needed // 8 + _SPARE:  # what inflates for minutes
        raise ValueError(f"it holds {packed} bytes of packed rows, which are {needed} bytes unpacked")
    if b"acTL" in kinds or planes is None or bits < 8:
        _check_rows(content, chunks, needed)
        pixels = by_pillow(PngImagePlugin.PngImageFile, content)
        if colours != 0 or bits not in (2, 4):
            return pixels
        return replace(pixels, steps=255 // (2**bits - 1))
    check_size((height, width, planes), bits // 8)
    orientation = 1
    if b"eXIf" in kinds:
        with PngImagePlugin.PngImageFile(io.BytesIO(content)) as image:
            orientation = int(image.getexif().get(ORIENTATION, 1))
    # Of 16 bits and one colour that is transparent decoders make 8 bits, or a plane more.
    values = imagecodecs.png_decode(_without(content, chunks, b"tRNS") if b"tRNS" in kinds else content)
    if values.shape[:2] != (height, width):
        raise ValueError(f"its pixels are {values.shape[:2]}, its header promises {(height, width)}")
    key = next((content[start + 8 : end - 4] for kind, start, end in chunks if kind == b"tRNS"), b"")
    seen = np.ones(1, bool)
    if len(key) == 2 * planes:  # one colour is transparent
        seen = (values.reshape(height, width, planes) != np.frombuffer(key, ">u2")).any(axis=-1)
    return Pixels(values=values, orientation=orientation, transparent=bool(seen.any() and not seen.all()))


def _chunks(content: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG up to its end mark.

    Raises:
        ValueError: their check sums are wrong, the first is no header, or there is no end mark.
    """
    place = len(PNG_START)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if end > len(content):
            break
        if zlib.crc32(memoryview(content)[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            raise ValueError(f"wrong check sum in PNG chunk {kind.decode('latin-1')} at byte {place}")
        if place == len(PNG_START) and kind != b"IHDR":
            raise ValueError(f"its first chunk is {kind.decode('latin-1')}, expected IHDR")
        yield kind, place, end
        if kind == b"IEND":
            return
        place = end
    raise ValueError(f"the PNG file ends early, at byte {len(content)}")


def _pictures(content: bytes, chunks: list[Chunk]) -> int:
    """The frames that stand before the pixels as told, and one more where these are none of them."""
    before = list(itertools.takewhile(lambda chunk: chunk[0] != b"IDAT", chunks))
    told = [int.from_bytes(content[start + 8 : start + 12], "big") for kind, start, _ in before if kind == b"acTL"]
    return max(sum(told) + (b"fcTL" not in [kind for kind, _, _ in before]), 1) if told else 1


def _without(content: bytes, chunks: list[Chunk], *left_out: bytes) -> bytes:
    """A PNG without the chunks of some kinds."""
    return PNG_START + b"".join(content[start:end] for kind, start, end in chunks if kind not in left_out)


def _unpacked(size: tuple[int, int], bits: int, woven: bool) -> int:
    """The bytes of the rows of a PNG of so many bits a pixel, each with that of its filter."""
    parts = _PASSES if woven else ((0, 0, 1, 1),)
    sizes = [(-(-(size[0] - top) // down), -(-(size[1] - left) // right)) for top, left, down, right in parts]
    return sum(high * (1 + (wide * bits + 7) // 8) for high, wide in sizes if high > 0 and wide > 0)


def _check_rows(content: bytes, chunks: list[Chunk], needed: int) -> None:
    """A PNG holds all of its rows: Pillow fills in those that lack."""
    check_size((needed,), 1)
    packed = b"".join(content[start + 8 : end - 4] for kind, start, end in chunks if kind == b"IDAT")
    held = len(zlib.decompressobj().decompress(packed, needed))
    if held < needed:
        raise ValueError(f"its rows end early, at byte {held} of {needed}")
