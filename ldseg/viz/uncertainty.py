"""Heat maps of how sure a segmentation is, beside the image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ldseg.base.spatial import slice_name
from ldseg.errors import DataError
from ldseg.viz.canvas import MUTED, Canvas, Picture
from ldseg.viz.overlays import fit, panel
from ldseg.viz.view import CaseView, largest_plane

MAP = cv2.COLORMAP_CIVIDIS
"""A map of colours whose brightness grows evenly, and that colour-blind readers see as others do."""

APART = 0.5
"""The highest standard deviation of a probability: half of the members are sure of what the others are sure is not."""


def uncertainty_picture(view: CaseView, entropy: npt.ArrayLike, variance: npt.ArrayLike, *, axes: str) -> Picture:
    """A plane of the image with its mask, its predictive entropy and the deviation between the members.

    Both have one scale for all cases, so that pictures can be compared. Of a volume that plane along z is shown where the
    mask is largest, of a video the frame in the middle.

    Args:
        view: What is shown.
        entropy: Float (*S) in [0, 1].
        variance: Float (*S) in [0, 0.25]: its root is drawn, the standard deviation, so that small ones are seen, too.
        axes: "YX", "ZYX" or "TYX".

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: Shapes do not go together.
    """
    maps = [np.asarray(each, np.float32) for each in (entropy, variance)]
    for name, array in (("entropy", maps[0]), ("variance", maps[1])):
        if array.shape != view.mask.shape or len(axes) != array.ndim:
            raise DataError(f"{name}: expected the image's size {view.mask.shape}, one length per axis, got {array.shape}")
    where = ""
    if len(axes) > 2:
        depth = len(view.mask)
        at = largest_plane(view.mask, 0) if axes[0] == "Z" else depth // 2
        where = f", {slice_name(axes)} {at + 1} of {depth}"
        view, maps = view.plane(at), [each[at] for each in maps]

    deviation = np.sqrt(np.maximum(maps[1], 0.0))
    edge, gap, head, below = 18, 30, 42 + 39 * bool(view.title), 108
    wide = min(465.0, 630.0 / view.aspect)
    size = max(round(wide * view.aspect), 1), max(round(wide), 1)
    column = max(size[1], 405)  # what the words under a bar need
    paper = Canvas(2 * edge + 3 * column + 2 * gap, head + size[0] + below)
    if view.title:
        paper.write(edge, 36, view.title, 23, bold=True)
    drawn: tuple[tuple[str, Picture, float, str], ...] = (
        (f"image and mask{where}", panel(view, size), 0.0, ""),
        ("predictive entropy", heat(maps[0], 1.0, size), 1.0, "0: certain   1: all classes equally likely"),
        ("deviation between members", heat(deviation, APART, size), APART, "0: all agree   0.5: half say otherwise"),
    )
    for index, (name, picture, top, words) in enumerate(drawn):
        x = edge + index * (column + gap)
        paper.write(x, head - 9, name, 18.75)
        paper.paste(picture, x + (column - size[1]) // 2, head, frame=True)
        if top:
            y = head + size[0] + 18
            paper.paste(heat(np.linspace(0, top, column)[None], top, (18, column)), x, y, frame=True)
            for place, value, anchor in ((0.0, "0", "la"), (0.5, f"{top / 2:.2g}", "ma"), (1.0, f"{top:.2g}", "ra")):
                paper.write(x + place * column, y + 22, value, 16.5, anchor=anchor, colour=MUTED)
            paper.write(x + column / 2, y + 46, words, 16.5, anchor="ma", colour=MUTED)
    return paper.array()


def heat(values: npt.NDArray, top: float, size: tuple[int, int]) -> Picture:
    """Numbers (H, W) from 0 to `top` in the colours of `MAP`, resampled to a height and width."""
    height, width = size
    scaled = fit(values.astype(np.float32), width, height, smooth=True) / np.float32(top)
    coloured = cv2.applyColorMap(np.clip(scaled * 256, 0, 255).astype(np.uint8), MAP)
    return np.asarray(coloured[..., ::-1], np.uint8)
