"""How the measurements of objects are distributed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ldseg.errors import DataError
from ldseg.viz.figures import new_figure, style
from ldseg.viz.style import CLASS_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZES = {"area": 2, "volume": 3, "perimeter": 1, "surface": 2}
"""Columns with a unit, and its power."""
_SHARES = ("eccentricity", "solidity", "mean_uncertainty")
_UNITS = {"um": "µm"}
_BINS, _COLUMNS = 24, 3


def objects_figure(rows: Sequence[Mapping[str, str]], classes: Sequence[str], colours: Sequence[str] = ()) -> Figure:
    """Histograms of size, shape, intensity and uncertainty of objects, a colour for each class.

    Args:
        rows: of ``objects.csv``, by the names of its columns.
        classes: names of the classes, background first.
        colours: of the classes; nothing for `CLASS_COLOURS`.

    Raises:
        DataError: there is no object in it.
    """
    if not rows:
        raise DataError("objects: expected at least one object, got none")
    palette = colours or CLASS_COLOURS
    hues = {name: palette[1 + place % (len(palette) - 1)] for place, name in enumerate(classes[1:])}
    unit, _ = Counter(row["unit"] for row in rows).most_common(1)[0]
    intensities = [name for name in rows[0] if name.startswith("mean_intensity")]
    names = [name for name in (*_SIZES, *_SHARES, *intensities) if name in rows[0]]
    with style():
        lines = math.ceil(len(names) / _COLUMNS)
        figure = new_figure(3.6 * _COLUMNS, 0.5 + 2.6 * lines)
        panels = list(figure.subplots(lines, _COLUMNS, squeeze=False).flat)
        for panel, name in zip(panels, names, strict=False):
            used = [row for row in rows if name not in _SIZES or row["unit"] == unit]
            _draw(panel, name, used, hues)
            panel.yaxis.get_major_locator().set_params(integer=True)
            panel.set_title(name.replace("_", " ").capitalize())
            panel.set_xlabel(_label(name, unit, len(used), len(rows)))
        for panel in panels[len(names) :]:
            panel.set_visible(False)
        panels[0].set_ylabel("objects")
        panels[0].legend()
    return figure


def _draw(panel: Axes, name: str, rows: Sequence[Mapping[str, str]], hues: Mapping[str, str]) -> None:
    values = {of: _numbers(row[name] for row in rows if row["class"] == of) for of in hues}
    every = np.concatenate([*values.values(), np.zeros(0)])
    if not every.size:
        return
    low, high = float(every.min()), float(every.max())
    if name in ("area", "volume") and low > 0 and high > 20 * low:  # sizes spread over powers of ten
        panel.set_xscale("log")
        edges = np.geomspace(low, high, _BINS + 1)
    else:
        low, high = (0.0, 1.0) if name in _SHARES and high <= 1 else (low, max(high, low + 1e-6))
        edges = np.linspace(low, high, _BINS + 1)
    for of, found in values.items():
        if found.size:
            label = f"{of}: {found.size:,}, median {np.median(found):.4g}"
            panel.hist(found, bins=edges.tolist(), color=hues[of], alpha=0.45, label=label)
            panel.hist(found, bins=edges.tolist(), color=hues[of], histtype="step", linewidth=1.2)
            panel.axvline(float(np.median(found)), color=hues[of], linestyle="--", linewidth=1.0)


def _numbers(fields: Iterable[str]) -> np.ndarray:
    return np.array([float(field) for field in fields if field], float)


def _label(name: str, unit: str, used: int, every: int) -> str:
    if name not in _SIZES:
        return ""
    power = {1: "", 2: "²", 3: "³"}[_SIZES[name]]
    shown = _UNITS.get(unit, unit) + power
    return shown if used == every else f"{shown} ({used:,} of {every:,} objects)"
