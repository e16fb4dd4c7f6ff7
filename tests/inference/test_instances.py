"""Objects from masks, and from what networks that tell outlines see."""

from pathlib import Path

import numpy as np
import pytest

from ldseg.data.cases import Case, LoadedCase
from ldseg.data.outline import label_on_grid, outlines
from ldseg.data.preprocess import Preprocessing
from ldseg.evaluation import object_sums
from ldseg.inference.instances import label_instances
from ldseg.inference.parts import classes_of, most_probable
from ldseg.inference.segmented import Segmented

BALLS: dict[str, tuple[tuple[int, ...], list[tuple[tuple[int, ...], int]]]] = {
    "YX": ((60, 90), [((22, 20), 16), ((22, 46), 16), ((48, 78), 9)]),
    "ZYX": ((28, 40, 60), [((14, 16, 16), 12), ((14, 16, 36), 12), ((20, 33, 52), 5)]),
}


def touching(axes: str) -> np.ndarray:
    """Three balls, of which the first two touch; in a video they move."""
    if axes == "TYX":
        return np.stack([np.roll(touching("YX"), shift, axis=1) for shift in range(4)])
    size, balls = BALLS[axes]
    places = np.indices(size).astype(float)
    beyond = [sum((p - c) ** 2 for p, c in zip(places, centre, strict=True)) - radius**2 for centre, radius in balls]
    return np.where(np.min(beyond, axis=0) < 0, np.argmin(beyond, axis=0) + 1, 0).astype(np.int32)


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX"])
def test_touching_objects_are_told_apart_by_their_outlines(axes: str) -> None:
    ids = touching(axes)
    mask, edge = (ids > 0).astype(np.int32), outlines(ids, axes)
    assert label_instances(mask).max() == 2  # the first two are one
    found = label_instances(mask, edge.astype(np.float32), video=axes == "TYX")
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert found.max() == 3
    scores = object_sums(found, ids, frames=axes == "TYX").scores
    assert scores["object_f1"] == 1.0
    assert scores["object_dice"] > 0.98  # the border may lie a pixel aside
    if axes == "TYX":
        assert all(set(np.unique(frame)) == {0, 1, 2, 3} for frame in found)  # a number for each, through time


def test_nothing_changes_where_no_objects_touch() -> None:
    """An object with one inside, with none, or with specks of them is what it was."""
    mask = np.zeros((100, 100), np.int32)
    mask[5:45, 5:45] = mask[55:95, 5:45] = mask[55:95, 55:95] = 1
    mask[70:75, 70:75] = 0
    outline = np.ones(mask.shape, np.float32)
    outline[10:40, 10:40] = outline[60:90, 10:40] = 0
    outline[60, 43] = 0  # a speck
    outline[20:30, 60:70] = 0  # not of the mask
    np.testing.assert_array_equal(label_instances(mask, outline), label_instances(mask))
    np.testing.assert_array_equal(label_instances(mask, np.ones_like(outline)), label_instances(mask))
    empty = np.zeros_like(mask)
    assert not label_instances(empty, outline).any()


def test_what_meets_where_no_outline_was_seen_is_one() -> None:
    """Three in a row: the first two meet in an outline, the last at a thin place."""
    mask = np.zeros((40, 100), np.int32)
    mask[10:30, 10:50] = mask[10:30, 52:90] = mask[19:21, 50:52] = 1
    outline = np.full(mask.shape, 0.05, np.float32)
    outline[:, 28:32], outline[:, 50:52] = 0.9, 0.35
    assert label_instances(mask, outline).max() == 3
    outline[:, 50:52] = 0.25
    found = label_instances(mask, outline)
    assert found.max() == 2
    assert found[20, 15] == 1
    assert (found[20, [40, 80]] == 2).all()
    video = label_instances(np.stack([mask] * 3), np.stack([outline] * 3), video=True)
    np.testing.assert_array_equal(video, np.stack([found] * 3))


def test_a_gap_in_an_outline_lets_nothing_through() -> None:
    """Where the outline between two is weak in one place, the inside of the one is not joined to that of the other."""
    mask = np.zeros((40, 100), np.int32)
    mask[10:30, 10:90] = 1
    outline = np.zeros(mask.shape, np.float32)
    outline[10:30, 49:51] = 0.9
    outline[18:22, 49:51] = 0.2  # the inside is the most probable here
    found = label_instances(mask, outline)
    assert found.max() == 2
    assert (found[20, [45, 55]] == [1, 2]).all()
    outline[18:22, 49:51], outline[10:30, 10:49] = 0.9, 0.3  # nothing of the first is clear of an outline
    assert label_instances(mask, outline).max() == 2


def test_an_object_of_a_video_goes_on_through_a_frame_that_is_not_clear() -> None:
    mask, outline = np.ones((5, 20, 20), np.int32), np.zeros((5, 20, 20), np.float32)
    outline[2] = 0.3  # more likely the inside than not
    assert label_instances(mask, outline, video=True).max() == 1
    outline[2], outline[:, :, 9:11] = 0.45, 0.9  # two that touch in every frame: nothing joins them
    found = label_instances(mask, outline, video=True)
    assert (found[0, 0, [4, 15]] == [1, 2]).all() and len({*found[:, 0, 4]} & {*found[:, 0, 15]}) == 0


def test_what_is_too_small_to_be_an_object_is_known_from_training() -> None:
    mask = np.zeros((200, 200), np.int32)
    mask[10:14, 10:15] = mask[30:33, 10:16] = mask[50:60, 50:60] = 1
    mask[55, 55] = 0
    assert label_instances(mask).max() == 3  # from 0.02 % of the image, 9 pixels, on
    found = label_instances(mask, smallest=20)
    assert found.max() == 2  # of 20 pixels and of 100, not of 18
    assert found[11, 11] == 1
    assert found[31, 11] == 0
    assert label_instances(mask, smallest=20.5).max() == 1
    outline = np.ones(mask.shape, np.float32)
    outline[51:59, 51:54] = outline[52:55, 57] = 0
    assert label_instances(mask, outline, 13.0).max() == 3  # three pixels are a speck
    assert label_instances(mask, outline, 12.0).max() == 4


def test_the_outline_belongs_to_the_object() -> None:
    parts = np.random.default_rng(0).dirichlet([1, 1, 1], (4, 5)).astype(np.float32)
    kept = parts.copy()
    classes = classes_of(parts, True)
    np.testing.assert_allclose(classes, np.stack([parts[..., 0], parts[..., 1] + parts[..., 2]], axis=-1))
    np.testing.assert_array_equal(parts, kept)
    assert classes_of(parts, False) is parts


@pytest.mark.parametrize("size", [(60, 90), (160, 120)])
def test_from_the_grid_of_the_network_to_the_case(size: tuple[int, int]) -> None:
    """Perfect networks: their parts, resampled, give the objects of the label; the mask is that of the classes."""
    ids = np.kron(touching("YX"), np.ones((2, 2), int))
    label, step = (ids > 0).astype(np.int32), Preprocessing(size=size)
    case = LoadedCase(
        name="a", image=np.zeros((*ids.shape, 3), np.float32), label=label, size=ids.shape, digest="", instances=ids
    )
    parts = step.probabilities_to_case(np.eye(3, dtype=np.float32)[label_on_grid(case, step, size, True)], ids.shape)
    item = Segmented(
        case=Case(name="a", image=Path("a"), label=None, group="a"),
        loaded=case,
        probabilities=classes_of(parts, True),
        outline=parts[..., 2],
    )
    assert (item.mask == label).mean() > 0.98
    assert object_sums(item.instances, ids).scores["object_f1"] == 1.0
    assert label_instances(item.mask).max() == 2


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_most_probable_class_is_the_first_of_the_highest(classes: int) -> None:
    found = np.random.default_rng(classes).integers(0, 4, (9, 7, classes)).astype(np.float32)  # with many that are equal
    np.testing.assert_array_equal(most_probable(found), found.argmax(axis=-1))
    assert most_probable(found).dtype == np.int32
