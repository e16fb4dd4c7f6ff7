"""What is shown of a case: image, mask and label, the spacing of its pixels, colours and names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.viz.canvas import Picture
from ldseg.viz.style import CLASS_COLOURS

FloatImage = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """A case, or one plane of it, as pictures show it.

    Attributes:
        image: Float (*S, c), see `to_shown`.
        mask: Integer (*S): classes, or ids of instances, which take the colours after the first in turn.
        true: Integer (*S): the true label, drawn as an outline.
        spacing: Distance of the pixels along the axes, in mm; pixels of one size by default.
        colours: Colour of each class, background first; they start again after the last.
        names: Name of each class, background first, for a legend.
        title: Written above.

    Raises:
        DataError: Shapes do not go together, or a distance is not positive.
    """

    image: npt.NDArray
    mask: Labels
    true: Labels | None = None
    spacing: Sequence[float] | None = None
    colours: Sequence[str] = CLASS_COLOURS
    names: Sequence[str] | None = None
    title: str = ""

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim not in (3, 4) or 0 in image.shape:
            raise DataError(f"image: expected two or three spatial axes and channels, got shape {image.shape}")
        for name, labels in (("mask", self.mask), ("true", self.true)):
            if labels is not None:
                object.__setattr__(self, name, np.asarray(labels))
                check_labels(name, np.asarray(labels), image)
        object.__setattr__(self, "image", image)
        if len(self.steps) != self.rank or not all(np.isfinite(step) and step > 0 for step in self.steps):
            raise DataError(f"spacing: expected {self.rank} positive numbers, got {self.spacing}")

    @property
    def rank(self) -> int:
        """Number of axes in space and time."""
        return self.image.ndim - 1

    @property
    def steps(self) -> tuple[float, ...]:
        """The spacing, or 1 along each axis."""
        return (1.0,) * self.rank if self.spacing is None else tuple(float(step) for step in self.spacing)

    @property
    def aspect(self) -> float:
        """Height by width of a plane along the last two axes."""
        tall, wide = self.mask.shape[-2:]
        return tall * self.steps[-2] / (wide * self.steps[-1])

    @cached_property
    def shown(self) -> FloatImage:
        """The image as it is shown, float32 (*S, 3) in [0, 1]."""
        return to_shown(self.image)

    def plane(self, at: int, axis: int = 0) -> Self:
        """The plane of three axes that lies at that place of one of them."""
        true = None if self.true is None else np.take(self.true, at, axis=axis)
        steps = tuple(step for k, step in enumerate(self.steps) if k != axis)
        # The whole image says how bright a plane is.
        image, mask = np.take(self.shown, at, axis=axis), np.take(self.mask, at, axis=axis)
        return replace(self, image=image, mask=mask, true=true, spacing=steps)

    def require_stack(self) -> Self:
        """The view itself, of a volume or a video. Raises DataError for a picture."""
        if self.rank != 3:
            raise DataError(f"image: expected three spatial axes and channels, got shape {self.image.shape}")
        return self


def check_labels(name: str, labels: npt.NDArray, image: npt.NDArray) -> None:
    """Raises DataError unless labels are whole numbers of the size of the image (*S, c)."""
    if labels.dtype.kind not in "biu":
        raise DataError(f"{name}: expected an integer array, got {labels.dtype}")
    if labels.shape != image.shape[:-1]:
        raise DataError(f"{name}: expected the image's size {image.shape[:-1]}, got {labels.shape}")


def to_rgb_image(image: npt.ArrayLike) -> FloatImage:
    """(*S, c) in [0, 1] with c of 1 or 3 to a new float32 (*S, 3); values outside are cut off, NaN becomes 0."""
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim < 3 or pixels.shape[-1] not in (1, 3):
        raise DataError(f"image: expected shape (*S, 1) or (*S, 3), got {pixels.shape}")
    pixels = np.clip(pixels, 0.0, 1.0)
    if np.isnan(pixels.sum()):  # a sum is NaN where any value is
        pixels = np.nan_to_num(pixels)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def to_shown(image: npt.ArrayLike) -> FloatImage:
    """(*S, c) to float32 (*S, 3) in [0, 1]; a volume or a video in gray is shown from its 0.5th to its 99.5th percentile.

    What has three spatial axes comes from scanners whose numbers mean nothing to a screen. Of channels that are no colours
    the first is shown.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim == 4 and pixels.shape[-1] != 3:
        pixels = stretched(np.nan_to_num(pixels[..., :1]))
    return to_rgb_image(pixels)


def stretched(values: FloatImage, like: FloatImage | None = None) -> FloatImage:
    """Gray values in a range in which the screen shows them: from 0 at their 0.5th to 1 at their 99.5th percentile.

    Args:
        values: (*S, 1).
        like: whose range it is, if not their own.
    """
    seen = values if like is None else like
    low, high = np.percentile(seen, (0.5, 99.5)) if seen.size else (0.0, 1.0)
    return np.asarray((values - low) / (high - low) if high > low else values, np.float32)


def to_uint8(pixels: FloatImage) -> Picture:
    """[0, 1] to 0..255, rounded; what lies outside is cut off."""
    scaled = pixels * np.float32(255)
    np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled)
    return scaled.astype(np.uint8)


def largest_plane(mask: npt.NDArray, axis: int) -> int:
    """Index along the axis of the plane with the largest foreground, the middle one where there is none.

    mask: integer labels, or float probabilities of the foreground. Of equal planes the one nearest to the middle is taken.
    """
    inside = mask >= 0.5 if mask.dtype.kind == "f" else mask > 0
    area = inside.sum(axis=tuple(k for k in range(mask.ndim) if k != axis))
    middle = area.size // 2
    best = np.nonzero(area == area.max())[0]
    return int(best[np.argmin(np.abs(best - middle))])
