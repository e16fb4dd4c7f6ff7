"""How the pixels of a TIFF are stored: what is read, and whether its strips and tiles are what its tags say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.later import Later
from ldseg.io.contract import Refused, said_once
from ldseg.io.lossless import is_lossless_jpegxl, is_lossless_lerc, is_lossless_webp
from ldseg.io.streams import check_jpeg, frame_of, is_irreversible, is_lossless

if TYPE_CHECKING:
    import imagecodecs
    import tifffile
else:
    imagecodecs, tifffile = Later("imagecodecs"), Later("tifffile")

_PLAIN = {"NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD", "ZSTD_DEPRECATED"}
"""Compressions that keep the bytes of the samples, whatever these mean."""
_PICTURES = {"JPEG2000", "JPEG_2000_LOSSY", "APERIO_JP2000_RGB", "JPEGXL", "JPEGXL_DNG", "WEBP", "PNG"}
"""Compressions whose strips and tiles are pictures with a size, a type and planes of their own."""
_CODECS = _PLAIN | _PICTURES | {"CCITTRLE", "CCITTFAX3", "CCITTFAX4", "JPEG", "LERC"}
_STEADY = _PLAIN | {"JPEG"}
"""Compressions whose decoders do not crash."""
_DIFFERENCES = _PLAIN - {"NONE", "PACKBITS"}
"""Compressions with which every decoder undoes the differences of neighbours that the tag Predictor tells of."""
_EITHER: dict[str, tuple[str, Callable[[bytes], bool]]] = {
    "JPEGXL": ("JPEG XL", is_lossless_jpegxl),
    "JPEG2000": ("JPEG 2000", lambda content: not is_irreversible(content)),
    "JPEG_2000": ("JPEG 2000", lambda content: not is_irreversible(content)),
    "JP2000": ("JPEG 2000", lambda content: not is_irreversible(content)),
    "JPEG": ("JPEG", is_lossless),
    "WEBP": ("WebP", is_lossless_webp),
    "LERC": ("LERC", is_lossless_lerc),
}
"""By what their names have in them: compressions with loss or without, what people call them, and what tells."""
_PHOTOMETRICS = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR")
_YCBCR_SAMPLING = 530
_LERC_PARAMETERS = 50674
_NO_DATA = 42113


def check_coding(page: Any) -> None:
    """The pixels of a page are stored in a way that is read.

    Raises:
        Refused: they are not.
    """
    try:
        compression, photometric = (kind(value).name for kind, value in _coding(page))
    except ValueError as error:
        raise Refused(f"{error}, which is not read") from error
    if compression not in _CODECS:
        raise Refused(f"it is compressed as {compression}, which is not read; save it with deflate or LZW")
    if photometric not in _PHOTOMETRICS:
        raise Refused(f"colours are stored as {photometric}, expected gray, RGB or a palette")
    if int(page.predictor) != 1 and compression in _CODECS - _PICTURES - _DIFFERENCES - {"JPEG"}:
        raise Refused(
            f"its tag Predictor does not fit the compression {compression}: some programs obey it, others not; save it anew"
        )
    sampling = page.tags.get(_YCBCR_SAMPLING)
    plain = sampling is not None and tuple(sampling.value) == (1, 1)
    if (
        photometric == "YCBCR"
        and compression != "JPEG"
        and not (plain and compression in _PLAIN and page.bitspersample == 8)
    ):
        raise Refused(f"its colours are YCbCr, thinned out or compressed as {compression}; save it as RGB")
    if compression == "JPEG" and photometric not in ("RGB", "YCBCR") and _planes(page) > 1:
        raise Refused(f"{_planes(page)} planes of {photometric} in one JPEG; save it with deflate or LZW")


def steady(page: Any) -> bool:
    """Whether the decoder of a page does not crash, whatever the bytes."""
    return tifffile.COMPRESSION(page.compression).name in _STEADY


def coded_with_loss(page: Any) -> str:
    """The coding that has changed the samples of a page, by its first strip or tile; empty where they are as they were."""
    compression = tifffile.COMPRESSION(page.compression).name
    name, is_kept = next((told for part, told in _EITHER.items() if part in compression), ("", is_lossless))
    if not name:
        return ""
    handle = page.parent.filehandle
    handle.seek(page.dataoffsets[0])
    content = handle.read(page.databytecounts[0])
    if name == "LERC" and (unpack := _unpacker(page)):
        content = unpack(content)
    return "" if is_kept(content) else name


def _unpacker(page: Any) -> Callable[..., Any] | None:
    """What unpacks blobs of LERC that were packed once more."""
    packed = tuple(page.tags.valueof(_LERC_PARAMETERS, (0, 0)))[1:2]
    return {(1,): imagecodecs.zlib_decode, (2,): imagecodecs.zstd_decode}.get(packed)


def not_measured(page: Any) -> float | None:
    """The number of samples that were not measured (GDAL_NODATA); None where there is none."""
    try:
        found = float(str(page.tags.valueof(_NO_DATA, "")).strip("\0 "))
    except ValueError:
        return None
    return None if np.isnan(found) else found  # what is not a number is found anyway


def check_measured(values: np.ndarray, page: Any, label: bool, source: str, modalities: bool = False) -> None:
    """The values (*S, c) of a page were measured, or those that were not do no harm: they are said once.

    With `modalities` the channels have ranges of their own, else one together.

    Raises:
        Refused: those that were not measured, of an image, lie so far beyond the others that these would lose most of their
            range.
    """
    number = not_measured(page)
    if number is None or not holds(values.dtype, number):
        return
    blank = np.asarray(number).astype(values.dtype)
    told = f"{spelled(number)} stands for what was not measured (its tag GDAL_NODATA)"
    if label:
        if number and (values == blank).all(axis=-1).any():
            advice = f"[Data] LabelMap leaves it out with {spelled(number)}:ignore"
            said_once("no data in labels", f"{source}: {told}; {advice} (said once)")
        return
    # Of 8 bits it is within the range in any case, and of whole numbers 0 is what the background of pictures is.
    if values.dtype == np.uint8 or (values.dtype.kind in "ui" and not number):
        found = bool((values == blank).all(axis=-1).any())
    else:
        parts = np.split(values, values.shape[-1], axis=-1) if modalities else [values]
        found = sum(_has_blank(part, blank, told) for part in parts) > 0  # each may be refused
    if found:
        said_once("no data", f"{source}: {told}: taken as it stands (said once)")


def _has_blank(values: np.ndarray, blank: np.ndarray, told: str) -> bool:
    """Whether a number is among values (*S, c).

    Raises Refused where it lies further from the others than these reach: one number alone has no range to lose.
    """
    rest = values != blank
    if rest.all():
        return False
    low = float(values.min(where=rest, initial=values.max()))
    high = float(values.max(where=rest, initial=values.min()))
    if high > low and max(low - float(blank), float(blank) - high) > high - low:
        pixels = ~rest.all(axis=-1)
        many = f"{int(pixels.sum())} of its {pixels.size} pixels"
        raise Refused(f"{told}, as in {many}; give them a value like those beside them")
    return True


def holds(kind: np.dtype, number: float) -> bool:
    """Whether a type has a number."""
    if kind.kind == "f":
        return abs(number) <= float(np.finfo(kind).max) * (1 + 1e-6)
    whole = kind.kind in "ui" and float(number).is_integer()
    return whole and np.iinfo(kind).min <= number <= np.iinfo(kind).max


def spelled(number: float) -> str:
    """A number with all its digits where it is a whole one of a usual length."""
    return f"{int(number)}" if number.is_integer() and abs(number) < 2**53 else f"{number:g}"


def _coding(page: Any) -> tuple[tuple[Any, int], ...]:
    return (tifffile.COMPRESSION, int(page.compression)), (tifffile.PHOTOMETRIC, int(page.photometric))


def _planes(page: Any) -> int:
    """Samples that lie side by side."""
    return int(page.samplesperpixel) if page.planarconfig == 1 else 1


def check_strips(stored: tifffile.TiffFile, pages: list[Any]) -> None:
    """Strips or tiles that are JPEGs or other pictures have the planes and the depth that the tags tell, and all pixels.

    Otherwise tifffile takes what fits of them.

    Raises:
        ValueError: they do not.
    """
    for page in pages:
        compression = tifffile.COMPRESSION(page.compression).name
        if compression not in _PICTURES | {"JPEG"}:
            continue
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            stored.filehandle.seek(start)
            strip = stored.filehandle.read(length)
            found = _jpeg(strip, page.jpegtables) if compression == "JPEG" else _picture(page, strip)
            expected = _planes(page), int(page.bitspersample)
            if not _fits(found, expected):
                told = "{} planes of {} bits"
                raise ValueError(f"a strip or tile holds {told.format(*found)}, its tags tell of {told.format(*expected)}")


def _fits(found: tuple[int, int], expected: tuple[int, int]) -> bool:
    """Whether planes and bits are those of the tags: fewer bits, such as 12 in values of 16, are the same numbers."""
    return found[0] == expected[0] and found[1] <= expected[1] and (found[1] + 7) // 8 == (expected[1] + 7) // 8


def _jpeg(strip: bytes, tables: bytes | None) -> tuple[int, int]:
    """Planes and bits of a JPEG, which shares the tables of its page. Raises ValueError where it lacks pixels."""
    content = tables[:-2] + strip[2:] if tables else strip
    check_jpeg(content)
    precision, _, _, planes = frame_of(content, lossless=True)
    return planes, precision


def _picture(page: Any, strip: bytes) -> tuple[int, int]:
    """Planes and bits of another kind of picture. Bits are those of the type, which may hold more than are in use."""
    values = np.asarray(tifffile.TIFF.DECOMPRESSORS[int(page.compression)](strip))
    planes, bits = (values.shape[-1] if values.ndim > 2 else 1), 8 * values.dtype.itemsize
    opaque = tifffile.COMPRESSION(page.compression).name == "WEBP" and (planes, _planes(page)) == (3, 4)
    alike = values.dtype == page.dtype and bits >= int(page.bitspersample)
    return _planes(page) if opaque else planes, int(page.bitspersample) if alike else bits
