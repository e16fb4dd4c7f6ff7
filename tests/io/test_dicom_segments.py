"""Segments of DICOM as labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import header_of, save

from ldseg.errors import DataError
from ldseg.io.scans import read_scan_label


def segments(frames: list[tuple[int, int, int]], kind: str = "BINARY") -> Any:
    """A file with a frame for each slice, segment and column in which the segment is."""
    values = np.zeros((len(frames), 8, 8), np.uint8)
    groups = []
    for plane, (index, number, column) in zip(values, frames, strict=True):
        plane[2:5, column] = 1
        group, place, segment = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient, segment.ReferencedSegmentNumber = [0, 0, 2.5 * index], number
        group.PlanePositionSequence, group.SegmentIdentificationSequence = [place], [segment]
        groups.append(group)
    packed = np.packbits(values.ravel(), bitorder="little").tobytes()
    header = header_of(values, Modality="SEG", BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)
    turn, measures, shared = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
    header.SharedFunctionalGroupsSequence, header.PerFrameFunctionalGroupsSequence = [shared], groups
    header.SegmentationType, header.SegmentSequence = kind, [pydicom.Dataset(), pydicom.Dataset()]
    return header


def test_every_segment_has_its_number(tmp_path: Path) -> None:
    frames = [(0, 1, 3), (1, 1, 3), (1, 2, 4), (2, 2, 4)]
    label, geometry = read_scan_label(save(tmp_path / "a.dcm", segments(frames)), "ZYX")
    assert geometry is not None and geometry.array_spacing == (2.5, 1, 1)
    assert label[:, 3, 3].tolist() == [1, 1, 0]
    assert label[:, 3, 4].tolist() == [0, 2, 2]
    header = segments(frames[:2])
    header.SegmentSequence = header.SegmentSequence[:1]
    assert read_scan_label(save(tmp_path / "b.dcm", header), "ZYX")[0].max() == 1


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (segments([(0, 1, 3), (0, 2, 3), (1, 2, 3)]), "its segments overlap"),
        (segments([(0, 1, 3), (1, 2, 3)], "FRACTIONAL"), "several segments that are shares of voxels"),
    ],
)
def test_what_is_no_label(tmp_path: Path, header: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.dcm: {message}"):
        read_scan_label(save(tmp_path / "a.dcm", header), "ZYX")
