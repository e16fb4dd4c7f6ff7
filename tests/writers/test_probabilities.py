"""Files of probabilities, read back by nibabel and SimpleITK."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from written_cases import blobs, case_of

from ldseg.io.geometry import Geometry
from ldseg.io.nifti import write_nifti
from ldseg.io.scans import read_scan
from ldseg.writers.probabilities import write_probabilities

TURN = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def test_a_volume_lies_where_its_image_lies(tmp_path: Path) -> None:
    geometry = replace(Geometry.upright((4, 6, 5), (2.0, 0.5, 0.7)), origin=(10.0, -20.0, 3.0), direction=TURN)
    source = write_nifti(tmp_path / "a.nii.gz", np.zeros((4, 6, 5), np.int16), geometry, None)
    case = case_of(blobs((4, 6, 5)), geometry=read_scan(source, "ZYX").geometry, source=source)
    path = write_probabilities(tmp_path / "out", case)
    assert path.name == "a.1_probabilities.nii.gz"
    found = nibabel.load(path)
    np.testing.assert_allclose(found.affine, nibabel.load(source).affine, atol=1e-6)
    assert found.shape == (5, 6, 4, 3)
    values = np.moveaxis(np.asarray(found.dataobj), (2, 1, 0), (0, 1, 2))
    np.testing.assert_array_equal(values, case.probabilities.astype(np.float16))
    image = sitk.ReadImage(path)
    np.testing.assert_allclose(image.GetSpacing()[:3], (0.7, 0.5, 2.0), rtol=1e-6)
    np.testing.assert_allclose(image.GetOrigin()[:3], (10.0, -20.0, 3.0), atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.moveaxis(values, -1, 0))


@pytest.mark.parametrize(("axes", "shape"), [("YX", (9, 7)), ("TYX", (3, 9, 7))])
def test_pictures_and_videos_as_ome_tiff(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    spacing = (40.0, 0.0005, 0.00025)[-len(shape) :]
    case = case_of(blobs(shape), spacing, axes=axes, source=Path("a.png" if axes == "YX" else "a.avi"))
    path = write_probabilities(tmp_path, case)
    assert path.name == "a.1_probabilities.ome.tif"
    pages = sitk.GetArrayFromImage(sitk.ReadImage(path))  # one page after the other
    wanted = np.moveaxis(case.probabilities.astype(np.float16).astype(np.float32), -1, -3).reshape(-1, 9, 7)
    np.testing.assert_array_equal(pages, wanted)
    with tifffile.TiffFile(path) as stored:
        assert stored.series[0].axes == f"{axes[:-2]}CYX"
        root = ElementTree.fromstring(stored.ome_metadata or "")
    spaces = {"ome": root.tag[1:].split("}")[0]}
    pixels = root.find(".//ome:Pixels", spaces)
    assert pixels is not None
    assert (float(pixels.get("PhysicalSizeX") or 0), pixels.get("PhysicalSizeXUnit")) == (0.00025, "mm")
    assert float(pixels.get("PhysicalSizeY") or 0) == 0.0005
    names = [channel.get("Name") for channel in pixels.findall("ome:Channel", spaces)]
    assert names[:3] == ["background", "gland", "lumen"]


def test_what_lies_in_space_is_nifti_and_nothing_else(tmp_path: Path) -> None:
    mask = blobs((3, 4, 5))
    array = case_of(mask, (1.0, 1.0, 2.0), source=None)
    assert write_probabilities(tmp_path, array).name.endswith(".nii.gz")
    assert nibabel.load(tmp_path / "a.1_probabilities.nii.gz").header.get_zooms()[:3] == (2.0, 1.0, 1.0)
    stack = case_of(mask, source=Path("a.tif"))
    assert write_probabilities(tmp_path, stack).name.endswith(".ome.tif")
    flat = case_of(blobs((4, 5)), (0.5, 0.25), source=Path("a.dcm"))
    assert nibabel.load(write_probabilities(tmp_path, flat)).shape == (5, 4, 1, 3)
