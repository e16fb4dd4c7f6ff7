"""Connected components and boxes, against SciPy's."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from ldseg.base.components import bounding_box, boxes, components, counted, measured, shared_out

SHAPES = [(40,), (31, 47), (6, 17, 19), (3, 4, 9, 8)]


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.95])
@pytest.mark.parametrize("shape", SHAPES)
def test_components_and_their_order_are_those_of_scipy(shape: tuple[int, ...], share: float, corners: bool) -> None:
    mask = np.random.default_rng(3).random(shape) < share
    structure = ndimage.generate_binary_structure(len(shape), len(shape) if corners else 1)
    expected, count = ndimage.label(mask, structure)
    found = components(mask, corners=corners)
    np.testing.assert_array_equal(found[0], expected)
    assert found[0].dtype == np.int32
    if not corners:
        labels, sizes = measured(mask)
        np.testing.assert_array_equal(sizes[labels], np.bincount(expected.ravel())[expected])
        assert len(sizes) == count + 1
        assert counted(mask) == count
    assert found[1] == count
    assert boxes(found[0]) == ndimage.find_objects(expected)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_frames_do_not_touch(shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(4).random(shape) < 0.5
    structure = np.ones((3,) * len(shape), bool)
    structure[0] = structure[2] = False
    np.testing.assert_array_equal(components(mask, corners=True, frames=True)[0], ndimage.label(mask, structure)[0])
    assert counted(mask, frames=True) == components(mask, frames=True)[1]


@pytest.mark.parametrize("shape", [(0, 4), (5, 6), (2, 3, 4)])
def test_nothing_has_no_components(shape: tuple[int, ...]) -> None:
    labels, count = components(np.zeros(shape, bool))
    assert (count, labels.any(), boxes(labels)) == (0, False, [])
    assert bounding_box(labels > 0) == (slice(0, 0),) * len(shape)


def test_a_spiral_is_one_component_and_a_box_is_tight() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[0, 4, 1:8] = mask[0:8, 4, 7] = mask[7, 4, 3:8] = mask[3:8, 4, 3] = True
    mask[5, 4, 5] = True  # in the middle, touching nothing
    labels, count = components(mask, corners=True)
    assert count == 2
    assert boxes(labels) == [(slice(0, 8), slice(4, 5), slice(1, 8)), (slice(5, 6), slice(4, 5), slice(5, 6))]
    assert bounding_box(mask) == (slice(0, 8), slice(4, 5), slice(1, 8))


def away(mask: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Steps from face to face within a mask, -1 where none lead."""
    distance, reached = np.where(start, 0, -1), start
    for step in range(1, mask.size):
        more = ndimage.binary_dilation(reached, mask=mask) & ~reached
        if not more.any():
            break
        distance[more], reached = step, reached | more
    return distance


@pytest.mark.parametrize("shape", [(60, 50), (12, 20, 18)])
def test_a_mask_is_shared_out_to_the_nearest_seeds(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    mask = ndimage.gaussian_filter(rng.normal(size=shape), 2.0) > -0.02
    seeds = components(mask & (ndimage.gaussian_filter(rng.normal(size=shape), 1.5) > 0.2))[0]
    seeds[seeds > 8] = 0
    found = shared_out(mask, seeds)
    distances = np.stack([away(mask, seeds == number) for number in range(1, 9)])
    reached = (distances >= 0).any(axis=0)
    np.testing.assert_array_equal(found > 0, reached)
    distances[distances < 0] = mask.size
    own = np.take_along_axis(distances, np.maximum(found - 1, 0)[np.newaxis], axis=0)[0]
    np.testing.assert_array_equal(own[reached], distances.min(axis=0)[reached])
    np.testing.assert_array_equal(found[seeds > 0], seeds[seeds > 0])
    expected = watershed(np.zeros(shape, np.uint8), seeds, mask=mask)
    assert (found != expected)[mask].mean() < 0.1  # where several are equally near
