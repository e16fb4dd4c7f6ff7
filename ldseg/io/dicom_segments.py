"""Segments of DICOM, a frame for each of them and each slice, as one label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ldseg.io.contract import Refused
from ldseg.io.dicom_order import Frame


def numbered(frames: list[Frame], header: Any, groups: Any) -> list[Frame]:
    """One frame for each place, with the numbers of its segments; as they are where there is one segment, or none.

    Args:
        frames: in the order of the file, with 1 where a segment is.
        header: the data set of the file.
        groups: what the file says of each frame.

    Raises:
        Refused: segments that overlap, that are shares, or whose frames do not say where they lie.
    """
    if len(header.get("SegmentSequence") or []) < 2 or header.get("SegmentationType") == "LABELMAP":
        return frames
    if header.get("SegmentationType") != "BINARY":
        raise Refused("several segments that are shares of voxels, expected one number for each voxel")
    found: dict[tuple[float, ...], Frame] = {}
    for frame, group in zip(frames, groups, strict=True):
        if frame.place is None:
            raise Refused("several segments whose frames do not say where they lie")
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        values = frame.values.astype(np.uint16) * np.uint16(number)
        key = tuple(np.round(frame.place, 3).tolist())
        if key in found:
            before = found[key].values
            if (before.astype(bool) & values.astype(bool)).any():
                raise Refused("its segments overlap, expected one number for each voxel")
            values = values + before
        found[key] = replace(frame, values=values)
    return list(found.values())
