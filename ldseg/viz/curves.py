"""How a training went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.viz.canvas import INK, MUTED
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import OKABE_ITO

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

_LINES = tuple(OKABE_ITO[n] for n in ("blue", "vermillion", "bluish green", "reddish purple", "orange", "sky blue"))
_NOT_LOSSES = frozenset(("epoch", "lr", "rate", "seconds", "time", "step", "steps", "update", "updates", "best"))
_SMOOTH_FROM = 60  # rows; shorter curves are drawn as they are


def _legend_below(axes: Axes, columns: int) -> None:
    """Below the axes no curve can run through it."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, columnspacing=1.4, handlelength=1.4)


def training_curves_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the losses (logarithmic axis) and the sampled validation Dice, its best value marked.

    Args:
        rows: One mapping per epoch, as in the training's CSV log: `epoch`, the losses, and `val_dice` on the
            epochs that were validated. Values are numbers or text; missing, empty and NaN values leave gaps.
            Of several rows for one epoch (resumed, or validated within) the last value of each key counts.
            Losses are all numeric keys except epoch, `val_...`, and keys that speak of the learning rate or of time.

    Raises:
        DataError: No row has a number as its epoch.
    """
    from matplotlib.ticker import MaxNLocator

    by_epoch: dict[float, dict[str, Any]] = {}
    for row in rows:
        if math.isfinite(e := _number(row.get("epoch"))):
            # One that was validated within has a row without scores at its end.
            by_epoch.setdefault(e, {}).update({k: v for k, v in row.items() if math.isfinite(_number(v))})
    if not by_epoch:
        raise DataError("training log: expected rows with a numeric 'epoch', got none")
    epochs = np.array(sorted(by_epoch))
    ordered = [by_epoch[e] for e in epochs]
    names = _loss_names(ordered)
    with style():
        figure = new_figure(9.0, 3.8)
        left, right = figure.subplots(1, 2)
        _draw_losses(left, epochs, {n: _column(ordered, n) for n in names})
        _draw_dice(right, epochs, _column(ordered, "val_dice"))
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
            pad = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
            axes.set_xlim(epochs[0] - pad, epochs[-1] + pad)
    return figure


def _draw_losses(axes: Axes, epochs: FloatArray, columns: Mapping[str, FloatArray]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    from scipy import ndimage  # drawn after each validation of a training, and nowhere else

    axes.set_title("Training losses")
    drawn = 0
    for k, (name, values) in enumerate(columns.items()):
        seen = np.isfinite(values) & (values > 0)
        if not seen.any():
            continue
        colour = INK if name == "loss" else _LINES[k % len(_LINES)]
        smooth = np.count_nonzero(seen) >= _SMOOTH_FROM
        axes.plot(
            epochs[seen],
            values[seen],
            color=colour,
            alpha=0.25 if smooth else 1.0,
            linewidth=0.8 if smooth else 1.8,
            marker="o" if np.count_nonzero(seen) == 1 else None,  # one point is no line
            markersize=4,
            label=None if smooth else _readable(name),
        )
        if smooth:
            # In the logarithm, as the axis is: the line then runs through the middle of what is seen.
            width = max(np.count_nonzero(seen) / 100, 1.0)
            calm = np.exp(ndimage.gaussian_filter1d(np.log(values[seen]), width, mode="nearest"))
            axes.plot(epochs[seen], calm, color=colour, label=_readable(name))
        drawn += 1
    if not drawn:
        _say_nothing(axes, "no losses logged")
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    _legend_below(axes, min(drawn, 4))


def _draw_dice(axes: Axes, epochs: FloatArray, values: FloatArray) -> None:
    axes.set_title("Sampled validation Dice")
    seen = np.isfinite(values)
    if not seen.any():
        _say_nothing(axes, "not validated yet")
        return
    x, y = epochs[seen], values[seen]
    best = int(np.argmax(y))
    axes.plot(x, y, color=_LINES[2], marker="o" if x.size <= 40 else None, markersize=4)
    axes.plot(
        x[best],
        y[best],
        marker="*",
        markersize=15,
        color=OKABE_ITO["orange"],
        markeredgecolor="white",
        linestyle="none",
        zorder=4,
        label=f"best: {y[best]:.4f} at epoch {x[best]:g}",
    )
    axes.set_ylim(max(0.0, y.min() - 0.05), min(1.0, y.max() + 0.05))
    _legend_below(axes, 1)


def _say_nothing(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_yticks([])


def _loss_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(key for row in rows for key in row if isinstance(key, str) and not _is_other(key))
    kept = [n for n in names if np.isfinite(_column(rows, n)).any()]
    return sorted(kept, key=lambda n: n != "loss")  # the total first, the terms in their own order


def _is_other(key: str) -> bool:
    words = key.lower()
    return words.startswith("val_") or any(w in words.split("_") for w in _NOT_LOSSES)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> FloatArray:
    return np.array([_number(row.get(name)) for row in rows], dtype=np.float64)


def _number(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError):
        return math.nan


def _readable(name: str) -> str:
    return name.replace("_", " ")
