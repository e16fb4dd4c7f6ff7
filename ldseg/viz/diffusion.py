"""The reverse diffusion, step by step: as a picture and as an animation.

Arrays may have three spatial axes (2D+t, 3D): of the first one the plane is shown in which the last mask is largest, the
same for all steps and for the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldseg.errors import DataError
from ldseg.viz.gif import Shown, check_suffix, evenly, pages, save_gif
from ldseg.viz.legend import Entry, entries_for, handles, put, room
from ldseg.viz.overlays import colour_of, fit, fit_labels, largest_plane, outline, to_shown, to_uint8
from ldseg.viz.style import CLASS_COLOURS, MUTED, class_rgb, style

FloatImage = npt.NDArray[np.float32]

_RANGE = 2.5  # latents have unit variance, so that nearly all noise lies within this
_PAPER = np.float32(0.93)  # brightness of the background class in a decoded mask


def latent_to_rgb(latents: npt.ArrayLike, *, limit: float = _RANGE) -> npt.NDArray[np.uint8]:
    """Shows latents as colours, the same map for every latent, so that steps can be compared.

    One channel becomes gray, two become red and blue, three are red, green and blue; of more, the first three
    orthonormal cosine components over the channels are shown, which keep the variance of white noise. -limit
    becomes 0, 0 becomes mid-gray, limit becomes 255.

    Args:
        latents: Float (..., c).
        limit: Half the range that is shown.

    Returns:
        uint8 (..., 3).

    Raises:
        DataError: There is no channel, or `limit` is not positive.
    """
    values = np.nan_to_num(np.asarray(latents, dtype=np.float32))
    if values.ndim < 1 or values.shape[-1] < 1:
        raise DataError(f"latents: expected channels last, got shape {values.shape}")
    if not limit > 0:
        raise DataError(f"limit: expected a positive number, got {limit}")
    return to_uint8(0.5 + 0.5 * (values @ _projection(values.shape[-1])) / np.float32(limit))


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


def reverse_diffusion_figure(
    latents: npt.ArrayLike,
    masks: npt.ArrayLike,
    times: npt.ArrayLike,
    image: npt.ArrayLike,
    *,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    slices: str = "plane",
    max_steps: int = 8,
    title: str = "",
) -> Figure:
    """Draws the latent and the mask decoded from it at evenly chosen steps, the image at the left.

    Args:
        latents: Float (N+1, *L, c): x_t, from noise to clean, of about unit variance.
        masks: (N+1, *S): integer classes, or float probabilities of the foreground in [0, 1].
        times: (N+1,): t of each latent.
        image: Float (*S, c) in [0, 1] with c of 1 or 3, shown at the left.
        colours: Colour of each class, background first.
        names: Name of each class, background first, for a legend; without them there is one where there are more than two.
        slices: What the slices along the first of three axes are called.
        max_steps: Most steps to show; the first and the last are always among them.
        title: Written above, left.

    Raises:
        DataError: Shapes do not go together.
    """
    trace = _Trace(latents, masks, times, image, colours, slices)
    chosen = evenly(trace.count, max_steps)
    aspect = trace.image.shape[0] / trace.image.shape[1]
    # In inches: every cell has the image's proportions, and the image is as high as both rows.
    cell, gap, edge, label, head = 1.4, 0.06, 0.06, 0.26, 0.26
    above = head + (0.3 if title else 0.0)
    tall = cell * aspect
    both = 2 * tall + gap
    start = edge + both / aspect + label
    keys = trace.entries(colours, names)
    width = start + len(chosen) * (cell + gap) - gap + edge
    height = above + both + edge + room(len(keys), width)
    with style():
        figure = Figure(figsize=(width, height))

        def place(x: float, y: float, w: float, h: float, picture: npt.NDArray, name: str = "") -> None:
            axes = figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))
            _show(axes, picture, name)

        def write(x: float, y: float, text: str) -> None:
            figure.text(x / width, 1 - y / height, text, rotation=90, ha="center", va="center", fontsize=9)

        if title:
            figure.text(edge / width, 1 - 0.08 / height, title, va="top", fontsize=11, fontweight="bold")
        place(edge, above, both / aspect, both, trace.image, trace.name)
        write(start - 0.5 * label, above + 0.5 * tall, "latent")
        write(start - 0.5 * label, above + 1.5 * tall + gap, "mask" if tall < 1.1 else "decoded mask")
        for column, step in enumerate(chosen):
            x = start + column * (cell + gap)
            place(x, above, cell, tall, trace.latent(step), f"t = {trace.times[step]:g}")
            place(x, above + tall + gap, cell, tall, trace.mask(step))
        put(figure, handles(keys))
    return figure


def reverse_diffusion_gif(
    path: Path,
    latents: npt.ArrayLike,
    masks: npt.ArrayLike,
    times: npt.ArrayLike,
    image: npt.ArrayLike,
    *,
    colours: Sequence[str] = CLASS_COLOURS,
    names: Sequence[str] | None = None,
    slices: str = "plane",
    width: int = 900,
    max_frames: int = 50,
    max_bytes: int = 2_000_000,
    seconds: float = 3.5,
    hold: float = 2.5,
) -> Path:
    """Writes the reverse diffusion as an endless GIF: image, latent, image with the decoded mask.

    Args:
        path: Where to write; the suffix must be .gif.
        latents, masks, times, image, colours, names, slices: As in `reverse_diffusion_figure`.
        width: Width in pixels. A file that would be larger than `max_bytes` is made narrower.
        max_frames: Most frames, chosen evenly; the first and the last are always among them.
        max_bytes: Size that the file must not pass, as far as narrowing can help.
        seconds: Time that the whole way takes, the last frame apart.
        hold: Seconds that the last frame stays.

    Returns:
        The path.

    Raises:
        DataError: Shapes do not go together, or the path cannot be written.
    """
    check_suffix(path)
    trace = _Trace(latents, masks, times, image, colours, slices)
    chosen = evenly(trace.count, max_frames)
    keys = trace.entries(colours, names)
    pause = int(np.clip(1000 * seconds / max(len(chosen) - 1, 1), 40, 400))
    durations = [pause] * (len(chosen) - 1) + [int(1000 * hold)]
    aspect = trace.image.shape[0] / trace.image.shape[1]
    return save_gif(path, lambda wide: pages(chosen, wide, aspect, keys, trace.shown), durations, width, max_bytes)


class _Trace:
    """The arrays of a reverse diffusion, checked, as planes ready to be drawn."""

    def __init__(
        self,
        latents: npt.ArrayLike,
        masks: npt.ArrayLike,
        times: npt.ArrayLike,
        image: npt.ArrayLike,
        colours: Sequence[str],
        slices: str,
    ) -> None:
        x, m, picture = np.asarray(latents, dtype=np.float32), np.asarray(masks), to_shown(image)
        self.times = np.asarray(times, dtype=np.float64)
        if self.times.ndim != 1 or not self.times.size:
            raise DataError(f"times: expected shape (N+1,), got {self.times.shape}")
        self.count = self.times.size
        rank = picture.ndim - 1
        if rank not in (2, 3):
            raise DataError(f"image: expected two or three spatial axes, got shape {picture.shape}")
        if x.ndim != rank + 2 or len(x) != self.count:
            raise DataError(f"latents: expected {self.count} latents of {rank} spatial axes and channels, got {x.shape}")
        if m.ndim != rank + 1 or len(m) != self.count:
            raise DataError(f"masks: expected {self.count} masks of {rank} axes, got shape {m.shape}")
        if rank == 3 and m.shape[1] != picture.shape[0]:
            raise DataError(f"masks: expected {picture.shape[0]} {slices}s as in the image, got shape {m.shape}")
        self.name = "image"
        if rank == 3:
            depth = picture.shape[0]
            plane = largest_plane(m[-1], 0)
            self.name = f"image, {slices} {plane + 1} of {depth}"
            x, m, picture = x[:, (2 * plane + 1) * x.shape[1] // (2 * depth)], m[:, plane], picture[plane]
        self._latents, self._masks, self.image = x, m, picture
        self.palette = class_rgb(colours)

    def entries(self, colours: Sequence[str], names: Sequence[str] | None) -> list[Entry]:
        """What the legend has to explain; nothing for probabilities, unless names are given."""
        last = self._masks[-1]
        return entries_for([_classes(last), None], names, colours)

    def latent(self, step: int) -> npt.NDArray[np.uint8]:
        """uint8 (*L, 3)."""
        return latent_to_rgb(self._latents[step])

    def mask(self, step: int) -> FloatImage:
        """The decoded mask as flat colours on paper, or probabilities as shades: float32 (H, W, 3)."""
        weight, colour = self._weight(self._masks[step])
        return _PAPER * (1.0 - weight) + colour * weight

    def over_image(self, step: int, width: int, height: int) -> FloatImage:
        """The decoded mask over the image, float32 (height, width, 3)."""
        plane = np.clip(fit(self.image, width, height, smooth=True), 0.0, 1.0)
        mask = self._masks[step]
        if mask.dtype.kind == "f":
            resized = fit(mask.astype(np.float32), width, height, smooth=True)
        else:
            resized = fit_labels(mask, width, height)
        weight, colour = self._weight(resized)
        plane = plane * (1.0 - 0.35 * weight) + 0.35 * weight * colour
        outline(plane, _classes(resized), self.palette, max(1.5, min(width, height) / 130))
        return plane

    def shown(self, step: int, width: int, height: int) -> Shown:
        """Image, latent and mask in the size given, with their headings."""
        return (
            (self.name, to_uint8(fit(self.image, width, height, smooth=True))),
            (f"latent at t = {self.times[step]:g}", fit(self.latent(step), width, height, smooth=False)),
            ("decoded mask", to_uint8(self.over_image(step, width, height))),
        )

    def _weight(self, mask: npt.NDArray) -> tuple[FloatImage, FloatImage]:
        if mask.dtype.kind == "f":
            return np.clip(np.nan_to_num(mask), 0, 1).astype(np.float32)[..., None], self.palette[1]
        return (mask > 0).astype(np.float32)[..., None], colour_of(mask.astype(np.int64), self.palette)


def _classes(mask: npt.NDArray) -> npt.NDArray[np.int32]:
    return (mask >= 0.5).astype(np.int32) if mask.dtype.kind == "f" else mask.astype(np.int32)


def _show(axes: Axes, picture: npt.NDArray, title: str) -> None:
    # The axes have the right proportions; the pixels of a latent need not be square.
    axes.imshow(picture, aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, loc="center", fontsize=9, fontweight="normal")
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6, color=MUTED)
