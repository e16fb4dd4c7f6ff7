"""The noise schedule and the curves of a training."""

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.figures import figure_to_array


def test_schedule_figure_shows_the_curves_and_the_sampling_steps() -> None:
    alpha_bar = np.linspace(1, 0, 101)  # infinite log-SNR at both ends
    grid = np.array([100, 60, 20, 0])
    figure = viz.schedule_figure(alpha_bar, grid, "cosine")
    left, right = figure.axes
    assert "cosine" in left.get_title(loc="left")
    curves = {len(line.get_xdata()): line for line in left.lines}
    np.testing.assert_array_equal(curves[4].get_xdata(), [0, 20, 60, 100])
    np.testing.assert_allclose(left.lines[2].get_ydata(), np.sqrt(alpha_bar))
    np.testing.assert_allclose(left.lines[4].get_ydata(), np.sqrt(1 - alpha_bar))
    log_snr = right.lines[0].get_ydata()
    assert np.isnan(log_snr[[0, -1]]).all() and log_snr[50] == pytest.approx(0) and np.isfinite(log_snr[1:-1]).all()
    assert "3 sampling steps" in right.get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
    ("alpha_bar", "grid", "words"),
    [
        ([1.0, 1.2], [1, 0], "alpha_bar"),
        ([1.0, 0.5], [2, 0], r"0\.\.1"),
        ([1.0, 0.5], [0.5], "whole numbers"),
    ],
)
def test_bad_schedules_are_named(alpha_bar: list, grid: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        viz.schedule_figure(alpha_bar, grid, "cosine")


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
    figure = viz.training_curves_figure([{"epoch": 1, "loss": 0.0}])
    assert [a.texts[0].get_text() for a in figure.axes] == ["no losses logged", "not validated yet"]
    assert figure_to_array(figure).shape[-1] == 3
    with pytest.raises(DataError, match="epoch"):
        viz.training_curves_figure([{"loss": 1.0}])
