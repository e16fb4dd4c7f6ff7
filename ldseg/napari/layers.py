"""From an image layer to a segmented case, and from that to layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ldseg.model import Model, load
from ldseg.result import Result
from ldseg.viz.style import CLASS_COLOURS, class_bytes

LayerData = tuple[Any, dict[str, Any], str]


@lru_cache(maxsize=2)
def model_of(name: str) -> Model:
    """Weights, which stay in memory for the next image."""
    return load(name)


def spacing_of(scale: Sequence[float], units: Sequence[Any]) -> tuple[float, ...] | None:
    """mm along each axis of a layer; None where its units are no lengths, such as pixels and seconds.

    Args:
        scale: of the layer.
        units: of its axes, of pint.
    """
    try:
        return tuple(float((step * unit).to("mm").magnitude) for step, unit in zip(scale, units, strict=True))
    except Exception:  # pint raises errors of its own
        return None


def segmented(layer: Any, weights: str, **settings: Any) -> list[LayerData]:
    """Segment an image layer.

    Args:
        layer: an image layer of napari; of a pyramid the full resolution is taken.
        weights: their name, or a folder.
        **settings: of ``Model.segment``.

    Returns:
        the layers of the result: the mask, its uncertainty and, of several samples, the mask of each.

    Raises:
        LDSegError: it cannot be segmented.
    """
    model = model_of(weights)
    values = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    rank = len(model.axes)
    spacing = spacing_of(layer.scale[-rank:], layer.units[-rank:])
    result = model.segment(values, name=layer.name, spacing=spacing, **settings)
    placed = {"scale": layer.scale[-rank:], "translate": layer.translate[-rank:], "units": layer.units[-rank:]}
    return layers_of(result, placed)


def layers_of(result: Result, placed: dict[str, Any]) -> list[LayerData]:
    """The layers of a result.

    Args:
        result: without a problem.
        placed: where they lie: scale, translate, units.
    """
    colours = class_bytes(len(result.classes), result.colours or CLASS_COLOURS)
    named: dict[int | None, Any] = {
        number: np.array([*colour, 255]) / 255 for number, colour in enumerate(colours) if number
    }
    look = {**placed, "colormap": {**named, 0: np.zeros(4), None: np.zeros(4)}}
    about = {"classes": list(result.classes), "warnings": list(result.warnings)}
    heat = {"colormap": "inferno", "contrast_limits": (0, 1), "blending": "additive", "opacity": 0.7, "visible": False}
    found: list[LayerData] = [(result.entropy, {**placed, **heat, "name": f"{result.name} uncertainty"}, "image")]
    if result.members is not None:
        own = {name: (1.0 if name == "scale" else 0.0, *value) for name, value in placed.items() if name != "units"}
        if "units" in placed:
            own["units"] = ("pixel", *placed["units"])
        members = {**own, "name": f"{result.name} members", "colormap": look["colormap"], "visible": False}
        found.append((result.members.astype(np.int32), members, "labels"))
    found.append((result.mask, {**look, "name": f"{result.name} mask", "metadata": about}, "labels"))
    return found
