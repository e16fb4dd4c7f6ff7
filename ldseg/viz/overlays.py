"""Masks drawn over the image they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ldseg.errors import DataError
from ldseg.viz.style import CLASS_COLOURS, TRUE_COLOUR, class_rgb

FloatImage = npt.NDArray[np.float32]

_MOST_SMOOTH = 16  # labels in a plane; more of them are instances, for which it would take long
_TRUE_WIDTH = 0.5  # the true outline is the finer one, so that where both agree both are seen


def overlay(
    image: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    colours: Sequence[str] = CLASS_COLOURS,
    alpha: float = 0.25,
    true: npt.ArrayLike | None = None,
    true_colour: str = TRUE_COLOUR,
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
        true_colour: Colour of its outline.
        line_width: Width of the outlines in pixels, half of it for the true label; by default it grows with
            the picture.

    Returns:
        uint8 (*S, 3).

    Raises:
        DataError: Shapes do not go together, or `alpha` is out of range.
    """
    pixels, found = to_rgb_image(image), np.asarray(labels)
    _check_labels("labels", found, pixels)
    actual = None if true is None else np.asarray(true)
    if actual is not None:
        _check_labels("true", actual, pixels)
    if not 0.0 <= alpha <= 1.0:
        raise DataError(f"alpha: expected 0 to 1, got {alpha}")
    palette = class_rgb(colours)
    height, width = found.shape[-2:]
    pen = max(2.0, min(height, width) / 180) if line_width is None else line_width
    true_palette = class_rgb(("black", true_colour))

    planes = pixels.reshape(-1, height, width, 3).copy()
    found = found.reshape(-1, height, width)
    for k, plane in enumerate(planes):
        tint(plane, found[k], palette, alpha)
        outline(plane, found[k], palette, pen)
        if actual is not None:
            outline(plane, actual.reshape(found.shape)[k], true_palette, pen * _TRUE_WIDTH)
    return to_uint8(planes.reshape(pixels.shape))


def to_rgb_image(image: npt.ArrayLike) -> FloatImage:
    """(*S, c) in [0, 1] with c of 1 or 3 to float32 (*S, 3); values outside are cut off, NaN becomes 0."""
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim < 3 or pixels.shape[-1] not in (1, 3):
        raise DataError(f"image: expected shape (*S, 1) or (*S, 3), got {pixels.shape}")
    pixels = np.clip(np.nan_to_num(pixels), 0.0, 1.0)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def to_shown(image: npt.ArrayLike) -> FloatImage:
    """(*S, c) to float32 (*S, 3) in [0, 1]; a volume or a cine in gray is shown from its 0.5th to its 99.5th percentile.

    What has three spatial axes comes from scanners whose numbers mean nothing to a screen. Of channels that are no colours
    the first is shown.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim == 4 and pixels.shape[-1] != 3:
        gray = np.nan_to_num(pixels[..., :1])
        low, high = np.percentile(gray, (0.5, 99.5)) if gray.size else (0.0, 1.0)
        pixels = np.asarray((gray - low) / (high - low) if high > low else gray, np.float32)
    return to_rgb_image(pixels)


def to_uint8(pixels: FloatImage) -> npt.NDArray[np.uint8]:
    """[0, 1] to 0..255, rounded."""
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)


def colour_of(labels: npt.NDArray[np.integer], palette: FloatImage) -> FloatImage:
    """Colour of each label, float32 (*S, 3): 0 takes the first, others the rest in turn, over and over."""
    turn = np.where(labels > 0, 1 + (labels.astype(np.int64) - 1) % (len(palette) - 1), 0)
    return palette[turn]


def tint(plane: FloatImage, labels: npt.NDArray[np.integer], palette: FloatImage, alpha: float) -> None:
    """Blends the colour of each label but 0 into the plane (H, W, 3), in place."""
    weight = (alpha * (labels > 0).astype(np.float32))[..., None]
    plane *= 1.0 - weight
    plane += weight * colour_of(labels, palette)


def outline(
    plane: FloatImage,
    labels: npt.NDArray[np.integer],
    palette: FloatImage,
    width: float,
    *,
    casing: float = 0.55,
) -> None:
    """Draws an anti-aliased line along the inner edge of each label into the plane (H, W, 3), in place.

    Args:
        plane: The picture.
        labels: Integer (H, W).
        palette: Float32 (n, 3), see `colour_of`.
        width: Width of the line in pixels.
        casing: Opacity of the black edge on both sides of the line; 0 for none.
    """
    edge = _inner_edge(labels)
    if not edge.any():
        return
    # One distance transform serves all labels: each pixel takes the colour of the edge pixel next to it.
    distance, nearest = ndimage.distance_transform_edt(~edge, return_indices=True)
    colour = colour_of(labels, palette)[tuple(nearest)]
    for reach, opacity, paint in ((width / 2 + 1.0, casing, 0.0), (width / 2, 1.0, colour)):
        weight = (opacity * np.clip(reach + 0.5 - distance, 0.0, 1.0))[..., None].astype(np.float32)
        plane *= 1.0 - weight
        plane += weight * paint


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
    found = np.unique(labels)
    if found.size > _MOST_SMOOTH:
        return np.asarray(fit(labels.astype(np.int32), width, height, smooth=False), np.int32)
    shares = [fit((labels == label).astype(np.float32), width, height, smooth=True) for label in found]
    return found[np.argmax(shares, axis=0)].astype(np.int32)


def largest_plane(mask: npt.NDArray, axis: int) -> int:
    """Index along the axis of the plane with the largest foreground, the middle one where there is none.

    mask: integer labels, or float probabilities of the foreground. Of equal planes the one nearest to the middle is taken.
    """
    inside = mask >= 0.5 if mask.dtype.kind == "f" else mask > 0
    area = inside.sum(axis=tuple(k for k in range(mask.ndim) if k != axis))
    middle = area.size // 2
    best = np.nonzero(area == area.max())[0]
    return int(best[np.argmin(np.abs(best - middle))])


def panel(
    image: FloatImage,
    labels: npt.NDArray[np.integer] | None,
    true: npt.NDArray[np.integer] | None,
    size: tuple[int, int],
    colours: Sequence[str],
) -> npt.NDArray[np.uint8]:
    """One plane (H, W, 3) with its labels over it, as `overlay` draws them, resampled first: lines stay sharp.

    size: height and width of the result in pixels.
    """
    height, width = size
    shown = np.clip(fit(image, width, height, smooth=True), 0.0, 1.0)
    if labels is None:
        return to_uint8(shown)
    actual = None if true is None else fit_labels(true, width, height)
    pen = float(np.clip(min(size) / 180, 1.4, 2.5))
    return overlay(shown, fit_labels(labels, width, height), colours=colours, true=actual, line_width=pen)


def check_stack(
    image: npt.ArrayLike, mask: npt.ArrayLike, true: npt.ArrayLike | None, spacing: Sequence[float] | None
) -> tuple[FloatImage, npt.NDArray[np.integer], npt.NDArray[np.integer] | None, tuple[float, ...]]:
    """The arrays of a volume or a cine as they are drawn, and their spacing; DataError where they do not go together."""
    if np.ndim(image) != 4 or 0 in np.shape(image):
        raise DataError(f"image: expected three spatial axes and channels, got shape {np.shape(image)}")
    pixels, found = to_shown(image), np.asarray(mask)
    _check_labels("mask", found, pixels)
    actual = None if true is None else np.asarray(true)
    if actual is not None:
        _check_labels("true", actual, pixels)
    steps = (1.0, 1.0, 1.0) if spacing is None else tuple(float(s) for s in spacing)
    if len(steps) != 3 or not all(np.isfinite(s) and s > 0 for s in steps):
        raise DataError(f"spacing: expected three positive numbers, got {spacing}")
    return pixels, found.astype(np.int32), None if actual is None else actual.astype(np.int32), steps


def _check_labels(name: str, labels: npt.NDArray, pixels: FloatImage) -> None:
    if labels.dtype.kind not in "biu":
        raise DataError(f"{name}: expected an integer array, got {labels.dtype}")
    if labels.shape != pixels.shape[:-1]:
        raise DataError(f"{name}: expected the image's size {pixels.shape[:-1]}, got {labels.shape}")
