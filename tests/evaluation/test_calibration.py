import json
import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from ldseg.base.text import json_text
from ldseg.errors import DataError
from ldseg.evaluation.calibration import Calibration, best_retained


def two_classes(p: np.ndarray) -> np.ndarray:
    return np.stack([1 - p, p], axis=-1).astype(np.float32)


def taken(confidence: np.ndarray, right: np.ndarray, uncertainty: np.ndarray | None = None) -> Calibration:
    """Pixels of class 1 with a confidence, of which some are right."""
    found = Calibration()
    mask = np.ones(confidence.shape, np.int32)
    unsure = 1 - confidence if uncertainty is None else uncertainty
    found.add(two_classes(confidence), unsure, mask, np.where(right, 1, 0))
    return found


def test_who_is_right_as_often_as_it_says_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, (1000, 1000))
    found = taken(confidence, rng.random(confidence.shape) < confidence)
    diagram = found.reliability()
    assert diagram.error < 2e-3
    assert found.pixels == diagram.counts.sum() == 1_000_000
    assert not diagram.counts[:7].any()
    np.testing.assert_allclose(diagram.accuracy[8:], (diagram.edges[8:-1] + diagram.edges[9:]) / 2, atol=5e-3)


def test_who_promises_too_much_is_off_by_as_much() -> None:
    """Ten pixels of 0.9, seven of them right, and ten of 0.6, five of them right: half of 0.2 and half of 0.1."""
    confidence = np.repeat([0.9, 0.6], 10)
    right = np.array([1] * 7 + [0] * 3 + [1] * 5 + [0] * 5)
    found = taken(confidence, right)
    assert found.reliability().error == pytest.approx(0.15)
    assert found.reliability(bins=1).error == pytest.approx(0.15)
    assert found.error_rate == pytest.approx(0.4)


def test_confidence_is_that_of_the_class_in_the_mask() -> None:
    """A fusion may choose a class that is not the most probable one."""
    found = Calibration()
    found.add(two_classes(np.full(5, 0.25)), np.zeros(5), np.ones(5, np.int32), np.ones(5, np.int32))
    assert found.reliability().error == pytest.approx(0.75)


def by_hand(uncertainty: np.ndarray, right: np.ndarray) -> float:
    pairs = product(uncertainty[~right], uncertainty[right])
    return float(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]))


def test_how_errors_are_ranked() -> None:
    rng = np.random.default_rng(1)
    uncertainty = np.round(10.0 ** rng.uniform(-6, 0, 400), 7)
    uncertainty[::5] = 0.25  # ties
    right = rng.random(400) > uncertainty
    found = taken(np.full(400, 0.9), right, uncertainty)
    assert found.auroc == pytest.approx(by_hand(uncertainty, right), abs=2e-3)
    assert 0.7 < found.auroc < 1


def test_ends_of_the_ranking() -> None:
    right, unsure = np.arange(10) < 7, np.arange(10) / 10
    assert taken(np.full(10, 0.9), right, unsure).auroc == 1
    assert taken(np.full(10, 0.9), right, 1 - unsure).auroc == 0
    assert taken(np.full(10, 0.9), right, np.full(10, 0.3)).auroc == 0.5
    assert math.isnan(taken(np.full(10, 0.9), np.ones(10, bool), unsure).auroc)


def test_errors_that_are_left_when_the_unsure_is_set_aside() -> None:
    right, unsure = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0], bool), np.arange(1, 11) / 10
    found = taken(np.full(10, 0.9), right, unsure)
    np.testing.assert_allclose(found.retained([0.4, 0.5, 0.7, 1.0]), [0, 1 / 5, 1 / 7, 4 / 10], atol=1e-12)
    np.testing.assert_allclose(best_retained(0.4, [0.4, 0.6, 0.8, 1.0]), [0, 0, 0.25, 0.4], atol=1e-12)
    # Of pixels that are equally unsure some are kept: the errors among them are as many as in all.
    equal = taken(np.full(10, 0.9), right, np.full(10, 0.3))
    np.testing.assert_allclose(equal.retained([0.1, 0.5, 1.0]), 0.4)


def test_cases_one_by_one_are_all_cases_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(3), (6, 8, 9)).astype(np.float32)
    label, uncertainty = rng.integers(0, 3, (6, 8, 9)), rng.random((6, 8, 9))
    mask = probabilities.argmax(-1)
    whole, parts = Calibration(), Calibration()
    whole.add(probabilities, uncertainty, mask, label)
    monkeypatch.setattr("ldseg.evaluation.calibration._CHUNK", 7)
    for index in range(6):
        parts.add(probabilities[index], uncertainty[index], mask[index], label[index])
    assert (whole.cases, parts.cases) == (1, 6)
    joined = Calibration()
    for index in range(6):
        part = Calibration()
        part.add(probabilities[index], uncertainty[index], mask[index], label[index])
        joined.take(part)
    assert joined.cases == 6
    one, other = whole.report(), parts.report()
    assert joined.report()["retained"] == other["retained"]
    assert joined.report()["ece"] == pytest.approx(other["ece"], abs=1e-12)
    assert one["ece"] == pytest.approx(other["ece"], abs=1e-12)
    assert one["auroc"] == other["auroc"]
    assert one["retained"] == other["retained"]


def test_the_report_is_json() -> None:
    found = taken(np.repeat([0.9, 0.6], 10), np.array([1] * 7 + [0] * 3 + [1] * 5 + [0] * 5))
    report = json.loads(json_text(found.report()))
    assert report["ece"] == pytest.approx(0.15)
    assert report["accuracy"] == pytest.approx(0.6)
    assert report["confidence"] == pytest.approx(0.75)
    assert sum(row["pixels"] for row in report["reliability"]) == report["pixels"] == 20
    assert report["retained"]["error"][-1] == pytest.approx(0.4)
    assert report["aurc_best"] <= report["aurc"] <= 0.4 + 1e-12
    empty = json.loads(json_text(Calibration().report()))
    assert (empty["pixels"], empty["ece"], empty["auroc"], empty["aurc"]) == (0, None, None, None)


def test_what_does_not_go_together() -> None:
    given: dict[str, Any] = {
        "probabilities": np.zeros((4, 5, 2)), "uncertainty": np.zeros((4, 5)), "mask": np.zeros((4, 5), int),
        "label": np.zeros((4, 5), int),
    }  # fmt: skip
    for name, wrong in (("probabilities", (4, 2)), ("uncertainty", (5, 4)), ("label", (4, 6))):
        with pytest.raises(DataError, match=f"{name}: expected the size of the mask"):
            Calibration().add(**{**given, name: np.zeros((*wrong, 2) if name == "probabilities" else wrong)})
    with pytest.raises(ValueError, match="divides 1500, got 7"):
        Calibration().reliability(bins=7)
