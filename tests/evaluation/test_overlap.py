import numpy as np
import pytest
import sklearn.metrics

from ldseg.errors import DataError
from ldseg.evaluation.overlap import confusion, dice, iou, precision, recall


def test_hand_counted_case() -> None:
    true = np.array([[0, 0, 1], [1, 1, 1]])
    pred = np.array([[0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(confusion(pred, true, 2), [[1, 1], [2, 2]])
    np.testing.assert_allclose(dice(pred, true, 2), [2 * 1 / (3 + 2), 2 * 2 / (3 + 4)])
    np.testing.assert_allclose(iou(pred, true, 2), [1 / 4, 2 / 5])
    np.testing.assert_allclose(precision(pred, true, 2), [1 / 3, 2 / 3])
    np.testing.assert_allclose(recall(pred, true, 2), [1 / 2, 2 / 4])


@pytest.mark.parametrize("shape", [(40,), (7, 9), (4, 5, 6), (2, 3, 4, 5)])
def test_any_rank_agrees_with_sets(shape: tuple[int, ...], classes: int = 4) -> None:
    rng = np.random.default_rng(1)
    pred, true = rng.integers(0, classes, shape), rng.integers(0, classes, shape)
    d, j = dice(pred, true, classes), iou(pred, true, classes)
    assert d.shape == j.shape == (classes,) and d.dtype == j.dtype == np.float64
    for k in range(classes):
        p, t = set(np.flatnonzero(pred == k)), set(np.flatnonzero(true == k))
        assert d[k] == pytest.approx(2 * len(p & t) / (len(p) + len(t)))
        assert j[k] == pytest.approx(len(p & t) / len(p | t))
    np.testing.assert_allclose(d, 2 * j / (1 + j))


@pytest.mark.parametrize("shape", [(30, 40), (6, 7, 8)])
def test_scikit_learn_agrees(shape: tuple[int, ...], classes: int = 5) -> None:
    rng = np.random.default_rng(2)
    # One class is in the label only, one in neither.
    pred, true = rng.integers(0, classes - 2, shape), rng.integers(0, classes - 1, shape)
    given = {"y_true": true.ravel(), "y_pred": pred.ravel(), "labels": range(classes)}
    for ours, theirs in (
        (dice, sklearn.metrics.f1_score),
        (precision, sklearn.metrics.precision_score),
        (recall, sklearn.metrics.recall_score),
    ):
        expected = theirs(**given, average=None, zero_division=np.nan)
        np.testing.assert_allclose(ours(pred, true, classes), expected)
    # The Jaccard score there knows no NaN.
    expected = sklearn.metrics.jaccard_score(**given, average=None, zero_division=0)
    np.testing.assert_allclose(np.nan_to_num(iou(pred, true, classes)), expected)
    np.testing.assert_array_equal(confusion(pred, true, classes), sklearn.metrics.confusion_matrix(**given))


def test_absent_in_both_is_nan_and_absent_in_one_is_zero() -> None:
    pred, true = np.zeros((4, 4), np.uint8), np.full((4, 4), 2, np.int32)
    np.testing.assert_array_equal(dice(pred, true, 4), [0, np.nan, 0, np.nan])
    np.testing.assert_array_equal(iou(pred, true, 4), [0, np.nan, 0, np.nan])
    np.testing.assert_array_equal(precision(pred, true, 4), [0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(recall(pred, true, 4), [np.nan, np.nan, 0, np.nan])
    assert np.isnan(dice(np.zeros((0, 3), int), np.zeros((0, 3), int), 2)).all()


def test_bool_and_small_integers_do_not_overflow() -> None:
    mask = np.ones((300, 300), dtype=bool)
    np.testing.assert_array_equal(dice(mask, mask.astype(np.uint8), 2), [np.nan, 1.0])
    high = np.full((3, 3), 200, np.uint8)
    assert dice(high, high, 201)[200] == 1.0


@pytest.mark.parametrize(
    ("pred", "true", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(2, 3\) and \(3, 2\)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "prediction.*float64"),
        (
            np.zeros((2, 2), int),
            np.array([[0, 255], [7, 0]]),
            r"label: expected class indices 0\.\.1, got 7, 255",
        ),
        (np.full((2, 2), -1), np.zeros((2, 2), int), "got -1"),
    ],
)
def test_bad_arrays_are_named(pred: np.ndarray, true: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        dice(pred, true, 2)
