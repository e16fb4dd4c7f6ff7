"""A training from its plan to its weights."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ldseg.base.writing import held_folder
from ldseg.data.batches import TrainingBatches
from ldseg.data.cases import Case
from ldseg.data.splits import apply_manifest
from ldseg.description import WEIGHTS_FILE
from ldseg.devices.together import Parallel, data_parallel, on_device
from ldseg.errors import ConfigError, WeightsError
from ldseg.evaluation.collapse import Collapse
from ldseg.evaluation.record import RunRecord
from ldseg.export.networks import save_structure
from ldseg.export.structure import STRUCTURE_FILE
from ldseg.group import Group
from ldseg.inference import familiar
from ldseg.segmenter import Segmenter
from ldseg.training.assembly import batches_of, description_of, trainer_of
from ldseg.training.callbacks import Dispensable, Epochs, OnTime, Ticking
from ldseg.training.checkpoint import load_checkpoint, networks_of, read_meta, save_checkpoint
from ldseg.training.clock import Clock, CommonTime
from ldseg.training.folder import begin, checkpoint_of, logs_of, settle
from ldseg.training.memory import check_memory
from ldseg.training.plan import Plan
from ldseg.training.progress import Progress
from ldseg.training.sampling import pick_sampling
from ldseg.training.stop import AGAIN, TrainingStopped, check_stopped, farewell, saying, terminated_as_interrupted
from ldseg.training.takeover import start_from
from ldseg.training.trainer import Trainer
from ldseg.training.validation import Validator
from ldseg.weights import change_description, load_weights, read_description, save_weights

logger = logging.getLogger(__name__)

FINISHED = 0.95
"""Of its minutes: a training that has had as many is over."""

SECONDS = 0.01
"""Of its minutes: what a training may take to learn which images are familiar, besides."""

ENDLESS = 10**9
"""Epochs, where minutes decide."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training has left behind so far.

    Attributes:
        folder: of the best weights.
        history: one row for each epoch, see ``ldseg.training.callbacks.COLUMNS``.
        problems: cases left out, one line each.
        folds: of each fold, where there are several; then the history is theirs.
        held_back: the record of the cases that they held back.
    """

    folder: Path
    history: list[dict[str, Any]]
    problems: tuple[str, ...] = ()
    folds: tuple[TrainingResult, ...] = ()
    held_back: RunRecord | None = None

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
    since: float | None = None,
    group: Group | None = None,
) -> TrainingResult:
    """Train as planned, and keep the best and the last state in a folder.

    Several processes train as one does, each on its share of every batch; the first one writes.

    Args:
        plan: what to do.
        cases: labelled cases, among them those that the plan's split names.
        folder: of the weights; checkpoint and logs lie below it.
        go_on: go on with the training whose checkpoint is there, with its split, exactly where it was. Where there is none,
            and without it, begin anew, from the weights of the plan's start, if any. Earlier weights that a training does
            not go on with are set aside, never overwritten.
        watch: called after each validation.
        since: when the plan's minutes began, as ``time.perf_counter`` tells it; now, unless given.
        group: the processes that train together, all with the same plan and cases.

    Raises:
        ConfigError: if the batch does not suit the devices.
        DataError: if cases of the split are missing, the folder cannot be written, or another training writes to it.
        WeightsError: if what is to be gone on with does not fit, nothing can be written, or the loss is no longer finite.
        TrainingStopped: by Ctrl-C or SIGTERM; what was finished is kept.
    """
    group = group or Group()
    with held_folder(folder, "[Model] Weights") if group.first else contextlib.nullcontext(), terminated_as_interrupted():
        if go_on and group.first:
            settle(folder)
        there = group.first and go_on and checkpoint_of(folder).is_file()
        meta = group.share("the last start", read_meta(checkpoint_of(folder)) if there else {})
        plan = replace(plan, split=meta.get("split", plan.split))
        now = CommonTime(group) if plan.minutes and group.count > 1 else time.perf_counter
        since = now() if since is None else group.share("the beginning", since)
        clock = Clock(minutes=plan.minutes, spent=meta.get("spent", 0.0), since=since, now=now, picks=plan.picks)
        training, validation = apply_manifest(cases, plan.split)
        keras.utils.set_random_seed(plan.seed)
        validator = Validator(plan, validation, group, meta.get("validated"))
        parallel = data_parallel(plan.several_devices, group)
        if plan.batch_size % parallel.count:
            wanted = f"expected a multiple of {parallel.count} devices"
            raise ConfigError(f"Parameters.BatchSize: {wanted}, got {plan.batch_size}")
        with saying(lambda: f"training stopped while it was made ready; {AGAIN}"):
            return _train(plan, training, validator, folder, clock, meta, watch, parallel)


def is_over(plan: Plan, meta: Mapping[str, Any]) -> bool:
    """Whether the training of which a checkpoint tells has had all its minutes or epochs."""
    if plan.minutes:
        return bool(meta.get("spent", 0.0) > FINISHED * 60 * plan.minutes)
    return bool(meta["epoch"] >= plan.epochs)


def _train(
    plan: Plan,
    cases: Sequence[Case],
    validator: Validator,
    folder: Path,
    clock: Clock,
    before: Mapping[str, Any],
    watch: Callable[[TrainingResult], None] | None,
    parallel: Parallel,
) -> TrainingResult:
    """Train in a folder that is locked; ``before`` is the meta of the checkpoint to go on from, or nothing."""
    checkpoint, result, group = checkpoint_of(folder), TrainingResult(folder=folder, history=[]), validator.group
    with parallel.building():
        segmenter = Segmenter(replace(plan.spec, size=plan.patch))
        check_memory(plan, segmenter)
        if not before and plan.start is not None:
            start_from(plan.start, segmenter, plan.preprocessing.classes)
        batches = batches_of(plan, cases, segmenter, group)
        trainer = trainer_of(plan, segmenter, plan.epochs * len(batches))
        if before:
            load_checkpoint(checkpoint, trainer, group)
            result.history.extend(before["history"])
            batches.epoch = before["epoch"]
    meta: dict[str, Any] = {
        "split": plan.split, "networks": networks_of(segmenter.spec), "chosen": plan.chosen, "settings": plan.settings,
    }  # fmt: skip
    if "validated" in before:  # kept where this start is stopped before it validates
        meta["validated"] = before["validated"]
    if not before and group.first:
        begin(folder, lambda path: save_checkpoint(path, trainer, {**meta, "epoch": 0, "history": [], "spent": 0.0}))

    def apart(work: Callable[..., Any], *given: Any) -> Any:
        with parallel.apart():
            return work(*given)

    length = len(batches)
    updates = 0 if plan.minutes else plan.epochs * length
    progress = Progress(
        updates, batches.epoch * length, result.history, clock, plan.validate_every, length, tells=group.first
    )

    def prepare() -> None:
        with progress.doing("compiling what validates"):
            apart(validator.warm_up)
        if isinstance(clock.now, CommonTime):
            clock.now.tick()

    def validate() -> tuple[dict[str, float], Collapse]:
        with progress.doing("validating"):
            found: tuple[dict[str, float], Collapse] = apart(validator, trainer, progress.case)
        meta["validated"] = len(validator.cases)
        if isinstance(clock.now, CommonTime):
            clock.now.tick()
        return found

    def keep(row: dict[str, Any]) -> None:
        with progress.doing("keeping the weights"):
            apart(_keep, plan, folder, validator, row)

    epochs = Epochs(
        validate=validate,
        keep_best=keep,
        watch=lambda: apart(watch, result) if watch is not None else None,
        validate_every=plan.validate_every,
        epochs=0 if plan.minutes else plan.epochs,
        checkpoint=checkpoint,
        log=result.logs / "log.csv",
        history=result.history,
        meta=meta,
        clock=clock,
        writes=group.first,
        prepare=prepare,
    )
    over = bool(before) and is_over(plan, before)
    if over and plan.minutes:
        logger.info("%s: trained for %.0f minutes already; raise [Training] Minutes to go on", folder, clock.spent / 60)
    elif over:
        logger.info("%s: trained for %d epochs already; raise [Parameters] Epoch to go on", folder, batches.epoch)
    else:
        if before:
            _tell_where(plan, before, checkpoint, clock)
        with parallel.running():
            _fit(plan, trainer, batches, epochs, progress, result)
        if group.first and plan.picks and not epochs.diverged and (folder / WEIGHTS_FILE).is_file():
            with saying(lambda: f"trained to its end, weights in {folder}; which sampling pays was being measured; {AGAIN}"):
                logger.info("finding out which sampling pays")  # the graph of the weights is made first, which takes a while
                pick_sampling(plan, validator.cases, folder, clock.left() if plan.minutes else math.inf)
    if epochs.diverged:
        raise WeightsError(
            f"{folder}: {epochs.diverged}, and the training was stopped; the last checkpoint and the best weights "
            "are kept; try a lower [Parameters] LearningRate"
        )
    elif group.first and (folder / WEIGHTS_FILE).exists():
        with saying(lambda: f"trained to its end, weights in {folder}; what is familiar was being measured; {AGAIN}"):
            _recognise(plan, cases, validator, folder)
    problems: dict[str, str] = {}
    for own in group.gather("the problems", {**batches.problems, **validator.problems}):
        problems |= own
    return replace(result, problems=tuple(problems.values()))


def _recognise(plan: Plan, cases: Sequence[Case], validator: Validator, folder: Path) -> None:
    """Keep with the best weights what they learned from, so that images unlike it are named."""
    description = read_description(folder, plan.spec.own)
    if description.familiarity is not None:
        return
    logger.info("learning which images are familiar")
    with on_device(validator.devices[0]):
        load_weights(folder, validator.segmenter)
    seconds = max(SECONDS * plan.minutes * 60, 2.0) if plan.minutes else 60.0

    def encode(images: np.ndarray) -> np.ndarray:
        check_stopped()
        return validator.predictor.encode(images)

    familiarity = familiar.fit(
        encode, plan.spec, plan.preprocessing, cases, validator.cases,
        augmentation=plan.augmentation, seed=plan.seed, seconds=seconds,
    )  # fmt: skip
    if familiarity is None:
        logger.info("too few images to train on to learn what is like them: images unlike them will not be named")
    else:
        change_description(folder, plan.spec.own, familiarity=familiarity)


def _keep(plan: Plan, folder: Path, validator: Validator, figures: dict[str, Any]) -> None:
    """Save the weights just validated; the graphs beside them are the same for all of a training."""
    description = replace(description_of(plan, figures), quality=validator.quality)
    save_weights(folder, validator.segmenter, description)
    if not (folder / STRUCTURE_FILE).exists():
        save_structure(folder, plan.spec)


def _tell_where(plan: Plan, before: Mapping[str, Any], checkpoint: Path, clock: Clock) -> None:
    """Say from where a training goes on, and which settings are not those of its last start."""
    scores = [row["val_dice"] for row in before["history"] if row.get("val_dice") is not None]
    best = f", best validation Dice {max(scores):.4f}" if scores else ""
    spent = f", {clock.spent / 60:.1f} of {plan.minutes:g} minutes" if plan.minutes else ""
    logger.info("going on after epoch %d%s%s: %s", before["epoch"], spent, best, checkpoint)
    now, then = plan.settings, before.get("settings", {})
    changed = [
        f"{section}.{key} = {value} (was {then[section][key]})"
        for section, values in now.items()
        for key, value in values.items()
        if key in then.get(section, {}) and then[section][key] != json.loads(json.dumps(value))
    ]
    if changed:
        logger.info("changed since its last start: %s", ", ".join(changed))


def _fit(
    plan: Plan, trainer: Trainer, batches: TrainingBatches, epochs: Epochs, progress: Progress, result: TrainingResult
) -> None:
    """Keras's fit, with the callbacks of a plan.

    Raises:
        TrainingStopped: by Ctrl-C or SIGTERM.
    """
    length = len(batches)
    callbacks: list[keras.callbacks.Callback] = [epochs, progress]
    if plan.minutes:
        on_time = OnTime(epochs.clock, peak=plan.learning_rate, warm_up=plan.warm_up, epoch=length)
        callbacks.insert(0, on_time)  # it says which epoch is the last
    if isinstance(epochs.clock.now, CommonTime):
        callbacks.insert(0, Ticking(epochs.clock.now))
    # Keras writes the TensorBoard log through TensorFlow, whatever the backend.
    if epochs.writes and importlib.util.find_spec("tensorflow") and importlib.util.find_spec("tensorboard"):
        board = keras.callbacks.TensorBoard(result.logs / "tensorboard", write_graph=False)
        callbacks.append(Dispensable(board, "the log of TensorBoard"))

    def said() -> str:
        fallen = float(keras.ops.convert_to_numpy(trainer.optimizer.learning_rate)) / plan.learning_rate
        total = 0 if plan.minutes else plan.epochs
        return farewell(result.folder, result.history, max(epochs.epoch, 1), total, fallen)

    stopped = ""
    try:
        with saying(said):
            trainer.fit(
                batches,
                steps_per_epoch=length,
                epochs=plan.epochs if not plan.minutes else ENDLESS,
                initial_epoch=batches.epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
    except TrainingStopped as stop:
        stopped = str(stop)
    finally:
        progress.close()
        batches.close()
    if stopped:
        # What was interrupted holds threads that fetch batches. They end with it, now: at the exit of Python, TensorFlow
        # would wait for them without an end, as they wait for Python.
        gc.collect()
        raise TrainingStopped(stopped)
