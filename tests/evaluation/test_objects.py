"""Scores of objects, against counts by hand and the definition written again, pair by pair, with SimpleITK."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from ldseg.errors import DataError
from ldseg.evaluation.objects import OBJECT_METRICS, ObjectSums, object_scores, object_sums, pooled, separate


def canvas(shape: tuple[int, ...], *boxes: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Boxes numbered from 1 on."""
    labels = np.zeros(shape, np.int32)
    for index, ends in enumerate(boxes, start=1):
        labels[tuple(slice(*end) for end in ends)] = index
    return labels


def scores(pred: np.ndarray, true: np.ndarray, *options: object, **named: object) -> tuple[float, ...]:
    return tuple(object_scores(pred, true, *options, **named).values())  # type: ignore[arg-type]


# ---- by hand


def test_one_found_one_missed_one_too_many() -> None:
    true = canvas((10, 40), ((0, 4), (0, 5)), ((6, 10), (30, 35)))
    pred = canvas((10, 40), ((0, 4), (1, 6)), ((0, 2), (20, 25)))
    f1, dice, hausdorff = scores(pred, true)
    assert f1 == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    # The first pair shares 16 of 20 + 20 pixels; the true ones weigh 20 : 20, the predicted ones 20 : 10.
    assert dice == pytest.approx((1 / 2 * 0.8 + 2 / 3 * 0.8) / 2)
    # The missed one, rows 6 to 9 and columns 30 to 34, is nearest to the second predicted one, rows 0 and 1 and columns
    # 20 to 24: 10 columns and from row 9 to row 1, or from row 6 to row 0. So is that one, too many, to it.
    far = math.hypot(10, 8)
    assert hausdorff == pytest.approx((1 / 2 * 1 + 1 / 2 * far + 2 / 3 * 1 + 1 / 3 * far) / 2)


def test_two_that_are_merged() -> None:
    true = canvas((6, 20), ((0, 6), (0, 8)), ((0, 6), (9, 15)))
    pred = canvas((6, 20), ((0, 6), (0, 15)))
    f1, dice, hausdorff = scores(pred, true)
    assert f1 == pytest.approx(2 * 1 / (2 * 1 + 0 + 1))
    whole, first, second = 90, 48, 36
    on_true = first / 84 * 2 * first / (first + whole) + second / 84 * 2 * second / (second + whole)
    assert dice == pytest.approx((on_true + 2 * first / (first + whole)) / 2)
    assert hausdorff == pytest.approx((first / 84 * 7 + second / 84 * 9 + 7) / 2)


def test_half_of_an_object_is_not_enough() -> None:
    true = canvas((4, 8), ((0, 4), (0, 4)))
    assert scores(canvas((4, 8), ((0, 4), (0, 2))), true)[0] == 0
    assert scores(canvas((4, 8), ((0, 4), (0, 3))), true)[0] == 1


def test_the_distance_goes_over_all_pixels() -> None:
    """A disc in a ring's place: its centre is what lies furthest from the ring, not its outline."""
    disc = canvas((9, 9), ((0, 9), (0, 9)))
    ring = disc.copy()
    ring[1:8, 1:8] = 0
    assert scores(disc, ring)[2] == scores(ring, disc)[2] == 4


@pytest.mark.parametrize("shape", [(12, 15), (6, 7, 8)])
def test_perfect(shape: tuple[int, ...]) -> None:
    labels = separate(np.random.default_rng(0).integers(0, 4, shape))
    assert scores(labels, 3 * labels) == pytest.approx((1, 1, 0))


def test_millimetres() -> None:
    true, pred = canvas((9, 9), ((0, 2), (0, 2))), canvas((9, 9), ((3, 5), (0, 2)))
    assert scores(pred, true, (0.5, 7.0))[2] == pytest.approx(1.5)


def test_nothing_in_one_or_both() -> None:
    none, one = np.zeros((4, 5), np.int32), canvas((4, 5), ((0, 2), (0, 2)))
    assert all(math.isnan(value) for value in scores(none, none))
    far = math.hypot(3 * 2, 4 * 0.5)
    assert scores(none, one, (2, 0.5)) == scores(one, none, (2, 0.5)) == (0, 0, pytest.approx(far))
    assert tuple(object_scores(none, one)) == OBJECT_METRICS


def test_arrays_that_do_not_suit() -> None:
    with pytest.raises(DataError, match="one shape"):
        object_scores(np.zeros((2, 3), int), np.zeros((3, 2), int))
    with pytest.raises(DataError, match="spacing: expected 2 numbers"):
        object_scores(np.zeros((2, 3), int), np.zeros((2, 3), int), (1.0,))


# ---- pooled over a set


def test_pooled_scores_add_counts_and_weigh_by_area() -> None:
    """One image with one object found whole, one with four of which one is found, shifted by a column."""
    easy = canvas((10, 10), ((0, 10), (0, 10)))
    true = canvas((4, 40), *(((0, 4), (10 * k, 10 * k + 5)) for k in range(4)))
    pred = canvas((4, 40), ((0, 4), (1, 6)))
    sums = [object_sums(easy, easy), object_sums(pred, true)]
    f1, dice, hausdorff = pooled(sums)
    assert f1 == pytest.approx(2 * 2 / (2 * 2 + 0 + 3))
    assert f1 != pytest.approx((1 + 2 * 1 / (1 + 4)) / 2)  # the mean over images
    # Areas: 100 and 4 x 20 true, 100 and 20 predicted; the pair of the second image shares 16 of 20 + 20 pixels.
    assert dice == pytest.approx(((100 + 20 * 0.8) / 180 + (100 + 20 * 0.8) / 120) / 2)
    # The nearest predicted object to the others is the one: its first column is 9, 19 and 29 from theirs.
    assert hausdorff == pytest.approx((20 * (1 + 9 + 19 + 29) / 180 + 20 * 1 / 120) / 2)
    assert sums[1].scores == object_scores(pred, true)


def test_pooled_over_images_side_by_side_is_one_image() -> None:
    """Where partners are near, pooling is what one large image with all of them would give."""
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.standard_normal((3, 60, 60)), (0, 3, 3)) for _ in range(2)]
    true = np.pad(fields[0] > 0.03, [(0, 0), (5, 5), (5, 5)])
    pred = np.pad(fields[0] + 0.3 * fields[1] > 0.03, [(0, 0), (5, 5), (5, 5)])
    numbered = [(separate(p.astype(int)), separate(t.astype(int))) for p, t in zip(pred, true)]
    together = object_scores(separate(np.hstack(list(pred)).astype(int)), separate(np.hstack(list(true)).astype(int)))
    assert pooled(object_sums(*each) for each in numbered)[:2] == pytest.approx(tuple(together.values())[:2])


def test_pooled_with_an_image_that_lacks_one_side() -> None:
    none, one = np.zeros((4, 5), np.int32), canvas((4, 5), ((0, 2), (0, 2)))
    hit, missed, extra = object_sums(one, one), object_sums(none, one), object_sums(one, none)
    far = math.hypot(3, 4)
    assert pooled([hit, missed]) == pytest.approx((2 / 3, (1 / 2 + 1) / 2, (far / 2 + 0) / 2))
    assert pooled([hit, extra]) == pytest.approx(pooled([hit, missed]))
    assert pooled([missed]) == pytest.approx((0, 0, far))
    assert pooled([hit, object_sums(none, none)]) == pytest.approx((1, 1, 0))
    assert all(math.isnan(value) for value in pooled([])) and all(math.isnan(value) for value in pooled([ObjectSums()]))


def test_areas_in_millimetres_weigh() -> None:
    """The same picture at twice the spacing weighs four times as much in the plane."""
    one, miss = canvas((6, 6), ((0, 2), (0, 2))), canvas((6, 6), ((0, 2), (1, 3)))
    fine, coarse = object_sums(one, one, (1.0, 1.0)), object_sums(miss, one, (2.0, 2.0))
    assert coarse.true_area == 16 and pooled([fine, coarse])[1] == pytest.approx((4 + 16 * 0.5) / 20)
    assert pooled([fine, coarse])[2] == pytest.approx(16 * 2 / 20)


# ---- numbering


def test_pieces_of_one_id_are_numbered_apart() -> None:
    labels = np.array([[7, 7, 0, 0, 7], [0, 0, 7, 0, 7], [9, 9, 0, 0, 0]])
    # A corner holds the first piece together; 9 touches it, and is another object.
    found = separate(labels)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[1, 1, 0, 0, 2], [0, 0, 1, 0, 2], [3, 3, 0, 0, 0]])
    assert scores(labels, found) == pytest.approx((1, 1, 0))


def test_any_numbers_do() -> None:
    labels = np.array([[0, 2_000_000_000, 0, 5]])
    assert separate(labels).tolist() == [[0, 2, 0, 1]]
    assert separate(np.zeros((2, 2), bool)).tolist() == [[0, 0], [0, 0]]


# ---- videos


def test_a_video_has_objects_in_every_frame() -> None:
    """A track that is one object in space and time counts once per frame; the sums go over all frames."""
    true = canvas((3, 6, 12), ((0, 3), (0, 4), (0, 4)))
    pred = canvas((3, 6, 12), ((0, 2), (0, 4), (1, 5)), ((1, 2), (5, 6), (10, 12)))
    f1, dice, hausdorff = scores(pred, true, (9.0, 1.0, 1.0), frames=True)
    assert f1 == pytest.approx(2 * 2 / (3 + 3))
    assert dice == pytest.approx((2 / 3 * 0.75 + 32 / 34 * 0.75) / 2)
    # The third true one has no other in its frame. The surplus one, in a corner, is compared with the true one of its frame,
    # whose own corner is 5 rows and 10 columns away.
    missed, surplus = math.hypot(5, 11), math.hypot(5, 10)
    assert hausdorff == pytest.approx((2 / 3 + 1 / 3 * missed + 32 / 34 + 2 / 34 * surplus) / 2)


# ---- the definition, written again


def by_definition(pred: np.ndarray, true: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float, float]:
    def hausdorff(a: np.ndarray, b: np.ndarray) -> float:
        images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (a, b)]
        for image in images:
            image.SetSpacing(spacing[::-1])
        measure = sitk.HausdorffDistanceImageFilter()
        measure.Execute(*images)
        return measure.GetHausdorffDistance()

    def side(own: np.ndarray, other: np.ndarray) -> tuple[float, float, int]:
        total, dice_sum, distance_sum, hits = np.count_nonzero(own), 0.0, 0.0, 0
        for index in range(1, own.max() + 1):
            mask = own == index
            shared = np.bincount(other[mask], minlength=2)[1:]
            if shared.any():
                partner = other == 1 + np.argmax(shared)
                overlap = np.count_nonzero(mask & partner)
                dice = 2 * overlap / (np.count_nonzero(mask) + np.count_nonzero(partner))
                distance = hausdorff(mask, partner)
                hits += overlap > 0.5 * np.count_nonzero(partner)
            else:
                dice, distance = 0.0, min(hausdorff(mask, other == j) for j in range(1, other.max() + 1))
            dice_sum += np.count_nonzero(mask) / total * dice
            distance_sum += np.count_nonzero(mask) / total * distance
        return dice_sum, distance_sum, hits

    on_pred, on_true = side(pred, true), side(true, pred)
    false_positives, false_negatives = pred.max() - on_pred[2], true.max() - on_pred[2]
    f1 = 2 * on_pred[2] / (2 * on_pred[2] + false_positives + false_negatives)
    return f1, (on_pred[0] + on_true[0]) / 2, (on_pred[1] + on_true[1]) / 2


@pytest.mark.parametrize(
    ("shape", "spacing"), [((50, 70), (1.0, 1.0)), ((50, 70), (0.5, 2.0)), ((16, 20, 24), (3.0, 0.7, 1.0))]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_definition_pair_by_pair(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), 2.5) for _ in range(2)]
    true = ndimage.label(fields[0] > 0.06)[0]
    mixed = fields[0] + 0.7 * fields[1]
    pred = ndimage.label(mixed > 0.06)[0]
    assert true.max() > 2 and pred.max() > 2
    pred, true = separate(pred), separate(true)
    assert scores(pred, true, spacing) == pytest.approx(by_definition(pred, true, spacing), rel=1e-5)
