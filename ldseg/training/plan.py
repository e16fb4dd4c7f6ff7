"""What the settings leave open, chosen from the data."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.scans import read_scan
from ldseg.models import PRESETS
from ldseg.spatial import AXES

logger = logging.getLogger(__name__)

OPEN: dict[str, object] = {
    "Data.Channels": "auto",
    "Data.Classes": (),
    "Data.Intensity": "auto",
    "Training.Augmentation": "auto",
    "Data.Size": (),
    "Data.Patch": (),
}
"""What may be chosen from the data, and the value that leaves it open."""

LOOKED_AT = 32
"""Cases that are read to choose by."""

FRAMES = 8
POSITIONS = {"YX": 256 * 384, "TYX": 192 * 192, "ZYX": 64**3}
"""Positions along the axes of space that a grid chosen here has at most, about: what a batch of four needs of memory."""


def choose(config: Config, cases: Sequence[Case], before: Mapping[str, object] | None = None) -> Config:
    """The settings with a value for everything that says ``auto`` or nothing and matters to a training.

    - ``Channels``: 3 if an image has colours, or as many as its modalities. ``Classes``: background, object.
    - ``Intensity``: dtype for images of 8 bits, percentile for others.
    - ``Augmentation``: histology for coloured 2D images, anatomy for others.
    - ``Size``: the median size of the cases, rounded up to what the networks stride over, scaled down where it has too
      many positions (`POSITIONS`), or cut down where cases are tiled; at most 8 frames. ``Patch``: the size.

    Args:
        config: the settings.
        cases: the data.
        before: what was chosen when the training began, by name, if it goes on: that stays, whatever the data are now.

    Raises:
        DataError: if no case can be read.
    """
    kept = {name: value for name, value in (before or {}).items() if config.value(name) == OPEN[name]}
    config = config.with_values(kept)
    data, axes = config.data, AXES[config.data.dimensions]
    scans = []
    for case in cases[:: math.ceil(len(cases) / LOOKED_AT)]:
        try:
            scans.append(read_scan(case.image, axes, *case.channels))
        except DataError as error:
            problem = error
    if not scans:
        raise problem
    chosen: dict[str, object] = {}
    channels = data.channels
    if channels == "auto":
        channels = chosen["Data.Channels"] = max(scan.values.shape[-1] for scan in scans)
    if not data.classes:
        chosen["Data.Classes"] = ("background", "object")
    if data.intensity == "auto":
        chosen["Data.Intensity"] = "dtype" if all(scan.values.dtype == np.uint8 for scan in scans) else "percentile"
    if config.training.augmentation == "auto":
        chosen["Training.Augmentation"] = "histology" if axes == "YX" and channels == 3 else "anatomy"
    size = data.size
    if not size:
        whole = Preprocessing(size=(1,) * len(axes), axes=axes, fit="tile", spacing=data.spacing)
        grids = [
            whole.grid_of(scan.values.shape[:-1], None if scan.geometry is None else scan.geometry.array_spacing)
            for scan in scans
        ]
        size = chosen["Data.Size"] = _size(np.median(grids, axis=0), axes, config.model.preset, data.fit)
    if not data.patch:
        chosen["Data.Patch"] = size
    for name, value in chosen.items():
        logger.info("%s = %s (chosen)", name, ", ".join(map(str, value)) if isinstance(value, tuple) else value)
    return config.with_values(chosen)


def _size(median: np.ndarray, axes: str, preset: str, fit: str) -> tuple[int, ...]:
    space = [index for index, axis in enumerate(axes) if axis != "T"]
    many = math.prod(float(median[index]) for index in space)
    scale = min(1.0, (POSITIONS[axes] / many) ** (1 / len(space)))
    multiple = PRESETS[preset].multiple[axes]
    most = POSITIONS[axes] ** (1 / len(space)) // multiple * multiple
    size = []
    for index, axis in enumerate(axes):
        length = float(median[index])
        if axis == "T":
            size.append(min(FRAMES, math.ceil(length)))
        else:
            # A tenth of a multiple too long is nearer to the multiple below.
            rounded = max(1, math.ceil((length if fit == "tile" else length * scale) / multiple - 0.1)) * multiple
            size.append(int(min(rounded, most)) if fit == "tile" else rounded)
    return tuple(size)
