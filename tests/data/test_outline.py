"""The outline of each object, in pictures, volumes and videos."""

import numpy as np
import pytest

from ldseg.data.cases import LoadedCase
from ldseg.data.outline import areas_on_grid, label_on_grid, outlines, smallest_of
from ldseg.data.preprocess import Preprocessing


def discs(*centres: tuple[float, ...], radius: float, size: tuple[int, ...]) -> np.ndarray:
    """Balls, each pixel of the nearest centre: those that touch meet at a straight border."""
    places = np.indices(size).astype(float)
    distances = np.stack([np.sqrt(sum((p - c) ** 2 for p, c in zip(places, centre, strict=True))) for centre in centres])
    return np.where(distances.min(axis=0) < radius, distances.argmin(axis=0) + 1, 0).astype(np.int32)


def by_hand(ids: np.ndarray, band: float) -> np.ndarray:
    """Every pixel of an object against every pixel that is not of it."""
    places, found = np.argwhere(ids >= 0), np.zeros(ids.shape, bool)
    for index in np.unique(ids[ids > 0]):
        own, other = places[(ids == index).ravel()], places[(ids != index).ravel()]
        nearest = np.sqrt(((own[:, None] - other[None]) ** 2).sum(-1)).min(axis=1)
        found[tuple(own[nearest <= min(band, nearest.max() / 2)].T)] = True
    return found


@pytest.mark.parametrize(("axes", "size"), [("YX", (24, 30)), ("ZYX", (10, 12, 14))])
@pytest.mark.parametrize("band", [1.5, 3.0])
def test_it_is_what_lies_near_another_object_or_the_background(axes: str, size: tuple[int, ...], band: float) -> None:
    middle = [n / 2 for n in size]
    ids = discs((*middle[:-1], 4.0), (*middle[:-1], 11.0), radius=5, size=size)
    ids[ids == 2] = 7  # ids may have gaps
    np.testing.assert_array_equal(outlines(ids, axes, band), by_hand(ids, band))


def test_the_border_of_the_picture_makes_none() -> None:
    ids = np.ones((20, 20), np.int32)
    assert not outlines(ids, "YX").any()
    ids[:, 10:] = 0
    expected = np.zeros((20, 20), bool)
    expected[:, 7:10] = True
    np.testing.assert_array_equal(outlines(ids, "YX"), expected)
    ids[:, 10:] = 2
    expected[:, 10:13] = True
    np.testing.assert_array_equal(outlines(ids, "YX"), expected)


def test_a_slim_object_keeps_an_inside() -> None:
    ids = np.zeros((9, 40), np.int32)
    ids[2:7] = 1  # five pixels wide: distances 1, 2, 3, 2, 1
    edge = outlines(ids, "YX")
    assert edge[[2, 6]].all()
    assert not edge[3:6].any()
    ids[:] = 0
    ids[4] = 1
    assert not outlines(ids, "YX").any()


def test_in_a_video_each_frame_has_its_own() -> None:
    frame = discs((10, 8), (10, 19), radius=6, size=(20, 28))
    video = np.stack([np.zeros_like(frame), frame, frame[:, ::-1]])
    expected = np.stack([outlines(plane, "YX") for plane in video])
    np.testing.assert_array_equal(outlines(video, "TYX"), expected)


def loaded(label: np.ndarray, instances: np.ndarray | None) -> LoadedCase:
    image = np.zeros((*label.shape, 1), np.float32)
    return LoadedCase(name="a", image=image, label=label, size=label.shape, digest="", instances=instances)


def test_what_the_smallest_object_has() -> None:
    ids = np.zeros((40, 60), np.int32)
    ids[:10, :10], ids[20:30, 20:40] = 3, 8
    step = Preprocessing(size=(20, 30))
    assert areas_on_grid(loaded((ids > 0).astype(np.int32), ids), step) == [25.0, 50.0]
    assert areas_on_grid(loaded((ids > 0).astype(np.int32), None), step) == []
    assert smallest_of([50.0, 25.0]) == 25.0
    assert smallest_of([1.0, 2.0, *range(101, 140)]) == 101.0  # one in twenty may be a slip of the pen


def test_on_the_grid_of_the_network() -> None:
    ids = discs((40, 24), (40, 64), radius=22, size=(80, 90))
    label, step = (ids > 0).astype(np.int32), Preprocessing(size=(40, 45))
    found = label_on_grid(loaded(label, ids), step, step.size, True)
    plain = label_on_grid(loaded(label, ids), step, step.size, False)
    assert found.dtype == plain.dtype == np.int32
    np.testing.assert_array_equal(plain, step.label_to_grid(label))
    np.testing.assert_array_equal(found > 0, plain > 0)  # the outline is part of the object
    row = found[20]
    assert (row == 2).any()
    assert (row[[19, 24]] == 2).all()  # where the two touch, at 22, there is outline on either side
    assert (row[[12, 32]] == 1).all()
    # One object where the label does not tell two: nothing where they touch.
    assert (label_on_grid(loaded(label, None), step, step.size, True)[20, 18:26] == 1).all()
    empty = np.zeros_like(label)
    assert not label_on_grid(loaded(empty, empty), step, step.size, True).any()
