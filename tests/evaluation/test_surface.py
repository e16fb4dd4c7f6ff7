"""Distances between surfaces, against counts by hand, SimpleITK's filters and DeepMind's package."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
import surface_distance
from scipy import ndimage

from ldseg.errors import DataError
from ldseg.evaluation.surface import SurfaceDistances, surface_distances


def blob(shape: tuple[int, ...], seed: int, smooth: float = 4.0) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), smooth) > 0


def box(shape: tuple[int, ...], *ends: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*end) for end in ends)] = True
    return mask


# ---- by hand


def test_a_square_moved_by_three() -> None:
    """5×5 in 9×20, moved along x: 16 points each, of which those on the near side are 3, 2, 1, 0 away and so on."""
    true, pred = box((9, 20), (2, 7), (2, 7)), box((9, 20), (2, 7), (5, 10))
    found = surface_distances(pred, true)
    # Of the moved square: top and bottom at x = 5, 6 coincide, x = 7, 8 are 1 and 2 away; the left side lies inside at
    # x = 5, one from the right side of the true one but where the rows end; the right side at x = 9 is 3 away.
    expected = sorted([0, 0, 1, 2] * 2 + [1] * 3 + [3] * 5)
    assert sorted(found.to_true) == sorted(found.to_pred) == expected
    assert found.hd95 == 3
    assert found.assd == pytest.approx(sum(expected) / 16)
    assert found.surface_dice(0) == pytest.approx(4 / 16)
    assert found.surface_dice(1) == pytest.approx(9 / 16)
    assert found.surface_dice(3) == 1


def test_two_pixels_count_in_mm() -> None:
    pred, true = box((3, 9, 9), (0, 1), (1, 2), (1, 2)), box((3, 9, 9), (2, 3), (4, 5), (5, 6))
    assert surface_distances(pred, true).assd == pytest.approx(math.sqrt(4 + 9 + 16))
    assert surface_distances(pred, true, (5, 0.5, 2)).hd95 == pytest.approx(math.sqrt(100 + 2.25 + 64))


def test_the_percentile_is_the_larger_of_both_directions() -> None:
    found = SurfaceDistances(to_true=np.arange(101.0), to_pred=np.zeros(3))
    assert found.hd95 == 95
    assert found.assd == pytest.approx(5050 / 104)


def test_the_tolerance_is_met_exactly() -> None:
    found = surface_distances(box((1, 9), (0, 1), (2, 3)), box((1, 9), (0, 1), (5, 6)), (0.1, 0.1))
    assert found.surface_dice(0.3) == 1
    assert found.surface_dice(0.29) == 0


@pytest.mark.parametrize("shape", [(9, 12), (5, 6, 7)])
def test_a_perfect_mask(shape: tuple[int, ...]) -> None:
    mask = blob(shape, 0, 1.0)
    found = surface_distances(mask, mask)
    assert (found.hd95, found.assd, found.surface_dice(0)) == (0, 0, 1)


def test_the_edge_of_the_image_is_an_edge() -> None:
    full = np.ones((6, 8), bool)
    assert len(surface_distances(full, full).to_true) == 2 * 6 + 2 * 8 - 4


# ---- empty masks


def test_both_empty_is_nan() -> None:
    empty = np.zeros((4, 5), bool)
    for frames in (False, True):
        found = surface_distances(empty, empty, frames=frames)
        assert all(math.isnan(value) for value in (found.hd95, found.assd, found.surface_dice(2)))


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_is_as_far_as_the_image_is_wide(swap: bool) -> None:
    pair = (box((4, 5), (1, 3), (1, 3)), np.zeros((4, 5), bool))
    found = surface_distances(*(pair[::-1] if swap else pair), (2.0, 0.5))
    far = math.hypot(3 * 2.0, 4 * 0.5)
    assert found.hd95 == found.assd == pytest.approx(far)
    assert found.surface_dice(2) == 0


# ---- videos


def test_a_video_is_compared_frame_by_frame() -> None:
    pred, true = (np.stack([blob((30, 40), seed + offset) for seed in range(3)]) for offset in (0, 10))
    true[2] = False
    found = surface_distances(pred, true, (7.0, 0.5, 2.0), frames=True)
    single = [surface_distances(p, t, (0.5, 2.0)) for p, t in zip(pred, true)]
    np.testing.assert_allclose(found.to_true, np.concatenate([each.to_true for each in single]))
    np.testing.assert_allclose(found.to_pred, np.concatenate([each.to_pred for each in single]))
    assert found.to_true.max() == pytest.approx(math.hypot(29 * 0.5, 39 * 2.0))  # of the frame that lacks the label


# ---- independent implementations


@pytest.mark.parametrize(
    ("shape", "spacing"), [((60, 50), None), ((60, 50), (0.5, 2.0)), ((20, 24, 28), (3.0, 0.7, 1.0)), ((1, 9, 9), None)]
)
def test_simpleitk_agrees(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    """Contours and a distance map of the whole image, which pads it so that its edge is an edge there too."""
    pred, true = blob(shape, 1, 3.0), blob(shape, 2, 3.0)
    found = surface_distances(pred, true, spacing)

    def contour(mask: np.ndarray) -> sitk.Image:
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing((spacing or (1.0,) * len(shape))[::-1])
        return sitk.LabelContour(image, fullyConnected=False)

    contours = [contour(mask) for mask in (pred, true)]
    for at, other, ours in ((*contours, found.to_true), (*contours[::-1], found.to_pred)):
        distance = sitk.Abs(sitk.SignedMaurerDistanceMap(other, squaredDistance=False, useImageSpacing=True))
        expected = sitk.GetArrayFromImage(distance)[sitk.GetArrayFromImage(at) > 0]
        np.testing.assert_allclose(np.sort(ours), np.sort(expected), atol=1e-4)


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize(
    ("shape", "spacing"), [((150, 200), (1.0, 1.0)), ((150, 200), (0.5, 0.8)), ((40, 50, 60), (2.0, 1.0, 0.8))]
)
def test_the_surface_distance_package_nearly_agrees(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    """It weighs the points by the area of the surface around them, and puts them between pixels."""
    noise = [np.random.default_rng(seed).standard_normal(shape) for seed in (1, 2)]
    field, other = (ndimage.gaussian_filter(each, 8.0) for each in noise)
    true, pred = field > 0, field + 0.25 * other > 0
    found = surface_distances(pred, true, spacing)
    theirs = surface_distance.compute_surface_distances(true, pred, spacing)
    to_pred, to_true = surface_distance.compute_average_surface_distance(theirs)
    expected = surface_distance.compute_robust_hausdorff(theirs, 95)
    assert found.hd95 == pytest.approx(expected, abs=0.5 * max(spacing), rel=0.05)
    assert found.assd == pytest.approx((to_pred + to_true) / 2, abs=0.2 * max(spacing))
    for tolerance in (1.0, 2.0, 4.0):
        expected = surface_distance.compute_surface_dice_at_tolerance(theirs, tolerance)
        assert found.surface_dice(tolerance) == pytest.approx(expected, abs=0.08)


# ---- what cannot be compared


def test_shapes_and_spacings_that_do_not_suit() -> None:
    mask = np.zeros((3, 4), bool)
    with pytest.raises(DataError, match=r"expected one shape, got \(3, 4\) and \(4, 3\)"):
        surface_distances(mask, mask.T)
    for spacing in ((1.0,), (1.0, 1.0, 1.0), (1.0, 0.0)):
        with pytest.raises(DataError, match="spacing: expected 2 numbers above 0"):
            surface_distances(mask, mask, spacing)
