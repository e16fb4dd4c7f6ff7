"""Presets: what to build for a name, and how it was meant to be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ldseg.models import lean, medsegdiff, published
from ldseg.models.control import image_only
from ldseg.models.networks import Networks
from ldseg.spatial import AXES, strided


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A size of the networks.

    Attributes:
        stride: by axes string, total stride of the latent along an axis of space (time has stride 1).
        multiple: likewise, what the length of an axis of space must be a multiple of, as the networks go deeper.
        any_size: whether its weights serve images of any size.
        prediction: what its denoiser predicts unless told otherwise.
        build: ``(size, channels, classes, axes) -> Networks``, and its switches by name.
        architecture: the family it belongs to.
        bounded: whether clean latents lie in [-1, 1].
        weights: weights of the terms of the loss beside that of the diffusion, see ``ldseg.training.Trainer``.
        switches: names of what can be left out of the networks, True unless told otherwise.
    """

    stride: Mapping[str, int]
    multiple: Mapping[str, int]
    any_size: bool
    prediction: str
    build: Callable[..., Networks]
    architecture: str = "LDSeg"
    bounded: bool = False
    weights: Mapping[str, float] = field(default_factory=lambda: {"segmentation": 1.0, "autoencoder": 0.5})
    switches: tuple[str, ...] = ()

    def strides(self, axes: str) -> tuple[int, ...]:
        """Stride of the latent along each axis."""
        return lean.strides(axes, self.stride[axes])

    def latent_grid(self, size: tuple[int, ...], axes: str) -> tuple[int, ...]:
        """The latent grid L under an image grid S.

        Raises:
            ValueError: for unknown axes, and if the size has another rank or is not a multiple of what the networks
                stride over.
        """
        if axes not in self.multiple:
            raise ValueError(f"expected axes of {sorted(self.multiple)}, got {axes!r}")
        strided(size, lean.strides(axes, self.multiple[axes]))
        return strided(size, self.strides(axes))


def _lean(plans: Mapping[str, lean.Plan]) -> Preset:
    def build(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
        plan = plans[axes]
        grid = strided(size, lean.strides(axes, plan.stride))
        return Networks(
            label_encoder=lean.label_encoder(plan, size, classes, axes),
            image_encoder=lean.image_encoder(plan, size, channels, axes),
            denoiser=lean.denoiser(plan, grid, axes),
            label_decoder=lean.label_decoder(plan, grid, classes, axes),
        )

    return Preset(
        stride={axes: plan.stride for axes, plan in plans.items()},
        multiple={axes: plan.multiple for axes, plan in plans.items()},
        any_size=True,
        prediction="x0",
        build=build,
    )


def _ldseg(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
    grid = strided(size, lean.strides(axes, published.STRIDE))
    return Networks(
        label_encoder=published.label_encoder(size, classes, axes),
        image_encoder=published.image_encoder(size, channels, axes),
        denoiser=published.denoiser(grid, axes),
        label_decoder=published.label_decoder(grid, classes, axes),
    )


def _medsegdiff(plan: medsegdiff.Plan) -> Preset:
    def build(
        size: tuple[int, ...],
        channels: int,
        classes: int,
        axes: str,
        dynamic_conditioning: bool = True,
        ff_parser: bool = True,
    ) -> Networks:
        return Networks(
            label_encoder=medsegdiff.label_encoder(size, classes),
            image_encoder=medsegdiff.image_encoder(plan, size, channels, axes, dynamic_conditioning),
            denoiser=medsegdiff.denoiser(plan, size, channels, classes, axes, dynamic_conditioning, ff_parser),
            label_decoder=medsegdiff.label_decoder(size, classes),
        )

    return Preset(
        stride=dict.fromkeys(AXES.values(), 1),
        multiple=dict.fromkeys(AXES.values(), plan.multiple),
        # The map of the FF-Parser has the size of the features.
        any_size=False,
        prediction="eps",
        build=build,
        architecture="MedSegDiff",
        bounded=True,
        weights={"segmentation": 0.0, "autoencoder": 0.0},
        switches=("dynamic_conditioning", "ff_parser"),
    )


_LEAN = {
    "YX": lean.Plan(stem=4, image=(32, 96, 128, 192), condition=32, denoiser=(24, 64, 96), label=(16, 48), decoder=(24, 48)),
    "TYX": lean.Plan(stem=4, image=(32, 64, 96, 112), condition=32, denoiser=(24, 48, 64), label=(16, 48), decoder=(24, 48)),
    # Structures in volumes are often a few voxels wide, and volumes few voxels long: half the stride.
    "ZYX": lean.Plan(stem=2, image=(16, 32, 64, 80), condition=24, denoiser=(16, 32, 48), label=(8, 32), decoder=(16, 32)),
}
_SMALL = {
    "YX": lean.Plan(stem=4, image=(16, 48, 64, 96), condition=16, denoiser=(16, 32, 48), label=(8, 24), decoder=(16, 24)),
    "TYX": lean.Plan(stem=4, image=(16, 32, 48, 64), condition=16, denoiser=(16, 24, 32), label=(8, 24), decoder=(16, 24)),
    "ZYX": lean.Plan(stem=2, image=(8, 24, 32, 48), condition=16, denoiser=(8, 24, 32), label=(8, 16), decoder=(8, 16)),
}

PRESETS: dict[str, Preset] = {
    "lean": _lean(_LEAN),
    "small": _lean(_SMALL),
    "ldseg": Preset(
        stride=dict.fromkeys(AXES.values(), published.STRIDE),
        multiple=dict.fromkeys(AXES.values(), published.MULTIPLE),
        any_size=False,
        prediction="ldseg",
        build=_ldseg,
    ),
    **{name: _medsegdiff(plan) for name, plan in medsegdiff.PLANS.items()},
}


def build_networks(
    preset: str, *, size: tuple[int, ...], channels: int, classes: int, axes: str, control: bool = False, **switches: bool
) -> Networks:
    """Build the networks of a preset for one image grid.

    Args:
        preset: a name in ``PRESETS``.
        size: image grid S, a multiple of the preset's ``multiple`` along every axis of space.
        channels: channels of the image.
        classes: number of classes C, the background included, at least 2.
        axes: an axes string, see ``ldseg.spatial``.
        control: build its control instead, see ``image_only``.
        switches: what is to be left out (False), by its name in the preset's ``switches``.

    Raises:
        ValueError: for a name, a size or a number that does not fit, or a switch that the preset does not have.
    """
    if preset not in PRESETS:
        raise ValueError(f"expected a preset of {sorted(PRESETS)}, got {preset!r}")
    if classes < 2 or channels < 1:
        raise ValueError(f"expected at least 2 classes and 1 channel, got {classes} and {channels}")
    PRESETS[preset].latent_grid(size, axes)  # refuses what the networks cannot stride over
    known = PRESETS[preset].switches
    missing = [name for name, on in switches.items() if not on and name not in known]
    if missing:
        raise ValueError(f"expected only switches of preset {preset!r} {known} off, got {missing}")
    built = PRESETS[preset].build(size, channels, classes, axes, **{n: on for n, on in switches.items() if n in known})
    return image_only(built) if control else built
