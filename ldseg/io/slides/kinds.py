"""The table of kinds of slides, and what counts as one."""

from __future__ import annotations

import math
import os
from pathlib import Path

from ldseg.errors import DataError
from ldseg.io import apart
from ldseg.io.contract import Content, Refused, check_file, check_size, one_line, said_once
from ldseg.io.slides.contract import Slide
from ldseg.io.slides.distant import DistantSlide
from ldseg.io.slides.openslides import OTHER_SLIDES, OpenSlideSlide
from ldseg.io.slides.tiffs import TIFF_SLIDES, TiffSlide
from ldseg.io.slides.zarrs import ZARR_SLIDES, ZarrSlide
from ldseg.io.tiff import TIFF_SUFFIXES

KINDS: tuple[tuple[tuple[str, ...], type[TiffSlide | ZarrSlide | OpenSlideSlide]], ...] = (
    ((*TIFF_SLIDES, *TIFF_SUFFIXES), TiffSlide),
    (ZARR_SLIDES, ZarrSlide),
    (OTHER_SLIDES, OpenSlideSlide),
)
"""Extensions, and what opens such a slide; a new kind is an entry here."""

_OPENERS = tuple(opener for _, opener in KINDS)

SLIDE_SUFFIXES = (*TIFF_SLIDES, *OTHER_SLIDES)
"""Extensions of files that are slides whatever their size."""

TOLD = ("sizes", "channels", "modalities", "bits", "tiled", "microns")
"""What a slide tells of itself, beside the type of its values."""

LARGE = 1 << 26
"""Pixels above which a TIFF counts as a slide, if its pixels lie in tiles or strips that can be read one by one."""


def is_slide(path: Path) -> bool:
    """Whether a path is a slide: by its extension, or as a TIFF that is large."""
    suffix = path.suffix.lower()
    if os.path.isdir(path):
        return suffix in ZARR_SLIDES
    if suffix in SLIDE_SUFFIXES:
        return True
    if suffix not in TIFF_SUFFIXES or not os.path.isfile(path):
        return False
    try:
        with TiffSlide(path) as slide:
            return math.prod(slide.sizes[0]) > LARGE and slide.tiled
    except Exception:  # what is wrong with it is said when it is read
        return False


def open_slide(path: Path) -> Slide:
    """A slide, to be closed by whoever opened it.

    Raises:
        DataError: in one line that names the file, what cannot be read.
    """
    opener = next((opener for suffixes, opener in KINDS if path.suffix.lower() in suffixes), None)
    if opener is None:
        known = " ".join(suffix for suffixes, _ in KINDS for suffix in suffixes)
        raise DataError(f"{path}: expected a slide of type {known}, found {path.suffix or 'none'}")
    if path.suffix.lower() not in ZARR_SLIDES:
        check_file(path)
    kind = opener.__name__
    return apart.guarded(lambda: opened(path, kind), lambda reader: DistantSlide(path, kind, reader))


def opened(path: Path, kind: str) -> Slide:
    """A slide, opened by a class of `KINDS` in this process, or told by `ldseg.io.apart.needed` to be opened in another.

    Raises:
        DataError: as `open_slide` does.
    """
    opener = next(opener for opener in _OPENERS if opener.__name__ == kind)
    try:
        return opener(path)
    except (DataError, Refused) as error:
        raise error if isinstance(error, DataError) else DataError(f"{path}: {one_line(error)}") from error
    except Exception as error:  # decoders raise what they like on bytes that nobody has checked
        reason = one_line(error)
        raise DataError(f"{path}: not a readable slide (damaged, cut short or not supported): {reason}") from error


def read_slide(path: Path, axes: str = "YX", label: bool = False) -> Content:
    """The full resolution of a slide as a picture, as `Format.read` asks, where it fits into memory."""
    if label:
        raise Refused("a slide is no label; expected a picture of class or instance numbers")
    with open_slide(path) as slide:
        check_size((*slide.sizes[0], slide.channels), slide.dtype.itemsize)
        said_once(
            "slide",
            f"{path}: a slide, taken as one picture of its full resolution (this is said once); `ldseg segment` and"
            " `Model.segment_slide` bring slides to the resolution of the weights",
        )
        values = slide.window(0, 0, 0, *slide.sizes[0])
        return Content(values=values, bits=slide.bits, modalities=slide.modalities)
