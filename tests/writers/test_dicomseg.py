"""DICOM Segmentations, read back by highdicom, by pydicom with SimpleITK, and checked by dciodvfy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dicom_files
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import save
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    UltrasoundMultiFrameImageStorage,
)
from scipy.spatial.transform import Rotation
from written_cases import COLOURS, blobs, case_of

from ldseg.config.sections import DataConfig
from ldseg.errors import ConfigError, DataError
from ldseg.io.scans import read_scan
from ldseg.writers.codes import codes_of
from ldseg.writers.contract import Segmentation
from ldseg.writers.dicomseg import write_dicomseg

highdicom = pytest.importorskip("highdicom", reason="writes and reads DICOM Segmentations")

SIZE = (5, 12, 9)  # z, y, x
STEP, SPACING, ORIGIN = 2.5, (0.5, 0.7), np.array([-30.0, 12.5, 7.0])
UPRIGHT, OBLIQUE = np.eye(3), Rotation.from_euler("xyz", [20, -35, 10], degrees=True).as_matrix()


def header_of(values: np.ndarray, kind: str, **attributes: Any) -> Any:
    patient = {"FrameOfReferenceUID": "1.2.4", "PatientID": "P1", "PatientName": "Doe^Jane"}
    header = dicom_files.header_of(values, SOPClassUID=kind, **(patient | attributes))
    header.file_meta.MediaStorageSOPClassUID = kind
    return header


def volume() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4096, SIZE).astype(np.uint16)


def place(turn: np.ndarray, index: int) -> list[float]:
    return [float(f"{value:.10g}") for value in ORIGIN + turn[:, 2] * STEP * index]


def cosines(turn: np.ndarray) -> list[float]:
    return [float(f"{value:.12g}") for value in (*turn[:, 0], *turn[:, 1])]


def series(folder: Path, turn: np.ndarray) -> Path:
    """Slices whose names and numbers are not in the order of their places."""
    for index, plane in enumerate(volume()):
        header = header_of(plane, CTImageStorage, PixelSpacing=list(SPACING), InstanceNumber=SIZE[0] - index)
        header.ImagePositionPatient, header.ImageOrientationPatient = place(turn, index), cosines(turn)
        save(folder / f"IM{index * 3 % SIZE[0]}.dcm", header)
    return folder


def enhanced(path: Path, turn: np.ndarray, order: list[int]) -> Path:
    """One file of many frames, not in the order of their places."""

    def item(**values: Any) -> Any:
        found = pydicom.Dataset()
        for name, value in values.items():
            setattr(found, name, value)
        return found

    header = header_of(volume()[order], EnhancedCTImageStorage, NumberOfFrames=len(order))
    header.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=place(turn, index))]) for index in order
    ]
    header.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=cosines(turn))],
            PixelMeasuresSequence=[item(PixelSpacing=list(SPACING), SliceThickness=STEP)],
        )
    ]
    return save(path, header)


def segmented(source: Path, **changes: Any) -> Segmentation:
    scan = read_scan(source, "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume())
    return case_of(blobs(SIZE, 0.6), source=source, geometry=scan.geometry, **changes)


def space_of(case: Segmentation) -> sitk.Image:
    """An image of SimpleITK that lies where the source lies: the source itself, where it is a series."""
    assert case.geometry is not None
    assert case.source is not None
    if case.source.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(case.source)))
        image = reader.Execute()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume())
        return image
    image = sitk.Image([*case.geometry.size], sitk.sitkUInt8)
    image.SetSpacing(case.geometry.spacing)
    image.SetOrigin(case.geometry.origin)
    image.SetDirection(case.geometry.direction)
    return image


def on_the_source(path: Path, case: Segmentation) -> np.ndarray:
    """The segments of a file as pydicom tells them, put where SimpleITK says that their places lie in the image."""
    image, found = space_of(case), pydicom.dcmread(path)
    shared = found.SharedFunctionalGroupsSequence[0]
    turn = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    np.testing.assert_allclose(turn, np.array(image.GetDirection()).reshape(3, 3)[:, :2].T.ravel(), atol=1e-6)
    np.testing.assert_allclose(shared.PixelMeasuresSequence[0].PixelSpacing, image.GetSpacing()[1::-1])
    mask = np.zeros(case.mask.shape, int)
    frames = found.pixel_array.reshape(-1, *case.mask.shape[-2:])
    for frame, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        at = [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]
        x, y, z = image.TransformPhysicalPointToIndex(at)
        assert (x, y) == (0, 0)
        mask[z][frame > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    return mask


def check(path: Path) -> None:
    """No error for dciodvfy, where it is installed."""
    if shutil.which("dciodvfy") is None:
        return
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="utf-8", errors="replace", check=False)
    told = run.stdout + run.stderr
    assert "Segmentation" in told
    assert "Error" not in told, told


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy of dicom3tools is not installed")
def test_dciodvfy_finds_what_is_wrong(tmp_path: Path) -> None:
    path = write_dicomseg(tmp_path, segmented(series(tmp_path / "P1", OBLIQUE)))
    broken = pydicom.dcmread(path)
    del broken.SegmentSequence[0].SegmentLabel
    with pytest.raises(AssertionError, match="SegmentLabel"):
        check(save(tmp_path / "broken.dcm", broken))


@pytest.mark.parametrize("turn", [UPRIGHT, OBLIQUE], ids=["upright", "oblique"])
def test_a_series(tmp_path: Path, turn: np.ndarray) -> None:
    source = series(tmp_path / "P1", turn)
    codes = codes_of(["gland: SCT:10200004:Liver", "lumen: SCT:108369006:Neoplasm / SCT:49755003:Morphologic abnormality"])
    case = segmented(source, codes=codes)
    path = write_dicomseg(tmp_path / "out", case)
    assert path.name == "a.1_segmentation.dcm"
    check(path)
    np.testing.assert_array_equal(on_the_source(path, case), case.mask)

    found = highdicom.seg.segread(path)
    headers = sorted((pydicom.dcmread(file) for file in source.iterdir()), key=lambda header: -int(header.InstanceNumber))
    uids = [header.SOPInstanceUID for header in headers]  # from the first plane on
    pixels = found.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(pixels, case.mask)
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == ("1.2", "1.2.4")
    assert (found.PatientID, str(found.PatientName)) == ("P1", "Doe^Jane")
    assert found.SeriesInstanceUID != "1.2.3"
    gland, lumen = (found.get_segment_description(number) for number in (1, 2))
    assert (gland.segment_label, lumen.segment_label) == ("gland", "lumen")
    assert (gland.segmented_property_type.value, gland.segmented_property_category.meaning) == (
        "10200004",
        "Anatomical Structure",
    )
    assert lumen.segmented_property_category.value == "49755003"
    for segment, colour in ((gland, COLOURS[1]), (lumen, COLOURS[2])):
        lab = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
        np.testing.assert_allclose(lab.to_rgb(), colour, atol=2)


@pytest.mark.integration
def test_what_3d_slicer_reads_with(tmp_path: Path) -> None:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which("segimage2itkimage", path=beside)
    if program is None:
        pytest.skip("dcmqi is not installed: pip install dcmqi")
    case = segmented(series(tmp_path / "P1", OBLIQUE))
    path, found = write_dicomseg(tmp_path / "out", case), tmp_path / "found"
    found.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", found, "--outputType", "nii", "--mergeSegments"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    image = sitk.Resample(sitk.ReadImage(found / "1.nii.gz"), space_of(case), sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case.mask)
    segments = json.loads((found / "meta.json").read_text("utf-8"))["segmentAttributes"]
    told = {entry["SegmentLabel"]: entry["recommendedDisplayRGBValue"] for group in segments for entry in group}
    for name, colour in zip(case.classes[1:], COLOURS[1:]):
        np.testing.assert_allclose(told[name], colour, atol=2)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2]], ids=["in order", "shuffled"])
def test_a_file_of_many_frames(tmp_path: Path, order: list[int]) -> None:
    source = enhanced(tmp_path / "a.dcm", OBLIQUE, order)
    case = segmented(source)
    path = write_dicomseg(tmp_path / "out", case)
    check(path)
    np.testing.assert_array_equal(on_the_source(path, case), case.mask)
    found = highdicom.seg.segread(path)
    uid = pydicom.dcmread(source).SOPInstanceUID
    numbers = [order.index(plane) + 1 for plane in range(len(order))]
    pixels = found.get_pixels_by_source_frame(uid, numbers, combine_segments=True, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(pixels, case.mask)


@pytest.mark.parametrize("space", [True, False])
def test_a_radiograph(tmp_path: Path, space: bool) -> None:
    header = header_of(volume()[0], DigitalXRayImageStorageForPresentation, Modality="DX")
    del header.PatientID  # names were taken out
    if not space:
        del header.FrameOfReferenceUID
    case = case_of(blobs(SIZE[1:]), source=save(tmp_path / "a.dcm", header))
    path = write_dicomseg(tmp_path / "out", case)
    check(path)
    found = highdicom.seg.segread(path)
    pixels = found.get_pixels_by_source_instance([header.SOPInstanceUID], combine_segments=True)
    np.testing.assert_array_equal(pixels[0], case.mask)


def test_a_video_of_many_frames(tmp_path: Path) -> None:
    header = header_of(volume(), UltrasoundMultiFrameImageStorage, Modality="US", NumberOfFrames=SIZE[0], FrameTime=40)
    del header.FrameOfReferenceUID
    source = save(tmp_path / "a.dcm", header)
    case = case_of(blobs(SIZE), axes="TYX", source=source, geometry=read_scan(source, "TYX").geometry)
    path = write_dicomseg(tmp_path / "out", case)
    check(path)
    found = highdicom.seg.segread(path)
    pixels = found.get_pixels_by_source_frame(
        header.SOPInstanceUID, range(1, SIZE[0] + 1), combine_segments=True, assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels, case.mask)
    plain = pydicom.dcmread(path)
    assert "FrameOfReferenceUID" not in plain  # it lies in time, and in no space
    assert in_frames(plain, case.mask.shape).tolist() == case.mask.tolist()


def test_a_series_in_time(tmp_path: Path) -> None:
    headers = []
    for index, plane in enumerate(volume()):  # all at one place, and numbered against the order of their names
        header = header_of(plane, CTImageStorage, PixelSpacing=list(SPACING), InstanceNumber=SIZE[0] - index)
        header.ImagePositionPatient, header.ImageOrientationPatient = place(OBLIQUE, 0), cosines(OBLIQUE)
        headers.insert(0, header)
        save(tmp_path / "P1" / f"IM{index}.dcm", header)
    scan = read_scan(tmp_path / "P1", "TYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume()[::-1])
    case = case_of(blobs(SIZE), axes="TYX", source=tmp_path / "P1", geometry=scan.geometry)
    path = write_dicomseg(tmp_path / "out", case)
    check(path)
    uids = [header.SOPInstanceUID for header in headers]
    found = highdicom.seg.segread(path)
    pixels = found.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(pixels, case.mask)
    plain = pydicom.dcmread(path)
    np.testing.assert_array_equal(in_frames(plain, case.mask.shape), case.mask)
    assert plain.FrameOfReferenceUID == "1.2.4"
    for group in plain.PerFrameFunctionalGroupsSequence:
        np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient, ORIGIN)


def in_frames(found: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The segments of a video by the index in time of their frames."""
    mask = np.zeros(shape, int)
    for frame, group in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        time = group.FrameContentSequence[0].TemporalPositionIndex - 1
        mask[time][frame > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    return mask


def test_a_mask_without_an_object_is_written(tmp_path: Path) -> None:
    case = segmented(series(tmp_path / "P1", UPRIGHT))
    object.__setattr__(case, "mask", np.zeros(SIZE, np.int32))
    path = write_dicomseg(tmp_path / "out", case)
    check(path)
    assert not pydicom.dcmread(path).pixel_array.any()


def test_the_same_mask_is_the_same_object(tmp_path: Path) -> None:
    case = segmented(series(tmp_path / "P1", UPRIGHT))
    first = pydicom.dcmread(write_dicomseg(tmp_path / "one", case))
    again = pydicom.dcmread(write_dicomseg(tmp_path / "two", case))
    assert (first.SOPInstanceUID, first.SeriesInstanceUID) == (again.SOPInstanceUID, again.SeriesInstanceUID)
    object.__setattr__(case, "mask", 2 - case.mask)
    assert pydicom.dcmread(write_dicomseg(tmp_path / "three", case)).SOPInstanceUID != first.SOPInstanceUID


def test_what_a_segmentation_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.1: not written as dicomseg: expected an image that is DICOM.*got a\.1\.png"):
        write_dicomseg(tmp_path, case_of(np.ones((4, 4))))
    with pytest.raises(DataError, match=r"got an array"):
        write_dicomseg(tmp_path, case_of(np.ones((4, 4)), source=None))
    header = header_of(volume(), CTImageStorage, NumberOfFrames=SIZE[0])
    case = case_of(blobs(SIZE), source=save(tmp_path / "a.dcm", header))
    with pytest.raises(DataError, match=r"a\.1: not written as dicomseg: expected frames with places in the patient"):
        write_dicomseg(tmp_path, case)
    for lacking in ("FrameOfReferenceUID", "SeriesInstanceUID"):
        header = header_of(volume()[0], CTImageStorage, PixelSpacing=list(SPACING))
        header.ImagePositionPatient, header.ImageOrientationPatient = place(OBLIQUE, 0), cosines(OBLIQUE)
        delattr(header, lacking)
        case = case_of(blobs(SIZE[1:]), source=save(tmp_path / "a.dcm", header))
        with pytest.raises(DataError, match=rf"expected a DICOM image with {lacking}"):
            write_dicomseg(tmp_path, case)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["liver"], r"expected class: SCHEME:VALUE:MEANING, such as liver: SCT:10200004:Liver, got 'liver'"),
        (["liver: SCT:1"], "got 'liver: SCT:1'"),
        (["liver: SCT:1:a / SCT:2"], "got 'liver: SCT:1:a / SCT:2'"),
        (["liver: SCT:12345678901234567:a"], "expected at most 16, 16 and 64 letters"),
        (["liver: SCT:1:a", "liver: SCT:2:b"], "once at most, got 'liver'"),
        (["spleen: SCT:1:a"], "expected each of Data.Classes but the background once at most, got 'spleen'"),
    ],
)
def test_codes_that_are_none(entries: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=r"Data\.Codes: .*" + reason):
        DataConfig(classes=("background", "liver"), codes=entries)
