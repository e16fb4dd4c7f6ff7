"""Flat images, labels and masks on disk, 8-bit, 16-bit and (TIFF) floating point.

A file is recognised by its content, not by its extension (`ldseg.io.codecs`, `ldseg.io.tiff`). The orientation that EXIF or
TIFF tells is applied to images and labels alike, so that a mask lies on what viewers show.
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ldseg.base.later import Later
from ldseg.base.spatial import COLOUR
from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.io.codecs import decode
from ldseg.io.contract import Content, Format, Refused, check_size, read_checked, said_once
from ldseg.io.geometry import Geometry
from ldseg.io.planes import said_transparent, upright, without_alpha
from ldseg.io.tiff import TIFF_SUFFIXES, read_tiff

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Later("tifffile")

LOSSLESS_SUFFIXES = (".bmp", ".png", *TIFF_SUFFIXES)
IMAGE_SUFFIXES = (
    *(".bmp", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".gif", ".jp2", ".j2k", ".avif"),
    *(".pbm", ".pgm", ".ppm", ".pnm"),
)
WRITTEN_SUFFIXES = (".bmp", ".png", ".tif", ".tiff", ".jpg", ".jpeg")

_APART = 16
"""Numbers of a label that lie nearer to each other may be one number that a coding with loss has changed."""
_ROUNDING = 1e-6
"""How far from a whole number, in relation to it, a number of a label may lie."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_picture(path: Path, axes: str = "YX", label: bool = False) -> Content:
    """Read a picture, as `Format.read` asks: (H, W, c) with c = 1, 3, or as many as a TIFF has channels."""
    with path.open("rb") as stream:
        start = stream.read(4)
    if start in _TIFF:
        return read_tiff(path, "YX", label)
    check_size((path.stat().st_size,), 1)
    pixels = decode(path.read_bytes())
    if pixels.pictures > 1:
        said_once("MPO", f"{path}: it holds {pixels.pictures} pictures (MPO), of which the first alone is used (said once)")
    values = pixels.values if pixels.values.ndim == 3 else pixels.values[..., np.newaxis]
    if values.shape[-1] in (2, 4):
        values = without_alpha(values, str(path), label)
    elif pixels.transparent and not label:  # of a label the numbers count
        said_transparent(str(path))
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not values.size:
        raise Refused(f"expected one gray or RGB plane (H, W) or (H, W, 3), found {values.shape}")
    values = upright(values, pixels.orientation)
    if label:
        return Content(values=values // pixels.steps if pixels.steps > 1 else values, lossy=pixels.lossy)
    shown = values if pixels.palette is None else pixels.palette[values[..., 0]]
    return Content(values=shown, bits=pixels.bits, lossy=pixels.lossy)


def read_image(path: Path) -> np.ndarray:
    """Read one image as (H, W, c), c = 1 (gray) or 3 (red, green, blue); uint8, uint16 or float32, as stored.

    Transparency is left out, a palette is expanded, a 1-bit image becomes 0/255. Integers other than 8- and
    16-bit unsigned become float32 with their values kept. Raises DataError for a file that is missing,
    unreadable, cut short, of another format, of several pages, or with another number of planes.
    """
    return stored(read_checked(Path(path), "image", partial(read_picture, Path(path))).values)


def read_label(path: Path) -> np.ndarray:
    """Read one label as int32 (H, W), the values as stored: of a palette image its indices, of 1 bit 0 and 1.

    A label stored as RGB counts as one plane where its three planes agree. Raises DataError as `read_image`
    does, and for planes that differ, and for values that are no whole numbers of 32 bits.
    """
    content = read_checked(Path(path), "image", partial(read_picture, Path(path), label=True))
    return label_numbers(content.values, str(path), content.lossy)


def stored(values: np.ndarray) -> np.ndarray:
    """Values of any type as scans have them: truth values as 0 and 255, whole numbers but 8 and 16 bits as float32."""
    if values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)
    kind = values.dtype.newbyteorder("=")
    return np.ascontiguousarray(values, kind if kind in (np.uint8, np.uint16) else np.float32)


def label_numbers(pixels: np.ndarray, source: str, lossy: str = "") -> np.ndarray:
    """Values (*S, c) of a label as int32 (*S).

    `source` names the file in messages, `lossy` the coding that may have changed its values. Raises DataError for planes
    that differ, for values that are no whole numbers of 32 bits, and for those that such a coding may have made.
    """
    if pixels.shape[-1] > 1 and not (pixels == pixels[..., :1]).all():
        found = "a colour image (say what the colours mean in [Data] LabelMap, such as #ff0000:1)"
        if pixels.shape[-1] != 3 or pixels.max() <= 1:  # a plane for each class, or layers of segments
            found = f"{pixels.shape[-1]} planes (of a plane for each class, save the number of the class)"
        raise DataError(f"{source}: a label needs one plane of class or instance numbers, found {found}")
    pixels = pixels[..., 0]
    with np.errstate(invalid="ignore"):  # what is no number is refused
        if pixels.dtype.kind == "f" and not (pixels == np.rint(pixels)).all():
            nearest = np.rint(pixels)
            # Headers scale by numbers of 32 bits: 255 times a slope of 1/255 is 1.0000001.
            if not (np.isfinite(pixels) & (abs(pixels - nearest) <= _ROUNDING * np.minimum(abs(nearest), 1000))).all():
                raise DataError(f"{source}: a label needs whole numbers, found {_some(np.unique(pixels))}")
            pixels = nearest
    bounds = np.iinfo(np.int32)
    if pixels.min() < bounds.min or pixels.max() > bounds.max:
        raise DataError(f"{source}: a label needs values of 32 bits, found {pixels.min()} to {pixels.max()}")
    if lossy:
        _check_unchanged(pixels, source, lossy)
    return pixels.astype(np.int32)


def _check_unchanged(pixels: np.ndarray, source: str, lossy: str) -> None:
    """Raises DataError for numbers so near to each other that they may be fewer, which a coding with loss has changed."""
    found, counts = np.unique(pixels, return_counts=True)
    near = np.diff(found.astype(np.int64)) < _APART
    if not near.any():
        return
    groups = np.split(np.arange(len(found)), np.flatnonzero(~near) + 1)
    fewer = [found[group[np.argmax(counts[group])]] for group in groups]
    other = f"{_some(np.array(fewer))}{' alone' * (len(fewer) == 1)}, which {lossy} has changed"
    if int(found[-1]) - int(found[0]) >= 8 * _APART and len(groups) < 3:
        other = f"black and white (above {(int(found[-1]) + int(found[0])) // 2} or not), which {lossy} has changed"
    raise DataError(
        f"{source}: a label in {lossy}, which changes numbers, can be read in two ways: {_some(found)} as they are, or"
        f" {other}; save it as PNG with the numbers that are meant"
    )


def colour_numbers(pixels: np.ndarray, source: str) -> np.ndarray:
    """Values (*S, c) of a label that is coded in colours as int32 (*S): `COLOUR`, and red, green, blue in 8 bits each.

    A gray value counts as the colour of three such. Raises DataError for other planes, and for values of other than 8 bits.
    """
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype != np.uint8 or pixels.shape[-1] not in (1, 3):
        found = f"{pixels.shape[-1]} planes of {pixels.dtype}"
        raise DataError(f"{source}: a label in colours needs red, green and blue of 8 bits, found {found}")
    red, green, blue = np.moveaxis(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)).astype(np.int32), -1, 0)
    return COLOUR + (red << 16 | green << 8 | blue)


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
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise DataError(f"{path}: cannot write type {path.suffix or '(none)'}, only {' '.join(WRITTEN_SUFFIXES)}")
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


def write_flat(path: Path, values: np.ndarray, geometry: Geometry | None, like: Path | None) -> Path:
    """Write a mask or a map, as `Format.write` asks; one that lies in space keeps no place here."""
    if values.dtype.kind == "f":
        return write_bytes(path.with_name(path.name.removesuffix(path.suffix) + TIFF_SUFFIXES[0]), encode(path, values))
    return write_mask(path, values)


PICTURE = Format(
    thing="image",
    suffixes=IMAGE_SUFFIXES,
    axes=("YX",),
    read=read_picture,
    write=write_flat,
    masks={suffix: ".png" for suffix in IMAGE_SUFFIXES if suffix not in LOSSLESS_SUFFIXES},
    maps=".tif",
)


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:12].tolist())
    return shown + (f", ... ({len(values)} values)" if len(values) > 12 else "")
