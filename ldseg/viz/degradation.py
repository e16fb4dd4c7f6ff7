"""A case as its image is degraded more and more: image, mask, and both together with the true label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ldseg.viz.gif import Animation, Shown, check_suffix, pages
from ldseg.viz.legends import entries_for
from ldseg.viz.overlays import colour_of, fit_labels, panel
from ldseg.viz.style import CLASS_COLOURS, class_rgb
from ldseg.viz.view import CaseView, largest_plane, stretched, to_rgb_image, to_uint8

_PAPER = np.float32(0.93)  # brightness of the background class


@dataclass(frozen=True, kw_only=True)
class DegradedFrame:
    """A plane of a case under one strength of degradation.

    Attributes:
        image: float32 ``(H, W, c)`` in [0, 1], c of 1 or 3.
        mask, true: integer classes ``(H, W)``, found and true.
        sigma: the strength.
        dice: of the whole case.
        where: which plane of how many; empty for a picture.
    """

    image: npt.NDArray[np.float32]
    mask: npt.NDArray[np.integer]
    true: npt.NDArray[np.integer]
    sigma: float
    dice: float
    where: str = ""

    @classmethod
    def of(
        cls, image: npt.NDArray, mask: npt.NDArray, true: npt.NDArray, sigma: float, dice: float, slices: str = "plane"
    ) -> Self:
        """A case ``(*S, c)``, or of three axes the plane along the first in which its label is largest.

        One of its channels unless they are three.
        """
        image = image if image.shape[-1] == 3 else image[..., :1]
        where = ""
        if true.ndim == 3:
            plane = largest_plane(true, 0)
            where = f", {slices} {plane + 1} of {len(true)}"
            image, mask, true = image[plane].copy(), mask[plane].copy(), true[plane]
        return cls(image=image, mask=mask, true=true, sigma=sigma, dice=dice, where=where)


ROBUSTNESS = Animation(width=1000, max_frames=1000, max_bytes=4_000_000, seconds=7.0, hold=2.0)
"""How the growing degradation of an image is animated."""


def robustness_gif(
    path: Path,
    frames: Sequence[DegradedFrame],
    *,
    noise: str,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    animation: Animation = ROBUSTNESS,
) -> Path:
    """Writes an endless GIF, a frame for each strength: image, mask, overlay with the outline of the true label.

    Planes of gray volumes and videos are all shown in the range of the first, from its 0.5th to its 99.5th percentile.

    Args:
        path: Where to write; the suffix must be .gif.
        frames: At least one, in their order.
        noise: Kind of degradation, for the heading.
        colours, names: Of each class, background first.
        animation: Size and pace.

    Raises:
        DataError: The path has another suffix or cannot be written.
    """
    check_suffix(path)
    first, palette = frames[0], class_rgb(colours)
    gray = bool(first.where) and first.image.shape[-1] == 1
    keys = entries_for([first.mask, first.true], names, colours)

    def draw(frame: DegradedFrame, wide: int, high: int) -> Shown:
        image = to_rgb_image(stretched(frame.image, first.image) if gray else frame.image)
        labels = fit_labels(frame.mask, wide, high)
        flat = np.where(labels[..., None] > 0, colour_of(labels, palette), _PAPER)
        view = CaseView(image=image, mask=frame.mask, true=frame.true, colours=colours)
        return (
            (f"{noise}, σ = {frame.sigma:g}{frame.where}", panel(view, (high, wide), plain=True)),
            ("mask", to_uint8(flat)),
            (f"overlay, Dice = {frame.dice:.3f}", panel(view, (high, wide))),
        )

    aspect = first.image.shape[0] / first.image.shape[1]
    chosen = [frames[k] for k in animation.chosen(len(frames))]
    return animation.save(path, lambda wide: pages(chosen, wide, aspect, keys, draw), longest=700)
