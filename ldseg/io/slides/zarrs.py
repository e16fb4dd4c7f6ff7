"""Slides in OME-Zarr (NGFF 0.4 and 0.5), through zarr."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.base.text import times
from ldseg.io import apart
from ldseg.io.contract import Refused
from ldseg.io.slides.contract import Slide, check_planes, usable_microns
from ldseg.io.units import millimetres

ZARR_SLIDES = (".zarr",)
"""Extensions of the folders."""


class ZarrSlide(Slide):
    """A slide in a folder of OME-Zarr: its first multiscale image, of one plane, with its channels.

    Args:
        path: the folder.

    Raises:
        Refused: zarr is not installed, or an image that is not read.
        ValueError: a folder that is no OME-Zarr (and whatever zarr raises).
    """

    def __init__(self, path: Path) -> None:
        if importlib.util.find_spec("zarr") is None:
            raise Refused('OME-Zarr is read with zarr, which is not installed: pip install "ldseg[wsi]"')
        apart.needed()
        import zarr

        self.path = path
        group: Any = zarr.open_group(str(path), mode="r")
        said = dict(group.attrs)
        images = said.get("ome", said).get("multiscales")
        if not images:
            raise ValueError("it has no multiscales: expected one image of OME-Zarr, with its levels")
        image = images[0]
        letters = [axis["name"].lower() if isinstance(axis, dict) else str(axis) for axis in image.get("axes", "tczyx")]
        self._arrays = [group[level["path"]] for level in image["datasets"]]
        shapes = [dict(zip(letters, array.shape, strict=True)) for array in self._arrays]
        if not {"y", "x"} <= set(letters) or any(shapes[0][letter] > 1 for letter in letters if letter not in "yxc"):
            raise Refused(f"axes {''.join(letters)} of size {times(self._arrays[0].shape)}, expected one plane (y, x)")
        self._letters = letters
        self.sizes = tuple((shape["y"], shape["x"]) for shape in shapes)
        self.channels = shapes[0].get("c", 1)
        self.dtype = np.dtype(self._arrays[0].dtype)
        self.modalities = self.channels != 3 and self.channels > 1
        pieces = dict(zip(letters, self._arrays[0].chunks, strict=True))
        check_planes(self.channels, self.dtype, (pieces["y"], pieces["x"]))
        self.tiled = True
        self.microns = _microns(image, letters)

    def _window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        lengths = {"y": slice(top, top + height), "x": slice(left, left + width), "c": slice(None)}
        found = np.asarray(self._arrays[level][tuple(lengths.get(letter, 0) for letter in self._letters)])
        kept = [letter for letter in self._letters if letter in lengths]
        if "c" not in kept:
            return found.transpose([kept.index("y"), kept.index("x")])[..., np.newaxis]
        return np.ascontiguousarray(found.transpose([kept.index(letter) for letter in "yxc"]))


def _microns(image: dict[str, Any], letters: Sequence[str]) -> tuple[float, float] | None:
    """µm per pixel of the full resolution, by the scale of its level and the unit of its axes."""
    units = {axis["name"].lower(): axis.get("unit") for axis in image.get("axes", []) if isinstance(axis, dict)}
    steps = [1.0] * len(letters)
    said = False
    for change in (*image["datasets"][0].get("coordinateTransformations", []), *image.get("coordinateTransformations", [])):
        if change.get("type") == "scale":
            steps = [step * float(factor) for step, factor in zip(steps, change["scale"], strict=True)]
            said = True
    scales = [millimetres(str(units.get(axis))) for axis in "yx"]
    if not said or None in scales:
        return None
    y, x = (steps[letters.index(axis)] * scale * 1000 for axis, scale in zip("yx", scales, strict=True) if scale is not None)
    return usable_microns(y, x)
