"""TIFF: tags that programs obey or not, and strips that are not what their tags say."""

import struct
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from ldseg.errors import DataError
from ldseg.io import contract, tiff_coding
from ldseg.io.scans import read_scan, read_scan_label

SIZE = (11, 21)
RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, SIZE).astype(np.uint8)
PREDICTOR, ORDER, COMPRESSION, PALETTE = 317, 266, 259, 320


def tiff(
    strips: list[bytes], bits: int | list[int] = 8, photometric: int = 1, size: tuple[int, int] = SIZE, **tags: Any
) -> bytes:
    """A file by hand: tags of 16 bits, by number, in one strip each."""
    samples = len(bits) if isinstance(bits, list) else 1
    values = {256: [size[1]], 257: [size[0]], 258: bits if isinstance(bits, list) else [bits], 259: [1], 262: [photometric]}
    values |= {277: [samples], 278: [size[0]]} | {int(code[1:]): given for code, given in tags.items()}
    count, place = len(values) + 2, 8 + 2 + 12 * (len(values) + 2) + 4
    more = b""
    entries = {}
    for code, given in values.items():
        packed = struct.pack(f"<{len(given)}H", *given)
        if len(packed) > 4:
            packed, more = struct.pack("<I", place + len(more)), more + packed
        entries[code] = struct.pack("<HHI", code, 3, len(given)) + packed.ljust(4, b"\0")
    offsets = [place + len(more) + sum(map(len, strips[:index])) for index in range(len(strips))]
    for code, numbers in ((273, offsets), (279, [len(strip) for strip in strips])):
        assert len(numbers) == 1
        entries[code] = struct.pack("<HHII", code, 4, 1, numbers[0])
    body = struct.pack("<H", count) + b"".join(entries[code] for code in sorted(entries)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + body + more + b"".join(strips)


def packed(values: np.ndarray, bits: int) -> bytes:
    rows = b""
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row.ravel().tolist())
        digits += "0" * (-len(digits) % 8)
        rows += int(digits, 2).to_bytes(len(digits) // 8, "big")
    return rows


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("compression", [1, 8, 32773])
def test_every_depth_in_both_orders_of_bits(tmp_path: Path, bits: int, order: int, compression: int) -> None:
    values, path = RNG.integers(0, 2**bits, SIZE), tmp_path / "a.tif"
    strip = packed(values, bits)
    strip = {1: bytes, 8: imagecodecs.zlib_encode, 32773: imagecodecs.packbits_encode}[compression](strip)
    strip = imagecodecs.bitorder_decode(strip) if order == 2 else strip
    tags = {"t266": [order], "t259": [compression]}
    table = RNG.integers(0, 256, (2**bits, 3))
    shown = {1: values, 0: 2**bits - 1 - values, 3: table[values] if bits <= 8 else None}
    for photometric, expected in shown.items():
        if expected is None:
            continue
        extra = {"t320": (table.T * 257).ravel().tolist()} if photometric == 3 else {}
        path.write_bytes(tiff([strip], bits, photometric, **tags, **extra))
        np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
        found = read_scan(path, "YX").values
        assert (
            (found if photometric == 3 else found[..., 0]) == expected * (255 if bits == 1 and photometric < 3 else 1)
        ).all()


@pytest.mark.parametrize("compression", [1, 32773])
def test_differences_that_some_programs_do_not_undo(tmp_path: Path, compression: int) -> None:
    path, strip = tmp_path / "a.tif", GRAY.tobytes()
    strip = imagecodecs.packbits_encode(strip) if compression > 1 else strip
    path.write_bytes(tiff([strip], t259=[compression], t317=[2]))
    with pytest.raises(DataError, match=r"a\.tif: its tag Predictor does not fit the compression (NONE|PACKBITS)"):
        read_scan(path, "YX")
    path.write_bytes(tiff([strip], t259=[compression], t317=[1]))
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], GRAY)


def test_bits_that_differ_from_plane_to_plane(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff([bytes(2 * 11 * 21)], [5, 6, 5], 2))
    with pytest.raises(DataError, match=r"a\.tif: samples of the format \w+ with \(5, 6, 5\) bits; expected whole"):
        read_scan(tmp_path / "a.tif", "YX")


COLOURS = np.dstack([GRAY] * 3)
OTHERS = {
    "JPEG 2000 in colour": (34712, imagecodecs.jpeg2k_encode(COLOURS)),
    "JPEG 2000 of 16 bits": (34712, imagecodecs.jpeg2k_encode(GRAY.astype(np.uint16) * 257)),
    "PNG of 16 bits": (34933, imagecodecs.png_encode(GRAY.astype(np.uint16) * 257)),
    "PNG in colour": (34933, imagecodecs.png_encode(COLOURS)),
    "WebP in colour": (50001, imagecodecs.webp_encode(COLOURS, lossless=True)),
    "JPEG XL in colour": (50002, imagecodecs.jpegxl_encode(COLOURS)),
    "JPEG in colour": (7, imagecodecs.jpeg8_encode(COLOURS)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_strips_of_other_planes_or_another_depth(tmp_path: Path, kind: str) -> None:
    """Of these tifffile takes what fits, without a word."""
    compression, strip = OTHERS[kind]
    (tmp_path / "a.tif").write_bytes(tiff([strip], t259=[compression]))
    with pytest.raises(
        DataError, match=r"a\.tif: .*a strip or tile holds [13] planes of (8|16) bits, its tags tell of 1 plane"
    ):
        read_scan(tmp_path / "a.tif", "YX")


@pytest.mark.parametrize(("bits", "tagged"), [(12, 16), (10, 16), (16, 16), (6, 8)])
def test_a_lossless_jpeg_of_fewer_bits(tmp_path: Path, bits: int, tagged: int) -> None:
    """They fit into the values that the tags tell of."""
    values = RNG.integers(0, 2**bits, SIZE).astype(np.uint16 if tagged > 8 else np.uint8)
    (tmp_path / "a.tif").write_bytes(tiff([imagecodecs.ljpeg_encode(values, bitspersample=bits)], tagged, t259=[7]))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.tif", "YX").values[..., 0], values)
    np.testing.assert_array_equal(read_scan_label(tmp_path / "a.tif", "YX")[0], values)


def test_a_jpeg_of_more_bits(tmp_path: Path) -> None:
    strip = imagecodecs.ljpeg_encode(GRAY.astype(np.uint16), bitspersample=12)
    (tmp_path / "a.tif").write_bytes(tiff([strip], 8, t259=[7]))
    with pytest.raises(DataError, match=r"a\.tif: .*holds 1 planes of 12 bits, its tags tell of 1 planes of 8 bits"):
        read_scan(tmp_path / "a.tif", "YX")


def test_planes_of_gray_in_one_jpeg(tmp_path: Path) -> None:
    """Decoders take three planes of a JPEG for luma and chroma, or not."""
    (tmp_path / "a.tif").write_bytes(tiff([imagecodecs.jpeg8_encode(COLOURS)], [8, 8, 8], 1, t259=[7]))
    with pytest.raises(DataError, match=r"a\.tif: 3 planes of MINISBLACK in one JPEG; save it with deflate or LZW"):
        read_scan(tmp_path / "a.tif", "YX")


@pytest.mark.parametrize(
    "second", [{"photometric": "miniswhite"}, {"compression": "zlib"}, {"predictor": 2, "compression": "lzw"}]
)
def test_pages_that_are_not_alike(tmp_path: Path, second: dict[str, Any]) -> None:
    """A description that makes one stack of them does not make them alike: tifffile decodes all as the first."""
    path = tmp_path / "a.tif"
    description = "ImageJ=1.53t\nimages=2\nslices=2\n"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GRAY, photometric="minisblack", description=description, metadata=None)
        writer.write(GRAY, **({"photometric": "minisblack"} | second), metadata=None)
    with pytest.raises(DataError, match=r"a\.tif: "):
        read_scan(path, "ZYX")


@pytest.mark.parametrize(
    "first", [{"rowsperstrip": 3}, {"compression": "zlib"}, {"tile": (16, 16)}, {"compression": "jpeg2000"}]
)
def test_pages_of_one_meaning_stored_differently(tmp_path: Path, first: dict[str, Any]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for options in (first, {}, {"compression": "lzw", "predictor": True}):
            writer.write(GRAY, photometric="minisblack", metadata=None, **options)
    np.testing.assert_array_equal(read_scan(tmp_path / "a.tif", "ZYX").values[..., 0], np.stack([GRAY] * 3))
    np.testing.assert_array_equal(read_scan_label(tmp_path / "a.tif", "ZYX")[0], np.stack([GRAY] * 3))


@pytest.mark.parametrize("second", [{"photometric": "miniswhite"}, {"values": GRAY[:8]}, {"values": GRAY.astype(np.uint16)}])
def test_pages_of_another_meaning(tmp_path: Path, second: dict[str, Any]) -> None:
    given = {"values": GRAY, "photometric": "minisblack"} | second
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GRAY, photometric="minisblack", metadata=None)
        writer.write(given.pop("values"), metadata=None, **given)
    with pytest.raises(DataError, match=r"a\.tif: 2 series of pages, expected one"):
        read_scan(tmp_path / "a.tif", "ZYX")


def ramp(kind: str, number: str) -> np.ndarray:
    """Values from 1 on, of which those of two rows are a number."""
    values = (1 + np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1]))).astype(kind)
    values[:2] = float(number)
    return values


def with_no_data(path: Path, values: np.ndarray, number: str, **layout: Any) -> Path:
    tag = (42113, 2, len(number) + 1, number, True)
    tifffile.imwrite(path, values, extratags=[tag], compression="zlib", **{"metadata": None, **layout})
    return path


@pytest.mark.parametrize(
    ("kind", "number"), [("f4", "-9999"), ("f8", "-9999"), ("u2", "65535"), ("i2", "-32768"), ("i4", "-2147483648")]
)
def test_what_was_not_measured_would_cost_the_range(tmp_path: Path, kind: str, number: str) -> None:
    """Values of GeoTIFF beyond all others, for which these would be nearly one shade."""
    values = ramp(kind, "7")
    path = with_no_data(tmp_path / "a.tif", values, number)
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)  # it is none of them
    path = with_no_data(path, ramp(kind, number), number)
    with pytest.raises(DataError, match=rf"a\.tif: {number} stands for .*\(its tag GDAL_NODATA\), as in 42 of its 231"):
        read_scan(path, "YX")
    planes = np.stack([values, ramp(kind, number), values])  # of one channel
    with_no_data(path, np.moveaxis(planes, 0, -1), number, photometric="rgb")
    with pytest.raises(DataError, match=rf"a\.tif: {number} stands for .*, as in 42 of its 231"):
        read_scan(path, "YX")
    with_no_data(path, planes, number, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    with pytest.raises(DataError, match=rf"a\.tif: {number} stands for .*, as in 42 of its 231"):
        read_scan(path, "YX")


def test_what_was_not_measured_is_sought_in_little_memory() -> None:
    tags = SimpleNamespace(valueof=lambda tag, usual: "-9999")
    values = np.zeros((500, 500, 1), np.float32)
    values[250:], values[0] = 20000, -9999
    tracemalloc.start()
    tiff_coding.check_measured(values, SimpleNamespace(tags=tags), False, "a")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < values.nbytes


@pytest.mark.parametrize("number", ["inf", "-inf", "1e400", "70000", "0.5", "nan"])
def test_numbers_that_no_pixel_can_have(tmp_path: Path, number: str, caplog: pytest.LogCaptureFixture) -> None:
    values = ramp("i2", "7")
    path = with_no_data(tmp_path / "a.tif", values, number)
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
    assert "not measured" not in caplog.text


@pytest.mark.parametrize(
    ("kind", "number"),
    [("u1", "0"), ("u1", "255"), ("u2", "0"), ("i2", "7"), ("i2", "0"), ("i4", "-20"), ("f4", "0.5")],
)
def test_what_was_not_measured_and_does_no_harm_is_said(
    tmp_path: Path, kind: str, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = ramp(kind, number)
    path = with_no_data(tmp_path / "a.tif", values, number)
    contract._SAID.clear()
    np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)
    assert f"a.tif: {number} stands for what was not measured (its tag GDAL_NODATA): taken as it stands" in caplog.text


@pytest.mark.parametrize("kind", ["u1", "u2", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("others", [(1,), (100,), (1000, 1200)])
def test_a_background_of_zeros_is_none_that_was_not_measured(tmp_path: Path, kind: str, others: tuple[int, ...]) -> None:
    """Of whole numbers, however far from the others; and of what has two values alone there is no range to lose."""
    if max(others) > 100 and kind[1] == "1":
        others = tuple(value // 10 for value in others)
    values = np.zeros(SIZE, kind)
    values[3:] = np.resize(np.array(others), (SIZE[0] - 3, SIZE[1]))
    path = with_no_data(tmp_path / "a.tif", values, "0")
    if kind[0] == "f" and len(others) > 1:
        with pytest.raises(DataError, match=r"a\.tif: 0 stands for what was not measured \(its tag GDAL_NODATA\)"):
            read_scan(path, "YX")
    else:
        np.testing.assert_array_equal(read_scan(path, "YX").values[..., 0], values)
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)


@pytest.mark.parametrize(
    ("kind", "number"), [("u1", "0"), ("u1", "255"), ("u2", "0"), ("i2", "7"), ("f4", "-9999"), ("i4", "-2147483648")]
)
def test_what_was_not_measured_in_a_label_is_said(
    tmp_path: Path, kind: str, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    values = ramp(kind, number)
    path = with_no_data(tmp_path / "a.tif", values, number)
    contract._SAID.clear()
    np.testing.assert_array_equal(read_scan_label(path, "YX")[0], values)
    assert (f"[Data] LabelMap leaves it out with {number}:ignore" in caplog.text) == (number != "0")
