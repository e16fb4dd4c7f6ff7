import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from written_cases import COLOURS, blobs, case_of

from ldseg.writers.geojson import features, write_geojson

shapely = pytest.importorskip("shapely", reason="reads every polygon")


def read(path: Path) -> list[dict]:
    found = json.loads(path.read_text("utf-8"))
    assert found["type"] == "FeatureCollection"
    return found["features"]


def drawn(found: list[dict], shape: tuple[int, ...]) -> np.ndarray:
    """The classes of features as shapely reads and draws them, (planes, H, W)."""
    mask = np.zeros((shape[0] if len(shape) > 2 else 1, *shape[-2:]), int)
    rows, columns = np.mgrid[: shape[-2], : shape[-1]] + 0.5
    classes = {"gland": 1, "lumen": 2}
    for feature in found:
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert geometry.is_valid
        plane = feature["geometry"].get("plane", {"z": 0, "t": 0})
        inside = shapely.contains_xy(geometry, columns, rows)
        assert inside.sum() == geometry.area
        mask[plane["z"] + plane["t"]][inside] = classes[feature["properties"]["classification"]["name"]]
    return mask


def test_each_object_is_a_feature_as_qupath_reads_it(tmp_path: Path) -> None:
    mask = blobs((40, 30))
    case = case_of(mask, (0.0005, 0.0005))
    path = write_geojson(tmp_path, case)
    assert path.name == "a.1_objects.geojson"
    found = read(path)
    assert len(found) == case.objects.labels.max()
    np.testing.assert_array_equal(drawn(found, mask.shape)[0], mask)
    assert len({uuid.UUID(feature["id"]) for feature in found}) == len(found)
    one = found[0]["properties"]
    assert one["objectType"] == "annotation"
    assert tuple(one["classification"]["color"]) == COLOURS[case.classes.index(one["classification"]["name"])]

    pixels = shapely.from_geojson(json.dumps(found[0]["geometry"])).area
    assert one["measurements"]["Area µm^2"] == pytest.approx(pixels * 0.25)
    assert {"Perimeter µm", "Eccentricity", "Mean intensity 1", "Mean uncertainty"} <= set(one["measurements"])
    assert write_geojson(tmp_path / "again", case_of(mask, (0.0005, 0.0005))).read_bytes() == path.read_bytes()


def test_instances_are_the_objects_where_they_are_given(tmp_path: Path) -> None:
    instances = np.zeros((6, 6), int)
    instances[:, :3], instances[:, 3:], instances[0, 5], instances[2, 2] = 1, 2, 1, 0
    found = read(write_geojson(tmp_path, case_of(instances > 0, instances=instances)))
    assert [feature["properties"]["name"] for feature in found] == ["gland 1", "gland 2"]
    shapes = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in found]
    assert [shape.geom_type for shape in shapes] == ["MultiPolygon", "Polygon"]
    assert [shape.area for shape in shapes] == [18, 17]
    assert "Area px^2" in found[0]["properties"]["measurements"]


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_volumes_and_videos_have_features_in_each_plane(tmp_path: Path, axes: str) -> None:
    mask = blobs((4, 9, 8), 0.4)
    found = read(write_geojson(tmp_path, case_of(mask, (2.0, 1.0, 1.0), axes=axes)))
    np.testing.assert_array_equal(drawn(found, mask.shape), mask)
    letter = axes[0].lower()
    assert {feature["geometry"].get("plane", {letter: 0})[letter] for feature in found} == {0, 1, 2, 3}
    for feature in found:
        measured = feature["properties"]["measurements"]
        area = shapely.from_geojson(json.dumps(feature["geometry"])).area
        assert measured["Area mm^2"] == area if axes == "TYX" else measured["Volume mm^3"] >= 2 * area


def test_nothing_found_is_an_empty_collection(tmp_path: Path) -> None:
    assert read(write_geojson(tmp_path, case_of(np.zeros((4, 5))))) == []


def test_parts_of_an_image() -> None:
    labels = np.array([[0, 5], [5, 5]])
    (one,) = features(labels, {5: "gland"}, {"gland": (1, 2, 3)}, key="tile", offset=(7, 3), kind="detection")
    assert one["geometry"]["coordinates"][0][0] == [4, 7]
    assert one["properties"]["objectType"] == "detection"
