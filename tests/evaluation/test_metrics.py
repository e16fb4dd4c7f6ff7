"""All metrics of a case together."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ldseg.errors import DataError
from ldseg.evaluation.metrics import CLASS_METRICS, class_scores, dice
from ldseg.evaluation.surface import surface_distances


def test_every_metric_has_a_value_for_every_class() -> None:
    rng = np.random.default_rng(0)
    pred, true = rng.integers(0, 3, (9, 7, 8)), rng.integers(0, 3, (9, 7, 8))
    scores = class_scores(pred, true, 4, tolerance=1.5, spacing=(2.0, 1.0, 0.5))
    assert tuple(scores) == CLASS_METRICS
    assert all(len(values) == 4 and all(type(value) is float for value in values) for values in scores.values())
    assert scores["dice"] == pytest.approx(dice(pred, true, 4), nan_ok=True)
    for index in (1, 2):
        found = surface_distances(pred == index, true == index, (2.0, 1.0, 0.5))
        expected = (found.hd95, found.assd, found.surface_dice(1.5))
        assert tuple(scores[name][index] for name in ("hd95", "assd", "surface_dice")) == expected
    assert all(math.isnan(scores[name][index]) for name in ("hd95", "assd", "surface_dice") for index in (0, 3))


def test_policy_for_empty_masks() -> None:
    """Class 1 is in neither, class 2 in the label only, class 3 in the prediction only."""
    pred, true = np.array([[0, 0, 3], [0, 0, 0]]), np.array([[0, 2, 0], [0, 0, 0]])
    scores = {name: values[1:] for name, values in class_scores(pred, true, 4, tolerance=1).items()}
    for name in ("dice", "iou", "surface_dice"):
        assert scores[name] == pytest.approx((math.nan, 0, 0), nan_ok=True)
    assert scores["precision"] == pytest.approx((math.nan, math.nan, 0), nan_ok=True)
    assert scores["recall"] == pytest.approx((math.nan, 0, math.nan), nan_ok=True)
    for name in ("hd95", "assd"):
        assert scores[name] == pytest.approx((math.nan, math.sqrt(5), math.sqrt(5)), nan_ok=True)


def test_time_counts_for_overlap_but_not_for_surfaces() -> None:
    true = np.zeros((2, 9, 9), int)
    true[0, 4, 4] = true[1, 4, 8] = 1
    pred = true[::-1]
    video = class_scores(pred, true, 2, tolerance=1, spacing=(0.1, 1.0, 1.0), frames=True)
    assert video["hd95"][1] == 4
    assert class_scores(pred, true, 2, tolerance=1, spacing=(0.1, 1.0, 1.0))["hd95"][1] == pytest.approx(0.1)


def test_what_does_not_suit() -> None:
    mask = np.zeros((3, 4), int)
    with pytest.raises(DataError, match="one shape"):
        class_scores(mask, mask.T, 2, tolerance=1)
    with pytest.raises(DataError, match="spacing"):
        class_scores(mask, mask, 2, tolerance=1, spacing=(1.0,))


def test_no_keras_is_imported() -> None:
    code = "import sys, ldseg.evaluation.metrics as m; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
