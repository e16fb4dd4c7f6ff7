import io
import logging
import os
import stat
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from ldseg.base.writing import write_bytes
from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.pictures import label_numbers, read_image, read_label, write_image, write_mask

SIZE = (19, 26)


@pytest.fixture
def rgb() -> np.ndarray:
    """A picture with structure (so that compressed files have many bytes) and three different planes."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(0).integers(0, 40, (*SIZE, 3))
    return (np.stack([9 * x, 10 * y, 4 * (x + y)], axis=-1) % 216 + noise).astype(np.uint8)


def by_pillow(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, format=kind, **options)
    return stream.getvalue()


def by_tifffile(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, ordered)[1].tobytes()


def every_format(rgb: np.ndarray) -> dict[str, bytes]:
    gray, deep = rgb[..., 0], rgb.astype(np.uint16) * 251
    return {
        "rgb.png": by_pillow(rgb, "PNG"),
        "gray.png": by_pillow(gray, "PNG"),
        "palette.png": by_pillow(rgb, "PNG", "P"),
        "deep.png": by_opencv(deep, ".png"),
        "rgb.bmp": by_pillow(rgb, "BMP"),
        "gray.bmp": by_pillow(gray, "BMP"),
        "bit.bmp": by_pillow(rgb, "BMP", "1"),
        "rgb.jpg": by_pillow(rgb, "JPEG"),
        "progressive.jpeg": by_pillow(rgb, "JPEG", progressive=True),
        "plain.tif": by_pillow(rgb, "TIFF"),
        "lzw.tif": by_pillow(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": by_pillow(rgb, "TIFF", compression="tiff_deflate"),
        "tiled.tiff": by_tifffile(deep, tile=(16, 16), compression="zlib", photometric="rgb"),
        "float.tif": by_tifffile(gray.astype(np.float32) / 255),
    }


def test_lossless_files_give_their_pixels_red_first(tmp_path: Path, rgb: np.ndarray) -> None:
    deep = rgb.astype(np.uint16) * 251
    gray = rgb[..., :1]
    written = {
        "a.png": (by_pillow(rgb, "PNG"), rgb),
        "b.png": (by_pillow(gray[..., 0], "PNG"), gray),
        "c.png": (by_opencv(deep, ".png"), deep),
        "d.png": (by_opencv(deep[..., 0], ".png"), deep[..., :1]),
        "e.bmp": (by_pillow(rgb, "BMP"), rgb),
        "f.bmp": (by_pillow(gray[..., 0], "BMP"), gray),
        "g.tif": (by_tifffile(deep, photometric="rgb", compression="zlib", predictor=True), deep),
        "h.tif": (by_tifffile(deep[..., 0]), deep[..., :1]),
        "i.tif": (by_tifffile(np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate"), deep),
        "j.tif": (by_pillow(rgb, "TIFF", compression="tiff_lzw"), rgb),
        "k.tif": (by_opencv(deep, ".tif"), deep),  # LZW with 16 bits
        "l.tif": (by_tifffile(255 - gray[..., 0], photometric="miniswhite"), gray),
        "m.tif": (by_tifffile(gray[..., 0].astype(np.float64) / 255), (gray / 255).astype(np.float32)),
    }
    for name, (content, expected) in written.items():
        (tmp_path / name).write_bytes(content)
        pixels = read_image(tmp_path / name)
        assert pixels.dtype == expected.dtype, name
        np.testing.assert_array_equal(pixels, expected, err_msg=name)


def test_alpha_is_dropped_and_a_palette_expanded(tmp_path: Path, rgb: np.ndarray) -> None:
    alpha = np.full((*SIZE, 1), 7, np.uint8)
    (tmp_path / "rgba.png").write_bytes(by_pillow(np.concatenate([rgb, alpha], -1), "PNG"))
    (tmp_path / "la.png").write_bytes(by_pillow(np.concatenate([rgb[..., :1], alpha], -1), "PNG"))
    (tmp_path / "rgba.tif").write_bytes(
        by_tifffile(np.concatenate([rgb, alpha], -1), photometric="rgb", extrasamples=["unassalpha"])
    )
    deep = np.concatenate([rgb[..., ::-1], alpha], -1).astype(np.uint16) * 251
    (tmp_path / "deep.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), rgb[..., :1])
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.tif"), rgb)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), rgb.astype(np.uint16) * 251)

    few = rgb // 86 * 86  # 27 colours at most, so that a palette holds them exactly
    Image.fromarray(few).quantize(27).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), few)
    Image.fromarray(few).quantize(27).save(tmp_path / "palette.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.tif"), few)


def test_jpeg_is_near_its_source(tmp_path: Path) -> None:
    smooth = np.broadcast_to(np.arange(0, 208, 8).astype(np.uint8)[None, :, None], (*SIZE, 3))
    (tmp_path / "a.jpg").write_bytes(by_pillow(np.ascontiguousarray(smooth), "JPEG", quality=95))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - smooth).max() < 12


def test_content_counts_not_the_extension(tmp_path: Path, rgb: np.ndarray) -> None:
    (tmp_path / "really_png.bmp").write_bytes(by_pillow(rgb, "PNG"))
    np.testing.assert_array_equal(read_image(tmp_path / "really_png.bmp"), rgb)


def test_every_truncated_file_is_an_error_that_names_it(
    tmp_path: Path, rgb: np.ndarray, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, content in every_format(rgb).items():
        path = tmp_path / name
        path.write_bytes(content)
        read_image(path)
        lengths = {*range(0, len(content), 1 + len(content) // 60), *range(len(content) - 20, len(content))}
        for length in lengths:
            path.write_bytes(content[:length])
            with pytest.raises(DataError) as caught:
                read_image(path)
            assert str(path) in str(caught.value), f"{name} cut to {length} of {len(content)}"
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_flipped_bits_in_a_png_are_an_error(tmp_path: Path, rgb: np.ndarray) -> None:
    content = bytearray(by_pillow(rgb, "PNG"))
    content[len(content) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="check sum"):
        read_image(tmp_path / "a.png")


def test_damaged_files_raise_nothing_but_data_errors(tmp_path: Path, rgb: np.ndarray) -> None:
    random = np.random.default_rng(3)
    failures = 0
    for name, content in every_format(rgb).items():
        for _ in range(15):
            damaged = bytearray(content)
            for place in random.integers(0, min(len(content), 300), 4):
                damaged[place] = random.integers(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                read_image(tmp_path / name)
            except DataError:
                failures += 1
    assert failures > 50


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "zero bytes"),
        (b"%PDF-1.4...", "not an image, but a PDF"),
        (b"%!PS-Adobe-3.0...", "not a BMP, PNG, TIFF or JPEG"),
        (b"GIF89a...", "the GIF ends early"),
        (None, "No such file"),
    ],
)
def test_what_is_no_image_is_an_error(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, read_label):
        with pytest.raises(DataError, match=expected) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_a_folder_and_a_stack_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, *SIZE), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="3 pages"):
        read_image(tmp_path / "stack.tif")


def test_labels_keep_their_numbers(tmp_path: Path) -> None:
    ids = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    tifffile.imwrite(tmp_path / "wide.tif", ids.astype(np.uint32) * 1000)
    tifffile.imwrite(tmp_path / "whole.tif", ids.astype(np.float32))
    Image.fromarray(np.repeat((ids % 7).astype(np.uint8)[..., None], 3, -1)).save(tmp_path / "planes.png")
    indexed = Image.fromarray((ids % 3).astype(np.uint8), mode=None)
    indexed.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0])
    indexed.save(tmp_path / "indexed.png")
    Image.fromarray(ids % 2 > 0).save(tmp_path / "bit.png")
    expected = {
        "wide.tif": ids * 1000,
        "whole.tif": ids,
        "planes.png": ids % 7,
        "indexed.png": ids % 3,
        "bit.png": ids % 2,
    }
    for name, values in expected.items():
        label = read_label(tmp_path / name)
        assert label.dtype == np.int32
        np.testing.assert_array_equal(label, values, err_msg=name)


def test_labels_that_are_none(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "colour.png")
    tifffile.imwrite(tmp_path / "half.tif", np.full(SIZE, 0.5, np.float32))
    tifffile.imwrite(tmp_path / "nan.tif", np.full(SIZE, np.nan, np.float32))
    tifffile.imwrite(tmp_path / "huge.tif", np.full(SIZE, 2**31, np.uint32))
    for name, expected in {
        "colour.png": "colour",
        "half.tif": r"whole numbers, found 0\.5",
        "nan.tif": "nan",
        "huge.tif": "2147483648",
    }.items():
        with pytest.raises(DataError, match=expected):
            read_label(tmp_path / name)


@pytest.mark.parametrize(
    ("asked", "highest", "written", "kind"),
    [
        ("a.png", 1, "a.png", np.uint8),
        ("a.png", 256, "a.png", np.uint16),
        ("a.bmp", 255, "a.bmp", np.uint8),
        ("a.BMP", 65535, "a.png", np.uint16),
        ("a.tif", 300, "a.tif", np.uint16),
        ("a.tiff", 3, "a.tiff", np.uint8),
        ("a.jpg", 1, "a.png", np.uint8),
        ("slide.7", 1, "slide.7.png", np.uint8),
    ],
)
def test_masks_come_back_unchanged(tmp_path: Path, asked: str, highest: int, written: str, kind: type[np.generic]) -> None:
    mask = np.zeros(SIZE, np.int64)
    mask[3:9, 5:20] = highest
    path = write_mask(tmp_path / "new folder" / asked, mask)
    assert path == tmp_path / "new folder" / written
    assert [file.name for file in path.parent.iterdir()] == [written]
    np.testing.assert_array_equal(read_label(path), mask)
    assert read_image(path).dtype == kind


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((2, 3, 4), int),
        np.zeros((0, 4), int),
        np.zeros(SIZE),
        np.full(SIZE, -1),
        np.full(SIZE, 65536),
    ],
)
def test_what_is_no_mask_is_not_written(tmp_path: Path, mask: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"a\.png"):
        write_mask(tmp_path / "a.png", mask)
    assert not list(tmp_path.iterdir())


def test_images_come_back(tmp_path: Path, rgb: np.ndarray) -> None:
    for name in ("a.png", "a.bmp", "a.tif"):
        np.testing.assert_array_equal(read_image(write_image(tmp_path / name, rgb)), rgb)
    np.testing.assert_array_equal(read_image(write_image(tmp_path / "g.png", rgb[..., 1])), rgb[..., 1:2])
    assert read_image(write_image(tmp_path / "a.jpg", rgb)).shape == rgb.shape
    for path, pixels in ((tmp_path / "a.gif", rgb), (tmp_path / "b.png", rgb.astype(float))):
        with pytest.raises(DataError, match=path.name):
            write_image(path, pixels)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mask(tmp_path / "a.png", np.ones(SIZE, int))
    before = path.read_bytes()

    def denied(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(DataError, match=r"a\.png: cannot be written: Permission denied"):
        write_mask(path, np.zeros(SIZE, int))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_disk_space_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"a\.png: cannot be written: No space left"):
        write_mask(tmp_path / "a.png", np.zeros(SIZE, int))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file/a\.png"):
        write_mask(tmp_path / "file" / "a.png", np.zeros(SIZE, int))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png"):
        write_mask(tmp_path / "folder.png", np.zeros(SIZE, int))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"a\.png: cannot be written: Permission denied"):
        write_mask(tmp_path / "a.png", np.zeros(SIZE, int))


def test_written_files_get_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_bytes(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_opencv_keeps_its_log_level(tmp_path: Path, rgb: np.ndarray) -> None:
    before = cv2.utils.logging.getLogLevel()
    (tmp_path / "deep.png").write_bytes(by_opencv(rgb.astype(np.uint16), ".png"))
    read_image(tmp_path / "deep.png")
    assert cv2.utils.logging.getLogLevel() == before
    assert logging.getLogger().level != logging.CRITICAL


def test_a_label_of_floats_takes_little_memory() -> None:
    values = np.arange(300_000.0).reshape(500, 600, 1)
    tracemalloc.start()
    found = label_numbers(values, "a")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, values[..., 0])
    assert most < 1.5 * values.nbytes


@pytest.mark.parametrize("preview", [False, True])
def test_a_second_picture_in_a_jpeg_is_named(tmp_path: Path, preview: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The other eye of a camera for depth, and no smaller copy, as many cameras add."""
    first, second = (Image.fromarray(np.full((24, 32, 3), value, np.uint8)) for value in (60, 200))
    path = tmp_path / "a.jpg"
    first.save(path, "MPO", save_all=True, append_images=[second])
    if preview:
        content = bytearray(path.read_bytes())
        second_entry = content.index(b"MPF\0") + 70  # as Pillow writes it
        content[second_entry : second_entry + 4] = (0x010001).to_bytes(4, "little")
        path.write_bytes(content)
    contract._SAID.clear()
    assert abs(read_image(path).astype(int) - 60).max() < 3
    assert ("a.jpg: it holds 2 pictures (MPO), of which the first alone is used" in caplog.text) == (not preview)


@pytest.mark.parametrize("name", ["palette.png", "list.png", "gray.png", "deep.png", "rgb.png", "a.gif", "gray.gif"])
@pytest.mark.parametrize("seen", [3, 5])
def test_colours_that_are_seen_through_are_named(
    tmp_path: Path, name: str, seen: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As a plane of transparency is; nothing is said where no pixel has them, or of a label, whose numbers count."""
    values = np.resize(np.arange(5, dtype=np.uint8), (8, 10))
    image, told = Image.fromarray(values), seen
    if name in ("palette.png", "list.png", "a.gif"):
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
        values = np.asarray(image)
    if name == "list.png":
        told = bytes(255 - 200 * (index == seen) for index in range(8))
    elif name == "deep.png":
        image = Image.fromarray(values.astype(np.uint16))
    elif name == "rgb.png":
        image, told = Image.fromarray(np.dstack([values] * 3)), (seen, seen, seen)
    path = tmp_path / name
    image.save(path, transparency=told)
    contract._SAID.clear()
    read_label(path)
    assert not caplog.text
    read_image(path)
    assert (f"{name}: its transparency is not used" in caplog.text) == (seen < 5)
