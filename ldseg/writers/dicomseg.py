"""Masks as DICOM Segmentation objects (PS3.3, A.51), by highdicom: for the PACS, 3D Slicer and OHIF."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.io.dicom_sources import Sources, is_dicom_scan, sources_of
from ldseg.version import __version__
from ldseg.writers.codes import UNCODED, Term
from ldseg.writers.contract import Segmentation, Writer
from ldseg.writers.dicom_time import in_time, spread

logging.getLogger("highdicom").setLevel(logging.WARNING)  # it tells of every module that it copies

SUFFIX = "_segmentation.dcm"
SERIES_NUMBER = 300
"""Of the series that holds the segmentation: high, so that viewers list it behind those of the scanner."""

_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
"""What a segmentation takes over from its image, and what may be empty, as in images without names (type 2)."""
_MUST_BE_THERE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality")


def write_dicomseg(folder: Path, case: Segmentation) -> Path:
    """Write ``<case>_segmentation.dcm``, as `Writer.write` asks: a segment for each class but the background.

    Frames refer to those of the image, and lie where they lie.

    Raises:
        DataError: the image is no DICOM, or lacks what a segmentation refers to.
    """
    named = f"{case.name}: not written as dicomseg"
    if case.source is None or not is_dicom_scan(case.source, case.axes):
        shown = "an array" if case.source is None else case.source.name
        raise DataError(f"{named}: expected an image that is DICOM, as a DICOM segmentation refers to it, got {shown}")
    sources = sources_of(case.source, case.axes)
    _check(sources, case, named)
    _complete(sources, case)
    made_of, pixels = _identity(case, sources), _pixels(case, sources)
    video = case.axes[0] == "T"
    space = spread(sources) if video else ""
    dataset = _segmentation(case, sources, pixels, made_of)
    if video:
        in_time(dataset, sources, space)
    if not (space if video else sources.placed):
        dataset.PatientOrientation = sources.headers[0].get("PatientOrientation") or ""  # what has no place must say it
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return write_bytes(folder / f"{case.name}{SUFFIX}", content.getvalue())


def _check(sources: Sources, case: Segmentation, named: str) -> None:
    """Make sure that the image has what a segmentation refers to."""
    first = sources.headers[0]
    for name in _MUST_BE_THERE:
        if not first.get(name):
            raise DataError(f"{named}: expected a DICOM image with {name}, found none")
    frames = len(sources.planes)
    if len(sources.headers) > 1 and frames > len(sources.headers):
        raise DataError(f"{named}: expected one file of many frames, or files of one frame each, found {frames} frames")
    if case.axes == "ZYX" and not sources.placed:
        raise DataError(f"{named}: expected frames with places in the patient (ImagePositionPatient), found none")
    if case.axes[0] != "T" and sources.placed and not first.get("FrameOfReferenceUID"):
        raise DataError(f"{named}: expected a DICOM image with FrameOfReferenceUID, which says in what space it lies")


def _complete(sources: Sources, case: Segmentation) -> None:
    """Fill in what highdicom looks for in an image and the image may lack; the files stay as they are."""
    step = case.spacing[0] if case.spacing is not None and case.axes == "ZYX" else 1.0
    for header in sources.headers:
        for name in _MAY_BE_EMPTY:
            if name not in header:
                setattr(header, name, "")
        if not sources.placed and "FrameOfReferenceUID" in header:
            del header.FrameOfReferenceUID  # a projection may name a space, but has no place in it
        if "NumberOfFrames" not in header and not header.get("SliceThickness"):
            header.SliceThickness = step  # from plane to plane, or of a plane alone: nothing else is known


def _pixels(case: Segmentation, sources: Sources) -> np.ndarray:
    """Class numbers (frames, H, W) in the order of the files, or of the frames of the one file."""
    mask = case.mask.reshape(-1, *case.mask.shape[-2:])
    kind = np.uint8 if len(case.classes) <= 256 else np.uint16
    pixels = np.zeros(mask.shape, kind)
    for plane, (file, frame) in zip(mask, sources.planes, strict=True):
        pixels[file + frame] = plane  # one of both is always 0
    return pixels


def _identity(case: Segmentation, sources: Sources) -> list[str]:
    """What makes the object what it is: a PACS that is sent the same mask of the same image twice keeps one."""
    first = sources.headers[0]
    content = hashlib.sha256(case.mask.astype("<i4").tobytes() + repr(case.classes).encode()).hexdigest()
    return [str(first.SOPInstanceUID), str(first.SeriesInstanceUID), content, __version__]


def _segmentation(case: Segmentation, sources: Sources, pixels: np.ndarray, made_of: list[str]) -> Any:
    import highdicom  # here, as few runs write it
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="LDSeg", version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
    segments = []
    for number in range(1, len(case.classes)):
        code = case.codes.get(case.classes[number], UNCODED)
        segments.append(
            highdicom.seg.SegmentDescription(
                segment_number=number,
                segment_label=case.classes[number],
                segmented_property_category=_coded(code.category),
                segmented_property_type=_coded(code.term),
                algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=algorithm,
                display_color=highdicom.color.CIELabColor.from_rgb(*case.colours[number]),
            )
        )
    found = highdicom.seg.Segmentation(
        source_images=sources.headers,
        pixel_array=pixels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=_uid("series", *made_of),
        series_number=SERIES_NUMBER,
        sop_instance_uid=_uid("instance", *made_of),
        instance_number=1,
        manufacturer="LDSeg",
        manufacturer_model_name="LDSeg",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description="Segmented by LDSeg",
        omit_empty_frames=bool(pixels.any()),
    )
    found.SeriesDescription = "LDSeg segmentation"
    return found


def _coded(term: Term) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value=term.value, scheme_designator=term.scheme, meaning=term.meaning)


def _uid(*parts: str) -> str:
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=["ldseg", *parts])


DICOMSEG = Writer(
    about="a DICOM Segmentation, for images that are DICOM",
    files=SUFFIX,
    write=write_dicomseg,
    needs=("highdicom",),
    extra="dicomseg",
)
