"""How much a mask depends on the state of the diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.errors import DataError
from ldseg.viz.conditions import draw_interval
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "own": ("the run's own", "blue", "o", "-"),
    "true": ("from the true label", "bluish green", "^", "--"),
    "other": ("from another case's label", "vermillion", "v", "-."),
    "noise": ("noise alone, new at every step", "reddish purple", "s", ":"),
}


def audit_figure(report: dict[str, Any]) -> Figure:
    """Draws the Dice of the masks by time for each state, with intervals, and how far they are the same masks.

    Args:
        report: as ``ldseg.cli.audit`` writes it: ``conditions`` with ``t``, ``state``, ``foreground`` and ``agreement``.

    Raises:
        DataError: there is no condition in it.
    """
    if not report["conditions"]:
        raise DataError("state audit: expected at least one step, got none")
    with style():
        figure = new_figure(9.0, 4.2)
        left, right = figure.subplots(1, 2, sharey=True)
        _draw(left, report, "foreground", list(_LOOKS))
        left.set(title="Agreement with the label", ylabel="Dice")
        _draw(right, report, "agreement", [state for state in _LOOKS if state != "own"])
        right.set_title("Agreement with the mask from the own state")
        for axes in (left, right):
            axes.set_xlabel("time t of the state: from noise (left) to clean (right)")
            axes.invert_xaxis()
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, title="state that the denoiser is given")
    return figure


def _draw(axes: Axes, report: dict[str, Any], what: str, states: list[str]) -> None:
    for state in states:
        label, colour, marker, line = _LOOKS[state]
        rows = [row for row in report["conditions"] if row["state"] == state]
        time = np.array([row["t"] for row in rows])
        figures = [row[what] for row in rows]
        draw_interval(axes, time, figures, color=OKABE_ITO[colour], marker=marker, linestyle=line, label=label)
    axes.set_ylim(top=1.02)
