"""A training from its settings to its weights."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from ldseg.config import Config
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case, find_cases, load_case
from ldseg.data.preprocess import Preprocessing
from ldseg.data.splits import apply_manifest, split_by_group, split_by_name, split_manifest
from ldseg.devices import data_parallel
from ldseg.diffusion import Schedule
from ldseg.errors import ConfigError, DataError, WeightsError
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.metrics import dice, iou
from ldseg.inference import segment_cases
from ldseg.inference.predictor import Predictor
from ldseg.models import PRESETS
from ldseg.segmenter import Segmenter, SegmenterSpec
from ldseg.spatial import AXES
from ldseg.text import counted, some
from ldseg.training.callbacks import Epochs, Progress
from ldseg.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, networks_of, read_meta
from ldseg.training.optimizer import adamw
from ldseg.training.plan import OPEN, choose
from ldseg.training.trainer import Trainer
from ldseg.weights import DESCRIPTION_FILE, WEIGHTS_FILE, Description, load_weights, save_weights
from ldseg.writing import claim_folder

logger = logging.getLogger(__name__)

PLACES = ("Data.Root", "Model.Weights", "Output.Folder")
"""Settings that say where things were on the machine of the training: weights that travel do without."""

FOLDER = "training"
"""Where a training keeps its checkpoint and logs, inside the folder of its weights."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training has left behind so far.

    Attributes:
        folder: of the best weights.
        history: one row for each epoch, see ``ldseg.training.callbacks.COLUMNS``.
        problems: cases left out, one line each.
    """

    folder: Path
    history: list[dict[str, Any]]
    problems: tuple[str, ...]

    @property
    def logs(self) -> Path:
        """The folder of checkpoint and logs."""
        return self.folder / FOLDER


def check_sizes(config: Config) -> None:
    """Raise ConfigError if a size that is set does not suit the preset."""
    preset, axes = PRESETS[config.model.preset], AXES[config.data.dimensions]
    for key, size in (("Size", config.data.size), ("Patch", config.data.patch)):
        try:
            if size:
                preset.latent_grid(size, axes)
        except ValueError as error:
            raise ConfigError(f"Data.{key}: preset {config.model.preset!r}: {error}") from error


def spec_of(config: Config) -> SegmenterSpec:
    """The segmenter that the settings ask for, on the grid of whole cases.

    Raises:
        ConfigError: if the size does not suit the preset.
    """
    check_sizes(config)
    preset, axes = PRESETS[config.model.preset], AXES[config.data.dimensions]
    if not preset.any_size and config.data.patch != config.data.size:
        raise ConfigError(
            f"Data.Patch: expected Data.Size ({config.data.size}) or nothing, as the weights of preset "
            f"{config.model.preset!r} are made for one size, got {config.data.patch}"
        )
    noise, control = config.noise_scheduler, config.model.architecture == "Control"
    prediction = "x0" if control else preset.prediction
    return SegmenterSpec(
        preset=config.model.preset,
        size=config.data.size,
        axes=axes,
        channels=int(config.data.channels),
        classes=len(config.data.classes),
        prediction=prediction if config.model.prediction == "auto" else config.model.prediction,
        schedule=Schedule(name=noise.scheduler, timesteps=noise.timesteps, beta_0=noise.beta_0, beta_t=noise.beta_t),
        control=control,
        dynamic_conditioning=config.model.dynamic_conditioning,
        ff_parser=config.model.ffparser,
    )


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
        fit=data.fit,
        spacing=data.spacing,
    )


def validation_scores(
    segmenter: Segmenter, cases: Sequence[Case], preprocessing: Preprocessing, predictor: Predictor, batch_size: int
) -> tuple[dict[str, float], Collapse]:
    """Mean Dice and IoU over the foreground classes of every case, segmented by the sampler at its own size.

    ``val_dice`` and ``val_iou`` are over all cases and classes, ``val_dice_<class>`` over all cases. A class absent from
    a case and from its mask does not count. Beside them, whether the masks have collapsed.
    """
    scores, collapse = [], Collapse(preprocessing.classes, segmenter.strides)
    for result in segment_cases(predictor, cases, preprocessing, batch_size=batch_size, seed=0):
        if result.loaded is None or result.loaded.label is None:
            raise DataError(f"{result.case.image}: cannot be validated on: {result.problem or 'it has no label'}")
        pair = result.mask, result.loaded.label, segmenter.spec.classes
        with np.errstate(invalid="ignore"):
            scores.append((dice(*pair)[1:], iou(*pair)[1:]))
        grid = preprocessing.grid_of(result.loaded.size, result.loaded.spacing)
        collapse.add(result.mask, result.loaded.label, grid)
    values = np.asarray(scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that is in no case has no mean
        mean_dice, mean_iou = np.nanmean(values, axis=(0, 2))
        by_class = np.nanmean(values[:, 0], axis=0)
    named = zip(preprocessing.classes[1:], by_class, strict=True)
    found = {
        "val_dice": float(mean_dice),
        "val_iou": float(mean_iou),
        **{f"val_dice_{name}": float(value) for name, value in named},
    }
    return found, collapse


def set_aside(folder: Path) -> None:
    """Move an earlier training's weights, checkpoint and logs into a folder of their own: a new one loses nothing."""
    present = [folder / name for name in (WEIGHTS_FILE, DESCRIPTION_FILE, FOLDER) if (folder / name).exists()]
    if not present:
        return
    aside = folder / f"before-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        aside.mkdir()
        for path in present:
            os.replace(path, aside / path.name)
    except OSError as error:
        raise WeightsError(f"{folder}: earlier weights cannot be set aside: {error.strerror or error}") from error
    logger.info("earlier weights are kept in %s", aside)


def usable_cases(
    cases: Sequence[Case], preprocessing: Preprocessing
) -> tuple[tuple[Case, ...], tuple[str, ...], frozenset[str]]:
    """Read every case once before the work.

    Returns:
        the cases that can be trained on; what is wrong with the others; names of cases with background alone.
    """
    good, problems, empty = [], [], set()
    for case in tqdm(cases, desc="checking", unit="case"):
        try:
            loaded = load_case(case, preprocessing)
        except DataError as error:
            logger.error("left out %s: %s", case.name, error)
            problems.append(str(error))
        else:
            good.append(case)
            if not np.any(loaded.label):
                empty.add(case.name)
    return tuple(good), tuple(problems), frozenset(empty)


def train(config: Config, watch: Callable[[TrainingResult], None] | None = None) -> TrainingResult:
    """Train as the settings say, and keep the best and the last state in ``config.weights_folder``.

    ``Checkpoint = True`` goes on with the training whose checkpoint is there, exactly where it was; where there is none, it
    starts from the weights of the folder, if any. ``Checkpoint = False`` starts anew. Earlier weights that a training does
    not go on with are set aside, never overwritten.

    Args:
        config: the settings.
        watch: called after each validation.

    Raises:
        ConfigError: if settings do not suit each other.
        DataError: if there is too little to train on, or the folder cannot be written.
        WeightsError: if what is to be gone on with does not fit, nothing can be written, or the loss is no longer finite.
    """
    check_sizes(config)  # before images are read
    folder, parameters = config.weights_folder, config.parameters
    checkpoint = folder / FOLDER / CHECKPOINT_FILE
    resume = parameters.checkpoint and checkpoint.is_file()
    before = read_meta(checkpoint) if resume else {}
    found = find_cases(config.dataset_folder, config.data.cases, training=True, axes=AXES[config.data.dimensions])
    config = choose(config, found.cases, before.get("chosen", {}))
    settings, spec, preprocessing = config.training, spec_of(config), preprocessing_of(config)
    cases, problems, empty = usable_cases(found.cases, preprocessing)
    if not cases:
        raise DataError(f"none of {len(found.cases)} cases can be trained on, the first: {problems[0]}")
    problems = (*found.problems, *problems)
    if resume:
        manifest = before["split"]
        training, validation = apply_manifest(cases, manifest)
        named = {case.name for case in (*training, *validation)}
        if new := [case.name for case in cases if case.name not in named]:
            logger.info(
                "%d cases are not in the split of the training that goes on: %s; Checkpoint = False begins anew with them",
                len(new), ", ".join(new[:5]) + ", …" * (len(new) > 5),
            )  # fmt: skip
    else:
        if settings.validation:
            training, validation = split_by_name(cases, settings.validation)
        else:
            training, validation = split_by_group(cases, settings.validation_fraction, settings.seed)
        manifest = split_manifest(training, validation, fraction=settings.validation_fraction, seed=settings.seed)
    logger.info("%s to train on, %d to validate on", counted(len(training), "case"), len(validation))
    for purpose, part in (("train on", training), ("validate on", validation)):
        if empty.issuperset(names := [case.name for case in part]):
            raise DataError(f"expected an object in at least one label to {purpose}, found background alone: {some(names)}")
    claim_folder(folder, "[Model] Weights")

    keras.utils.set_random_seed(settings.seed)
    averaged = Segmenter(spec)
    predictor = Predictor(averaged, sampler=config.sampler.sampler, steps=config.sampler.sampling_steps)
    predictor.compile()
    with data_parallel(config.gpu.multiple) as devices:
        if parameters.batch_size % devices:
            raise ConfigError(f"Parameters.BatchSize: expected a multiple of {devices} devices, got {parameters.batch_size}")
        segmenter = Segmenter(replace(spec, size=config.data.patch))
        if not resume and parameters.checkpoint and (folder / WEIGHTS_FILE).is_file():
            load_weights(folder, segmenter)
        if not resume:
            set_aside(folder)
        batches = TrainingBatches(
            training,
            preprocessing,
            batch_size=parameters.batch_size,
            patch=config.data.patch,
            latent_shape=segmenter.latent_shape,
            timesteps=spec.schedule.timesteps,
            augmentation=settings.augmentation,
            recycling=settings.recycling,
            seed=settings.seed,
            samples_per_case=settings.samples_per_case,
            cache=settings.cache,
            workers=settings.workers,
        )
        updates = parameters.epoch * len(batches)
        trainer = Trainer(
            segmenter,
            diffusion_weight=settings.diffusion_weight,
            recycling=settings.recycling > 0,
            ema=settings.ema,
        )
        trainer.compile(
            optimizer=adamw(
                learning_rate=parameters.learning_rate,
                updates=updates,
                warm_up=settings.warm_up,
                weight_decay=settings.weight_decay,
            )
        )
        trainer.optimizer.build(trainer.trainable_variables)
        history: list[dict[str, Any]] = []
        if resume:
            meta = load_checkpoint(checkpoint, trainer)
            history, batches.epoch = meta["history"], meta["epoch"]
        result = TrainingResult(folder=folder, history=history, problems=problems)

        def validate() -> tuple[dict[str, float], Collapse]:
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
                    training=config.with_values({name: Config().value(name) for name in PLACES}).to_dict(),
                    split=manifest,
                ),
            )

        epochs = Epochs(
            validate=validate,
            keep_best=keep_best,
            watch=lambda: watch(result) if watch is not None else None,
            validate_every=settings.validate_every,
            epochs=parameters.epoch,
            checkpoint=checkpoint,
            log=result.logs / "log.csv",
            history=history,
            meta={
                "split": manifest,
                "networks": networks_of(segmenter.spec),
                "chosen": {name: config.value(name) for name in OPEN},
            },
        )
        callbacks: list[keras.callbacks.Callback] = [epochs, Progress(updates, batches.epoch * len(batches), history)]
        # Keras writes the TensorBoard log through TensorFlow, whatever the backend.
        if importlib.util.find_spec("tensorflow") and importlib.util.find_spec("tensorboard"):
            callbacks.append(keras.callbacks.TensorBoard(result.logs / "tensorboard", write_graph=False))
        if batches.epoch >= parameters.epoch:
            logger.info("%s: trained for %d epochs already; raise [Parameters] Epoch to go on", folder, batches.epoch)
        else:
            trainer.fit(
                batches,
                steps_per_epoch=len(batches),
                epochs=parameters.epoch,
                initial_epoch=batches.epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        if epochs.diverged:
            raise WeightsError(
                f"{folder}: {epochs.diverged}, and the training was stopped; the last checkpoint and the best weights "
                "are kept; try a lower [Parameters] LearningRate"
            )
    return result
