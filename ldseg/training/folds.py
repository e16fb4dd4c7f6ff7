"""Cross-validation: a training for each fold, then what all of them hold back is measured, and they are one ensemble."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ldseg.base.folds import FOLDS_FILE, MEASURED, fold_folder, is_folds
from ldseg.base.text import counted
from ldseg.base.writing import held_folder, remove
from ldseg.config import Config
from ldseg.data.cases import Case
from ldseg.data.preprocess import Preprocessing
from ldseg.data.splits import manifest_of_fold
from ldseg.errors import WeightsError
from ldseg.evaluation.compare import read_run
from ldseg.inference import Segmented
from ldseg.training.checkpoint import read_meta
from ldseg.training.fit import TrainingResult, is_over, train
from ldseg.training.folder import checkpoint_of, checkpoint_to_go_on, set_aside
from ldseg.training.held_back import measure_folds
from ldseg.training.plan import Plan
from ldseg.training.stop import AGAIN, TrainingStopped, saying, terminated_as_interrupted
from ldseg.weights import WEIGHTS_FILE, read_description

logger = logging.getLogger(__name__)


def train_folds(
    plan: Plan,
    cases: Sequence[Case],
    config: Config,
    *,
    watch: Callable[[TrainingResult], None] | None = None,
    show: Callable[[Segmented, Preprocessing], None] | None = None,
    since: float | None = None,
) -> TrainingResult:
    """Train every fold that is not trained yet, then measure what they hold back, see ``ldseg.training.held_back``.

    Each fold has a folder, with weights, checkpoint and logs like those of any training. Stopped anywhere, it goes on there.

    Args:
        plan: of each fold; its split deals out the cases.
        cases: labelled cases, among them those that the split names.
        config: the settings.
        watch: called after each validation of a fold.
        show: see ``ldseg.training.held_back.measure_folds``.
        since: when the minutes began, see ``ldseg.training.fit.train``.

    Raises:
        ConfigError, DataError, WeightsError, TrainingStopped: see ``ldseg.training.fit.train``.
    """
    began = time.perf_counter() if since is None else since
    folder, folds = config.weights_folder, len(plan.split["folds"])
    with held_folder(folder, "[Model] Weights"), terminated_as_interrupted():
        if not (config.parameters.checkpoint and checkpoint_to_go_on(fold_folder(folder, 1))):
            set_aside(folder)
        whole, trained = is_folds(folder), []
        spent = 0.0
        for fold in range(1, folds + 1):
            own = replace(plan, split=manifest_of_fold(plan.split, fold), picks=False)
            place = fold_folder(folder, fold)
            ended = whole or checkpoint_to_go_on(fold_folder(folder, fold + 1)) is not None
            result = _finished(own, place, ended)
            if result is None:
                remove(folder / FOLDS_FILE)  # what they told together is to be measured anew
                whole = False
                held = counted(sum(map(len, own.split["validation"].values())), "case")
                logger.info("fold %d of %d, in %s: %s held back", fold, folds, place, held)
                result = _train(own, cases, place, watch, f"fold {fold} of {folds}")
            else:
                logger.info("fold %d of %d, in %s: trained already", fold, folds, place)
            trained.append(result)
            spent += _spent(place)
        problems = tuple(dict.fromkeys(line for one in trained for line in one.problems))
        result = TrainingResult(folder=folder, history=[], folds=tuple(trained), problems=problems)
        if whole:
            logger.info("%s: all folds are trained already; raise [Training] Minutes or [Parameters] Epoch to go on", folder)
            return replace(result, held_back=read_run(folder / MEASURED))
        spent = max(spent, time.perf_counter() - began)
        left = max(60 * config.training.minutes - spent, 0.0) if config.training.minutes else None
        measuring = f"all {folds} folds are trained, and what they hold back was being measured; {AGAIN}"
        with saying(lambda: measuring):
            record = measure_folds(plan, cases, config, [one.folder for one in trained], seconds=left, show=show)
        return replace(result, held_back=record)


def _train(
    plan: Plan, cases: Sequence[Case], folder: Path, watch: Callable[[TrainingResult], None] | None, which: str
) -> TrainingResult:
    try:
        with saying(lambda: f"stopped; {AGAIN}"):  # between two steps of a training
            return train(plan, cases, folder, watch=watch)
    except TrainingStopped as stop:
        raise TrainingStopped(f"{which}: {stop}") from stop


def _finished(plan: Plan, folder: Path, ended: bool) -> TrainingResult | None:
    """What a fold has left behind that is trained to its end; None for any other.

    Args:
        plan: of the fold.
        folder: of the fold.
        ended: whether what follows its last epoch was done, as the next fold has begun.

    Raises:
        WeightsError: its checkpoint is of another split.
    """
    checkpoint = checkpoint_to_go_on(folder)
    if checkpoint is None:
        return None
    meta = read_meta(checkpoint)
    if meta.get("split") != plan.split:
        raise WeightsError(f"{folder}: expected fold {plan.split['fold']} of the training beside it, found another training")
    if not is_over(plan, meta) or not (folder / WEIGHTS_FILE).is_file():
        return None
    if not ended and read_description(folder, plan.spec.own).familiarity is None:
        return None  # it may have been stopped on its last steps
    return TrainingResult(folder=folder, history=meta["history"])


def _spent(folder: Path) -> float:
    """Seconds that the training of a fold took, all its starts together."""
    return float(read_meta(checkpoint_of(folder)).get("spent", 0.0))
