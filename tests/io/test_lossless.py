"""Labels in codings that can be with loss or without: what is without is read, what may be changed is refused."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from dicom_files import header_of, save
from PIL import Image
from pydicom.encaps import encapsulate

from ldseg.errors import DataError
from ldseg.io.lossless import is_lossless_avif, is_lossless_jpegxl, is_lossless_lerc, is_lossless_webp
from ldseg.io.scans import read_scan_label

LABEL = np.kron(np.random.default_rng(0).integers(0, 3, (5, 6)), np.ones((8, 8), int)).astype(np.uint8)
CHANGED = r"a label in {}, which changes numbers, can be read in two ways: .* as they are, or "


def avif(values: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "AVIF", speed=9, **options)
    return stream.getvalue()


def bare(content: bytes) -> bytes:
    """The pixels of a JPEG XL out of its boxes."""
    place, found = 0, b""
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big") or len(content) - place
        if content[place + 4 : place + 8] == b"jxlp":
            found += content[place + 12 : place + length]
        place += length
    return found


@pytest.mark.parametrize("size", [(1, 1), (70, 130)])
@pytest.mark.parametrize("planes", [1, 3, 4])
def test_headers_tell_of_loss(size: tuple[int, int], planes: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, planes)).astype(np.uint8)
    values = noise[..., 0] if planes == 1 else noise
    for depth in (np.uint8, np.uint16)[: 1 if planes == 4 else 2]:
        assert is_lossless_jpegxl(imagecodecs.jpegxl_encode(values.astype(depth), lossless=True))
        assert not is_lossless_jpegxl(imagecodecs.jpegxl_encode(values.astype(depth), lossless=False, distance=2.0))
    for kind, most in ((np.uint8, 0.5), (np.float32, 0.0)):
        assert is_lossless_lerc(imagecodecs.lerc_encode(noise[..., 0].astype(kind), level=most))
        assert not is_lossless_lerc(imagecodecs.lerc_encode(noise[..., 0].astype(kind), level=2))
    if planes > 1:
        assert is_lossless_webp(imagecodecs.webp_encode(values, lossless=True))
        assert not is_lossless_webp(imagecodecs.webp_encode(values, lossless=False, level=80))
    assert is_lossless_avif(avif(values, quality=100)) and not is_lossless_avif(avif(values, quality=99))
    assert not is_lossless_avif(avif(values, quality=100, range="limited"))
    assert is_lossless_avif(imagecodecs.avif_encode(values, level=100))
    jpeg = imagecodecs.jpeg8_encode(values if planes != 4 else values[..., :3].copy(), level=90)
    packed = imagecodecs.jpegxl_encode_jpeg(jpeg)
    assert not is_lossless_jpegxl(packed) and not is_lossless_jpegxl(bare(packed))
    assert not any(check(b"\xff\x0a") for check in (is_lossless_avif, is_lossless_jpegxl, is_lossless_lerc))


def test_a_size_without_end_takes_no_time() -> None:
    content = bytes([0, 16, 0, 0]) + b"mdat" + b"\x0a" + b"\xff" * 300_000
    began = time.process_time()
    assert not is_lossless_avif(content)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "4:0:0"])
def test_a_label_in_avif(tmp_path: Path, sampling: str) -> None:
    (tmp_path / "a.avif").write_bytes(avif(np.dstack([LABEL] * 3), quality=100, subsampling=sampling))
    np.testing.assert_array_equal(read_scan_label(tmp_path / "a.avif", "YX")[0], LABEL)
    (tmp_path / "b.avif").write_bytes(avif(np.dstack([LABEL] * 3), quality=90, subsampling=sampling))
    with pytest.raises(DataError, match=CHANGED.format("AVIF")):
        read_scan_label(tmp_path / "b.avif", "YX")


@pytest.mark.parametrize(
    ("compression", "name", "kept", "changed"),
    [
        ("jpeg2000", "JPEG 2000", {}, {"level": 60, "reversible": False}),
        ("jpegxl", "JPEG XL", {"lossless": True}, {"lossless": False, "distance": 1.0}),
        ("webp", "WebP", {"lossless": True}, {"lossless": False, "level": 80}),
        ("lerc", "LERC", {}, {"level": 1}),
        ("lerc", "LERC", {"compression": "zstd"}, {"compression": "zstd", "level": 1}),
        ("lerc", "LERC", {"compression": "deflate"}, {"compression": "deflate", "level": 1}),
    ],
)
def test_a_label_in_tiff(tmp_path: Path, compression: str, name: str, kept: dict[str, Any], changed: dict[str, Any]) -> None:
    values, photometric = (np.dstack([LABEL] * 3), "rgb") if compression == "webp" else (LABEL, "minisblack")
    given: dict[str, Any] = {"compression": compression, "photometric": photometric, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", values, compressionargs=kept, **given)
    np.testing.assert_array_equal(read_scan_label(tmp_path / "a.tif", "YX")[0], LABEL)
    tifffile.imwrite(tmp_path / "b.tif", values, compressionargs=changed, **given)
    with pytest.raises(DataError, match=CHANGED.format(name)):
        read_scan_label(tmp_path / "b.tif", "YX")


def test_a_label_in_tiff_that_was_a_jpeg(tmp_path: Path) -> None:
    packed = bare(imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(LABEL, level=30)))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        given: dict[str, Any] = {"compression": "jpegxl", "photometric": "minisblack", "metadata": None}
        writer.write(iter([packed]), shape=LABEL.shape, dtype=LABEL.dtype, **given)
    with pytest.raises(DataError, match=CHANGED.format("JPEG XL")):
        read_scan_label(tmp_path / "a.tif", "YX")


@pytest.mark.parametrize(
    ("syntax", "name", "encode"),
    [
        ("81", "JPEG-LS", lambda values, loss: imagecodecs.jpegls_encode(values, level=int(loss))),
        (
            "91",
            "JPEG 2000",
            lambda values, loss: imagecodecs.jpeg2k_encode(values, codecformat="j2k", level=60 * loss, reversible=not loss),
        ),
    ],
)
def test_a_label_in_dicom(tmp_path: Path, syntax: str, name: str, encode: Callable[[np.ndarray, bool], bytes]) -> None:
    """Whether or not the header tells of a loss."""
    for told, loss in (("", False), ("", True), ("01", False)):
        header = header_of(LABEL, BitsAllocated=8, BitsStored=8, HighBit=7, LossyImageCompression=told)
        header.PixelData = encapsulate([encode(LABEL * (1 + loss), loss)])
        header["PixelData"].is_undefined_length = True
        header.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{syntax}"
        save(tmp_path / "a.dcm", header)
        if told or loss:
            with pytest.raises(DataError, match=CHANGED.format(name)):
                read_scan_label(tmp_path / "a.dcm", "YX")
        else:
            np.testing.assert_array_equal(read_scan_label(tmp_path / "a.dcm", "YX")[0], LABEL)
