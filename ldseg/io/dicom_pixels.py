"""The pixels of DICOM files: uncompressed, RLE, JPEG, JPEG-LS and JPEG 2000, the latter three through imagecodecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np

from ldseg.io import apart
from ldseg.io.contract import Refused, check_length, said_once
from ldseg.io.dicom_places import number
from ldseg.io.streams import check_jpeg, coded_size, colours_are_mixed, is_irreversible, is_lossless, is_near


def _jpeg(content: bytes, colours: str = "") -> np.ndarray:
    """A frame in JPEG. Without a mark of its own the colours are those that the header tells."""
    if colours == "RGB" and not any(mark in content[:512] for mark in (b"JFIF\0", b"Adobe")):
        return imagecodecs.jpeg8_decode(content, colorspace="RGB", outcolorspace="RGB")
    return imagecodecs.jpeg_decode(content)


_CODECS: dict[str, Callable[[bytes], np.ndarray]] = {
    "1.2.840.10008.1.2.4.50": _jpeg,
    "1.2.840.10008.1.2.4.51": _jpeg,
    "1.2.840.10008.1.2.4.57": _jpeg,
    "1.2.840.10008.1.2.4.70": _jpeg,
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.81": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.91": imagecodecs.jpeg2k_decode,
}
"""Decoders of one frame, by transfer syntax: JPEG, JPEG-LS, JPEG 2000."""
_WITH_LOSS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_MAYBE = {"1.2.840.10008.1.2.4.81": ("JPEG-LS", is_near), "1.2.840.10008.1.2.4.91": ("JPEG 2000", is_irreversible)}
"""What can be either, what people call it, and what tells of the first frame."""
_RLE = "1.2.840.10008.1.2.5"


def pixels_of(header: Any, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """The numbers (frames, H, W, samples) as they are stored, unsigned."""
    from pydicom.uid import UID

    syntax = str(getattr(header.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    count, rows, columns, samples = shape
    content = header.PixelData
    if UID(syntax).is_compressed and syntax != "1.2.840.10008.1.2.1.99":
        frames = [_checked(frame, (rows, columns, samples), kind) for frame in _decoded(header, content, syntax, count)]
        if len(frames) != count:
            raise ValueError(f"it holds {len(frames)} frames, its header promises {count}")
        return np.stack(frames)
    if "422" in str(header.get("PhotometricInterpretation", "")):
        from pydicom.pixels.utils import expand_ybr422

        needed = count * rows * columns * 2 * kind.itemsize  # two values of luma and two of chroma for two pixels
        if not needed <= len(content) <= needed + 1:
            raise ValueError(f"it holds {len(content)} bytes of pixels, YBR_FULL_422 tells of {needed}")
        content = expand_ybr422(content[:needed], int(header.BitsAllocated))
    big = syntax == "1.2.840.10008.1.2.2"
    if big and kind.itemsize == 1 and header["PixelData"].VR == "OW":  # words whose bytes are in the other order
        content = np.frombuffer(content[: len(content) // 2 * 2], ">u2").astype("<u2").tobytes()
    total = count * rows * columns * samples
    if int(header.BitsAllocated) == 1:
        check_length(len(content), (total + 7) // 8)
        return np.unpackbits(np.frombuffer(content, np.uint8), count=total, bitorder="little").reshape(shape)
    check_length(len(content), total * kind.itemsize)
    if len(content) >= total * kind.itemsize + max(2, total // count * kind.itemsize):
        raise ValueError(f"it holds {len(content)} bytes of pixels, its header tells of {total * kind.itemsize} only")
    flat = np.frombuffer(content, kind.newbyteorder(">" if big else "<"), total)
    if samples > 1 and int(header.get("PlanarConfiguration", 0)) == 1:
        return np.moveaxis(flat.reshape(count, samples, rows, columns), 1, -1)
    return flat.reshape(shape)


def _decoded(header: Any, content: bytes, syntax: str, count: int) -> Iterator[np.ndarray]:
    if syntax == _RLE:
        from pydicom.pixels.decoders import RLELosslessDecoder

        for index in range(count):
            pixels, _ = RLELosslessDecoder.as_array(header, raw=True, index=index)
            yield pixels
        return
    if syntax not in _CODECS:
        from pydicom.uid import UID

        raise Refused(f"its pixels are compressed as {UID(syntax).name}, which is not read")
    from pydicom.encaps import generate_frames

    colours = str(header.get("PhotometricInterpretation", ""))
    for frame in generate_frames(content, number_of_frames=count):
        codec, size = _CODECS[syntax], coded_size(frame)
        if size != (int(header.Rows), int(header.Columns)):
            raise ValueError(f"a frame has the size {size}, its header promises {(int(header.Rows), int(header.Columns))}")
        if codec is _jpeg:
            check_jpeg(frame)
        else:
            apart.needed()
        pixels = _jpeg(frame, colours) if codec is _jpeg else codec(frame)
        yield to_rgb(pixels, colours) if pixels.ndim == 3 and not _turned(codec, frame, colours) else pixels


def _turned(codec: Callable[[bytes], np.ndarray], frame: bytes, colours: str) -> bool:
    """Whether the colours of a frame are RGB when it is decoded: those of lossless JPEG and of JPEG-LS are as stored."""
    if not colours.startswith("YBR"):
        return True
    if codec is imagecodecs.jpeg2k_decode:
        return colours_are_mixed(frame) or not colours.startswith("YBR_FULL")
    return codec is _jpeg and not is_lossless(frame)


def _checked(pixels: np.ndarray, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    if pixels.shape != shape:
        raise ValueError(f"a frame has the shape {pixels.shape}, its header promises {shape}")
    wide = pixels.astype(f"{pixels.dtype.kind}{kind.itemsize}", copy=False)  # with its sign, where it has one
    if wide.itemsize < pixels.itemsize and (wide != pixels).any():
        found = f"from {pixels.min()} to {pixels.max()}"
        raise ValueError(f"a frame holds values {found}, its header promises such of {8 * kind.itemsize} bits")
    return wide.view(kind)


def signed(pixels: np.ndarray, header: Any, stored: int) -> np.ndarray:
    """The bits of each value that are in use, with their sign."""
    width = pixels.dtype.itemsize * 8
    high = int(header.get("HighBit", stored - 1))
    if not 0 < stored <= width or not stored - 1 <= high < width:
        if width == 8 and int(header.BitsAllocated) == 1:
            return pixels
        raise ValueError(f"its header has {stored} bits stored up to bit {high} of {width}")
    left = width - 1 - high
    if width > stored and not _has_overlays(header):
        _check_unused(pixels, header, stored, high)
    if int(header.get("PixelRepresentation", 0)):
        signed = pixels.astype(f"i{width // 8}")
        return (signed << left) >> (width - stored) if width > stored else signed
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return (native << left) >> (width - stored) if width > stored else native


def padded(pixels: np.ndarray, values: np.ndarray, header: Any, stored: int) -> np.ndarray | None:
    """Which pixels stand for what lies outside of the picture (PixelPaddingValue, PS3.3, C.7.5.1.1.2); None where none do.

    Args:
        pixels: as they are stored, unsigned.
        values: the same as `signed` gives them.
        header: of the file.
        stored: bits in use.
    """
    first = number(header.get("PixelPaddingValue"))
    last = number(header.get("PixelPaddingRangeLimit"))
    if first is None:
        return None
    ends = int(first), int(first if last is None else last)
    width, sign = pixels.dtype.itemsize * 8, bool(header.get("PixelRepresentation", 0))
    # Programs write it with the sign of the pixels or without, and beyond the bits in use: 63536 is -2000.
    found = _between(pixels.astype(f"{'i' if sign else 'u'}{width // 8}"), ends, width, sign)
    if stored < width and -(2 ** (stored - 1)) <= min(ends) and max(ends) < 2**stored:
        found |= _between(values, ends, stored, sign)
    return found if found.any() else None


def _between(values: np.ndarray, ends: tuple[int, int], bits: int, sign: bool) -> np.ndarray:
    """Where values lie between two numbers, each brought to so many bits, with their sign or without."""
    half = 2 ** (bits - 1) if sign else 0
    low, high = sorted((end + half) % 2**bits - half for end in ends)
    found: np.ndarray = (values >= low) & (values <= high)
    return found


def _has_overlays(header: Any) -> bool:
    """Whether bits beside those of the pixels are overlays (60xx,0102), as the standard allowed once."""
    return any(tag.group & 0xFF00 == 0x6000 and tag.element == 0x0102 and header[tag].value for tag in header.keys())  # noqa: SIM118


def _check_unused(pixels: np.ndarray, header: Any, stored: int, high: int) -> None:
    """Say once where bits that the header does not tell of are in use: they are left out, as by most programs."""
    unused = pixels.astype(f"{'i' if int(header.get('PixelRepresentation', 0)) else 'u'}{pixels.dtype.itemsize}") >> high + 1
    least, most = int(unused.min()), int(unused.max())
    if least < -1 or most > 0:  # 0 throughout, or the sign
        used = high + 1 + max(most, -least - 1).bit_length()
        said_once(
            "bits of DICOM",
            f"{getattr(header, 'filename', 'DICOM')}: its header tells of {stored} bits in use (BitsStored), its pixels use"
            f" {used}: those beyond are left out (said once)",
        )


def coded_with_loss(header: Any) -> str:
    """The coding that has changed the values of a file; empty where they are as they were."""
    syntax = str(getattr(header.file_meta, "TransferSyntaxUID", ""))
    if syntax in _WITH_LOSS:
        return "JPEG"
    if syntax not in _MAYBE:
        return ""
    name, is_changed = _MAYBE[syntax]
    # Files may be coded with loss and not say so, or have been when they were coded before.
    told = str(header.get("LossyImageCompression", "")) == "01"
    return name if told or is_changed(header.PixelData) else ""


def is_decoded(header: Any) -> bool:
    """Whether the frames of a file come from a decoder of `_CODECS`, which gives colours as RGB."""
    return str(getattr(header.file_meta, "TransferSyntaxUID", "")) in _CODECS


def to_rgb(values: np.ndarray, kind: str) -> np.ndarray:
    """Colours of the kinds YBR as RGB."""
    if kind not in ("YBR_FULL", "YBR_FULL_422"):
        raise Refused(f"its colours are {kind}, as stored, which is not read; save it as RGB")
    from pydicom.pixels import convert_color_space

    return convert_color_space(values.astype(np.uint8), "YBR_FULL", "RGB")
