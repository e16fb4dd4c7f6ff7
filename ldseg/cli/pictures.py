"""The pictures of a segmented case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import step_grid
from ldseg.inference import Engine, Segmented, TiledCase
from ldseg.spatial import slice_name
from ldseg.viz import (
    CLASS_COLOURS,
    TRUE_COLOUR,
    cine_figure,
    cine_gif,
    legend,
    overlay,
    reverse_diffusion_figure,
    reverse_diffusion_gif,
    save_figure,
    save_image,
    slices_gif,
    volume_figure,
)
from ldseg.writing import remove


def draw_overlay(
    folder: Path, item: Segmented, mask: np.ndarray, axes: str, names: Sequence[str], colours: Sequence[str]
) -> None:
    """The image with its mask over it, and with the outline of the label where there is one.

    ``<case>_overlay.png``: a picture as it is, three planes of a volume, frames of a film with the areas over time.
    ``<case>_overlay.gif``: a volume slice by slice, a film in time.
    """
    assert item.loaded is not None
    path = folder / f"{item.case.name}_overlay.png"
    colours = colours or CLASS_COLOURS
    image, label = item.loaded.image, item.loaded.label
    if axes == "YX":
        picture = overlay(image, mask, true=item.loaded.outlined, colours=colours)
        if len(names) > 2:
            picture = legend(picture, names, colours, true_colour=None if label is None else TRUE_COLOUR)
        save_image(picture, path)
        return
    figure, animation = (volume_figure, slices_gif) if axes == "ZYX" else (cine_figure, cine_gif)
    common: dict[str, Any] = {"true": label, "spacing": item.loaded.spacing, "colours": colours, "names": names}
    save_figure(figure(image, mask, title=item.case.name, **common), path)
    animation(path.with_suffix(".gif"), image, mask, **common)


def remove_diffusion(folder: Path, name: str) -> None:
    """Remove what `draw_diffusion` wrote of a case in an earlier run: it does not belong to the mask of this one."""
    for suffix in (".png", ".gif"):
        remove(_diffusion_path(folder, name, suffix))


def draw_diffusion(
    folder: Path,
    item: Segmented,
    predictor: Engine,
    preprocessing: Preprocessing,
    seed: int,
    names: Sequence[str],
    colours: Sequence[str],
) -> None:
    """The reverse diffusion of a case, as a picture and as a GIF: latent and decoded mask, step by step.

    Of a case that is covered with several tiles, the middle one is drawn.
    """
    assert item.loaded is not None
    assert item.states is not None
    tiled = TiledCase(item.loaded, preprocessing, predictor, seed)
    image, steps = tiled.tile(tiled.middle)["image"], predictor.decode(item.states)
    if len(tiled.tiling.starts) == 1:
        # Shown as it came, at its own size.
        image = item.loaded.image
        steps = np.stack([preprocessing.probabilities_to_case(tiled.tiling.crop(step), item.loaded.size) for step in steps])
    masks = np.argmax(steps, axis=-1).astype(np.int32)
    times = step_grid(predictor.spec.schedule.timesteps, predictor.steps)[list(predictor.kept)]
    path = _diffusion_path(folder, item.case.name, ".png")
    common: dict[str, Any] = {
        "colours": colours or CLASS_COLOURS,
        "names": names if len(names) > 2 else None,
        "slices": slice_name(predictor.spec.axes),
    }
    title = f"{item.case.name}: states of the diffusion, and the mask decoded from each"
    save_figure(reverse_diffusion_figure(item.states, masks, times, image, title=title, **common), path)
    reverse_diffusion_gif(path.with_suffix(".gif"), item.states, masks, times, image, **common)


def _diffusion_path(folder: Path, name: str, suffix: str) -> Path:
    return folder / f"{name}_diffusion{suffix}"
