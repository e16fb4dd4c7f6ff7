"""DICOM files and folders: what their headers promise is compared with what they hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import header_of, save, volume
from PIL import Image
from pydicom.encaps import encapsulate

from ldseg.data.intensity import scaling_of
from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.dicom_sources import sources_of
from ldseg.io.scans import find_scans, read_scan, read_scan_label, write_scan_mask


def series(folder: Path, change: Callable[[int, Any], None] = lambda index, header: None, suffix: str = ".dcm") -> Path:
    """Slices whose names are not in the order of their places."""
    for index, plane in enumerate(volume()):
        header = header_of(plane, PixelSpacing=[0.5, 0.7], InstanceNumber=len(volume()) - index)
        header.ImagePositionPatient, header.ImageOrientationPatient = [1, 2, 3 + 2.5 * index], [1, 0, 0, 0, 1, 0]
        change(index, header)
        save(folder / f"IM{index * 5 % len(volume())}{suffix}", header)
    return folder


def enhanced(order: list[int], slopes: list[float] | None = None) -> Any:
    """Frames of one file, with a place and a scale each."""
    header = header_of(volume()[order])
    groups = []
    for place, index in enumerate(order):
        group = pydicom.Dataset()
        position, values = pydicom.Dataset(), pydicom.Dataset()
        position.ImagePositionPatient = [1, 2, 3 + 2.5 * index]
        group.PlanePositionSequence = [position]
        values.RescaleSlope, values.RescaleIntercept = (slopes or [1.0] * len(order))[place], 0
        group.PixelValueTransformationSequence = [values]
        groups.append(group)
    header.PerFrameFunctionalGroupsSequence = groups
    shared, turn, measures = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.7]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
    header.SharedFunctionalGroupsSequence = [shared]
    return header


def test_a_picture_among_slices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contract._SAID.clear()
    folder = series(tmp_path / "P01")
    Image.new("RGB", (30, 20)).save(folder / "preview.jpg")
    for _ in range(2):
        scan = read_scan(folder, "ZYX")
        np.testing.assert_array_equal(scan.values[..., 0], volume())
    assert [record.message for record in caplog.records] == [
        f"{folder}: read as a DICOM series, not used beside it: preview.jpg"
    ]
    assert scan.geometry is not None
    assert scan.geometry.array_spacing == (2.5, 0.5, 0.7)
    written = write_scan_mask(tmp_path / "out", "P01", volume() % 2, like=folder, geometry=scan.geometry)
    assert written.name == "P01_segmentation.nii.gz"


@pytest.mark.parametrize("suffix", ["", ".ima", ".IMA", ".1"])
def test_names_that_say_nothing(tmp_path: Path, suffix: str) -> None:
    folder = series(tmp_path / "P01", suffix=suffix)
    np.testing.assert_array_equal(read_scan(folder, "ZYX").values[..., 0], volume())
    save(tmp_path / "flat" / f"IM1{suffix}", header_of(volume()[0]))
    (path,) = find_scans(tmp_path / "flat", "YX")
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], volume()[0])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [0, 2, 4, 1, 3, 5], [5, 4, 3, 2, 1, 0]])
def test_frames_are_put_in_the_order_of_their_places(tmp_path: Path, order: list[int]) -> None:
    scan = read_scan(save(tmp_path / "a.dcm", enhanced(order)), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume())
    assert scan.geometry is not None
    assert (scan.geometry.array_spacing, scan.geometry.origin) == ((2.5, 0.5, 0.7), (1, 2, 3))


def test_every_frame_has_its_own_scale(tmp_path: Path) -> None:
    slopes = [1.0, 2.0, 3.0, 0.5, 1.0, 1.5]
    scan = read_scan(save(tmp_path / "a.dcm", enhanced([0, 1, 2, 3, 4, 5], slopes)), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume() * np.array(slopes, np.float32)[:, None, None])


@pytest.mark.parametrize(
    ("shift", "low", "high"), [(5, -1000, 1000), (5, 0, 1000), (1000, -2000, 9), (32768, -32768, 32767)]
)
def test_signed_values_that_are_shifted_do_not_wrap(tmp_path: Path, shift: int, low: int, high: int) -> None:
    stored = volume().astype(np.int64) % (high + 1 - low) + low
    stored[0, 0, :2] = low, high

    def change(index: int, header: Any) -> None:
        header.PixelRepresentation, header.BitsStored, header.HighBit = 1, 16, 15
        header.RescaleSlope, header.RescaleIntercept = 1, shift
        header.PixelData = stored[index].astype(np.int16).tobytes()

    scan = read_scan(series(tmp_path / "a", change), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], stored + shift)


def test_every_slice_has_its_own_scale_and_sense(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def change(index: int, header: Any) -> None:
        header.RescaleSlope, header.RescaleIntercept = 1 + index, -1024
        if index == 2:
            header.PhotometricInterpretation = "MONOCHROME1"

    values = volume().astype(np.float32)
    values[2] = 4095 - values[2]
    expected = values * np.arange(1, 7, dtype=np.float32)[:, None, None] - 1024
    np.testing.assert_array_equal(read_scan(series(tmp_path / "a", change), "ZYX").values[..., 0], expected)
    assert "a: zero is white in some slices (MONOCHROME1 or an inverse PresentationLUTShape) and black" in caplog.text


def tilt(index: int, header: Any) -> None:
    header.ImagePositionPatient = [1, 2 + 2.5 * index * np.tan(np.radians(15)), 3 + 2.5 * index]


def localizer(index: int, header: Any) -> None:
    if index == 1:
        header.Rows, header.PixelData = 4, volume()[0, :4].tobytes()


def short(index: int, header: Any) -> None:
    if index == 3:
        header.PixelData = header.PixelData[:100]


def jump(index: int, header: Any) -> None:
    if index > 2:
        header.PixelSpacing = [0.5, 0.8]


def gap(index: int, header: Any) -> None:
    if index > 3:
        header.ImagePositionPatient = [1, 2, 3 + 2.5 * (index + 1)]


def turned(index: int, header: Any) -> None:
    if index == 4:
        header.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]


def nowhere(index: int, header: Any) -> None:
    if index == 4:
        del header.ImagePositionPatient


def other(index: int, header: Any) -> None:
    if index == 4:
        header.SeriesInstanceUID = "1.2.4"


def long(index: int, header: Any) -> None:
    header.ImageOrientationPatient = [2, 0, 0, 0, 2, 0]


def floating(index: int, header: Any) -> None:
    del header.PixelData
    header.BitsAllocated, header.FloatPixelData = 32, volume()[index].astype("<f4").tobytes()


def infinite(index: int, header: Any) -> None:
    header.RescaleSlope, header.RescaleIntercept = 0, 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (tilt, r"a: its slices are shifted against each other, 15\.0 degrees from upright \(gantry tilt\)"),
        (localizer, r"a: IM5\.dcm is of size 10×4, expected 10×8 as IM\d\.dcm: is it a localizer"),
        (short, r"IM3\.dcm: not a readable DICOM slice .*: it holds 100 bytes, its header promises 160"),
        (jump, r"a: IM\d\.dcm has pixels of \(0\.5, 0\.\d\) mm, expected \(0\.5, 0\.\d\) as IM\d\.dcm"),
        (gap, r"a: expected slices 2\.5 mm apart, found 5 mm from IM3\.dcm to IM2\.dcm: a slice is missing or there twice"),
        (turned, "a: expected parallel DICOM slices, found several orientations"),
        (nowhere, r"a: IM2\.dcm does not say where it lies in the patient, as others do"),
        (long, r"a: its directions \(ImageOrientationPatient\) are 2 0 0 0 2 0, expected two of length 1 at right angles"),
        (floating, r"IM\d\.dcm: pixels in floating point, which are not read"),
        (other, r"a: expected one DICOM series, found 2: 1\.2\.3 \(5 files\), 1\.2\.4 \(1 files\)"),
        (infinite, r"IM0\.dcm: .* scales values by 0 and shifts them by 5"),
    ],
)
def test_series_that_do_not_fit(tmp_path: Path, change: Callable[[int, Any], None], message: str) -> None:
    folder = series(tmp_path / "a", change)
    with pytest.raises(DataError, match=message) as caught:
        read_scan(folder, "ZYX")
    assert "\n" not in str(caught.value)


def test_pixels_that_are_not_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", header_of(volume()[0], Rows=65535, Columns=65535))
    with pytest.raises(
        DataError, match=r"a\.dcm: its header promises 65535×65535×1×1 values, 8\.0 GiB, more than the limit"
    ):
        read_scan(path, "YX")
    path = save(tmp_path / "b.dcm", header_of(volume()[0], Rows=4000, Columns=4000))
    with pytest.raises(DataError, match=r"b\.dcm: .*it holds 160 bytes, its header promises 32000000"):
        read_scan(path, "YX")
    header = header_of(volume()[0])
    del header.PixelData
    with pytest.raises(DataError, match=r"c\.dcm: .*it has no pixels"):
        read_scan(save(tmp_path / "c.dcm", header), "YX")


def test_bits_that_are_not_in_use(tmp_path: Path) -> None:
    plane = volume()[0]
    scan = read_scan(save(tmp_path / "a.dcm", header_of(plane | 0xF000)), "YX")
    np.testing.assert_array_equal(scan.values[..., 0], plane)
    assert scan.bits == 12
    signed = plane.astype(np.int16) - 2048
    path = save(tmp_path / "b.dcm", header_of(signed.view(np.uint16) & 0xFFF, PixelRepresentation=1))
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], signed)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        ("1.2.840.10008.1.2.4.70", lambda plane: imagecodecs.ljpeg_encode(plane, bitspersample=12)),
        ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
        ("1.2.840.10008.1.2.4.90", lambda p: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="j2k")),
    ],
)
def test_compressed_frames(tmp_path: Path, syntax: str, encode: Callable[[np.ndarray], bytes]) -> None:
    header = header_of(volume())
    header.PixelData = encapsulate([encode(plane) for plane in volume()])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = syntax
    path = save(tmp_path / "a.dcm", header)
    np.testing.assert_array_equal(read_scan(path, "ZYX").values[..., 0], volume())
    header.NumberOfFrames = 9
    with pytest.raises(DataError, match=r"b\.dcm: not a readable DICOM file"):
        read_scan(save(tmp_path / "b.dcm", header), "ZYX")
    header.NumberOfFrames, header.Rows = 6, 7
    with pytest.raises(DataError, match=r"c\.dcm: .*a frame has the size \(8, 10\), its header promises \(7, 10\)"):
        read_scan(save(tmp_path / "c.dcm", header), "ZYX")


def test_numbers_of_a_label(tmp_path: Path) -> None:
    label = volume()[0] % 3
    path = save(tmp_path / "a.dcm", header_of(label, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], label)
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], 4095 - label)


def test_more_pixels_than_the_header_tells(tmp_path: Path) -> None:
    header = header_of(volume())
    del header.NumberOfFrames
    with pytest.raises(DataError, match=r"a\.dcm: .*it holds 960 bytes of pixels, its header tells of 160 only"):
        read_scan(save(tmp_path / "a.dcm", header), "YX")


def test_a_file_that_is_packed_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = header_of(volume())
    header.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    path = save(tmp_path / "a.dcm", header)
    np.testing.assert_array_equal(read_scan(path, "ZYX").values[..., 0], volume())
    header.PixelData = bytes(50_000_000)
    path = save(tmp_path / "b.dcm", header)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv(contract.LIMIT_VARIABLE, "0.01")
    with pytest.raises(DataError, match=r"b\.dcm: its header promises \d+ values, .* more than the limit of 0\.01 GiB"):
        read_scan(path, "ZYX")


def test_a_frame_of_jpeg_that_lacks_pixels(tmp_path: Path) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (64, 80)).astype(np.uint8)
    coded = imagecodecs.jpeg8_encode(plane)
    for name, frame in (("a", coded), ("b", coded[: len(coded) // 2] + b"\xff\xd9")):
        header = header_of(plane, BitsAllocated=8, BitsStored=8, HighBit=7)
        header.PixelData = encapsulate([frame])
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
        save(tmp_path / f"{name}.dcm", header)
    assert read_scan(tmp_path / "a.dcm", "YX").values.shape == (64, 80, 1)
    with pytest.raises(DataError, match=r"b\.dcm: not a readable DICOM file .*premature end"):
        read_scan(tmp_path / "b.dcm", "YX")


def test_slices_that_do_not_say_where_they_lie(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def change(index: int, header: Any) -> None:
        del header.ImagePositionPatient, header.PixelSpacing
        header.SliceThickness = 3

    scan = read_scan(series(tmp_path / "a", change), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume()[::-1])  # by their numbers
    assert scan.geometry is not None
    assert scan.geometry.spacing == (1, 1, 3)
    told = " ".join(caplog.messages)
    assert "a: its slices do not say where they lie: taken in the order of their numbers, 3 mm apart" in told
    assert "IM0.dcm: it does not say how large its pixels are: taken as 1 mm" in told


def test_values_by_a_table(tmp_path: Path) -> None:
    def change(index: int, header: Any) -> None:
        table = pydicom.Dataset()
        table.LUTDescriptor, table.LUTData, table.ModalityLUTType = (
            [4096, 0, 16],
            (np.arange(4096, dtype="<u2") * 3).tobytes(),
            "US",
        )
        header.ModalityLUTSequence = pydicom.Sequence([table])

    scan = read_scan(series(tmp_path / "a", change), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume() * 3)
    assert scan.bits == 16


def test_contours_among_slices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = series(tmp_path / "a")
    contours = header_of(volume()[0], Modality="RTSTRUCT")
    del contours.PixelData, contours.Rows, contours.Columns
    save(folder / "RS.dcm", contours)
    np.testing.assert_array_equal(read_scan(folder, "ZYX").values[..., 0], volume())
    assert "a: read as a DICOM series, not used beside it: RS.dcm" in caplog.text
    contours.Modality = "CT"
    save(folder / "RS.dcm", contours)
    with pytest.raises(DataError, match=r"RS\.dcm: not a readable DICOM slice .*: it has no picture"):
        read_scan(folder, "ZYX")


def one_place(values: np.ndarray, **attributes: Any) -> Any:
    """Frames of which the file tells the place of the first alone."""
    header = header_of(values, PixelSpacing=[0.5, 0.7], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **attributes)
    header.ImagePositionPatient = [1, 2, 3]
    return header


@pytest.mark.parametrize(
    ("attributes", "step"),
    [
        ({"SpacingBetweenSlices": 2.5}, 2.5),
        ({"SliceThickness": 4}, 4.0),
        ({"GridFrameOffsetVector": [0, 3, 6, 9, 12, 15], "DoseGridScaling": 0.5}, 3.0),
        ({"GridFrameOffsetVector": [3, 6, 9, 12, 15, 18], "DoseGridScaling": 0.5}, 3.0),
        ({"GridFrameOffsetVector": [0, -3, -6, -9, -12, -15], "DoseGridScaling": 0.5}, 3.0),
    ],
)
def test_frames_of_one_place(tmp_path: Path, attributes: dict[str, Any], step: float) -> None:
    path = save(tmp_path / "a.dcm", one_place(volume(), **attributes))
    scan = read_scan(path, "ZYX")
    down = attributes.get("GridFrameOffsetVector", [0, 1])[1] < 0
    scale = attributes.get("DoseGridScaling", 1)
    np.testing.assert_array_equal(scan.values[..., 0], (volume()[::-1] if down else volume()) * scale)
    assert scan.geometry is not None
    assert scan.geometry.array_spacing == (step, 0.5, 0.7)
    assert scan.geometry.origin == (1, 2, -12 if down else 3)
    np.testing.assert_array_equal(read_scan(path, "TYX").values[..., 0], volume() * scale)
    frames = sources_of(path, "ZYX").planes
    assert [index for _, index in frames] == (list(range(6))[::-1] if down else list(range(6)))


@pytest.mark.parametrize("step", [2.5, -2.5])
def test_the_place_of_a_detector(tmp_path: Path, step: float) -> None:
    """In nuclear medicine the detector tells it, and a step below 0 leads to the front."""
    header = one_place(volume(), Modality="NM", SpacingBetweenSlices=step)
    detector = pydicom.Dataset()
    for name in ("ImagePositionPatient", "ImageOrientationPatient"):
        setattr(detector, name, header[name].value)
        delattr(header, name)
    header.DetectorInformationSequence = [detector]
    scan = read_scan(save(tmp_path / "a.dcm", header), "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], volume() if step > 0 else volume()[::-1])
    assert scan.geometry is not None
    assert scan.geometry.origin == (1, 2, 3 if step > 0 else -9.5)


@pytest.mark.parametrize(
    ("steps", "unit", "spacing"), [([0.05], 3, (0.5, 0.3)), ([0.05, 0.04], 3, (1, 1)), ([0.05], 4, (1, 1))]
)
def test_pixels_of_ultrasound(tmp_path: Path, steps: list[float], unit: int, spacing: tuple[float, float]) -> None:
    """Regions tell cm (3) or seconds (4), and count where they agree."""
    header, regions = header_of(volume()[0], Modality="US"), [pydicom.Dataset() for _ in steps]
    for region, step in zip(regions, steps, strict=True):
        region.PhysicalDeltaX, region.PhysicalDeltaY = 0.03, step
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = unit
    header.SequenceOfUltrasoundRegions = regions
    geometry = read_scan(save(tmp_path / "a.dcm", header), "YX").geometry
    assert geometry is not None
    assert geometry.array_spacing == pytest.approx(spacing)


def test_a_frame_more_than_is_told(tmp_path: Path) -> None:
    header = one_place(volume(), SliceThickness=2)
    header.NumberOfFrames = 5
    with pytest.raises(DataError, match=r"a\.dcm: .*it holds 960 bytes of pixels, its header tells of 800 only"):
        read_scan(save(tmp_path / "a.dcm", header), "ZYX")


def test_slices_that_lack_what_others_tell(tmp_path: Path) -> None:
    for name in ("PatientID", "FrameOfReferenceUID"):
        folder = series(tmp_path / name, lambda index, header, name=name: index == 2 or setattr(header, name, "1.2"))
        np.testing.assert_array_equal(read_scan(folder, "ZYX").values[..., 0], volume())


@pytest.mark.parametrize(("moved", "right"), [(0.02, True), (0.024, True), (0.03, False)])
def test_places_of_fine_pixels_that_are_rounded(tmp_path: Path, moved: float, right: bool) -> None:
    """A hundredth of the step (2.5 mm) is no shift, be it more than a tenth of a pixel."""

    def change(index: int, header: Any) -> None:
        header.PixelSpacing = [0.05, 0.05]
        header.ImagePositionPatient = [1 + moved * (index == 3), 2, 3 + 2.5 * index]

    folder = series(tmp_path / "a", change)
    if right:
        np.testing.assert_array_equal(read_scan(folder, "ZYX").values[..., 0], volume())
    else:
        with pytest.raises(DataError, match=r"a: IM\d\.dcm lies 0\.03 mm aside of the line of the others"):
            read_scan(folder, "ZYX")


def test_slices_that_do_not_belong_together(tmp_path: Path) -> None:
    def aside(index: int, header: Any) -> None:
        header.ImagePositionPatient = [9 if index == 3 else 1, 2, 3 + 2.5 * index]

    with pytest.raises(DataError, match=r"aside: IM\d\.dcm lies 8 mm aside of the line of the others"):
        read_scan(series(tmp_path / "aside", aside), "ZYX")
    for name in ("PatientID", "FrameOfReferenceUID"):
        folder = series(tmp_path / name, lambda index, header, name=name: setattr(header, name, f"1.{index == 2:d}"))
        with pytest.raises(
            DataError, match=f"{name}: expected slices of one patient in one place, found 2 values of {name}"
        ):
            read_scan(folder, "ZYX")
    folder = series(tmp_path / "colour")
    colour = header_of(volume()[0], SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    colour.BitsAllocated, colour.BitsStored, colour.HighBit, colour.PixelData = 8, 8, 7, bytes(240)
    save(folder / "x.dcm", colour)
    with pytest.raises(DataError, match=r"is of size 10×8, expected 10×8 in colour as x\.dcm"):
        read_scan(folder, "ZYX")


def test_frames_without_numbers_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contract._SAID.clear()

    def change(index: int, header: Any) -> None:
        header.InstanceNumber, header.ImagePositionPatient = 1, [0, 0, 0]

    read_scan(series(tmp_path / "P", change), "TYX")
    assert "its frames have no numbers of their own (InstanceNumber): taken in the order of their names" in caplog.text


@pytest.mark.parametrize(("stored", "told"), [(12, 12), (16, None)])
def test_bits_that_all_are_in_use(tmp_path: Path, stored: int, told: int | None) -> None:
    """Programs that do not know how many are write 16: then the values tell."""
    header = header_of(volume()[0])
    header.BitsStored, header.HighBit = stored, stored - 1
    scan = read_scan(save(tmp_path / "a.dcm", header), "YX")
    assert scan.bits == told
    assert scaling_of(scan.values, "dtype", "a", bits=scan.bits)(scan.values).max() == volume()[0].max() / np.float32(4095)


def test_one_bit(tmp_path: Path) -> None:
    """Of an image it is black and white, of a label 0 and 1."""
    values = (volume()[0] % 2).astype(np.uint8)
    header = header_of(values)
    header.BitsAllocated, header.BitsStored, header.HighBit = 1, 1, 0
    header.PixelData = np.packbits(values.ravel(), bitorder="little").tobytes()
    path = save(tmp_path / "a.dcm", header)
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values * 255)
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)


def test_a_mosaic_of_slices_is_no_slice(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", header_of(volume()[0], ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]))
    for axes in ("YX", "ZYX"):
        with pytest.raises(DataError, match=r"a\.dcm: a mosaic of slices in one plane"):
            read_scan(path, axes)


def test_directions_that_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Cameras and ultrasound write zeros: no mask could be written with them."""
    contract._SAID.clear()
    values = volume()[0]
    place = {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": [0] * 6, "PixelSpacing": [1, 2]}
    path = save(tmp_path / "a.dcm", header_of(values, **place))
    scan = read_scan(path, "YX")
    assert "a.dcm: its directions (ImageOrientationPatient) are 0 0 0 0 0 0: taken as upright" in caplog.text
    written = write_scan_mask(tmp_path, "a", values % 3, like=path, geometry=scan.geometry)
    np.testing.assert_array_equal(read_scan_label(written, "YX")[0], values % 3)


@pytest.mark.parametrize("told", [["1", "2"], ["2", "2"]])
def test_several_slopes_are_none(tmp_path: Path, told: list[str]) -> None:
    path = save(tmp_path / "a.dcm", header_of(volume()[0], RescaleSlope=told))
    with pytest.raises(DataError, match=r"a\.dcm: .*its header has RescaleSlope = .*, expected a number"):
        read_scan(path, "YX")
