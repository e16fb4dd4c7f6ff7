"""The noise schedule with the steps that are taken."""

import numpy as np
import pytest

from ldseg import viz
from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas
from ldseg.viz.chart import Chart
from ldseg.viz.schedule import log_signal_to_noise


def test_the_curves_and_the_sampling_steps_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, marks, words = [], [], []
    write = Canvas.write
    monkeypatch.setattr(Chart, "line", lambda chart, x, y, *look: lines.append((np.asarray(x), np.asarray(y))))
    monkeypatch.setattr(Chart, "marks", lambda chart, x, y, colour: marks.append((np.asarray(x), np.asarray(y))))
    monkeypatch.setattr(Canvas, "write", lambda paper, x, y, text, *more, **how: words.append(text) or write(
        paper, x, y, text, *more, **how
    ))  # fmt: skip
    alpha_bar = np.linspace(1, 0, 101)  # infinite log-SNR at both ends
    viz.schedule_picture(alpha_bar, np.array([100, 60, 20, 0]), "cosine")
    curves = [values for _, values in lines if values.size == 101]
    np.testing.assert_allclose(curves[:3], [alpha_bar, np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)])
    np.testing.assert_array_equal(curves[3], log_signal_to_noise(alpha_bar))
    for steps, values in marks:
        np.testing.assert_array_equal(steps, [0, 20, 60, 100])
        assert values.size == 4
    assert {"Noise schedule: cosine", "3 sampling steps, T = 100", "as much noise as signal"} <= set(words)


def test_the_log_signal_to_noise_ratio_leaves_out_what_is_infinite() -> None:
    found = log_signal_to_noise(np.linspace(1, 0, 101))
    assert np.isnan(found[[0, -1]]).all() and found[50] == pytest.approx(0) and np.isfinite(found[1:-1]).all()


@pytest.mark.parametrize("timesteps", [1, 7, 1000])
def test_a_schedule_of_any_length(timesteps: int) -> None:
    picture = viz.schedule_picture(np.linspace(1, 0, timesteps + 1), [timesteps, 0], "linear")
    assert picture.dtype == np.uint8
    assert picture.std() > 10


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
        viz.schedule_picture(alpha_bar, grid, "cosine")
