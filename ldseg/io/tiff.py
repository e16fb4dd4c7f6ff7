"""TIFF through tifffile, with the codecs of imagecodecs: one decoder, which gives what is stored."""

from __future__ import annotations

import logging
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.later import Later
from ldseg.base.spatial import MOST_CHANNELS
from ldseg.base.text import times
from ldseg.io import apart
from ldseg.io.contract import Content, Refused, check_length, check_size
from ldseg.io.planes import depth_of, inverted, said_transparent, upright, without_alpha
from ldseg.io.tiff_coding import check_coding, check_measured, check_strips, coded_with_loss, steady

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Later("tifffile")

TIFF_SUFFIXES = (".tif", ".tiff")
MOST_PAGES = 1 << 16
"""Pages that a file may have."""

# Of a damaged file tifffile logs line after line; the error says it once.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_STRAIGHT = 0
"""The number of a straight line among the functions by which ImageJ calibrates values."""
_ORIENTATION, _PALETTE, _YCBCR_FACTORS, _BLACK_WHITE, _MAXIMA = 274, 320, 529, 532, (281, 341)


def read_tiff(path: Path, axes: str, label: bool = False) -> Content:
    """Read a TIFF as (*S, c), values as stored.

    Of an image a palette is expanded, and white that is zero is turned to black; of a label the numbers count as stored.
    Reduced copies of the picture in the file are passed over, and so are masks of what is transparent, as GDAL writes them.

    Raises:
        Refused: pages that differ, axes that do not fit, colours and compressions that are not read.
        ValueError: a file that is cut short or damaged (and whatever tifffile raises).
    """
    with tifffile.TiffFile(path, _multifile=False) as stored:
        pages = _pages_of(stored)
        if stored.is_ome:
            _check_set(stored.ome_metadata or "")
        whole = [page for page in pages if not (page.is_reduced or page.is_mask)]
        series = [part for part in stored.series if not (part.keyframe.is_reduced or part.keyframe.is_mask)]
        if not label and any(page.is_mask and not page.is_reduced for page in pages):
            said_transparent(str(path))
        if axes == "YX" and len(whole) != 1 and not _are_channels(series, len(whole)):
            raise Refused(f"{len(whole)} pages, expected one")
        page: Any = series[0].keyframe if series else pages[0]
        for each in whole:
            check_coding(each)
        if len(series) > 1 and all(part.kind == "generic" and _meaning(part.keyframe) == _meaning(page) for part in series):
            return _calibrated(_one_by_one(stored, whole, axes, label, str(path)), stored, page)
        if len(series) != 1:
            raise Refused(f"{len(series)} series of pages, expected one")
        _check_alike(whole, label)
        _check_series(series[0], len(whole), stored.filehandle.size)
        images = int((stored.imagej_metadata or {}).get("images", 1)) if stored.is_imagej else 1
        if images > math.prod(series[0].shape) // math.prod(page.shape):
            raise ValueError(f"its description promises {images} images, it holds {len(whole)}: planes are missing")
        if not steady(page):
            apart.needed()
        check_strips(stored, whole)
        values = series[0].asarray(maxworkers=1)
        return _calibrated(_content(values, series[0].axes, page, axes, label, str(path)), stored, page)


def _pages_of(stored: tifffile.TiffFile) -> list[Any]:
    """The pages. Their chain has its end, and each page its tags and pixels: tifffile passes over what lies beyond."""
    size, pages = stored.filehandle.size, []
    tags, next_page = struct.Struct(stored.tiff.tagnoformat), struct.Struct(stored.tiff.offsetformat)
    for index in range(len(stored.pages)):
        if index == MOST_PAGES:
            raise Refused(f"more than {MOST_PAGES} pages")
        page: Any = stored.pages[index]
        pages.append(page if isinstance(page, tifffile.TiffPage) else page.aspage())
        if len(pages[-1].tags) != _unpack(stored, tags, page.offset):
            raise ValueError(f"page {index} lacks tags")
        _check_page(pages[-1], index, size)
    if not pages:
        raise ValueError("it has no page")
    if _unpack(stored, next_page, stored.pages.next_page_offset):
        raise ValueError(f"the file ends early, after page {len(pages)}")
    return pages


def _are_channels(series: list[Any], pages: int) -> bool:
    """Whether a description says that pages are channels of one picture, each in a page of its own."""
    letters, shape = (series[0].axes, series[0].shape) if len(series) == 1 else ("", ())
    return "C" in letters and shape[letters.index("C")] == pages <= MOST_CHANNELS


def _check_set(told: str) -> None:
    """Raises Refused for a file of OME-TIFF that holds a part of an image alone, of which tifffile makes a whole."""
    own = re.search(r"<(?:\w+:)?OME\b[^>]*?\bUUID=[\"'](urn:uuid:[^\"']+)", told)
    for image in re.findall(r"<(?:\w+:)?Pixels\b.*?</(?:\w+:)?Pixels>", told, re.DOTALL):
        files = set(re.findall(r">\s*(urn:uuid:[^<\s]+)", image))
        if len(files) > 1 and own is not None and own[1] in files:
            raise Refused(f"one of {len(files)} files that hold an image together (OME-TIFF); save it as one file first")
    if re.search(r"<(?:\w+:)?BinaryOnly\b", told):
        raise Refused("one of several files that hold an image together (OME-TIFF); save it as one file first")


def _unpack(stored: tifffile.TiffFile, kind: struct.Struct, place: int) -> int:
    stored.filehandle.seek(place)
    return int(kind.unpack(stored.filehandle.read(kind.size))[0])


def _check_page(page: Any, index: int, size: int) -> None:
    """The tags and the pixels of a page lie in the file, and are as many as its size asks for."""
    offsets, counts = page.dataoffsets, page.databytecounts
    ends = [start + length for start, length in zip(offsets, counts, strict=True)]
    end = max([0, *ends, *(tag.valueoffset + tag.valuebytecount for tag in page.tags)])
    if end > size:
        raise ValueError(f"the file ends at byte {size}, what it holds at byte {end}")
    if page.dtype is None or page.dtype.kind not in "buif" or not isinstance(page.bitspersample, int):
        kind = getattr(page.sampleformat, "name", page.sampleformat)
        raise Refused(
            f"samples of the format {kind} with {page.bitspersample} bits; expected whole or floating-point numbers"
        )
    check_size(page.shape, page.dtype.itemsize)
    check_size(page.chunks, page.dtype.itemsize)
    expected = math.prod(page.chunked)
    if len(offsets) != expected or not all(offsets) or not all(counts):
        held = sum(bool(start and length) for start, length in zip(offsets, counts, strict=True))
        raise ValueError(f"page {index} holds {held} of {expected} strips or tiles")
    if page.compression == 1:
        rows = math.prod(page.shape) // max(1, page.imagewidth * (1 if page.planarconfig == 2 else page.samplesperpixel))
        row = page.imagewidth * (1 if page.planarconfig == 2 else page.samplesperpixel) * page.bitspersample
        check_length(sum(counts), rows * ((row + 7) // 8))


def _meaning(page: Any) -> tuple[Any, ...]:
    """What the values of a page are, however they are stored."""
    kind = page.dtype, page.bitspersample, page.sampleformat
    return page.shape, page.axes, *kind, int(page.photometric), tuple(page.extrasamples)


def _one_by_one(stored: tifffile.TiffFile, pages: list[Any], axes: str, label: bool, source: str) -> Content:
    """Pages of one meaning that are stored differently, such as in strips of other heights."""
    check_size((len(pages), *pages[0].shape), pages[0].dtype.itemsize)
    if not all(map(steady, pages)):
        apart.needed()
    _check_turns(pages, label)
    check_strips(stored, pages)
    values = np.stack([page.asarray(maxworkers=1) for page in pages])
    return _content(values, "I" + pages[0].axes, pages[0], axes, label, source)


def _check_alike(pages: list[Any], label: bool) -> None:
    """Pages that are decoded as the first are stored alike, and as `_check_turns` says."""
    for index, page in enumerate(pages[1:], start=1):
        if page.hash != pages[0].hash:
            raise Refused(f"page {index} is stored in another way than the first: size, type, colours or compression")
    _check_turns(pages, label)


def _check_turns(pages: list[Any], label: bool) -> None:
    """Pages that are read together have one orientation and, but for labels, one palette."""
    for index, page in enumerate(pages[1:], start=1):
        if page.tags.valueof(_ORIENTATION) != pages[0].tags.valueof(_ORIENTATION):
            raise Refused(f"page {index} has another orientation than the first")
        if not label and not np.array_equal(page.tags.valueof(_PALETTE), pages[0].tags.valueof(_PALETTE)):
            raise Refused(f"page {index} has another palette than the first; save it as RGB")


def _check_series(series: Any, pages: int, size: int) -> None:
    """What a description promises (OME, ImageJ, shape) is in the file: tifffile fills in zeros."""
    promised = math.prod(series.shape) // max(1, math.prod(series.keyframe.shape))
    missing = [page for page in series.pages if page is None]
    if missing or (len(series.pages) > 1 and len(series.pages) < promised):
        held = len(series.pages) - len(missing)
        raise ValueError(
            f"it promises {promised} planes and holds {min(held, pages)}: planes are missing, or in other files"
        )
    check_size(series.shape, series.dtype.itemsize)
    if series.dataoffset is not None:
        check_length(size, series.dataoffset + series.nbytes)
    elif promised > len(series.pages):
        raise ValueError(f"it promises {promised} planes and holds {pages}: planes are missing")


def _content(values: np.ndarray, letters: str, page: Any, axes: str, label: bool, source: str) -> Content:
    photometric = tifffile.PHOTOMETRIC(page.photometric).name
    values, kind = _planes_last(values, letters, len(axes), (letters, values.shape))
    tag = page.tags.get(_ORIENTATION)
    if tag is not None and tag.value != 1:
        turned = upright(np.moveaxis(values, (-3, -2), (0, 1)), int(tag.value))
        values = np.moveaxis(turned, (0, 1), (-3, -2))
    if photometric == "PALETTE":
        if kind or page.colormap is None:
            raise Refused("a palette beside several planes, or without colours")
        check_measured(values, page, label, source)
        return Content(values=values if label else _colours(page)[values[..., 0].astype(np.intp)])
    colours = 3 if photometric in ("RGB", "YCBCR") else 1
    extra = values.shape[-1] - colours if kind == "S" else 0
    if extra < 0 or values.shape[-1] > MOST_CHANNELS:
        raise Refused(f"{values.shape[-1]} planes of {photometric}, expected {colours}, or up to {MOST_CHANNELS} channels")
    channels = kind == "C" or (extra > 0 and colours == 1 and not any(page.extrasamples))
    if extra and not channels:
        values = values[..., : colours + 1] if extra == 1 else _refuse_planes(values.shape[-1])
        values = without_alpha(values, source, label)
    if photometric == "YCBCR" and page.compression != tifffile.COMPRESSION.JPEG:
        values = _rgb(values, page)
    check_measured(values, page, label, source, modalities=channels)
    bits = page.bitspersample if values.dtype.kind == "u" else None
    if photometric == "MINISWHITE" and not label:
        values = inverted(values, page.bitspersample)
    modalities = channels and values.shape[-1] > 1
    return Content(values=values, bits=_bits(page, bits), modalities=modalities, lossy=coded_with_loss(page))


def _calibrated(content: Content, stored: tifffile.TiffFile, page: Any) -> Content:
    """Gray values in the units that ImageJ tells by a straight line: of signed ones it stores what is above the lowest."""
    told = stored.imagej_metadata or {} if stored.is_imagej else {}
    start, slope = (float(told.get(name, usual)) for name, usual in (("c0", 0.0), ("c1", 1.0)))
    gray = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
    if told.get("cf") != _STRAIGHT or not gray or (start, slope) == (0, 1):
        return content
    if not (math.isfinite(start) and math.isfinite(slope)) or slope == 0:
        raise ValueError(f"its description scales values by {slope:g} and shifts them by {start:g}")
    return replace(content, values=(content.values * slope + start).astype(np.float32), bits=None)


def _refuse_planes(planes: int) -> np.ndarray:
    raise Refused(f"{planes} planes, expected gray or RGB, with transparency or without")


def _planes_last(values: np.ndarray, letters: str, rank: int, found: tuple[str, Any]) -> tuple[np.ndarray, str]:
    """Values (*S, c), and of which kind their planes are: samples S, channels C, or one."""
    kind = ""
    for letter in "SC":  # samples or channels go last
        if letter in letters and values.shape[letters.index(letter)] > 1:
            if kind:
                raise Refused("it has colours and channels, expected one of them")
            values, kind = np.moveaxis(values, letters.index(letter), -1), letter
            letters = letters.replace(letter, "") + letter
    if not kind:
        values, letters = values[..., np.newaxis], letters + "1"
    for index in range(len(letters) - 4, -1, -1):  # axes of length 1 beside y and x
        if values.shape[index] == 1 and values.ndim > rank + 1:
            values, letters = values.squeeze(index), letters[:index] + letters[index + 1 :]
    while values.ndim < rank + 1:
        values = values[np.newaxis]
    if values.ndim != rank + 1:
        wanted = "one plane" if rank == 2 else "one axis beside y and x"
        raise Refused(f"axes {found[0]} of size {times(found[1])}, expected {wanted}")
    return values, kind


def _colours(page: Any) -> np.ndarray:
    """The palette (n, 3) in 8 bits. Old programs write it in 8 bits, new ones in 16."""
    table = np.asarray(page.colormap).T
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)


def _rgb(values: np.ndarray, page: Any) -> np.ndarray:
    """Y, Cb, Cr as red, green, blue (TIFF 6.0, section 21)."""

    def numbers(code: int, default: tuple[float, ...]) -> list[float]:
        tag = page.tags.get(code)
        if tag is None:
            return list(default)
        flat = [float(value) for value in np.ravel(tag.value)]
        return [a / b for a, b in zip(flat[::2], flat[1::2], strict=True)] if len(flat) == 2 * len(default) else flat

    red, green, blue = numbers(_YCBCR_FACTORS, (0.299, 0.587, 0.114))
    black_white = np.array(numbers(_BLACK_WHITE, (0, 255, 128, 255, 128, 255))).reshape(3, 2)
    span = np.array([255, 127, 127]) / (black_white[:, 1] - black_white[:, 0])
    y, cb, cr = np.moveaxis((values.astype(np.float64) - black_white[:, 0]) * span, -1, 0)
    r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
    g = (y - blue * b - red * r) / green
    return np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)


def _bits(page: Any, bits: int | None) -> int | None:
    """The bits in use: of samples that are packed, or by the highest value that the file tells."""
    if bits is None or bits not in (16, 12, 10, 14):
        return bits if bits is not None and bits <= 8 else None
    tags = [page.tags.get(code) for code in _MAXIMA]
    highest = max((float(np.max(tag.value)) for tag in tags if tag is not None), default=0.0)
    return bits if bits < 16 else depth_of(highest) if highest > 0 else None
