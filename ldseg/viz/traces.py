"""The reverse diffusion of a segmented case, from the states that were kept of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ldseg.base.spatial import slice_name
from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import step_grid
from ldseg.inference import Engine, Segmented, TiledCase, classes_of
from ldseg.viz.diffusion import Trace
from ldseg.viz.style import CLASS_COLOURS

SHOWN = 480
"""Most pixels along a side of the masks of a reverse diffusion: more than any picture shows of them."""


def trace_of(item: Segmented, engine: Engine, preprocessing: Preprocessing, colours: Sequence[str] = ()) -> Trace:
    """The reverse diffusion of a case: its states, decoded by the engine.

    Of a case that is covered with several tiles, that of the middle one.

    Args:
        item: segmented, its states kept.
        engine: that segmented it.
        preprocessing: of the case.
        colours: of the classes, background first; nothing for those of `CLASS_COLOURS`.
    """
    assert item.loaded is not None
    assert item.states is not None
    tiled = TiledCase(item.loaded, preprocessing, engine, 0)  # for its tiling and image: the noise is not looked at
    image, steps = tiled.tile(tiled.middle)["image"], classes_of(engine.decode(item.states), engine.spec.outline)
    if len(tiled.tiling.starts) == 1:
        # Shown as it came; the masks, which are shown small, need not be as large as a large image.
        image, size = item.loaded.image, item.loaded.size
        scale = min(1.0, SHOWN / max(size[-2:]))
        size = (*size[:-2], *(max(round(scale * length), 1) for length in size[-2:]))
        steps = np.stack([preprocessing.probabilities_to_case(tiled.tiling.crop(step), size) for step in steps])
    return Trace(
        latents=item.states,
        masks=np.argmax(steps, axis=-1).astype(np.int32),
        times=step_grid(engine.spec.schedule.timesteps, engine.steps)[list(engine.kept)],
        image=image,
        colours=colours or CLASS_COLOURS,
        names=preprocessing.classes if len(preprocessing.classes) > 2 else None,
        slices=slice_name(preprocessing.axes),
        title=f"{item.case.name}: states of the diffusion, and the mask decoded from each",
    )
