"""Presets: what to build for a name, and how it was meant to be trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from ldseg.models import lean, published
from ldseg.spatial import strided


@dataclass(frozen=True, kw_only=True)
class Networks:
    """The parts of a latent-diffusion segmenter, each a Keras model of its own.

    ``label_encoder``: one-hot label ``(B, *S, C)`` to the latent ``(B, *L, c)``. ``image_encoder``: image ``(B, *S, ci)``
    in [0, 1] to the condition ``(B, *L, cc)``. ``denoiser``: ``[x_t, condition, t int32 (B,)]`` to the prediction
    ``(B, *L, c)``. ``label_decoder``: latent to logits ``(B, *S, C)``.
    """

    label_encoder: keras.Model
    image_encoder: keras.Model
    denoiser: keras.Model
    label_decoder: keras.Model


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A size of the networks.

    Attributes:
        stride: total stride of the latent along an axis of space (time has stride 1).
        multiple: what the length of an axis of space must be a multiple of, as the networks go deeper than the latent.
        any_size: whether its weights serve images of any size.
        prediction: what its denoiser predicts unless told otherwise.
        build: ``(size, channels, classes, axes) -> Networks``.
    """

    stride: int
    multiple: int
    any_size: bool
    prediction: str
    build: Callable[[tuple[int, ...], int, int, str], Networks]

    def strides(self, axes: str) -> tuple[int, ...]:
        """Stride of the latent along each axis."""
        return lean.strides(axes, self.stride)

    def latent_grid(self, size: tuple[int, ...], axes: str) -> tuple[int, ...]:
        """The latent grid L under an image grid S.

        Raises:
            ValueError: if the size has another rank or is not a multiple of what the networks stride over.
        """
        strided(size, lean.strides(axes, self.multiple))
        return strided(size, self.strides(axes))


def _lean(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    grid = PRESETS["lean"].latent_grid(size, axes)
    return Networks(
        label_encoder=lean.label_encoder(size, classes, axes),
        image_encoder=lean.image_encoder(size, channels, axes),
        denoiser=lean.denoiser(grid, axes),
        label_decoder=lean.label_decoder(grid, classes, axes),
    )


def _ldseg(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    if axes != "YX":
        raise ValueError(f"expected the axes YX for the preset 'ldseg', got {axes!r}")
    grid = PRESETS["ldseg"].latent_grid(size, axes)
    return Networks(
        label_encoder=published.label_encoder(size, classes),
        image_encoder=published.image_encoder(size, channels),
        denoiser=published.denoiser(grid),
        label_decoder=published.label_decoder(grid, classes),
    )


PRESETS: dict[str, Preset] = {
    "lean": Preset(stride=8, multiple=32, any_size=True, prediction="x0", build=_lean),
    "ldseg": Preset(stride=16, multiple=64, any_size=False, prediction="ldseg", build=_ldseg),
}


def build_networks(preset: str, *, size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    """Build the networks of a preset for one image grid.

    Args:
        preset: a name in ``PRESETS``.
        size: image grid S, a multiple of the preset's ``multiple`` along every axis of space.
        channels: channels of the image.
        classes: number of classes C, the background included, at least 2.
        axes: an axes string, see ``ldseg.spatial``.

    Raises:
        ValueError: for a name, a size or a number that does not fit.
    """
    if preset not in PRESETS:
        raise ValueError(f"expected a preset of {sorted(PRESETS)}, got {preset!r}")
    if classes < 2 or channels < 1:
        raise ValueError(f"expected at least 2 classes and 1 channel, got {classes} and {channels}")
    return PRESETS[preset].build(size, channels, classes, axes)
