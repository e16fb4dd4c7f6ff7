"""How much a mask depends on the state of the diffusion."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ldseg.base.options import STATES
from ldseg.errors import DataError
from ldseg.viz.conditions import draw_interval
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OWN = "own"
_LOOKS = [("blue", "o", "-"), ("bluish green", "^", "--"), ("vermillion", "v", "-."), ("reddish purple", "s", ":")]


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
        _draw(left, report, "foreground")
        left.set(title="Agreement with the label", ylabel="Dice")
        _draw(right, report, "agreement")
        right.set_title("Agreement with the mask from the own state")
        for axes in (left, right):
            axes.set_xlabel("time t of the state: from noise (left) to clean (right)")
            axes.invert_xaxis()
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, title="state that the denoiser is given")
    return figure


def _draw(axes: Axes, report: dict[str, Any], what: str) -> None:
    states = dict.fromkeys(row["state"] for row in report["conditions"])
    for state, (colour, marker, line) in zip(states, itertools.cycle(_LOOKS), strict=False):
        if what == "agreement" and state == _OWN:
            continue
        rows = [row for row in report["conditions"] if row["state"] == state]
        time = np.array([row["t"] for row in rows])
        look = {"color": OKABE_ITO[colour], "marker": marker, "linestyle": line}
        draw_interval(axes, time, [row[what] for row in rows], label=STATES.get(state, state), **look)
    axes.set_ylim(top=1.01)  # room for a marker, and no tick above 1
