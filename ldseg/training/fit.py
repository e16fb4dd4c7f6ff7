"""A training from its settings to its weights."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ldseg.config import Config
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case, find_cases
from ldseg.data.preprocess import Preprocessing
from ldseg.data.splits import apply_manifest, split_by_group, split_manifest
from ldseg.diffusion import Schedule
from ldseg.errors import ConfigError, DataError
from ldseg.evaluation.metrics import dice, iou
from ldseg.inference import Predictor, segment_cases
from ldseg.models import PRESETS
from ldseg.segmenter import Segmenter, SegmenterSpec
from ldseg.spatial import AXES
from ldseg.training.callbacks import Epochs, Progress
from ldseg.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, read_meta
from ldseg.training.optimizer import adamw
from ldseg.training.trainer import Trainer
from ldseg.weights import DESCRIPTION_FILE, WEIGHTS_FILE, Description, load_weights, save_weights

logger = logging.getLogger(__name__)

FOLDER = "training"
"""Where a training keeps its checkpoint and logs, inside the folder of its weights."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training left behind.

    Attributes:
        folder: of the best weights.
        history: one row for each epoch, see ``ldseg.training.callbacks.COLUMNS``.
        problems: cases left out, one line each.
    """

    folder: Path
    history: list[dict[str, Any]]
    problems: tuple[str, ...]


def spec_of(config: Config) -> SegmenterSpec:
    """The segmenter that the settings ask for, on the grid of whole cases.

    Raises:
        ConfigError: if the size does not suit the preset.
    """
    preset, axes = PRESETS[config.model.preset], AXES[config.data.dimensions]
    for key, size in (("Size", config.data.size), ("Patch", config.data.patch)):
        try:
            preset.latent_grid(size, axes)
        except ValueError as error:
            raise ConfigError(f"Data.{key}: preset {config.model.preset!r}: {error}") from error
    if not preset.any_size and config.data.patch != config.data.size:
        raise ConfigError(
            f"Data.Patch: expected Data.Size ({config.data.size}) or nothing, as the weights of preset "
            f"{config.model.preset!r} are made for one size, got {config.data.patch}"
        )
    noise = config.noise_scheduler
    return SegmenterSpec(
        preset=config.model.preset,
        size=config.data.size,
        axes=axes,
        channels=config.data.channels,
        classes=len(config.data.classes),
        prediction=preset.prediction if config.model.prediction == "auto" else config.model.prediction,
        schedule=Schedule(
            name=noise.scheduler, timesteps=noise.timesteps, beta_0=noise.beta_0, beta_t=noise.beta_t
        ),
    )


def preprocessing_of(config: Config) -> Preprocessing:
    """The preprocessing that the settings ask for."""
    data = config.data
    return Preprocessing(
        size=data.size,
        channels=data.channels,
        intensity=data.intensity,
        classes=data.classes,
        labels=data.labels,
        axes=AXES[data.dimensions],
    )


def validation_scores(
    segmenter: Segmenter, cases: Sequence[Case], preprocessing: Preprocessing, predictor: Predictor, batch_size: int
) -> dict[str, float]:
    """Mean Dice and IoU over the foreground classes of every case, segmented by the sampler at its own size."""
    scores = []
    for result in segment_cases(predictor, cases, preprocessing, batch_size=batch_size, seed=0):
        if result.loaded is None or result.loaded.label is None:
            raise DataError(f"{result.case.image}: cannot be validated on: {result.problem or 'it has no label'}")
        pair = result.mask, result.loaded.label, segmenter.spec.classes
        with np.errstate(invalid="ignore"):
            scores.append((dice(*pair)[1:], iou(*pair)[1:]))
    mean_dice, mean_iou = np.nanmean(np.asarray(scores), axis=(0, 2))
    return {"val_dice": float(mean_dice), "val_iou": float(mean_iou)}


def set_aside(folder: Path) -> None:
    """Move an earlier training's weights, checkpoint and logs into a folder of their own: a new one loses nothing."""
    present = [folder / name for name in (WEIGHTS_FILE, DESCRIPTION_FILE, FOLDER) if (folder / name).exists()]
    if present:
        aside = folder / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
        aside.mkdir()
        for path in present:
            os.replace(path, aside / path.name)
        logger.warning("%s: earlier weights are kept in %s", folder, aside)


def train(config: Config) -> TrainingResult:
    """Train as the settings say, and keep the best and the last state in ``config.weights_folder``.

    ``Checkpoint = True`` goes on with an interrupted training where it was; where there is none it starts from the weights
    of the folder, if any. ``Checkpoint = False`` starts anew, and sets earlier weights aside.

    Raises:
        ConfigError: if settings do not suit each other.
        DataError: if there is too little to train on.
        WeightsError: if what is to be gone on with does not fit, or nothing can be written.
    """
    spec, preprocessing = spec_of(config), preprocessing_of(config)
    folder = config.weights_folder
    checkpoint = folder / FOLDER / CHECKPOINT_FILE
    resume = config.parameters.checkpoint and checkpoint.is_file()
    found = find_cases(config.dataset_folder, config.data.cases, training=True)
    problems = found.problems
    fraction, seed = config.training.validation_fraction, config.training.seed
    if resume:
        manifest = read_meta(checkpoint)["split"]
        training, validation = apply_manifest(found.cases, manifest)
    else:
        training, validation = split_by_group(found.cases, fraction, seed)
        manifest = split_manifest(training, validation, fraction=fraction, seed=seed)

    keras.utils.set_random_seed(seed)
    segmenter, averaged = Segmenter(replace(spec, size=config.data.patch)), Segmenter(spec)
    if config.parameters.checkpoint and not resume and (folder / WEIGHTS_FILE).is_file():
        load_weights(folder, segmenter)
    if not config.parameters.checkpoint:
        set_aside(folder)
    parameters = config.parameters
    batches = TrainingBatches(
        training,
        preprocessing,
        batch_size=parameters.batch_size,
        patch=config.data.patch,
        latent_shape=segmenter.latent_shape,
        timesteps=spec.schedule.timesteps,
        augmentation=config.training.augmentation,
        recycling=config.training.recycling,
        seed=seed,
        workers=config.training.workers,
    )
    trainer = Trainer(segmenter, diffusion_weight=config.training.diffusion_weight, ema=config.training.ema)
    updates = parameters.epoch * len(batches)
    optimizer = adamw(
        learning_rate=parameters.learning_rate,
        updates=updates,
        warm_up=config.training.warm_up,
        weight_decay=config.training.weight_decay,
    )
    trainer.compile(optimizer=optimizer)
    trainer.optimizer.build(trainer.trainable_variables)
    history: list[dict[str, Any]] = []
    if resume:
        meta = load_checkpoint(checkpoint, trainer)
        history, batches.epoch = meta["history"], meta["epoch"]
    predictor = Predictor(averaged, sampler=config.sampler.sampler, steps=config.sampler.sampling_steps)
    predictor.compile()

    def validate() -> dict[str, float]:
        trainer.copy_average(averaged)
        return validation_scores(averaged, validation, preprocessing, predictor, parameters.batch_size)

    def keep_best(row: dict[str, Any]) -> None:
        save_weights(
            folder,
            averaged,
            Description(
                spec=spec,
                preprocessing=preprocessing,
                figures=row,
                training=config.to_dict(),
                split=manifest,
            ),
        )

    epochs = Epochs(
        validate=validate,
        keep_best=keep_best,
        validate_every=config.training.validate_every,
        epochs=parameters.epoch,
        checkpoint=checkpoint,
        log=folder / FOLDER / "log.csv",
        history=history,
        meta={"split": manifest},
    )
    callbacks = [epochs, Progress(updates, batches.epoch * len(batches), history)]
    logger.info("%d cases to train on, %d to validate on", len(training), len(validation))
    trainer.fit(batches, epochs=parameters.epoch, initial_epoch=batches.epoch, callbacks=callbacks, verbose=0)
    return TrainingResult(folder=folder, history=history, problems=problems)
