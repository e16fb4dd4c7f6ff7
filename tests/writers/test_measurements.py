import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import regionprops_table
from written_cases import blobs, case_of

from ldseg.writers.objects import objects_of
from ldseg.writers.tables import joined, totals, write_csv


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_objects_are_parts_of_a_class_or_what_is_numbered() -> None:
    mask = np.array([[1, 2, 0, 1], [1, 2, 1, 0]])
    found = objects_of(mask)
    assert found.labels.max() == 4  # two pixels that meet at a corner are two objects
    for number, name in enumerate(found.classes):
        assert set(mask[found.labels == number]) == {name}
    numbered = np.array([[3, 3, 3, 0], [0, 0, 7, 7]])
    found = objects_of(np.array([[1, 2, 2, 0], [0, 0, 0, 1]]), numbered)  # 7 fills a hole of the mask
    assert found.classes[[0, 3, 7]].tolist() == [0, 2, 1]


def test_a_rectangle_in_micrometres(tmp_path: Path) -> None:
    mask = np.zeros((20, 30))
    mask[4:8, 10:20] = 1
    case = case_of(mask, (0.0005, 0.0005), channels=3)
    path = write_csv(tmp_path, case)
    assert path.name == "a.1_objects.csv"
    (row,) = rows_of(path)
    assert (row["case"], row["object"], row["class"], row["unit"]) == ("a.1", "1", "gland", "um")
    assert float(row["area"]) == 40 * 0.25
    assert (float(row["centroid_y"]), float(row["centroid_x"])) == (5.5, 14.5)
    assert [row[f"{end}_{letter}"] for letter in "yx" for end in ("min", "max")] == ["4", "8", "10", "20"]
    assert float(row["solidity"]) == 1
    assert float(row["perimeter"]) == (2 * 9 + 2 * 3) * 0.5  # through the middles of its outer pixels
    assert abs(float(row["orientation"])) == pytest.approx(np.pi / 2, abs=1e-5)  # along x
    for channel in range(3):
        mean = case.image[4:8, 10:20, channel].mean()
        assert float(row[f"mean_intensity_{channel + 1}"]) == pytest.approx(mean, rel=1e-5)
    assert float(row["mean_uncertainty"]) == pytest.approx(0.1)


def test_the_numbers_are_those_of_scikit_image(tmp_path: Path) -> None:
    case = case_of(blobs((50, 40), 0.6), (0.3, 0.3))
    rows = rows_of(write_csv(tmp_path, case))
    names = ("area", "perimeter", "eccentricity", "solidity", "orientation")
    wanted = regionprops_table(case.objects.labels, spacing=(0.3, 0.3), properties=names)
    assert {row["unit"] for row in rows} == {"mm"}
    for name in names:
        np.testing.assert_allclose([float(row[name]) for row in rows], wanted[name], rtol=1e-5, atol=1e-6)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    mask = np.zeros((20, 30))
    mask[4:14, 5:25] = 2
    (row,) = rows_of(write_csv(tmp_path, case_of(mask, (2.0, 0.5))))
    assert float(row["area"]) == 200
    corner = np.hypot(1.0, 0.25)  # marching squares cuts the corners
    assert float(row["perimeter"]) == pytest.approx(2 * (9 * 2.0 + 19 * 0.5) + 4 * corner, rel=1e-5)
    assert abs(float(row["orientation"])) == pytest.approx(0, abs=1e-5)  # 20 mm along y, 10 mm along x


def test_a_ball_and_a_box_in_a_volume(tmp_path: Path) -> None:
    z, y, x = np.mgrid[:22, :44, :90]
    mask = np.where(((z - 11) * 2.0) ** 2 + (y - 22.0) ** 2 + (x - 22.0) ** 2 <= 15**2, 1, 0)
    mask[4:10, 4:14, 60:80] = 2
    ball, box = rows_of(write_csv(tmp_path, case_of(mask, (2.0, 1.0, 1.0))))
    if ball["class"] != "gland":
        ball, box = box, ball
    assert ball["unit"] == "mm"
    assert float(ball["volume"]) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)
    assert float(ball["surface"]) == pytest.approx(4 * np.pi * 15**2, rel=0.15)  # of steps: an eighth more
    assert float(ball["eccentricity"]) < 0.2
    assert float(ball["major_axis"]) == pytest.approx(30, rel=0.02)
    assert 0.85 < float(ball["solidity"]) < 0.95  # the hull goes around the corners of voxels
    assert float(box["volume"]) == 12 * 10 * 20
    assert float(box["solidity"]) == pytest.approx(1)
    assert float(box["direction_x"]) == pytest.approx(1)
    assert float(box["eccentricity"]) == pytest.approx(np.sqrt(1 - (10 / 20) ** 2), rel=1e-5)
    assert [float(box[f"centroid_{letter}"]) for letter in "zyx"] == [6.5, 8.5, 69.5]


def test_every_speck_of_a_volume_is_measured(tmp_path: Path) -> None:
    case = case_of(blobs((5, 8, 7), 0.3))
    rows = rows_of(write_csv(tmp_path, case))
    assert sum(float(row["volume"]) for row in rows) == (case.mask > 0).sum()
    assert all(0 < float(row["solidity"]) <= 1.0001 for row in rows)
    assert {row["unit"] for row in rows} == {"pixels"}


def test_a_video_is_measured_frame_by_frame(tmp_path: Path) -> None:
    mask = np.zeros((3, 10, 12))
    mask[0, 1:3, 1:3] = mask[1, 1:4, 1:4] = mask[2, 5:9, 5:9] = 1  # in the last frame another one
    rows = rows_of(write_csv(tmp_path, case_of(mask, (40.0, 1.0, 1.0), axes="TYX")))
    assert [(row["object"], row["frame"], float(row["area"])) for row in rows] == [
        ("1", "0", 4.0),
        ("1", "1", 9.0),
        ("2", "2", 16.0),
    ]
    assert rows[0]["unit"] == "mm"  # whatever stands along time


def test_tables_of_cases_become_one(tmp_path: Path) -> None:
    full = write_csv(tmp_path, case_of(np.ones((4, 4))))
    coloured = write_csv(tmp_path, case_of(np.ones((4, 4)), name="rgb", channels=3))
    empty = write_csv(tmp_path, case_of(np.zeros((4, 4)), name="none"))
    target = tmp_path / "objects.csv"
    assert joined([empty, full, coloured], target) == rows_of(target)
    assert [row["case"] for row in rows_of(target)] == ["a.1", "rgb"]
    assert [bool(row["mean_intensity_3"]) for row in rows_of(target)] == [False, True]
    assert joined([], tmp_path / "none.csv") == []
    assert not (tmp_path / "none.csv").exists()


def test_what_the_objects_of_a_class_come_to(tmp_path: Path) -> None:
    case = case_of(blobs((30, 20)), (0.5, 2.0), channels=2)
    names, *rows = totals(rows_of(write_csv(tmp_path, case)))
    found = {row["class"]: row for row in (dict(zip(names, row)) for row in rows)}
    assert set(found) == {"gland", "lumen"}
    for number, name in ((1, "gland"), (2, "lumen")):
        inside, row = case.mask == number, found[name]
        assert (row["case"], row["unit"]) == ("a.1", "mm")
        assert int(row["objects"]) == (case.objects.classes[1:] == number).sum()
        assert float(row["area"]) == inside.sum()
        assert float(row["mean_intensity_2"]) == pytest.approx(case.image[inside][:, 1].mean(), rel=1e-4)
        assert float(row["mean_uncertainty"]) == pytest.approx(number / 10, rel=1e-4)
    video = case_of(np.ones((2, 3, 3)), axes="TYX", name="v")
    names, *rows = totals(rows_of(write_csv(tmp_path, video)))
    assert [dict(zip(names, row))["frame"] for row in rows] == ["0", "1"]
    assert totals([]) == []
