"""Whether a segmentation knows how far it can be trusted: the reliability diagram, and errors against what is retained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.errors import DataError
from ldseg.evaluation.calibration import best_retained
from ldseg.viz.canvas import MUTED
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREEN = (OKABE_ITO[name] for name in ("blue", "vermillion", "bluish green"))


def calibration_figure(report: dict[str, Any]) -> Figure:
    """Draws the reliability diagram with its counts, and the error against the retained fraction.

    Args:
        report: as `ldseg.evaluation.calibration.Calibration.report` gives it.

    Raises:
        DataError: there is no pixel in it.
    """
    if not report["pixels"]:
        raise DataError("calibration: expected at least one labelled case, got none")
    with style():
        figure = new_figure(9.0, 4.6, left=0.075, right=0.97, bottom=0.11, top=0.935, wspace=0.24, hspace=0.09)
        grid = figure.add_gridspec(2, 2, height_ratios=(3.2, 1.0))
        diagram = figure.add_subplot(grid[0, 0])
        _draw_reliability(diagram, report)
        _draw_counts(figure.add_subplot(grid[1, 0], sharex=diagram), report)
        _draw_retained(figure.add_subplot(grid[:, 1]), report)
    return figure


def _draw_reliability(axes: Axes, report: dict[str, Any]) -> None:
    rows = [row for row in report["reliability"] if row["pixels"]]
    above, up_to = (np.array([row[name] for row in rows]) for name in ("above", "up_to"))
    confidence, accuracy = (np.array([row[name] for row in rows]) for name in ("confidence", "accuracy"))
    width, middle = up_to - above, (up_to + above) / 2
    axes.bar(middle, accuracy, width, color=_BLUE, edgecolor="white", linewidth=0.8, label="right")
    axes.bar(
        middle, confidence - accuracy, width, accuracy, color="none", edgecolor=_RED, hatch="////", linewidth=0.8,
        label="gap to the confidence",
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="calibrated")
    axes.set(title=f"Reliability: ECE {_number(report['ece'])}", ylabel="share of pixels that is right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.tick_params(labelbottom=False)
    axes.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none")


def _draw_counts(axes: Axes, report: dict[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    rows = report["reliability"]
    share = np.array([row["pixels"] for row in rows]) / report["pixels"]
    middle = [(row["above"] + row["up_to"]) / 2 for row in rows]
    axes.bar(middle, share, 1 / len(rows), color=MUTED, edgecolor="white", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylim(share[share > 0].min() / 3, 2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.yaxis.set_minor_locator(NullLocator())
    cases = f"{report['cases']} case{'' if report['cases'] == 1 else 's'}"
    axes.set(xlabel=f"confidence ({report['pixels']:,} pixels of {cases})", ylabel="share")


def _draw_retained(axes: Axes, report: dict[str, Any]) -> None:
    from matplotlib.ticker import PercentFormatter

    fraction, error = (np.array(report["retained"][name]) for name in ("fraction", "error"))
    rate = float(error[-1])
    axes.plot(fraction, error, color=_BLUE, label="the most uncertain set aside first")
    best = best_retained(rate, fraction)
    axes.plot(fraction, best, color=_GREEN, linestyle=(0, (4, 2)), label="every error set aside first")
    axes.axhline(rate, color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)), label="set aside by chance")
    axes.set(
        title=f"Errors among what is kept: AUROC {_number(report['auroc'])}",
        xlabel="share of the pixels that is kept",
        ylabel="share of them that is wrong",
        xlim=(0, 1),
        ylim=(0, max(1.35 * max(rate, float(error.max())), 1e-6)),
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none")


def _number(value: float | None) -> str:
    return "does not exist" if value is None else f"{value:.3g}"
