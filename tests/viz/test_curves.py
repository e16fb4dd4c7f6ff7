"""The curves of a training."""

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.figures import figure_to_array


def test_training_curves_read_a_log_with_gaps() -> None:
    rows = [
        {"epoch": "1", "loss": "2.0", "diffusion": "1.0", "learning_rate": "0.001", "val_dice": ""},
        {"epoch": "2", "loss": "nan", "diffusion": "0.5", "learning_rate": "0.001", "val_dice": "0.7"},
        {"epoch": "3", "loss": "0.5", "diffusion": None, "learning_rate": "0.001", "val_dice": "0.9"},
        {"epoch": "4", "loss": "0.4", "val_dice": "nan", "note": "resumed"},
        {"epoch": "4", "loss": "0.3", "val_dice": "0.8"},
    ]
    left, right = viz.training_curves_figure(rows).axes
    drawn = {str(line.get_label()): line for line in left.lines}
    assert list(drawn) == ["loss", "diffusion"] and left.get_yscale() == "log"
    np.testing.assert_array_equal(drawn["loss"].get_xdata(), [1, 3, 4])
    np.testing.assert_array_equal(drawn["loss"].get_ydata(), [2.0, 0.5, 0.3])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0.7, 0.9, 0.8])
    assert right.get_legend().get_texts()[0].get_text() == "best: 0.9000 at epoch 3"


def test_long_curves_are_smoothed_without_a_shift() -> None:
    rng = np.random.default_rng(0)
    rows = [{"epoch": e, "loss": float(np.exp(0.3 * rng.standard_normal()))} for e in range(400)]
    raw, calm = viz.training_curves_figure(rows).axes[0].lines
    assert np.log(calm.get_ydata()).std() < 0.5 * np.log(raw.get_ydata()).std()
    assert np.log(calm.get_ydata()).mean() == pytest.approx(np.log(raw.get_ydata()).mean(), abs=0.02)


def test_an_early_log_still_makes_a_figure() -> None:
    within = [
        {"epoch": 1, "loss": 2.0, "val_dice": 0.4},
        {"epoch": 1, "loss": 1.9},
        {"epoch": 2, "loss": 1.8, "val_dice": 0.5},
    ]
    left, right = viz.training_curves_figure(within).axes
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0.4, 0.5])
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [1.9, 1.8])
    first = viz.training_curves_figure([{"epoch": 1, "loss": 2.0, "val_dice": 0.4}])
    assert first.axes[0].lines[0].get_marker() == "o"  # a line of one point shows nothing
    assert [tick for tick in first.axes[0].get_xticks() if 0.5 < tick < 1.5] == [1]
    figure = viz.training_curves_figure([{"epoch": 1, "loss": 0.0}])
    assert [a.texts[0].get_text() for a in figure.axes] == ["no losses logged", "not validated yet"]
    assert figure_to_array(figure).shape[-1] == 3
    with pytest.raises(DataError, match="epoch"):
        viz.training_curves_figure([{"loss": 1.0}])
