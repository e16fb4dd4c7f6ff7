"""A training, planned: everything that the data and the settings decide, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldseg.base.options import AUTO
from ldseg.base.spatial import AXES
from ldseg.config import Config
from ldseg.data.preprocess import Preprocessing
from ldseg.diffusion import Schedule
from ldseg.errors import ConfigError, DataError
from ldseg.io.contract import check_prepared
from ldseg.models import PRESETS, Preset
from ldseg.spec import SegmenterSpec
from ldseg.training.choices import OPEN, Reason
from ldseg.training.start import Start

STEPS = 5
"""Sampling steps of validation, where the settings leave them open: more seldom rank weights otherwise."""

PLACES = ("Data.Root", "Model.Weights", "Output.Folder", "GPU.Hosts")
"""Settings that say where things were on the machine of the training: weights that travel do without."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``ldseg.training.train`` does; with the cases and a folder it needs nothing else.

    Attributes:
        spec: the networks, on the grid of whole cases.
        preprocessing: from a case to that grid.
        patch: lengths of the part of the grid that one sample shows.
        augmentation: a kind of ``ldseg.augmentation.augment``.
        split: a manifest of ``ldseg.data.splits``: which cases are trained on, which validate.
        batch_size: samples of an update.
        epochs: times that the training goes through its cases, unless minutes say otherwise.
        minutes: how long the training takes, all its starts together; of several folds each; 0 where epochs decide.
        learning_rate: the peak, see ``ldseg.training.optimizer.adamw``.
        warm_up: updates up to the peak.
        weight_decay: of AdamW.
        ema: decay of the moving average of the weights.
        recycling: probability that a sample starts from the model's own estimate, in [0, 1].
        diffusion_weight: lambda of ``ldseg.training.Trainer``.
        samples_per_case: samples of each case in an epoch.
        validate_every: epochs between validations.
        sampler: that of validation.
        steps: sampling steps of validation.
        sampling: steps and masks that are stored with the weights as those to segment with.
        picks: whether the steps and masks that pay are found out at the end, see ``ldseg.training.sampling``.
        seed: of everything random.
        cache: megabytes of prepared cases to keep in memory.
        disk_cache: megabytes of them to keep on disk, where they do not fit into memory.
        workers: threads that prepare batches.
        several_devices: whether all devices share the batch.
        settings: what is stored with the weights as the settings of their training, by section and key.
        microns: µm per pixel at which the networks see tissue, stored with the weights; None where it is not known.
        chosen: what was chosen from the data, by ``Section.Key``; a training that goes on keeps it.
        reasons: why, and what else is worth knowing.
        summary: what the cases are like, a line each.
        focus: probability that a sample is drawn by class, see ``ldseg.data.batches``.
        shown: names of the cases that show each class, by its number; needed where there is a ``focus``.
        sampled: whether only a sample of the cases was looked at, of which ``shown`` tells; the others are checked as they
            are read.
        start: weights to start from; None for chance.
    """

    spec: SegmenterSpec
    preprocessing: Preprocessing
    patch: tuple[int, ...]
    augmentation: str
    split: dict[str, Any]
    batch_size: int = 4
    epochs: int = 2500
    minutes: float = 0.0
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 1e-4
    ema: float = 0.999
    recycling: float = 1.0
    diffusion_weight: float = 0.5
    samples_per_case: int = 1
    focus: float = 0.0
    shown: dict[int, tuple[str, ...]] = field(default_factory=dict)
    sampled: bool = False
    validate_every: int = 5
    sampler: str = "DDIM"
    steps: int = 15
    sampling: dict[str, Any] = field(default_factory=dict)
    picks: bool = False
    seed: int = 0
    cache: int = 1000
    disk_cache: int = 0
    workers: int = 2
    several_devices: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    microns: float | None = None
    chosen: dict[str, Any] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    summary: tuple[str, ...] = ()
    start: Start | None = None

    def lines(self) -> list[str]:
        """The plan to read: what the cases are like, what was chosen and why, what is worth knowing."""
        return [*self.summary, *map(str, self.reasons)]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for the description of the weights; empty where nothing was looked at."""
        told = {
            "cases": list(self.summary),
            "chosen": [reason.to_dict() for reason in self.reasons if reason.name],
            "notes": [reason.why for reason in self.reasons if not reason.name],
        }
        return told if any(told.values()) else {}


def plan(
    config: Config,
    split: dict[str, Any],
    reasons: tuple[Reason, ...] = (),
    preset: Preset | None = None,
    **more: Any,
) -> Plan:
    """The plan that settings ask for, once nothing in them is left open (``ldseg.training.choices.choose``).

    Args:
        config: the settings.
        split: the manifest of the cases.
        reasons: for what was chosen.
        preset: networks of the user's own, in place of those that the settings name.
        more: ``shown``, ``sampled``, ``summary`` and ``start`` of the plan.

    Raises:
        ConfigError: if settings do not suit each other.
    """
    parameters, training = config.parameters, config.training
    auto, published = config.sampler.sampling_steps == AUTO, (preset or PRESETS[config.model.preset]).sampling
    sampling = dict(zip(("steps", "samples"), published, strict=True)) if auto and published else {}
    return Plan(
        spec=spec_of(config, preset),
        preprocessing=preprocessing_of(config),
        patch=config.data.patch,
        augmentation=training.augmentation,
        split=split,
        batch_size=int(parameters.batch_size),
        epochs=parameters.epoch,
        minutes=training.minutes_each,
        learning_rate=parameters.learning_rate,
        warm_up=training.warm_up,
        weight_decay=training.weight_decay,
        ema=training.ema,
        recycling=float(training.recycling),
        diffusion_weight=training.diffusion_weight,
        samples_per_case=int(training.samples_per_case),
        focus=float(training.focus),
        validate_every=training.validate_every,
        sampler=config.sampler.sampler,
        steps=sampling.get("steps", STEPS) if auto else int(config.sampler.sampling_steps),
        sampling=sampling,
        picks=auto and not sampling and config.model.architecture != "Control",
        seed=training.seed,
        cache=training.cache,
        disk_cache=training.disk_cache,
        workers=training.workers,
        several_devices=config.gpu.multiple,
        settings=_travelling(config).to_dict(),
        chosen={name: config.value(name) for name in OPEN},
        reasons=reasons,
        **more,
    )


def _travelling(config: Config) -> Config:
    """Settings without the places of this machine; of weights to start from, their name stays."""
    settled = config.with_values({name: Config().value(name) for name in PLACES})
    return settled.with_values({"Model.Start": Path(config.model.start).name})


def check_sizes(config: Config, preset: Preset | None = None) -> None:
    """Raise ConfigError if a size that is set does not suit the preset."""
    preset, axes = preset or PRESETS[config.model.preset], AXES[config.data.dimensions]
    for key, size in (("Size", config.data.size), ("Patch", config.data.patch)):
        try:
            if size:
                preset.latent_grid(size, axes)
        except ValueError as error:
            raise ConfigError(f"Data.{key}: preset {preset.name!r}: {error}") from error


def spec_of(config: Config, preset: Preset | None = None) -> SegmenterSpec:
    """The segmenter that the settings ask for, on the grid of whole cases.

    Raises:
        ConfigError: if the size does not suit the preset.
    """
    check_sizes(config, preset)
    own, preset, axes = preset, preset or PRESETS[config.model.preset], AXES[config.data.dimensions]
    if not preset.any_size and config.data.patch != config.data.size:
        raise ConfigError(
            f"Data.Patch: expected Data.Size ({config.data.size}) or nothing, as the weights of preset "
            f"{preset.name!r} are made for one size, got {config.data.patch}"
        )
    _check_fits(config)
    noise, control = config.noise_scheduler, config.model.architecture == "Control"
    prediction = "x0" if control else preset.prediction
    return SegmenterSpec(
        preset=own or preset.name,  # a preset that comes with LDSeg is known by its name, to the light engines too
        size=config.data.size,
        axes=axes,
        channels=int(config.data.channels),
        classes=len(config.data.classes),
        prediction=prediction if config.model.prediction == AUTO else config.model.prediction,
        schedule=Schedule(name=noise.scheduler, timesteps=noise.timesteps, beta_0=noise.beta_0, beta_t=noise.beta_t),
        control=control,
        dynamic_conditioning=config.model.dynamic_conditioning,
        ff_parser=config.model.ffparser,
        outline=config.model.outline == "True",
    )


def _check_fits(config: Config) -> None:
    """Images and labels of a batch fit into memory, before it is tried."""
    planes = int(config.data.channels) + len(config.data.classes)
    sizes = {"Data.Size": config.data.size, "Parameters.BatchSize": (int(config.parameters.batch_size), *config.data.patch)}
    for name, size in sizes.items():
        try:
            check_prepared(size, planes, name)
        except DataError as error:
            raise ConfigError(str(error)) from error


def preprocessing_of(config: Config) -> Preprocessing:
    """The preprocessing that the settings ask for."""
    data = config.data
    return Preprocessing(
        size=data.size,
        axes=AXES[data.dimensions],
        channels=int(data.channels),
        intensity=data.intensity,
        window=data.window,
        classes=data.classes,
        labels=data.labels,
        label_map=data.label_map,
        sparse=data.sparse,
        fit=data.fit,
        zoom=float(data.zoom),
        spacing=data.spacing,
        regions=data.regions,
    )
