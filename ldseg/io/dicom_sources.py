"""Which frame of which DICOM file each plane of an array was read from: what refers to the files needs to know."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldseg.io.contract import Refused
from ldseg.io.dicom import header_of
from ldseg.io.dicom_order import Frame, arranged
from ldseg.io.dicom_places import frames_without_pixels
from ldseg.io.formats import format_of
from ldseg.io.series import dicom_files, number_of


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The DICOM files of a scan.

    Attributes:
        headers: data sets without pixels, of each file.
        planes: of each plane of the array the place of its file in `headers`, and that of its frame in the file.
        frames: of each plane its frame, without values.
    """

    headers: list[Any]
    planes: list[tuple[int, int]]
    frames: list[Frame]

    @property
    def placed(self) -> bool:
        """Whether the frames have places in the patient."""
        return all(frame.place is not None and frame.turn is not None for frame in self.frames)


def is_dicom_scan(path: Path | None, axes: str) -> bool:
    """Whether a scan was read from DICOM: a file, or a folder with a series."""
    if path is None:
        return False
    return bool(dicom_files(path)) if os.path.isdir(path) else format_of(path, axes).thing == "DICOM file"


def sources_of(path: Path, axes: str) -> Sources:
    """The files of a scan that has been read, planes in the order in which reading has put them.

    Raises:
        Refused: they are no longer those that were read.
    """
    files = dicom_files(path) if os.path.isdir(path) else [path]
    headers = []
    for file in files:
        header = header_of(file)
        if "PixelData" in header:
            del header.PixelData
        headers.append(header)
    order = sorted(range(len(files)), key=lambda index: number_of(headers[index])) if os.path.isdir(path) else [0]
    found: list[tuple[str, Frame]] = []
    of_frame: dict[int, tuple[int, int]] = {}
    for place in order:
        for index, frame in enumerate(frames_without_pixels(headers[place], axes)):
            found.append((files[place].name, frame))
            of_frame[id(frame)] = (place, index)
    if not found:
        raise Refused("its DICOM files are no longer there")
    ordered, _ = arranged(found, axes, 1.0, several=os.path.isdir(path) and len(found) > 1)
    planes = [of_frame[id(frame)] for _, frame in ordered]
    return Sources(headers=headers, planes=planes, frames=[frame for _, frame in ordered])
