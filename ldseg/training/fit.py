"""A training from its plan to its weights."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case
from ldseg.data.splits import apply_manifest
from ldseg.devices import data_parallel
from ldseg.errors import ConfigError, WeightsError
from ldseg.evaluation.collapse import Collapse
from ldseg.inference.predictor import Predictor
from ldseg.segmenter import Segmenter
from ldseg.training.callbacks import Epochs, Progress
from ldseg.training.checkpoint import load_checkpoint, networks_of, read_meta
from ldseg.training.folder import checkpoint_of, logs_of, set_aside
from ldseg.training.optimizer import adamw
from ldseg.training.plan import Plan
from ldseg.training.trainer import Trainer
from ldseg.training.validation import validation_scores
from ldseg.weights import WEIGHTS_FILE, Description, load_weights, save_structure, save_weights
from ldseg.writing import claim_folder

logger = logging.getLogger(__name__)


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
    problems: tuple[str, ...] = ()

    @property
    def logs(self) -> Path:
        """The folder of checkpoint and logs."""
        return logs_of(self.folder)


def train(
    plan: Plan,
    cases: Sequence[Case],
    folder: Path,
    *,
    go_on: bool = True,
    watch: Callable[[TrainingResult], None] | None = None,
) -> TrainingResult:
    """Train as planned, and keep the best and the last state in a folder.

    Args:
        plan: what to do.
        cases: labelled cases, among them those that the plan's split names.
        folder: of the weights; checkpoint and logs lie below it.
        go_on: go on with the training whose checkpoint is there, with its split, exactly where it was; where there is none,
            start from the weights of the folder, if any. Otherwise begin anew. Earlier weights that a training does not go
            on with are set aside, never overwritten.
        watch: called after each validation.

    Raises:
        ConfigError: if the batch does not suit the devices.
        DataError: if cases of the split are missing, or the folder cannot be written.
        WeightsError: if what is to be gone on with does not fit, nothing can be written, or the loss is no longer finite.
    """
    checkpoint = checkpoint_of(folder)
    resume = go_on and checkpoint.is_file()
    if resume:
        plan = replace(plan, split=read_meta(checkpoint)["split"])
    training, validation = apply_manifest(cases, plan.split)
    claim_folder(folder, "[Model] Weights")

    keras.utils.set_random_seed(plan.seed)
    averaged = Segmenter(plan.spec)
    predictor = Predictor(averaged, sampler=plan.sampler, steps=plan.steps)
    predictor.compile()
    with data_parallel(plan.several_devices) as devices:
        if plan.batch_size % devices:
            raise ConfigError(f"Parameters.BatchSize: expected a multiple of {devices} devices, got {plan.batch_size}")
        segmenter = Segmenter(replace(plan.spec, size=plan.patch))
        if not resume and go_on and (folder / WEIGHTS_FILE).is_file():
            load_weights(folder, segmenter)
        if not resume:
            set_aside(folder)
        batches = batches_of(plan, training, segmenter)
        trainer = trainer_of(plan, segmenter, plan.epochs * len(batches))
        result = TrainingResult(folder=folder, history=[])
        if resume:
            meta = load_checkpoint(checkpoint, trainer)
            result.history.extend(meta["history"])
            batches.epoch = meta["epoch"]

        def validate() -> tuple[dict[str, float], Collapse]:
            trainer.copy_average(averaged)
            return validation_scores(averaged, validation, plan.preprocessing, predictor, plan.batch_size)

        epochs = Epochs(
            validate=validate,
            keep_best=lambda row: save_weights(folder, averaged, description_of(plan, row)),
            watch=lambda: watch(result) if watch is not None else None,
            validate_every=plan.validate_every,
            epochs=plan.epochs,
            checkpoint=checkpoint,
            log=result.logs / "log.csv",
            history=result.history,
            meta={"split": plan.split, "networks": networks_of(segmenter.spec), "chosen": plan.chosen},
        )
        if batches.epoch >= plan.epochs:
            logger.info("%s: trained for %d epochs already; raise [Parameters] Epoch to go on", folder, batches.epoch)
        else:
            _fit(plan, trainer, batches, epochs, result)
        if epochs.diverged:
            raise WeightsError(
                f"{folder}: {epochs.diverged}, and the training was stopped; the last checkpoint and the best weights "
                "are kept; try a lower [Parameters] LearningRate"
            )
    save_structure(folder, plan.spec)
    return result


def batches_of(plan: Plan, cases: Sequence[Case], segmenter: Segmenter) -> TrainingBatches:
    """The batches of a plan, for networks built on its patch."""
    return TrainingBatches(
        cases,
        plan.preprocessing,
        batch_size=plan.batch_size,
        patch=plan.patch,
        latent_shape=segmenter.latent_shape,
        timesteps=plan.spec.schedule.timesteps,
        augmentation=plan.augmentation,
        recycling=plan.recycling,
        seed=plan.seed,
        samples_per_case=plan.samples_per_case,
        cache=plan.cache,
        workers=plan.workers,
    )


def trainer_of(plan: Plan, segmenter: Segmenter, updates: int) -> Trainer:
    """The trainer of a plan, compiled and its optimiser built for a number of updates."""
    trainer = Trainer(segmenter, diffusion_weight=plan.diffusion_weight, recycling=plan.recycling > 0, ema=plan.ema)
    optimizer = adamw(
        learning_rate=plan.learning_rate, updates=updates, warm_up=plan.warm_up, weight_decay=plan.weight_decay
    )
    trainer.compile(optimizer=optimizer)
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def description_of(plan: Plan, figures: dict[str, Any]) -> Description:
    """What the weights of a plan say of themselves."""
    return Description(
        spec=plan.spec,
        preprocessing=plan.preprocessing,
        figures=figures,
        training=plan.settings,
        split=plan.split,
    )


def _fit(plan: Plan, trainer: Trainer, batches: TrainingBatches, epochs: Epochs, result: TrainingResult) -> None:
    bar = Progress(plan.epochs * len(batches), batches.epoch * len(batches), result.history)
    callbacks: list[keras.callbacks.Callback] = [epochs, bar]
    # Keras writes the TensorBoard log through TensorFlow, whatever the backend.
    if importlib.util.find_spec("tensorflow") and importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(result.logs / "tensorboard", write_graph=False))
    trainer.fit(
        batches,
        steps_per_epoch=len(batches),
        epochs=plan.epochs,
        initial_epoch=batches.epoch,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
