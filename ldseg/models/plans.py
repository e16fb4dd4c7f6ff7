"""Sizes of the networks, as data: what can be known of them before anything is built, and without Keras."""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED_STRIDE = 16
"""Stride of the latent of the published networks."""

PUBLISHED_MULTIPLE = 4 * PUBLISHED_STRIDE
"""Their denoiser goes down twice more."""

LEAN_LATENT = 4
"""Channels of the latent of the presets ``lean`` and ``small``."""


def strides(axes: str, factor: int) -> tuple[int, ...]:
    """The same stride along every axis of space, none along time."""
    return tuple(1 if axis == "T" else factor for axis in axes)


@dataclass(frozen=True, kw_only=True)
class LeanPlan:
    """Widths and strides of the four networks of ``lean`` and ``small``.

    The latent lies at twice the stride of the stem; two more levels below it, each at twice the stride, see the context.

    Attributes:
        stem: stride of the stems, along axes of space.
        image: channels of the image encoder at 1, 2, 4 and 8 times the stride of the stem.
        condition: channels of its output.
        denoiser: channels of the denoiser at 1, 2 and 4 times the stride of the latent.
        label: channels of the label encoder at 1 and 2 times the stride of the stem.
        decoder: channels of the label decoder, likewise.
    """

    stem: int
    image: tuple[int, int, int, int]
    condition: int
    denoiser: tuple[int, int, int]
    label: tuple[int, int]
    decoder: tuple[int, int]

    @property
    def stride(self) -> int:
        """Stride of the latent."""
        return 2 * self.stem

    @property
    def multiple(self) -> int:
        """Stride of the deepest level."""
        return 8 * self.stem


LEAN = {
    "YX": LeanPlan(stem=4, image=(32, 96, 128, 192), condition=32, denoiser=(24, 64, 96), label=(16, 48), decoder=(24, 48)),
    "TYX": LeanPlan(stem=4, image=(32, 64, 96, 112), condition=32, denoiser=(24, 48, 64), label=(16, 48), decoder=(24, 48)),
    # Structures in volumes are often a few voxels wide, and volumes few voxels long: half the stride.
    "ZYX": LeanPlan(stem=2, image=(16, 32, 64, 80), condition=24, denoiser=(16, 32, 48), label=(8, 32), decoder=(16, 32)),
}
SMALL = {
    "YX": LeanPlan(stem=4, image=(16, 48, 64, 96), condition=16, denoiser=(16, 32, 48), label=(8, 24), decoder=(16, 24)),
    "TYX": LeanPlan(stem=4, image=(16, 32, 48, 64), condition=16, denoiser=(16, 24, 32), label=(8, 24), decoder=(16, 24)),
    "ZYX": LeanPlan(stem=2, image=(8, 24, 32, 48), condition=16, denoiser=(8, 24, 32), label=(8, 16), decoder=(8, 16)),
}


@dataclass(frozen=True, kw_only=True)
class MedSegDiffPlan:
    """Sizes of a MedSegDiff.

    Attributes:
        widths: channels of each level, from fine to coarse, each at twice the stride of the one before.
        blocks: residual blocks of each level of an encoder; of the decoder one more, as there is one more skip.
        attention: strides at which attention follows each block; it is in the middle of the network in any case.
        heads: of attention.
        groups: of GroupNorm.
        sampling: steps and masks as published; None for sizes that were not.
    """

    widths: tuple[int, ...]
    blocks: int = 2
    attention: tuple[int, ...] = (16,)
    heads: int = 4
    groups: int = 32
    sampling: tuple[int, int] | None = (100, 5)

    @property
    def multiple(self) -> int:
        """Stride of the deepest level."""
        return 2 ** (len(self.widths) - 1)


MEDSEGDIFF = {
    "tiny": MedSegDiffPlan(widths=(16, 24, 32, 48), blocks=1, attention=(8,), groups=8, sampling=None),
    "S": MedSegDiffPlan(widths=(64, 64, 128, 128, 256)),
    "B": MedSegDiffPlan(widths=(128, 128, 256, 256, 512, 512)),
    "L": MedSegDiffPlan(widths=(256, 256, 512, 512, 1024, 1024, 1024)),
    "++": MedSegDiffPlan(widths=(512, 512, 1024, 1024, 2048, 2048, 2048), blocks=12, heads=8, sampling=(100, 25)),
}


def state_channels(classes: int) -> int:
    """Channels of the state."""
    return 1 if classes == 2 else classes
