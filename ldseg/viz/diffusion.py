"""The reverse diffusion, step by step: as a picture and as an animation.

Arrays may have three spatial axes (2D+t, 3D): of the first one the plane is shown in which the last mask is largest, the
same for all steps and for the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ldseg.errors import DataError
from ldseg.viz.canvas import Canvas, Picture
from ldseg.viz.gif import Animation, Shown, evenly, pages
from ldseg.viz.legends import Entry, above, entries_for
from ldseg.viz.overlays import colour_of, fit, fit_labels, outline
from ldseg.viz.style import CLASS_COLOURS, class_rgb
from ldseg.viz.view import FloatImage, largest_plane, to_shown, to_uint8

_RANGE = 2.5  # latents have unit variance, so that nearly all noise lies within this
_PAPER = np.float32(0.93)  # brightness of the background class in a decoded mask


def latent_to_rgb(latents: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Shows latents as colours, the same map for every latent, so that steps can be compared.

    One channel becomes gray, two become red and blue, three are red, green and blue; of more, the first three
    orthonormal cosine components over the channels are shown, which keep the variance of white noise. -2.5
    becomes 0, 0 becomes mid-gray, 2.5 becomes 255.

    Args:
        latents: Float (..., c).

    Returns:
        uint8 (..., 3).

    Raises:
        DataError: There is no channel.
    """
    values = np.nan_to_num(np.asarray(latents, dtype=np.float32))
    if values.ndim < 1 or values.shape[-1] < 1:
        raise DataError(f"latents: expected channels last, got shape {values.shape}")
    return to_uint8(0.5 + 0.5 * (values @ _projection(values.shape[-1])) / np.float32(_RANGE))


def _projection(channels: int) -> FloatImage:
    """Channels to red, green and blue, float32 (c, 3)."""
    if channels == 1:
        return np.ones((1, 3), dtype=np.float32)
    if channels == 2:
        return np.array([[1, 0.5, 0], [0, 0.5, 1]], dtype=np.float32)
    if channels == 3:
        return np.eye(3, dtype=np.float32)
    k, j = np.arange(channels)[:, None] + 0.5, np.arange(3)[None]
    basis = np.sqrt(np.where(j == 0, 1.0, 2.0) / channels) * np.cos(np.pi * k * j / channels)
    return basis.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A reverse diffusion: its states, and the masks decoded from them.

    Attributes:
        latents: Float (N+1, *L, c): x_t, from noise to clean, of about unit variance.
        masks: (N+1, *S): integer classes, or float probabilities of the foreground in [0, 1].
        times: (N+1,): t of each latent.
        image: Float (*S, c) in [0, 1] with c of 1 or 3.
        colours: Colour of each class, background first.
        names: Name of each class, background first, for a legend; without them there is one where there are more than two.
        slices: What the slices along the first of three axes are called.
        title: Written above, left.

    Raises:
        DataError: Shapes do not go together.
    """

    latents: npt.ArrayLike
    masks: npt.ArrayLike
    times: npt.ArrayLike
    image: npt.ArrayLike
    colours: Sequence[str] = CLASS_COLOURS
    names: Sequence[str] | None = None
    slices: str = "plane"
    title: str = ""

    def __post_init__(self) -> None:
        latents, masks, size = np.shape(self.latents), np.shape(self.masks), np.shape(self.image)[:-1]
        if np.ndim(self.times) != 1 or not np.size(self.times):
            raise DataError(f"times: expected shape (N+1,), got {np.shape(self.times)}")
        rank = len(size)
        if rank not in (2, 3):
            raise DataError(f"image: expected two or three spatial axes, got shape {np.shape(self.image)}")
        if len(latents) != rank + 2 or latents[0] != self.count:
            raise DataError(f"latents: expected {self.count} latents of {rank} spatial axes and channels, got {latents}")
        if len(masks) != rank + 1 or masks[0] != self.count:
            raise DataError(f"masks: expected {self.count} masks of {rank} axes, got shape {masks}")
        if rank == 3 and masks[1] != size[0]:
            raise DataError(f"masks: expected {size[0]} {self.slices}s as in the image, got shape {masks}")

    @property
    def count(self) -> int:
        """N+1, the number of states."""
        return np.size(self.times)

    @cached_property
    def planes(self) -> Planes:
        """What is drawn: of three axes the plane in which the last mask is largest."""
        return Planes(self)


class Planes:
    """The planes of a reverse diffusion, ready to be drawn.

    Attributes:
        image: float32 (H, W, 3).
        name: What the image is.
    """

    def __init__(self, trace: Trace) -> None:
        x, m = np.asarray(trace.latents, dtype=np.float32), np.asarray(trace.masks)
        picture = to_shown(trace.image)
        self.name = "image"
        if picture.ndim == 4:
            depth = picture.shape[0]
            plane = largest_plane(m[-1], 0)
            self.name = f"image, {trace.slices} {plane + 1} of {depth}"
            x, m, picture = x[:, (2 * plane + 1) * x.shape[1] // (2 * depth)], m[:, plane], picture[plane]
        self._latents, self._masks, self.image = x, m, picture
        self._times = np.asarray(trace.times, dtype=np.float64)
        self._colours, self._names = trace.colours, trace.names
        self._palette = class_rgb(trace.colours)
        self._sized: FloatImage | None = None

    @property
    def aspect(self) -> float:
        """Height by width."""
        return self.image.shape[0] / self.image.shape[1]

    def entries(self) -> list[Entry]:
        """What the legend has to explain; nothing for probabilities, unless names are given."""
        return entries_for([_classes(self._masks[-1]), None], self._names, self._colours)

    def time(self, step: int) -> str:
        """The time of a step in words."""
        return f"t = {self._times[step]:g}"

    def latent(self, step: int) -> Picture:
        """uint8 (*L, 3)."""
        return latent_to_rgb(self._latents[step])

    def mask(self, step: int) -> Picture:
        """The decoded mask as flat colours on paper, or probabilities as shades: uint8 (H, W, 3)."""
        mask = self._masks[step]
        if mask.dtype.kind == "f":
            weight, colour = self._weight(mask)
            return to_uint8(_PAPER * (1.0 - weight) + colour * weight)
        palette = self._palette.copy()
        palette[0] = _PAPER
        return colour_of(mask, to_uint8(palette))

    def sized(self, width: int, height: int) -> FloatImage:
        """The image, float32 (height, width, 3)."""
        if self._sized is None or self._sized.shape[:2] != (height, width):
            self._sized = np.clip(fit(self.image, width, height, smooth=True), 0.0, 1.0)
        return self._sized

    def over_image(self, step: int, width: int, height: int) -> Picture:
        """The decoded mask over the image, uint8 (height, width, 3)."""
        mask = self._masks[step]
        if mask.dtype.kind == "f":
            resized = fit(mask.astype(np.float32), width, height, smooth=True)
        else:
            resized = fit_labels(mask, width, height)
        weight, colour = self._weight(resized)
        plane = self.sized(width, height) * (1.0 - 0.35 * weight) + 0.35 * weight * colour
        outline(plane, _classes(resized), self._palette, max(1.5, min(width, height) / 130))
        return to_uint8(plane)

    def shown(self, step: int, width: int, height: int) -> Shown:
        """Image, latent and mask in the size given, with their headings."""
        return (
            (self.name, to_uint8(self.sized(width, height))),
            (f"latent at {self.time(step)}", fit(self.latent(step), width, height, smooth=False)),
            ("decoded mask", self.over_image(step, width, height)),
        )

    def _weight(self, mask: npt.NDArray) -> tuple[FloatImage, FloatImage]:
        if mask.dtype.kind == "f":
            return np.clip(np.nan_to_num(mask), 0, 1).astype(np.float32)[..., None], self._palette[1]
        return (mask > 0).astype(np.float32)[..., None], colour_of(mask, self._palette)


def reverse_diffusion_picture(trace: Trace, max_steps: int = 8) -> Picture:
    """The latent and the mask decoded from it at evenly chosen steps, the image at the left.

    Args:
        trace: What is drawn.
        max_steps: Most steps to show; the first and the last are always among them.

    Returns:
        uint8 (H, W, 3).
    """
    planes, chosen = trace.planes, evenly(trace.count, max_steps)
    # Every cell has the image's proportions, and the image is as high as both rows.
    cell, gap, edge, label, head = 210, 9, 9, 39, 34
    top = head + (45 if trace.title else 0)
    tall = max(round(cell * planes.aspect), 1)
    both = 2 * tall + gap
    wide = round(both / planes.aspect)
    start = edge + wide + label
    paper = Canvas(start + len(chosen) * (cell + gap) - gap + edge, top + both + edge)

    def place(x: float, y: float, size: tuple[int, int], picture: Picture, name: str = "", smooth: bool = True) -> None:
        paper.paste(fit(picture, *size, smooth=smooth), x, y, frame=True)
        paper.write(x + size[0] / 2, y - 9, name, 18, anchor="ms")

    if trace.title:
        paper.write(edge, 33, trace.title, 23, bold=True)
    place(edge, top, (wide, both), to_uint8(planes.image), planes.name)
    paper.write_upwards(start - 0.5 * label, top + 0.5 * tall, "latent", 18)
    paper.write_upwards(start - 0.5 * label, top + 1.5 * tall + gap, "mask" if tall < 165 else "decoded mask", 18)
    for column, step in enumerate(chosen):
        x = start + column * (cell + gap)
        place(x, top, (cell, tall), planes.latent(step), planes.time(step), smooth=False)
        # Small masks grow as blocks, as their pixels are; large ones shrink without jags.
        place(x, top + tall + gap, (cell, tall), planes.mask(step), smooth=planes.image.shape[1] > cell)
    return above(paper.array(), planes.entries())


REVERSE_DIFFUSION = Animation(width=900, max_frames=50, seconds=3.5, hold=2.5)
"""How a reverse diffusion is animated."""


def reverse_diffusion_gif(path: Path, trace: Trace, animation: Animation = REVERSE_DIFFUSION) -> Path:
    """Writes the reverse diffusion as an endless GIF: image, latent, image with the decoded mask.

    Args:
        path: Where to write; the suffix must be .gif.
        trace: What is drawn.
        animation: Size and pace.

    Returns:
        The path.

    Raises:
        DataError: The path cannot be written.
    """
    planes, chosen = trace.planes, animation.chosen(trace.count)
    return animation.save(path, lambda wide: pages(chosen, wide, planes.aspect, planes.entries(), planes.shown))


def _classes(mask: npt.NDArray) -> npt.NDArray[np.int32]:
    return (mask >= 0.5).astype(np.int32) if mask.dtype.kind == "f" else mask.astype(np.int32)
