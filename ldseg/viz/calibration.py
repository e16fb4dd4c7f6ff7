"""Whether a segmentation knows how far it can be trusted: the reliability diagram, and errors against what is retained."""

from __future__ import annotations

from typing import Any

import numpy as np

from ldseg.base.text import counted
from ldseg.errors import DataError
from ldseg.evaluation.calibration import best_retained
from ldseg.viz.canvas import MUTED, Canvas, Picture
from ldseg.viz.chart import Chart, keys, ticks
from ldseg.viz.style import OKABE_ITO

_BLUE, _RED, _GREEN = (OKABE_ITO[name] for name in ("blue", "vermillion", "bluish green"))
_LONG, _DOTS, _SHORT = (9.0, 7.0), (2.0, 6.0), (13.0, 7.0)
_LEFT, _WIDTH = 108, 540


def calibration_picture(report: dict[str, Any]) -> Picture:
    """The reliability diagram with its counts, and the error against the retained fraction.

    Args:
        report: as `ldseg.evaluation.calibration.Calibration.report` gives it.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: there is no pixel in it.
    """
    if not report["pixels"]:
        raise DataError("calibration: expected at least one labelled case, got none")
    paper = Canvas(1350, 690)
    _draw_reliability(paper, report)
    _draw_counts(paper, report)
    _draw_retained(paper, report)
    return paper.array()


def _draw_reliability(paper: Canvas, report: dict[str, Any]) -> None:
    chart = Chart(paper=paper, left=_LEFT, top=45, width=_WIDTH, height=415, x=(0, 1), y=(0, 1.02))
    shares = {value: f"{value:.1f}" for value in ticks(0, 1, 5)}
    title = f"Reliability: ECE {_number(report['ece'])}"
    chart.frame(dict.fromkeys(shares, ""), shares, title=title, beside="share of pixels that is right")
    for row in report["reliability"]:
        if row["pixels"]:
            ends, accuracy, confidence = (row["above"], row["up_to"]), row["accuracy"], row["confidence"]
            chart.bar(ends, (0, accuracy), _BLUE)
            chart.bar(ends, (accuracy, confidence), _RED, hatched=True)
    chart.line((0, 1), (0, 1), MUTED, 1, _LONG)
    entries = [
        ("calibrated", lambda x, y: paper.curve([x, x + 40], [y, y], MUTED, 1, dashes=_LONG)),
        ("right", lambda x, y: paper.box(x, y - 6, 40, 13, _BLUE)),
        ("gap to the confidence", lambda x, y: paper.hatch(x, y - 7, 40, 14, _RED)),
    ]
    keys(paper, chart.left + 18, chart.top + 25, entries, row=False)


def _draw_counts(paper: Canvas, report: dict[str, Any]) -> None:
    rows = report["reliability"]
    share = np.array([row["pixels"] for row in rows]) / report["pixels"]
    low = float(share[share > 0].min()) / 3
    chart = Chart(paper=paper, left=_LEFT, top=485, width=_WIDTH, height=130, x=(0, 1), y=(low, 2), log=True)
    powers = range(int(np.ceil(np.log10(low))), 1)
    shown = {10.0**k: f"{100 * 10.0**k:g}%" for k in list(powers)[:: -max(1, round(len(powers) / 3))]}
    below = f"confidence ({report['pixels']:,} pixels of {counted(report['cases'], 'case')})"
    chart.frame({value: f"{value:.1f}" for value in ticks(0, 1, 5)}, shown, below=below, beside="share")
    for row, part in zip(rows, share, strict=True):
        if part > 0:
            chart.bar((row["above"], row["up_to"]), (low, float(part)), MUTED)


def _draw_retained(paper: Canvas, report: dict[str, Any]) -> None:
    fraction, error = (np.array(report["retained"][name]) for name in ("fraction", "error"))
    rate = float(error[-1])
    top = max(1.35 * max(rate, float(error.max())), 1e-6)
    chart = Chart(paper=paper, left=785, top=45, width=530, height=570, x=(0, 1), y=(0, top))
    marked = ticks(0, top)
    digits = max(0, -int(np.floor(np.log10(100 * (marked[1] - marked[0])) + 1e-9)))
    chart.frame(
        {value: f"{100 * value:.0f}%" for value in ticks(0, 1, 5)},
        {value: f"{100 * value:.{digits}f}%" for value in marked},
        title=f"Errors among what is kept: AUROC {_number(report['auroc'])}",
        below="share of the pixels that is kept",
        beside="share of them that is wrong",
    )
    best = best_retained(rate, fraction)
    drawn = (
        ("the most uncertain set aside first", fraction, error, _BLUE, 3, None),
        ("every error set aside first", fraction, best, _GREEN, 3, _SHORT),
        ("set aside by chance", (0, 1), (rate, rate), MUTED, 1, _DOTS),
    )
    entries = []
    for name, x, y, colour, width, dashes in drawn:
        chart.line(x, y, colour, width, dashes)

        def sample(x: float, y: float, colour: str = colour, width: int = width, dashes: Any = dashes) -> None:
            paper.curve([x, x + 40], [y, y], colour, width, dashes=dashes)

        entries.append((name, sample))
    keys(paper, chart.left + 18, chart.top + 25, entries, row=False)


def _number(value: float | None) -> str:
    return "does not exist" if value is None else f"{value:.3g}"
