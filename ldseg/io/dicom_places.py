"""Where the frames of DICOM files lie, and how large their pixels are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ldseg.io.dicom_order import Frame
from ldseg.io.geometry import TOLERANCE

_CM = 3
"""The unit cm of regions of ultrasound (DICOM PS3.3, C.8.5.5.1.15)."""
_RADIOGRAPHS = ("CR", "DX", "MG", "RF", "XA")
"""Modalities whose pixels have the spacing of the detector where there is no other."""


def with_place(header: Any, group: Any, values: np.ndarray) -> Frame:
    """Values of one frame with its own place."""
    place = numbers(own(header, group, "PlanePositionSequence", "ImagePositionPatient"), 3)
    turn = numbers(own(header, group, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = numbers(own(header, group, "PixelMeasuresSequence", "PixelSpacing"), 2)
    if spacing is None and header.get("Modality") in _RADIOGRAPHS:
        spacing = numbers(header.get("ImagerPixelSpacing"), 2)
    spacing = _of_regions(header) if spacing is None else spacing
    unknown = spacing is None or not (spacing > 0).all()
    steps = (1.0, 1.0) if spacing is None or unknown else (float(spacing[0]), float(spacing[1]))
    return Frame(values=values, place=place, turn=turn, spacing=steps, unknown=unknown)


def frames_without_pixels(header: Any, axes: str) -> list[Frame]:
    """The frames of a file in its order, with their places and without values, (H, W, 0)."""
    empty = np.empty((int(header.Rows), int(header.Columns), 0), np.uint8)
    several = header.get("PerFrameFunctionalGroupsSequence")
    groups = several or [None] * int(header.get("NumberOfFrames") or 1)
    frames = [with_place(header, group, empty) for group in groups]
    return frames if several or axes == "TYX" else side_by_side(frames, header)


def side_by_side(frames: list[Frame], header: Any) -> list[Frame]:
    """Frames of a file that tells the place of the first alone and the steps from it, as files of dose do."""
    first, steps = frames[0], header.get("GridFrameOffsetVector")
    if len(frames) < 2 or first.place is None or first.turn is None:
        return frames
    normal = np.cross(first.turn[:3], first.turn[3:])
    offsets = numbers(steps, len(frames))
    if offsets is None:
        # In nuclear medicine a step below 0 leads to the front (DICOM PS3.3, C.8.4.15).
        back = header.get("Modality") != "NM" or (number(header.get("SpacingBetweenSlices")) or 0) >= 0
        offsets = np.arange(len(frames)) * step_of(header) * (1 if back else -1)
    elif abs(offsets[0] - first.place @ normal) < TOLERANCE:  # they may be places themselves
        offsets = offsets - offsets[0]
    return [
        replace(frame, place=first.place + normal * offset) for frame, offset in zip(frames, offsets.tolist(), strict=True)
    ]


def step_of(header: Any) -> float:
    """mm from frame to frame as the file says, else 1."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    measures = (shared.get("PixelMeasuresSequence") or [{}])[0]
    for part in (measures, header):
        for name in ("SpacingBetweenSlices", "SliceThickness"):
            step = number(part.get(name))
            if step:
                return abs(step)
    return 1.0


def _of_regions(header: Any) -> np.ndarray | None:
    """mm from row to row and from column to column of ultrasound, where the regions of the picture agree on cm."""
    regions = header.get("SequenceOfUltrasoundRegions") or []
    units, steps = ("PhysicalUnitsXDirection", "PhysicalUnitsYDirection"), ("PhysicalDeltaY", "PhysicalDeltaX")
    flat = [region for region in regions if all(region.get(name) == _CM for name in units)]
    found = {tuple(abs(number(region.get(name)) or 0.0) for name in steps) for region in flat}
    return 10 * np.array(found.pop()) if len(found) == 1 else None


def own(header: Any, group: Any, sequence: str, name: str) -> Any:
    """An attribute of a frame, of all frames, of the file, or of its one detector, as nuclear medicine has it."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    for part in (group, shared):
        found = part.get(sequence) if part is not None else None
        if found and found[0].get(name) is not None:
            return found[0].get(name)
    detectors = header.get("DetectorInformationSequence") or []
    return header.get(name, detectors[0].get(name) if len(detectors) == 1 else None)


def number(value: Any) -> float | None:
    """The number of an attribute; None where it is none."""
    found = numbers(value, 1)
    return None if found is None else float(found[0])


def numbers(value: Any, count: int) -> np.ndarray | None:
    """So many numbers of an attribute; None where it has others."""
    if value is None or value == "":
        return None
    found = np.atleast_1d(np.array(value, float)).ravel()
    return found if found.size == count and np.isfinite(found).all() else None
