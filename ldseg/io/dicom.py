"""DICOM files through pydicom: frames, their values and their places."""

from __future__ import annotations

import logging
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.io.contract import Content, Format, Refused, check_size, said_once
from ldseg.io.dicom_order import Frame, arranged, is_turn
from ldseg.io.dicom_pixels import coded_with_loss, is_decoded, padded, pixels_of, signed, to_rgb
from ldseg.io.dicom_places import number, own, side_by_side, step_of, with_place
from ldseg.io.dicom_segments import numbered
from ldseg.io.geometry import TOLERANCE
from ldseg.io.volumes import check_volume, placed

DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


# What is wrong goes into the DataError, not to the screen.
warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").addHandler(logging.NullHandler())  # its level is set anew when it is imported
logging.getLogger("pydicom").propagate = False
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_GRAY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")


class NoPicture(ValueError):
    """A DICOM object without a picture, such as contours or a report; its modality is told."""

    def __init__(self, modality: str) -> None:
        super().__init__("it has no picture (no Rows and Columns)")
        self.modality = modality


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The frames of a file.

    Attributes:
        frames: in the order of the file.
        header: its data set, without the pixels.
        step: mm from slice to slice where the file says so, else 1.
        bits: bits of each value in use; 0 where the file does not say.
    """

    frames: list[Frame]
    header: Any
    step: float
    bits: int


def read_dicom(path: Path, axes: str, label: bool = False) -> Content:
    """Read one file as `Format.read` asks. Frames with places in the patient are put in their order."""
    slices = read_slices(path, axes, label)
    content = stacked([(path.name, frame) for frame in slices.frames], axes, slices.step, slices.bits)
    return replace(content, lossy=coded_with_loss(slices.header))


def read_slices(path: Path, axes: str, label: bool = False) -> Slices:
    """The frames of a DICOM file."""
    header = header_of(path)
    if "PixelData" not in header:
        if "FloatPixelData" in header or "DoubleFloatPixelData" in header:
            raise Refused("pixels in floating point, which are not read; save them as whole numbers with a slope")
        raise ValueError("it has no pixels")
    if "MOSAIC" in (header.get("ImageType") or ()):
        raise Refused("a mosaic of slices in one plane (ImageType MOSAIC); take it apart first (dcm2niix does)")
    rows, columns, samples = int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel", 1))
    count, allocated = int(header.get("NumberOfFrames") or 1), int(header.BitsAllocated)
    if allocated not in (1, 8, 16, 32):
        raise Refused(f"pixels of {allocated} bits, expected 1, 8, 16 or 32")
    kind = np.dtype(np.uint8 if allocated == 1 else f"u{allocated // 8}")
    check_volume((columns, rows, count), samples, kind, axes)
    _check_colours(_colours_of(header), samples)
    values = pixels_of(header, (count, rows, columns, samples), kind)
    stored = int(header.get("BitsStored", allocated))
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    if groups and len(groups) != count:
        raise ValueError(f"it describes {len(groups)} frames and promises {count}")
    frames = [_frame(header, frame, groups[index] if groups else None, stored, label) for index, frame in enumerate(values)]
    if not groups and axes != "TYX":
        frames = side_by_side(frames, header)
    if label and groups:
        frames = numbered(frames, header, groups)
    if frames[0].unknown:
        said_once(f"size of {path.parent}", f"{path}: it does not say how large its pixels are: taken as 1 mm")
    table = _table_of(header)
    # That all bits of 16 are in use is what programs write that do not know.
    bits = int(table.LUTDescriptor[2]) if table is not None else stored if stored < 16 else 0
    bits = 0 if any(frame.scaled for frame in frames) else bits
    return Slices(frames=frames, header=header, step=step_of(header) if count > 1 or axes == "ZYX" else 1.0, bits=bits)


def _colours_of(header: Any) -> str:
    """What the samples mean; where the file does not say, three are RGB and one is gray."""
    usual = "RGB" if int(header.get("SamplesPerPixel", 1)) == 3 else "MONOCHROME2"
    return str(header.get("PhotometricInterpretation") or usual)


def white_is_zero(header: Any) -> bool:
    """Whether gray values are to be shown the other way round: MONOCHROME1, or an inverse PresentationLUTShape (C.11.6)."""
    kind = _colours_of(header)
    return kind == "MONOCHROME1" or (kind == "MONOCHROME2" and header.get("PresentationLUTShape") == "INVERSE")


def _check_colours(kind: str, samples: int) -> None:
    """Raises Refused for colours that are not read."""
    planes = 3 if kind == "RGB" or kind.startswith("YBR") else 1 if kind in _GRAY else 0
    if planes != samples:
        raise Refused(f"{samples} samples of {kind}, expected gray, a palette, RGB or YBR; save it as RGB")


def _table_of(header: Any) -> Any:
    """The table by which stored numbers are turned to those that count, in place of a slope; None without one."""
    return (header.get("ModalityLUTSequence") or [None])[0]


def header_of(path: Path) -> Any:
    """The data set of a file, whose pixels are read when they are asked for."""
    check_size((path.stat().st_size,), 1)
    _check_deflated(path)
    import pydicom  # here, and likewise below: a run without such files begins sooner

    header = pydicom.dcmread(path, force=True, defer_size=1 << 16)
    if not len(header):  # pydicom gives up all that it has read where the file ends within a part
        raise ValueError("it ends early, or has no part of a DICOM file")
    if "Rows" not in header or "Columns" not in header:
        raise NoPicture(str(header.get("Modality", "")))
    return header


def _check_deflated(path: Path) -> None:
    """A file that is packed as a whole stays within the limit when it is unpacked."""
    with path.open("rb") as stream:
        start = stream.read(2048)
        if start[128:132] != b"DICM" or _DEFLATED not in start:
            return
        from pydicom.filereader import read_file_meta_info

        stream.seek(132 + 12 + int(read_file_meta_info(path).FileMetaInformationGroupLength))
        inflate, length, feed = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
        while not inflate.eof and (feed := inflate.unconsumed_tail or stream.read(1 << 20)):
            length += len(inflate.decompress(feed, 1 << 24))
            check_size((max(length, 1),), 1)


def stacked(named: list[tuple[str, Frame]], axes: str, step: float, bits: int, several: bool = False) -> Content:
    """Frames as one content, along z in the order of their places.

    Args:
        named: the frames, each with the name of its file.
        axes: what they are to be.
        step: mm, or another unit along time, from frame to frame where places do not tell.
        bits: bits of each value in use; 0 where the file does not say.
        several: whether the frames come from several files, which lie in order along time by their numbers.
    """
    first_name, first = named[0]
    for name, frame in named:
        if frame.values.shape != first.values.shape:
            both = frame, first
            found, wanted = (
                f"{f.values.shape[1]}×{f.values.shape[0]}" + " in colour" * (f.values.shape[2] > 1) for f in both
            )
            raise Refused(
                f"{name} is of size {found}, expected {wanted} as {first_name}: is it a localizer, or of another series?"
            )
        if not np.allclose(frame.spacing, first.spacing, rtol=TOLERANCE, atol=0):
            raise Refused(f"{name} has pixels of {frame.spacing} mm, expected {first.spacing} as {first_name}")
    named, step = arranged(named, axes, step, several)
    first = named[0][1]
    types = np.result_type(*(frame.values for _, frame in named))
    values = np.stack([frame.values.astype(types, copy=False) for _, frame in named])
    _fill_padding(values, [frame.padded for _, frame in named], first_name)
    rows, columns = first.values.shape[:2]
    size = (columns, rows, len(named))
    turn = np.array([1, 0, 0, 0, 1, 0], float)
    if first.turn is not None:
        if is_turn(first.turn):
            turn = first.turn
        else:  # zeros, mostly; of planes that lie side by side they are refused
            shown = " ".join(f"{number:g}" for number in first.turn)
            told = f"its directions (ImageOrientationPatient) are {shown}: taken as upright (said once)"
            said_once("directions of DICOM", f"{first_name}: {told}")
    direction = np.stack([turn[:3], turn[3:], np.cross(turn[:3], turn[3:])], axis=1)
    origin = np.zeros(3) if first.place is None else first.place
    spacing = np.array([first.spacing[1], first.spacing[0], step])
    content = placed(values, size, spacing, origin, direction, axes, source=first_name, label=False)
    return Content(values=content.values, geometry=content.geometry, bits=bits or None)


def _fill_padding(values: np.ndarray, padded: list[np.ndarray | None], source: str) -> None:
    """Give pixels outside of the picture the lowest value (frames, H, W, 1) of those inside, which is black.

    A padding that lies among these takes nothing of their range, and may be a mistake: it stays.
    """
    if all(mask is None for mask in padded):
        return
    inside = [frame if mask is None else frame[~mask] for frame, mask in zip(values, padded, strict=True)]
    inside = [part for part in inside if part.size]
    if not inside:
        return
    low, high, count = min(part.min() for part in inside), max(part.max() for part in inside), 0
    for frame, mask in zip(values, padded, strict=True):
        if mask is not None:
            beyond = mask[..., np.newaxis] & ((frame < low) | (frame > high))
            count += int(beyond.sum())
            frame[beyond] = low
    if count:
        told = f"{count} pixels lie outside of the picture (PixelPaddingValue): taken as the lowest of the others, {low:g}"
        said_once("padding of DICOM", f"{source}: {told} (said once)")


def _frame(header: Any, pixels: np.ndarray, group: Any, stored: int, label: bool) -> Frame:
    """One frame with its colours, its own scale and its own place."""
    kind = _colours_of(header)
    values, scaled, outside = signed(pixels, header, stored), False, None
    if kind == "PALETTE COLOR" and not label:
        from pydicom.pixels import apply_color_lut

        values = apply_color_lut(values[..., 0].astype(np.uint16), header)
        values = values >> 8 if values.dtype == np.uint16 and values.max() > 255 else values
        values = values.astype(np.uint8)
    elif kind.startswith("YBR") and values.shape[-1] == 3:
        values = values if is_decoded(header) else to_rgb(values, kind)
    elif values.shape[-1] == 1:
        if not label and int(header.BitsAllocated) > 1:
            outside = padded(pixels[..., 0], values[..., 0], header, stored)
        if not label and white_is_zero(header):
            low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if header.PixelRepresentation else (0, 2**stored - 1)
            values = (high + low - values.astype(np.int64)).astype(values.dtype)
        if _table_of(header) is not None:
            from pydicom.pixels import apply_modality_lut

            values = apply_modality_lut(values, header)
        slope, shift = (_of_scale(header, group, name) for name in ("RescaleSlope", "RescaleIntercept"))
        slope = number(header.get("DoseGridScaling")) if slope is None else slope
        before, values = values, _scaled(values, slope, shift, stored)
        scaled = values is not before
        if int(header.BitsAllocated) == 1 and not label and values.dtype == np.uint8:
            values = values.astype(bool)  # which images have as black and white
    return replace(with_place(header, group, values), scaled=scaled, padded=outside)


def _of_scale(header: Any, group: Any, name: str) -> float | None:
    """A number by which values are scaled or shifted; None where the file has none. Raises ValueError for another thing."""
    told = own(header, group, "PixelValueTransformationSequence", name)
    found = number(told)
    if found is None and told not in (None, ""):
        raise ValueError(f"its header has {name} = {told}, expected a number")
    return found


def _scaled(values: np.ndarray, slope: float | None, shift: float | None, stored: int) -> np.ndarray:
    """Stored numbers in the units of the file: whole numbers of 8 or 16 bits where they fit, else float."""
    slope, shift = 1.0 if slope is None else slope, 0.0 if shift is None else shift
    if not (np.isfinite(slope) and np.isfinite(shift)) or slope == 0:
        raise ValueError(f"its header scales values by {slope:g} and shifts them by {shift:g}")
    if (slope, shift) == (1, 0):
        return values
    ends = [end * slope + shift for end in ((0, 2**stored - 1) if values.dtype.kind == "u" else (-1, 1))]
    if slope == int(slope) and shift == int(shift) and min(ends) >= 0 and max(ends) < 65536:
        whole = values.astype(np.int64) * int(slope) + int(shift)
        kind = np.uint8 if max(ends) < 256 else np.uint16
        if whole.min() >= 0 and whole.max() <= np.iinfo(kind).max:  # signed ones may lie beyond the ends
            return whole.astype(kind)
    return (values * slope + shift).astype(np.float32)


DICOM = Format(
    thing="DICOM file",
    suffixes=DICOM_SUFFIXES,
    axes=("YX", "ZYX", "TYX"),
    read=read_dicom,
    masks=dict.fromkeys((*DICOM_SUFFIXES, ""), ".nii.gz"),
    magic=lambda start: start[128:132] == b"DICM",
)
