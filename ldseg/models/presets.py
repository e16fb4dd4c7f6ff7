"""Presets: what to build for a name, and how it was meant to be trained. Keras is imported when something is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ldseg.base.spatial import AXES, strided
from ldseg.models.networks import Networks
from ldseg.models.plans import (
    LEAN,
    LEAN_LATENT,
    MEDSEGDIFF,
    PUBLISHED_MULTIPLE,
    PUBLISHED_STRIDE,
    SMALL,
    LeanPlan,
    MedSegDiffPlan,
    state_channels,
    strides,
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A size of the networks.

    To add one, enter it in ``PRESETS``, or hand the object to whoever takes a preset's name.

    Attributes:
        name: what settings and weights call it.
        stride: by axes string, total stride of the latent along an axis of space (time has stride 1).
        multiple: likewise, what the length of an axis of space must be a multiple of, as the networks go deeper.
        any_size: whether its weights serve images of any size.
        prediction: what its denoiser predicts unless told otherwise.
        build: ``(size, channels, classes, axes) -> Networks``, and its switches by name.
        latent: channels of the latent, for a number of classes.
        architecture: the family it belongs to.
        bounded: whether clean latents lie in [-1, 1].
        weights: weights of the terms of the loss beside that of the diffusion, see ``ldseg.training.Trainer``.
        sampling: sampling steps and masks that it was published with; None leaves them to validation.
        switches: names of what can be left out of the networks, True unless told otherwise.
    """

    name: str
    stride: Mapping[str, int]
    multiple: Mapping[str, int]
    any_size: bool
    prediction: str
    build: Callable[..., Networks]
    latent: Callable[[int], int]
    architecture: str = "LDSeg"
    bounded: bool = False
    weights: Mapping[str, float] = field(default_factory=lambda: {"segmentation": 1.0, "autoencoder": 0.5})
    switches: tuple[str, ...] = ()
    sampling: tuple[int, int] | None = None

    def strides(self, axes: str) -> tuple[int, ...]:
        """Stride of the latent along each axis."""
        return strides(axes, self.stride[axes])

    def latent_grid(self, size: tuple[int, ...], axes: str) -> tuple[int, ...]:
        """The latent grid L under an image grid S.

        Raises:
            ValueError: for unknown axes, and if the size has another rank or is not a multiple of what the networks
                stride over.
        """
        if axes not in self.multiple:
            raise ValueError(f"expected axes of {sorted(self.multiple)}, got {axes!r}")
        strided(size, strides(axes, self.multiple[axes]))
        return strided(size, self.strides(axes))


def _lean(name: str, plans: Mapping[str, LeanPlan]) -> Preset:
    def build(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
        from ldseg.models import lean

        plan = plans[axes]
        grid = strided(size, strides(axes, plan.stride))
        return Networks(
            label_encoder=lean.label_encoder(plan, size, classes, axes),
            image_encoder=lean.image_encoder(plan, size, channels, axes),
            denoiser=lean.denoiser(plan, grid, axes),
            label_decoder=lean.label_decoder(plan, grid, classes, axes),
        )

    return Preset(
        name=name,
        stride={axes: plan.stride for axes, plan in plans.items()},
        multiple={axes: plan.multiple for axes, plan in plans.items()},
        any_size=True,
        prediction="x0",
        build=build,
        latent=lambda classes: LEAN_LATENT,
    )


def _published(name: str, exact: bool) -> Preset:
    def build(size: tuple[int, ...], channels: int, classes: int, axes: str) -> Networks:
        from ldseg.models import published

        grid = strided(size, strides(axes, PUBLISHED_STRIDE))
        return Networks(
            label_encoder=published.label_encoder(size, classes, axes),
            image_encoder=published.image_encoder(size, channels, axes, exact),
            denoiser=published.denoiser(grid, axes, exact),
            label_decoder=published.label_decoder(grid, classes, axes, exact),
        )

    return Preset(
        name=name,
        stride=dict.fromkeys(AXES.values(), PUBLISHED_STRIDE),
        multiple=dict.fromkeys(AXES.values(), PUBLISHED_MULTIPLE),
        any_size=False,
        prediction="ldseg",
        build=build,
        latent=lambda classes: 1,
    )


def _medsegdiff(name: str, plan: MedSegDiffPlan) -> Preset:
    def build(
        size: tuple[int, ...],
        channels: int,
        classes: int,
        axes: str,
        dynamic_conditioning: bool = True,
        ff_parser: bool = True,
    ) -> Networks:
        from ldseg.models import medsegdiff

        return Networks(
            label_encoder=medsegdiff.label_encoder(size, classes),
            image_encoder=medsegdiff.image_encoder(plan, size, channels, axes, dynamic_conditioning),
            denoiser=medsegdiff.denoiser(plan, size, channels, classes, axes, dynamic_conditioning, ff_parser),
            label_decoder=medsegdiff.label_decoder(size, classes),
        )

    return Preset(
        name=name,
        stride=dict.fromkeys(AXES.values(), 1),
        multiple=dict.fromkeys(AXES.values(), plan.multiple),
        # The map of the FF-Parser has the size of the features.
        any_size=False,
        prediction="eps",
        build=build,
        latent=state_channels,
        architecture="MedSegDiff",
        bounded=True,
        weights={"segmentation": 0.0, "autoencoder": 0.0},
        switches=("dynamic_conditioning", "ff_parser"),
        sampling=plan.sampling,
    )


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _lean("lean", LEAN),
        _lean("small", SMALL),
        _published("ldseg", exact=False),
        _published("ldseg-published", exact=True),
        *(_medsegdiff(name, plan) for name, plan in MEDSEGDIFF.items()),
    )
}
"""Every preset by its name, as [Model] Preset knows it."""

CONTROL = "Control"
"""The architecture of the controls: any preset of LDSeg, of which nothing but the image is seen."""


def presets_by_architecture() -> dict[str, tuple[str, ...]]:
    """The names of the presets of each architecture, that of the controls included."""
    found: dict[str, tuple[str, ...]] = {}
    for preset in PRESETS.values():
        found[preset.architecture] = (*found.get(preset.architecture, ()), preset.name)
    return {**found, CONTROL: found["LDSeg"]}


def preset_of(preset: str | Preset) -> Preset:
    """The preset of a name, or the one that was given.

    Raises:
        ValueError: for an unknown name.
    """
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"expected a preset of {sorted(PRESETS)}, got {preset!r}; an own one is to be given as an object")
    return PRESETS[preset]


def build_networks(
    preset: str | Preset,
    *,
    size: tuple[int, ...],
    channels: int,
    classes: int,
    axes: str,
    control: bool = False,
    **switches: bool,
) -> Networks:
    """Build the networks of a preset for one image grid.

    Args:
        preset: a name in ``PRESETS``, or a preset of your own.
        size: image grid S, a multiple of the preset's ``multiple`` along every axis of space.
        channels: channels of the image.
        classes: number of classes C, the background included, at least 2.
        axes: an axes string, see ``ldseg.base.spatial``.
        control: build its control instead, see ``image_only``.
        switches: what is to be left out (False), by its name in the preset's ``switches``.

    Raises:
        ValueError: for a name, a size or a number that does not fit, or a switch that the preset does not have.
    """
    chosen = preset_of(preset)
    if classes < 2 or channels < 1:
        raise ValueError(f"expected at least 2 classes and 1 channel, got {classes} and {channels}")
    chosen.latent_grid(size, axes)  # refuses what the networks cannot stride over
    known = chosen.switches
    missing = [name for name, on in switches.items() if not on and name not in known]
    if missing:
        raise ValueError(f"expected only switches of preset {chosen.name!r} {known} off, got {missing}")
    built = chosen.build(size, channels, classes, axes, **{n: on for n, on in switches.items() if n in known})
    if control:
        from ldseg.models.control import image_only

        return image_only(built)
    return built
