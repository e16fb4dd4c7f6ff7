import math

import numpy as np
import pytest

import ldseg
from ldseg.errors import DataError
from ldseg.evaluation.evaluate import evaluate


def squares() -> tuple[np.ndarray, np.ndarray]:
    """A square of 4 x 4 pixels, and the same one pixel further down."""
    mask, label = np.zeros((2, 12, 12), np.int32)
    mask[2:6, 2:6] = 1
    label[3:7, 2:6] = 1
    return mask, label


def test_every_class_and_the_mean_with_their_unit() -> None:
    mask, label = squares()
    found = evaluate(mask, label, classes=["background", "cell"])
    assert found.classes["cell"]["dice"] == pytest.approx(2 * 12 / 32)
    assert found.classes["cell"]["iou"] == pytest.approx(12 / 20)
    assert found.mean == found.classes["cell"]
    assert (found.unit, found.classes["cell"]["hd95"]) == ("pixels", 1.0)
    assert math.isnan(found.classes["background"]["hd95"])
    in_mm = evaluate(mask, label, spacing=(3, 1))
    assert (in_mm.unit, in_mm.classes["class 1"]["hd95"]) == ("mm", 3.0)
    assert "0.7500" in str(found)
    assert found.to_dict()["classes"]["background"]["hd95"] is None
    assert ldseg.evaluate is evaluate


def test_the_mean_leaves_the_background_and_absent_classes_out() -> None:
    mask, label = squares()
    found = evaluate(mask, label, classes=["background", "cell", "absent"])
    assert math.isnan(found.classes["absent"]["dice"])
    assert found.mean["dice"] == found.classes["cell"]["dice"]
    two = evaluate(np.where(mask, 2, 0), label)
    assert two.mean["dice"] == 0.0


@pytest.mark.parametrize(
    ("mask", "label", "named"),
    [
        (np.zeros((2, 2), np.int32), np.array([[0, 255], [0, 0]]), r"0, 255, but not 2, 3"),
        (np.zeros((2, 2), np.int32), np.zeros((2, 3), np.int32), r"one shape, got \(2, 2\) and \(2, 3\)"),
        (np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32), "mask: expected whole class numbers, got float32"),
        (np.full((2, 2), -1), np.zeros((2, 2), np.int32), "mask: expected class numbers of at least 0, got -1"),
    ],
)
def test_what_cannot_be_compared(mask: np.ndarray, label: np.ndarray, named: str) -> None:
    with pytest.raises(DataError, match=named):
        evaluate(mask, label)


def test_a_number_without_a_class() -> None:
    with pytest.raises(DataError, match="expected 4 different names or more, as 3 occurs, got background, cell"):
        evaluate(np.zeros((2, 2), np.int32), np.array([[0, 3], [0, 0]]), classes=["background", "cell"])
