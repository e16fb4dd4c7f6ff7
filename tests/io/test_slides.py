"""Slides: what other programs wrote is read, a window at a time, and what other programs read is the same."""

import shutil
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from slide_files import SVS, ndpi, pyramid, tissue

from ldseg.errors import DataError
from ldseg.io import apart
from ldseg.io.scans import read_scan, write_scan_mask
from ldseg.io.slides import kinds
from ldseg.io.slides.distant import DistantSlide
from ldseg.io.slides.kinds import is_slide, open_slide


def windows_agree(path: Path, image: np.ndarray, level: int = 0) -> None:
    with open_slide(path) as slide:
        height, width = slide.sizes[level]
        assert (height, width) == image.shape[:2]
        for top, left, tall, wide in ((0, 0, height, width), (5, 9, height // 2, width // 2), (height - 3, width - 7, 3, 7)):
            found = slide.window(level, top, left, tall, wide)
            np.testing.assert_array_equal(found, image[top : top + tall, left : left + wide].reshape(found.shape))
        bands = [band for _, band in slide.rows(level, 50)]
        np.testing.assert_array_equal(np.concatenate(bands), image.reshape(height, width, -1))


def openslide_agrees(path: Path, image: np.ndarray) -> None:
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(str(path)) as slide:
        found = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
    np.testing.assert_array_equal(found, image)


def test_aperio_svs() -> None:
    image = tifffile.imread(SVS)
    assert is_slide(SVS)
    with open_slide(SVS) as slide:
        assert (slide.sizes, slide.channels, slide.microns) == (((2967, 2220),), 3, (0.499, 0.499))
        np.testing.assert_array_equal(slide.window(0, 200, 300, 500, 400), image[200:700, 300:700])
    openslide_agrees(SVS, image)
    np.testing.assert_array_equal(read_scan(SVS, "YX").values, image)


def test_hamamatsu_ndpi(tmp_path: Path) -> None:
    image = ndpi(tmp_path / "a.ndpi", tissue(128, 512))
    windows_agree(tmp_path / "a.ndpi", image)
    openslide_agrees(tmp_path / "a.ndpi", image)
    with open_slide(tmp_path / "a.ndpi") as slide:
        assert slide.microns == pytest.approx((0.46, 0.46))


@pytest.mark.parametrize("compression", [None, "jpeg", "webp", "jpeg2000", "lzw", "zstd"])
def test_a_pyramid_of_tiles(tmp_path: Path, compression: str | None) -> None:
    path = pyramid(tmp_path / "a.tif", tissue(200, 301), compression=compression)
    with tifffile.TiffFile(path) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    for level, image in enumerate(levels):
        windows_agree(path, image, level)
    with open_slide(path) as slide:
        assert slide.microns == pytest.approx((0.5, 0.5))
        wanted = {0.3: 0, 0.5: 0, 0.9: 0, 1.0: 1, 1.9: 1, 2.0: 2, 9.0: 2}
        assert {microns: slide.level_of((microns, microns), slide.microns) for microns in wanted} == wanted


def test_jpeg_2000_as_aperio_has_it(tmp_path: Path) -> None:
    image = tissue(64, 64).astype(np.float64)
    red, green, blue = np.moveaxis(image, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    ycc = np.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], axis=-1)
    tile = imagecodecs.jpeg2k_encode(np.rint(ycc).astype(np.uint8), level=0, codecformat="j2k", mct=False)
    about = "Aperio Image Library v10\r\n64x64 (64x64) J2K/YUV16 Q=70|AppMag = 20|MPP = 0.25"
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        options = {"photometric": "rgb", "tile": (64, 64), "compression": 33003, "metadata": None, "description": about}
        file.write(iter([tile]), shape=(64, 64, 3), dtype="uint8", **options)
    with open_slide(tmp_path / "a.svs") as slide:
        found = slide.window(0, 0, 0, 64, 64)
        assert slide.microns == (0.25, 0.25)
    assert np.abs(found - image).max() <= 2  # luma and chroma were rounded
    openslide = pytest.importorskip("openslide")
    with openslide.OpenSlide(str(tmp_path / "a.svs")) as slide:
        other = np.asarray(slide.read_region((0, 0), 0, (64, 64)))[..., :3]
    assert np.abs(found.astype(int) - other).max() <= 1


def test_ome_tiff_says_its_size_and_its_channels(tmp_path: Path) -> None:
    stains = np.stack([tissue(90, 130, seed)[..., 0] for seed in range(2)]).astype(np.uint16) * 256
    said = {"axes": "CYX", "PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.65}
    tifffile.imwrite(tmp_path / "a.ome.tif", stains, tile=(32, 32), metadata=said)
    windows_agree(tmp_path / "a.ome.tif", np.moveaxis(stains, 0, -1))
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert (slide.modalities, slide.microns) == (True, pytest.approx((0.65, 0.325)))
    tifffile.imwrite(tmp_path / "b.tif", tissue(40, 50), resolution=(96, 96), resolutionunit=2, metadata=None)
    with open_slide(tmp_path / "b.tif") as slide:
        assert slide.microns is None  # that of a screen


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path: Path, version: int) -> None:
    zarr = pytest.importorskip("zarr")
    image = tissue(120, 170)
    path = tmp_path / "a.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
    levels = []
    for level in range(2):
        part = np.moveaxis(image[:: 2**level, :: 2**level], -1, 0)
        group.create_array(str(level), shape=part.shape, chunks=(3, 32, 32), dtype=part.dtype)[...] = part
        scale = {"type": "scale", "scale": [1.0, 0.25 * 2**level, 0.25 * 2**level]}
        levels.append({"path": str(level), "coordinateTransformations": [scale]})
    said = {"multiscales": [{"axes": axes, "datasets": levels}]}
    group.attrs.update(said if version == 2 else {"ome": {"version": "0.5", **said}})
    assert is_slide(path)
    windows_agree(path, image)
    windows_agree(path, image[::2, ::2], 1)
    with open_slide(path) as slide:
        assert slide.microns == (0.25, 0.25)


def test_what_only_openslide_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openslide")
    monkeypatch.setattr(kinds, "KINDS", [((".svs",), kinds.OpenSlideSlide)])
    with open_slide(SVS) as slide:
        np.testing.assert_array_equal(slide.window(0, 200, 300, 50, 60), tifffile.imread(SVS)[200:250, 300:360])
        assert slide.microns == (0.499, 0.499)


def test_a_large_tiff_counts_as_a_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tissue(200, 300)
    monkeypatch.setattr(kinds, "LARGE", image.shape[0] * image.shape[1] - 1)
    assert is_slide(pyramid(tmp_path / "a.tif", image))
    assert not is_slide(pyramid(tmp_path / "b.tif", image[1:]))
    (tmp_path / "c.tif").write_bytes(b"II*\0 and no more")
    assert not is_slide(tmp_path / "c.tif")  # what is wrong with it is said when it is read


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    image = tissue(100, 100)

    def fails(name: str, message: str) -> None:
        with pytest.raises(DataError, match=rf"{name}: {message}"), open_slide(tmp_path / name) as slide:
            slide.window(0, 0, 0, *slide.sizes[0])

    fails("gone.svs", "cannot be read: No such file")
    (tmp_path / "bytes.svs").write_bytes(b"no slide")
    fails("bytes.svs", "not a readable slide")
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(image, -1, 0), photometric="rgb", planarconfig="separate")
    fails("planes.tif", "its colours lie in planes of their own")
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((5, 40, 40), np.uint8), photometric="minisblack", metadata={"axes": "ZYX"}
    )
    fails("stack.tif", "axes ZYX of size 5")
    options = {"tile": (64, 64), "metadata": None, "extratags": [(42113, 2, 6, "65535", True)]}
    tifffile.imwrite(tmp_path / "blank.tif", image[..., 0].astype(np.uint16), **options)
    fails("blank.tif", r"65535 stands for what was not measured \(its tag GDAL_NODATA\)")
    options["extratags"] = [(42113, 2, 6, "-9999", True)]  # which no pixel can have
    tifffile.imwrite(tmp_path / "whole.tif", image[..., 0].astype(np.uint16), **options)
    with open_slide(tmp_path / "whole.tif") as slide:
        np.testing.assert_array_equal(slide.window(0, 0, 0, 100, 100)[..., 0], image[..., 0])
    whole = pyramid(tmp_path / "whole.tif", image).read_bytes()
    (tmp_path / "short.svs").write_bytes(whole[:30_000])
    fails("short.svs", "(not a readable slide|its pixels)")
    (tmp_path / "a.svs").mkdir()
    fails("a.svs", "cannot be read: expected a file, found a folder")
    with pytest.raises(DataError, match="expected a slide of type"):
        open_slide(tmp_path / "a.png")


def test_a_mask_of_a_small_slide_is_a_tiff(tmp_path: Path) -> None:
    shutil.copy(SVS, tmp_path / "a.svs")
    written = write_scan_mask(tmp_path, "a", np.eye(9, dtype=int), like=tmp_path / "a.svs")
    assert written.name == "a_segmentation.tif"


def test_pages_without_pixels_are_no_slide(tmp_path: Path) -> None:
    """tifffile looks without end for the series of such pages."""
    tags = ((256, 4, 1, 819_086_710), (257, 4, 1, 0))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    (tmp_path / "a.svs").write_bytes(b"II*\0" + struct.pack("<I", 8) + directory)
    with pytest.raises(DataError, match=r"a\.svs: not a readable slide .*: page 0 has no pixels"):
        open_slide(tmp_path / "a.svs")


def test_a_tile_of_jpeg_that_lacks_pixels(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", tissue(128, 128), compression="jpeg", levels=1)
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[3], file.pages[0].databytecounts[3]
    content = bytearray(path.read_bytes())
    content[start : start + count] = content[start : start + count - 100] + b"\xff\xd9" + bytes(98)
    path.write_bytes(content)
    with open_slide(path) as slide:
        slide.window(0, 0, 0, 64, 128)
        with pytest.raises(DataError, match=r"a\.tif: its pixels at level 0, row 64, column 64 cannot be read"):
            slide.window(0, 64, 64, 10, 10)


def test_a_decoder_that_crashes_costs_one_slide(tmp_path: Path) -> None:
    """What is not decoded by what cannot crash is decoded in another process, which serves the next slide."""
    image = tissue(128, 128)
    path = pyramid(tmp_path / "a.tif", image, compression="jpeg2000")
    apart._idle.clear()
    with open_slide(path) as slide:
        assert isinstance(slide, DistantSlide)
        with pytest.raises(DataError, match=r"a\.tif: its pixels at level 1, row 900"):
            slide.window(1, 900, 0, 10, 10)
        windows_agree(path, slide.window(0, 0, 0, 128, 128))
    assert len(apart._idle) == 2  # each served one of two slides that were open
    with open_slide(path) as slide:
        assert isinstance(slide, DistantSlide)
        slide._reader.process.kill()
        with pytest.raises(DataError, match=r"a\.tif: cannot be decoded .*: its decoder gave no answer$"):
            slide.window(0, 0, 0, 10, 10)
    assert len(apart._idle) == 1
    with open_slide(path) as slide:
        assert slide.window(0, 5, 5, 10, 10).tolist() == tifffile.imread(path)[5:15, 5:15].tolist()


@pytest.mark.parametrize(
    ("options", "microns"),
    [
        ({"description": "Aperio Image Library v11\n64x64|AppMag = 40|MPP = 0,2500"}, (0.25, 0.25)),
        ({"description": "Aperio Image Library v11\n64x64|AppMag = 40|MPP = "}, None),
        ({"resolution": (2000, 2000), "resolutionunit": 4}, (0.5, 0.5)),
        ({"resolution": (2, 4), "resolutionunit": 5}, (0.25, 0.5)),
    ],
)
def test_sizes_of_pixels_as_some_programs_write_them(
    tmp_path: Path, options: dict[str, Any], microns: tuple[float, float] | None
) -> None:
    path = tmp_path / "a.svs"
    tifffile.imwrite(path, tissue(64, 64), photometric="rgb", tile=(32, 32), metadata=None, **options)
    with open_slide(path) as slide:
        assert slide.microns == microns


@pytest.mark.parametrize(
    ("unit", "step"), [("μm", 0.5), ("µm", 0.5), ("nm", 500), ("Å", 5000), ("mm", 0.0005), ("furlong", 0.5)]
)
def test_units_of_ome(tmp_path: Path, unit: str, step: float) -> None:
    path = tmp_path / "a.ome.tif"
    sizes: dict[str, Any] = {"PhysicalSizeX": step, "PhysicalSizeY": step}
    units = {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(path, tissue(64, 64), photometric="rgb", tile=(32, 32), metadata={"axes": "YXS", **sizes, **units})
    with open_slide(path) as slide:
        assert slide.microns == (None if unit == "furlong" else pytest.approx((0.5, 0.5)))
