"""Sizes of voxels: in the unit that the header names, or refused by name."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.io import contract
from ldseg.io.scans import read_scan, scan_of
from ldseg.io.units import factor_of, millimetres
from tests.dicom_files import header_of, save, volume

SIZE = (3, 4, 5)
"""x, y, z."""
VOXELS = np.arange(60, dtype=np.uint8).tobytes()


def nrrd(path: Path, *lines: str) -> Path:
    head = ("NRRD0005", "type: uint8", "dimension: 3", "sizes: 3 4 5", "encoding: raw", *lines, "", "")
    path.write_bytes("\n".join(head).encode() + VOXELS)
    return path


def meta(path: Path, *lines: str) -> Path:
    head = (
        "ObjectType = Image",
        "NDims = 3",
        "DimSize = 3 4 5",
        "ElementType = MET_UCHAR",
        *lines,
        "ElementDataFile = LOCAL",
        "",
    )
    path.write_bytes("\n".join(head).encode() + VOXELS)
    return path


def nifti(path: Path, steps: tuple[float, ...], unit: int = 0) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_shape(SIZE)
    header.set_data_dtype(np.uint8)
    header["pixdim"][1:4] = steps
    header["xyzt_units"], header["vox_offset"] = unit, 352
    path.write_bytes(header.binaryblock + bytes(4) + VOXELS)
    return path


def analyze(path: Path, unit: bytes) -> Path:
    header = nibabel.AnalyzeHeader()
    header.set_data_shape(SIZE)
    header.set_data_dtype(np.uint8)
    header["pixdim"][1:4] = (1, 2, 3)
    header["vox_units"] = unit
    path.write_bytes(header.binaryblock)
    path.with_suffix(".img").write_bytes(VOXELS)
    return path


@pytest.mark.parametrize(
    ("unit", "mm"),
    [
        *(("mm", 1), ("Millimeters", 1), ("um", 1e-3), ("µm", 1e-3), ("μm", 1e-3), ("microns", 1e-3)),
        *(("cm", 10), ("m", 1000), ("nanometer", 1e-6), ("Å", 1e-7)),
        *(("\N{ANGSTROM SIGN}", 1e-7), ("inches", 25.4), ("metres", 1000)),
        *(("pixel", None), ("s", None), ("", None), ("frames", None), ("a.u.", None), ("days", None)),
    ],
)  # fmt: skip
def test_units_by_name(unit: str, mm: float | None) -> None:
    assert millimetres(unit) == mm
    assert factor_of(unit, "units") == (1 if mm is None else mm)


@pytest.mark.parametrize("scale", [0.001, 10.0])
def test_lengths_in_the_unit_of_the_header(tmp_path: Path, scale: float) -> None:
    unit = {0.001: "um", 10.0: "cm"}[scale]
    turned = nrrd(
        tmp_path / "a.nrrd",
        "space: left-posterior-superior",
        "space directions: (1,0,0) (0,2,0) (0,0,3)",
        "space origin: (4,5,6)",
        f'space units: "{unit}" "{unit}" "{unit}"',
    )
    plain = nrrd(tmp_path / "b.nrrd", "spacings: 1 2 3", f'units: "{unit}" "{unit}" "{unit}"', "axis mins: 4 5 6")
    image = meta(tmp_path / "c.mha", "ElementSpacing = 1 2 3", "Offset = 4 5 6", f"DistanceUnits = {unit}")
    for path in (turned, plain, image, analyze(tmp_path / "d.hdr", unit.encode())):
        found = read_scan(path, "ZYX").geometry
        assert found is not None
        np.testing.assert_allclose(found.array_spacing, np.array([3, 2, 1]) * scale)
        if path.suffix != ".hdr":
            np.testing.assert_allclose(found.origin, np.array([4, 5, 6]) * scale)
    nifti(tmp_path / "e.nii", (1, 2, 3), unit=3)
    np.testing.assert_allclose(read_scan(tmp_path / "e.nii", "ZYX").geometry.array_spacing, (0.003, 0.002, 0.001))


def test_units_that_are_none(tmp_path: Path) -> None:
    lines = "space dimension: 3", "space directions: (1,0,0) (0,2,0) (0,0,3)", 'space units: "parsec" "mm" "mm"'
    with pytest.raises(DataError, match=r"a\.nrrd: its header has space units 'parsec', expected a unit of length"):
        read_scan(nrrd(tmp_path / "a.nrrd", *lines), "ZYX")
    with pytest.raises(DataError, match=r"b\.mha: its header has DistanceUnits 'furlong', expected a unit of length"):
        read_scan(meta(tmp_path / "b.mha", "DistanceUnits = furlong"), "ZYX")
    video = nrrd(tmp_path / "c.nrrd", "spacings: 1 2 0.04", 'units: "mm" "mm" "s"')
    found = read_scan(video, "TYX").geometry
    assert found is not None and found.array_spacing == (0.04, 2, 1)


def test_spacings_stay_with_their_axes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the header does not say of one axis moves no number to another."""
    found = read_scan(nrrd(tmp_path / "a.nrrd", "spacings: nan 2 3"), "ZYX").geometry
    assert found is not None and found.array_spacing == (3, 2, 1)
    assert "a.nrrd: its header has the spacings nan × 2 × 3: what it does not say is taken as 1" in caplog.text
    found = read_scan(nrrd(tmp_path / "b.nrrd", "kinds: vector domain domain", "spacings: nan 2 3"), "YX").geometry
    assert found is not None and found.array_spacing == (3, 2)
    found = read_scan(nifti(tmp_path / "c.nii", (1, 0, 3)), "ZYX").geometry
    assert found is not None and found.array_spacing == (3, 1, 1)
    assert "c.nii: its header has 0 for the size of its voxels along y: taken as 1" in caplog.text


def test_directions_and_spacings_that_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contract._SAID.clear()
    space = "space: left-posterior-superior"
    found = read_scan(nrrd(tmp_path / "a.nrrd", space, "space directions: none none none"), "ZYX").geometry
    assert found is not None and found.array_spacing == (1, 1, 1)
    assert "a.nrrd: its header has no spacings: what it does not say is taken as 1" in caplog.text
    for unit in ("um", "m", "foo"):  # of what is not said
        found = read_scan(nrrd(tmp_path / "a.nrrd", f'units: "{unit}" "{unit}" "{unit}"'), "ZYX").geometry
        assert found is not None and found.array_spacing == (1, 1, 1)
    given = {
        "spacings: inf 2 3": r"has the spacings \[inf, 2\.0, 3\.0\], expected numbers above 0",
        "space directions: (inf,0,0) (0,1,0) (0,0,1)": r"its space directions are \[\[inf, .* expected axes near to right",
        "space directions: (1,0,0) (0,1,0)": r"directions are \(1,0,0\) \(0,1,0\), expected 3 of 3 numbers for 3 axes",
    }
    for line, wanted in given.items():
        lines = (space, line) if "directions" in line else (line,)
        with pytest.raises(DataError, match=rf"b\.nrrd: .*{wanted}"):
            read_scan(nrrd(tmp_path / "b.nrrd", *lines), "ZYX")


@pytest.mark.parametrize("step", [1e-40, 1e-9, 1e7, 1e30])
def test_sizes_that_no_voxel_has(tmp_path: Path, step: float) -> None:
    place = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, step]}
    for number, plane in enumerate(volume()):
        save(tmp_path / "e" / f"{number}.dcm", header_of(plane, ImagePositionPatient=[0, 0, number], **place))
    paths = (
        nifti(tmp_path / "a.nii", (step, 2, 3)),
        nrrd(tmp_path / "b.nrrd", f"spacings: {step} 2 3"),
        nrrd(tmp_path / "c.nrrd", "space dimension: 3", f"space directions: ({step},0,0) (0,2,0) (0,0,3)"),
        meta(tmp_path / "d.mha", f"ElementSpacing = {step} 2 3"),
        tmp_path / "e",
    )
    for path in paths:
        with pytest.raises(DataError, match=rf"{path.name}: its spacing is .*\(zyx\), expected 1e-07 to 100000 mm along x"):
            read_scan(path, "ZYX")
    with pytest.raises(DataError, match=r"array: its spacing is 1, 1, .* \(zyx\), expected 1e-07 to 100000 mm along x"):
        scan_of(np.ones((2, 3, 4)), "ZYX", (1, 1, step))


@pytest.mark.parametrize("step", [float("nan"), float("inf")])
def test_sizes_that_are_no_numbers(tmp_path: Path, step: float) -> None:
    for path in (nifti(tmp_path / "a.nii", (step, 2, 3)), meta(tmp_path / "d.mha", f"ElementSpacing = {step} 2 3")):
        with pytest.raises(DataError, match=rf"{path.name}: not a readable .*(nan|inf)"):
            read_scan(path, "ZYX")
