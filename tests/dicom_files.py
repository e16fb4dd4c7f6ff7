"""DICOM files that tests make."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SIZE = (6, 8, 10)  # z, y, x


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, SIZE).astype(np.uint16)


def header_of(values: np.ndarray, **attributes: Any) -> Any:
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = pydicom.uid.generate_uid()
    header.SeriesInstanceUID, header.StudyInstanceUID, header.Modality = "1.2.3", "1.2", "CT"
    header.Rows, header.Columns = values.shape[-2:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    if values.ndim == 3:
        header.NumberOfFrames = len(values)
    header.PixelData = values.astype("<u2").tobytes()
    for name, value in attributes.items():
        setattr(header, name, value)
    return header


def save(path: Path, header: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path
