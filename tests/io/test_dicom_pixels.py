"""Pixels of DICOM as they are stored and coded, with their colours and signs."""

import logging
from collections.abc import Callable, Iterator
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import header_of, save, volume
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import ExplicitVRBigEndian

from ldseg.data.intensity import scale_intensity
from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.scans import read_scan, read_scan_label

RGB = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
YBR = convert_color_space(RGB, "RGB", "YBR_FULL")
J2K, JPEG_LS, LOSSLESS = (f"1.2.840.10008.1.2.4.{number}" for number in (90, 80, 70))


@pytest.fixture
def heard() -> Iterator[BufferingHandler]:
    """What comes to the root of the loggers; `caplog` listens also to those that pass nothing on."""
    handler = BufferingHandler(1000)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def coded(header: Any, syntax: str, frame: bytes) -> Any:
    header.PixelData = encapsulate([frame])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = syntax
    return header


def of_bytes(values: np.ndarray, **attributes: Any) -> Any:
    header = header_of(values[..., 0], BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=values.tobytes())
    header.SamplesPerPixel, header.PlanarConfiguration = values.shape[-1], 0
    for name, value in attributes.items():
        setattr(header, name, value)
    return header


def jpeg2000(values: np.ndarray, **options: Any) -> bytes:
    return imagecodecs.jpeg2k_encode(values, level=0, reversible=True, **options)


def lossless(values: np.ndarray) -> bytes:
    return imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, colorspace="YCBCR", outcolorspace="YCBCR")


@pytest.mark.parametrize(
    ("kind", "syntax", "encode", "stored"),
    [
        ("YBR_FULL", J2K, lambda values: jpeg2000(values, mct=False), YBR),
        ("YBR_FULL", J2K, jpeg2000, RGB),  # mixed by the encoder, whatever the header says
        ("YBR_RCT", J2K, jpeg2000, RGB),
        ("RGB", J2K, lambda values: jpeg2000(values, mct=False), RGB),
        ("YBR_FULL", LOSSLESS, lossless, YBR),
        ("YBR_FULL", JPEG_LS, imagecodecs.jpegls_encode, YBR),
        ("RGB", JPEG_LS, imagecodecs.jpegls_encode, RGB),
    ],
)
def test_colours_are_turned_once(
    tmp_path: Path, kind: str, syntax: str, encode: Callable[[np.ndarray], bytes], stored: np.ndarray
) -> None:
    header = coded(of_bytes(stored, PhotometricInterpretation=kind), syntax, encode(stored))
    wanted = RGB if stored is RGB else convert_color_space(YBR, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read_scan(save(tmp_path / "a.dcm", header), "YX").values, wanted)


def test_bytes_in_words_of_the_other_order(tmp_path: Path) -> None:
    header = of_bytes(RGB[..., :1], PhotometricInterpretation="MONOCHROME2")
    header.PixelData = RGB[..., 0].copy().view("<u2").byteswap().tobytes()
    header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    for name, kind in (("a", "OW"), ("b", "OB")):
        header["PixelData"].VR = kind
        header.PixelData = header.PixelData if kind == "OW" else RGB[..., 0].tobytes()
        values = read_scan(save(tmp_path / f"{name}.dcm", header), "YX").values
        np.testing.assert_array_equal(values, RGB[..., :1])


def test_signed_values_that_are_coded_in_fewer_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-100, 100, (8, 10)).astype(np.int8)
    header = header_of(values, BitsStored=16, HighBit=15, PixelRepresentation=1)
    path = save(tmp_path / "a.dcm", coded(header, J2K, jpeg2000(values)))
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)


@pytest.mark.parametrize(("attributes", "bits"), [({"RescaleSlope": 16}, None), ({"RescaleSlope": 1}, 8), ({}, 8)])
def test_scaled_values_have_other_bits(tmp_path: Path, attributes: dict[str, Any], bits: int | None) -> None:
    header = of_bytes(RGB[..., :1], PhotometricInterpretation="MONOCHROME2", RescaleIntercept=0, **attributes)
    assert read_scan(save(tmp_path / "a.dcm", header), "YX").bits == bits


def test_few_bits_in_eight(tmp_path: Path) -> None:
    header = of_bytes(RGB[..., :1] % 16, PhotometricInterpretation="MONOCHROME2", BitsStored=4, HighBit=3)
    scan = read_scan(save(tmp_path / "a.dcm", header), "YX")
    scaled = scale_intensity(scan.values, "dtype", "a.dcm", bits=scan.bits)
    np.testing.assert_allclose(scaled, (RGB[..., :1] % 16) / 15, rtol=1e-6)


def test_the_mark_of_lossless_jpeg_in_a_profile_of_colours(tmp_path: Path) -> None:
    """It says nothing: colours are turned once, and pixels that lack are seen."""
    frame = imagecodecs.jpeg8_encode(RGB.repeat(4, 0).repeat(4, 1))
    profile = b"ICC_PROFILE\0\1\1" + b"\xff\xc3" + bytes(40)
    frame = frame[:2] + b"\xff\xe2" + (len(profile) + 2).to_bytes(2, "big") + profile + frame[2:]
    header = of_bytes(np.zeros((64, 64, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422")
    path = save(tmp_path / "a.dcm", coded(header, "1.2.840.10008.1.2.4.50", frame))
    np.testing.assert_array_equal(read_scan(path, "YX").values, imagecodecs.jpeg8_decode(frame))
    path = save(tmp_path / "b.dcm", coded(header, "1.2.840.10008.1.2.4.50", frame[: len(frame) * 3 // 4] + b"\xff\xd9"))
    with pytest.raises(DataError, match=r"b\.dcm: not a readable DICOM file .*premature end"):
        read_scan(path, "YX")


@pytest.mark.parametrize(("kind", "planes"), [("ARGB", 4), ("CMYK", 4), ("HSV", 3), ("RGB", 4), ("MONOCHROME2", 3)])
def test_colours_that_are_not_read(tmp_path: Path, kind: str, planes: int) -> None:
    header = header_of(volume()[0], SamplesPerPixel=planes, PhotometricInterpretation=kind, PlanarConfiguration=0)
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.PixelData = bytes(planes * header.Rows * header.Columns)
    with pytest.raises(DataError, match=rf"a\.dcm: {planes} samples of {kind}, expected gray, a palette, RGB or YBR"):
        read_scan(save(tmp_path / "a.dcm", header), "YX")


def test_colours_thinned_out_in_pairs(tmp_path: Path) -> None:
    """Two values of luma, and chroma for both (PS3.3, C.7.6.3.1.2)."""
    header = header_of(volume()[0], SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    luma = (volume()[0] // 16).astype(np.uint8).reshape(-1, 2)
    header.PixelData = np.concatenate([luma, np.full_like(luma, 128)], axis=1).tobytes()
    found = read_scan(save(tmp_path / "a.dcm", header), "YX").values
    np.testing.assert_array_equal(found, np.repeat(luma.reshape(8, 10, 1), 3, axis=-1))


def test_colours_that_are_not_thinned_out(tmp_path: Path) -> None:
    """Some programs tell of pairs and store three values for each pixel."""
    header = header_of(volume()[0], SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    for held in (158, 162, 240):
        header.PixelData = bytes(held)
        with pytest.raises(DataError, match=rf"a\.dcm: .*it holds {held} bytes of pixels, YBR_FULL_422 tells of 160"):
            read_scan(save(tmp_path / "a.dcm", header), "YX")
    header.PixelData = bytes([99, 99, 128, 128]) * 40
    content = save(tmp_path / "a.dcm", header).read_bytes()
    (tmp_path / "b.dcm").write_bytes(content[:-164] + (161).to_bytes(4, "little") + content[-160:] + b"x")
    for name in ("a.dcm", "b.dcm"):
        np.testing.assert_array_equal(read_scan(tmp_path / name, "YX").values, np.full((8, 10, 3), 99))


@pytest.mark.parametrize("samples", [1, 3])
def test_colours_that_are_not_told(tmp_path: Path, samples: int) -> None:
    """The tag is there, and empty, or it is not there."""
    header = header_of(volume()[0], SamplesPerPixel=samples, PhotometricInterpretation="", PlanarConfiguration=0)
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    values = np.random.default_rng(1).integers(0, 256, (8, 10, samples)).astype(np.uint8)
    header.PixelData = values.tobytes()
    np.testing.assert_array_equal(read_scan(save(tmp_path / "a.dcm", header), "YX").values, values)
    del header.PhotometricInterpretation
    np.testing.assert_array_equal(read_scan(save(tmp_path / "b.dcm", header), "YX").values, values)
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelData = 2, "", bytes(160)
    with pytest.raises(DataError, match=r"c\.dcm: 2 samples of MONOCHROME2, expected gray"):
        read_scan(save(tmp_path / "c.dcm", header), "YX")


@pytest.mark.parametrize(
    ("kind", "shape", "turned"), [("2", "INVERSE", True), ("2", "IDENTITY", False), ("1", "INVERSE", True)]
)
def test_gray_that_is_shown_the_other_way_round(tmp_path: Path, kind: str, shape: str, turned: bool) -> None:
    stored = volume()[0]
    header = header_of(stored, PhotometricInterpretation=f"MONOCHROME{kind}", PresentationLUTShape=shape)
    path = save(tmp_path / "a.dcm", header)
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], 4095 - stored if turned else stored)
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], stored)


@pytest.mark.parametrize(("more", "overlay", "told"), [(0, 0, False), (0x2000, 13, False), (0x2000, 0, True)])
@pytest.mark.parametrize("sign", [0, 1])
def test_bits_that_the_header_does_not_tell_of(
    tmp_path: Path, sign: int, more: int, overlay: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be values that are cut; overlays that are told and the sign of a value are not."""
    stored = np.arange(80, dtype=np.int16).reshape(8, 10) - 40 * sign
    header = header_of((stored ^ more).astype(np.uint16), PixelRepresentation=sign)
    if overlay:
        header.add_new((0x6000, 0x0102), "US", overlay)
    contract._SAID.clear()
    np.testing.assert_array_equal(read_scan(save(tmp_path / "a.dcm", header), "YX").values[..., 0], stored)
    wanted = "a.dcm: its header tells of 12 bits in use (BitsStored), its pixels use 14: those beyond are left out"
    assert (wanted in caplog.text) == told


@pytest.mark.parametrize(("syntax", "encode"), [(J2K, jpeg2000), (JPEG_LS, imagecodecs.jpegls_encode)])
def test_values_that_the_type_of_the_header_does_not_hold(
    tmp_path: Path, syntax: str, encode: Callable[[np.ndarray], bytes]
) -> None:
    """They would begin again at 0."""
    for highest in (255, 256):
        stored = np.arange(highest - 79, highest + 1, dtype=np.uint16).reshape(8, 10)
        header = header_of(stored, BitsAllocated=8, BitsStored=8, HighBit=7)
        path = save(tmp_path / "a.dcm", coded(header, syntax, encode(stored)))
        if highest < 256:
            np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], stored)
        else:
            with pytest.raises(DataError, match="a frame holds values from 177 to 256, its header promises such of 8 bits"):
                read_scan(path, "YX")


@pytest.mark.filterwarnings("ignore:End of file reached")
def test_a_file_that_ends_within_its_coded_pixels(tmp_path: Path, heard: BufferingHandler) -> None:
    header = coded(header_of(volume()[0]), J2K, jpeg2000(volume()[0]))
    path = save(tmp_path / "a.dcm", header)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.dcm: not a readable DICOM file .*: it ends early"):
        read_scan(path, "YX")
    assert not heard.buffer


def test_what_a_decoder_says_of_a_damaged_frame_goes_into_the_error(tmp_path: Path, heard: BufferingHandler) -> None:
    path = save(tmp_path / "a.dcm", coded(header_of(volume()[0]), "1.2.840.10008.1.2.5", bytes(range(1, 200))))
    with pytest.raises(DataError, match=r"a\.dcm: not a readable DICOM file .* invalid number of segments"):
        read_scan(path, "YX")
    assert not heard.buffer


def padded(mark: int, signed: bool = False, **attributes: Any) -> tuple[np.ndarray, Any]:
    """Values around 100, and the same with a corner that holds a mark."""
    values = np.random.default_rng(0).integers(60, 140, (2, 8, 10)).astype(np.int64)
    marked = values.copy()
    marked[:, :2, :3] = mark
    kind = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": int(signed), **attributes}
    header = header_of(marked & 0xFFFF, **{name: value for name, value in kind.items() if "Padding" not in name})
    for name, value in kind.items():
        if "Padding" in name:
            header.add_new(pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(name)), "SS" if value < 0 else "US", value)
    values[:, :2, :3] = values[marked != mark].min()
    return values, header


@pytest.mark.parametrize(
    ("mark", "signed", "attributes"),
    [
        (-2000, True, {"PixelPaddingValue": -2000}),
        (-2000, True, {"PixelPaddingValue": 63536}),
        (63536, False, {"PixelPaddingValue": 63536}),
        (63536, False, {"PixelPaddingValue": -2000}),
        (63536, False, {"PixelPaddingValue": 63536, "BitsStored": 12, "HighBit": 11}),
        (-2000, True, {"PixelPaddingValue": 2096, "BitsStored": 12, "HighBit": 11}),
        (0, False, {"PixelPaddingValue": 0}),
        (-1500, True, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1400}),
        (-1500, True, {"PixelPaddingValue": -1400, "PixelPaddingRangeLimit": -2000}),
        (63000, False, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 60000}),
    ],
)
@pytest.mark.parametrize("scale", [{}, {"RescaleSlope": 2, "RescaleIntercept": -1024}])
def test_padding_takes_no_range(
    tmp_path: Path, mark: int, signed: bool, attributes: dict[str, int], scale: dict[str, int], heard: BufferingHandler
) -> None:
    """It stands for what lies outside of the picture, however its number is written; labels stay as they are."""
    contract._SAID.clear()
    expected, header = padded(mark, signed, **attributes, **scale)
    slope, shift = scale.get("RescaleSlope", 1), scale.get("RescaleIntercept", 0)
    found = read_scan(save(tmp_path / "a.dcm", header), "ZYX").values[..., 0]
    np.testing.assert_array_equal(found, expected * slope + shift)
    lines = [record.getMessage() for record in heard.buffer if "PixelPadding" in record.getMessage()]
    assert len(lines) == 1
    assert "12 pixels lie outside of the picture (PixelPaddingValue): taken as the lowest of the others" in lines[0]
    label = read_scan_label(tmp_path / "a.dcm", "ZYX")[0]
    np.testing.assert_array_equal(label[:, 2:], found[:, 2:])
    assert (label[:, :2, :3] == label[0, 0, 0]).all()
    assert label[0, 0, 0] != found[0, 0, 0]


def test_what_is_called_padding_and_takes_no_range(tmp_path: Path, heard: BufferingHandler) -> None:
    contract._SAID.clear()
    for name, mark, said in (("inside", 100, 0), ("other", 5, 0)):
        _, header = padded(100, PixelPaddingValue=mark)
        stored = np.frombuffer(header.PixelData, "<u2").reshape(2, 8, 10)
        np.testing.assert_array_equal(read_scan(save(tmp_path / f"{name}.dcm", header), "ZYX").values[..., 0], stored)
        assert sum("PixelPadding" in record.getMessage() for record in heard.buffer) == said
    blank = header_of(np.full((2, 8, 10), 7), PixelPaddingValue=7)
    assert (read_scan(save(tmp_path / "blank.dcm", blank), "ZYX").values == 7).all()


def test_padding_is_of_the_series(tmp_path: Path) -> None:
    """A slice outside of the picture, and slices whose lowest values differ."""
    for index, (low, mark) in enumerate(((50, 63536), (70, 63536), (63536, 63536))):
        values = np.full((8, 10), low, np.int64)
        values[4:] = low + 20 * (low != mark)
        values[:2] = mark
        place = {"ImagePositionPatient": [0, 0, 2 * index], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        header = header_of(values, BitsStored=16, HighBit=15, PixelPaddingValue=63536, PixelSpacing=[1, 1], **place)
        save(tmp_path / "s" / f"{index}.dcm", header)
    values = read_scan(tmp_path / "s", "ZYX").values[..., 0]
    assert (values[2] == 50).all()
    assert [values[0, 0, 0], values[0, 3, 0], values[1, 0, 0], values[1, 3, 0]] == [50, 50, 50, 70]
