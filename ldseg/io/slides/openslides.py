"""Slides of other makers through OpenSlide: MIRAX, Hamamatsu VMS, Sakura, Trestle, DICOM slides it knows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.io import apart
from ldseg.io.contract import Refused
from ldseg.io.slides.contract import Slide, usable_microns

OTHER_SLIDES = (".mrxs", ".vms", ".vmu", ".svslide")
"""Extensions of slides that OpenSlide alone reads."""


class OpenSlideSlide(Slide):
    """A slide that OpenSlide reads; where nothing was scanned it is white.

    Args:
        path: the file.

    Raises:
        Refused: OpenSlide is not installed.
    """

    def __init__(self, path: Path) -> None:
        if importlib.util.find_spec("openslide") is None:
            raise Refused('such slides are read with OpenSlide, which is not installed: pip install "ldseg[wsi]"')
        apart.needed()
        import openslide

        self.path = path
        self._slide: Any = openslide.OpenSlide(str(path))
        self.sizes = tuple((height, width) for width, height in self._slide.level_dimensions)
        self.channels, self.dtype, self.tiled = 3, np.dtype(np.uint8), True
        said = self._slide.properties
        y, x = (said.get(f"openslide.mpp-{axis}") for axis in "yx")
        self.microns = usable_microns(float(y), float(x)) if y and x else None

    def _window(self, level: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        full, own = self.sizes[0], self.sizes[level]
        # OpenSlide takes the place on the full resolution, and the size on the level.
        place = round(left * full[1] / own[1]), round(top * full[0] / own[0])
        pixels = np.asarray(self._slide.read_region(place, level, (width, height)))
        alpha = pixels[..., 3:].astype(np.uint16)
        return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()
