import numpy as np
import pytest

from ldseg.writers.polygons import polygons

shapely = pytest.importorskip("shapely", reason="reads every polygon")


def drawn(labels: np.ndarray, offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The polygons of a mask as shapely draws them: pixels whose middle lies inside."""
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    found = np.zeros(labels.shape, int)
    for number, parts in polygons(labels, offset).items():
        shapes = [shapely.Polygon(part[0], part[1:]) for part in parts]
        for shape in (*shapes, shapely.MultiPolygon(shapes)):
            assert shape.is_valid, shapely.is_valid_reason(shape)
        for shape in shapes:
            assert shape.exterior.is_ccw
            assert not any(hole.is_ccw for hole in shape.interiors)
            inside = shapely.contains_xy(shape, columns + offset[1] + 0.5, rows + offset[0] + 0.5)
            assert not found[inside].any()  # no pixel twice
            assert shape.area == inside.sum()
            found[inside] = number
    return found


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.9])
def test_what_is_drawn_again_is_the_mask(share: float) -> None:
    rng = np.random.default_rng(int(10 * share))
    for _ in range(30):
        shape = tuple(rng.integers(1, 16, 2))
        mask = np.where(rng.random(shape) < share, rng.integers(1, 4, shape), 0)
        np.testing.assert_array_equal(drawn(mask), mask)


def test_smooth_areas_and_full_and_empty_masks() -> None:
    from scipy.ndimage import gaussian_filter

    mask = (gaussian_filter(np.random.default_rng(0).standard_normal((200, 150)), 5) > 0).astype(int)
    np.testing.assert_array_equal(drawn(mask), mask)
    full = np.full((3, 5), 7)
    assert polygons(full) == {7: [[[[0, 0], [5, 0], [5, 3], [0, 3], [0, 0]]]]}
    assert polygons(np.zeros((3, 5), int)) == {}


def test_pixels_that_meet_at_a_corner() -> None:
    # A ring of pixels that closes across a corner: its hole touches the outline there, and both are whole rings.
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    (part,) = polygons(mask)[1]
    assert len(part) == 2
    np.testing.assert_array_equal(drawn(mask), mask)
    # Two pixels that meet at a corner alone are two parts of one object.
    assert len(polygons(np.eye(2, dtype=int))[1]) == 2


def test_a_part_of_an_image_lies_where_it_lies() -> None:
    mask = np.pad(np.ones((2, 3), int), 1)
    assert polygons(mask, (100, 20)) == {1: [[[[21, 101], [24, 101], [24, 103], [21, 103], [21, 101]]]]}
    np.testing.assert_array_equal(drawn(mask, (100, 20)), mask)
