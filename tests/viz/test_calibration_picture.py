"""The reliability diagram, and errors against what is retained."""

from typing import Any

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas


def _calibration(right: np.ndarray) -> Any:
    from ldseg.evaluation import Calibration

    confidence = np.linspace(0.5, 1, right.size, dtype=np.float32)
    found = Calibration()
    probabilities = np.stack([1 - confidence, confidence], axis=-1)
    found.add(probabilities, 1 - confidence, np.ones(right.size, int), right.astype(int))
    return found


def test_calibration_is_drawn_with_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []
    write = Canvas.write
    monkeypatch.setattr(Canvas, "write", lambda paper, x, y, text, *more, **how: words.append(text) or write(
        paper, x, y, text, *more, **how
    ))  # fmt: skip
    report = _calibration(np.random.default_rng(0).random(3000) < 0.8).report()
    picture = viz.calibration_picture(report)
    assert f"Reliability: ECE {report['ece']:.3g}" in words
    assert f"Errors among what is kept: AUROC {report['auroc']:.3g}" in words
    assert "confidence (3,000 pixels of 1 case)" in words
    assert picture.std() > 10


def test_calibration_without_an_error_or_without_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []
    monkeypatch.setattr(Canvas, "write", lambda paper, x, y, text, *more, **how: words.append(text))
    assert viz.calibration_picture(_calibration(np.ones(50, bool)).report()).size
    assert "Errors among what is kept: AUROC does not exist" in words
    from ldseg.evaluation import Calibration

    with pytest.raises(DataError, match="at least one labelled case"):
        viz.calibration_picture(Calibration().report())
