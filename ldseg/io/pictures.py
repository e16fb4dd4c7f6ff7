"""Images, labels and masks on disk: BMP, PNG, TIFF and JPEG, 8-bit, 16-bit and (TIFF) floating point.

A file is recognised by its content, not by its extension. Decoders forgive a file that ends early (they fill
the rest with grey or black), which is the last thing wanted of training data or of a mask, so the structure
of each format is checked as well. The orientation tag of JPEG files is ignored: a label has the pixel order
of its image.
"""

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from ldseg.errors import DataError
from ldseg.writing import write_bytes

IMAGE_SUFFIXES = (".bmp", ".png", ".tif", ".tiff", ".jpg", ".jpeg")
LOSSLESS_SUFFIXES = (".bmp", ".png", ".tif", ".tiff")

# Of a damaged file tifffile logs line after line; the DataError says it once.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow, tifffile and OpenCV raise on damaged bytes (their own errors derive from some of these).
DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    cv2.error,
    Image.DecompressionBombError,
)


def read_image(path: Path) -> np.ndarray:
    """Read one image as (H, W, c), c = 1 (gray) or 3 (red, green, blue); uint8, uint16 or float32, as stored.

    An alpha plane is dropped, a palette is expanded, a 1-bit image becomes 0/255. Integers other than 8- and
    16-bit unsigned become float32 with their values kept. Raises DataError for a file that is missing,
    unreadable, cut short, of another format, of several pages, or with another number of planes.
    """
    pixels, palette = _decode(path)
    if palette is not None:
        pixels = palette[pixels]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = pixels.astype(np.float32)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., np.newaxis])


def read_label(path: Path) -> np.ndarray:
    """Read one label as int32 (H, W), the values as stored: of a palette image its indices, of 1 bit 0 and 1.

    A label stored as RGB counts as one plane where its three planes agree. Raises DataError as `read_image`
    does, and for planes that differ, and for values that are no whole numbers of 32 bits.
    """
    pixels, _ = _decode(path)
    return label_numbers(pixels if pixels.ndim == 3 else pixels[..., np.newaxis], str(path))


def label_numbers(pixels: np.ndarray, source: str) -> np.ndarray:
    """Values (*S, c) of a label as int32 (*S).

    `source` names the file in messages. Raises DataError for planes that differ, and for values that are no whole
    numbers of 32 bits.
    """
    if pixels.shape[-1] > 1 and not (pixels == pixels[..., :1]).all():
        raise DataError(f"{source}: a label needs one plane of class or instance numbers, found a colour image")
    pixels = pixels[..., 0]
    if pixels.dtype.kind == "f" and not (np.isfinite(pixels) & (pixels == np.rint(pixels))).all():
        raise DataError(f"{source}: a label needs whole numbers, found {_some(np.unique(pixels))}")
    bounds = np.iinfo(np.int32)
    if pixels.min() < bounds.min or pixels.max() > bounds.max:
        raise DataError(f"{source}: a label needs values of 32 bits, found {pixels.min()} to {pixels.max()}")
    return pixels.astype(np.int32)


def write_mask(path: Path, mask: np.ndarray) -> Path:
    """Write an integer mask (H, W) without loss and return the path written.

    8 bits where the values fit, 16 bits otherwise. The extension becomes .png where the one given loses
    pixels (.jpg) or bits (.bmp with values above 255). The file appears whole or not at all. Raises DataError
    for a mask that is not two-dimensional and integer in 0..65535, and where the file cannot be written.
    """
    path, mask = Path(path), np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0 or not (np.issubdtype(mask.dtype, np.integer) or mask.dtype == bool):
        raise DataError(f"{path}: a mask must be whole numbers (H, W), got {mask.dtype} {mask.shape}")
    low, high = int(mask.min()), int(mask.max())
    if low < 0 or high > 65535:
        raise DataError(f"{path}: mask values must be in 0..65535, got {low} to {high}")
    narrow = high <= 255
    suffix = path.suffix.lower()
    if suffix not in LOSSLESS_SUFFIXES or (suffix == ".bmp" and not narrow):
        # The whole name is kept: `with_suffix` would cut "slide.7" short.
        path = path.with_suffix(".png") if suffix in IMAGE_SUFFIXES else path.with_name(path.name + ".png")
    write_bytes(path, encode(path, mask.astype(np.uint8 if narrow else np.uint16)))
    return path


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write a uint8 image (H, W), (H, W, 1) or (H, W, 3), red first, in the format of its extension; atomic.

    Raises DataError for another shape, type or extension, and where the file cannot be written.
    """
    path, image = Path(path), np.asarray(image)
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3) or image.size == 0:
        raise DataError(f"{path}: an image must be uint8 (H, W), (H, W, 1) or (H, W, 3), got {image.dtype} {image.shape}")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise DataError(f"{path}: cannot write type {path.suffix or '(none)'}, only {' '.join(IMAGE_SUFFIXES)}")
    write_bytes(path, encode(path, image[..., 0] if image.shape[-1] == 1 else image))
    return path


def encode(path: Path, pixels: np.ndarray) -> bytes:
    """The bytes of a file in the format of its extension, for pixels (H, W) or (H, W, 3), red first, that it can hold."""
    if path.suffix.lower() in (".tif", ".tiff"):
        stream = io.BytesIO()
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(stream, pixels, photometric=photometric, compression="zlib", metadata=None)
        return stream.getvalue()
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels  # OpenCV wants blue first
    done, encoded = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(ordered))
    if not done:
        raise DataError(f"{path}: OpenCV cannot encode {pixels.dtype} {pixels.shape} as {path.suffix}")
    return bytes(encoded.tobytes())


def _decode(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W) or (H, W, 3), and the palette (n, 3) that they index, if any."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not content:
        raise DataError(f"{path}: the file is empty (zero bytes), expected an image")
    palette = None
    try:
        if content.startswith(_TIFF):
            pixels, palette = _decode_tiff(content)
        elif content.startswith(_PNG):
            bits = _check_png(content)
            pixels, palette = _decode_opencv(content) if bits == 16 else _decode_pillow(content)
        elif content.startswith(b"\xff\xd8"):
            _check_jpeg(content)
            pixels, palette = _decode_pillow(content)
        elif content.startswith(b"BM"):
            _check_bmp(content)
            pixels, palette = _decode_pillow(content)
        else:
            raise ValueError("not a BMP, PNG, TIFF or JPEG file")
    except DECODER_ERRORS as error:
        raise DataError(f"{path}: not a readable image (damaged, cut short or not supported): {error}") from error
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]  # alpha
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3) or pixels.size == 0:
        raise DataError(f"{path}: expected one gray or RGB plane (H, W) or (H, W, 3), found {pixels.shape}")
    return pixels, palette


def _decode_pillow(content: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    with Image.open(io.BytesIO(content), formats=("BMP", "PNG", "JPEG", "MPO")) as image:
        image.load()
        if image.mode == "P":
            colours = np.zeros((256, 3), np.uint8)
            listed = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            colours[: len(listed)] = listed
            return np.asarray(image), colours
        if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
            return np.asarray(image.convert("RGB")), None
        return np.asarray(image), None


def _decode_opencv(content: bytes) -> tuple[np.ndarray, None]:
    level = cv2.utils.logging.setLogLevel(0)  # what is wrong goes into the DataError, not to the screen
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    if pixels.ndim == 3 and pixels.shape[-1] >= 3:
        pixels = pixels[..., [2, 1, 0]]  # blue first to red first; alpha dropped
    return pixels, None


def _decode_tiff(content: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    with tifffile.TiffFile(io.BytesIO(content)) as stored:
        if len(stored.pages) != 1:
            raise ValueError(f"{len(stored.pages)} pages, expected one")
        page: Any = stored.pages[0]
        # tifffile passes over tags that lie beyond the end, and decodes without what they say.
        count = struct.Struct(stored.tiff.tagnoformat)
        (declared,) = count.unpack_from(content, page.offset)
        if len(page.tags) != declared:
            raise ValueError(f"{len(page.tags)} of {declared} tags are readable")
        ends = [start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > len(content):
            raise ValueError(f"the file ends at byte {len(content)}, its pixels at byte {max(ends, default=0)}")
        photometric = tifffile.PHOTOMETRIC(page.photometric).name
        if photometric not in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR"):
            raise ValueError(f"colours are stored as {photometric}, expected gray, RGB or a palette")
        if page.compression not in (
            1,
            8,
            32946,
        ):  # none and deflate; tifffile needs another package for the rest
            return _decode_opencv(content)
        pixels = page.asarray()
        if page.axes.startswith("S"):  # planes stored one after the other
            pixels = np.moveaxis(pixels, 0, -1)
        if photometric == "MINISWHITE":
            pixels = ~pixels if pixels.dtype == bool else np.iinfo(pixels.dtype).max - pixels
        if photometric == "PALETTE":
            return pixels, (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        return pixels, None


def _check_png(content: bytes) -> int:
    """Walk the chunks to the end mark, check sums included; return the bits per sample."""
    place = len(_PNG)
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind, end = content[place + 4 : place + 8], place + 12 + length
        if end > len(content):
            break
        if zlib.crc32(content[place + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise ValueError(f"wrong check sum in PNG chunk {kind.decode('latin-1')} at byte {place}")
        if kind == b"IEND":
            return content[24]
        place = end
    raise ValueError(f"the PNG file ends early, at byte {len(content)}")


def _check_jpeg(content: bytes) -> None:
    # Inside the coded pixels 0xFF is always followed by 0 or a restart mark, so an end mark after the last
    # start of scan is a true one; the one of a thumbnail comes earlier.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ValueError(f"the JPEG file ends early, at byte {len(content)}")


def _check_bmp(content: bytes) -> None:
    start, header, width, height, _, bits, compression, stored = struct.unpack_from("<IIiiHHII", content, 10)
    if header < 40:
        return  # the format of OS/2, whose fields differ; Pillow counts its bytes
    size = stored if compression in (1, 2) else (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if start + size > len(content):
        raise ValueError(f"the BMP file ends at byte {len(content)}, its pixels at byte {start + size}")


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:12].tolist())
    return shown + (f", ... ({len(values)} values)" if len(values) > 12 else "")
