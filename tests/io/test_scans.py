"""Arrays in memory beside the files that hold them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ldseg.base.scratch import slabs
from ldseg.data.cases import Case, load_case, prepare
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.masks import write_stack
from ldseg.io.scans import read_scan, scan_of

SIZE = (6, 8)
STEP = Preprocessing(size=(16, 16), intensity="percentile")


@pytest.mark.parametrize("kind", ["bool", "u1", "u2", ">u2", "i2", "i4", "f4", ">f4", "f8"])
@pytest.mark.parametrize("planes", [(), (1,), (3,)])
def test_an_array_gives_the_scan_of_its_file(tmp_path: Path, kind: str, planes: tuple[int, ...]) -> None:
    if kind == "bool" and planes == (3,):
        pytest.skip("TIFF files have no colours of one bit")
    values = np.random.default_rng(0).integers(0, 200, (*SIZE, *planes))
    values = values > 100 if kind == "bool" else values.astype(kind)
    photometric = "rgb" if planes == (3,) else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values.squeeze(), photometric=photometric)
    read, given = read_scan(tmp_path / "a.tif", "YX"), scan_of(values, "YX")
    assert read.values.dtype == given.values.dtype
    np.testing.assert_array_equal(read.values, given.values)
    assert (given.geometry, given.modalities) == (None, False)
    case = load_case(Case(name="a", image=tmp_path / "a.tif", label=None, group="a"), STEP)
    prepared = prepare("a", given, STEP)
    assert prepared.digest == case.digest
    np.testing.assert_array_equal(prepared.image, case.image)


def test_transparency_and_channels() -> None:
    values = np.random.default_rng(0).integers(0, 200, (*SIZE, 4)).astype(np.uint8)
    assert scan_of(values, "YX").modalities
    np.testing.assert_array_equal(scan_of(values, "YX", channels=3).values, values[..., :3])
    np.testing.assert_array_equal(scan_of(values[..., :2], "YX", channels=1).values, values[..., :1])
    assert scan_of(values, "YX", channels=4).values.shape == (*SIZE, 4)


def test_the_spacing_of_an_array() -> None:
    volume = np.arange(60.0).reshape(3, 4, 5)
    geometry = scan_of(volume, "ZYX", (3, 1, 0.5)).geometry
    assert geometry is not None
    assert geometry.array_spacing == (3, 1, 0.5)
    assert geometry.array_size == (3, 4, 5)
    assert geometry.spacing == (0.5, 1, 3)
    assert prepare("a", scan_of(volume, "ZYX", (3, 1, 0.5)), STEP_3D).spacing == (3, 1, 0.5)


STEP_3D = Preprocessing(size=(8, 8, 8), axes="ZYX", channels=1, intensity="zscore", classes=("background", "organ"))


def test_arrays_that_are_no_image() -> None:
    plane = np.zeros(SIZE)
    for array, spacing, message in (
        (plane.astype(complex), (), "a: expected numbers or truth values, found complex128"),
        (np.array(["x"]), (), "expected numbers or truth values, found <U1"),
        (plane[0], (), r"a: expected shape \(y, x\) or \(y, x, channels\), found \(8,\)"),
        (plane[:0], (), r"found \(0, 8\)"),
        (np.zeros((*SIZE, 5)), (), r"a: expected up to 4 channels in the last axis, found shape \(6, 8, 5\)"),
        (plane, (1,), r"a: expected a spacing of 2 positive numbers \(yx\), found \(1,\)"),
        (plane, (1, 0), "expected a spacing"),
        (plane, (1, float("nan")), "expected a spacing"),
    ):
        with pytest.raises(DataError, match=message):
            scan_of(array, "YX", spacing, source="a")
    with pytest.raises(DataError, match="a: constant image"):
        prepare("a", scan_of(plane, "YX"), STEP, source="a")


@pytest.mark.parametrize("shape", [(7, 30, 40), (3, 30, 3), (1, 9, 9), (30, 40)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_stack_is_written_page_by_page_as_all_of_it_at_once(
    shape: tuple[int, ...], kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (np.random.default_rng(0).random(shape) * 200).astype(kind)
    tifffile.imwrite(tmp_path / "whole.tif", values, photometric="minisblack", compression="zlib", metadata=None)
    monkeypatch.setattr("ldseg.base.scratch.LARGE", 4)
    held = []

    def watched(array: np.ndarray) -> Iterator[np.ndarray]:
        for slab in slabs(array):
            held.append(len(slab))
            yield slab

    monkeypatch.setattr("ldseg.io.masks.slabs", watched)
    path = write_stack(tmp_path / "a.tif", values, None, None)
    assert path.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert len(shape) == 2 or sum(held) == len(held) == shape[0]
