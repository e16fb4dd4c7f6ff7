"""The reliability diagram, and errors against what is retained."""

from typing import Any

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.figures import figure_to_array


def _calibration(right: np.ndarray) -> Any:
    from ldseg.evaluation import Calibration

    confidence = np.linspace(0.5, 1, right.size, dtype=np.float32)
    found = Calibration()
    probabilities = np.stack([1 - confidence, confidence], axis=-1)
    found.add(probabilities, 1 - confidence, np.ones(right.size, int), right.astype(int))
    return found


def test_calibration_is_drawn_with_its_figures() -> None:
    report = _calibration(np.random.default_rng(0).random(3000) < 0.8).report()
    figure = viz.calibration_figure(report)
    titles = " ".join(axes.get_title(loc="left") for axes in figure.axes)
    assert f"ECE {report['ece']:.3g}" in titles
    assert f"AUROC {report['auroc']:.3g}" in titles
    assert any("3,000 pixels of 1 case" in axes.get_xlabel() for axes in figure.axes)
    assert figure_to_array(figure).std() > 10


def test_calibration_without_an_error_or_without_a_case() -> None:
    perfect = viz.calibration_figure(_calibration(np.ones(50, bool)).report())
    assert any("AUROC does not exist" in axes.get_title(loc="left") for axes in perfect.axes)
    assert figure_to_array(perfect).size
    from ldseg.evaluation import Calibration

    with pytest.raises(DataError, match="at least one labelled case"):
        viz.calibration_figure(Calibration().report())
