"""Slides in TIFF through tifffile: Aperio SVS, Hamamatsu NDPI, Leica SCN, Ventana BIF, OME-TIFF, pyramids of others."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.later import Later
from ldseg.base.text import times
from ldseg.io import apart
from ldseg.io.contract import Refused
from ldseg.io.planes import inverted
from ldseg.io.slides.contract import Kept, Slide, check_planes, usable_microns
from ldseg.io.streams import check_jpeg
from ldseg.io.tiff import MOST_PAGES
from ldseg.io.tiff_coding import check_coding, holds, not_measured, spelled, steady
from ldseg.io.units import millimetres

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Later("tifffile")

TIFF_SLIDES = (".svs", ".ndpi", ".scn", ".bif")
"""Extensions of slides that are TIFF files of makers of scanners."""

_APERIO_YCC = 33003
"""JPEG 2000 whose components are luma and chroma, as Aperio has it: the file does not say so, its number does."""

_ORIENTATION, _X, _Y, _UNIT = 274, 282, 283, 296
_UNITS = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
"""µm in an inch, a centimetre and, as some programs have it, a millimetre and a micrometre."""


class TiffSlide(Slide):
    """A slide in a TIFF file: the first series of pages with its levels, a tile decoded at a time.

    Args:
        path: the file.

    Raises:
        Refused: pixels that are not read.
        ValueError: a damaged file (and whatever tifffile raises).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = tifffile.TiffFile(path, _multifile=False)
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        self._check_pages()
        if not self._file.series:
            raise ValueError("it has no page")
        series: Any = self._file.series[0]
        letters, shape = _squeezed(series.axes, series.shape)
        if letters == "SYX":
            raise Refused("its colours lie in planes of their own; save it with the colours of a pixel side by side")
        if letters not in ("YX", "YXS", "CYX"):
            raise Refused(
                f"axes {series.axes} of size {times(series.shape)}, expected one plane (y, x) of colours or channels"
            )
        page: Any = series.keyframe
        self._levels = [list(level.pages) for level in series.levels]
        self._check(page)
        self._ycc = int(page.compression) == _APERIO_YCC
        if self._ycc or not steady(page):
            apart.needed()
        self._white = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        self.modalities = letters == "CYX" and shape[0] > 1
        planes = shape[0] if letters == "CYX" else shape[-1] if letters == "YXS" else 1
        colours = 3 if page.photometric in (2, 6) or self._ycc else 1
        self.channels = colours if letters != "CYX" else planes  # what is more is transparency
        if planes < self.channels or (planes > colours + 1 and letters == "YXS"):
            raise Refused(f"{planes} planes, expected gray or RGB, with transparency or without")
        self.dtype = page.dtype
        self.bits = page.bitspersample if page.bitspersample in (8, 10, 12, 14) else None
        self.sizes = tuple((level.keyframe.imagelength, level.keyframe.imagewidth) for level in series.levels)
        check_planes(self.channels, page.dtype, page.chunks[:2])
        self.tiled = all(math.prod(level.keyframe.chunks[:2]) < 1 << 24 for level in series.levels)
        self.microns = _microns(self._file, page)
        self._kept = Kept()

    def _check_pages(self) -> None:
        """Every page has a size and pixels: tifffile looks without end for the series of those that have none."""
        for index in range(len(self._file.pages)):
            if index == MOST_PAGES:
                raise Refused(f"more than {MOST_PAGES} pages")
            page: Any = self._file.pages[index].aspage()
            if not page.dataoffsets or not page.shape or min(page.shape) < 1:
                raise ValueError(f"page {index} has no pixels")

    def _check(self, page: Any) -> None:
        for level in self._levels:
            if any(each is None for each in level):
                raise ValueError("planes are missing, or lie in other files")
            if len(level[0].dataoffsets) < math.prod(level[0].keyframe.chunked):
                raise ValueError("tiles are missing: the file ends early")
        if int(page.compression) != _APERIO_YCC:
            check_coding(page)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise Refused("its colours are a palette; save it as RGB")
        if page.dtype != "uint8" and (number := not_measured(page)) and holds(page.dtype, number):
            raise Refused(
                f"{spelled(number)} stands for what was not measured (its tag GDAL_NODATA), which is read in slides of 8"
                " bits alone"
            )
        if int(page.tags.valueof(_ORIENTATION, 1)) != 1:
            raise Refused("its orientation tag says that it is turned; save it upright")

    def _window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        pages = self._levels[level]
        each = self.channels if len(pages) == 1 else 1
        found = np.empty((height, width, len(pages) * each), self.dtype.newbyteorder("="))
        for number, page in enumerate(pages):
            tall, wide = (int(length) for length in page.keyframe.chunks[:2])
            across = math.ceil(page.keyframe.imagewidth / wide)
            downs = range(top // tall, (top + height - 1) // tall + 1)
            rights = range(left // wide, (left + width - 1) // wide + 1)
            for down, right in itertools.product(downs, rights):
                key = level, number, down * across + right
                tile = self._kept.get(key, partial(self._tile, page, key[2]))
                y0, x0 = max(top, down * tall), max(left, right * wide)
                y1, x1 = min(top + height, (down + 1) * tall), min(left + width, (right + 1) * wide)
                part = tile[y0 - down * tall : y1 - down * tall, x0 - right * wide : x1 - right * wide]
                found[y0 - top : y1 - top, x0 - left : x1 - left, number * each : (number + 1) * each] = part
        return found

    def _tile(self, page: Any, index: int) -> np.ndarray:
        """One tile or strip (h, w, c), which may be cut where the picture ends."""
        keyframe, count = page.keyframe, page.databytecounts[index]
        if not count:  # where there was nothing to scan, and nothing is stored: white, as glass is
            empty = np.empty((*keyframe.chunks[:2], self.channels), self.dtype)
            empty[...] = np.iinfo(self.dtype).max if self.channels == 3 and self.dtype.kind == "u" else 0
            return empty
        handle = self._file.filehandle
        handle.seek(page.dataoffsets[index])
        content = handle.read(count)
        if len(content) < count:
            raise ValueError(f"the file ends at byte {handle.size}, a tile at byte {page.dataoffsets[index] + count}")
        tables = {}
        if int(keyframe.compression) in (6, 7):
            tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
            check_jpeg(_whole_jpeg(content, **tables))
        values, _, _ = keyframe.decode(content, index, **tables)
        tile = np.asarray(values)[0, ..., : self.channels]
        if tile.dtype != self.dtype:
            raise ValueError(f"a tile holds values of type {tile.dtype}, its tags tell of {self.dtype}")
        if self._ycc:
            tile = _rgb(tile)
        return inverted(tile, keyframe.bitspersample) if self._white else tile

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _whole_jpeg(content: bytes, jpegtables: bytes | None, jpegheader: bytes | None) -> bytes:
    """A tile as a JPEG that needs nothing else: with the tables of its page, or, of NDPI, with a header and an end."""
    if jpegheader:
        return jpegheader + content[: -2 if content[-2:-1] == b"\xff" else None] + b"\xff\xd9"
    return jpegtables[:-2] + content[2:] if jpegtables else content


def _squeezed(letters: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Axes without those of length 1 beside y and x."""
    kept = [(letter, n) for letter, n in zip(letters, shape, strict=True) if letter in "YX" or n > 1]
    return "".join(letter for letter, _ in kept), tuple(n for _, n in kept)


def _rgb(values: np.ndarray) -> np.ndarray:
    """Y, Cb, Cr of JPEG (ITU-T T.871) in 8 bits as red, green, blue."""
    y, cb, cr = (values[..., index].astype(np.float32) for index in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _microns(stored: tifffile.TiffFile, page: Any) -> tuple[float, float] | None:
    """µm per pixel along y and x: what OME or Aperio say goes before the tags of TIFF."""
    if stored.is_ome and stored.ome_metadata and (found := _ome_microns(stored.ome_metadata)):
        return found
    if stored.is_svs:
        said = dict(part.split("=", 1) for part in page.description.split("|") if "=" in part)
        for name, value in said.items():
            if name.strip() == "MPP":
                return usable_microns(_number(value), _number(value))
    unit = int(page.tags.valueof(_UNIT, 2))
    scale = _UNITS.get(unit)
    if stored.is_imagej and unit == 1:
        scale = _microns_in(str((stored.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ"))
    y, x = (_ratio(page.tags.valueof(code)) for code in (_Y, _X))
    if scale is None or not y or not x:
        return None
    return usable_microns(scale / y, scale / x)


def _microns_in(unit: str) -> float | None:
    found = millimetres(unit)
    return None if found is None else found * 1000


def _number(text: str) -> float:
    """A number as programs write it, some with a comma; 0 for what is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return 0.0


def _ratio(value: Any) -> float:
    if value is None:
        return 0.0
    above, below = value if isinstance(value, tuple) else (value, 1)
    return float(above) / float(below) if below else 0.0


def _ome_microns(text: str) -> tuple[float, float] | None:
    """What the first image of OME-XML says. Its default unit is µm."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    pixels = next((element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    found = []
    for axis in ("Y", "X"):
        value, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        scale = _microns_in(unit)
        if value is None or scale is None:
            return None
        found.append(_number(value) * scale)
    return usable_microns(found[0], found[1])
