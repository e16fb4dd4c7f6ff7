"""OME-Zarr, checked against the specification by ome-zarr-models, and read by ome-zarr."""

import json
from pathlib import Path

import numpy as np
import pytest
from written_cases import COLOURS, blobs, case_of

from ldseg.base.writing import written_folder
from ldseg.errors import DataError
from ldseg.writers.omezarr import write_omezarr

zarr = pytest.importorskip("zarr", reason="writes OME-Zarr")
models = pytest.importorskip("ome_zarr_models.v05", reason="knows the specification")

LARGE = (300, 515)


def test_a_picture_is_a_pyramid_with_labels_on_it(tmp_path: Path) -> None:
    mask = np.kron(blobs((15, 103)), np.ones((20, 5), int))
    case = case_of(mask, (0.0005, 0.00025), channels=3)
    path = write_omezarr(tmp_path, case)
    assert path.name == "a.1_segmentation.ome.zarr"
    image = models.Image.from_zarr(zarr.open_group(path, mode="r"))  # as the specification has it, arrays too
    described = image.ome_attributes.multiscales[0]
    assert [axis.name for axis in described.axes] == ["c", "y", "x"]
    assert [axis.unit for axis in described.axes] == [None, "millimeter", "millimeter"]
    root = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(root["0"][:], np.moveaxis(case.image, -1, 0))
    assert [root[str(level)].shape for level in range(3)] == [(3, *LARGE), (3, 150, 257), (3, 75, 128)]
    whole, small = described.datasets[0], described.datasets[2]
    assert whole.coordinateTransformations[0].scale == [1.0, 0.0005, 0.00025]
    scale, shift = small.coordinateTransformations[0].scale, small.coordinateTransformations[1].translation
    np.testing.assert_allclose(scale, [1, 0.0005 * 300 / 75, 0.00025 * 515 / 128])
    np.testing.assert_allclose(shift, [0, 0.0005 * (4 - 1) / 2, 0.00025 * (515 / 128 - 1) / 2])
    assert root["2"][:].mean() == pytest.approx(case.image.mean(), abs=1)  # the mean of what lies under it

    assert models.Labels.from_zarr(root["labels"]).ome_attributes.labels == ["segmentation", "objects"]
    labels = models.ImageLabel.from_zarr(root["labels/segmentation"]).ome_attributes.image_label
    assert [(colour.label_value, tuple(colour.rgba)) for colour in labels.colors] == [
        (number, (*COLOURS[number], 255)) for number in (1, 2)
    ]
    assert labels.source.image == "../../"
    np.testing.assert_array_equal(root["labels/segmentation/0"][:], mask)
    np.testing.assert_array_equal(root["labels/segmentation/1"][:], mask[1::2, (np.arange(257) * 2 + 1) * 515 // 514])
    np.testing.assert_array_equal(root["labels/objects/0"][:], case.objects.labels)
    attributes = json.loads((path / "labels" / "objects" / "zarr.json").read_text("utf-8"))["attributes"]
    numbered = attributes["ome"]["image-label"]["properties"]
    assert len(numbered) == case.objects.labels.max()
    assert {entry["class"] for entry in numbered} == {"gland", "lumen"}


@pytest.mark.parametrize(("axes", "names"), [("ZYX", "czyx"), ("TYX", "tcyx")])
def test_volumes_and_videos(tmp_path: Path, axes: str, names: str) -> None:
    case = case_of(blobs((3, 6, 5)), (2.0, 1.0, 0.5), axes=axes, channels=2)
    path = write_omezarr(tmp_path, case)
    root = zarr.open_group(path, mode="r")
    described = models.Image.from_zarr(root).ome_attributes.multiscales[0]
    assert "".join(axis.name for axis in described.axes) == names
    models.ImageLabel.from_zarr(root["labels/segmentation"])
    np.testing.assert_array_equal(root["0"][:], np.moveaxis(case.image, -1, 0 if axes == "ZYX" else 1))
    np.testing.assert_array_equal(root["labels/segmentation/0"][:], case.mask)


@pytest.mark.integration
def test_another_library_reads_image_and_labels(tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader", reason="reads what napari shows")
    from ome_zarr.io import parse_url

    case = case_of(blobs((40, 30)), (0.5, 0.5), channels=3)
    path = write_omezarr(tmp_path, case)
    image, *more = reader.Reader(parse_url(str(path)))()
    np.testing.assert_array_equal(np.asarray(image.data[0]), np.moveaxis(case.image, -1, 0))
    found = {Path(node.zarr.path).name: node for node in more}
    np.testing.assert_array_equal(np.asarray(found["segmentation"].data[0]), case.mask)
    assert np.allclose(found["segmentation"].metadata["color"][1], np.array([*COLOURS[1], 255]) / 255)


def test_nothing_found_and_nothing_half_written(tmp_path: Path) -> None:
    path = write_omezarr(tmp_path, case_of(np.zeros((4, 5))))
    models.ImageLabel.from_zarr(zarr.open_group(path, mode="r")["labels/objects"])
    before = sorted(file.name for file in path.iterdir())
    with pytest.raises(DataError, match="cannot be written: no room"), written_folder(path) as place:
        (place / "half").touch()
        raise OSError("no room")
    assert sorted(file.name for file in path.iterdir()) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    write_omezarr(tmp_path, case_of(np.ones((4, 5))))  # in place of the first
    assert zarr.open_group(path, mode="r")["labels/segmentation/0"][:].all()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
