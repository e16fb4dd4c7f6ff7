"""What the settings leave open, chosen from the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.errors import DataError
from ldseg.io.scans import read_scan
from ldseg.models import PRESETS, Preset
from ldseg.options import AUTO
from ldseg.spatial import AXES

OPEN: dict[str, object] = {
    "Data.Channels": "auto",
    "Data.Classes": (),
    "Data.Intensity": "auto",
    "Training.Augmentation": "auto",
    "Data.Size": (),
    "Data.Patch": (),
    "Model.Outline": AUTO,
}
"""What may be chosen from the data, and the value that leaves it open."""

LOOKED_AT = 32
"""Cases that are read to choose by."""

FRAMES = 8
POSITIONS = {"YX": 256 * 384, "TYX": 192 * 192, "ZYX": 64**3}
"""Positions along the axes of space that a grid chosen here has at most, about: what a batch of four needs of memory."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a sample of the cases is like.

    Attributes:
        sizes: lengths of each image along the axes of space and time.
        spacings: its spacing in mm along them, or None where the file knows none.
        channels: the most that an image has.
        eight_bits: whether all images are of 8 bits.
    """

    sizes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...] | None, ...]
    channels: int
    eight_bits: bool


def look(cases: Sequence[Case], axes: str) -> Seen:
    """Read every so-many-th of the cases, at most `LOOKED_AT`; those that cannot be read are passed over.

    Raises:
        DataError: if no case can be read.
    """
    sizes: list[tuple[int, ...]] = []
    spacings: list[tuple[float, ...] | None] = []
    channels, eight_bits = 0, True
    for case in cases[:: math.ceil(len(cases) / LOOKED_AT)]:
        try:
            scan = read_scan(case.image, axes, *case.channels)
        except DataError as error:
            problem = error
            continue
        sizes.append(tuple(scan.values.shape[:-1]))
        spacings.append(None if scan.geometry is None else tuple(scan.geometry.array_spacing))
        channels = max(channels, scan.values.shape[-1])
        eight_bits = eight_bits and scan.values.dtype == np.uint8
    if not sizes:
        raise problem
    return Seen(sizes=tuple(sizes), spacings=tuple(spacings), channels=channels, eight_bits=eight_bits)


def choose(
    config: Config, seen: Seen, before: Mapping[str, object] | None = None, preset: Preset | None = None
) -> tuple[Config, tuple[str, ...]]:
    """A value for everything that says ``auto`` or nothing and matters to a training.

    - ``Channels``: 3 if an image has colours, or as many as its modalities. ``Classes``: background, object.
    - ``Intensity``: dtype for images of 8 bits, percentile for others.
    - ``Augmentation``: histology for coloured 2D images, anatomy for others.
    - ``Size``: the median size of the cases, rounded up to what the networks stride over, scaled down where it has too
      many positions (`POSITIONS`), or cut down where cases are tiled; at most 8 frames. ``Patch``: the size.

    Args:
        config: the settings.
        seen: the data.
        before: what was chosen when the training began, by name, if it goes on: that stays, whatever the data are now.
        preset: networks of the user's own, in place of those that the settings name.

    Returns:
        the settings with nothing left open; what was chosen, a line each.
    """
    kept = {name: value for name, value in (before or {}).items() if config.value(name) == OPEN[name]}
    config = config.with_values(kept)
    data, axes = config.data, AXES[config.data.dimensions]
    chosen: dict[str, object] = {}
    channels = data.channels
    if channels == "auto":
        channels = chosen["Data.Channels"] = seen.channels
    if not data.classes:
        chosen["Data.Classes"] = ("background", "object")
    if data.intensity == "auto":
        chosen["Data.Intensity"] = "dtype" if seen.eight_bits else "percentile"
    if config.training.augmentation == "auto":
        chosen["Training.Augmentation"] = "histology" if axes == "YX" and channels == 3 else "anatomy"
    size = data.size
    if not size:
        whole = Preprocessing(size=(1,) * len(axes), axes=axes, fit="tile", spacing=data.spacing)
        grids = [whole.grid_of(*case) for case in zip(seen.sizes, seen.spacings, strict=True)]
        size = chosen["Data.Size"] = _size(np.median(grids, axis=0), axes, preset or PRESETS[config.model.preset], data.fit)
    if not data.patch:
        chosen["Data.Patch"] = size
    reasons = tuple(
        f"{name} = {', '.join(map(str, value)) if isinstance(value, tuple) else value} (chosen)"
        for name, value in chosen.items()
    )
    return config.with_values(chosen), reasons


def choose_outline(config: Config, numbered: bool, before: Mapping[str, object]) -> tuple[Config, tuple[str, ...]]:
    """``Model.Outline = auto``: True where labels number their objects, but for MedSegDiff, whose state would grow by it.

    Args:
        config: the settings, with what ``choose`` kept.
        numbered: whether the label of a case numbers its objects.
        before: what was chosen when the training began, if it goes on; one from before outlines were known has none.

    Returns:
        the settings; what was chosen, in a line, if it was.
    """
    if config.model.outline != AUTO:
        return config, ()
    wanted = numbered and not before and config.model.architecture != "MedSegDiff"
    reason = ("Model.Outline = True (chosen, as labels number their objects)",) if wanted else ()
    return config.with_values({"Model.Outline": str(wanted)}), reason


def _size(median: np.ndarray, axes: str, preset: Preset, fit: str) -> tuple[int, ...]:
    space = [index for index, axis in enumerate(axes) if axis != "T"]
    many = math.prod(float(median[index]) for index in space)
    scale = min(1.0, (POSITIONS[axes] / many) ** (1 / len(space)))
    multiple = preset.multiple[axes]
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
