"""Masks drawn over the image they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.viz.canvas import Picture
from ldseg.viz.style import CLASS_COLOURS, TRUE_COLOUR, class_rgb
from ldseg.viz.view import CaseView, FloatImage, check_labels, to_rgb_image, to_uint8

_MOST_SMOOTH = 16  # labels in a plane; more of them are instances, for which it would take long
_TRUE_WIDTH = 0.5  # the true outline is the finer one, so that where both agree both are seen


def overlay(
    image: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    colours: Sequence[str] = CLASS_COLOURS,
    alpha: float = 0.25,
    true: npt.ArrayLike | None = None,
    line_width: float | None = None,
) -> npt.NDArray[np.uint8]:
    """Tints and outlines the labels on the image, and outlines the true label in a colour of its own.

    Any rank of at least two: each plane of the last two spatial axes is drawn by itself. Outlines run along
    the inside of every label, between touching instances too, and are edged in black, so that they are seen
    on dark and on bright tissue. Label 0 is background and stays clear.

    Args:
        image: Float in [0, 1], (*S, c) with c of 1 or 3.
        labels: Integer (*S): classes, or instance ids, which take the colours after the first in turn.
        colours: Colour of each label, background first.
        alpha: Opacity of the tint in [0, 1]; 0 leaves outlines only.
        true: Integer (*S): the true label.
        line_width: Width of the outlines in pixels, half of it for the true label; by default it grows with
            the picture.

    Returns:
        uint8 (*S, 3).

    Raises:
        DataError: Shapes do not go together, or `alpha` is out of range.
    """
    pixels, found = to_rgb_image(image), np.asarray(labels)
    check_labels("labels", found, pixels)
    actual = None if true is None else np.asarray(true)
    if actual is not None:
        check_labels("true", actual, pixels)
    if not 0.0 <= alpha <= 1.0:
        raise DataError(f"alpha: expected 0 to 1, got {alpha}")
    palette = class_rgb(colours)
    height, width = found.shape[-2:]
    pen = max(2.0, min(height, width) / 180) if line_width is None else line_width
    true_palette = class_rgb((CLASS_COLOURS[0], TRUE_COLOUR))

    planes = pixels.reshape(-1, height, width, 3)  # `to_rgb_image` has made an array of its own
    found = found.reshape(-1, height, width)
    for k, plane in enumerate(planes):
        tint(plane, found[k], palette, alpha)
        outline(plane, found[k], palette, pen)
        if actual is not None:
            outline(plane, actual.reshape(found.shape)[k], true_palette, pen * _TRUE_WIDTH)
    return to_uint8(planes.reshape(pixels.shape))


def colour_of(labels: npt.NDArray[np.integer], palette: npt.NDArray) -> npt.NDArray:
    """Colour of each label (*S, 3), of the type of the palette: 0 takes the first, others the rest in turn."""
    most = int(labels.max(initial=0))
    turn = 1 + np.arange(-1, most) % (len(palette) - 1)
    turn[0] = 0
    return np.take(palette[turn], np.maximum(labels, 0), axis=0)


def tint(plane: FloatImage, labels: npt.NDArray[np.integer], palette: FloatImage, alpha: float) -> None:
    """Blends the colour of each label but 0 into the plane (H, W, 3), in place."""
    inside = labels > 0
    if alpha and inside.any():
        plane[inside] = (1.0 - alpha) * plane[inside] + np.float32(alpha) * colour_of(labels[inside], palette)


def outline(
    plane: FloatImage,
    labels: npt.NDArray[np.integer],
    palette: FloatImage,
    width: float,
) -> None:
    """Draws an anti-aliased line along the inner edge of each label into the plane (H, W, 3), in place.

    The line has a dark edge on both sides.

    Args:
        plane: The picture.
        labels: Integer (H, W).
        palette: Float32 (n, 3), see `colour_of`.
        width: Width of the line in pixels.
    """
    edge = _inner_edge(labels)
    turns = (labels[edge].astype(np.int64) - 1) % (len(palette) - 1)
    if not turns.size:
        return
    # How far each pixel lies from the next edge of each colour; the nearest of them gives its colour.
    distances = []
    for turn in np.flatnonzero(np.bincount(turns)):
        others = np.ones(labels.shape, np.uint8)
        others[edge] = turns != turn
        distances.append((cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), palette[1 + turn]))
    distance = distances[0][0] if len(distances) == 1 else np.minimum.reduce([each for each, _ in distances])
    near = distance < width / 2 + 1.5
    reach, painted = distance[near], plane[near]
    colour = np.broadcast_to(distances[0][1], painted.shape)
    for own, paint in distances[1:]:
        colour = np.where((own[near] <= reach)[:, None], paint, colour)
    for half, opacity, above in ((width / 2 + 1.0, 0.55, np.zeros(3, np.float32)), (width / 2, 1.0, colour)):
        weight = (opacity * np.clip(half + 0.5 - reach, 0.0, 1.0))[:, None].astype(np.float32)
        painted = painted * (1.0 - weight) + weight * above
    plane[near] = painted


def _inner_edge(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Pixels of a label other than 0 with another label above, below, left or right of them."""
    edge = np.zeros(labels.shape, dtype=bool)
    down = labels[1:] != labels[:-1]
    across = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge & (labels > 0)


def fit(plane: npt.NDArray, width: int, height: int, *, smooth: bool) -> npt.NDArray:
    """Resamples (H, W) or (H, W, c) to the given size: by area or linearly if smooth, else nearest pixel."""
    shrinks = width < plane.shape[1]
    how = (cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR) if smooth else cv2.INTER_NEAREST
    out = cv2.resize(np.ascontiguousarray(plane), (width, height), interpolation=how)
    return out.reshape(height, width, *plane.shape[2:])


def fit_labels(labels: npt.NDArray, width: int, height: int) -> npt.NDArray[np.int32]:
    """Resamples integer (H, W) to the given size: the label with the largest share of a pixel, so that edges are smooth."""
    found = np.flatnonzero(np.bincount(labels.ravel()))
    if found.size > _MOST_SMOOTH:
        return np.asarray(fit(labels.astype(np.int32), width, height, smooth=False), np.int32)
    shares = [fit((labels == label).astype(np.float32), width, height, smooth=True) for label in found]
    return found[np.argmax(shares, axis=0)].astype(np.int32)


def panel(view: CaseView, size: tuple[int, int], *, plain: bool = False) -> Picture:
    """One plane with its labels over it, as `overlay` draws them, resampled first: lines stay sharp.

    Args:
        view: of a plane.
        size: Height and width of the result in pixels.
        plain: Leaves the labels out.
    """
    height, width = size
    shown = np.clip(fit(view.shown, width, height, smooth=True), 0.0, 1.0)
    if plain:
        return to_uint8(shown)
    actual = None if view.true is None else fit_labels(view.true, width, height)
    pen = float(np.clip(min(size) / 180, 1.4, 2.5))
    return overlay(shown, fit_labels(view.mask, width, height), colours=view.colours, true=actual, line_width=pen)
