"""Axes on a canvas: where values lie, and what is drawn there."""

from typing import Any

import numpy as np
import pytest

from ldseg.viz.canvas import Canvas
from ldseg.viz.chart import Chart, ticks

RED = "#FF0000"


def a_chart(**more: Any) -> Chart:
    return Chart(
        **{"paper": Canvas(300, 200), "left": 50, "top": 20, "width": 200, "height": 100, "x": (0, 10), "y": (0, 1), **more}
    )


def red(chart: Chart) -> np.ndarray:
    """Rows and columns of what is more red than white or gray."""
    found = chart.paper.array().astype(int)
    return np.argwhere(found[..., 0] - found[..., 1] > 128)


def test_values_have_their_places() -> None:
    chart = a_chart()
    np.testing.assert_allclose(chart.across([0, 5, 10]), [50, 150, 250])
    np.testing.assert_allclose(chart.down([0, 0.25, 1]), [120, 95, 20])
    np.testing.assert_allclose(a_chart(y=(0.01, 1), log=True).down([0.01, 0.1, 1]), [120, 70, 20])


def test_a_line_runs_through_its_points_and_skips_what_is_not_finite() -> None:
    chart = a_chart()
    chart.line([0, 5, 7, 10], [0.5, 0.5, np.nan, 0.5], RED)
    rows, columns = red(chart).T
    assert abs(rows.mean() - 70) < 1 and rows.max() - rows.min() < 5
    assert columns.min() <= 51 and columns.max() >= 249


def test_dashes_have_gaps() -> None:
    whole, parts = a_chart(), a_chart()
    whole.line([0, 10], [0.5, 0.5], RED)
    parts.line([0, 10], [0.5, 0.5], RED, 3, (10, 10))
    share = len(red(parts)) / len(red(whole))
    assert 0.45 < share < 0.8


def test_bars_and_marks_cover_their_values() -> None:
    chart = a_chart()
    chart.bar((2, 4), (0, 0.5), RED)
    rows, columns = red(chart).T
    assert (rows.min(), rows.max()) == (70, 119) and (columns.min(), columns.max()) == (91, 128)
    for values in ((0.5, 0.5), (0.5, 0.501)):  # nothing to see, and next to nothing
        empty = a_chart()
        empty.bar((2, 4), values, RED)
        empty.bar((2, 2.01), (0, 1), RED)
        assert not len(red(empty))
    hatched = a_chart()
    hatched.bar((2, 4), (0, 0.5), RED, hatched=True)
    assert 0.05 < len(red(hatched)) / len(red(chart)) < 0.6
    dots = a_chart()
    dots.marks([5.0, np.nan], [0.5, 0.5], RED)
    assert np.abs(red(dots).mean(axis=0) - (70, 150)).max() < 1


def test_the_frame_says_what_the_axes_are() -> None:
    chart = a_chart()
    before = chart.paper.array().copy()
    chart.frame({0: "0", 10: "10"}, {0: "0", 1: "1"}, title="Title", below="x", beside="y")
    drawn = np.abs(chart.paper.array().astype(int) - before).max(-1) > 60
    assert drawn[:18].any() and drawn[165:].any() and drawn[:, :20].any()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 1000, [0, 200, 400, 600, 800, 1000]), (-13, 13, [-10, -5, 0, 5, 10])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5 if low == 0 else 6) == pytest.approx(expected)


def test_there_are_always_some_ticks() -> None:
    rng = np.random.default_rng(0)
    for low, span in zip(
        rng.normal(size=200) * 10.0 ** rng.integers(-6, 6, 200), 10.0 ** rng.uniform(-6, 6, 200), strict=True
    ):
        assert 2 <= len(ticks(low, low + span)) <= 7
