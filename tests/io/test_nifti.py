"""NIfTI files as other programs write them, and as none should."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.contract import MOST_TRAILING
from ldseg.io.geometry import Geometry
from ldseg.io.nifti import write_nifti
from ldseg.io.scans import read_scan, read_scan_label, write_scan_mask

SIZE = (5, 12, 14)
AFFINE = np.array([[-1.1, 0, 0, -3], [0, -0.9, 0, 2], [0, 0, 2, 1], [0, 0, 0, 1.0]])


def values() -> np.ndarray:
    return np.arange(np.prod(SIZE)).reshape(SIZE).astype(np.int16)


def store(path: Path, affine: np.ndarray = AFFINE, kind: type = nibabel.Nifti1Image, **header: object) -> Path:
    image = kind(values().T, affine)
    image.set_qform(AFFINE, 1)
    image.set_sform(affine, 1)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def patched(tmp_path: Path, *changes: tuple[str, int, tuple[float, ...]]) -> Path:
    content = bytearray(store(tmp_path / "whole.nii").read_bytes())
    for kind, place, numbers in changes:
        struct.pack_into(kind, content, place, *numbers)
    (tmp_path / "a.nii").write_bytes(content)
    return tmp_path / "a.nii"


def read_and_written(path: Path) -> Geometry:
    """A file has its voxels, and its mask lies where it lies, for nibabel too."""
    scan = read_scan(path, "ZYX")
    np.testing.assert_array_equal(scan.values[..., 0], values())
    written = write_scan_mask(path.parent / "out", "a", values() % 3, like=path, geometry=scan.geometry)
    label, geometry = read_scan_label(written, "ZYX")
    np.testing.assert_array_equal(label, values() % 3)
    assert geometry == scan.geometry
    np.testing.assert_array_equal(nibabel.load(written).affine, nibabel.load(path).affine)
    assert geometry is not None
    return geometry


def test_a_file_lies_where_nibabel_says(tmp_path: Path) -> None:
    geometry = read_and_written(store(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(geometry.spacing, (1.1, 0.9, 2), rtol=1e-6)
    np.testing.assert_allclose(geometry.origin, (3, -2, 1))
    np.testing.assert_allclose(np.reshape(geometry.direction, (3, 3)), np.eye(3), atol=1e-7)


@pytest.mark.parametrize("shear", [0.002, 0.05])
def test_a_slight_shear(tmp_path: Path, shear: float) -> None:
    affine = AFFINE.copy()
    affine[0, 1] = shear
    path = store(tmp_path / "a.nii.gz", affine)
    read_and_written(path)


def test_the_second_version(tmp_path: Path) -> None:
    path = store(tmp_path / "a.nii.gz", kind=nibabel.Nifti2Image)
    read_and_written(path)
    assert isinstance(nibabel.load(tmp_path / "out" / "a_segmentation.nii.gz"), nibabel.Nifti2Image)


def test_packed_under_the_name_of_one_that_is_not(tmp_path: Path) -> None:
    content = store(tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "b.nii").write_bytes(content)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.nii", "ZYX").values[..., 0], values())


def test_an_empty_sform_that_claims_to_be_one(tmp_path: Path) -> None:
    path = patched(tmp_path, ("<12f", 280, (0.0,) * 12))
    geometry = read_scan(path, "ZYX").geometry
    assert geometry is not None
    np.testing.assert_allclose(geometry.origin, (3, -2, 1))  # those of the qform


def test_a_pair_of_files(tmp_path: Path) -> None:
    for kind in (nibabel.Nifti1Pair, nibabel.AnalyzeImage):
        nibabel.save(kind(values().T, AFFINE if kind is nibabel.Nifti1Pair else None), tmp_path / "a.hdr")
        scan = read_scan(tmp_path / "a.hdr", "ZYX")
        np.testing.assert_array_equal(scan.values[..., 0], values())
        written = write_scan_mask(tmp_path, "a", values() % 3, like=tmp_path / "a.hdr", geometry=scan.geometry)
        assert written.name == "a_segmentation.nii.gz"
        np.testing.assert_array_equal(read_scan_label(written, "ZYX")[0], values() % 3)
    (tmp_path / "a.img").unlink()
    with pytest.raises(DataError, match=r"a\.hdr: its voxels are in another file, expected a\.img beside it"):
        read_scan(tmp_path / "a.hdr", "ZYX")


def test_analyze_of_spm_is_scaled(tmp_path: Path) -> None:
    image = nibabel.Spm99AnalyzeImage(np.linspace(0, 7, 60).reshape(5, 4, 3), np.eye(4))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.img")
    wanted = np.asarray(nibabel.load(tmp_path / "a.hdr").dataobj).T
    assert wanted.max() == pytest.approx(7)
    np.testing.assert_allclose(read_scan(tmp_path / "a.hdr", "ZYX").values[..., 0], wanted, rtol=1e-6)


def test_values_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    path = patched(tmp_path, ("<2f", 112, (2.5, -7)))
    np.testing.assert_array_equal(read_scan(path, "ZYX").values[..., 0], (values() * 2.5 - 7).astype(np.float32))
    path = patched(tmp_path, ("<2f", 112, (0, -7)))  # none, as a slope of zero says
    np.testing.assert_array_equal(read_scan(path, "ZYX").values[..., 0], values())
    with pytest.raises(DataError, match=r"a\.nii: .* scales values by 2 and shifts them by inf"):
        read_scan(patched(tmp_path, ("<2f", 112, (2, np.inf))), "ZYX")


@pytest.mark.parametrize("slope", [1 / 255, 0.00392157])
def test_a_label_that_is_scaled(tmp_path: Path, slope: float) -> None:
    """A slope of 32 bits makes 1.0000001 of 255."""
    classes, path = values() % 3, tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image((classes * 127).astype(np.uint8).T, AFFINE), path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, 255 / 127 * slope, 0)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_scan_label(path, "ZYX")[0], classes)
    struct.pack_into("<2f", content, 112, 0.999 * slope, 0)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nii: a label needs whole numbers, found 0\.0, 0\.49"):
        read_scan_label(path, "ZYX")


def test_what_is_behind_the_voxels(tmp_path: Path) -> None:
    content = store(tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(content + b"x" * 100)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content + b"x" * 100))
    for name in ("a.nii", "b.nii.gz"):
        np.testing.assert_array_equal(read_scan(tmp_path / name, "ZYX").values[..., 0], values())
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content) + b"x" * 100)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.nii.gz", "ZYX").values[..., 0], values())
    with gzip.open(tmp_path / "c.nii.gz", "wb", 1) as stream:
        stream.write(content + bytes(MOST_TRAILING + (1 << 20)))
    with pytest.raises(DataError, match=r"c\.nii\.gz: more than 64 MiB follow the voxels"):
        read_scan(tmp_path / "c.nii.gz", "ZYX")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<f", 324, (np.inf,)), r"srow_z = "),
        (("<f", 260, (np.nan,)), r"quatern_c = \[nan\]"),
        (("<f", 80, (np.inf,)), r"the spacing \[inf"),
        (("<f", 108, (1e30,)), "the voxels at byte 1e\\+30"),
        (("<f", 108, (np.nan,)), "the voxels at byte nan"),
        (("<8h", 40, (3, 14, 12, 0, 1, 1, 1, 1)), r"the lengths \[3, 14, 12, 0"),
        (("<8h", 40, (3, 14, -12, 5, 1, 1, 1, 1)), r"the lengths \[3, 14, -12, 5"),
        (("<8h", 40, (9, 14, 12, 5, 1, 1, 1, 1)), r"the lengths \[9, 14"),
        (("<8h", 40, (3, 14, 12, 6, 1, 1, 1, 1)), "it holds 1680 bytes, its header promises 2016"),
        (("<8h", 40, (3, 32767, 32767, 32767, 1, 1, 1, 1)), "more than the limit of 2 GiB"),
        (("<8h", 40, (4, 14, 12, 5, 2, 1, 1, 1)), "it holds 1680 bytes, its header promises 3360"),
        (("<h", 70, (1792,)), "voxels of the NIfTI type 1792, expected whole"),
        (("<h", 70, (128,)), "it holds 1680 bytes, its header promises 2520"),
        (("<12f", 280, (1, 1, 0, 0, 1, 1.2, 0, 0, 0, 0, 1, 0)), ""),
    ],
)
def test_headers_that_no_reader_survives(tmp_path: Path, change: tuple[str, int, tuple[float, ...]], message: str) -> None:
    path = patched(tmp_path, change)
    if not message:  # the qform counts
        read_scan(path, "ZYX")
        path = patched(tmp_path, change, ("<h", 252, (0,)))
        message = "the axes of its sform are not near to right angles"
    for read in (read_scan, read_scan_label):
        with pytest.raises(DataError, match=rf"a\.nii: .*{message}") as caught:
            read(path, "ZYX")
        assert "\n" not in str(caught.value)


def test_colours_in_four_axes(tmp_path: Path) -> None:
    path = patched(tmp_path, ("<8h", 40, (4, 7, 4, 5, 4, 1, 1, 1)), ("<2h", 70, (128, 24)))
    with pytest.raises(DataError, match=r"a\.nii: 4 channels of 3 values each, expected one of them"):
        read_scan(path, "ZYX")


def test_a_mask_without_an_image(tmp_path: Path) -> None:
    geometry = Geometry.upright(SIZE, (2.0, 0.9, 1.1))
    write_nifti(tmp_path / "a.nii.gz", values().astype(np.uint16), geometry, None)
    found = read_scan(tmp_path / "a.nii.gz", "ZYX").geometry
    assert found is not None
    assert found.difference(geometry) == ""
    assert nibabel.load(tmp_path / "a.nii.gz").header.get_zooms() == pytest.approx((1.1, 0.9, 2.0))


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0), ("unknown", 1.0)])
def test_units_of_length(tmp_path: Path, unit: str, factor: float) -> None:
    """Spacing and place are in mm whatever the file counts in, as SimpleITK has it; the mask counts as its image does."""
    path = store(tmp_path / "a.nii.gz")
    image = nibabel.load(path)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    geometry = read_and_written(path)
    np.testing.assert_allclose(geometry.spacing, np.array((1.1, 0.9, 2)) * factor, rtol=1e-6)
    np.testing.assert_allclose(geometry.spacing, sitk.ReadImage(str(path)).GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(geometry.origin, np.array((3, -2, 1)) * factor, rtol=1e-6)


def test_lengths_that_disagree(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the sform says counts where it is the one in use; that of `pixdim` is said to be another."""
    contract._SAID.clear()
    path = store(tmp_path / "a.nii", qform_code=0)
    content = bytearray(path.read_bytes())
    for steps in ((3.0, 3.0, 3.0), (0.0, 0.0, 0.0)):
        struct.pack_into("<3f", content, 80, *steps)
        path.write_bytes(content)
        geometry = read_scan(path, "ZYX").geometry
        assert geometry is not None
        np.testing.assert_allclose(geometry.spacing, (1.1, 0.9, 2), rtol=1e-6)
    (record,) = caplog.records
    assert "its sform has voxels of 1.1 × 0.9 × 2, its pixdim of 3 × 3 × 3: the sform counts" in record.message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("told", "left_out"), [(0, 0), (348, 0), (348, 4), (352, 0)])
def test_a_place_within_the_header(tmp_path: Path, told: float, left_out: int, packed: bool) -> None:
    """Voxels follow the header, and four bytes more unless a program left these out."""
    content = bytearray(store(tmp_path / "a.nii").read_bytes())
    struct.pack_into("<f", content, 108, told)
    del content[348 : 348 + left_out]
    (tmp_path / "b.nii").write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.nii", "ZYX").values[..., 0], values())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("behind", [0, 3, 4, 5, 100])
def test_voxels_that_follow_the_header_at_once(tmp_path: Path, behind: int, packed: bool) -> None:
    """What is behind the voxels does not move them, unless the four bytes of the extensions are there by the length."""
    content = bytearray(store(tmp_path / "a.nii").read_bytes())
    struct.pack_into("<f", content, 108, 348)
    if behind != 4:
        del content[348:352]
        content += b"x" * behind
    (tmp_path / "b.nii").write_bytes(gzip.compress(content) + b"junk" if packed else content)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.nii", "ZYX").values[..., 0], values())


def test_twice_the_voxels(tmp_path: Path) -> None:
    """A header that tells of half the voxels or less is wrong; a few bytes behind them are not."""
    for name in ("a.nii", "a.nii.gz"):
        path = store(tmp_path / name)
        content = path.read_bytes() if name == "a.nii" else gzip.decompress(path.read_bytes())
        path.write_bytes((gzip.compress if name.endswith("gz") else bytes)(content + values().tobytes()))
        with pytest.raises(DataError, match=r"it holds 3360 bytes of voxels, its header tells of 1680 only"):
            read_scan(path, "ZYX")


@pytest.mark.parametrize("dim", [(4, 14, 12, 5, 0, 0, 0, 0), (5, 14, 12, 5, 0, 1, 0, 0), (7, 14, 12, 5, 1, 0, 0, 0)])
def test_axes_behind_space_of_no_length(tmp_path: Path, dim: tuple[int, ...]) -> None:
    path = patched(tmp_path, ("<8h", 40, dim))
    np.testing.assert_array_equal(read_scan(path, "ZYX").values[..., 0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
