"""How strong an augmentation is, by kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from ldseg.errors import ConfigError

_AMOUNTS = (
    "rotation", "shear", "elastic", "jitter", "stain_gain", "stain_offset", "brightness", "hue", "blur", "noise", "fade"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Strengths of an augmentation. Every `*_p` is a probability in [0, 1].

    rotation: largest rotation, radians; pi for any.
    mirror: axes along which a sample may be mirrored.
    scale: range of the magnification (above 1 shows less tissue, larger), drawn log-uniformly.
    aspect: largest ratio of the magnifications along x and y.
    shear: largest shear (tangent of its angle).
    elastic: standard deviation of the displacement, as a fraction of the patch's shorter side.
    elastic_cell: spacing of the displacement's control points, in the same unit: large against `elastic`, so
        that the map does not fold.
    jitter: how far, in patches, the patch may hang over the border of the image (which is mirrored there).
    stain_gain, stain_offset: largest relative change and largest offset (optical density) of each stain.
    gamma, contrast, saturation: largest change, as a factor or its inverse (1 is none).
    brightness: largest offset, image range 1. hue: largest rotation about the gray axis, radians.
    blur: largest standard deviation, pixels. noise: largest standard deviation, image range 1.
    restain_p: other stains: mean and deviation of the optical density are moved, channel by channel, to values drawn at
        random; half of the time haematoxylin and eosin become two colours drawn at random before.
    gray_p, swap_p, any_hue_p: gray, by random weights of the channels; channels in another order; any hue. At most one of
        the three is done to a sample, so that they add up to at most 1.
    fade: largest share of the contrast that is taken away, towards a colour between the mean and white, below 1.
    All of these but fade change colour images alone.
    """

    rotation: float = math.pi
    mirror: str = "ZYX"
    scale: tuple[float, float] = (0.7, 1.5)
    aspect: float = 1.3
    shear: float = 0.12
    elastic: float = 0.025
    elastic_cell: float = 0.25
    elastic_p: float = 0.5
    jitter: float = 0.1
    stain_gain: float = 0.25
    stain_offset: float = 0.06
    stain_p: float = 0.7
    gamma: float = 1.25
    contrast: float = 1.25
    saturation: float = 1.3
    brightness: float = 0.08
    hue: float = 0.15
    colour_p: float = 0.7
    blur: float = 1.2
    blur_p: float = 0.2
    noise: float = 0.04
    noise_p: float = 0.2
    restain_p: float = 0.0
    gray_p: float = 0.0
    swap_p: float = 0.0
    any_hue_p: float = 0.0
    fade: float = 0.0
    fade_p: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0.0 < low <= high:
            raise ConfigError(f"scale: expected 0 < low <= high, got {self.scale}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_p") and not 0.0 <= value <= 1.0:
                raise ConfigError(f"{field.name}: expected a probability in [0, 1], got {value}")
        for name in ("aspect", "gamma", "contrast", "saturation"):
            if getattr(self, name) < 1.0:
                raise ConfigError(f"{name}: expected a factor of at least 1, got {getattr(self, name)}")
        for name in _AMOUNTS:
            if getattr(self, name) < 0.0:
                raise ConfigError(f"{name}: expected a number of at least 0, got {getattr(self, name)}")
        if self.gray_p + self.swap_p + self.any_hue_p > 1.0:
            raise ConfigError("gray_p, swap_p and any_hue_p: expected probabilities that add up to at most 1")
        if self.fade >= 1.0:
            raise ConfigError(f"fade: expected a share below 1, got {self.fade}")
        if self.elastic_cell <= 0.0:
            raise ConfigError(f"elastic_cell: expected a number above 0, got {self.elastic_cell}")


def factor(rng: np.random.Generator, most: float) -> float:
    """A factor between 1/most and most, log-uniform."""
    return math.exp(rng.uniform(-1.0, 1.0) * math.log(most))


STRENGTHS: Mapping[str, Strength] = {
    # Another laboratory, or another stain, is farther off than slides of one laboratory are from each other.
    "histology": Strength(
        scale=(0.65, 1.6),
        stain_gain=0.4,
        stain_offset=0.1,
        gamma=1.4,
        contrast=1.4,
        saturation=1.6,
        hue=0.3,
        blur=2.5,
        blur_p=0.25,
        noise=0.2,
        noise_p=0.25,
        restain_p=0.25,
        gray_p=0.08,
        swap_p=0.06,
        any_hue_p=0.08,
        fade=0.8,
        fade_p=0.1,
    ),
    # A body has an upright position, and left and right are nearly mirror images.
    "anatomy": Strength(
        rotation=0.26,
        mirror="X",
        scale=(0.8, 1.25),
        aspect=1.15,
        shear=0.05,
        elastic=0.02,
        jitter=0.05,
        stain_p=0.0,
        noise=0.05,
    ),
}
"""By kind. histology: tissue lies in any direction, stains vary. anatomy: organs in scans and endoscopy."""

KINDS = (*STRENGTHS, "flips", "none")
"""Every kind, as [Training] Augmentation knows it beside auto."""


def mirrored(kind: str | None) -> str:
    """The axes of space along which samples may have been mirrored by an augmentation; all of them if it is not known."""
    if kind == "none":
        return ""
    return STRENGTHS[kind].mirror if kind is not None and kind in STRENGTHS else "ZYX"
