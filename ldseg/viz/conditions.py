"""Dice of the same cases under several conditions: strengths of degradation, samplers and numbers of steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ldseg.base.options import DEGRADATIONS
from ldseg.base.text import counted
from ldseg.errors import DataError
from ldseg.evaluation import foreground
from ldseg.viz.canvas import MUTED
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_LOOKS = [
    {"color": OKABE_ITO[colour], "marker": marker, "linestyle": line, "markersize": 5}
    for colour, marker, line in (
        ("blue", "o", "-"),
        ("vermillion", "s", "--"),
        ("bluish green", "^", ":"),
        ("reddish purple", "D", "-."),
        ("orange", "v", "-"),
        ("sky blue", "P", "--"),
    )
]
_MEMORY = {"GPU": "Peak memory of the GPU", "process": "Memory on top of the network"}


def robustness_figure(report: Mapping[str, Any]) -> Figure:
    """Draws the Dice by strength of degradation for each class: mean, interval, and every case faint behind them.

    Args:
        report: as ``Robustness/<noise>.json`` holds it: ``noise``, ``classes`` and ``conditions``, each with ``sigma``,
            ``classes``, ``foreground`` and ``cases``.

    Raises:
        DataError: there is no condition in it.
    """
    rows, names = _conditions(report), list(report["classes"])
    sigmas = np.array([row["sigma"] for row in rows])
    panels = [(name, [row["classes"][name] for row in rows], index) for index, name in enumerate(names) if index]
    if len(panels) > 1:
        panels.append(("mean of the classes", [row["foreground"] for row in rows], 0))
    columns = min(len(panels), _COLUMNS)
    lines = math.ceil(len(panels) / columns)
    with style():
        figure = new_figure(max(6.5, 3.6 * columns), 0.9 + 3.2 * lines)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        cases = dict.fromkeys(case for row in rows for case in row["cases"])
        every = (score for row in rows for scores in row["cases"].values() for score in scores[1:])
        lowest = min((score for score in every if score is not None), default=0.0)
        ticks = _apart(sigmas.tolist())
        what = f"Dice as {DEGRADATIONS.get(report['noise'], report['noise'])} grows"
        for place, axes in enumerate(grid.flat):
            if place >= len(panels):
                axes.set_visible(False)
                continue
            name, figures, index = panels[place]
            for case in cases:
                scores = [_score(row["cases"].get(case), index) for row in rows]
                axes.plot(sigmas, scores, color=MUTED, alpha=0.35, linewidth=0.8, zorder=1.5)
            draw_interval(axes, sigmas, figures, color=OKABE_ITO["blue"], marker="o", markersize=4)
            last = place + columns >= len(panels)
            axes.set(title=name, xlabel="σ" if last else "", ylabel="" if place % columns else "Dice")
            axes.set_ylim(max(math.floor(10 * lowest - 0.5), 0) / 10 - 0.01, 1.01)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.tick_params(axis="x", labelrotation=45 if len(ticks) > 6 else 0, labelbottom=last)
        most = max(row["foreground"]["n"] for row in rows)
        axes = grid[0, 0]
        if len(panels) > 1:
            figure.suptitle(what, x=0.01, ha="left", fontweight="bold")
        else:
            axes.set_title(f"{panels[0][0]}: {what}")
        axes.plot([], [], color=MUTED, alpha=0.6, linewidth=0.8, label="each case")
        if _has_interval(rows):
            axes.fill_between([], [], [], color=OKABE_ITO["blue"], alpha=0.2, linewidth=0, label="95 % interval of the mean")
        axes.plot([], [], color=OKABE_ITO["blue"], marker="o", markersize=4, label=f"mean of {counted(most, 'case')}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def sweep_figure(report: Mapping[str, Any]) -> Figure:
    """Draws Dice, seconds and memory by the number of steps, a line for each sampler.

    Args:
        report: as ``Sweep/sweep.json`` holds it: ``memory_of`` and ``conditions``, each with ``sampler``, ``steps``,
            ``foreground``, ``seconds`` and ``memory``.

    Raises:
        DataError: there is no condition in it.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    rows = _conditions(report)
    steps = sorted({row["steps"] for row in rows})
    with style():
        figure = new_figure(11.0, 4.0)
        quality, time, memory = figure.subplots(1, 3)
        samplers = list(dict.fromkeys(row["sampler"] for row in rows))
        for index, (sampler, look) in enumerate(zip(samplers, itertools.cycle(_LOOKS), strict=False)):
            own = [row for row in rows if row["sampler"] == sampler]
            aside = index - (len(samplers) - 1) / 2
            count = np.array([row["steps"] for row in own])
            mean, low, high = _interval([row["foreground"] for row in own])
            # Side by side, so that the intervals do not hide each other.
            quality.errorbar(
                count * 1.05**aside, mean, (mean - low, high - mean), label=sampler, capsize=2.5, elinewidth=1, **look
            )
            time.plot(count, _floats(row["seconds"] for row in own), **look)
            memory.plot(count, _floats(row["memory"] for row in own) / 2**20, **look)
        quality.set(title="Dice, with 95 % interval" if _has_interval(rows) else "Dice")
        time.set_title("Seconds for a case")
        memory.set_title(f"{_MEMORY[report['memory_of']]} (MB)")
        for axes in (time, memory):
            axes.set_ylim(0, 1.1 * axes.dataLim.ymax if axes.dataLim.ymax > 0 else 1)
        for axes in (quality, time, memory):
            axes.set_xscale("log")
            axes.set_xlabel("sampling steps")
            axes.xaxis.set_major_locator(FixedLocator(steps))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(steps, [f"{count:g}" for count in steps])
        figure.legend(*quality.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(samplers), 6))
    return figure


def draw_interval(axes: Axes, x: npt.NDArray, figures: Sequence[Mapping[str, Any]], *, color: str, **look: Any) -> None:
    """Draws means and intervals, as ``ldseg.evaluation.conditions.dice_figures`` gives them; gaps where there are none."""
    mean, low, high = _interval(figures)
    axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=color, **look)


def _apart(values: Sequence[float]) -> list[float]:
    """Those of ascending values that stand far enough apart for a label at each: about twelve fit."""
    found: list[float] = []
    for value in values:
        if not found or value - found[-1] > 0.99 * (values[-1] - values[0]) / 12:
            found.append(value)
    return found


def _has_interval(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there is an interval under any condition: of few cases there is none."""
    return any(row["foreground"]["interval"][0] is not None for row in rows)


def _interval(figures: Sequence[Mapping[str, Any]]) -> Sequence[npt.NDArray[np.float64]]:
    """Means and the lower and upper ends of their intervals, NaN where there are none."""
    return [_floats(column) for column in zip(*((f["mean"], *f["interval"]) for f in figures), strict=True)]


def _floats(values: Any) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _score(row: Sequence[float | None] | None, index: int) -> float:
    """A case's Dice of a class; of the foreground at index 0, which is the background's."""
    scores = _floats(row or []).tolist()
    return foreground(scores) if not index or not scores else scores[index]


def _conditions(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not report["conditions"]:
        raise DataError("conditions: expected at least one, got none")
    return list(report["conditions"])
