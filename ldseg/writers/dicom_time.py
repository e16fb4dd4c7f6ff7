"""DICOM Segmentations of videos, whose frames lie behind one another in time and not in space.

highdicom knows frames by their places. So it is given places, one behind another, and in what it makes they are replaced by
the places that the frames have, if any, and by their order in time.
"""

from __future__ import annotations

from typing import Any

from ldseg.io.dicom_sources import Sources

_TIME = 0x00209128
_FRAME_CONTENT = 0x00209111
"""Tags of the Temporal Position Index, and of the sequence that holds it (PS3.3, C.7.6.16.2.2)."""
_SPACE = "1.2.826.0.1.3680043.8.498.1"
"""Of the places that are given; it is in no file."""


def spread(sources: Sources) -> str:
    """Give the frames of a video places, a step of 1 mm from one to the next in time, and return the space that they had."""
    space = str(sources.headers[0].get("FrameOfReferenceUID") or "") if sources.placed else ""
    frame = sources.frames[0]
    measures = _item(PixelSpacing=list(frame.spacing), SliceThickness=1.0)
    turn = _item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    for header in sources.headers:
        header.FrameOfReferenceUID = _SPACE
    if "NumberOfFrames" in sources.headers[0]:
        header = sources.headers[0]
        header.SharedFunctionalGroupsSequence = [_item(PlaneOrientationSequence=[turn], PixelMeasuresSequence=[measures])]
        groups = [_item() for _ in sources.planes]
        for time, (_, index) in enumerate(sources.planes):
            groups[index].PlanePositionSequence = [_item(ImagePositionPatient=[0, 0, time])]
        header.PerFrameFunctionalGroupsSequence = groups
        return space
    for time, (file, _) in enumerate(sources.planes):
        header = sources.headers[file]
        header.ImagePositionPatient, header.ImageOrientationPatient = [0, 0, time], [1, 0, 0, 0, 1, 0]
        header.PixelSpacing, header.SliceThickness = list(frame.spacing), 1.0
    return space


def in_time(found: Any, sources: Sources, space: str) -> None:
    """Put the order in time and the true places, if there are any, where the given places stand.

    Args:
        found: the segmentation.
        sources: the frames of the video.
        space: in which they lie, as `spread` has returned it; empty for none.
    """
    shared = found.SharedFunctionalGroupsSequence[0]
    for group in found.PerFrameFunctionalGroupsSequence:
        time = round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]))
        content, frame = group.FrameContentSequence[0], sources.frames[time]
        content.TemporalPositionIndex = time + 1
        content.DimensionIndexValues = [content.DimensionIndexValues[0], time + 1]
        del group.PlanePositionSequence
        if space:  # a new one, as segments share theirs
            group.PlanePositionSequence = [_item(ImagePositionPatient=_decimals(frame.place))]
    if space:
        found.FrameOfReferenceUID = space
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = _decimals(sources.frames[0].turn)
    else:
        del found.FrameOfReferenceUID, found.PositionReferenceIndicator, shared.PlaneOrientationSequence
    measures = shared.PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    dimension = found.DimensionIndexSequence[1]
    dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer = _TIME, _FRAME_CONTENT
    dimension.DimensionDescriptionLabel = "Temporal Position Index"
    if "DimensionOrganizationType" in found:
        del found.DimensionOrganizationType


def _decimals(values: Any) -> list[float]:
    """Numbers that fit into the 16 letters of a decimal string."""
    return [float(f"{value:.9g}") for value in values]


def _item(**values: Any) -> Any:
    from pydicom import Dataset

    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found
