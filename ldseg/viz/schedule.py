"""The noise schedule with the steps that are taken."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from ldseg.base.text import counted
from ldseg.errors import DataError
from ldseg.viz.canvas import MUTED, Canvas, Picture
from ldseg.viz.chart import Chart, keys, ticks
from ldseg.viz.style import OKABE_ITO

FloatArray = npt.NDArray[np.float64]


def schedule_picture(alpha_bar: npt.ArrayLike, grid: npt.ArrayLike, name: str) -> Picture:
    """alpha_bar, signal rate, noise rate and the log signal-to-noise ratio, sampling steps marked.

    signal rate = sqrt(alpha_bar), noise rate = sqrt(1 - alpha_bar), log-SNR = ln(alpha_bar / (1 - alpha_bar))
    (Kingma et al., Variational diffusion models, 2021). Points where the log-SNR is infinite are left out.

    Args:
        alpha_bar: (T+1,) in [0, 1]; index 0 is clean.
        grid: Integer (N+1,): the steps that the sampler visits, within 0..T, in any order.
        name: Name of the schedule, for the title.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: An array has another shape, or a value out of its range.
    """
    table, steps = np.asarray(alpha_bar, dtype=np.float64), np.asarray(grid)
    if table.ndim != 1 or table.size < 2 or not ((table >= 0) & (table <= 1)).all():
        raise DataError(f"alpha_bar: expected at least two values in [0, 1], got shape {table.shape}")
    last = table.size - 1
    if steps.ndim != 1 or steps.dtype.kind not in "iu" or (steps.size and (steps.min() < 0 or steps.max() > last)):
        raise DataError(f"grid: expected whole numbers in 0..{last}, got {steps.dtype} of shape {steps.shape}")
    visited, t = np.flatnonzero(np.bincount(steps.astype(np.intp))), np.arange(table.size)
    paper, edges = Canvas(1350, 555), (-0.03 * last, 1.03 * last)
    times = {value: f"{value:g}" for value in ticks(0, last, 5)}
    curves = {
        "ᾱₜ": (table, OKABE_ITO["blue"]),
        "signal rate √ᾱₜ": (np.sqrt(table), OKABE_ITO["bluish green"]),
        "noise rate √(1 − ᾱₜ)": (np.sqrt(1.0 - table), OKABE_ITO["vermillion"]),
    }
    left = Chart(paper=paper, left=68, top=45, width=660, height=390, x=edges, y=(-0.03, 1.03))
    shares = {value: f"{value:.1f}" for value in ticks(0, 1, 5)}
    left.frame(times, shares, title=f"Noise schedule: {name}", below="step t")
    for values, colour in curves.values():
        left.line(t, values, colour)
    for values, colour in curves.values():
        left.marks(visited, values[visited], colour)
    samples = [(words, partial(_dash, paper, colour)) for words, (_, colour) in curves.items()]
    keys(paper, 398, 523, samples, row=True)

    log_snr = log_signal_to_noise(table)
    there = log_snr[np.isfinite(log_snr)]
    low, high = (float(there.min()), float(there.max())) if there.size else (-1.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    right = Chart(paper=paper, left=805, top=45, width=520, height=390, x=edges, y=(low - margin, high + margin))
    ratios = {value: f"{value:g}".replace("-", "−") for value in ticks(*right.y)}
    right.frame(times, ratios, title="Log signal-to-noise ratio", below="step t")
    if right.y[0] < 0 < right.y[1]:
        right.line(edges, (0, 0), MUTED, 1, (8, 6))
        paper.write(
            float(right.across(last)), float(right.down(0)) - 9, "as much noise as signal", 16.7, anchor="rs", colour=MUTED
        )
    right.line(t, log_snr, OKABE_ITO["blue"])
    right.marks(visited, log_snr[visited], OKABE_ITO["blue"])
    words = f"{counted(max(visited.size - 1, 0), 'sampling step')}, T = {last}"
    keys(paper, 1065, 523, [(words, lambda x, y: paper.dots([x + 34], [y], MUTED, 4.6))], row=True)
    return paper.array()


def log_signal_to_noise(alpha_bar: FloatArray) -> FloatArray:
    """ln(alpha_bar / (1 - alpha_bar)); NaN where that is infinite."""
    out = np.full(alpha_bar.shape, np.nan)
    inside = (alpha_bar > 0) & (alpha_bar < 1)
    out[inside] = np.log(alpha_bar[inside]) - np.log1p(-alpha_bar[inside])
    return out


def _dash(paper: Canvas, colour: str, x: float, y: float) -> None:
    """The sample of a line in a legend."""
    paper.curve([x + 12, x + 42], [y, y], colour)
